"""The rule of a table, and the day that it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from data_platform.expressions import Expressions
from data_platform.tables import TableId
from data_platform.yaml_fields import ColumnName, Model

Then = Literal["delete", "anonymise"]


class RetentionRule(Model):
    """``retention: {days: 400, by: occurred_at}`` in a table's block."""

    days: int = Field(ge=1, le=36_600, description="For how many days a row is kept.")
    by: ColumnName = Field(description="The date or time column from which the days are counted.")
    then: Then = Field(
        default="delete",
        description="What becomes of a row after that: `delete`, or `anonymise`, which empties the columns that say who it is about.",
    )
    columns: Annotated[
        tuple[ColumnName, ...],
        BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
        WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
    ] = Field(
        default=(),
        description="Which columns `anonymise` empties. Default: the personal columns, the `subject` and the columns that catalog/subjects.yaml"
        " links to a person.",
    )
    purpose: str = Field(
        default="", max_length=500, description="Why so long, in words, for the record of processing."
    )

    @model_validator(mode="after")
    def _fits(self) -> RetentionRule:
        if self.columns and self.then == "delete":
            raise ValueError("columns are named for `then: anonymise` alone; a deleted row has none")
        if self.by in self.columns:
            raise ValueError("the column in `by` cannot be emptied: it says how old a row is")
        return self

    def before(self, now: datetime, timezone: str) -> date:
        """The first day that is kept, in ``timezone``."""
        return now.astimezone(ZoneInfo(timezone)).date() - timedelta(days=self.days)


class RetentionConfig(Model):
    """The block ``retention`` of an environment."""

    apply: bool = Field(
        default=False,
        description="Whether the daily asset `privacy/retention` deletes and anonymises. Default `false`: it only shows what it would do.",
    )


@dataclass(frozen=True, slots=True)
class Limit:
    """Rows of ``table`` whose day of ``by``, in ``timezone``, is before ``before`` go; those of a rule with columns to ``blank`` stay
    without them."""

    table: TableId
    by: str
    before: date
    timezone: str
    blank: tuple[str, ...] = ()

    def condition(self, dialect: Expressions, type_: str, spared: str = "") -> str:
        """SQL that is true for the rows that go, or are emptied, and never NULL. ``type_`` is the column's in the engine; rows for which
        ``spared`` is true stay."""
        day = dialect.day(dialect.quote(self.by), type_, self.timezone)
        tests = [f"coalesce({day} < {dialect.date(self.before.isoformat())}, false)"]
        if self.blank:
            tests.append(f"({' OR '.join(f'{dialect.quote(column)} IS NOT NULL' for column in self.blank)})")
        if spared:
            tests.append(f"NOT {spared}")
        return f"({' AND '.join(tests)})"

    def only(self, columns: tuple[str, ...]) -> Limit:
        """This limit, with those of ``columns`` to blank alone."""
        kept = tuple(column for column in self.blank if column in columns)
        return Limit(self.table, self.by, self.before, self.timezone, kept)


@dataclass(frozen=True, slots=True)
class AgedModel:
    """A table of a model, ``schema.name``, that hands on the column by which rows of ``table`` grow old, as ``by``. ``columns`` are its
    own, by those of the table that it hands on. ``by`` is None where it hands none on, and its rows last from build to build all the
    same: a full refresh makes them again."""

    table: TableId
    schema: str
    name: str
    by: str | None
    columns: Mapping[str, str]

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.name}"
