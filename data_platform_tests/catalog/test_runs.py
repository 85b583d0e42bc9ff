"""The block ``runs``: what runs elsewhere could not reach is a mistake before anything lands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.catalog import load_catalog
from data_platform.catalog.runs import RunResources, RunsConfig
from data_platform_tests.catalog.documents import PLATFORM, mistakes, only, write

ORDERS = "  orders: {key: order_id}\n"
BUCKET = PLATFORM.replace(
    "{kind: local, path: .data/landing}", "{kind: s3, bucket: ours, region: eu-central-1}"
)

DUCKDB = "{kind: duckdb, path: .data/warehouse.duckdb}"
LAKE = "{kind: ducklake, catalog: {url_env: LAKE_URL}, data: 's3://ours/lake'}"
assert DUCKDB in PLATFORM


def with_runs(platform: str, runs: str) -> str:
    return f"{platform}    runs: {runs}\n"


@pytest.mark.parametrize("where", ["pods", "tasks"])
def test_runs_elsewhere_reach_no_disk_of_this_machine(tmp_path: Path, where: str) -> None:
    platform = with_runs(PLATFORM, f"{{where: {where}}}")
    platform += "    backups: {store: {kind: local, path: .data/backups}, start: 2024-11-01}\n"
    platform += "    status_page: {}\n"
    found = mistakes(write(tmp_path, ORDERS, platform=platform))
    at = [mistake.split(": ", 2)[1] for mistake in found]
    assert at == [
        f"environments.local.{key}" for key in ("landing", "warehouse", "backups.store", "status_page.path")
    ]
    assert all(f"`runs.where: {where}` shares no disk between runs" in mistake for mistake in found)


def test_a_bucket_and_a_service_are_reached_from_everywhere(tmp_path: Path) -> None:
    runs = "{where: pods, steps: apart, dbt: {cpu: 1.5, memory: 8Gi}, sync: {shop: {memory: 512Mi}}}"
    catalog = load_catalog(write(tmp_path, ORDERS, platform=with_runs(BUCKET.replace(DUCKDB, LAKE), runs)))
    found = catalog.environment("local").runs
    assert (found.where, found.steps) == ("pods", "apart")
    assert (found.dbt.cpu, found.dbt.mebibytes, found.sync["shop"].mebibytes) == (1.5, 8192, 512)
    assert found.everything == RunResources()


def test_a_lake_in_a_folder_is_not(tmp_path: Path) -> None:
    platform = with_runs(
        BUCKET.replace(DUCKDB, LAKE.replace("'s3://ours/lake'", ".data/lake")), "{where: pods}"
    )
    platform += (
        "    iceberg: {catalog: {kind: sql, path: c.db}, location: .data/iceberg, tables: [marts.*]}\n"
    )
    found = mistakes(write(tmp_path, ORDERS, platform=platform))
    assert [mistake.split(": ")[1] for mistake in found] == [
        "environments.local.warehouse",
        "environments.local.iceberg.location",
    ]


def test_one_machine_is_the_default(tmp_path: Path) -> None:
    assert load_catalog(write(tmp_path, ORDERS)).environment("local").runs == RunsConfig()


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ("{steps: apart}", "runs.steps: is only for `where: pods`"),
        (
            "{sync: {shopp: {cpu: 1}}}",
            "runs.sync.shopp: is not a source of the catalog. Did you mean `shop`?",
        ),
        ("{dbt: {memory: 8GB}}", "runs.dbt.memory: "),
        ("{dbt: {cpu: 0}}", "runs.dbt.cpu: "),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, runs: str, said: str) -> None:
    mistake = only(write(tmp_path, ORDERS, platform=with_runs(PLATFORM, runs)))
    assert mistake.startswith("catalog/platform.yaml:5: environments.local.") and said in mistake
