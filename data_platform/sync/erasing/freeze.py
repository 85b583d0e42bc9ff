"""A person's keys, as the raw tables have them now; and in what has landed, of somebody whose rows are gone from there."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from data_platform.audit.event import Event, checked_text
from data_platform.errors import ConfigurationError
from data_platform.privacy.erasure.frozen import Frozen, wanted
from data_platform.privacy.erasure.known import joined
from data_platform.privacy.erasure.requests import Hold, Request
from data_platform.privacy.subjects.graph import Subject
from data_platform.privacy.subjects.place import Place
from data_platform.sync.erasing.book import Book
from data_platform.sync.platform import Platform
from data_platform.sync.subjects import Asked, as_landed, held, selection
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse

LINES_SHOWN = 10


def keys_of(platform: Platform, subject: Subject) -> dict[TableId, Place]:
    """The key places of the subject's tables: of those with a key of one column that lands in clear."""
    found = {}
    for table in subject.tables:
        block = platform.catalog.table(table)
        if len(block.key) == 1 and block.treatment(block.key[0]) == "keep":
            found[table] = Place(table, block.key[0])
    return found


@dataclass(frozen=True, slots=True)
class Person:
    """``rows`` counts the raw rows by table, ``needles`` are the texts that must not be found afterwards: what was typed and is no
    key, and how it landed. It may be several people at once."""

    frozen: Frozen
    needles: frozenset[str]
    rows: Mapping[TableId, int]
    people: int = 1


def found(platform: Platform, subject: Subject, asked: Asked) -> Person:
    """Whom ``asked`` names. A key that was asked for is theirs though no row has it any more: it may be in what landed before.
    ConfigurationError where nobody was found."""
    with platform.warehouse(read_only=True) as warehouse:
        person = _found(platform, warehouse, subject, asked)
    if not person.frozen.count:
        raise ConfigurationError(
            f"No row of such a {subject.name} was found. Somebody whose rows are gone from the warehouse already is erased from what"
            " landed before by their key: --by with a lookup of a key."
        )
    return person


def found_together(platform: Platform, subject: Subject, people: Mapping[int, Asked]) -> list[Person]:
    """Whom each line of ``people`` names, everybody once. ConfigurationError names the lines by which nobody was found, and those of people
    whom a hold is about."""
    some: dict[int, Person] = {}
    with platform.warehouse(read_only=True) as warehouse:
        for line, asked in people.items():
            some[line] = _found(platform, warehouse, subject, asked)
    if nobody := [line for line, person in some.items() if not person.frozen.count]:
        raise ConfigurationError(
            f"No row of such a {subject.name} was found by {_lines(nobody)}, so nobody was erased. Take them out; somebody whose rows are gone from"
            " the warehouse already is erased by a key."
        )
    for hold_, kept in _holds(Book(platform)):
        if lines := [line for line, person in some.items() if _overlap(kept, person.frozen)]:
            raise ConfigurationError(
                f"The hold {hold_.name} is about {_lines(lines)} ({hold_.reason}), so nobody was erased. Take them out, or end it with `data-platform"
                f" subject release {hold_.name}`."
            )
    return list({frozenset(one.frozen.values.items()): one for one in some.values()}.values())


def together(people: Sequence[Person]) -> Person:
    """All of ``people`` as one."""
    rows: Counter[TableId] = Counter()
    for one in people:
        rows.update(one.rows)
    (frozen,) = joined([("", one.frozen) for one in people]).values()
    return Person(frozen, frozenset().union(*(one.needles for one in people)), rows, len(people))


def _lines(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - LINES_SHOWN:,} more" if len(numbers) > LINES_SHOWN else ""
    listed = ", ".join(map(str, numbers[:LINES_SHOWN]))
    return f"line{'s' if len(numbers) > 1 else ''} {listed}{more}"


def _found(platform: Platform, warehouse: Warehouse, subject: Subject, asked: Asked) -> Person:
    keys = keys_of(platform, subject)
    needed = wanted(subject, keys)
    values: dict[Place, set[str]] = {}
    for lookup, typed in asked.items():
        for place in subject.lookups[lookup]:
            if needed.get(place.table) == place:
                values.setdefault(place, set()).update(typed)
    rows: dict[TableId, int] = {}
    chosen = selection(platform, warehouse, held(warehouse, subject), asked)
    counting = chosen.counting()
    for n, count in warehouse.query(counting.sql, counting.bound).rows if chosen.parts else ():
        rows[chosen.parts[int(n)].table] = int(count)
    for position, part in enumerate(chosen.parts):
        key = needed.get(part.table)
        if key is None or not rows.get(part.table):
            continue
        text = warehouse.dialect.try_cast(warehouse.dialect.quote(key.column), "text")
        reading = chosen.reading(position, f"DISTINCT {text}")
        answer = warehouse.query(reading.sql, reading.bound).rows
        values.setdefault(key, set()).update(str(row[0]) for row in answer if row[0] is not None)
    frozen = Frozen({place: frozenset(some) for place, some in values.items() if some})
    return Person(frozen, frozenset(_needles(platform, subject, asked, keys)), rows)


def _needles(
    platform: Platform, subject: Subject, asked: Asked, keys: Mapping[TableId, Place]
) -> Iterator[str]:
    for lookup, typed in asked.items():
        for place in subject.lookups[lookup]:
            if keys.get(place.table) != place:
                yield from typed
                yield from (as_landed(platform, place, value) for value in typed)


def ask(platform: Platform, subject: Subject, person: Person, reason: str, authorised_by: str) -> Request:
    """Write the request into the log, which is what makes it happen: from then on no sync lands a row of the person. ConfigurationError
    where a legal hold is about them, and where the secret of redactions is missing."""
    checked_text(reason, "The reason")
    book = Book(platform)
    for hold_, kept in _holds(book):
        if _overlap(kept, person.frozen):
            raise ConfigurationError(
                f"The hold {hold_.name} is about this {subject.name} ({hold_.reason}), so nothing was erased. `data-platform subject release"
                f" {hold_.name}` ends it."
            )
    id_ = uuid.uuid4().hex
    sealed = book.seal(id_, person.frozen, person.needles)
    rows = {str(table): count for table, count in person.rows.items() if count}
    return book.add(Request(id_, subject.name, reason, authorised_by, sealed, rows, people=person.people))


def _holds(book: Book) -> list[tuple[Hold, Frozen]]:
    holds = list(book.read().holds.values())
    return [
        (hold_, kept)
        for hold_, (kept, _) in zip(holds, book.all_opened([one.sealed for one in holds]), strict=True)
    ]


def hold(
    platform: Platform, subject: Subject, person: Person, name: str, reason: str, authorised_by: str
) -> None:
    """Keep the person from being erased. ConfigurationError where there is a hold of this name."""
    book = Book(platform)
    if name in book.read().holds:
        raise ConfigurationError(
            f"There is a hold {name!r} already. Choose another name, or release it first."
        )
    sealed = book.seal(f"hold-{uuid.uuid4().hex}", person.frozen, ())
    platform.trail.record(Event("hold", (name,), purpose=reason, details={"state": "set"}))
    book.hold(Hold(name, subject.name, reason, authorised_by, sealed))


def _overlap(one: Frozen, other: Frozen) -> bool:
    return any(values & other.values.get(place, frozenset()) for place, values in one.values.items())
