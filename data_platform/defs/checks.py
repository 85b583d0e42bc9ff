"""Rules, completeness, what waits in quarantine and the other kinds of checks as asset checks.

Makes the specs and translates the findings of ``quality`` into check results.
A check covers the whole table, so it has no partition.
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

from data_platform.catalog import Table
from data_platform.defs import shown
from data_platform.defs.failing_rows import ToKeep
from data_platform.defs.last_records import newest_of_run
from data_platform.defs.names import COMPLETE, NOT_EVALUATED, QUARANTINE, raw_key
from data_platform.errors import DataPlatformError
from data_platform.landing.manifest import Manifest
from data_platform.quality.checking import CheckKind, Subject
from data_platform.quality.checking import CheckResult as KindResult
from data_platform.quality.completeness import CompletenessReport
from data_platform.quality.evaluate import RuledRelation, RuleResult, evaluate_relation, raw_relation
from data_platform.quality.evaluated import Evaluated, arrived, sentence
from data_platform.quality.failures import Findings, query_for, stale
from data_platform.quality.kinds import wanted
from data_platform.quality.rules import Rule
from data_platform.warehouses import Warehouse
from data_platform.words import plural

SLICES_SHOWN = 50
ERROR = dg.AssetCheckSeverity.ERROR
WARN = dg.AssetCheckSeverity.WARN
GOOD_UNTIL = "good_until"
"""In the metadata of a passing result: when it ends if nothing is loaded until then."""
_OF_THE_LEDGER = (COMPLETE, QUARANTINE)
"""Checks that the warehouse alone does not answer."""


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


def check_specs(table: Table) -> list[dg.AssetCheckSpec]:
    key = raw_key(table.id)
    specs = rule_specs(key, table.rules)
    if table.proved:
        specs.append(
            dg.AssetCheckSpec(
                COMPLETE,
                asset=key,
                description="The warehouse holds the same rows and row versions as the source, on every day. Selected with"
                " its table, the check compares both in one snapshot, rereads the days that differ, and compares whole rows"
                " on a seventh of the days. Selected alone, it compares the warehouse with the checksums in the ledger.",
            )
        )
    specs += kind_specs(key, table.checks)
    if table.can.rejects:
        specs.append(
            dg.AssetCheckSpec(
                QUARANTINE,
                asset=key,
                description="No record waits in quarantine: each one that the source sent is in the table.",
            )
        )
    return specs


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


def check_names(table: Table) -> list[str]:
    """The names of ``check_specs``, in the same order."""
    return [
        *(rule.name for rule in table.rules),
        *([COMPLETE] if table.proved else []),
        *(kind.name for kind, _ in wanted(table.checks)),
        *([QUARANTINE] if table.can.rejects else []),
    ]


def check_results(
    table: Table,
    selected: Collection[str],
    warehouse: Warehouse,
    now: datetime,
    *,
    loaded: bool,
    to_keep: list[ToKeep],
    newest: Callable[[], Manifest | None] = lambda: None,
) -> Iterator[dg.AssetCheckResult]:
    """A result for every selected check of ``table`` that the warehouse answers. ``loaded`` says whether it
    holds the table. A check that cannot be evaluated fails. Into ``to_keep`` goes what the rules found, if ``quality.failures``
    holds something else. ``newest`` asks the ledger for the table's newest batch."""
    selected = [name for name in selected if name not in _OF_THE_LEDGER]
    key = raw_key(table.id)
    if not loaded:
        for name in selected:
            yield _lost(key, name, _not_synced(table), WARN)
        return
    subject = Subject.raw(table.id, lambda: arrived(newest()))
    yield from results_of(key, raw_relation(table), table.checks, subject, selected, warehouse, now, to_keep)


def results_of(
    key: dg.AssetKey,
    ruled: RuledRelation,
    checks: Mapping[str, Any],
    subject: Subject,
    selected: Collection[str],
    warehouse: Warehouse,
    now: datetime,
    to_keep: list[ToKeep],
) -> Iterator[dg.AssetCheckResult]:
    """A result for each of the ``selected`` rules and other checks of a relation, which is an asset ``key``. One that cannot be evaluated
    fails. Into ``to_keep`` goes what is to be remembered."""
    names = [rule.name for rule in ruled.rules if rule.name in selected]
    if names:
        found = partial(_rule_results, key, ruled, names, warehouse, to_keep)
        yield from _guarded(key, names, found)
    for kind, settings in wanted(checks):
        if kind.name in selected:
            evaluated = partial(kind.evaluate, warehouse, subject, settings, now)
            yield from _guarded(key, [kind.name], partial(_evaluated, key, kind, evaluated, to_keep))


def recorded_results(table: Table, evaluated: Evaluated) -> list[dg.AssetCheckResult]:
    """The findings of a sync from the command line, in the form in which a run reports them."""
    key, found = raw_key(table.id), evaluated.checks
    if evaluated.problem:
        names = [name for name in check_names(table) if name not in _OF_THE_LEDGER]
        return [_lost(key, name, evaluated.problem) for name in names]
    results = [_rule_result(key, table.id.raw_name, result) for result in evaluated.rules]
    return results + [kind_result(key, kind, found[kind.name]) for kind, _ in wanted(found)]


def quarantine_results(table: Table, waiting: Callable[[], int]) -> list[dg.AssetCheckResult]:
    """Of a table whose source may send what it cannot take; ``waiting`` counts the records that nobody took up."""
    return _guarded(raw_key(table.id), [QUARANTINE], lambda: [quarantine_result(table, waiting())])


def quarantine_result(table: Table, waiting: int) -> dg.AssetCheckResult:
    text = "No record waits in quarantine."
    if waiting:
        text = (
            f"{plural(waiting, 'record')} could not be taken and wait in quarantine: `data-platform quarantine show"
            f" {table.id}` shows them with the reasons."
        )
    return _result(
        raw_key(table.id),
        QUARANTINE,
        passed=not waiting,
        description=text,
        severity=WARN,
        metadata={"records_waiting": waiting},
    )


def completeness_results(table: Table, report: Callable[[], CompletenessReport]) -> list[dg.AssetCheckResult]:
    return _guarded(raw_key(table.id), [COMPLETE], lambda: [completeness_result(table, report())])


def completeness_result(table: Table, report: CompletenessReport) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {
        "slices_matching": report.matching,
        "slices_differing": len(report.differing),
        "slices_changed_since_measured": len(report.unmeasured),
    }
    if report.mended:
        metadata["mended"] = shown.lines("day", report.mended[:SLICES_SHOWN])
    if audited := report.audit.slices:
        metadata |= {"slices_audited": len(audited), "rows_altered": report.audit.rows_altered}
    if (record := report.record()) is not None:
        metadata["evidence"] = dg.MetadataValue.json(record)
    if report.differing:
        metadata["differing"] = shown.lines("day", report.differing[:SLICES_SHOWN])
        text = f"{len(report.differing)} slice(s) differ from the source; the next reconcile rereads them."
    else:
        text = f"{report.matching} slice(s) matched the source when they were counted."
    if report.mended:
        text += f" {len(report.mended)} differed and were read again."
    if altered := report.audit.rows_altered:
        text += (
            f" {altered:,} row(s) have the source's version but different values: either a value was converted"
            " wrongly or someone edited the warehouse. They were read again; find out why."
        )
    return _result(raw_key(table.id), COMPLETE, passed=report.passed, description=text, metadata=metadata)


def _rule_results(
    key: dg.AssetKey,
    ruled: RuledRelation,
    names: Collection[str],
    warehouse: Warehouse,
    to_keep: list[ToKeep],
) -> list[dg.AssetCheckResult]:
    results = evaluate_relation(warehouse, ruled, only=names)
    if stale(warehouse, ruled, results):
        to_keep.append(Findings(ruled, results))
    return [_rule_result(key, ruled.label, result) for result in results]


def _rule_result(key: dg.AssetKey, relation: str, result: RuleResult) -> dg.AssetCheckResult:
    return _result(
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
    if result.sample:
        metadata["sample"] = shown.records(result.sample)
        metadata["failing_rows"] = f'data-platform query "{query_for(relation, result.rule.name)}"'
    return metadata


def _evaluated(
    key: dg.AssetKey, kind: CheckKind, evaluate: Callable[[], KindResult], to_keep: list[ToKeep]
) -> list[dg.AssetCheckResult]:
    result = evaluate()
    to_keep += result.to_keep
    return [kind_result(key, kind, result)]


def kind_result(key: dg.AssetKey, kind: CheckKind, result: KindResult) -> dg.AssetCheckResult:
    return _result(
        key,
        kind.name,
        passed=result.passed,
        description=result.text,
        severity=WARN if kind.severity == "warn" else ERROR,
        metadata=dict(result.facts)
        | ({GOOD_UNTIL: result.good_until} if result.good_until else {})
        | {name: shown.plot(sentence, svg) for name, (sentence, svg) in result.plots.items()},
    )


def _not_synced(table: Table) -> str:
    return f"{table.id.raw_name} is not loaded yet, so there is nothing to check: materialize it first."


def _guarded(
    key: dg.AssetKey, names: list[str], results: Callable[[], list[dg.AssetCheckResult]]
) -> list[dg.AssetCheckResult]:
    try:
        return results()
    except DataPlatformError as error:
        return [_lost(key, name, str(error)) for name in names]


def _lost(
    key: dg.AssetKey, name: str, why: str, severity: dg.AssetCheckSeverity = ERROR
) -> dg.AssetCheckResult:
    """Of a check that could not be evaluated: nobody knows what it would find."""
    return _result(
        key, name, passed=False, description=why, severity=severity, metadata={NOT_EVALUATED: True}
    )


def _result(
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


def check_keys(tables: Iterable[Table], *, completeness: bool) -> list[dg.AssetCheckKey]:
    """The checks of ``tables``; without ``completeness``, only those that need one scan of the raw table."""
    return [
        dg.AssetCheckKey(key, name)
        for table in tables
        for key in (raw_key(table.id),)
        for name in check_names(table)
        if completeness or name != COMPLETE
    ]
