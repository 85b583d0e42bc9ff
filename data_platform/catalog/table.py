"""A table of a source: what its block says, and the same with the defaults of its source."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field, InstanceOf, WithJsonSchema

from data_platform.catalog.checked_block import Ruled
from data_platform.catalog.fields import (
    NAME,
    NAME_LENGTH_MAX,
    ColumnOrColumns,
    ColumnOrPath,
    Text,
    one_or_more,
)
from data_platform.catalog.rule_line import RuleLine
from data_platform.privacy.retention.rule import RetentionRule
from data_platform.sources.kind import Capabilities, KindSettings
from data_platform.tables import Declared, Strategy, TableId, Treatment, landed_as
from data_platform.yaml_fields import ColumnName, Frozen, FrozenDict, Model


def _without_marks(value: Any) -> Any:
    """``hash?`` is ``hash`` as an unconfirmed guess."""
    if not isinstance(value, dict):
        return value
    return {k: v[:-1] if isinstance(v, str) and v.endswith("?") else v for k, v in value.items()}


class SubjectColumn(Model):
    """``subject: user_id``, or ``subject: {column: user_id, as: shop_user}``."""

    column: ColumnName = Field(description="The column whose value says which person a row is about.")
    kind: str | None = Field(
        default=None,
        alias="as",
        pattern=NAME,
        max_length=NAME_LENGTH_MAX,
        description="The kind of subject. The same value in tables of one kind is the same person, with one key. Default: a kind of the"
        " table's own.",
    )

    def kind_of(self, table: TableId) -> str:
        """The kind under which the keystore knows the subjects of ``table``."""
        return self.kind or str(table)

    def __str__(self) -> str:
        return self.column if self.kind is None else f"{self.column} as {self.kind}"


def _subject(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


SUBJECT_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["column"],
            "properties": {
                "column": {"type": "string", "description": SubjectColumn.model_fields["column"].description},
                "as": {
                    "type": "string",
                    "pattern": NAME,
                    "description": SubjectColumn.model_fields["kind"].description,
                },
            },
        },
    ]
}


class TableSettings(Ruled):
    """The parts of a table's block that have no inherited default."""

    source_rules: tuple[RuleLine, ...] = Field(
        default=(),
        description="Rules that the rows must satisfy at the source, one on each line. The source evaluates them after each sync. Only"
        " for kinds that know SQL, such as `postgres`.",
    )
    key: ColumnOrColumns = Field(
        default=(),
        description="The column, or list of columns, that identifies a row: unique and never NULL.",
    )
    only: Annotated[
        tuple[ColumnName, ...],
        BeforeValidator(one_or_more),
        WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
    ] = Field(
        default=(),
        description="The columns that are read. The others stay at the source and need no grant. Default: all columns.",
    )
    cursor: ColumnName | None = Field(
        default=None, description="The time column that every change of a row sets, such as `updated_at`."
    )
    partition: ColumnName | None = Field(
        default=None,
        description="The date or time column that divides the table into daily partitions. Omit it for"
        " a table without partitions.",
    )
    cluster: ColumnOrColumns = Field(
        default=(),
        description="The column, or list of columns, by which queries often choose rows. A warehouse that can stores the rows in"
        " their order; the others ignore it.",
    )
    strategy: Strategy = Field(
        default="merge",
        description="`merge` replaces rows by key, `append` only adds keys that are absent, `replace` reads"
        " the whole table each time.",
    )
    subject: Annotated[SubjectColumn | None, BeforeValidator(_subject), WithJsonSchema(SUBJECT_SCHEMA)] = (
        Field(
            default=None,
            description="The column that says which person a row is about, or a block of `column` and `as`, the kind of subject: tables"
            " that name the same people alike share a kind. Needed by `seal`.",
        )
    )
    retention: RetentionRule | None = Field(
        default=None, description="How long rows are kept, and what becomes of them after that."
    )
    columns: Annotated[Mapping[ColumnName, Text], Frozen] = Field(
        default_factory=FrozenDict,
        description="The meaning of columns, by name. Columns may be omitted here; all of them are synced.",
    )
    personal: Annotated[
        Mapping[ColumnOrPath, Declared],
        BeforeValidator(_without_marks),
        Frozen,
        WithJsonSchema(
            {
                "type": "object",
                "additionalProperties": {
                    "enum": [*get_args(Declared), *(f"{t}?" for t in get_args(Declared))],
                    "type": "string",
                },
            }
        ),
    ] = Field(
        default_factory=FrozenDict,
        description="How secrets and personal columns are masked before anything is written: `hash` (joins still"
        " work), `seal` (opens only under the person's own key), `mask` (a phone number's country and last two digits), `redact`, `keep`, an explicit choice,"
        " or `not_personal`, where only the name looks personal: it lands unchanged and has no class. A path"
        " such as `payload.customer.email` names a value within a JSON column. A question mark behind a treatment"
        " (`hash?`) marks an unconfirmed guess of `discover`.",
    )

    @property
    def treatments(self) -> Mapping[str, Treatment]:
        """How what ``personal`` names lands."""
        return {key: landed_as(said) for key, said in self.personal.items()}

    def treatment(self, column: str) -> Treatment:
        """How a column lands as a whole."""
        return landed_as(self.personal.get(column, "keep"))


class Table(TableSettings):
    """One table of a source, with the defaults from its source resolved."""

    id: TableId
    settings: InstanceOf[KindSettings]
    """Settings that only the kind of its source uses."""
    checks: Mapping[str, Any] = FrozenDict()
    """The settings of each check that is no rule, by its kind's name."""
    can: InstanceOf[Capabilities]
    """What its source can do for it."""
    description: str = ""
    owner: str | None = None
    freshness_hours: float
    schedule: str | None = None
    """When its changes are synced: its own cron line, or its source's."""
    probed: bool = True
    """Whether the sensor looks at it; not where it has a schedule of its own."""
    read_every_hours: float
    """How often the table is read if the source does not tell whether it changed."""
    keep_replaced_days: int | None = None
    """How long parts are kept after a full read replaced them; None is for ever."""
    timezone: str
    """Time zone of its daily partitions, and of a ``timestamp`` without time zone."""
    start: date
    """Its first daily partition; earlier rows are synced and counted."""

    @property
    def daily(self) -> bool:
        """Whether a day of it can be read by itself."""
        return self.partition is not None and self.can.slices

    @property
    def proved(self) -> bool:
        """Whether its source proves by its own count what it gave."""
        return self.can.proof != "none"

    @property
    def seals(self) -> bool:
        """Whether anything of it lands sealed."""
        return "seal" in self.treatments.values()

    @property
    def treated(self) -> tuple[str, ...]:
        """The columns whose clear values stay in the source."""
        return tuple(column for column, treatment in self.treatments.items() if treatment != "keep")
