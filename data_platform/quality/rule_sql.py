"""A rule as a condition on a row, in the dialect of the engine that tests it."""

from __future__ import annotations

from collections.abc import Callable

from data_platform.expressions import Expressions, Plain
from data_platform.quality.rules import Operand, OperandKind, Rule
from data_platform.quality.rules.sql import condition_sql

_COMPARED_AS: dict[OperandKind, Plain] = {
    "number": "number",
    "date": "date",
    "today": "date",
    "now": "instant",
    "boolean": "boolean",
    "text": "text",
}


def condition(
    rule: Rule,
    dialect: Expressions,
    column_sql: Callable[[str], str] | None = None,
    *,
    today: str | None = None,
    now: str | None = None,
) -> str:
    """A condition that is never NULL, and true if the row passes.

    ``column_sql`` turns a column's name into SQL, by default its quoted name; ``today`` and ``now`` are SQL for a
    day and an instant if they are not the engine's current ones. The session's time zone must be UTC. A row that the rule does
    not look at passes.
    ``UnsupportedExpression`` if the engine cannot test the rule exactly.
    """
    named = column_sql or dialect.quote
    good = _good(rule, dialect, named, today or dialect.today(), now or dialect.now())
    chosen = selected(rule, dialect, named)
    return good if chosen is None else f"(NOT {chosen} OR {good})"


def selected(rule: Rule, dialect: Expressions, column_sql: Callable[[str], str] | None = None) -> str | None:
    """Whether the rule looks at a row, never NULL; None if it looks at all of them."""
    if rule.where is None:
        return None
    written = condition_sql(rule.where, dialect, column_sql or dialect.quote, subqueries=rule.subqueries)
    return f"coalesce({written}, false)"


def compared(rule: Rule, dialect: Expressions, values: Callable[[Plain], str], today: str, now: str) -> str:
    """Whether a figure meets the rule's comparison; ``values`` gives it in the type that it is compared as."""

    def value(operand: Operand) -> str:
        return _value(dialect, operand, today, now)

    def as_compared(operand: Operand) -> str:
        return values(_COMPARED_AS[operand.kind])

    if rule.operator == "between":
        low, high = rule.operands
        return f"{as_compared(low)} >= {value(low)} AND {as_compared(high)} <= {value(high)}"
    first = rule.operands[0]
    return f"{as_compared(first)} {_operator(rule)} {value(first)}"


def _good(rule: Rule, dialect: Expressions, named: Callable[[str], str], today: str, now: str) -> str:
    if rule.form == "sql":
        written = condition_sql(rule.sql or "", dialect, named, subqueries=rule.subqueries)
        return f"coalesce({written}, true)"
    columns = [named(name) for name in rule.columns]
    column = columns[0]
    if rule.form in ("not_null", "null_rate"):
        return f"({column} IS NOT NULL)"
    if rule.operands[0].kind == "column":
        return f"coalesce({column} {_operator(rule)} {columns[1]}, true)"

    def value(operand: Operand) -> str:
        return _value(dialect, operand, today, now)

    def as_compared(operand: Operand) -> str:
        """The column converted to the type that it is compared with, whatever type it landed as."""
        return dialect.try_cast(column, _COMPARED_AS[operand.kind])

    first = rule.operands[0]
    if rule.form == "contains":
        good = dialect.contains(column, first.value)
    elif rule.form == "matches":
        good = dialect.matches(column, first.value)
    elif rule.form in ("in", "not_in"):
        word = "IN" if rule.form == "in" else "NOT IN"
        good = f"{as_compared(first)} {word} ({', '.join(map(value, rule.operands))})"
    elif rule.form == "between":
        low, high = rule.operands
        good = f"{as_compared(low)} >= {value(low)} AND {as_compared(high)} <= {value(high)}"
    else:
        good = f"{as_compared(first)} {_operator(rule)} {value(first)}"
    return f"({column} IS NULL OR coalesce({good}, false))"


def _operator(rule: Rule) -> str:
    return "<>" if rule.operator == "!=" else rule.operator


def _value(dialect: Expressions, operand: Operand, today: str, now: str) -> str:
    match operand.kind:
        case "number":
            return dialect.number(operand.value)
        case "date":
            return dialect.date(operand.value)
        case "today":
            return today
        case "now":
            return now
        case "boolean":
            return operand.value
        case _:
            return dialect.literal(operand.value)
