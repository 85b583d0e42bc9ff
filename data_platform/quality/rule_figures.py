"""A figure of a table's rows, or of each group of them: sums, counts, ages, as SQL."""

from __future__ import annotations

from dataclasses import dataclass

from data_platform.expressions import Expressions, Plain
from data_platform.quality.rule_sql import compared, selected
from data_platform.quality.rules import Rule

_HOUR_MICROS = "3600000000"
_DAY_MICROS = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Figure:
    """``good`` is a condition over aggregates that is never NULL; ``value`` the figure as a double, NULL for a text or a time."""

    good: str
    value: str


def figure(
    rule: Rule, dialect: Expressions, type_: str, today: str, now: str, *, chosen: bool = True
) -> Figure:
    """``type_`` is the engine's type of the rule's column. Without ``chosen``, the rows are chosen already by ``where``."""
    where = selected(rule, dialect) if chosen else None
    column = dialect.quote(rule.columns[0]) if rule.columns else ""
    cased = column if where is None else f"CASE WHEN {where} THEN {column} END"

    def double(sql: str) -> str:
        return f"({sql}) * {dialect.number('1.0')}"

    rows = "count(*)" if where is None else dialect.count_where(where)
    read = "1 = 1"  # whether every value could be read as what it is compared with
    if rule.measure == "row_count":
        value = double(rows)
    elif rule.measure == "distinct":
        value = double(f"count(DISTINCT {dialect.keyed(cased, type_)})")
    elif rule.measure == "null_rate":
        nulls = dialect.count_where(f"{where or '1 = 1'} AND {column} IS NULL")
        value = f"CASE WHEN {rows} = 0 THEN {dialect.number('0.0')} ELSE {double(nulls)} / {rows} END"
    elif rule.measure == "age":
        return _age(rule, dialect, cased, type_, now)
    else:
        kinds = {operand.kind for operand in rule.operands}
        as_: Plain = "number"
        if rule.measure in ("min", "max") and kinds and kinds != {"number"}:
            as_ = "text" if kinds == {"text"} else "instant" if kinds == {"now"} else "date"
        cast = dialect.try_cast(cased, as_)
        read = f"{dialect.count_where(f'{cased} IS NOT NULL AND {cast} IS NULL')} = 0"
        value = f"{rule.measure}({cast})"
        if rule.measure == "sum":
            value = f"coalesce({value}, {dialect.number('0.0')})"
        if as_ != "number":
            good = compared(rule, dialect, lambda _: value, today, now)
            nothing = f"CAST(NULL AS {dialect.type('DOUBLE')})"
            return Figure(f"coalesce({read} AND {good}, false)", nothing)
    if rule.operator == "equals":
        return Figure(read, value)
    good = compared(rule, dialect, lambda _: value, today, now)
    return Figure(f"coalesce({read} AND {good}, false)", value)


def _age(rule: Rule, dialect: Expressions, column: str, type_: str, now: str) -> Figure:
    """Hours since the newest value; a day is as old as its end."""
    micros = f"{dialect.micros(now)} - {dialect.micros(f'max({column})')}"
    if type_.upper().endswith("DATE"):
        micros = f"{micros} - {_DAY_MICROS}"
    hours = f"({micros}) / {dialect.number(_HOUR_MICROS)}"
    return Figure(f"coalesce({hours} {rule.operator} {dialect.number(rule.operands[0].value)}, false)", hours)
