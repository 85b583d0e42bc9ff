"""On which days a rule holds: evaluations of the partitions of its check, beside the one of the whole table.

A rule that is true of a table exactly if it is true of each day (``Rule.by_day``) has the partitions of its table. A result of the
whole table counts what fails by day, so no day is asked by itself. Written are the days of a run's partitions, the touched days that
fail, and those whose status changed; any other day keeps its status. The evaluation of the whole comes after them, so that it is the check's latest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)

from data_platform.defs import partitions, shown
from data_platform.defs.event_batches import store_evaluations
from data_platform.defs.last_records import FINISHED, index_transaction, newest_of_partitions
from data_platform.defs.names import NOT_EVALUATED
from data_platform.quality.evaluate import RuleResult
from data_platform.quality.rules import Rule
from data_platform.tables import Slice
from data_platform.words import plural

PASSING_MAX = 31
"""Of the days that a load without partitions touched and that pass, the newest are written: a first read touches every day."""
FAILING_MAX = 366
"""The same of days that fail; the next load writes the next of them."""


def with_days(
    specs: Sequence[dg.AssetCheckSpec], rules: Sequence[Rule], days: dg.PartitionsDefinition[str] | None
) -> list[dg.AssetCheckSpec]:
    """``specs`` of ``rules``, with the partitions of their table. As an argument of a spec, Dagster calls them a preview, with a
    warning each."""
    return [
        spec._replace(partitions_def=days) if days is not None and rule.by_day else spec
        for spec, rule in zip(specs, rules, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Load:
    """What was loaded before an evaluation: the rows of each slice that it touched. ``asked`` are the partitions that somebody named.
    ``synced`` is false if nothing was."""

    touched: Mapping[Slice, int] = field(default_factory=dict)
    asked: Collection[str] = ()
    synced: bool = True


def due(
    result: RuleResult, load: Load, known: Mapping[str, bool], first: str, last: str
) -> dict[str, int | None]:
    """How much fails on each day whose status is to be written, in order of days; None where it is not known. ``known`` says whether
    days passed before, ``first`` and ``last`` are the partitions that rows outside of all days count under. A day that
    passes again is written only if somebody asked for it."""
    touched = {
        day: sum(rows.values()) for day, rows in partitions.by_partition(load.touched, first, last).items()
    }
    now = {*touched, *load.asked}
    bad: dict[str, int | None] = {}
    if result.days is not None and not result.problem:
        counted = {Slice(day): rows for day, rows in result.days.items()}
        bad.update(
            (day, sum(rows.values())) for day, rows in partitions.by_partition(counted, first, last).items()
        )
    elif not result.passed:
        bad.update(dict.fromkeys(now))
    if not result.passed and not bad:
        bad[last] = None  # a failure of no day is one of today, or nothing of the check's days would show it
    unknown = partitions.by_partition(dict.fromkeys(map(Slice, result.days_unknown), 0), first, last)
    passing = {day for day in now if day not in bad and day not in unknown}
    if result.rule.per_day and load.synced:  # a day without rows is not looked at
        passing = {day for day in passing if touched.get(day)}
    if result.days is None:
        passing = set()
    lifted = {day for day, passed in known.items() if not passed and day not in bad and day not in unknown}
    told = {
        day for day in _newest(passing, load.asked, PASSING_MAX) if day in load.asked or not known.get(day)
    }
    told |= lifted
    failing = {day for day in bad if day in now or known.get(day, True)}
    return {day: bad.get(day, 0) for day in sorted(told | _newest(failing, load.asked, FAILING_MAX))}


def _newest(days: Collection[str], asked: Collection[str], most: int) -> set[str]:
    rest = sorted(day for day in days if day not in asked)
    return {day for day in days if day in asked}.union(rest[-most:])


@dataclass(frozen=True, slots=True)
class DayChecks:
    """Writes what rules of the table ``key`` found on its ``days``, as events of ``run`` or of none."""

    instance: dg.DagsterInstance
    key: dg.AssetKey
    days: dg.PartitionsDefinition[str]
    load: Load
    run: dg.DagsterRun | None = None
    step_key: str | None = None

    def keep(self, results: Sequence[RuleResult]) -> None:
        """To be called before the evaluations of the whole table are stored."""
        first, last = self.days.get_first_partition_key(), self.days.get_last_partition_key()
        results = [result for result in results if result.rule.by_day]
        if not results or first is None or last is None:
            return
        touched = partitions.by_partition(self.load.touched, first, last)
        known = self._known([result.rule.name for result in results], sorted(touched)[-PASSING_MAX:])
        found = {
            result.rule.name: due(result, self.load, known.get(result.rule.name, {}), first, last)
            for result in results
        }
        of = newest_of_partitions(self.instance, self.key, {day for days in found.values() for day in days})
        evaluations = [
            _evaluation(self.key, result, day, failing, of.get(day))
            for result in results
            for day, failing in found[result.rule.name].items()
        ]
        if self.run is not None:
            self._forget_planned([name for name, days in found.items() if days])
        store_evaluations(self.instance, evaluations, self.run, self.step_key)

    def _known(self, names: Sequence[str], days: Sequence[str]) -> dict[str, dict[str, bool]]:
        """By check, whether the newest evaluation of each of ``days``, and of each day that fails, passed."""
        from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
        from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
        from sqlalchemy import func, or_, select

        ours = (
            Table.c.asset_key == self.key.to_string(),
            Table.c.check_name.in_(names),
            Table.c.partition.is_not(None),
            Table.c.execution_status.in_(FINISHED),
        )
        newest = select(func.max(Table.c.id)).where(*ours).group_by(Table.c.check_name, Table.c.partition)
        failed = AssetCheckExecutionRecordStatus.FAILED.value
        columns = select(Table.c.check_name, Table.c.partition, Table.c.execution_status)
        wanted = or_(Table.c.execution_status == failed, Table.c.partition.in_(days))
        found: dict[str, dict[str, bool]] = {}
        with index_transaction(self.instance) as connection:
            for name, day, status in connection.execute(columns.where(Table.c.id.in_(newest), wanted)):
                found.setdefault(name, {})[day] = status != failed
        return found

    def _forget_planned(self, names: Sequence[str]) -> None:
        """The run's record of the whole table, so that its evaluation gets a number after those of its days: Dagster shows the
        evaluation with the highest number as the check's."""
        from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Table
        from sqlalchemy import delete

        assert self.run is not None
        with index_transaction(self.instance) as connection:
            connection.execute(
                delete(Table).where(
                    Table.c.asset_key == self.key.to_string(),
                    Table.c.check_name.in_(names),
                    Table.c.run_id == self.run.run_id,
                    Table.c.partition.is_(None),
                )
            )


def _evaluation(
    key: dg.AssetKey, result: RuleResult, day: str, failing: int | None, target: Target | None
) -> dg.AssetCheckEvaluation:
    rule = result.rule
    metadata: dict[str, Any] = {"rule": rule.text}
    if failing is None:
        text = result.problem or "The rule fails, and it is not known on which day."
        metadata[NOT_EVALUATED] = True
    elif rule.per_day:
        text = f"It is {'not so' if failing else 'so'} on this day."
    else:
        metadata["rows_failing"] = failing
        text = f"{plural(failing, 'row')} of this day {'fails' if failing == 1 else 'fail'} the rule."
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=rule.name,
        passed=failing == 0,
        metadata=metadata,
        target_materialization_data=target,
        severity=dg.AssetCheckSeverity.WARN if rule.severity == "warn" else dg.AssetCheckSeverity.ERROR,
        description=shown.description(text),
        blocking=rule.blocking,
        partition=day,
    )
