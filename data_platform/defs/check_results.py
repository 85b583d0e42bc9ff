"""Rules and the other kinds of checks as asset checks, of raw tables and of dbt models alike.

Makes the specs and translates the findings of ``quality`` into check results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

from data_platform.defs import shown
from data_platform.defs.day_checks import DayChecks
from data_platform.defs.failing_rows import ToKeep
from data_platform.defs.last_records import newest_of_run
from data_platform.defs.names import NOT_EVALUATED
from data_platform.errors import DataPlatformError
from data_platform.quality.checking import CheckKind, Subject
from data_platform.quality.checking import CheckResult as KindResult
from data_platform.quality.evaluate import RuledRelation, RuleResult, evaluate_relation, not_evaluated
from data_platform.quality.evaluated import sentence
from data_platform.quality.failures import Findings, query_for, stale
from data_platform.quality.kinds import wanted
from data_platform.quality.rules import Rule
from data_platform.warehouses import Warehouse

ERROR = dg.AssetCheckSeverity.ERROR
WARN = dg.AssetCheckSeverity.WARN
DAYS_SHOWN = 50
GOOD_UNTIL = "good_until"
"""In the metadata of a passing result: when it ends if nothing is loaded until then."""


class CheckResult(dg.AssetCheckResult):
    """A result that names its check. For Dagster's own, each result searches all checks of the op for the one it
    belongs to: with 2,000 tables that takes 4 ms per check."""

    def to_asset_check_evaluation(self, step_context: Any) -> dg.AssetCheckEvaluation:
        assert self.asset_key is not None
        assert self.check_name is not None
        key = dg.AssetCheckKey(self.asset_key, self.check_name)
        step = step_context.job_def.asset_layer.get_assets_def_for_node(step_context.node_handle)
        return dg.AssetCheckEvaluation(
            asset_key=self.asset_key,
            check_name=self.check_name,
            passed=self.passed,
            metadata=self.metadata,
            target_materialization_data=self._get_target_materialization_data(step_context, key),
            severity=self.severity,
            description=self.description,
            blocking=step.get_spec_for_check_key(key).blocking,
        )

    def _get_unpartitioned_target_materialization_data(
        self, step_context: Any, asset_key: dg.AssetKey
    ) -> AssetCheckEvaluationTargetMaterializationData | None:
        """Dagster's own method rereads the whole record of each asset that this run materialized."""
        found = newest_of_run(step_context.instance, step_context.run_id, asset_key)
        return found or super()._get_unpartitioned_target_materialization_data(step_context, asset_key)


def rule_specs(key: dg.AssetKey, rules: Iterable[Rule], owner: str | None = None) -> list[dg.AssetCheckSpec]:
    """A check for each rule, of which ``owner`` is who answers for a rule that names nobody."""
    return [
        dg.AssetCheckSpec(
            rule.name,
            asset=key,
            blocking=rule.blocking,
            description=shown.code(rule.text)
            + (" — if it fails, downstream assets are not built" if rule.blocking else ""),
            metadata={"columns": ", ".join(rule.columns), "severity": rule.severity}
            | _owned(rule.owner or owner),
        )
        for rule in rules
    ]


def kind_specs(
    key: dg.AssetKey, checks: Mapping[str, Any], owner: str | None = None
) -> list[dg.AssetCheckSpec]:
    """A check for each kind that is no rule."""
    return [
        dg.AssetCheckSpec(
            kind.name, asset=key, description=kind.says(settings, shown.code), metadata=_owned(owner)
        )
        for kind, settings in wanted(checks)
    ]


def _owned(owner: str | None) -> dict[str, str]:
    return {"owner": owner} if owner else {}


def results_of(
    key: dg.AssetKey,
    ruled: RuledRelation,
    checks: Mapping[str, Any],
    subject: Subject,
    selected: Collection[str],
    warehouse: Warehouse,
    now: datetime,
    to_keep: list[ToKeep],
    days: DayChecks | None = None,
) -> Iterator[dg.AssetCheckResult]:
    """A result for each of the ``selected`` rules and other checks of a relation, which is an asset ``key``. One that cannot be evaluated
    fails. Into ``to_keep`` goes what is to be remembered; ``days`` takes what the rules found on each day."""
    names = [rule.name for rule in ruled.rules if rule.name in selected]
    if names:
        yield from _rule_results(key, ruled, names, warehouse, to_keep, days)
    for kind, settings in wanted(checks):
        if kind.name in selected:
            evaluated = partial(kind.evaluate, warehouse, subject, settings, now)
            yield from guarded(key, [kind.name], partial(_evaluated, key, kind, evaluated, to_keep))


def _rule_results(
    key: dg.AssetKey,
    ruled: RuledRelation,
    names: Collection[str],
    warehouse: Warehouse,
    to_keep: list[ToKeep],
    days: DayChecks | None,
) -> list[dg.AssetCheckResult]:
    try:
        results = evaluate_relation(warehouse, ruled, only=names)
        if stale(warehouse, ruled, results):
            to_keep.append(Findings(ruled, results))
    except DataPlatformError as error:
        if days is not None:
            days.keep([not_evaluated(rule, str(error)) for rule in ruled.rules if rule.name in names])
        return [lost(key, name, str(error)) for name in names]
    if days is not None:
        days.keep(results)
    return [rule_result(key, ruled.label, result) for result in results]


def rule_result(key: dg.AssetKey, relation: str, result: RuleResult) -> dg.AssetCheckResult:
    return check_result(
        key,
        result.rule.name,
        passed=result.passed,
        description=sentence(result),
        severity=WARN if result.rule.severity == "warn" else ERROR,
        metadata=rule_metadata(relation, result),
    )


def rule_metadata(relation: str, result: RuleResult) -> dict[str, Any]:
    """The figures of a result, a sample of the failing rows, and the statement that shows more of them."""
    metadata: dict[str, Any] = {
        "rule": result.rule.text,
        "rows": result.rows,
        "rows_failing": result.failing,
        "share_failing": float(result.rate),
    }
    if result.problem:
        metadata[NOT_EVALUATED] = True
    if result.value is not None:
        metadata["figure"] = float(result.value)
    if result.rule.owner:
        metadata["owner"] = result.rule.owner
    if result.unknown:
        metadata["rows_landed_before_the_rule"] = result.unknown
    if result.days:
        metadata |= days_facts(result.days)
    if result.sample:
        metadata["sample"] = shown.records(result.sample)
        metadata["failing_rows"] = f'data-platform query "{query_for(relation, result.rule.name)}"'
    return metadata


def days_facts(days: Mapping[str, int]) -> dict[str, Any]:
    """How much fails on each day, the newest first."""
    latest = sorted(days.items(), reverse=True)[:DAYS_SHOWN]
    return {"days_failing": len(days), "failing_by_day": shown.table(("day", "failing"), [*latest])}


def _evaluated(
    key: dg.AssetKey, kind: CheckKind, evaluate: Callable[[], KindResult], to_keep: list[ToKeep]
) -> list[dg.AssetCheckResult]:
    result = evaluate()
    to_keep += result.to_keep
    return [kind_result(key, kind, result)]


def kind_result(key: dg.AssetKey, kind: CheckKind, result: KindResult) -> dg.AssetCheckResult:
    return check_result(
        key,
        kind.name,
        passed=result.passed,
        description=result.text,
        severity=WARN if kind.severity == "warn" else ERROR,
        metadata=dict(result.facts)
        | ({GOOD_UNTIL: result.good_until} if result.good_until else {})
        | {name: shown.plot(sentence, svg) for name, (sentence, svg) in result.plots.items()},
    )


def guarded(
    key: dg.AssetKey, names: list[str], results: Callable[[], list[dg.AssetCheckResult]]
) -> list[dg.AssetCheckResult]:
    try:
        return results()
    except DataPlatformError as error:
        return [lost(key, name, str(error)) for name in names]


def lost(
    key: dg.AssetKey, name: str, why: str, severity: dg.AssetCheckSeverity = ERROR
) -> dg.AssetCheckResult:
    """Of a check that could not be evaluated: nobody knows what it would find."""
    return check_result(
        key, name, passed=False, description=why, severity=severity, metadata={NOT_EVALUATED: True}
    )


def check_result(
    key: dg.AssetKey,
    name: str,
    *,
    passed: bool,
    description: str,
    severity: dg.AssetCheckSeverity = ERROR,
    metadata: dict[str, Any] | None = None,
) -> dg.AssetCheckResult:
    return CheckResult(
        asset_key=key,
        check_name=name,
        passed=passed,
        severity=severity,
        description=shown.description(description),
        metadata=metadata or {},
    )
