"""The status of each day of a check, in Dagster's own records, in both storages."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionResolvedStatus as Status

from data_platform.defs.check_results import CheckResult
from data_platform.defs.day_checks import FAILING_MAX, PASSING_MAX, DayChecks, Load, due, with_days
from data_platform.defs.event_batches import store_materializations
from data_platform.defs.last_records import carry_checks, last_materializations
from data_platform.defs.latest_checks import LatestChecks, results
from data_platform.defs.planned_checks import plan_once
from data_platform.defs.problems import failed_checks
from data_platform.quality.evaluate import RuleResult, not_evaluated
from data_platform.quality.evaluated import sentence
from data_platform.quality.rules import Rule, parse_rule
from data_platform.tables import Slice

KEY = dg.AssetKey(["raw", "shop", "orders"])
DAYS = dg.DailyPartitionsDefinition(start_date="2026-11-01", end_date="2026-11-10")
FIRST, LAST = "2026-11-01", "2026-11-09"
RULE = parse_rule({"rule": "revenue >= 0", "blocking": True})
PER_DAY = parse_rule("row_count() >= 1 per day")
WHOLE = parse_rule("sum(revenue) >= 0")
CHECK = dg.AssetCheckKey(KEY, RULE.name)
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def day(number: int) -> str:
    return f"2026-11-{number:02d}"


def found(rule: Rule = RULE, **days: int) -> RuleResult:
    """A result of which ``d03=2`` says that 2 rows of that day fail."""
    failing = {f"2026-11-{name[1:]}" if name[1:].isdigit() else name: rows for name, rows in days.items()}
    return RuleResult(rule, not failing, 100, sum(failing.values()), 0.0, days=failing)


def load(*days: int, asked: tuple[int, ...] = ()) -> Load:
    return Load({Slice(day(number)): 1 for number in days}, frozenset(map(day, asked)))


def test_touched_days_are_written_and_those_whose_status_changed() -> None:
    assert due(found(), load(3, 4), {}, FIRST, LAST) == {day(3): 0, day(4): 0}
    assert due(found(d04=2, d07=1), load(3, 4), {}, FIRST, LAST) == {day(3): 0, day(4): 2, day(7): 1}
    assert due(found(d07=1), load(3), {day(7): False}, FIRST, LAST) == {day(3): 0}, "it is known to fail"
    assert due(found(d07=1), load(7), {day(7): False}, FIRST, LAST) == {day(7): 1}
    assert due(found(), load(), {day(7): False}, FIRST, LAST) == {day(7): 0}, "it passes again"
    assert due(found(), load(), {}, FIRST, LAST) == {}
    passed = {day(3): True, day(4): True}
    assert due(found(), load(3, 4), passed, FIRST, LAST) == {}, "they go on passing"
    assert due(found(), load(3, 4, asked=(4,)), passed, FIRST, LAST) == {day(4): 0}, "a person asked"
    assert due(found(d03=1), load(4), passed, FIRST, LAST) == {day(3): 1}, "a late row, or time, broke it"


def test_rows_outside_of_the_days_count_as_the_graph_counts_them() -> None:
    odd = RuleResult(RULE, False, 9, 6, 0.0, days={"null": 1, "2030-01-01": 2, "2020-01-01": 3})
    assert due(odd, load(), {}, FIRST, LAST) == {FIRST: 3, LAST: 3}


def test_unknown_is_never_a_pass() -> None:
    lost = not_evaluated(RULE, "the column is gone")
    assert due(lost, load(3, 4), {}, FIRST, LAST) == {day(3): None, day(4): None}
    assert due(lost, load(), {}, FIRST, LAST) == {LAST: None}, "a blocking check must fail on some day"
    landed_before = RuleResult(RULE, True, 9, 0, 0.0, unknown=5, days={}, days_unknown=[day(4)])
    assert due(landed_before, load(3, 4), {}, FIRST, LAST) == {day(3): 0}
    by_hand = RuleResult(RULE, False, 9, 1, 0.0, days=None)
    assert due(by_hand, load(3), {}, FIRST, LAST) == {day(3): None}, "it is not known which"
    gone = Load({Slice(day(3)): 0, Slice(day(4)): 1})
    assert due(found(PER_DAY), gone, {}, FIRST, LAST) == {day(4): 0}, "a day without rows is not looked at"


def test_a_first_read_does_not_flood_the_records() -> None:
    first, last = "2020-01-01", "2026-11-30"
    every = [str(d) for d in dg.DailyPartitionsDefinition(first, end_date=last).get_partition_keys()]
    whole = Load({Slice(d): 1 for d in every})
    assert list(due(found(), whole, {}, first, last)) == every[-PASSING_MAX:]
    bad = RuleResult(RULE, False, 9, 9, 0.0, days=dict.fromkeys(every, 1))
    assert list(due(bad, whole, {}, first, last)) == every[-FAILING_MAX:]
    asked = Load({Slice(d): 1 for d in every}, frozenset(every))
    assert list(due(found(), asked, {}, first, last)) == every, "a person asked for each of them"


def test_which_rules_have_days() -> None:
    for rule in (RULE, PER_DAY, parse_rule("revenue is unique"), parse_rule("user_id references users.id")):
        assert rule.by_day
    shares = parse_rule("null_rate(currency) <= 0.05"), parse_rule({"rule": "revenue >= 0", "allow": "1%"})
    for rule in (WHOLE, *shares, parse_rule("row_count() >= 1 per country")):
        assert not rule.by_day
    specs, rules = [dg.AssetCheckSpec(name, asset=KEY) for name in "ab"], [RULE, WHOLE]
    assert [spec.partitions_def for spec in with_days(specs, rules, DAYS)] == [DAYS, None]
    assert with_days(specs, rules, None) == specs


class Table:
    """A table of ours in a graph of its own: what a run finds and touches is given."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.result, self.touched = instance, found(), load().touched

        @dg.multi_asset(
            specs=[dg.AssetSpec(KEY, partitions_def=DAYS, skippable=True)],
            check_specs=with_days([dg.AssetCheckSpec(RULE.name, asset=KEY, blocking=True)], [RULE], DAYS),
            can_subset=True,
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def sync(context: dg.AssetExecutionContext) -> Iterator[Any]:
            yield from self._run(context)

        self.definitions = dg.Definitions(assets=[sync])

    def _run(self, context: dg.AssetExecutionContext) -> Iterator[Any]:
        keyed = context.has_partition_key or context.has_partition_key_range
        keys = context.partition_keys if keyed else ()
        if keys:
            plan_once(context.instance, context.run_id)
        if KEY in context.selected_asset_keys:
            others = [dg.AssetMaterialization(KEY, partition=one) for one in self.touched if one not in keys]
            store_materializations(context.instance, others)
            yield dg.MaterializeResult(asset_key=KEY)
        if context.selected_asset_check_keys:
            days = DayChecks(
                *(context.instance, KEY, DAYS, Load(self.touched, frozenset(keys)), context.run, "sync")
            )
            days.keep([self.result])
            yield CheckResult(
                asset_key=KEY,
                check_name=RULE.name,
                passed=self.result.passed,
                description=sentence(self.result),
            )
        carry_checks(context.instance, last_materializations(context.instance, [KEY]))

    def run(self, result: RuleResult, *touched: int, checks: bool = True, **arguments: Any) -> None:
        self.result, self.touched = result, load(*touched).touched
        job = self.definitions.resolve_implicit_global_asset_job_def()
        chosen = job.get_subset(asset_selection={KEY}, asset_check_selection={CHECK} if checks else set())
        done = chosen.execute_in_process(instance=self.instance, raise_on_error=False, **arguments)
        assert done.success or not result.passed, "the rule blocks, so a failure fails the run"

    def status(self) -> Mapping[str, str]:
        """As the page of the check shows it: P and F by number of the day."""
        state = self.instance.event_log_storage.get_asset_check_state([(CHECK, DAYS)])[CHECK]
        letters = {Status.SUCCEEDED: "P", Status.FAILED: "F"}
        return {
            key[-2:]: letters.get(status, status.value)
            for status, subset in state.subsets.items()
            for key in subset.subset_value.get_partition_keys()
        }

    def whole(self) -> tuple[str, str | None]:
        """The evaluation that the lists of checks show."""
        latest = self.instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
        return latest.status.value, latest.partition


def range_of(first: int, last: int) -> dict[str, Any]:
    return {"tags": dict(zip(RANGE, (day(first), day(last)), strict=True))}


def test_each_day_has_its_status_whatever_the_run(instance: dg.DagsterInstance) -> None:
    table = Table(instance)
    table.run(found(d03=2), 2, 3, 4)
    assert table.status() == {"02": "P", "03": "F", "04": "P"}
    assert table.whole() == ("FAILED", None), "lists and alerts go on seeing the whole"

    table.run(found(d03=2, d06=1), 5, 6, **range_of(5, 7))
    six = {"02": "P", "03": "F", "04": "P", "05": "P", "06": "F", "07": "P"}
    assert table.status() == six, "a range in one run, with the other days as they were"
    table.run(found(d06=1), 3, partition_key=day(3))
    assert table.status() == {**six, "03": "P"}, "one day"
    table.run(found(d06=1))
    assert table.status() == {**six, "03": "P"}, "changes of no day"
    table.run(found(d06=1), 3, checks=False)
    table.run(found(d06=1), 4, checks=False, partition_key=day(4))
    assert table.status() == {**six, "03": "P"}, "runs without the check"
    table.run(found(), 8)
    assert table.status() == {**dict.fromkeys(six, "P"), "08": "P"}, "a day that no run touched passes again"
    assert table.whole() == ("SUCCEEDED", None)

    history = instance.event_log_storage.get_asset_check_execution_history(
        CHECK, limit=10, partition_filter=PartitionKeyFilter(key=day(6))
    )
    assert [one.status.value for one in history] == ["SUCCEEDED", "FAILED"]
    evaluation = history[1].evaluation
    assert evaluation is not None and evaluation.metadata["rows_failing"].value == 1
    assert evaluation.blocking


def test_what_the_daemon_plans_for_a_range_is_evaluated(instance: dg.DagsterInstance) -> None:
    table = Table(instance)
    job = table.definitions.resolve_implicit_global_asset_job_def()
    run = instance.create_run_for_job(job, **range_of(3, 5))
    assert set(table.status().values()) == {"IN_PROGRESS"}
    known = LatestChecks()
    assert not known.failed(instance, [CHECK], datetime.now(UTC))
    plan_once(instance, run.run_id)
    known.failed(instance, [CHECK], datetime.now(UTC))
    DayChecks(instance, KEY, DAYS, load(3, 4, 5, asked=(3, 4, 5)), run, "sync").keep([found(d04=1)])
    assert table.status() == {"03": "P", "04": "F", "05": "P"}
    history = instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=10)
    assert all(one.status.value != "PLANNED" for one in history)


def test_a_failing_check_is_one_problem_that_names_its_days(instance: dg.DagsterInstance) -> None:
    table, known = Table(instance), LatestChecks()
    now = datetime.now(UTC)
    for bad in ({f"d0{n}": 1 for n in range(2, 7)}, {f"d0{n}": 1 for n in range(2, 9)}):
        table.run(found(**bad), 2, 3)
        problems = list(failed_checks(known.failed(instance, [CHECK], now)))
        assert [problem.object for problem in problems] == [f"raw/shop/orders: {RULE.name}"]
    assert f"on 7 days: {day(8)}, {day(7)}, {day(6)}, {day(5)}, {day(4)} and 2 more" in problems[0].summary
    assert not results(instance, [CHECK])[CHECK].passed
    since = results(instance, [CHECK])[CHECK].since
    table.run(found(d03=1), 2)
    assert results(instance, [CHECK])[CHECK].since == since
    table.run(found(), 2)
    assert not known.failed(instance, [CHECK], now)
    assert known.passed(instance, [CHECK], now)
    DayChecks(instance, KEY, DAYS, load(3)).keep([found(d03=1)])
    for remembered in (known, LatestChecks()):
        assert not remembered.failed(instance, [CHECK], now), "a day is no problem of its own"
    assert results(instance, [CHECK])[CHECK].passed


def test_evaluations_of_no_run_take_the_place_of_earlier_ones(instance: dg.DagsterInstance) -> None:
    """As a sync of the command line is reported."""
    table = Table(instance)
    for result in (found(d03=1), found(d04=1)):
        DayChecks(instance, KEY, DAYS, load(3, 4)).keep([result])
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
        carry_checks(instance, last_materializations(instance, [KEY]))
    assert table.status() == {"03": "P", "04": "F"}
