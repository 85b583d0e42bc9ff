"""The command over the repository's own project, in a repository of git of its own; dbt compiles for real."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data_platform.cli.app import command_tree
from data_platform.defs import dbt_compiled
from data_platform.defs.dbt_compiled import Compiled, compile_models
from data_platform.errors import ConfigurationError
from data_platform.impact.revision import checked_out
from data_platform_tests.repository import ROOT

IGNORED = shutil.ignore_patterns("target", "logs", "*.duckdb")


def git(folder: Path, *arguments: str) -> None:
    names = ("-c", "user.name=data_platform", "-c", "user.email=data@company.example")
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


def contents(folder: Path) -> str:
    """A digest of every file below ``folder`` that git keeps, with its place."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".git" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def compiled() -> Iterator[dict[str, Compiled]]:
    """What dbt has compiled; the same files once, since that takes it some ten CPU seconds."""
    known: dict[str, Compiled] = {}

    def once(root: Path) -> Compiled:
        key = contents(root)
        if key not in known:
            known[key] = compile_models(root)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dbt_compiled, "compile_models", once)
        yield known


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
@pytest.mark.usefixtures("compiled")
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
def test_two_revisions_differ_in_what_was_edited(project: Path, compiled: dict[str, Compiled]) -> None:
    shop = project / "catalog" / "sources" / "shop.yaml"
    shop.write_text(shop.read_text().replace("- price >= 0", "- price > 0"))
    model = project / "dbt" / "models" / "marts" / "shop" / "daily_revenue.sql"
    text = model.read_text()
    assert text.count("as net_revenue") == 1
    model.write_text(text.replace("as net_revenue", "+ 1 as net_revenue"))
    found = asked(project, "--since", "HEAD")
    assert len(compiled) == 2, "as it was, and as it is"
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
