"""``sources.reading.Reading`` over files: those that are new or changed, in steps."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

from data_platform.errors import SourceError
from data_platform.sources.files import record_step
from data_platform.sources.files.columns import described, landed_words
from data_platform.sources.files.config import settings_of
from data_platform.sources.files.connection import FilesConnection
from data_platform.sources.files.engine import engine_in
from data_platform.sources.files.known import (
    Identity,
    Listed,
    Moves,
    content_of,
    moves,
    packed,
    stamp_of,
)
from data_platform.sources.files.opened import Opened, open_file
from data_platform.sources.files.places import Listings, Place, place_of
from data_platform.sources.files.record_step import RecordStep
from data_platform.sources.files.step import FileStep, Step
from data_platform.sources.files.table_files import known_before, known_of, left, listed, refuse_moving
from data_platform.sources.files.unpack import digest
from data_platform.sources.reading import (
    Ask,
    Described,
    Drift,
    LandedColumns,
    Opening,
    Parts,
    Plan,
    PlannedRead,
    Prior,
    Progress,
    SourceTable,
)
from data_platform.sources.uncounted import Uncounted
from data_platform.tables import Position, Snapshot, TableId
from data_platform.words import plural

STEP_BYTES, STEP_FILES = 1 << 30, 1_000


@contextmanager
def open_reading(opening: Opening) -> Iterator[FilesReading]:
    assert isinstance(opening.connection, FilesConnection)
    with place_of(opening.connection, opening.environ, opening.source) as place:
        yield FilesReading(place)


@dataclass(frozen=True)
class ToDo:
    """What a plan reads: files, in order, and what is known of the others."""

    moves: Moves
    known: Mapping[str, Identity]
    at_once: bool


@dataclass
class _Read:
    planned: PlannedRead
    known: dict[str, Identity]
    pending: list[Listed]
    gone: tuple[str, ...]
    steps: int = 0
    now: FileStep | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)
    unchanged: int = 0
    seconds: float = 0.0


class FilesReading(Uncounted):
    """``Reading``, as of the listing that was made of each table when it was planned."""

    def __init__(self, place: Place) -> None:
        self._place, self._listings = place, Listings(place)
        self._reads: dict[TableId, _Read] = {}
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        self.snapshot = Snapshot(place.url, now, now)

    def describe(self, table: SourceTable, prior: Prior) -> Described:
        return described_by(table, landed_words(prior.columns), self._place.url)

    def drift(self, table: SourceTable, prior: Prior, now: Described) -> Drift:
        if prior.identity is None or prior.identity == now.identity:
            return Drift()
        return Drift(("another pattern or dialect of files has the table's name now",))

    def filled(self, table: SourceTable, prior: Prior, now: Described) -> Collection[str]:
        return ()  # a column that is new was in no file before

    def plan(self, table: SourceTable, prior: Prior, now: Described, drift: Drift, ask: Ask) -> Plan:
        whole = ask.what == "whole" or bool(drift.replaced)
        if not whole and ask.what == "slices":
            return self._plan_days(table, prior, now, ask)
        before = known_before(table, prior) if whole else known_of(table, prior)
        known: Mapping[str, Identity] = {} if whole else before
        found = moves(listed(self._listings, self._place.url, table, before), known)
        if whole:
            refuse_moving(table, found, before)
        return Plan(
            table=table,
            prior=prior,
            now=now,
            operation="refresh" if whole else "changes",
            load="replace" if whole else "merge",
            reasons=(*ask.reasons, *left(found)),
            identity=now.identity,
            private=ToDo(found, known, at_once=whole and prior.position is not None),
        )

    def _plan_days(self, table: SourceTable, prior: Prior, now: Described, ask: Ask) -> Plan:
        """All files of some days. They replace the days, unless files that are gone keep their rows there: then each
        replaces its own."""
        pattern, days = settings_of(table).pattern, frozenset(ask.slices)
        before = known_before(table, prior)

        def asked(path: str) -> bool:
            return str(pattern.day(path)) in days

        there = listed(self._listings, self._place.url, table, before)
        found = moves({path: one for path, one in there.items() if asked(path)}, {})
        refuse_moving(table, found, before)
        kept = [path for path in before.keys() - there.keys() if asked(path)]
        keeps = bool(kept) and settings_of(table).on_delete == "keep"
        told = (f"{plural(len(kept), 'file')} gone, whose rows stay",) if keeps else ()
        return Plan(
            table=table,
            prior=prior,
            now=now,
            operation="slice",
            load="merge" if keeps else "slice",
            reasons=(*ask.reasons, *left(found), *told),
            identity=now.identity,
            slices=ask.slices,
            private=ToDo(found, {}, at_once=True),
        )

    def start(self, reads: Sequence[PlannedRead], progress: Progress | None) -> None:
        for read in reads:
            read.folder.mkdir()
            todo: ToDo = read.plan.private
            pending = sorted([*todo.moves.fresh, *todo.moves.touched])
            words = landed_words(read.plan.prior.columns)
            self._reads[read.plan.table.id] = _Read(
                read, dict(todo.known), pending, todo.moves.gone, words=words
            )

    def ready(self, plan: Plan, seconds: float) -> bool:
        return True

    def found(self, plan: Plan) -> Described | None:
        read, began = self._reads[plan.table.id], time.monotonic()
        read.now = self._step(plan, read, self._next(plan, read))
        read.seconds = time.monotonic() - began
        return read.now.described()

    def _step(self, plan: Plan, read: _Read, files: Sequence[Listed]) -> FileStep:
        table, folder = plan.table, read.planned.folder / "files"
        folder.mkdir(exist_ok=True)
        if settings_of(table).of_records:
            afresh = plan.load == "replace" and read.steps == 0
            step = RecordStep(table, self._place.url, folder, read.words, afresh=afresh)
            for file, _, path in self._changed(table, read, files, folder):
                with naming(table, file):
                    step.add(file, path)
                self._let_go(path)
            read.words = step.words or read.words
            return step
        opened: list[Opened] = []
        with engine_in(folder) as engine:
            for file, identity, path in self._changed(table, read, files, folder):
                with naming(table, file):
                    opened.append(open_file(engine, file, identity, path, settings_of(table), folder))
        return Step(table, self._place.url, opened, landed_words(plan.prior.columns))

    def _next(self, plan: Plan, read: _Read) -> list[Listed]:
        """The files of the next step, taken from those that are pending."""
        todo: ToDo = plan.private
        taken, size = 0, 0
        for one in read.pending:
            size += one.size
            if taken and not todo.at_once and (taken >= STEP_FILES or size > STEP_BYTES):
                break
            taken += 1
        files, read.pending = read.pending[:taken], read.pending[taken:]
        return files

    def _changed(
        self, table: SourceTable, read: _Read, files: Sequence[Listed], folder: Path
    ) -> Iterator[tuple[Listed, Identity, Path]]:
        """Those of ``files`` that have other bytes than those that were read, and where the bytes are."""
        read.identities, read.unchanged = {}, 0
        for one in files:
            with naming(table, one):
                path = self._place.fetch(one, folder)
                identity = Identity(stamp_of(one), content_of(digest(path)))
            read.identities[one.path] = identity
            before = read.known.get(one.path)
            if before is not None and before.content == identity.content:
                read.unchanged += 1
                self._let_go(path)
            else:
                yield one, identity, path

    def _let_go(self, path: Path) -> None:
        """What was fetched is not kept longer than it is needed."""
        if not self._place.local:
            path.unlink()

    def finish(self, plan: Plan, landed: LandedColumns) -> Parts:
        table, read, began = plan.table, self._reads[plan.table.id], time.monotonic()
        if read.now is None:
            self.found(plan)
        step = read.now
        assert step is not None
        marks = plan.load == "merge" or read.steps > 0
        gone = read.gone if settings_of(table).on_delete == "delete" and not read.steps else ()
        written = step.write(read.planned.folder, str(read.steps), plan.now, landed, gone=gone, marks=marks)
        for one in step.listed:
            if not self._place.same(one):
                raise SourceError(
                    f"{table.id}: {one.path} changed while it was read. Nothing of this step landed. Sync again."
                )
        if not self._place.local:
            rmtree(read.planned.folder / "files" / "fetched", ignore_errors=True)
        read.known |= read.identities
        for path in read.gone:
            read.known.pop(path, None)
        read.now, read.steps = None, read.steps + 1
        notes = (
            (f"{plural(read.unchanged, 'file')} written again with the same bytes",) if read.unchanged else ()
        )
        return Parts(
            written.files,
            read.seconds + time.monotonic() - began,
            notes,
            more=bool(read.pending),
            rejected=tuple(written.rejected),
        )

    def position(self, plan: Plan, greatest_cursor: str | None) -> Position | None:
        if plan.operation == "slice":
            return plan.prior.position
        known = self._reads[plan.table.id].known
        newest = max(known, default="")
        return Position(
            self._place.url,
            packed(known),
            f"{plural(len(known), 'file')}, the last {newest}" if known else "no file",
        )

    def must_advance(self, before: Position | None, after: Position | None) -> bool:
        """Stamps that are others are told, for each would be asked for its bytes again; a file that is gone too."""
        if before is None or after is None:
            return before is not after
        return before.value != after.value

    def moved_since(self, plan: Plan, position: Position) -> bool:
        known = known_of(plan.table, Prior(position))
        return bool(moves(self._place.list(settings_of(plan.table).pattern), known))

    def read_under(self) -> Snapshot:
        return self.snapshot

    def acknowledge(self, plan: Plan, position: Position) -> None:
        """Files stay where they are."""

    def interrupt(self) -> None:
        """Nothing is waited for."""


@contextmanager
def naming(table: SourceTable, listed: Listed) -> Iterator[None]:
    """What goes wrong with a file names its table."""
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{table.id}: {listed.path} cannot be read ({error.strerror}). Sync again once it can be."
        ) from None
    except SourceError as error:
        raise type(error)(f"{table.id}: {error}") from None


def described_by(table: SourceTable, words: Mapping[str, str], url: str) -> Described:
    """The table with the columns that landed as ``words``."""
    settings = settings_of(table)
    if settings.of_records:
        known = record_step.words_now(table, words, {}, afresh=False) if words else {}
        return record_step.described(table, url, known, {})
    return described(table, settings, words, url)
