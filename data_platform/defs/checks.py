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
from data_platform.quality.checking import CheckKind, LapsingKind, Subject
from data_platform.quality.checking import CheckResult as KindResult
from data_platform.quality.completeness import CompletenessReport
from data_platform.quality.evaluate import RuleResult, evaluate, raw_relation
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
    specs = [
        dg.AssetCheckSpec(
            rule.name,
            asset=key,
            blocking=rule.blocking,
            description=shown.code(rule.text)
            + (" — if it fails, downstream assets are not built" if rule.blocking else ""),
            metadata=rule_facts(rule),
        )
        for rule in table.rules
    ]
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
    specs += [
        dg.AssetCheckSpec(kind.name, asset=key, description=kind.says(settings, shown.code))
        for kind, settings in wanted(table.checks)
    ]
    if table.can.rejects:
        specs.append(
            dg.AssetCheckSpec(
                QUARANTINE,
                asset=key,
                description="No record waits in quarantine: each one that the source sent is in the table.",
            )
        )
    return specs


def rule_facts(rule: Rule) -> dict[str, str]:
    """What a rule's check says of itself before it was evaluated."""
    facts = {"columns": ", ".join(rule.columns), "severity": rule.severity}
    return facts | ({"owner": rule.owner} if rule.owner else {})


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
    rules = [rule for rule in table.rules if rule.name in selected]
    if not loaded:
        for name in selected:
            yield _lost(table, name, _not_synced(table), WARN)
        return
    if rules:
        yield from _guarded(
            table, [rule.name for rule in rules], lambda: _rule_results(table, rules, warehouse, to_keep)
        )
    subject = Subject.raw(table.id, lambda: arrived(newest()))
    for kind, settings in wanted(table.checks):
        if kind.name in selected:
            evaluated = partial(kind.evaluate, warehouse, subject, settings, now)
            yield from _guarded(table, [kind.name], partial(_evaluated, table, kind, evaluated, to_keep))


def recorded_results(table: Table, evaluated: Evaluated) -> list[dg.AssetCheckResult]:
    """The findings of a sync from the command line, in the form in which a run reports them."""
    if evaluated.problem:
        names = [name for name in check_names(table) if name not in _OF_THE_LEDGER]
        return [_lost(table, name, evaluated.problem) for name in names]
    results = [_rule_result(table, result) for result in evaluated.rules]
    found = evaluated.checks
    return results + [_kind_result(table, kind, found[kind.name]) for kind, _ in wanted(found)]


def quarantine_results(table: Table, waiting: Callable[[], int]) -> list[dg.AssetCheckResult]:
    """Of a table whose source may send what it cannot take; ``waiting`` counts the records that nobody took up."""
    return _guarded(table, [QUARANTINE], lambda: [quarantine_result(table, waiting())])


def quarantine_result(table: Table, waiting: int) -> dg.AssetCheckResult:
    text = "No record waits in quarantine."
    if waiting:
        text = (
            f"{plural(waiting, 'record')} could not be taken and wait in quarantine: `data-platform quarantine show"
            f" {table.id}` shows them with the reasons."
        )
    return _result(
        table,
        QUARANTINE,
        passed=not waiting,
        description=text,
        severity=WARN,
        metadata={"records_waiting": waiting},
    )


def completeness_results(table: Table, report: Callable[[], CompletenessReport]) -> list[dg.AssetCheckResult]:
    return _guarded(table, [COMPLETE], lambda: [completeness_result(table, report())])


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
    return _result(table, COMPLETE, passed=report.passed, description=text, metadata=metadata)


def _rule_results(
    table: Table, rules: list[Rule], warehouse: Warehouse, to_keep: list[ToKeep]
) -> list[dg.AssetCheckResult]:
    results = evaluate(warehouse, table, only={rule.name for rule in rules})
    held = raw_relation(table)
    if stale(warehouse, held, results) is not None:
        to_keep.append(Findings(held, results))
    return [_rule_result(table, result) for result in results]


def _rule_result(table: Table, result: RuleResult) -> dg.AssetCheckResult:
    return _result(
        table,
        result.rule.name,
        passed=result.passed,
        description=sentence(result),
        severity=WARN if result.rule.severity == "warn" else ERROR,
        metadata=rule_metadata(table.id.raw_name, result),
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
    table: Table, kind: CheckKind, evaluate: Callable[[], KindResult], to_keep: list[ToKeep]
) -> list[dg.AssetCheckResult]:
    result = evaluate()
    to_keep += result.to_keep
    return [_kind_result(table, kind, result)]


def _kind_result(table: Table, kind: CheckKind, result: KindResult) -> dg.AssetCheckResult:
    return _result(
        table,
        kind.name,
        passed=result.passed,
        description=result.text,
        severity=WARN if kind.severity == "warn" else ERROR,
        metadata=dict(result.facts)
        | ({GOOD_UNTIL: result.good_until} if result.good_until else {})
        | {name: shown.plot(sentence, svg) for name, (sentence, svg) in result.plots.items()},
    )


def lapsed_result(
    table: Table, kind: LapsingKind, facts: Mapping[str, Any], now: datetime, read_at: datetime | None
) -> dg.AssetCheckResult:
    """The result of a check whose passing result, with ``facts`` in its metadata, has ended."""
    return _kind_result(table, kind, kind.lapsed(table.checks[kind.name], facts, now, read_at))


def _not_synced(table: Table) -> str:
    return f"{table.id.raw_name} is not loaded yet, so there is nothing to check: materialize it first."


def _guarded(
    table: Table, names: list[str], results: Callable[[], list[dg.AssetCheckResult]]
) -> list[dg.AssetCheckResult]:
    try:
        return results()
    except DataPlatformError as error:
        return [_lost(table, name, str(error)) for name in names]


def _lost(table: Table, name: str, why: str, severity: dg.AssetCheckSeverity = ERROR) -> dg.AssetCheckResult:
    """Of a check that could not be evaluated: nobody knows what it would find."""
    return _result(
        table, name, passed=False, description=why, severity=severity, metadata={NOT_EVALUATED: True}
    )


def _result(
    table: Table,
    name: str,
    *,
    passed: bool,
    description: str,
    severity: dg.AssetCheckSeverity = ERROR,
    metadata: dict[str, Any] | None = None,
) -> dg.AssetCheckResult:
    return CheckResult(
        asset_key=raw_key(table.id),
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
