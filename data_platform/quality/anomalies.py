"""The check that the newest figures of a table are as its own past lets expect: its block in the catalog.

``judged.py`` evaluates it. It needs numpy, so it is imported when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from data_platform.errors import UnsupportedExpression
from data_platform.quality.calendars import Place
from data_platform.quality.checking import CheckResult, Subject
from data_platform.quality.measures import Asked
from data_platform.quality.rules.sql import value_columns, value_sql
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import Dialect
from data_platform.yaml_fields import ColumnName, Frozen, FrozenDict, Model

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Share = Annotated[float, Field(ge=0, le=1)]


def _value(text: str) -> str:
    value_columns(text)
    return text


class AnomaliesSettings(Model):
    """A check that the newest figures of a table are as its past lets expect."""

    by: ColumnName | None = Field(
        default=None,
        description="The time or date column that says to which UTC day a row belongs: each day is then judged. Default: the whole"
        " table is judged at each load.",
    )
    columns: tuple[ColumnName, ...] = Field(
        default=(),
        max_length=50,
        description="Columns whose share of NULLs, number of different values and, of numbers, sum and mean are judged"
        " too. The number of rows always is.",
    )
    computed: Annotated[Mapping[Name, Annotated[str, AfterValidator(_value)]], Frozen] = Field(
        default_factory=FrozenDict,
        max_length=20,
        description="Values that are computed from each row, by the name of the figure: `{revenue: quantity * unit_price}`, in DuckDB's SQL. They"
        " are judged as number columns are.",
    )
    split_by: ColumnName | None = Field(
        default=None,
        description="A column, such as `country`: the rows and the sums of each day are judged for each of its values too, of the 12 with the most rows. Needs"
        " `by`.",
    )
    quantiles: tuple[Share, ...] = Field(
        default=(),
        max_length=10,
        description="The quantiles of numbers that are judged too: 0.5 is the median, 0 the smallest and 1 the largest value. Default: none.",
    )
    batches: bool = Field(
        default=False,
        description="Whether the size of each batch in rows and bytes, and its time of arrival, are judged too. They come from the ledger."
        " Default false; a dbt model has no batches.",
    )
    holidays: Place | None = Field(
        default=None,
        description="Country, or country and region, whose public holidays are known to differ: GB, or DE-BY.",
    )
    settle_hours: float = Field(
        default=3, ge=0, le=24 * 14, description="How long after its end a day counts as complete. Default 3."
    )
    open_days: int = Field(
        default=7,
        ge=1,
        le=31,
        description="How many days an alarm stays open if nobody answers it and the data stays as it is. Default 7.",
    )

    @model_validator(mode="after")
    def _apart(self) -> AnomaliesSettings:
        if both := [name for name in self.computed if name in self.columns]:
            raise ValueError(
                f"names {both[0]} both under `columns` and under `computed`; give the computed value another name"
            )
        if self.split_by is not None and self.by is None:
            raise ValueError("has `split_by`, which needs `by`: only days are split")
        return self

    @property
    def asked(self) -> Asked:
        return Asked(self.columns, self.computed, self.quantiles)


class Anomalies:
    """``quality.checking.ChoosyKind``."""

    name = "anomalies"
    model = AnomaliesSettings
    description = "A check that rows, NULLs, different values, sums, means and quantiles are as the table's past lets expect."
    severity: Literal["error", "warn"] = "warn"
    of_models = True
    why_clear = "its values are counted and summed"

    def columns(self, settings: AnomaliesSettings) -> Mapping[str, str]:
        single = {"by": settings.by, "split_by": settings.split_by}
        named = {key: column for key, column in single.items() if column is not None}
        named |= {f"columns.{number}": column for number, column in enumerate(settings.columns)}
        return named | {
            f"computed.{name}.{column}": column
            for name, text in settings.computed.items()
            for column in value_columns(text)
        }

    def times(self, settings: AnomaliesSettings) -> Collection[str]:
        return (settings.by,) if settings.by is not None else ()

    def unfit(
        self, settings: AnomaliesSettings, dialects: Mapping[str, Dialect], of_model: bool
    ) -> Iterator[tuple[tuple[str, ...], str]]:
        if of_model and settings.batches:
            yield ("batches",), "is for tables: no batch of a source is loaded into a dbt model. Leave it out"
        for name, text in settings.computed.items():
            for environment, dialect in dialects.items():
                try:
                    value_sql(text, dialect)
                except UnsupportedExpression as error:
                    yield (
                        ("computed", name),
                        f"cannot be computed in the warehouse of the environment {environment}: {error}",
                    )

    def says(self, settings: AnomaliesSettings, code: Callable[[str], str]) -> str:
        values = (*settings.columns, *settings.computed)
        of = f", and the values of {', '.join(map(code, values))}," if values else ""
        when = f"each day of {code(settings.by)}" if settings.by is not None else "each load"
        return f"The rows of {when}{of} are as its past lets expect."

    def evaluate(
        self, warehouse: Warehouse, subject: Subject, settings: AnomaliesSettings, now: datetime
    ) -> CheckResult:
        from data_platform.quality.judged import evaluate

        return evaluate(warehouse, subject, settings, now)
