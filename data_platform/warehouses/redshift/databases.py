"""Databases of one cluster or workgroup: whether there is one, and a new one in the place of another."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.sql import literal, quoted
from data_platform.warehouses.redshift import errors

if TYPE_CHECKING:
    from data_platform.warehouses.redshift.config import RedshiftConfig

MAINTENANCE = "dev"
"""A database that every cluster and workgroup has; others are made and renamed from it."""


def exists(config: RedshiftConfig) -> bool:
    with _maintaining(config, "look for a database") as cursor:
        return _is_there(cursor, config.database)


@contextmanager
def replaced(config: RedshiftConfig, doing: str) -> Iterator[RedshiftConfig]:
    """A new database that takes the name of ``config``'s when the block ends; after an error nothing of it stays."""
    unfinished = config.elsewhere(f"{config.database[:90]}_{doing}_{uuid.uuid4().hex[:8]}")
    with _maintaining(config, "make a database") as cursor:
        cursor.execute(f"CREATE DATABASE {quoted(unfinished.database)}")
    try:
        yield unfinished
        with _maintaining(config, "put a database in the place of another") as cursor:
            _exchange(cursor, unfinished.database, config.database)
    except BaseException:
        with suppress(Exception), _maintaining(config, "drop a database") as cursor:
            cursor.execute(f"DROP DATABASE {quoted(unfinished.database)}")
        raise


def _exchange(cursor: Any, new: str, name: str) -> None:
    """There is no exchange in one step: the old one steps aside first, and is dropped last."""
    aside = f"{name[:90]}_replaced_{uuid.uuid4().hex[:8]}"
    there = _is_there(cursor, name)
    if there:
        cursor.execute(f"ALTER DATABASE {quoted(name)} RENAME TO {quoted(aside)}")
    try:
        cursor.execute(f"ALTER DATABASE {quoted(new)} RENAME TO {quoted(name)}")
    except Exception:
        if there:
            cursor.execute(f"ALTER DATABASE {quoted(aside)} RENAME TO {quoted(name)}")
        raise
    if there:
        cursor.execute(f"DROP DATABASE {quoted(aside)}")


def _is_there(cursor: Any, name: str) -> bool:
    cursor.execute(f"SELECT count(*) FROM pg_database WHERE datname = {literal(name)}")
    return bool(cursor.fetchall()[0][0])


@contextmanager
def _maintaining(config: RedshiftConfig, doing: str) -> Iterator[Any]:
    try:
        with closing(config.connect(MAINTENANCE)) as connection:
            yield connection.cursor()
    except Exception as error:
        if errors.is_client_s(error):
            raise errors.told(error, doing, config.place(Path())) from None
        raise
