"""Exactly once, over any engine behind a connection: calls of a load fail, processes are killed, two loads meet.

An engine's tests make a class of their own from ``ExactlyOnce`` and give it the fixture ``trial``. An engine that looks at its
calls has a ``Watch``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import pytest

from data_platform.landing.manifest import Manifest
from data_platform.tables import Column, TableId
from data_platform.warehouses import LoadResult, Warehouse
from data_platform.warehouses.dialect import relation
from data_platform.warehouses.remote import load as load_module
from data_platform.warehouses.remote.engine import Transient
from data_platform_tests.contracts.batches import COLUMNS, GONE, Chain

When = Literal["before", "after"]
Made = tuple[Manifest, list[Path]]
OTHER = (*COLUMNS[:2], Column("total", "DOUBLE", ""), COLUMNS[3])
WIDER = tuple(replace(c, type="DECIMAL(38,0)") if c.name == "_source_xmin" else c for c in COLUMNS)
LOADS: dict[
    str, tuple[Literal["merge", "slice", "append", "replace"], list[tuple[Any, ...]], dict[str, Any]]
] = {
    "merge": (
        "merge",
        [(1, "2026-01-05", "b", 2, None), (2, None, "", 2, True), (9, None, "n", 2, None)],
        {"columns": GONE, "deleted": "gone"},
    ),
    "slice": ("slice", [(1, "2026-01-02", "b", 2)], {"slices": ["2026-01-02"], "columns": WIDER}),
    "append": ("append", [(1, "2026-01-02", "b", 2), (9, "2026-01-02", "b", 2)], {}),
    "replace": ("replace", [(1, "2026-01-02", "b", 2), (8, None, None, 2)], {}),
    "replace anew": ("replace", [(1, "2026-01-02", "0.5", 2), (8, None, None, 2)], {"columns": OTHER}),
}
"""Each kind of batch that comes second: its load, its rows and what else its manifest says."""


_PAUSE = load_module.Loader._pause


class Watch(Protocol):
    """``seen`` is what the engine was asked, in order. ``fault`` is called with each of it, ``before`` it is done and ``after``, and
    may raise."""

    seen: list[str]
    fault: Callable[[str, str], None] | None


@dataclass(frozen=True)
class Fault:
    when: When
    error: Callable[[], BaseException]


@dataclass(frozen=True)
class Trial:
    """``opened`` opens the test's warehouse, any number of times. ``faults`` pass. ``killed`` is raised by every call of a process
    that is gone, and ``gone`` is what its load ends with. ``begins`` and ``commits`` are the calls that begin and end a transaction."""

    opened: Callable[..., Any]
    watch: Watch
    folder: Path
    faults: Mapping[str, Fault]
    killed: Callable[[], BaseException]
    begins: str
    commits: str
    gone: type[BaseException] = Transient

    def chain(self, number: int) -> Chain:
        """Of a table of its own."""
        return Chain(self.folder / f"t{number}", table=TableId("shop", f"t{number}"))

    def clean(self, warehouse: Warehouse, kind: str) -> tuple[LoadResult, tuple[Any, ...], list[str]]:
        """A load that nothing disturbs: its result, what it leaves, the calls that it made."""
        first, (made, parts) = batches(self.chain(1000 + list(LOADS).index(kind)), kind)
        warehouse.load(*first)
        before = len(self.watch.seen)
        result = warehouse.load(made, parts)
        calls = self.watch.seen[before:]
        return result, held(warehouse, made.table), calls

    @contextmanager
    def breaking(self, at: int, fault: Fault, *, for_good: bool = False) -> Iterator[list[str]]:
        """The call of number ``at`` fails; ``for_good``, and whatever comes after it. Gives the calls that failed."""
        count, broken = [0], list[str]()

        def meet(call: str, now: str) -> None:
            count[0] += now == "before"
            if (count[0] == at + 1 and now == fault.when and not broken) or (for_good and broken):
                broken.append(call)
                raise fault.error()

        self.watch.fault = meet
        try:
            yield broken
        finally:
            self.watch.fault = None

    @contextmanager
    def meeting(self) -> Iterator[None]:
        """The first two transactions begin at the same moment."""
        both, lock, came = threading.Barrier(2, timeout=60), threading.Lock(), [0]

        def meet(call: str, now: str) -> None:
            if call == self.begins and now == "before":
                with lock:
                    came[0] += 1
                    early = came[0] <= 2
                if early:
                    both.wait()

        self.watch.fault = meet
        try:
            yield
        finally:
            self.watch.fault = None


def batches(chain: Chain, kind: str) -> tuple[Made, Made]:
    """Two batches, of which the last is of that kind."""
    first = chain.next("replace", [(n, f"2026-01-0{1 + n % 3}", "a", 1) for n in range(6)])
    load, rows, more = LOADS[kind]
    return first, chain.next(load, rows, **more)


def held(warehouse: Warehouse, table: TableId) -> tuple[Any, ...]:
    """Rows, records, touched slices: everything that a load leaves."""
    dialect = warehouse.dialect
    (described,) = warehouse.describe("raw_shop", table.table)
    columns = sorted({name for name, _ in described.columns} - {"_batch_id"})

    def found(schema: str, name: str, shown: Iterable[str], rest: str) -> list[tuple[Any, ...]]:
        names = ", ".join(map(dialect.quote, shown))
        return warehouse.query(f"SELECT {names} FROM {relation(dialect, schema, name)} {rest}").rows

    of_table = f"WHERE {dialect.quote('table')} = '{table.table}'"
    loaded = ("sequence", "rows_inserted", "rows_deleted")
    touched = ("sequence", "slice", "came", "went", "vacated")
    return (
        columns,
        found("raw_shop", table.table, columns, "ORDER BY id"),
        found("_data_platform", "loaded_batches", loaded, f"{of_table} ORDER BY 1"),
        found("_data_platform", "touched_slices", touched, f"{of_table} ORDER BY 1, 2"),
    )


def at_once(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the acts return, done in threads at the same time; the error of one that fails."""
    results: list[Any] = [None] * len(acts)
    failed: list[BaseException] = []

    def act(number: int) -> None:
        try:
            results[number] = acts[number]()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=act, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error
    return results


class ExactlyOnce:
    """By default the loads of ``sample`` meet a fault at every call of number ``step``, and are killed at some calls. With ``--warehouse
    KIND`` every kind of load meets every fault at every call."""

    kind: ClassVar[str]
    step: ClassVar[int] = 2
    sample: ClassVar[Sequence[str]] = ("merge",)
    """The loads that meet faults by default."""
    meet: ClassVar[Sequence[str]] = tuple(LOADS)
    """The loads of which two meet by default."""

    def possible(self, trial: Trial, calls: list[str], at: int, fault: Fault) -> bool:
        """Whether the engine could fail so at that call."""
        return True

    def kills(self, trial: Trial, calls: list[str], everything: bool) -> Iterable[tuple[int, When]]:
        """At which calls a process is killed, before it is done or after."""
        for at in range(1, len(calls), 1 if everything else 4):
            yield at, "after" if calls[at] == trial.commits or at % 8 < 4 else "before"

    def _everything(self, request: pytest.FixtureRequest, load: str, sample: Sequence[str]) -> bool:
        everything = request.config.getoption("--warehouse") == self.kind
        if not everything and load not in sample:
            pytest.skip(f"on demand: --warehouse {self.kind}")
        return everything

    @pytest.mark.parametrize("load", LOADS)
    def test_a_load_goes_on_after_any_call_that_fails(
        self, trial: Trial, load: str, request: pytest.FixtureRequest
    ) -> None:
        """Whatever fails, once: the load itself ends as if nothing had."""
        everything = self._everything(request, load, self.sample)
        names, number = list(trial.faults), 0
        with trial.opened() as warehouse:
            expected, state, calls = trial.clean(warehouse, load)
            for turn, at in enumerate(range(0, len(calls), 1 if everything else self.step)):
                for name in names if everything else [names[turn % len(names)]]:
                    if not self.possible(trial, calls, at, trial.faults[name]):
                        continue
                    number += 1
                    first, (made, parts) = batches(trial.chain(number), load)
                    warehouse.load(*first)
                    with trial.breaking(at, trial.faults[name]) as broken:
                        result = warehouse.load(made, parts)
                    assert broken, f"call {at} was not met"
                    assert (result, held(warehouse, made.table)) == (expected, state), (name, broken[0])
        assert number

    @pytest.mark.parametrize("load", LOADS)
    def test_a_load_that_was_killed_at_any_call_is_made_again(
        self, trial: Trial, load: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before the call or after it: another process finds what was done, or does it."""
        everything = self._everything(request, load, self.sample)
        with trial.opened() as warehouse:
            expected, state, calls = trial.clean(warehouse, load)
        for number, (at, when) in enumerate(self.kills(trial, calls, everything)):
            first, (made, parts) = batches(trial.chain(number), load)
            with trial.opened() as warehouse:
                warehouse.load(*first)
                with (
                    monkeypatch.context() as patch,
                    trial.breaking(at, Fault(when, trial.killed), for_good=True),
                    pytest.raises(trial.gone),
                ):
                    patch.setattr(load_module, "ATTEMPTS", 1)  # who is dead tries nothing again
                    warehouse.load(made, parts)
            with trial.opened() as warehouse:
                result = warehouse.load(made, parts)
                if result != expected:
                    assert result == LoadResult(made.sequence, 0, 0, {}, 0), calls[at]
                    assert at >= calls.index(trial.commits), "loaded before it was committed"
                assert held(warehouse, made.table) == state, calls[at]

    @pytest.mark.parametrize("load", LOADS)
    def test_two_loads_of_one_batch_at_once_load_it_once(
        self, trial: Trial, load: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both have asked the record and staged the batch before either begins its transaction. They wait as in earnest."""
        monkeypatch.setattr(load_module.Loader, "_pause", _PAUSE)
        self._everything(request, load, self.meet)
        with trial.opened() as warehouse:
            expected, state, _ = trial.clean(warehouse, load)
            first, (made, parts) = batches(trial.chain(1), load)
            warehouse.load(*first)

        def one() -> LoadResult:
            with trial.opened() as warehouse:
                return warehouse.load(made, parts)

        with trial.meeting():
            assert expected in at_once([one, one])
        with trial.opened() as warehouse:
            assert held(warehouse, made.table) == state
