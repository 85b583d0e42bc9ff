"""Evaluates all rules of a table over its raw table: one scan, then a few rows for each rule that fails.

``rules.py`` defines the rules; the graph turns the results into check results.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from data_platform.errors import QueryFailed, UnsupportedExpression
from data_platform.quality.rule_sql import condition
from data_platform.quality.rules import Rule
from data_platform.tables import TableId, Treatment
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import Dialect, relation


class RuledTable(Protocol):
    """The part of a table that is needed here; the catalog's table satisfies it."""

    @property
    def id(self) -> TableId: ...
    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def rules(self) -> tuple[Rule, ...]: ...
    @property
    def personal(self) -> Mapping[str, Treatment]: ...


@dataclass(frozen=True, slots=True)
class RuleResult:
    """``failing`` of ``rows`` rows break the rule, a share of ``rate`` (0 to 1). ``sample`` holds
    the keys of a few of them and the rule's columns as landed, so personal columns appear
    masked. ``unknown`` rows landed before the rule was added. ``problem`` says why the
    rule could not be evaluated; such a rule does not pass."""

    rule: Rule
    passed: bool
    rows: int
    failing: int
    rate: float
    sample: list[dict[str, Any]] = field(default_factory=list)
    unknown: int = 0
    problem: str | None = None


def evaluate(
    warehouse: Warehouse,
    table: RuledTable,
    samples: int = 5,
    only: Collection[str] | None = None,
    today_sql: str | None = None,
    now_sql: str | None = None,
) -> list[RuleResult]:
    """The result of each rule, in the catalog's order; ``only`` names the wanted ones."""
    rules = [rule for rule in table.rules if only is None or rule.name in only]
    if not rules:
        return []
    dialect = warehouse.dialect
    relations = warehouse.describe(table.id.raw_schema, table.id.table)
    columns = dict(relations[0].columns) if relations else {}
    good: dict[str, str] = {}
    problems: dict[str, str] = {}
    for rule in rules:
        lands = rule.lands(table.personal)
        needed = [rule.landed_column] if lands else list(rule.columns)
        missing = [name for name in needed if name not in columns]
        if missing:
            problems[rule.name] = _missing(table.id, rule, missing, lands, bool(columns))
        elif lands:
            good[rule.name] = f"coalesce({dialect.quote(rule.landed_column)}, true)"
        else:
            try:
                good[rule.name] = condition(rule, dialect, today=today_sql, now=now_sql)
            except UnsupportedExpression as error:
                problems[rule.name] = f"`{rule.text}` cannot be tested in this warehouse: {error}"
    raw = relation(dialect, table.id.raw_schema, table.id.table)
    counts = _counts(warehouse, raw, [rule for rule in rules if rule.name in good], good, table.personal)
    problems |= {
        r.name: _not_run(table.id, r, columns) for r in rules if r.name in good and r.name not in counts
    }
    results = []
    for rule in rules:
        if rule.name in problems:
            results.append(RuleResult(rule, False, 0, 0, 0.0, problem=problems[rule.name]))
            continue
        rows, failing, unknown = counts[rule.name]
        rate = failing / rows if rows else 0.0
        passed = rate <= rule.threshold if rule.threshold is not None else not failing
        sample = [] if passed else _sample(warehouse, raw, table, rule, good[rule.name], columns, samples)
        results.append(RuleResult(rule, passed, rows, failing, rate, sample, unknown))
    return results


def _counts(
    warehouse: Warehouse,
    raw: str,
    rules: Sequence[Rule],
    good: Mapping[str, str],
    personal: Mapping[str, Treatment],
) -> dict[str, tuple[int, int, int]]:
    """Rows, failing rows and rows without a result, for each rule, in one scan. A rule that the engine
    cannot run is left out; the others are then evaluated separately."""
    if not rules:
        return {}
    dialect = warehouse.dialect
    counted = ["count(*)"]
    for rule in rules:
        counted.append(dialect.count_where(f"NOT {good[rule.name]}"))
        unknown = dialect.count_where(f"{dialect.quote(rule.landed_column)} IS NULL")
        counted.append(unknown if rule.lands(personal) else "0")
    try:
        row = warehouse.query(f"SELECT {', '.join(counted)} FROM {raw}").rows[0]
    except QueryFailed:
        if len(rules) == 1:
            return {}
        alone = [_counts(warehouse, raw, [rule], good, personal) for rule in rules]
        return {name: counts for one in alone for name, counts in one.items()}
    return {rule.name: (row[0], row[1 + 2 * n], row[2 + 2 * n]) for n, rule in enumerate(rules)}


def _sample(
    warehouse: Warehouse,
    raw: str,
    table: RuledTable,
    rule: Rule,
    good: str,
    columns: Mapping[str, str],
    samples: int,
) -> list[dict[str, Any]]:
    """The first failing rows by key."""
    if samples < 1:
        return []
    names = [name for name in dict.fromkeys([*table.key, *rule.columns]) if name in columns]
    shown = [_shown(warehouse.dialect, name, columns[name]) for name in names]
    order = ", ".join(str(n + 1) for n, name in enumerate(names) if name in table.key)
    found = warehouse.query(
        f"SELECT {', '.join(shown)} FROM {raw} WHERE NOT {good}"
        + (f" ORDER BY {order}" if order else "")
        + f" LIMIT {int(samples)}"
    )
    return [dict(zip(names, row, strict=True)) for row in found.rows]


def _shown(dialect: Dialect, name: str, type_: str) -> str:
    plain = dialect.quote(name)
    shown = dialect.shown(plain, type_)
    return shown if shown == plain else f"{shown} AS {plain}"


def _not_run(table: TableId, rule: Rule, columns: Mapping[str, str]) -> str:
    """The engine's message is not shown, because it may quote a value."""
    types = ", ".join(f"{name} is {columns[name]}" for name in rule.columns if name in columns)
    return (
        f"`{rule.text}` cannot be run on {table.raw_name}, where {types}: the engine cannot compare these types."
        " Correct the rule in the catalog: compare columns of one type, or write a separate rule for each."
    )


def _missing(table: TableId, rule: Rule, missing: Sequence[str], lands: bool, synced: bool) -> str:
    if not synced:
        return f"{table.raw_name} has not been synced yet, so `{rule.text}` cannot be evaluated. Run `data-platform sync`."
    if lands:
        return (
            f"`{rule.text}` tests a personal column, so it is evaluated while the table is read. The table has not"
            f" been read since the rule was added. Run `data-platform sync --refresh {table}`."
        )
    return (
        f"{table.raw_name} has no column {', '.join(missing)}, which `{rule.text}` tests. Correct the rule in"
        " the catalog, or sync the table if the column is new."
    )
