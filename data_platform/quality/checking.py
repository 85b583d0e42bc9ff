"""What a kind of check promises: one module a kind beside this one, one line a kind in ``kinds.py``.

A check that is no rule has a block of its own in the block of a table, or of a dbt model, under the kind's name. It is evaluated
after each load or build and is an asset check of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import Dialect
from data_platform.warehouses.journal import JournalTable, Row, Where, keep
from data_platform.yaml_fields import Model

Fact = str | int | float | bool | None


class Arrived(NamedTuple):
    """The newest batch of a table as it landed. ``at``: when the source was read, in UTC; ``whole``: all of the table was read,
    not what had changed."""

    batch_id: str
    rows: int
    bytes: int
    at: datetime
    whole: bool


class Renewed(NamedTuple):
    """When the source of a table was read last, or when a dbt model was built last (``built``). ``at`` is None if that is not known."""

    at: datetime | None
    built: bool = False


def _nothing() -> Arrived | None:
    return None


@dataclass(frozen=True, slots=True)
class Subject:
    """A relation of the warehouse that is checked: a raw table or a dbt model. ``table`` is the raw table whose loads are recorded, None for a
    model. ``build`` says which build of a model it is, and ``built_at`` when that was. ``arrived`` asks the ledger for the newest batch; only a check that
    needs it calls it."""

    schema: str
    name: str
    table: TableId | None = None
    build: str | None = None
    built_at: datetime | None = None
    arrived: Callable[[], Arrived | None] = field(default=_nothing, compare=False)

    @classmethod
    def raw(cls, table: TableId, arrived: Callable[[], Arrived | None] = _nothing) -> Subject:
        return cls(table.raw_schema, table.table, table, arrived=arrived)

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.name}"

    def version(self, warehouse: Warehouse) -> str | None:
        """What tells its newest load or build from the ones before; None if that is not recorded."""
        if self.table is None:
            return self.build
        loaded = warehouse.loaded(self.table)
        return loaded.batch_id if loaded else None

    def renewed(self, warehouse: Warehouse) -> Renewed:
        if self.table is None:
            return Renewed(self.built_at, built=True)
        at = warehouse.reads().get(self.table)
        return Renewed(datetime.fromisoformat(at) if at else None)


@dataclass(frozen=True, slots=True)
class Entry:
    """Rows of a table of the schema ``quality``, in the place of those that match ``replacing``."""

    table: JournalTable
    rows: tuple[Row, ...]
    replacing: Where | None = None

    def keep(self, warehouse: Warehouse, _: datetime) -> None:
        keep(warehouse, self.table, self.rows, replacing=self.replacing)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """``text`` is a sentence for people and ``facts`` are shown beside it; neither holds a value of a personal
    column. ``good_until`` (ISO, UTC) is when a check that passes stops to pass if nothing is loaded until then.
    ``plots`` are shown below them: by name, a sentence and an SVG image. ``to_keep`` is what the check remembers: whoever has the
    warehouse open for writing keeps it."""

    passed: bool
    text: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    good_until: str | None = None
    plots: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    to_keep: tuple[Entry, ...] = field(default=(), repr=False)


class CheckKind(Protocol):
    """``settings`` are an instance of ``model`` everywhere."""

    @property
    def name(self) -> str:
        """The key of the block, and the check's name: lower-case letters, digits and underscores."""

    @property
    def model(self) -> type[Model]:
        """What stands in the block."""

    @property
    def description(self) -> str:
        """Of the key, for people who write the YAML."""

    @property
    def severity(self) -> Literal["error", "warn"]: ...

    @property
    def of_models(self) -> bool:
        """Whether a dbt model may have it too."""

    def columns(self, settings: Any) -> Mapping[str, str]:
        """By key of the block, the column that it names. Each must exist and land in clear."""

    @property
    def why_clear(self) -> str:
        """Why those columns must land in clear, as the rest of a sentence: ``its age is what is checked``."""

    def times(self, settings: Any) -> Collection[str]:
        """Those of the columns that must be times or days."""

    def says(self, settings: Any, code: Callable[[str], str]) -> str:
        """What is true while the check passes, a sentence. Names stand in ``code``."""

    def evaluate(self, warehouse: Warehouse, subject: Subject, settings: Any, now: datetime) -> CheckResult:
        """Ask the relation, by the warehouse's dialect. A DataPlatformError is a check that fails."""


@runtime_checkable
class LapsingKind(CheckKind, Protocol):
    """A kind whose passing result ends by itself, ``good_until``. Then no load has happened since the evaluation, so
    the warehouse need not be asked."""

    def lapsed(self, settings: Any, facts: Mapping[str, Any], now: datetime, renewed: Renewed) -> CheckResult:
        """The failing result at ``now``, after ``good_until``. ``facts`` are those of the result that passed."""


@runtime_checkable
class ChoosyKind(CheckKind, Protocol):
    """A kind whose settings do not fit every relation or every engine."""

    def unfit(
        self, settings: Any, dialects: Mapping[str, Dialect], of_model: bool
    ) -> Iterator[tuple[tuple[str, ...], str]]:
        """What is wrong, each with the path in the block that it is about, as the rest of a sentence. ``dialects`` are those of the
        catalog's environments, by name; ``of_model``: whether the relation is a dbt model."""


def stopped(needed: datetime, renewed: Renewed) -> tuple[Fact, str]:
    """Which side stopped, ``source``, ``sync`` or ``unknown``, of a model ``tables``, ``build`` or ``unknown``, where data should have
    come by ``needed`` and did not; and a sentence about it. A read or a build after ``needed`` would have found the data."""
    if renewed.at is None:
        return (
            "unknown",
            f"It is not known when the {'model was built' if renewed.built else 'source was read'}.",
        )
    at, after = f"{renewed.at:%Y-%m-%d %H:%M} UTC", renewed.at >= needed
    if renewed.built and after:
        return "tables", f"The model was built at {at}, and the tables that it is made from had none."
    if renewed.built:
        return "build", f"The model was last built at {at}, before that, so its builds stopped."
    if after:
        return "source", f"The source was read at {at} and had none, so the source itself stopped."
    return "sync", f"The source was last read at {at}, before that, so the sync stopped."
