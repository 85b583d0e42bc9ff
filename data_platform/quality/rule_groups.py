"""Rules that need several rows, as a FROM item of what is counted and the condition of what is wrong in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from data_platform.errors import UnsupportedExpression
from data_platform.expressions import Expressions, relation
from data_platform.quality.rule_figures import figure
from data_platform.quality.rule_sql import condition, selected
from data_platform.quality.rules import Rule
from data_platform.quality.rules.sql import query_sql
from data_platform.tables import TableId
from data_platform.warehouses import PLATFORM_SCHEMA


@dataclass(frozen=True, slots=True)
class Held:
    """A table as the warehouse holds it: ``raw`` names it in a statement, ``columns`` are its engine's types by name.
    ``batches`` is the table whose loads are recorded, None for a model. ``others`` gives the relation and the types of a table
    that a rule references, None if it is not there."""

    dialect: Expressions
    raw: str
    columns: Mapping[str, str]
    today: str
    now: str
    partition: str | None = None
    timezone: str = "UTC"
    batches: TableId | None = None
    others: Callable[[Rule], tuple[str, Mapping[str, str]] | None] = lambda rule: None


@dataclass(frozen=True, slots=True)
class Groups:
    """``source`` is a FROM item with the columns ``shown``, all of its columns if there are none. ``bad`` is true of what breaks
    the rule in it. ``counted`` is a cheaper query for (how many, how many bad)."""

    source: str
    bad: str
    shown: tuple[str, ...] = ()
    counted: str | None = None

    def counts(self, dialect: Expressions) -> str:
        """A query of one row: how many there are, and how many are bad."""
        if self.counted is not None:
            return self.counted
        return f"SELECT count(*) AS n, {dialect.count_where(self.bad)} AS bad FROM {self.source} g"


def groups(rule: Rule, held: Held, shown: Sequence[str]) -> Groups:
    """``shown`` are columns of the table that tell a row. ``UnsupportedExpression`` for what this table or its engine cannot
    answer."""
    if rule.form == "unique":
        return _unique(rule, held, shown)
    if rule.form == "references":
        return _references(rule, held, shown)
    if rule.form in ("increases", "never_decreases"):
        return _ordered(rule, held, shown)
    if rule.form == "no_gap":
        return _gaps(rule, held, shown)
    if rule.form == "change":
        return _change(rule, held)
    if rule.form == "query":
        return Groups(f"({query_sql(rule.sql or '', held.dialect, held.raw)})", "1 = 1")
    return _equals(rule, held) if rule.operator == "equals" else _figures(rule, held)


def check_fit(rule: Rule, dialect: Expressions) -> None:
    """``UnsupportedExpression`` if the engine of ``dialect`` cannot test the rule, whatever its table holds."""
    if rule.kind != "table":
        condition(rule, dialect)
        return
    text, instant = dialect.type("VARCHAR"), dialect.type("TIMESTAMPTZ")
    day = "day_"
    columns = dict.fromkeys(rule.columns, text) | {day: instant}
    other = "other", dict.fromkeys([rule.other[2]] if rule.other else [], text)
    held = Held(
        *(
            dialect,
            dialect.quote("t"),
            columns,
            dialect.today(),
            dialect.now(),
            day,
            "UTC",
            TableId("s", "t"),
        ),
        lambda rule: other,
    )
    if rule.form == "figure" and not (rule.per or rule.per_day or rule.operator == "equals"):
        figure(rule, dialect, text, held.today, held.now)
    else:
        groups(rule, held, rule.columns)


def _unique(rule: Rule, held: Held, shown: Sequence[str]) -> Groups:
    quote = held.dialect.quote
    keys = [held.dialect.keyed(quote(name), held.columns[name]) for name in rule.keys]
    where = _where(rule, held, [f"{quote(name)} IS NOT NULL" for name in rule.keys])
    counted = (
        f"SELECT coalesce(sum(n), 0) AS n, coalesce(sum(CASE WHEN n > 1 THEN n ELSE 0 END), 0) AS bad"
        f" FROM (SELECT count(*) AS n FROM {held.raw} t WHERE {where} GROUP BY {', '.join(keys)}) u"
    )
    columns = _columns(held, shown)
    repeated = f"count(*) OVER (PARTITION BY {', '.join(keys)}) AS repeated_"
    return Groups(
        f"(SELECT {', '.join([*columns, repeated])} FROM {held.raw} t WHERE {where})",
        "repeated_ > 1",
        tuple(shown),
        counted,
    )


def _references(rule: Rule, held: Held, shown: Sequence[str]) -> Groups:
    found = held.others(rule)
    source, table, column = rule.other or ("", "", "")
    if found is None:
        raise UnsupportedExpression(
            f"the table {'/'.join(filter(None, (source, table)))} is not in the warehouse yet"
        )
    other, types = found
    if column not in types:
        raise UnsupportedExpression(f"the table {table} has no column {column}")
    quote, own = held.dialect.quote, rule.columns[0]
    value = held.dialect.keyed(quote(own), held.columns[own])
    key = held.dialect.keyed(quote(column), types[column])
    where = _where(rule, held, [f"{quote(own)} IS NOT NULL"])
    mine = f"(SELECT {', '.join([*_columns(held, shown), f'{value} AS value_'])} FROM {held.raw} t WHERE {where})"
    theirs = f"(SELECT DISTINCT {key} AS key_ FROM {other} o WHERE {quote(column)} IS NOT NULL)"
    names = ", ".join(f"m.{quote(name)} AS {quote(name)}" for name in shown)
    joined = f"(SELECT {names}{', ' if names else ''}r.key_ AS key_ FROM {mine} m LEFT JOIN {theirs} r ON m.value_ = r.key_)"
    return Groups(joined, "key_ IS NULL", tuple(shown))


def _ordered(rule: Rule, held: Held, shown: Sequence[str]) -> Groups:
    quote = held.dialect.quote
    value, over = quote(rule.columns[0]), quote(rule.over)
    where = _where(rule, held, [f"{value} IS NOT NULL", f"{over} IS NOT NULL"])
    before = f"lag({value}) OVER ({_partition(rule, held)}ORDER BY {over}, {value})"
    return Groups(
        f"(SELECT {', '.join([*_columns(held, shown), f'{value} AS value_', f'{before} AS before_'])}"
        f" FROM {held.raw} t WHERE {where})",
        "value_ <= before_" if rule.form == "increases" else "value_ < before_",
        tuple(shown),
    )


def _gaps(rule: Rule, held: Held, shown: Sequence[str]) -> Groups:
    dialect, name = held.dialect, held.dialect.quote(rule.columns[0])
    value = dialect.try_cast(name, "number") if rule.relative else dialect.micros(name)
    limit = dialect.number(f"{rule.limit:.17g}")
    where = _where(rule, held, [f"{name} IS NOT NULL"])
    inner = f"(SELECT {', '.join([*_columns(held, shown, rule.per), f'{value} AS value_'])} FROM {held.raw} t WHERE {where})"
    before = f"lag(value_) OVER ({_partition(rule, held)}ORDER BY value_)"
    names = ", ".join([*map(dialect.quote, shown), "value_", f"{before} AS before_"])
    return Groups(
        f"(SELECT {names} FROM {inner} v)", f"(value_ IS NULL OR value_ - before_ > {limit})", tuple(shown)
    )


def _figures(rule: Rule, held: Held) -> Groups:
    """A row for each group: its values, the figure, and whether that is good."""
    quote = held.dialect.quote
    named = [(name, quote(name)) for name in rule.per]
    given: list[str] = []
    if rule.per_day:
        if held.partition is None:
            raise UnsupportedExpression("`per day` needs a table with a `partition` column")
        day = held.dialect.day(quote(held.partition), held.columns[held.partition], held.timezone)
        named.append((held.partition, day))
        given.append(f"{quote(held.partition)} IS NOT NULL")
    type_ = held.columns[rule.columns[0]] if rule.columns else ""
    found = figure(rule, held.dialect, type_, held.today, held.now, chosen=False)
    keys = ", ".join(f"{sql} AS group_{number}" for number, (_, sql) in enumerate(named))
    value, good = f"{found.value} AS value_", f"CASE WHEN {found.good} THEN 1 ELSE 0 END AS good_"
    numbers = ", ".join(str(number + 1) for number in range(len(named)))
    grouped = f"(SELECT {keys}, {value}, {good} FROM {held.raw} t WHERE {_where(rule, held, given)} GROUP BY {numbers})"
    names = ", ".join(f"group_{number} AS {quote(name)}" for number, (name, _) in enumerate(named))
    shown = (*(name for name, _ in named), "figure")
    return Groups(
        f"(SELECT {names}, value_ AS {quote('figure')}, good_ FROM {grouped} f)", "good_ = 0", shown
    )


def _equals(rule: Rule, held: Held) -> Groups:
    dialect = held.dialect
    type_ = held.columns[rule.columns[0]] if rule.columns else ""
    found = figure(rule, dialect, type_, held.today, held.now, chosen=False)
    mine = f"(SELECT {found.value} AS ours_, CASE WHEN {found.good} THEN 1 ELSE 0 END AS read_ FROM {held.raw} t WHERE {_where(rule, held, [])})"
    theirs = query_sql(rule.sql or "", dialect, held.raw, alias="answer_")
    expected = f"(SELECT {dialect.try_cast('answer_', 'number')} AS theirs_ FROM ({theirs}) q)"
    limit = dialect.number(f"{rule.limit or 0.0:.17g}")
    allowed = f"{limit} * abs(theirs_)" if rule.relative else limit
    shown = (dialect.quote("figure"), dialect.quote("expected"))
    return Groups(
        f"(SELECT ours_ AS {shown[0]}, theirs_ AS {shown[1]}, CASE WHEN coalesce(read_ = 1 AND abs(ours_ - theirs_) <= {allowed}, false)"
        f" THEN 1 ELSE 0 END AS good_ FROM {mine} a CROSS JOIN {expected} b)",
        "good_ = 0",
        ("figure", "expected"),
    )


def _change(rule: Rule, held: Held) -> Groups:
    """The rows now and before the newest load, which the warehouse's own record tells. The first load has nothing before it."""
    dialect, table = held.dialect, held.batches
    if table is None:
        raise UnsupportedExpression("only a table that is loaded has a load before; a model has none")
    quote = dialect.quote
    loaded = relation(dialect, PLATFORM_SCHEMA, "loaded_batches")
    own = f"{quote('source')} = {dialect.literal(table.source)} AND {quote('table')} = {dialect.literal(table.table)}"
    newest = f"SELECT max({quote('sequence')}) FROM {loaded} WHERE {own}"
    came = (
        f"(SELECT {quote('rows_inserted')} - {quote('rows_deleted')} AS came_, {quote('sequence')} AS number_ FROM {loaded}"
        f" WHERE {own} AND {quote('sequence')} = ({newest}))"
    )
    both = f"(SELECT n_ AS now_, n_ - came_ AS before_, number_ FROM (SELECT count(*) AS n_ FROM {held.raw} t) a CROSS JOIN {came} b)"
    share = f"(now_ - before_) * {dialect.number('1.0')}"
    tests = []
    low, high = (operand.value for operand in rule.operands)
    if low:
        tests.append(f"{share} >= {dialect.number(low)} * before_")
    if high:
        tests.append(f"{share} <= {dialect.number(high)} * before_")
    shown = ("rows_now", "rows_before")
    return Groups(
        f"(SELECT now_ AS {quote(shown[0])}, before_ AS {quote(shown[1])}, CASE WHEN number_ = 1 OR ({' AND '.join(tests)})"
        f" THEN 1 ELSE 0 END AS good_ FROM {both} c)",
        "good_ = 0",
        shown,
    )


def _partition(rule: Rule, held: Held) -> str:
    keys = [held.dialect.keyed(held.dialect.quote(name), held.columns[name]) for name in rule.per]
    return f"PARTITION BY {', '.join(keys)} " if keys else ""


def _where(rule: Rule, held: Held, given: Sequence[str]) -> str:
    chosen = selected(rule, held.dialect)
    return " AND ".join([*given, *([chosen] if chosen else [])]) or "1 = 1"


def _columns(held: Held, shown: Sequence[str], more: Sequence[str] = ()) -> list[str]:
    return [held.dialect.quote(name) for name in dict.fromkeys([*shown, *more])]
