"""Dagster's own PostgreSQL is on the checklist of production: its variables, and whether it answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from data_platform.sync import Platform, open_platform
from data_platform.sync.checklist import Secret, checklist

DEPLOY = Path(__file__).parents[2] / "deploy" / "dagster.yaml"
NAMES = ("HOST", "PORT", "DB", "USER", "PASSWORD")
WRONG = "not-its-password"


def project(root: Path, environ: dict[str, str], environment: str = "prod") -> Platform:
    (root / "catalog").mkdir(exist_ok=True)
    block = (
        "    landing: {kind: local, path: landing}\n    warehouse: {kind: duckdb, path: warehouse.duckdb}\n"
        "    backups: {store: {kind: local, path: primary}, start: 2026-01-01}\n"
    )
    (root / "catalog/platform.yaml").write_text(f"environments:\n  local:\n{block}  prod:\n{block}")
    (root / "deploy").mkdir(exist_ok=True)
    shutil.copyfile(DEPLOY, root / "deploy/dagster.yaml")
    return open_platform(root, environment, {"DATA_PLATFORM_LEDGER_KEY": "k" * 64, **environ})


def storage(platform: Platform) -> list[Secret]:
    return [one for one in checklist(platform) if one.name == "Dagster's storage"]


@pytest.mark.slow
def test_it_is_tried_by_the_variables_that_its_settings_name(tmp_path: Path, database: str) -> None:
    url = urlsplit(database)
    values = (
        url.hostname,
        str(url.port),
        url.path[1:],
        unquote(url.username or ""),
        unquote(url.password or "x"),
    )
    environ = {f"DAGSTER_POSTGRES_{name}": str(value) for name, value in zip(NAMES, values, strict=True)}
    (found,) = storage(project(tmp_path, environ))
    assert (found.state, found.detail) == ("works", "It answers.")
    assert list(found.variables) == [f"DAGSTER_POSTGRES_{name}" for name in NAMES]
    (gone,) = storage(
        project(tmp_path, {**environ, "DAGSTER_POSTGRES_PORT": "1", "DAGSTER_POSTGRES_PASSWORD": WRONG})
    )
    assert gone.state == "fails" and "does not answer" in gone.detail and WRONG not in repr(gone)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (found,) = storage(project(tmp_path, {"DAGSTER_POSTGRES_HOST": "127.0.0.1"}))
    assert found.state == "missing" and "DAGSTER_POSTGRES_PASSWORD" in found.detail
    assert found.variables["DAGSTER_POSTGRES_HOST"] and not found.variables["DAGSTER_POSTGRES_PASSWORD"]


def test_a_laptop_keeps_its_records_in_files(tmp_path: Path) -> None:
    assert storage(project(tmp_path, {}, "local")) == []
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("storage: {sqlite: {base_dir: x}}")
    assert storage(project(tmp_path, {"DAGSTER_HOME": str(home)})) == []
    (home / "dagster.yaml").write_text("storage: {postgres: {postgres_url: {env: GRAPH_URL}}}")
    (found,) = storage(project(tmp_path, {"DAGSTER_HOME": str(home)}, "local"))
    assert (found.state, dict(found.variables)) == ("missing", {"GRAPH_URL": False})
    (home / "dagster.yaml").write_text("storage: [")
    (broken,) = storage(project(tmp_path, {"DAGSTER_HOME": str(home)}, "local"))
    assert broken.state == "fails" and "cannot be read" in broken.detail
