"""What hangs on new rows of people who were erased, and had landed before these rows were seen: it goes by a request of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data_platform.privacy.erasure.frozen import Frozen
from data_platform.privacy.erasure.known import joined
from data_platform.privacy.erasure.requests import Erasures
from data_platform.privacy.subjects.graph import Subject
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.derived import Derived
from data_platform.sync.erasing.freeze import Person, ask, keys_of
from data_platform.sync.erasing.rows import conditions, count_matches
from data_platform.sync.erasing.steps import carry_out
from data_platform.sync.platform import Platform
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation

REASON = "it came with new rows of people who had been erased"
BY = "the log of erasures"


def take_out(platform: Platform, book: Book, now: Erasures, derived: Callable[[], Sequence[Derived]]) -> int:
    """Erase by the keys that came late what raw tables hold by them, and what hangs on that; returns how many raw rows there were. A
    request that was killed is finished first."""
    for request in now.requests.values():
        if (request.reason, request.authorised_by) == (REASON, BY) and request.next_step is not None:
            carry_out(platform, request.id, derived)
    opened = book.all_opened([one.sealed for one in now.late])
    keys = joined((one.subject, frozen) for one, (frozen, _) in zip(now.late, opened, strict=True))
    count = 0
    for kind, frozen in keys.items():
        subject = platform.catalog.subjects.get(kind)
        if subject is None:
            continue
        with platform.warehouse(read_only=True) as warehouse:
            found = _hanging(platform, warehouse, subject, frozen)
        if found.rows:
            request = ask(platform, subject, found, REASON, BY)
            carry_out(platform, request.id, derived)
            count += sum(found.rows.values())
    return count


def _hanging(platform: Platform, warehouse: Warehouse, subject: Subject, frozen: Frozen) -> Person:
    """The rows that ``frozen`` leads to, with their own keys. Nobody can say any more how many people they are of."""
    keys, values = keys_of(platform, subject), dict(frozen.values)
    relations = {(held.schema, held.name): held for held in warehouse.describe()}
    rows: dict[TableId, int] = {}
    for table in subject.tables:  # those that others follow from first
        held = relations.get((table.raw_schema, table.table))
        matches = Frozen(values).matches(subject, keys, table)
        if held is None or not (count := count_matches(warehouse, held, matches, values)):
            continue
        rows[table] = count
        if (own := keys.get(table)) is not None:
            text = warehouse.dialect.try_cast(warehouse.dialect.quote(own.column), "text")
            place = relation(warehouse.dialect, held.schema, held.name)
            for test in conditions(warehouse.dialect, matches, values):
                answer = warehouse.query(f"SELECT DISTINCT {text} FROM {place} WHERE {test}").rows
                values[own] = values.get(own, frozenset()) | {
                    str(row[0]) for row in answer if row[0] is not None
                }
    return Person(Frozen(values), frozenset(), rows, people=0)
