"""Evaluates all rules of a table over what the warehouse holds of it: one scan for all that one scan can answer, one more
statement for the rules that need several rows, then the rows of each rule that fails.

``rules`` defines the rules; the graph turns the results into check results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from data_platform.errors import QueryFailed, UnsupportedExpression, UnsupportedType
from data_platform.expressions import Expressions, relation
from data_platform.quality.asked import Asked
from data_platform.quality.at_source import AtSource
from data_platform.quality.rule_days import by_slice, days_failing, days_unknown
from data_platform.quality.rule_figures import Figure, figure
from data_platform.quality.rule_groups import Groups, Held, groups
from data_platform.quality.rule_sql import condition, selected
from data_platform.quality.rules import Rule
from data_platform.tables import TableId, Treatment
from data_platform.warehouses import Warehouse

SAMPLES, FAILURES_MAX = 5, 100


class RuledTable(Protocol):
    """The part of a table that is needed here; the catalog's table satisfies it."""

    @property
    def id(self) -> TableId: ...
    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def rules(self) -> tuple[Rule, ...]: ...
    @property
    def treatments(self) -> Mapping[str, Treatment]: ...
    @property
    def partition(self) -> str | None: ...
    @property
    def timezone(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RuledRelation:
    """A relation of the warehouse with its rules. ``loads`` is the table whose loads are recorded; a model has none."""

    schema: str
    name: str
    key: tuple[str, ...]
    rules: tuple[Rule, ...]
    treatments: Mapping[str, Treatment] = field(default_factory=dict)
    partition: str | None = None
    timezone: str = "UTC"
    loads: TableId | None = None
    source: AtSource | None = None
    """Set for a table that is asked at its source."""

    @property
    def label(self) -> str:
        """Its name in ``quality.failures``."""
        return self.source.label if self.source else f"{self.schema}.{self.name}"


def raw_relation(table: RuledTable) -> RuledRelation:
    return RuledRelation(
        *(table.id.raw_schema, table.id.table, table.key, table.rules, table.treatments),
        *(table.partition, table.timezone, table.id),
    )


@dataclass(frozen=True, slots=True)
class RuleResult:
    """``failing`` of ``rows`` rows break the rule, a share of ``rate`` (0 to 1); of a rule over groups, they are groups. ``sample`` holds
    the keys of a few of them and the rule's columns as landed, so personal columns appear
    masked; ``failures`` holds more of them. ``unknown`` rows landed before the rule was added. ``value`` is the figure of a rule
    about the whole table. ``problem`` says why the rule could not be evaluated; such a rule does not pass. ``days`` counts what
    fails by day, of rows without a day under ``null``; None if the table has no days, or if what breaks the rule is of no day.
    ``days_unknown`` are the days of ``unknown`` rows."""

    rule: Rule
    passed: bool
    rows: int
    failing: int
    rate: float
    sample: list[dict[str, Any]] = field(default_factory=list)
    unknown: int = 0
    problem: str | None = None
    value: float | None = None
    failures: list[dict[str, Any]] = field(default_factory=list)
    days: dict[str, int] | None = None
    days_unknown: list[str] = field(default_factory=list)


def not_evaluated(rule: Rule, problem: str) -> RuleResult:
    return RuleResult(rule, False, 0, 0, 0.0, problem=problem)


def evaluate(
    warehouse: Warehouse,
    table: RuledTable,
    samples: int = SAMPLES,
    only: Collection[str] | None = None,
    today_sql: str | None = None,
    now_sql: str | None = None,
) -> list[RuleResult]:
    """The result of each rule, in the catalog's order; ``only`` names the wanted ones."""
    return evaluate_relation(warehouse, raw_relation(table), samples, only, today_sql, now_sql)


def evaluate_relation(
    warehouse: Asked,
    table: RuledRelation,
    samples: int = SAMPLES,
    only: Collection[str] | None = None,
    today_sql: str | None = None,
    now_sql: str | None = None,
) -> list[RuleResult]:
    rules = [rule for rule in table.rules if only is None or rule.name in only]
    if not rules:
        return []
    described = warehouse.describe(table.schema, table.name)
    columns = dict(described[0].columns) if described else {}
    dialect = warehouse.dialect
    held = Held(
        dialect,
        relation(dialect, table.schema, table.name),
        columns,
        today_sql or dialect.today(),
        now_sql or dialect.now(),
        table.partition,
        table.timezone,
        table.loads,
        lambda rule: _other(warehouse, table, rule),
    )
    return _Evaluation(warehouse, table, held, samples).results(rules)


@dataclass(frozen=True, slots=True)
class _Scanned:
    """What one scan answers about a rule: expressions of whole numbers (rows, failing, unknown), and of the figure."""

    counts: tuple[str, str, str]
    value: str | None
    bad: str | None
    """The condition of a failing row; None where no row by itself fails."""


class _Evaluation:
    def __init__(self, warehouse: Asked, table: RuledRelation, held: Held, samples: int) -> None:
        self.warehouse, self.table, self.held, self.samples = warehouse, table, held, samples
        self.dialect = held.dialect
        self.problems: dict[str, str] = {}

    def results(self, rules: Sequence[Rule]) -> list[RuleResult]:
        scanned: dict[str, _Scanned] = {}
        grouped: dict[str, Groups] = {}
        for rule in rules:
            try:
                self._prepare(rule, scanned, grouped)
            except (UnsupportedExpression, UnsupportedType) as error:
                self.problems[rule.name] = f"`{rule.text}` cannot be tested in this warehouse: {error}"
        found = self._scan(scanned) | self._count(grouped)
        results = []
        for rule in rules:
            if rule.name not in found:
                problem = self.problems.get(rule.name) or _not_run(self.table, rule, self.held.columns)
                results.append(not_evaluated(rule, problem))
                continue
            rows, failing, unknown, value = found[rule.name]
            rate = failing / rows if rows else 0.0
            passed = rate <= rule.threshold if rule.threshold is not None else not failing
            failures: list[dict[str, Any]] = []
            bad = scanned[rule.name].bad if rule.name in scanned else None
            source = self.table.source
            if not passed and not (source and source.keeps_no_row(rule)):
                groups_of = grouped.get(rule.name)
                failures = self._of_groups(rule, groups_of) if groups_of else self._of_rows(rule, bad)
            sample = failures[: self.samples]
            if source and source.hides(rule):
                value = None  # the figure may be a value of a row
            days = self._days(partial(days_failing, rule, self.held, bad), not passed)
            waiting: dict[str, int] | None = {}
            if days is not None and unknown:
                waiting = self._days(partial(days_unknown, rule, self.held), True)
                days = None if waiting is None else days
            results.append(
                RuleResult(
                    *(rule, passed, rows, failing, rate, sample, unknown, None, value, failures, days),
                    [*(waiting or ())],
                )
            )
        return results

    def _days(self, sql: Callable[[], str | None], some: bool) -> dict[str, int] | None:
        """What ``sql`` finds by day; it is not asked where there is nothing to find."""
        try:
            asked = sql()
            if asked is None or not some:
                return None if asked is None else {}
            return by_slice(self.warehouse.query(asked).rows)
        except (UnsupportedExpression, UnsupportedType, QueryFailed):
            return None  # the rule itself was answered

    def _prepare(self, rule: Rule, scanned: dict[str, _Scanned], grouped: dict[str, Groups]) -> None:
        lands, columns = rule.lands(self.table.treatments), self.held.columns
        needed = [rule.landed_column] if lands else [*rule.columns]
        if rule.per_day and self.table.partition:
            needed.append(self.table.partition)
        missing = [name for name in needed if name not in columns]
        if missing or not columns:
            self.problems[rule.name] = _missing(self.table, rule, missing, lands, bool(columns))
        elif rule.kind != "table":
            scanned[rule.name] = self._row(rule, lands)
        elif rule.form == "figure" and not (rule.per or rule.per_day or rule.operator == "equals"):
            type_ = columns[rule.columns[0]] if rule.columns else ""
            scanned[rule.name] = _whole(figure(rule, self.dialect, type_, self.held.today, self.held.now))
        else:
            grouped[rule.name] = groups(rule, self.held, self._names(rule))

    def _row(self, rule: Rule, lands: bool) -> _Scanned:
        dialect = self.dialect
        if lands:
            landed = dialect.quote(rule.landed_column)
            bad = f"NOT coalesce({landed}, true)"
            unknown = dialect.count_where(f"{landed} IS NULL")
            return _Scanned(("count(*)", dialect.count_where(bad), unknown), None, bad)
        good = condition(rule, dialect, today=self.held.today, now=self.held.now)
        chosen = selected(rule, dialect)
        rows = "count(*)" if chosen is None else dialect.count_where(chosen)
        return _Scanned((rows, dialect.count_where(f"NOT {good}"), "0"), None, f"NOT {good}")

    def _scan(self, scanned: Mapping[str, _Scanned]) -> dict[str, tuple[int, int, int, float | None]]:
        """In one scan. A rule that the engine cannot run is left out; the others are then evaluated separately."""
        if not scanned:
            return {}
        asked = [
            part for one in scanned.values() for part in (*one.counts, *([one.value] if one.value else []))
        ]
        try:
            row = list(self.warehouse.query(f"SELECT {', '.join(asked)} FROM {self.held.raw}").rows[0])
        except QueryFailed as error:
            return self._alone(scanned, self._scan, error)
        found = {}
        for name, one in scanned.items():
            rows, failing, unknown = (_number(row.pop(0)) for _ in range(3))
            value = row.pop(0) if one.value else None
            found[name] = (rows, failing, unknown, None if value is None else float(value))
        return found

    def _count(self, grouped: Mapping[str, Groups]) -> dict[str, tuple[int, int, int, float | None]]:
        """In one statement, or separately where the engine cannot run one of them."""
        if not grouped:
            return {}
        asked = " UNION ALL ".join(
            f"SELECT {number} AS rule_, n, bad FROM ({one.counts(self.dialect)}) c{number}"
            for number, one in enumerate(grouped.values())
        )
        try:
            rows = self.warehouse.query(asked).rows
        except QueryFailed as error:
            return self._alone(grouped, self._count, error)
        names = list(grouped)
        return {names[int(number)]: (_number(n), _number(bad), 0, None) for number, n, bad in rows}

    def _alone(
        self, many: Mapping[str, Any], ask: Callable[[Mapping[str, Any]], dict[str, Any]], error: QueryFailed
    ) -> dict[str, Any]:
        if len(many) == 1:
            if self.table.source:  # a source's errors hold no value of a row
                self.problems |= dict.fromkeys(many, f"It cannot be evaluated. {error}")
            return {}
        return {name: found for one in many.items() for name, found in ask(dict([one])).items()}

    def _names(self, rule: Rule) -> list[str]:
        """The columns that tell a failing row: its key and what the rule tests."""
        names = dict.fromkeys([*self.table.key, *rule.columns])
        return [name for name in names if name in self.held.columns]

    def _of_rows(self, rule: Rule, bad: str | None) -> list[dict[str, Any]]:
        """The first failing rows by key."""
        return [] if bad is None else self._shown(rule, f"{self.held.raw} t", bad, self._names(rule))

    def _of_groups(self, rule: Rule, found: Groups) -> list[dict[str, Any]]:
        return self._shown(rule, f"{found.source} g", found.bad, list(found.shown))

    def _shown(self, rule: Rule, source: str, bad: str, names: Sequence[str]) -> list[dict[str, Any]]:
        if self.samples < 1:
            return []
        types = self.held.columns
        hidden = self.table.source.hidden_of(rule, names) if self.table.source else ()
        shown = [_shown(self.dialect, name, types.get(name, ""), name in hidden) for name in names] or ["*"]
        keys = [name for name in self.table.key if name not in hidden]
        order = ", ".join(str(n + 1) for n, name in enumerate(names) if name in keys)
        found = self.warehouse.query(
            f"SELECT {', '.join(shown)} FROM {source} WHERE {bad}"
            + (f" ORDER BY {order}" if order else "")
            + f" LIMIT {max(self.samples, FAILURES_MAX)}"
        )
        return [dict(zip(names or found.columns, row, strict=True)) for row in found.rows]


def _number(counted: Any) -> int:
    """A count; some engines say NULL where they count in no rows at all."""
    return 0 if counted is None else int(counted)


def _whole(found: Figure) -> _Scanned:
    return _Scanned(("1", f"CASE WHEN {found.good} THEN 0 ELSE 1 END", "0"), found.value, None)


def _other(warehouse: Asked, table: RuledRelation, rule: Rule) -> tuple[str, Mapping[str, str]] | None:
    """The relation that a rule references: of another source, or beside its own table."""
    source, name, _ = rule.other or ("", "", "")
    schema = TableId(source, name).raw_schema if source else table.schema
    if table.source:
        schema, name = table.source.relations[name]
    described = warehouse.describe(schema, name)
    return (relation(warehouse.dialect, schema, name), dict(described[0].columns)) if described else None


def _shown(dialect: Expressions, name: str, type_: str, hidden: bool = False) -> str:
    plain = dialect.quote(name)
    if hidden:
        return f"NULL AS {plain}"
    shown = dialect.shown(plain, type_)
    return shown if shown == plain else f"{shown} AS {plain}"


def _not_run(table: RuledRelation, rule: Rule, columns: Mapping[str, str]) -> str:
    """The engine's message is not shown, because it may quote a value."""
    types = ", ".join(f"{name} is {columns[name]}" for name in rule.columns if name in columns)
    if rule.sql is not None:
        why = "the engine refused its SQL. Correct it in the catalog: does every table and column exist?"
    else:
        why = (
            "the engine cannot compare these types. Correct the rule in the catalog: compare columns of one type, or"
            " write a separate rule for each."
        )
    return f"`{rule.text}` cannot be run on {table.label}{f', where {types}' if types else ''}: {why}"


def _missing(table: RuledRelation, rule: Rule, missing: Sequence[str], lands: bool, there: bool) -> str:
    if table.source:
        return table.source.missing(rule, missing)
    if not there:
        if table.loads is None:
            return f"{table.label} is not built yet, so `{rule.text}` cannot be evaluated. Build the model."
        return f"{table.label} has not been synced yet, so `{rule.text}` cannot be evaluated. Run `data-platform sync`."
    if lands:
        return (
            f"`{rule.text}` tests a personal column, so it is evaluated while the table is read. The table has not"
            f" been read since the rule was added. Run `data-platform sync --refresh {table.loads}`."
        )
    return (
        f"{table.label} has no column {', '.join(missing)}, which `{rule.text}` tests. Correct the rule in"
        " the catalog" + (", or sync the table if the column is new." if table.loads else ".")
    )
