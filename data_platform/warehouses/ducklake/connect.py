"""Attaching a lake, and keeping what is attached: loading the extensions and attaching takes 0.3 to 1 second, a cursor none.

pip holds the wheels of the extensions against the hashes of the lock file; checking their signatures again would take half
a second, so it is left out. Nothing is downloaded.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.sql import literal
from data_platform.warehouses.duckdb.extensions import extension_file
from data_platform.warehouses.ducklake.catalog import Identity
from data_platform.warehouses.ducklake.errors import lake_errors

if TYPE_CHECKING:
    import duckdb

LAKE = "lake"
"""The name of the attached database."""
_KEPT_MAX = 4
_SECRET_SECONDS_MAX = 600
"""A role's keys of S3 end within an hour; an instance knows those that it was made with."""
_SETTINGS: Mapping[str, str] = {
    # enough for the records of a load and for the rows that come in a quiet minute: they lie in the catalog until
    # the next maintenance, instead of in a file each
    "ducklake_default_data_inlining_row_limit": "100",
    # a commit that was overtaken by another one of another table is tried again for some 20 seconds
    "ducklake_max_retry_count": "40",
    "ducklake_retry_wait_ms": "20",
    "ducklake_retry_backoff": "1.15",
}


@dataclass(frozen=True)
class Attaching:
    """All that an instance is made of. ``given`` are libpq's parameters, ``s3`` those of DuckDB's secret."""

    place: str
    given: tuple[tuple[str, str], ...] = field(repr=False)
    schema: str
    identity: Identity | None
    data_path: str
    read_only: bool
    files: tuple[str, ...]
    memory_limit: str
    threads: int | None
    s3: tuple[tuple[str, str], ...] = field(repr=False, default=())


@dataclass
class _Instance:
    key: Attaching
    connection: duckdb.DuckDBPyConnection
    scratch: Path
    process: int
    made: float
    users: int = 0
    thread: int = 0
    """Of the users. DuckLake's object is no thread's alone, and a commit frees schemas that another thread may be reading."""

    def free(self) -> bool:
        return not self.users or self.thread == threading.get_ident()

    def close(self) -> None:
        with suppress(Exception):
            self.connection.close()
        shutil.rmtree(self.scratch, ignore_errors=True)


_INSTANCES: list[_Instance] = []
_KEEPING = threading.Lock()


@contextmanager
def attached(key: Attaching) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose current database is the lake, shut off from every file but the lake's own and those of
    ``key.files``, from other networks than the catalog's and the bucket's, and from changes of its settings."""
    with _KEEPING:
        instance = _kept(key)
        if instance is None:
            instance = _made(key)
            if key.identity is not None:  # what has just been made is another one by its identity
                _INSTANCES.append(instance)
        instance.users += 1
        instance.thread = threading.get_ident()
    connection = None
    try:
        connection = instance.connection.cursor()
        connection.execute(f"USE {LAKE}")
        yield connection
    except BaseException:
        if connection is not None:
            connection.interrupt()  # Ctrl-C leaves a statement running, and closing would wait for its end
        raise
    finally:
        if connection is not None:
            connection.close()
        with _KEEPING:
            instance.users -= 1
            if instance not in _INSTANCES:
                instance.close()


def forget(schema: str | None = None) -> None:
    """Close the kept instances of the lake in ``schema``, or all: nobody waits for what was replaced."""
    with _KEEPING:
        for instance in [i for i in _INSTANCES if schema in (None, i.key.schema)]:
            _let_go(instance)


def _kept(key: Attaching) -> _Instance | None:
    now = time.monotonic()
    for instance in list(_INSTANCES):
        old = bool(instance.key.s3) and now - instance.made > _SECRET_SECONDS_MAX
        if instance.process != os.getpid():
            _INSTANCES.remove(instance)  # the parent's: not ours to close
        elif old:
            _let_go(instance)
    found = next((i for i in _INSTANCES if i.key == key and i.free()), None)
    if found is not None:  # the one used last is last
        _INSTANCES.remove(found)
        _INSTANCES.append(found)
        return found
    while len(_INSTANCES) >= _KEPT_MAX and (idle := next((i for i in _INSTANCES if not i.users), None)):
        _let_go(idle)
    return None


def _let_go(instance: _Instance) -> None:
    _INSTANCES.remove(instance)
    if not instance.users:
        instance.close()


def _made(key: Attaching) -> _Instance:
    import duckdb

    scratch = Path(tempfile.mkdtemp(prefix="data-platform-lake-"))
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": key.memory_limit,
        "preserve_insertion_order": False,
        "temp_directory": str(scratch / "spilled"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_unsigned_extensions": True,
    }
    if key.threads:
        settings["threads"] = key.threads
    connection = duckdb.connect(":memory:", config=settings)
    try:
        with lake_errors(key.place, "be attached"):
            _attach(connection, key)
            _lock_down(connection, key)
    except BaseException:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return _Instance(key, connection, scratch, os.getpid(), time.monotonic())


def _attach(connection: duckdb.DuckDBPyConnection, key: Attaching) -> None:
    for name in ("ducklake", "postgres_scanner", *(["httpfs"] if key.s3 else [])):
        connection.execute(f"LOAD {literal(str(extension_file(name)))}")
    given = dict(key.given)
    password = given.pop("password", None)
    options = [f"METADATA_SCHEMA {literal(key.schema)}"]
    if password is not None:  # a secret: an error or a list of databases shows a path
        connection.execute(f"CREATE SECRET catalog (TYPE postgres, PASSWORD {literal(password)})")
        options.append("META_SECRET 'catalog'")
    if key.s3:
        spelled = ", ".join(f"{name} {literal(value)}" for name, value in key.s3)
        connection.execute(f"CREATE SECRET bucket (TYPE s3, {spelled})")
    if key.identity is None:
        options.append(f"DATA_PATH {literal(key.data_path)}")
    if key.read_only:
        options.append("READ_ONLY")
    for name, value in _SETTINGS.items():
        connection.execute(f"SET GLOBAL {name} = {value}")
    from psycopg.conninfo import make_conninfo

    path = literal(f"ducklake:postgres:{make_conninfo('', **given)}")
    connection.execute(f"ATTACH {path} AS {LAKE} ({', '.join(options)})")


def _lock_down(connection: duckdb.DuckDBPyConnection, key: Attaching) -> None:
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute("SET GLOBAL arrow_lossless_conversion = true")
    connection.execute("SET python_enable_replacements = false")
    wanted = sorted({key.data_path, *key.files})
    connection.execute(f"SET allowed_directories = [{', '.join(map(literal, wanted))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


atexit.register(forget)
