"""The content of each YAML file as pydantic models: every key, its type, its description.

A key added here must be described in ``docs/catalog.md``; a test checks that.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model

from data_platform.catalog.checked_block import CheckedBlock, check_fields
from data_platform.catalog.environment import EnvironmentSettings, Privacy
from data_platform.catalog.fields import NAME, NAME_LENGTH_MAX, Hours, Owner, Text
from data_platform.catalog.source import SourceSettings
from data_platform.catalog.table import TableSettings
from data_platform.observability.config import FigureConfig
from data_platform.quality.kinds import names
from data_platform.sources.kind import Connection, SourceKeys, TableKeys
from data_platform.sources.kinds import kind_of
from data_platform.yaml_fields import Frozen, FrozenDict, Model

Name = Annotated[str, Field(pattern=NAME, max_length=NAME_LENGTH_MAX)]


def _empty_block(value: Any) -> Any:
    return {} if value is None else value


class TableBlock(CheckedBlock, TableSettings, TableKeys):
    """A table. An empty block is one that is read whole; most have a key."""

    description: Text = Field(default="", description="What one row represents.")
    owner: Owner | None = Field(
        default=None, description="Who is responsible for the table. Default: the source's owner."
    )
    freshness_hours: Hours | None = Field(
        default=None,
        description="The table is stale if it was not synced for this many hours. Default: the source's value.",
    )
    schedule: str | None = Field(
        default=None,
        description='When its changes are synced, in place of the source\'s `schedule`: a cron line in UTC, such as "0 6 * * 1"'
        " (Mondays at 06:00). The sensor then leaves the table alone: give it the `freshness_hours` that go with it.",
    )
    read_every_hours: Hours | None = Field(
        default=None,
        description="The interval at which the probe has a relation read if PostgreSQL does not tell whether it changed (a view,"
        " a materialized view, a foreign table) or an API. Default: half of its freshness_hours, or all of them where it has a"
        " schedule.",
    )
    keep_replaced_days: int | None = Field(
        default=None,
        ge=1,
        le=36_600,
        description="How many days landed rows are kept after a later full read replaced them. Default: for ever."
        " `verify --collect-replaced --yes` deletes them; the table can then no longer be rebuilt as of an earlier day.",
    )

    def guesses(self, raw: Mapping[str, Any]) -> dict[str, str]:
        """The treatments that have a question mark in the block as written."""
        personal = raw.get("personal")
        written = personal if isinstance(personal, Mapping) else {}
        return {c: t for c, t in self.personal.items() if str(written.get(c, "")).endswith("?")}

    @property
    def times(self) -> tuple[str, ...]:
        """The columns whose values must land as times."""
        checked = [one.column for one in self.checked_columns() if one.time]
        aged = self.retention.by if self.retention is not None else None
        return tuple(dict.fromkeys(column for column in (self.partition, aged, *checked) if column))


class SourceFile(SourceSettings, SourceKeys):
    """``catalog/sources/<source>.yaml``: one source system."""

    source: Name = Field(
        description="The system's short name: raw tables are in the schema `raw_<source>`, assets under"
        " `raw/<source>/`."
    )
    kind: str = Field(description="What kind of system it is.")
    connection: Connection = Field(description="How it is reached.")
    start: date | None = Field(
        default=None,
        description="The first daily partition, such as 2024-01-31. Required if a table has a `partition`. Earlier rows"
        " are synced and counted too.",
    )
    tables: Mapping[Name, Annotated[TableBlock, BeforeValidator(_empty_block)]] = Field(
        default_factory=FrozenDict,
        description="Its tables, one block for each. The block's name is the table's name in the warehouse.",
        min_length=1,
    )


class PlatformFile(Model):
    """``catalog/platform.yaml``: environments and what all sources share."""

    environments: Annotated[Mapping[Name, EnvironmentSettings], Frozen] = Field(
        description="The places where the platform runs. The environment variable DATA_PLATFORM_ENV chooses one."
        " Default: `local`.",
        min_length=1,
    )
    privacy: Privacy = Field(default=Privacy(), description="Settings for all personal columns.")
    figures: tuple[FigureConfig, ...] = Field(
        default=(), description="The business figures that the status page shows, in this order."
    )


def table_block(kind: str) -> type[TableBlock]:
    """The model of a table's block in a source file of ``kind``."""
    return _table_block(kind, names())


@cache
def _table_block(kind: str, checks: tuple[str, ...]) -> type[TableBlock]:
    """``checks`` are the kinds of checks that there are now: tests add one. So below."""
    known = kind_of(kind)
    bases: Any = TableBlock if known.table_keys is TableKeys else (known.table_keys, TableBlock)
    block: type[TableBlock] = create_model(
        f"{kind.title()}TableBlock", __base__=bases, __doc__=TableBlock.__doc__, **check_fields()
    )
    return block


def source_file(kind: str) -> type[SourceFile]:
    """The model of a source file of ``kind``, one of ``sources.kinds.MODULES``."""
    return _source_file(kind, names())


@cache
def _source_file(kind: str, checks: tuple[str, ...]) -> type[SourceFile]:
    known = kind_of(kind)
    tables = SourceFile.model_fields["tables"]
    fields: dict[str, Any] = {
        "kind": (Literal[kind], Field(description=SourceFile.model_fields["kind"].description)),
        "connection": (known.connection, Field(description="How it is reached.")),
        "tables": (
            Mapping[Name, Annotated[table_block(kind), BeforeValidator(_empty_block)]],  # type: ignore[misc]
            Field(default_factory=FrozenDict, description=tables.description, min_length=1),
        ),
    }
    bases: Any = SourceFile if known.source_keys is SourceKeys else (known.source_keys, SourceFile)
    file: type[SourceFile] = create_model(
        f"{kind.title()}SourceFile", __base__=bases, __doc__=SourceFile.__doc__, **fields
    )
    return file


def source_head(kind: str) -> type[SourceFile]:
    """Like ``source_file``, but without validating its tables: each is validated separately, so that one
    wrong block does not hide the mistakes of the others."""
    return _source_head(kind, names())


@cache
def _source_head(kind: str, checks: tuple[str, ...]) -> type[SourceFile]:
    fields: dict[str, Any] = {"tables": (Mapping[str, Any], FrozenDict())}
    return create_model(f"{kind.title()}SourceHead", __base__=source_file(kind), **fields)
