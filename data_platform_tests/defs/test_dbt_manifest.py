"""A manifest of other files is refused, in words that say what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data_platform.defs import dbt_manifest
from data_platform.errors import ConfigurationError
from data_platform_tests.defs import parsed
from data_platform_tests.defs.conftest import REPOSITORY


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "dbt/dbt_project.yml": "name: data_platform",
        "dbt/models/marts/order_facts.sql": "select 1",
        "dbt/models/marts/order_facts.yml": "version: 2",
        "dbt/target/manifest.json": '{"nodes": {}}',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    dbt_manifest.record(tmp_path)
    return tmp_path


def touch(path: Path, seconds: float) -> None:
    """Move a file's time relative to the manifest's."""
    os.utime(path, (seconds, seconds))


def test_a_recorded_manifest_loads_whatever_the_files_times_are(root: Path) -> None:
    touch(root / "dbt/target/manifest.json", 1_000)
    assert dbt_manifest.load_manifest(root) == {"nodes": {}}


@pytest.mark.parametrize("name", ["order_facts.sql", "order_facts.yml", "another.sql"])
def test_an_edited_model_or_description_makes_it_stale(root: Path, name: str) -> None:
    (root / "dbt/models/marts" / name).write_text("select 2")
    touch(root / "dbt/target/manifest.json", 1_000)
    with pytest.raises(ConfigurationError, match="make manifest"):
        dbt_manifest.load_manifest(root)


def test_a_manifest_that_dbt_itself_wrote_later_is_good(root: Path) -> None:
    (root / "dbt/models/marts/order_facts.sql").write_text("select 2")
    manifest = root / "dbt/target/manifest.json"
    touch(manifest, manifest.stat().st_mtime + 100)
    assert dbt_manifest.load_manifest(root) == {"nodes": {}}


def test_a_missing_manifest_says_how_to_build_it(root: Path) -> None:
    (root / "dbt/target/manifest.json").unlink()
    with pytest.raises(ConfigurationError, match="make manifest"):
        dbt_manifest.load_manifest(root)


def test_a_manifest_of_another_kind_of_warehouse_is_refused(root: Path) -> None:
    """It has the names, the types and the materializations of that kind."""
    dbt_manifest.record(root, target="bigquery")
    assert dbt_manifest.load_manifest(root, "bigquery") == {"nodes": {}}
    assert not dbt_manifest.fresh(root)
    with pytest.raises(ConfigurationError, match="kind bigquery, and the environment's is duckdb"):
        dbt_manifest.load_manifest(root)


def test_what_dbt_writes_itself_is_not_part_of_the_digest(root: Path) -> None:
    before = dbt_manifest.digest_of_files(root / "dbt")
    (root / "dbt/target/run_results.json").write_text("{}")
    (root / "dbt/.user.yml").write_text("id: 1")
    assert dbt_manifest.digest_of_files(root / "dbt") == before


@pytest.mark.slow
def test_what_was_parsed_serves_the_projects_of_tests(manifest: Path) -> None:
    """Where it does not, dbt parses in each of them anew: `parsed.py` has to say what `dbt/profiles.yml` says."""
    assert parsed.known(REPOSITORY)
