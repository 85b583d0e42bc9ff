"""PostgreSQL servers of other versions than the sandbox's, which npm packages bring (``package.json``).

They are built with SSL and ICU, which the sandbox's server is not. ``make test`` installs the oldest,
``make test-postgres VERSION=15`` all of them. None is needed: what needs one is skipped without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from data_platform.local_postgres import runnable
from data_platform.sandbox.server import BUILTIN_LOCALE, PostgresServer
from data_platform.sandbox.settings import QUIET

OLDEST = 13
VERSIONS = range(OLDEST, 19)
_PACKAGES = Path(__file__).parent / "node_modules"
_UUIDV7 = """
create function public.uuidv7() returns uuid language sql volatile as $$ select
    overlay(gen_random_uuid()::text placing lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
        from 1 for 12)::uuid $$
"""
"""The sandbox's schema takes its keys from a function that PostgreSQL 18 brings."""


def start(version: int, home: Path, settings: Mapping[str, str] | None = None) -> PostgresServer:
    """A server of ``version`` in ``home``, started. Skips the test where its package is not installed."""
    package = _PACKAGES / f"pg{version}" / "native"
    if not (package / "bin" / "postgres").exists():
        pytest.skip(f"PostgreSQL {version} is not installed here: make test-postgres VERSION={version}")
    server = PostgresServer(
        home,
        settings={**QUIET, **(settings or {})},
        install=runnable(package, home.parent / f"postgresql-{version}"),
        locale=BUILTIN_LOCALE if version >= 17 else ("--locale=C",),
    ).start()
    if version < 18:
        with server.connect("template1") as connection, suppress(psycopg.errors.DuplicateFunction):
            connection.execute(_UUIDV7)
    return server
