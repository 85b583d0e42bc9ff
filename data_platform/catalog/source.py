"""A source system with its tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import Field, InstanceOf

from data_platform.backups.database.config import SourceBackups
from data_platform.catalog.fields import (
    Hours,
    Owner,
    Text,
)
from data_platform.catalog.named import named
from data_platform.catalog.table import Table
from data_platform.sources.kind import Connection, Kind
from data_platform.sources.kinds import kind_of
from data_platform.yaml_fields import Frozen, Model


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
        return named(self.tables, name, f"the source {self.name!r} has no table", "Its tables")
