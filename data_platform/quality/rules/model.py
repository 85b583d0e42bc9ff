"""What a rule is, after its line was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from data_platform.tables import RULE_PREFIX, Treatment

Kind = Literal["row", "rate", "table"]
Severity = Literal["error", "warn"]
OperandKind = Literal["number", "date", "text", "boolean", "today", "now", "column"]
Form = Literal[
    "compare",
    "not_null",
    "contains",
    "between",
    "in",
    "not_in",
    "matches",
    "null_rate",
    "sql",
    "unique",
    "references",
    "increases",
    "never_decreases",
    "no_gap",
    "figure",
    "change",
    "query",
]
Measure = Literal["", "row_count", "sum", "avg", "min", "max", "distinct", "null_rate", "age"]

_OF_ROWS: frozenset[Form] = frozenset(
    (
        *("compare", "not_null", "contains", "between", "in", "not_in", "matches", "sql"),
        *("unique", "references", "increases", "never_decreases", "no_gap"),
    )
)
"""The forms that single rows break."""

FORMS = (
    '`revenue >= 0`, `user_id not null`, `email contains "@"`, `age between 0 and 150`,'
    ' `status in [paid, shipped]`, `sku matches "^[A-Z]"`, `order_date <= today`,'
    " `null_rate(coupon_code) <= 0.05`, `unique(user_id, day)`, `user_id references users.id`,"
    " `row_count() >= 1` or `sum(revenue) >= 0 per day`"
)


@dataclass(frozen=True, slots=True)
class Operand:
    """The right-hand side: ``value`` is the text as written, without its quotes."""

    kind: OperandKind
    value: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule on one table.

    ``name`` is a slug, unique within its table. ``blocking`` keeps a failure from flowing downstream. A rule of kind ``row`` is
    true or false of each row by itself; ``rate`` is the share of NULLs in a column; ``table`` needs several rows.
    ``threshold`` is the share (0 to 1) of bad rows that a rule of kind ``row`` or ``rate`` allows, None for none of them.
    ``columns`` are all the columns of its own table that it names. ``where`` is an SQL condition: only rows that meet it are
    looked at.
    """

    text: str
    name: str
    columns: tuple[str, ...]
    kind: Kind
    form: Form
    operator: str = ""
    operands: tuple[Operand, ...] = ()
    blocking: bool = False
    severity: Severity = "error"
    threshold: float | None = None
    owner: str | None = None
    where: str | None = None
    sql: str | None = None
    """The condition of the form ``sql``, or the query of ``query`` and of ``figure`` with the operator ``equals``."""
    subqueries: bool = False
    measure: Measure = ""
    other: tuple[str, str, str] | None = None
    """(source, table, column) that a column references; the source is empty for the table's own."""
    per: tuple[str, ...] = ()
    """Columns by whose values the rows are grouped."""
    per_day: bool = False
    """Whether each day of the table's partitions is a group."""
    keys: tuple[str, ...] = ()
    """The columns that ``unique`` compares."""
    over: str = ""
    """The column that gives the order of the rows."""
    limit: float | None = None
    """The greatest gap in microseconds or in numbers; the tolerance of ``equals``."""
    relative: bool = False
    """Whether ``limit`` is a number (a gap) or a share (a tolerance)."""

    @property
    def by_day(self) -> bool:
        """Whether it is true of a table exactly if it is true of each day: what breaks it are rows or days, and none may."""
        return self.threshold is None and (self.per_day or self.form in _OF_ROWS)

    @property
    def landed_column(self) -> str:
        """The boolean column with the result, if ``lands`` is true."""
        return RULE_PREFIX + self.name

    def lands(self, treatments: Mapping[str, Treatment]) -> bool:
        """Whether it is evaluated during extraction, because it needs a clear value that must
        not leave the source. Every treatment preserves NULLs, so a rate rule never needs this."""
        return self.kind == "row" and any(treatments.get(c, "keep") != "keep" for c in self.columns)

    def unclear(self, treatments: Mapping[str, Treatment]) -> str | None:
        """A treated column whose landed values cannot answer this rule, which is not evaluated during extraction."""
        if self.kind == "row" or self.form == "query":
            return None
        hashed_will_do = self.form in ("unique", "references") or self.measure == "distinct"
        for column in self.columns:
            treatment = treatments.get(column, "keep")
            counts_nulls = (self.form == "null_rate" or self.measure == "null_rate") and not self.where
            if treatment == "keep" or (counts_nulls and column not in self.per):
                continue
            if treatment == "hash" and not self.where and (hashed_will_do or column in self.per):
                continue
            return column
        return None
