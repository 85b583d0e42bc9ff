"""All steps of a request, in order. Each may be done again, and what is done is in the log: a request that was killed goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial

from data_platform.audit.event import Event
from data_platform.backups.mirror import place_in
from data_platform.errors import BatchConflict, WarehouseError
from data_platform.landing import orphans
from data_platform.privacy.erasure.frozen import Frozen, tables_of
from data_platform.privacy.erasure.requests import (
    MODELS_NAMED,
    STEPS,
    TOTALS,
    UNTIL_BUILT,
    UNTIL_REFRESHED,
    Request,
)
from data_platform.privacy.seal import subject_text
from data_platform.privacy.subjects.graph import Subject
from data_platform.privacy.subjects.place import Place
from data_platform.sync.consent.book import Book as Consents
from data_platform.sync.consent.table import write_decisions
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.derived import Derived
from data_platform.sync.erasing.freeze import keys_of
from data_platform.sync.erasing.landing import fence, of_person, redact
from data_platform.sync.erasing.rejected import of_people
from data_platform.sync.erasing.rows import conditions, count_matches
from data_platform.sync.erasing.traces import Said, archives_of, forget_samples, to_copies, write_again
from data_platform.sync.load import load_pending
from data_platform.sync.platform import Platform
from data_platform.sync.settle import erase_found
from data_platform.tables import TableId


@dataclass(frozen=True)
class Work:
    platform: Platform
    book: Book
    request: Request
    subject: Subject
    frozen: Frozen
    needles: tuple[str, ...]
    derived: Sequence[Derived]

    @cached_property
    def keys(self) -> Mapping[TableId, Place]:
        return keys_of(self.platform, self.subject)

    @cached_property
    def tables(self) -> list[TableId]:
        return list(tables_of(self.subject, self.keys, self.frozen))


def carry_out(
    platform: Platform,
    id_: str,
    derived: Callable[[], Sequence[Derived]],
    progress: Callable[[str], None] = lambda _: None,
) -> Request:
    """Do what is left of the request, and return it as it is then."""
    book = Book(platform)
    request = book.request(id_)
    frozen, needles = book.opened(request.sealed)
    subject = platform.catalog.subject(request.subject)
    work = Work(platform, book, request, subject, frozen, needles, derived() if request.next_step else ())
    with platform.trail.audited(
        Event("erase", tuple(map(str, work.tables)), purpose=request.reason, details={"request": id_})
    ):
        for step in STEPS:
            if step not in request.done:
                progress(step)
                book.log.append([request.finished(step, _STEPS[step](work))])
    return book.request(id_)


def _keys(work: Work) -> Said:
    """What is sealed under the person's keys can be read nowhere any more, in old backups neither."""
    ids: set[str] = set()
    for table in work.tables:
        about = work.platform.catalog.table(table).subject
        if about is None:
            continue
        keystore, kind = work.platform.keystore(), about.kind_of(table)
        for column, key in work.frozen.matches(work.subject, work.keys, table):
            if column == Place(table, about.column):
                texts = {subject_text(about.column, value) for value in work.frozen.values[key]}
                ids.update(id_ for text in texts if (id_ := keystore.find(kind, text)) is not None)
    return {"destroyed": work.platform.keystore().destroy(ids)} if ids else {}


def _landing(work: Work) -> Said:
    """Landed parts are written anew without the rows."""
    reason = f"erasure {work.request.id}: {work.request.reason}"
    said: Said = {}
    for table in work.tables:
        matches = work.frozen.matches(work.subject, work.keys, table)
        gone = of_person(matches, work.frozen.values)
        redact(work.platform, table, gone, reason=reason, authorised_by=work.request.authorised_by)
        parts = [
            part
            for manifest in work.platform.ledger.redactions(table)
            if manifest.redaction and manifest.redaction.reason == reason
            for part in manifest.redaction.parts
        ]
        if parts:
            said[str(table)] = {"parts": len(parts), "rows": sum(p.old.rows - p.new.rows for p in parts)}
    return said


def _quarantine(work: Work) -> Said:
    """Records that no table could take, and that hold what was typed or say a key; and whom answers by hand are about."""
    said: Said = {}
    for table in work.tables:
        if work.platform.ledger.head(table) is None:
            continue
        matches = work.frozen.matches(work.subject, work.keys, table)
        find = partial(of_people, work.platform, table, matches, work.frozen.values, work.needles)
        reason = f"erasure {work.request.id}: {work.request.reason}"
        if count := erase_found(work.platform, table, find, reason, work.request.authorised_by):
            said[str(table)] = {"records": count}
    copies = [place_in(archive).store for archive in archives_of(work.platform)]
    if answers := Consents(work.platform).forget(work.frozen, work.needles, copies):
        said["consents"] = {"answers": answers}
    return said


def _warehouse(work: Work) -> Said:
    """The redactions are loaded, which takes the rows out of the raw tables; then out of the models' tables that hold a key. WarehouseError
    where a raw row is left."""
    platform = work.platform
    for table in work.tables:
        if platform.ledger.head(table) is not None:
            load_pending(platform, table)
    said: Said = {}
    unbuilt: dict[bool, set[str]] = {False: set(), True: set()}
    totals: set[str] = set()
    if platform.catalog.asks_consent():
        write_decisions(platform)
    with platform.warehouse() as warehouse:
        known = {(one.schema, one.name): one for one in warehouse.describe()}
        for table in work.tables:
            if (held := known.get((table.raw_schema, table.table))) is None:
                continue
            matches = work.frozen.matches(work.subject, work.keys, table)
            if left := count_matches(warehouse, held, matches, work.frozen.values):
                raise WarehouseError(
                    f"{table.raw_name} still holds {left:,} rows of the person after the erasure {work.request.id} was loaded. Run"
                    f" `data-platform rebuild`, or `data-platform sync --refresh {table}`, and go on with the request."
                )
        for one in work.derived:
            held = known.get((one.schema, one.name))
            if one.key not in work.frozen.values or held is None or held.kind != "table":
                continue  # a view follows what it reads
            if one.match is None or not one.finds(work.frozen.values[one.key]):
                (totals if one.sums else unbuilt[one.lasting]).add(f"{one.schema}.{one.name}")
                continue
            matches = [one.match]
            if rows := count_matches(warehouse, held, matches, work.frozen.values):
                warehouse.remove_rows(
                    one.schema, one.name, conditions(warehouse.dialect, matches, work.frozen.values)
                )
                said[f"{one.schema}.{one.name}"] = {"rows": rows}
    for lasting, key in ((False, UNTIL_BUILT), (True, UNTIL_REFRESHED)):
        if unbuilt[lasting]:
            said[key] = sorted(unbuilt[lasting])
    if totals:
        said[TOTALS] = sorted(totals)
    return said


def _samples(work: Work) -> Said:
    with work.platform.warehouse() as warehouse:
        return {"rows": forget_samples(warehouse)}


def _file(work: Work) -> Said:
    return write_again(work.platform)


def _copies(work: Work) -> Said:
    return to_copies(work.platform, work.tables)


def _scan(work: Work) -> Said:
    """Every object of the landing store and of its copies, and the warehouse's own files, are searched for what was typed and how it
    landed. A sync that read before the request may have landed rows since, and somebody may have written an answer down: they go first."""
    from data_platform.sync.erasing.scan import scan

    for again in (_landing, _strays, _quarantine):
        again(work)
    models_said = {what: some for what, some in _warehouse(work).items() if what in MODELS_NAMED}
    if "file" in work.request.done:  # else the models may be new
        _file(work)
    _copies(work)
    models: dict[tuple[str, str], list[tuple[Place, Place]]] = {}
    for one in work.derived:
        if one.match is not None:
            models.setdefault((one.schema, one.name), []).append(one.match)
    waits = {name for what in (UNTIL_BUILT, UNTIL_REFRESHED) for name in models_said.get(what, ())}
    archives = archives_of(work.platform)
    said = scan(work.platform, archives, work.needles, work.frozen, work.keys, work.subject, models, waits)
    return {**said, **models_said}


def _strays(work: Work) -> Said:
    """Parts that no batch names go at once: syncs that were killed left them. Those that hold the person and were written for the
    batch after the head go too, after a batch took that place, so that no sync that still lives can name them."""
    from data_platform.sync.erasing.scan import holding

    platform, at_once = work.platform, timedelta(0)
    for table in work.tables:
        left = orphans.collect(platform.ledger, table, platform.clock(), at_once, remove=True).unlanded
        if left and holding(platform, left, work.needles, work.frozen, work.keys, work.subject):
            with suppress(BatchConflict):  # somebody else took the place
                reason = f"erasure {work.request.id}: what an interrupted sync left"
                fence(platform, table, reason=reason, authorised_by=work.request.authorised_by)
            orphans.collect(platform.ledger, table, platform.clock(), at_once, remove=True)
    return {}


_STEPS: Mapping[str, Callable[[Work], Said]] = {
    "keys": _keys,
    "landing": _landing,
    "quarantine": _quarantine,
    "warehouse": _warehouse,
    "samples": _samples,
    "file": _file,
    "copies": _copies,
    "scan": _scan,
}
