"""Whole databases: whether one is there, and a new one that takes the place of another in one instant, by ``SWAP WITH``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from data_platform.errors import WarehouseBusy
from data_platform.warehouses import PLATFORM_SCHEMA
from data_platform.warehouses.remote.engine import RelationMissing
from data_platform.warehouses.snowflake import names
from data_platform.warehouses.snowflake.connect import Connector
from data_platform.warehouses.snowflake.grammar import GRAMMAR
from data_platform.warehouses.snowflake.session import SnowflakeSession

if TYPE_CHECKING:
    from data_platform.warehouses.snowflake.config import SnowflakeConfig


def exists(config: SnowflakeConfig) -> bool:
    with _in_no_database(config) as session:
        return _is_there(session, config.database)


@contextmanager
def replace_atomically(config: SnowflakeConfig, name: str) -> Iterator[SnowflakeConfig]:
    """A new database called ``name``, which takes the name of ``config``'s when the block ends; after an error it is dropped. One
    that a killed process left behind is made anew. ``WarehouseBusy`` when something was loaded into the old one meanwhile."""
    old, new = GRAMMAR.quote(config.database), GRAMMAR.quote(name)
    with _in_no_database(config) as session:
        known = _batches(session, old) if _is_there(session, config.database) else None
        session.define([f"CREATE OR REPLACE DATABASE {new}"])
        try:
            yield config.elsewhere(name)
            if not _is_there(session, config.database):
                session.define([f"ALTER DATABASE {new} RENAME TO {old}"])
                return
            if _batches(session, old) != (known or 0):
                raise WarehouseBusy(
                    f"Something was loaded into {config.database} while its successor was made, and would be lost with it. Stop"
                    " the loads, then begin again."
                )
            session.define([f"ALTER DATABASE {old} SWAP WITH {new}"])
        finally:
            with suppress(Exception):  # after the exchange it is the old one
                session.define([f"DROP DATABASE IF EXISTS {new}"])


@contextmanager
def _in_no_database(config: SnowflakeConfig) -> Iterator[SnowflakeSession]:
    session = SnowflakeSession(Connector(config, os.environ), database=False)
    try:
        yield session
    finally:
        session.close()


def _is_there(session: SnowflakeSession, name: str) -> bool:
    stored = names.folded(name)
    found = session.tell(f"SHOW DATABASES LIKE {GRAMMAR.literal(stored)}", f"look for the database {name}")
    return any(line["name"] == stored for line in found.by_name())


def _batches(session: SnowflakeSession, database: str) -> int:
    records = f"{database}.{GRAMMAR.relation(PLATFORM_SCHEMA, 'loaded_batches')}"
    try:
        ((count,),) = session.ask(f"SELECT count(*) FROM {records}").rows
    except RelationMissing:
        return 0
    return int(count)
