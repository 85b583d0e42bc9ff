"""The catalog as the rest of the platform uses it: frozen, every default resolved.

``files.py`` defines the content of the files; nothing here reads one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BeforeValidator, Field, InstanceOf, WithJsonSchema

from data_platform.alerts.config import AlertsConfig
from data_platform.audit.config import AuditConfig
from data_platform.backups.config import BackupsConfig
from data_platform.backups.database.config import SourceBackups
from data_platform.catalog.airflow import AirflowConfig
from data_platform.catalog.checked_block import Ruled
from data_platform.catalog.rule_line import RuleLine
from data_platform.catalog.ruled_models import RuledModel
from data_platform.catalog.runs import RunsConfig
from data_platform.errors import ConfigurationError
from data_platform.iceberg.config import IcebergConfig
from data_platform.keystore.kinds import KeystoreConfig
from data_platform.landing.signing import SigningConfig
from data_platform.observability.config import FigureConfig, StatusPageConfig
from data_platform.privacy.config import Party, Processing
from data_platform.privacy.retention.rule import RetentionConfig, RetentionRule
from data_platform.privacy.subjects.graph import Subject
from data_platform.sources.kind import Capabilities, Connection, Kind, KindSettings
from data_platform.sources.kinds import kind_of
from data_platform.stores.kinds import StoreConfig
from data_platform.tables import NOT_PERSONAL, Declared, Strategy, TableId, Treatment, landed_as
from data_platform.warehouses.kinds import WarehouseConfig
from data_platform.warehouses.publishing import PublishConfig
from data_platform.yaml_fields import VARIABLE, ColumnName, Frozen, FrozenDict, Model

V = TypeVar("V")
NAME = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
"""Names of sources, tables and environments: safe in schema names, asset keys and paths. With two underscores
in a row, the end of the source in ``stg_<source>__<table>`` would be ambiguous."""
NAME_LENGTH_MAX = 48


def one_or_more(value: Any) -> Any:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _without_marks(value: Any) -> Any:
    """``hash?`` is ``hash`` as an unconfirmed guess."""
    if not isinstance(value, dict):
        return value
    return {k: v[:-1] if isinstance(v, str) and v.endswith("?") else v for k, v in value.items()}


def _one_line(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_one_line)]
Owner = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}|team:[A-Za-z0-9_.-]+)$")
]
Hours = Annotated[float, Field(gt=0, le=24 * 366)]
ColumnOrColumns = Annotated[
    tuple[ColumnName, ...],
    BeforeValidator(one_or_more),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
ColumnOrPath = Annotated[str, Field(min_length=1, max_length=1000)]


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
        " work), `seal` (opens only under the person's own key), `mask` (a phone number's country and last two digits), `redact`, `keep`, an explicit choice, or `not_personal`, where only the name looks personal: it lands unchanged and has no class. A path"
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


class SourceSettings(Model):
    """The parts of a source's file that need no resolving."""

    description: Text = Field(default="", description="What this system is.")
    owner: Owner | None = Field(
        default=None, description="Who is responsible: an email address, or `team:` and a team's name."
    )
    optional: bool = Field(
        default=False,
        description="`true`: while none of the variables that `connection` names is set and nothing of the source has landed,"
        " the source is left out, as if its file were not there. Default false: a variable that is missing is an error.",
    )
    tables_in: str | None = Field(
        default=None,
        min_length=1,
        description="A folder, from the project's folder, with more tables: each file `<table>.yaml` in it is the block of one.",
    )
    timezone: str = Field(
        default="UTC",
        description="Time zone of the daily partitions, and of `timestamp` columns without one: an IANA name"
        " such as Europe/Berlin.",
    )
    freshness_hours: Hours = Field(
        default=6,
        description="A table that was not synced for this many hours is stale. A table may override it.",
    )
    schedule: str | None = Field(
        default=None,
        description='When changes are synced: a cron line in UTC, such as "0 * * * *". Without it, only the'
        " sensor and people start syncs. Tables may differ.",
    )
    reconcile: str | None = Field(
        default=None,
        description="When counts and checksums of whole tables are compared with the source, which finds deletes"
        ' and silent changes: a cron line in UTC, such as "30 3 * * *". If a source gives no counts and shows deletes only to'
        " a whole read, its tables are read whole then.",
    )
    backups: SourceBackups | None = Field(
        default=None,
        description="How the source's own database is backed up, into the stores of the environment's `backups`. Only for"
        " kinds with a server, such as `postgres`.",
    )


class Source(SourceSettings):
    """One source system."""

    name: str
    kind: str
    connection: InstanceOf[Connection]
    start: date
    tables: Annotated[Mapping[str, Table], Frozen]

    @property
    def of_kind(self) -> Kind:
        return kind_of(self.kind)

    def table(self, name: str) -> Table:
        """ConfigurationError, with near matches, when there is none."""
        return _get(self.tables, name, f"the source {self.name!r} has no table", "Its tables")


class Privacy(Model):
    hash_key_env: str = Field(
        default="DATA_PLATFORM_HASH_KEY",
        pattern=VARIABLE,
        description="Environment variable that holds the key for hashing `hash` columns, of at least"
        " 16 bytes. Keep a copy: a different key gives different hashes.",
    )
    controller: Party | None = Field(
        default=None, description="The company that decides about the data, for the record of processing."
    )
    officer: Party | None = Field(default=None, description="Its data protection officer, if it has one.")
    processing: Annotated[Mapping[str, Processing], Frozen] = Field(
        default_factory=FrozenDict,
        description="By the name of a source, why it is read and whose data it holds.",
    )
    declared_in: tuple[str, ...] = Field(
        default=("marts", "snapshots"),
        description="Schemas (`marts`) and single relations (`staging.stg_shop__orders`) that people read: a column there that is made of"
        " personal columns has to declare its class. Default: `marts` and `snapshots`.",
    )


class EnvironmentSettings(Model):
    """One environment: where data lands, where it is loaded, where alerts go."""

    landing: StoreConfig = Field(description="The landing store, which keeps every batch as it was read.")
    warehouse: WarehouseConfig = Field(description="The warehouse into which batches are loaded.")
    publish: PublishConfig | None = Field(
        default=None,
        description="The read-only copy of chosen schemas that is made after each build, for readers who never wait for a load.",
    )
    backups: BackupsConfig | None = Field(
        default=None, description="Where the verified daily copies of the warehouse are kept."
    )
    iceberg: IcebergConfig | None = Field(
        default=None, description="Which tables are exported to Iceberg for other engines."
    )
    keystore: KeystoreConfig | None = Field(
        default=None,
        description="Where the keys are kept under which `seal` seals personal values, one for each person.",
    )
    retention: RetentionConfig = Field(
        default_factory=RetentionConfig,
        description="Whether the tables' own `retention` is enforced or only shown.",
    )
    signing: SigningConfig = Field(
        default_factory=SigningConfig,
        description="The key that signs manifests of the ledger and of backups.",
    )
    audit: AuditConfig = Field(
        default_factory=AuditConfig,
        description="Where the audit trail lies: who read in clear, erased, deleted backups, changed the catalog or queried.",
    )
    automation: Literal["running", "stopped"] = Field(
        default="stopped",
        description="Whether schedules and sensors start automatically. Alerts always do.",
    )
    status_page: StatusPageConfig | None = Field(
        default=None,
        description="The page that says what of the data can be believed; it is written after each build and each hour.",
    )
    runs: RunsConfig = Field(
        default_factory=RunsConfig, description="Where runs are executed, and their cores and memory."
    )
    airflow: AirflowConfig | None = Field(
        default=None, description="An Airflow beside the platform, whose DAGs are shown in the graph."
    )
    alerts: AlertsConfig = Field(
        default_factory=AlertsConfig,
        description="Where failures, stale tables and failed checks are reported.",
    )


class Environment(EnvironmentSettings):
    name: str


class Catalog(Model):
    """Everything the YAML says. Relative paths in it are relative to ``root``."""

    root: Path
    environments: Annotated[Mapping[str, Environment], Frozen]
    privacy: Privacy = Privacy()
    figures: tuple[FigureConfig, ...] = ()
    sources: Annotated[Mapping[str, Source], Frozen]
    models: Annotated[Mapping[str, RuledModel], Frozen] = FrozenDict()
    """The dbt models that have rules or other checks, by name."""
    subjects: Annotated[Mapping[str, InstanceOf[Subject]], Frozen] = FrozenDict()
    """The kinds of people that the data is about, by name."""
    questions: tuple[str, ...] = ()
    """Unconfirmed guesses, each with its file and line."""
    left_out: tuple[str, ...] = ()
    """Mistakes in source files that were left out, if only readable files were requested."""
    not_configured: Annotated[Mapping[str, tuple[str, ...]], Frozen] = FrozenDict()
    """Optional sources that were left out because none of their variables is set, and these variables."""

    def environment(self, name: str) -> Environment:
        """ConfigurationError, with near matches, when there is none."""
        return _get(self.environments, name, "catalog/platform.yaml has no environment", "It has")

    def source(self, name: str) -> Source:
        """ConfigurationError, with near matches, when there is none; where it is not configured, with what to set."""
        if name in self.not_configured:
            raise ConfigurationError(
                f"The source {name!r} is not configured, so it is left out. Put {', '.join(self.not_configured[name])} into"
                " .env or the environment."
            )
        return _get(self.sources, name, "the catalog has no source", "It has")

    def without(self, not_configured: Mapping[str, tuple[str, ...]]) -> Catalog:
        """This catalog without these of its sources."""
        sources = FrozenDict({name: one for name, one in self.sources.items() if name not in not_configured})
        return self.model_copy(update={"sources": sources, "not_configured": FrozenDict(not_configured)})

    def subject(self, name: str) -> Subject:
        """ConfigurationError, with near matches, when there is none."""
        return _get(self.subjects, name, "catalog/subjects.yaml has no subject", "It has")

    def without_subject(self) -> list[TableId]:
        """Tables that declare personal columns, and whose rows are nobody's by ``subjects``."""
        reached = {table for subject in self.subjects.values() for table in subject.tables}
        return [
            table.id
            for source in self.sources.values()
            for table in source.tables.values()
            if set(table.personal.values()) - {NOT_PERSONAL} and table.id not in reached
        ]

    def asks_consent(self) -> bool:
        """Whether a kind of people is asked for what their data may be used."""
        return any(subject.consent is not None for subject in self.subjects.values())

    def ruled_by_retention(self) -> list[Table]:
        """The tables that say how long their rows are kept."""
        return [
            table
            for source in self.sources.values()
            for table in source.tables.values()
            if table.retention is not None
        ]

    def absences(self) -> list[str]:
        """A sentence for each source that is not configured."""
        return [
            f"{name} is not configured, so it is left out: none of {', '.join(variables)} is set."
            for name, variables in self.not_configured.items()
        ]

    def table(self, table: TableId) -> Table:
        """ConfigurationError, with near matches, when there is none."""
        return self.source(table.source).table(table.table)

    def cluster_of(self, table: TableId) -> tuple[str, ...]:
        """By which columns the raw table is ordered; none of a table that is not in the catalog any more."""
        source = self.sources.get(table.source)
        known = source.tables.get(table.table) if source else None
        return known.cluster if known else ()

    def table_ids(self) -> tuple[TableId, ...]:
        return tuple(table.id for source in self.sources.values() for table in source.tables.values())


def _get(values: Mapping[str, V], name: str, problem: str, these: str) -> V:
    if name in values:
        return values[name]
    from difflib import get_close_matches

    near = get_close_matches(name, values, n=1)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigurationError(
        f"{problem[0].upper()}{problem[1:]} {name!r}.{suggestion} {these}: {', '.join(values) or 'none'}."
    )
