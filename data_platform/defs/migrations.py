"""Dagster's migrations, read once a process.

Each tick of a sensor opens Dagster's records anew, and each storage of them reads and compiles all the scripts of
its migrations to learn which is the newest. Alembic registers what it found for the end of the process, so
that a code server grew by 50 kB a tick. The scripts are part of the installed package and do not change. The
name is one that Dagster keeps to itself, which is why its version is pinned; a test counts.
"""

from __future__ import annotations

from functools import lru_cache

from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage import sql

NAME = "ScriptDirectory"


@lru_cache(maxsize=8)  # Dagster keeps one configuration of each storage
def _scripts(config: Config) -> ScriptDirectory:
    return ScriptDirectory.from_config(config)


class Scripts:
    """Stands for ``ScriptDirectory`` where Dagster asks for the newest revision."""

    from_config = staticmethod(_scripts)


def install() -> None:
    """Once a process; a second time changes nothing."""
    setattr(sql, NAME, Scripts)
