"""Names of any characters, by seed: discovered, written, synced, and each the same in every file."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import sql

from data_platform.catalog import load_catalog
from data_platform.cli.generated import write_all
from data_platform.dbt_sources import sources_path
from data_platform.sources.postgres.config import settings_of
from data_platform.sync import open_platform, sync_changes
from data_platform.sync.sources import discover
from data_platform_tests.security import hostile

pytestmark = pytest.mark.slow
PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
"""
ENVIRON = {"DATA_PLATFORM_HASH_KEY": "a test's key, long enough to be taken"}


def test_a_schema_of_any_names(
    database: str, tmp_path: Path, thorough: None, seeds: Callable[[int], Sequence[int]]
) -> None:
    for seed in seeds(5):
        chance = random.Random(seed)
        tables, columns = _names(chance, 12), _names(chance, 40)
        place = f"of {seed}"
        with psycopg.connect(database, autocommit=True) as connection:
            hostile.schema(connection, place, tables, columns)
        root = tmp_path / str(seed)
        (root / "catalog" / "sources").mkdir(parents=True)
        (root / "catalog" / "platform.yaml").write_text(PLATFORM)
        environ = {**ENVIRON, "FOUND_URL": database}
        text = discover(environ, source="found", url_env="FOUND_URL", schema=place)
        assert not hostile.ACTING.search(text), seed
        (root / "catalog" / "sources" / "found.yaml").write_text(text)
        catalog = load_catalog(root)
        write_all(catalog)
        yaml.safe_load((root / sources_path("found")).read_text())
        platform = open_platform(root, "local", environ)
        failed = {str(r.table): str(r.error) for r in sync_changes(platform, "found") if r.error}
        assert not failed, f"seed {seed}: {failed}"
        assert {settings_of(t).relation[1] for t in catalog.sources["found"].tables.values()} == {
            "wide",
            *tables,
        }, seed
        with psycopg.connect(database) as connection, platform.warehouse(read_only=True) as warehouse:
            for table in catalog.sources["found"].tables.values():
                described = dict(warehouse.describe(table.id.raw_schema, table.id.table)[0].columns)
                kept = [
                    c for c in described if c in ("id", "d", "e", *columns) and table.treatment(c) == "keep"
                ]
                listed = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(c)) for c in kept)
                query = sql.SQL("select {} from {} order by 1").format(
                    listed, sql.Identifier(*settings_of(table).relation)
                )
                quoted = ", ".join('"' + c.replace('"', '""') + '"::text' for c in kept)
                found = warehouse.query(f"select {quoted} from raw_found.{table.id.table} order by 1").rows
                assert found == connection.execute(query).fetchall(), f"seed {seed}: {table.id}"


def _names(chance: random.Random, count: int) -> tuple[str, ...]:
    """So many names that differ in more than case."""
    found: dict[str, str] = {}
    while len(found) < count:
        name = hostile.mixed(chance, 55)
        if name.lower() not in ("id", "d", "e", "wide") and "\x00" not in name:
            found.setdefault(name.lower(), name)
    return tuple(found.values())
