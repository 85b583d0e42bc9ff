"""A read-only copy of chosen relations for readers, of a warehouse whose ``Traits.publishes``.

Where one process may write, it keeps readers out. They read the publication instead: another file, which is put in the
place of the last one as a whole. So they wait for nobody, and each sees one publication.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Protocol, cast

from pydantic import BaseModel, ConfigDict, Field

from data_platform.errors import ConfigurationError
from data_platform.tables import PersonalClass
from data_platform.warehouses import LoadedBatch, Relation, Warehouse, WarehouseConfig

ListedRelation = Annotated[
    str,
    Field(
        pattern=r"^[^.\s][^.]*(\.[^.]+)?$",
        max_length=400,
        description="A schema (`marts`), or a relation of one (`staging.stg_shop__orders`).",
    ),
]
ListedColumn = Annotated[
    str,
    Field(
        pattern=r"^[^.\s][^.]*\.[^.]+\..+$",
        max_length=600,
        description="A column, as `schema.relation.column`.",
    ),
]


class Leaving(BaseModel):
    """What of people leaves the warehouse: by a publication, or by an export."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[PersonalClass, ...] | None = Field(
        default=None,
        description="The classes of personal data that may leave the warehouse: `personal`, `pseudonymous`, `sealed`, `masked`. A column of"
        " another class is left out of a publication, and its table is not exported to Iceberg. `[]`: none. Default: none, and `validate"
        " --models` reports each such column.",
    )
    personal: tuple[ListedColumn, ...] = Field(
        default=(),
        description="Columns that hold something of a person and may leave the warehouse although `classes` does not have their class, as"
        " `schema.relation.column`.",
    )


class PublishConfig(Leaving):
    """``{path: .data/published.duckdb, schemas: [marts], classes: [pseudonymous]}``."""

    path: Path = Field(
        description="The file of the publication; a relative path starts at the project's folder. Readers open it read-only."
    )
    schemas: tuple[ListedRelation, ...] = Field(
        default=("marts",),
        description="What is published: schemas (`marts`) and single relations (`staging.stg_shop__orders`). Default: `marts`.",
    )
    purpose: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]{0,62}$",
        description="The purpose for which the publication is made, of those in catalog/subjects.yaml: every relation in it that holds personal"
        " columns must be a model under this purpose. Models under other purposes are left out unless `schemas` names them.",
    )
    group: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="The group of this machine's accounts that may read the file. Default: only the account that publishes.",
    )
    max_age_hours: float | None = Field(
        default=None,
        gt=0,
        description="The age in hours at which the publication is stale. Default: as the marts.",
    )


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is published of a relation: ``columns``, in their order. ``left_out`` are its other columns."""

    relation: Relation
    columns: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedRelation:
    """``kind`` is what it is in the warehouse; in the publication it is a table. ``changed_at`` (ISO): the publication that
    brought its rows as they are."""

    schema: str
    name: str
    kind: str
    rows: int
    left_out: tuple[str, ...]
    changed_at: str


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publication says of itself. ``made_at`` (ISO) is when the warehouse was read, ``loads`` the newest batch of each
    table then, ``bytes`` the size of the file."""

    id: str
    made_at: str
    engine: str
    relations: tuple[PublishedRelation, ...]
    loads: tuple[LoadedBatch, ...]
    bytes: int

    @property
    def rows(self) -> int:
        return sum(relation.rows for relation in self.relations)

    @property
    def copied(self) -> int:
        """How many relations this very publication copied; the others were the same in the last one."""
        return sum(relation.changed_at == self.made_at for relation in self.relations)

    @property
    def left_out(self) -> tuple[str, ...]:
        """``schema.relation.column`` of each column that was left out."""
        return tuple(f"{one.schema}.{one.name}.{column}" for one in self.relations for column in one.left_out)


Choose = Callable[[Sequence[Relation]], Sequence[Chosen]]
"""Of all relations of the warehouse, those that are published."""


class PublishableConfig(WarehouseConfig, Protocol):
    """A configured warehouse whose ``Traits.publishes`` is true."""

    def publish(
        self,
        root: Path,
        into: Path,
        choose: Choose,
        clock: Callable[[], datetime],
        *,
        group: str | None = None,
    ) -> Publication:
        """Copy what ``choose`` chooses, as of one instant (``clock`` tells it), to the file ``into``, in the place of the publication there.
        After an error or a kill the last publication is there as it was. ``WarehouseBusy`` when somebody holds the
        warehouse, or makes a publication at this path, for longer than the warehouse's own limit."""

    def published(self, root: Path, path: Path) -> AbstractContextManager[tuple[Warehouse, Publication]]:
        """The publication at ``path`` for one piece of reading, and what it says of itself. ``WarehouseError`` where there
        is none, or another file."""


def publishable(config: WarehouseConfig) -> PublishableConfig:
    """``config`` as what can be published; ``ConfigurationError`` where its engine has no need of it."""
    if not config.traits.publishes:
        raise ConfigurationError(
            f"{NO_NEED.format(kind=config.kind)}: take `publish:` out of this environment."
        )
    return cast("PublishableConfig", config)


NO_NEED = "In a warehouse of the kind {kind} nobody waits for the writer, so no copy for readers is made"
