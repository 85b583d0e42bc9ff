"""A source file with a mistake: what only reads goes on without that source and says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result

Cli = Callable[..., Result]


@pytest.fixture
def broken(project: Path) -> Path:
    """``crm`` has a mistake, ``shop`` has none."""
    file = project / "catalog" / "sources" / "crm.yaml"
    file.write_text(file.read_text().replace("contacts: {key:", "contacts: {kee:"))
    return project


def test_status_shows_the_others(cli: Cli, broken: Path) -> None:
    done = cli("status", "--json")
    told = json.loads(done.out)
    assert {one["table"] for one in told["tables"]} == {"shop/orders", "shop/products"}
    assert (
        "This source is left out until its file is corrected: catalog/sources/crm.yaml:7: tables.contacts.kee"
        in done.err
    )
    assert "CatalogError" not in done.out + done.err


def test_query_answers(cli: Cli, broken: Path) -> None:
    import duckdb

    (broken / ".data").mkdir(exist_ok=True)
    duckdb.connect(str(broken / ".data" / "warehouse.duckdb")).execute(
        "create table t as select 7 as n"
    ).close()
    done = cli("query", "select n from t", "--format", "csv")
    assert (done.code, done.out) == (0, "n\n7\n")
    assert "catalog/sources/crm.yaml:7" in done.err


def test_doctor_says_it_and_looks_on(cli: Cli, broken: Path) -> None:
    done = cli("doctor", "--json")
    checks = {one["check"]: one for one in json.loads(done.out)["checks"]}
    assert checks["source files"]["state"] == "fail"
    assert "crm.yaml:7" in checks["source files"]["found"]
    assert checks["catalog"]["found"].startswith("1 source and 2 tables")
    assert any(name.startswith("landing store") for name in checks)
    assert done.code == 1


@pytest.mark.parametrize("command", [["sync"], ["backup", "run"], ["rebuild", "--into", "new.duckdb"]])
def test_what_writes_wants_the_whole_catalog(cli: Cli, broken: Path, command: list[str]) -> None:
    """Somebody sits before it who can correct the file, and half a backup is none."""
    done = cli(*command)
    assert done.code == 2 and "crm.yaml:7" in done.err
