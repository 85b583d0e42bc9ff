"""The simulated company in small: the same answers each time, nothing lost, no table in two runs at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale import model
from benchmarks.scale.__main__ import HEAD, line
from benchmarks.scale.clock import Clock
from benchmarks.scale.simulate import Plan, Simulation
from data_platform.defs import run_history

PLAN = Plan(tables=60, sources=6, runs=2, minutes=4, changing=0.5)


class Watched(Simulation):
    """Fails where two unfinished runs hold one table: the look did not see that it was busy."""

    def _looked(self, source: str, began: float, tables: Any, at: float) -> None:
        super()._looked(source, began, tables, at)
        held = [table for run in self.records.unfinished.values() for table in run.tables]
        assert len(held) == len(set(held))


@pytest.mark.parametrize("writers", ["one", "many"])
def test_every_change_lands_and_no_table_is_asked_for_twice(writers: Any) -> None:
    simulation = Watched(replace(PLAN, writers=writers))
    done = simulation.outcome()
    assert done.company.waited and min(done.company.waited) > 0
    # what came before the last rounds has landed
    assert all(at > 60 * PLAN.minutes - 120 for at in done.company.changed_at.values())
    for table in (table for some in done.company.sources.values() for table in some):
        chain = done.company.ledger.since(table, 0)
        assert [batch.sequence for batch in chain] == list(range(1, len(chain) + 1))


def test_a_hundred_and_more_runs_wait_and_each_table_in_one_of_them() -> None:
    """With a slot alone the queue grows until every table waits in it, and no further."""
    sources = run_history.PAGE + 20
    simulation = Watched(
        replace(PLAN, tables=sources, sources=sources, runs=1, changing=6.0, sensors=sources, minutes=2)
    )
    assert simulation.outcome().left_waiting > run_history.PAGE
    assert len(simulation.records.unfinished) <= sources


def test_the_same_seed_tells_the_same() -> None:
    one, other = (Simulation(PLAN).outcome() for _ in range(2))
    assert line(one, 0) == line(other, 0)
    assert len(line(one, 0).split(" | ")) == len(HEAD.split(" | "))


def test_what_a_sensor_remembers_is_not_asked_again() -> None:
    quiet = replace(PLAN, changing=0.0)
    asked = Simulation(replace(quiet, remembers=False)).outcome().company.store.requests
    spared = Simulation(quiet).outcome().company.store.requests
    assert asked["read"] == asked["list"] >= 60 * 8, "each table at each look"
    assert spared["read"] == spared["list"] == 60


def test_a_store_that_takes_many_requests_keeps_a_look_short() -> None:
    quiet = replace(PLAN, changing=0.0, remembers=False)
    looks = {
        width: Simulation(replace(quiet, requests_at_once=width)).outcome().stages["sensors"].took[0]
        for width in (1, 10)
    }
    assert looks[10] < looks[1] / 4


def test_lanes_begin_where_one_is_free() -> None:
    clock = Clock()
    assert clock.together([lambda s=s: clock.spend(s) for s in (3.0, 1.0, 1.0)], 2) == [None] * 3  # type: ignore[misc]
    assert clock.now == 3.0


def test_the_table_on_paper_is_the_one_that_the_model_prints() -> None:
    page = Path(__file__).parents[1] / "docs" / "scale.md"
    assert model.table() in page.read_text()
