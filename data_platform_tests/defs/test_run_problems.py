"""Which failed runs are still a problem."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from data_platform.defs.run_problems import RunFact, standing_failures

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def run(number: int, *targets: str, failed: bool = True, line: str = "sync") -> RunFact:
    begun = START + timedelta(minutes=10 * number)
    return RunFact(
        f"run-{number}", "sync", line, frozenset(targets), failed, begun, begun + timedelta(minutes=1)
    )


def test_a_failure_stands_until_the_same_run_succeeds() -> None:
    assert standing_failures([run(1, "raw/a")], {}) == [run(1, "raw/a")]
    assert standing_failures([run(2, "raw/a", failed=False), run(1, "raw/a")], {}) == []
    assert standing_failures([run(3, "raw/a"), run(2, "raw/a", failed=False), run(1, "raw/a")], {}) == [
        run(3, "raw/a")
    ]


def test_a_failure_is_mended_when_all_it_was_to_make_was_made_since() -> None:
    made = {"raw/a": START + timedelta(minutes=10), "raw/b": START}
    assert standing_failures([run(1, "raw/a", "raw/b")], made) == [run(1, "raw/a", "raw/b")]
    assert standing_failures([run(1, "raw/a")], made) == []


def test_tries_of_the_same_thing_are_one_failure_and_other_things_stand_apart() -> None:
    runs = [run(3, "raw/a"), run(2, "raw/b", line="other"), run(1, "raw/a")]
    assert [r.run_id for r in standing_failures(runs, {})] == ["run-3", "run-2"]


def test_a_run_without_assets_is_mended_by_its_own_success_only() -> None:
    assert standing_failures([run(1)], {"raw/a": START + timedelta(days=1)}) == [run(1)]
