"""The block ``backups`` of a source's file: how its database is backed up. Where objects go is the environment's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from data_platform.backups.database.external.config import BarmanCloud, PgBackRest
from data_platform.yaml_fields import VARIABLE, Model


class DatabaseBackups(Model):
    """``{engine: native, url_env: SHOP_BACKUP_URL}``."""

    engine: Literal["native", "logical", "barman_cloud", "pgbackrest"] = Field(
        default="native",
        description="`native`: base backups by pg_basebackup, hourly incremental ones and the WAL between them; it needs a role"
        " with REPLICATION. `logical`: pg_dump of the source's one database, for servers that give nobody that right. `barman_cloud` and"
        " `pgbackrest`: programs that are installed where the server runs, each with a repository of its own.",
    )
    barman_cloud: BarmanCloud | None = Field(
        default=None,
        description="Where Barman keeps its backups and the server's WAL. Only for `engine: barman_cloud`.",
    )
    pgbackrest: PgBackRest | None = Field(
        default=None, description="Which stanza of pgBackRest is used. Only for `engine: pgbackrest`."
    )
    url_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds the URL of the role that backs up. Default: the source's own URL.",
    )
    every_hours: float = Field(default=1, gt=0, le=24 * 7, description="How often a backup is made.")
    full_every_hours: float = Field(
        default=24,
        gt=0,
        le=24 * 31,
        description="After this many hours the next backup is a full one; those between are incremental.",
    )
    keep_days: float = Field(
        default=7,
        gt=0,
        le=3660,
        description="Backups older than this many days may be removed, but never the newest good one, nor one that a kept"
        " one is built on.",
    )
    apply: bool = Field(
        default=False,
        description="Whether each backup removes what is too old. If not, it only lists it.",
    )
    max_age_hours: float | None = Field(
        default=None,
        gt=0,
        description="The age of the newest backup at which its check fails. Default: three times `every_hours`.",
    )
    drill_schedule: str = Field(
        default="10 5 * * *",
        description="When the database is restored to a random second as a test: a cron line in UTC.",
    )
    drill_max_age_days: float = Field(
        default=2, gt=0, description="The age of the last good restore drill at which its check fails."
    )
    slot_max_mb: int = Field(
        default=4096,
        ge=64,
        description="How many megabytes of WAL the replication slot may hold back on the server.",
    )
    ship_seconds: float = Field(
        default=10, gt=0, le=3600, description="How often new WAL is sent to the stores."
    )
    heartbeat_seconds: float = Field(
        default=10,
        gt=0,
        le=3600,
        description="How often a row with the time is written into the source, by which the age of what can be recovered is"
        " measured.",
    )
    rpo_max_minutes: float = Field(
        default=30,
        gt=0,
        description="How old the newest commit that every store recovers may be before the check `wal_complete` fails.",
    )
    spool: Path | None = Field(
        default=None,
        description="A folder of this machine with room for a full backup, where each one is made before it goes to the stores: a"
        " run that is killed or a store that is away then never makes the server be read again. Default: none, it is streamed into the stores.",
    )
    programs: Path | None = Field(
        default=None,
        description="The folder with PostgreSQL's programs, of the server's major version. Default: they are looked for.",
    )

    @model_validator(mode="after")
    def _of_the_engine(self) -> Self:
        for name in ("barman_cloud", "pgbackrest"):
            if (self.engine == name) != (getattr(self, name) is not None):
                raise ValueError(
                    f"`engine: {name}` and the block `{name}` belong together; give both or neither"
                )
        return self

    @property
    def external(self) -> BarmanCloud | PgBackRest | None:
        """The block of a program that keeps a repository of its own."""
        return self.barman_cloud or self.pgbackrest

    @property
    def cron(self) -> str:
        """A cron line that comes about every ``every_hours``."""
        if self.every_hours < 1:
            return f"*/{max(1, round(self.every_hours * 60))} * * * *"
        if self.every_hours < 24:
            return f"7 */{round(self.every_hours)} * * *"
        return f"7 2 */{round(self.every_hours / 24)} * *"

    @property
    def age_limit_hours(self) -> float:
        return self.max_age_hours if self.max_age_hours is not None else 3 * self.every_hours


class SourceBackups(Model):
    """``{database: {engine: native}}``."""

    database: DatabaseBackups | None = Field(
        default=None, description="How the server behind the source is backed up. Default: not at all."
    )
