"""A seeded schedule: what each writer does next, when a sync runs, and what is promised after it.

One thread takes every step, so a seed is one interleaving: writers hold their transactions open
between steps, and steps fall inside a sync too, at the points where it looks at the source or
the ledger.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from data_platform.errors import SourceUnreachable
from data_platform.sources.postgres import session as session_module
from data_platform.sources.postgres.session import SourceSession
from data_platform.sync import TableReport
from data_platform.sync import finish as finish_module
from data_platform.sync import pipeline as pipeline_module
from data_platform_tests.exactness.oracle import Inexact, Oracle, warehouse
from data_platform_tests.exactness.tables import DAYS, KEYS, VARIANTS, Variant, change
from data_platform_tests.sync.conftest import Project

STEPS = 36
WRITERS = 4
LOCK_MS = 20
"""A step that waits for a lock waits for a transaction that this same thread holds open: it gives up."""


@dataclass
class Writer:
    """One session of an application; ``rows`` are those its open transaction has written."""

    connection: psycopg.Connection[Any]
    name: str
    open: bool = False
    savepoints: int = 0
    rows: set[tuple[str, int]] = field(default_factory=set)

    def run(self, statement: str) -> None:
        self.connection.execute(statement.encode())

    def end(self, statement: str) -> None:
        self.run(statement)
        self.open, self.savepoints, self.rows = False, 0, set()


class Writers:
    """Several sessions that write to the same few rows. ``log`` is what they did. With ``shown``, each
    transaction is in the log before its first savepoint: without that a standby's snapshots overflow,
    and PostgreSQL exports them without what is in progress (see ``test_standby.py``)."""

    shown = False

    def __init__(self, url: str, choose: random.Random, tables: Sequence[Variant], name: str) -> None:
        self.choose, self.tables, self.name = choose, tables, name
        self.log: list[str] = []
        self._prepared: dict[str, set[tuple[str, int]]] = {}
        self._number = 0
        # on a standby a commit must have been written before it can be waited for
        options = f"-c lock_timeout={LOCK_MS}ms -c synchronous_commit=on"
        self._all = [
            Writer(psycopg.connect(url, autocommit=True, options=options), f"w{n}") for n in range(WRITERS)
        ]

    def step(self) -> None:
        """One writer does one thing: a statement, or something about its transaction."""
        writer, dice = self.choose.choice(self._all), self.choose.random()
        try:
            if self._prepared and dice < 0.1:
                self._finish_prepared()
            elif not writer.open:
                self._begin(writer) if dice < 0.75 else self._reload(writer)
            elif dice < 0.3:
                self._end(writer)
            elif dice < 0.42:
                self._savepoint(writer)
            else:
                self._write(writer)
        except psycopg.Error as error:
            # a lock, or a key that is taken: an application rolls back
            self._say(writer, f"{type(error).__name__}, rollback")
            writer.end("rollback")

    def settle(self) -> None:
        """End every transaction, and let go of what is prepared."""
        for writer in self._all:
            if writer.open:
                self._say(writer, "commit")
                writer.end("commit")
        while self._prepared:
            self._finish_prepared()

    def close(self) -> None:
        for writer in self._all:
            if writer.connection.closed:
                continue
            if writer.open:
                writer.end("rollback")
        for gid in self._prepared:
            self._all[0].run(f"rollback prepared '{gid}'")
        for writer in self._all:
            writer.connection.close()

    def _begin(self, writer: Writer) -> None:
        level = self.choose.choice(("read committed", "read committed", "repeatable read"))
        writer.run(f"begin isolation level {level}")
        writer.open = True
        if self.shown:
            writer.run("select pg_logical_emit_message(true, 'exactness', '')")
        self._say(writer, "begin")
        if self.choose.random() < 0.5:
            writer.run("select now(), pg_current_xact_id()")  # it has its time and its number, and waits
        else:
            self._write(writer)

    def _end(self, writer: Writer) -> None:
        dice = self.choose.random()
        if dice < 0.15 and len(self._prepared) < 2:
            self._number += 1
            gid = f"{self.name}-{self._number}"
            rows = writer.rows
            writer.end(f"prepare transaction '{gid}'")
            self._prepared[gid] = rows
            self._say(writer, f"prepare {gid}")
        else:
            ending = "rollback" if dice < 0.3 else "commit"
            writer.end(ending)
            self._say(writer, ending)

    def _finish_prepared(self) -> None:
        gid = self.choose.choice(sorted(self._prepared))
        ending = "rollback" if self.choose.random() < 0.25 else "commit"
        # from whichever session is free to
        writer = next((w for w in self._all if not w.open), None)
        if writer is None:
            return
        writer.run(f"{ending} prepared '{gid}'")
        del self._prepared[gid]
        self._say(writer, f"{ending} prepared {gid}")

    def _savepoint(self, writer: Writer) -> None:
        if writer.savepoints and self.choose.random() < 0.5:
            what = self.choose.choice(("rollback to savepoint", "release savepoint"))
            writer.run(f"{what} s{writer.savepoints}")
            writer.savepoints -= what.startswith("release")
        else:
            writer.savepoints += 1
            what = "savepoint"
            writer.run(f"savepoint s{writer.savepoints}")
            self._write(writer)
        self._say(writer, what)

    def _write(self, writer: Writer) -> None:
        variant = self.choose.choice(self.tables)
        taken = {row for w in self._all if w is not writer for row in w.rows}.union(*self._prepared.values())
        free = [key for key in range(1, KEYS + 1) if (variant.name, key) not in taken]
        if len(free) < 2:
            return
        key, other = self.choose.sample(free, 2)
        what, statement = change(self.choose, variant, key, other)
        writer.rows |= {(variant.name, key), (variant.name, other)}
        writer.run(statement)
        self._say(writer, f"{what} {variant.name} {key} {other}")

    def _reload(self, writer: Writer) -> None:
        """TRUNCATE and fill again, or a plain bulk insert; a table somebody writes to is left alone."""
        variant = self.choose.choice(self.tables)
        busy = {name for w in self._all for name, _ in w.rows}
        if variant.name in busy.union(*({n for n, _ in rows} for rows in self._prepared.values())):
            return
        first = self.choose.randint(1, KEYS)
        truncate = f"truncate {variant.name};" if self.choose.random() < 0.3 else ""
        writer.open = True
        writer.run(f"begin; {truncate} {variant.fill(first, min(first + 8, KEYS))} commit")
        writer.open = False
        self._say(writer, f"{truncate or 'fill'} {variant.name} from {first}")

    def _say(self, writer: Writer, what: str) -> None:
        self.log.append(f"{writer.name} {what}")


class Schedule:
    """One seed's run over ``project``. ``caught_up`` waits until what is read is where the writers are;
    ``pause`` and ``resume`` hold a standby back and let it go on."""

    def __init__(
        self,
        project: Project,
        writers_url: str,
        seed: int,
        *,
        caught_up: Callable[[], None] = lambda: None,
        hold: Callable[[bool], None] | None = None,
        steps: int = STEPS,
    ) -> None:
        self.steps = steps
        self.project, self.choose = project, random.Random(seed)
        self.tables = self.choose.sample(VARIANTS, self.choose.choice((1, 2, 2, 3)))
        self.timezone = self.choose.choice(("UTC", "Europe/Berlin", "America/Los_Angeles"))
        self.oracle = Oracle([variant.kind(self.timezone) for variant in self.tables])
        self.syncs = 0
        self._caught_up, self._hold, self._held = caught_up, hold, False
        self._frozen = 0
        self._points: dict[str, Callable[[], None]] = {}
        project.catalog({v.name: v.block() for v in self.tables}, timezone=self.timezone)
        with psycopg.connect(writers_url, autocommit=True, options="-c synchronous_commit=on") as owner:
            for variant in self.tables:
                owner.execute(variant.create().encode())
        self.writers = Writers(writers_url, self.choose, self.tables, f"seed-{seed}")
        self.writers.shown = hold is not None

    @property
    def log(self) -> list[str]:
        return self.writers.log

    def run(self) -> None:
        try:
            with self.oracle.watching(), self._watched():
                self._changes()
                for _ in range(self.steps):
                    if self.choose.random() < 0.68:
                        self.writers.step()
                    else:
                        self._sync()
                if self._held:
                    self._let_go()
                self._verify()  # beside whatever is still open
                self.writers.settle()
                self._changes()
                self._verify()
        finally:
            if self._hold and (self._held or self._frozen):
                self._hold(False)
            self.writers.close()

    # ---- what a sync does, and what must be true after it

    def _sync(self) -> None:
        dice = self.choose.random()
        if self._hold and dice < 0.15:
            self._let_go() if self._held else self._hold_back()
        elif dice < 0.5:
            self._changes(inside=self._at_points())
        elif dice < 0.68:
            self._slices(inside=self._at_points())
        elif dice < 0.74:
            self._refresh()
        elif dice < 0.85:
            self._verify()
        else:
            self._twins()

    def _hold_back(self) -> None:
        assert self._hold
        self._caught_up()
        self._hold(True)
        self._held = True
        self.log.append("standby held back")

    def _let_go(self) -> None:
        assert self._hold
        self._hold(False)
        self._held = False
        self.log.append("standby goes on")

    def _at_points(self) -> dict[str, Callable[[], None]]:
        """Writers that go on in the middle of a sync."""
        return {
            point: self._some_steps
            for point in ("observed", "begun", "committing", "loading")
            if self.choose.random() < 0.4
        }

    def _some_steps(self) -> None:
        for _ in range(self.choose.randint(1, 4)):
            self.writers.step()

    def _changes(self, inside: dict[str, Callable[[], None]] | None = None) -> None:
        names = self._some_tables()
        self._run(f"changes of {', '.join(names)}", inside, lambda: self.project.sync(names))
        self._grade_changes(names)

    def _slices(self, inside: dict[str, Callable[[], None]] | None = None) -> None:
        names = self._some_tables()
        slices = self.choose.sample([*DAYS, "2025-12-31", "null"], self.choose.randint(1, 4))
        first = len(self.oracle.looks)
        self._run(
            f"slices {', '.join(slices)} of {', '.join(names)}",
            inside,
            lambda: self.project.slices(names, *slices),
        )
        with warehouse(self.project.platform()) as query:
            for name in names:
                look = self.oracle.last(name)
                if not self.oracle.kinds[name].partition:
                    self.oracle.grade_exact(query, name, look)  # it has no slices: read whole
                elif sum(name in x.rows for x in self.oracle.looks[first:]) > 1:
                    self.oracle.grade_changes(query, name, look)  # rows had left: changes were read too
                else:
                    self.oracle.grade_slices(query, name, look, slices)

    def _refresh(self) -> None:
        name = self.choose.choice(self.tables).name
        self._run(f"refresh of {name}", None, lambda: self.project.sync([name], refresh=[name]))
        with warehouse(self.project.platform()) as query:
            self.oracle.grade_exact(query, name, self.oracle.last(name))

    def _verify(self) -> None:
        names = [variant.name for variant in self.tables]
        reports = self._run("verify", None, lambda: self.project.sync(names, verify=True))
        for name in names:
            completeness = reports[name].completeness
            if completeness is None or not completeness.passed:
                raise Inexact(f"{name}: a verified sync ends with a difference: {completeness}")
        with warehouse(self.project.platform()) as query:
            for name in names:
                self.oracle.grade_exact(query, name, self.oracle.last(name))

    def _twins(self) -> None:
        """Two syncs at once: the second one runs whole at some point of the first."""
        names = self._some_tables()
        point = self.choose.choice(("begun", "committing", "loading"))

        def second() -> None:
            self._some_steps()
            self._run("changes, meanwhile", None, lambda: self.project.sync(names))

        self._run(f"changes of {', '.join(names)}", {point: second}, lambda: self.project.sync(names))
        self._grade_changes(names)

    def _grade_changes(self, names: Sequence[str]) -> None:
        whole = {variant.name for variant in self.tables if variant.strategy == "replace"}
        with warehouse(self.project.platform()) as query:
            for name in names:
                grade = self.oracle.grade_exact if name in whole else self.oracle.grade_changes
                grade(query, name, self.oracle.last(name))

    def _some_tables(self) -> list[str]:
        chosen = self.choose.sample(self.tables, self.choose.randint(1, len(self.tables)))
        return [variant.name for variant in chosen]

    def _run(
        self,
        what: str,
        inside: dict[str, Callable[[], None]] | None,
        sync: Callable[[], dict[str, TableReport]],
    ) -> dict[str, TableReport]:
        self.syncs += 1
        at = f", writers at {', '.join(inside)}" if inside else ""
        self.log.append(f"== {what}{at}")
        if not self._held and not self._frozen:
            self._caught_up()
        self._points = dict(inside or {})
        reports = sync()
        self._points = {}
        if self._hold and any(isinstance(r.error, SourceUnreachable) for r in reports.values()):
            # a TRUNCATE while this sync, or one within it, read: the standby ends who is in its replay's way
            self.log.append("   ended by the standby")
            return self._run(f"{what}, again", None, sync)
        for name, report in reports.items():
            if report.error is not None:
                raise AssertionError(f"{name}: {report.error}") from report.error
            self.log.append(f"   {name}: {report.operation}, {report.rows} rows {'; '.join(report.notes)}")
        return reports

    def _freeze(self, step: int) -> None:
        """A standby's reader has a later snapshot than the one the oracle knows: between them, nothing moves."""
        self._frozen += step
        if self._hold and not self._held and self._frozen == max(step, 0):
            self._hold(step > 0)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Calls what is to happen at a point of the sync, once."""

        def arrive(point: str) -> None:
            step = self._points.pop(point, None)
            if step is not None:
                self.log.append(f"   -- {point}")
                step()

        observe, commit, load = session_module.observe, finish_module.commit, finish_module.load_pending

        def observed(*arguments: Any) -> Any:
            seen = observe(*arguments)
            arrive("observed")
            return seen

        def committing(*arguments: Any, **options: Any) -> Any:
            arrive("committing")
            return commit(*arguments, **options)

        def loading(*arguments: Any, **options: Any) -> Any:
            arrive("loading")
            return load(*arguments, **options)

        begin, start = SourceSession.begin, pipeline_module.prepare

        def frozen(session: SourceSession, *arguments: Any, **options: Any) -> Any:
            self._freeze(1)
            try:
                return begin(session, *arguments, **options)
            except BaseException:
                self._freeze(-1)
                raise

        def started(works: Any, reading: Any, *rest: Any, **options: Any) -> None:
            try:
                start(works, reading, *rest, **options)
                if reading.session.reader is not None:
                    reading.session.reader("select 1")  # once it answers, the reader has its snapshot
            finally:
                self._freeze(-1)

        self.oracle.begun = lambda: arrive("begun")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session_module, "observe", observed)
            patch.setattr(SourceSession, "begin", frozen)
            patch.setattr(pipeline_module, "prepare", started)
            patch.setattr(finish_module, "commit", committing)
            patch.setattr(finish_module, "load_pending", loading)
            yield
