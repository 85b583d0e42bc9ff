"""Zero-copy clones of Snowflake's schemas: ``warehouses.snapshots.Snapshots``. They do not expire: the platform drops them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from data_platform.warehouses import PLATFORM_SCHEMA
from data_platform.warehouses.snowflake import names
from data_platform.warehouses.snowflake.grammar import GRAMMAR
from data_platform.warehouses.snowflake.session import SnowflakeSession


def created(name: str, schema: str, at: datetime) -> str:
    """The clone of a schema as it was. It may be there already."""
    past = GRAMMAR.at(GRAMMAR.schema(schema), at.isoformat(timespec="microseconds"))
    return f"CREATE SCHEMA IF NOT EXISTS {_place(name, schema)} CLONE {past}"


def dropped(name: str, schema: str) -> str:
    return f"DROP SCHEMA IF EXISTS {_place(name, schema)} CASCADE"


def _place(name: str, schema: str) -> str:
    return GRAMMAR.schema(f"{names.SNAPSHOT_PREFIX}{name}_{schema}")


class SnowflakeSnapshots:
    last: ClassVar[str] = PLATFORM_SCHEMA

    def __init__(self, session: SnowflakeSession) -> None:
        self._session = session

    def sources(self) -> list[str]:
        """The schemas that hold a table, as a backup has them."""
        relations = self._session.describe(None, None)
        return sorted({one.schema for one in relations if one.kind == "table"})

    def instant(self) -> datetime:
        with self._session.snapshot() as instant:
            assert instant is not None, "without Time Travel the configuration refuses snapshots"
            return datetime.fromisoformat(instant)

    def make(self, name: str, at: datetime, expires: datetime, sources: Sequence[str]) -> None:
        for schema in sources:
            self._session.tell(created(name, schema, at), f"clone the schema {schema}")

    def held(self) -> list[tuple[str, str]]:
        database = GRAMMAR.quote(self._session.connector.config.database)
        prefix = names.folded(names.SNAPSHOT_PREFIX)
        show = f"SHOW SCHEMAS IN DATABASE {database} STARTS WITH {GRAMMAR.literal(prefix)}"
        found = [line["name"] for line in self._session.tell(show, "list the snapshots").by_name()]
        parts = [
            names.landed(one).removeprefix(names.SNAPSHOT_PREFIX).partition("_")
            for one in found
            if one.startswith(prefix)
        ]
        return [(name, schema) for name, _, schema in parts]

    def drop(self, name: str) -> None:
        for held, schema in self.held():
            if held == name:
                self._session.tell(dropped(name, schema), f"drop the snapshot {name}")
