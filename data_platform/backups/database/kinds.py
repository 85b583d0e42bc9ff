"""The engines of database backups: a line each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from data_platform.backups.database.engine import Engine
from data_platform.errors import BackupDamaged

ENGINES: Mapping[str, str] = {
    "native": "data_platform.backups.database.native:Native",
    "logical": "data_platform.backups.database.logical:Logical",
    "barman_cloud": "data_platform.backups.database.external.barman_cloud:BarmanCloud",
    "pgbackrest": "data_platform.backups.database.external.pgbackrest:PgBackRest",
}


def engine_of(name: str) -> Engine:
    """The engine called ``name``; ``BackupDamaged`` for one that a manifest names and this version does not know."""
    if name not in ENGINES:
        raise BackupDamaged(f"The engine {name!r} of a backup is not known. Known: {', '.join(ENGINES)}.")
    module, _, found = ENGINES[name].partition(":")
    engine: Engine = getattr(import_module(module), found)()
    return engine
