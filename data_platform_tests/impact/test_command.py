"""The command over the repository's own project, in a repository of git of its own; dbt compiles for real."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data_platform.cli.app import command_tree
from data_platform.errors import ConfigurationError
from data_platform.impact.revision import checked_out
from data_platform_tests.repository import ROOT

IGNORED = shutil.ignore_patterns("target", "logs", "*.duckdb")


def git(folder: Path, *arguments: str) -> None:
    names = ("-c", "user.name=data_platform", "-c", "user.email=data@company.example")
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("impact")
    for name in ("catalog", "dbt", "spark"):
        shutil.copytree(ROOT / name, folder / name, ignore=IGNORED)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "As it was")
    return folder


def asked(project: Path, *arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(
        command_tree("impact"), ["impact", *arguments, "--json", "--root", str(project)]
    )
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_column_of_the_shop_reaches_the_marts_their_tests_and_the_publication(project: Path) -> None:
    found = asked(project, "shop.orders.revenue")
    columns = found["columns"]
    assert isinstance(columns, dict)
    assert columns["staging.stg_shop__orders.revenue"] == ["raw_shop.orders.revenue"]
    assert {"marts.daily_revenue.total_revenue", "marts.order_facts.net_revenue"} <= columns.keys()
    assert "marts.user_dim.user_id" not in columns
    assert found["unclear"] == []
    dependents = found["dependents"]
    assert isinstance(dependents, list)
    by_kind = {(one["kind"], one["name"]) for one in dependents}
    assert ("check", "raw/shop/orders: revenue_gte_0") in by_kind
    assert ("dbt test", "daily_revenue_is_exact") in by_kind
    assert ("export", "published/warehouse: marts.daily_revenue") in by_kind
    assert not (project / "dbt" / "target").exists() and not (project / ".data").exists()


@pytest.mark.slow
def test_two_revisions_differ_in_what_was_edited(project: Path) -> None:
    shop = project / "catalog" / "sources" / "shop.yaml"
    shop.write_text(shop.read_text().replace("- price >= 0", "- price > 0"))
    model = project / "dbt" / "models" / "marts" / "shop" / "daily_revenue.sql"
    text = model.read_text()
    assert text.count("as net_revenue") == 1
    model.write_text(text.replace("as net_revenue", "+ 1 as net_revenue"))
    found = asked(project, "--since", "HEAD")
    checks, columns = found["checks"], found["columns"]
    assert isinstance(checks, dict) and isinstance(columns, dict)
    assert checks["added"] == ["raw/shop/products: price_gt_0"]
    assert checks["removed"] == ["raw/shop/products: price_gte_0"]
    assert "marts.daily_revenue.net_revenue" in columns["changed"]
    assert "marts.order_facts.net_revenue" not in columns["changed"]


@pytest.mark.parametrize("revision", ["no-such-branch", "--output=/tmp/x"])
def test_a_revision_that_is_none_is_refused(project: Path, revision: str) -> None:
    with (
        pytest.raises(ConfigurationError, match="ame a branch"),
        checked_out(project, revision),
    ):
        pass  # fmt: skip


def test_a_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="of the repository that holds the project"),
        checked_out(tmp_path, "HEAD"),
    ):
        pass  # fmt: skip
