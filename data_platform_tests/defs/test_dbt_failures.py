"""A dbt run that fails says which model, why and what to do, and never a value of a row."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from data_platform.defs import dbt_folders
from data_platform.defs.dbt_words import error_sentence, output
from data_platform.defs.names import TOLD_BY_CHECKS
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.contracts.toy_warehouse.config import ToyConfig
from data_platform_tests.defs.conftest import Project

ENGINE = DuckDBConfig(path=Path("w.duckdb"))
HIDDEN = "Its text is not shown because it may hold a value."
ORDERS = dg.AssetKey(["staging", "stg_shop__orders"])
OTHERS = [dg.AssetKey(["staging", f"stg_shop__{name}"]) for name in ("order_items", "products", "users")]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "Runtime Error in model order_facts (models/marts/shop/order_facts.sql)\n  Binder Error: Referenced"
            ' column "x" not found in FROM clause!\n  Candidate bindings: "a"\n\n  LINE 5: x\n',
            'Binder Error: Referenced column "x" not found in FROM clause!',
        ),
        (
            "Runtime Error in model a (m.sql)\n  Conversion Error: Could not convert string 'O'Brien 41' to"
            " INT32 when casting from source column email\n",
            "Conversion Error, in the source column email: a value cannot be converted to the type asked for."
            f" `TRY_CAST(… AS …) IS NULL` finds the rows. {HIDDEN}",
        ),
        (
            'Runtime Error\n  Constraint Error: Duplicate key "ssn: 123-45-6789" violates primary key constraint',
            f"Constraint Error: a value breaks a constraint of its table. {HIDDEN}",
        ),
        (
            "Runtime Error\n  Out of Range Error: Overflow in multiplication of INT32 (4111111111111111 * -7)!",
            f"Out of Range Error: a number is out of the range of its type. {HIDDEN}",
        ),
        (
            "Database Error in model z\n  Invalid Input Error: Malformed JSON at byte 9 of input: ada@x.test",
            f"Invalid Input Error: a function was given a value that it does not take. {HIDDEN}",
        ),
        (
            "Runtime Error in model a (m.sql)\n  Conversion Error: Could not convert string 'Compilation Error' it's"
            " Ada\n\nWHO' to INT32 when casting from source column a\n\nLINE 3: '1'",
            "Conversion Error, in the source column a: a value cannot be converted to the type asked for."
            f" `TRY_CAST(… AS …) IS NULL` finds the rows. {HIDDEN}",
        ),
        ("\x1b[31mCompilation Error in model q (p.sql)\x1b[0m\n  'foo' is undefined", "'foo' is undefined"),
        ("", "dbt gave no reason. See the run's output."),
    ],
)
def test_what_dbt_says_is_kept_and_values_are_not(message: str, said: str) -> None:
    assert error_sentence(message, ENGINE) == said


def test_what_dbt_prints_quotes_no_row() -> None:
    printed = "12:00:01  1 of 2 ERROR creating sql view model a\n"
    assert output(printed, ENGINE) == printed
    assert "Ada" not in output(
        "12:00:01    Conversion Error: Could not convert string 'x\n\nAda' to INT32\n", ENGINE
    )
    binder = '12:00:01    Binder Error: Referenced column "x" not found\n\n  LINE 5: x\n'
    assert output(binder, ENGINE) == binder


def test_each_engine_says_which_of_its_errors_quote_rows() -> None:
    toy = ToyConfig(folder=Path("toy"))
    assert error_sentence("Runtime Error in model a\n  sqlite3.OperationalError: no such column: x", toy) == (
        "sqlite3.OperationalError: no such column: x"
    )
    quoted = "Runtime Error in model a\n  sqlite3.IntegrityError: UNIQUE failed for 'Ada'"
    assert error_sentence(quoted, toy) == f"SQLite's IntegrityError. {HIDDEN}"
    assert "Ada" not in output(f"12:00:01  {quoted}", toy)
    assert "Ada" not in error_sentence("Runtime Error in model a\n  no word of any engine's: 'Ada'", toy)
    behind = "Runtime Error in model a\n  'Ada' sqlite3.OperationalError: no such column"
    assert "Ada" not in error_sentence(behind, toy), "only what begins with such an error is shown"


def test_folders_go_by_number_and_age_and_never_those_at_work() -> None:
    now, day = 1_000_000_000.0, 86_400.0
    folders = {Path(f"dbt_build-run{n:04d}-x"): now - n * 60 for n in range(15)}
    folders |= {Path("dbt_build-running-x"): now - 20 * day, Path("dbt_build-strange-x"): now - 3_600}
    folders |= {Path("dbt_build-ancient-x"): now - 30 * day}
    known = [f"run{n:04d}" for n in range(15)]
    removed = dbt_folders.removable(folders, {"running"}, known, now)
    assert {folder.name for folder in removed} == {
        "dbt_build-ancient-x",
        *(f"dbt_build-run{n:04d}-x" for n in range(dbt_folders.KEPT, 15)),
    }


def build(project: Project, *keys: dg.AssetKey) -> dg.ExecuteInProcessResult:
    job = project.definitions.resolve_implicit_global_asset_job_def()
    checks = {c for c in project.repository.asset_graph.asset_check_keys if c.asset_key in keys}
    subset = job.get_subset(asset_selection=set(keys), asset_check_selection=checks)
    return subset.execute_in_process(instance=project.instance, raise_on_error=False)


def told(project: Project, cursor: str | None = None) -> tuple[list[tuple[str, str]], str]:
    from data_platform.alerts.state import from_cursor

    _, after = project.sensor("alerts", cursor)
    return [(one.problem.object, one.problem.summary) for one in from_cursor(after).incidents.values()], after


@pytest.mark.slow
def test_each_model_and_test_that_fails_is_told_in_words(project: Project) -> None:
    old = project.root / "dbt" / "target" / "dbt_build-0000000-old"
    old.mkdir()
    os.utime(old, (time.time() - 30 * 86_400,) * 2)
    assert project.sync("orders", "order_items", "products", "users", checks=False).success
    with project.platform().warehouse() as warehouse:
        warehouse.query("UPDATE raw_shop.order_items SET order_id = -order_id WHERE order_id IN (1, 2)")
        (lost,) = warehouse.query("SELECT count(*) FROM raw_shop.order_items WHERE order_id < 0").rows[0]
    build(project, ORDERS, *OTHERS)
    assert not old.exists()
    found, cursor = told(project)
    assert len(found) == 1, found
    [(name, words)] = found  # the check alone tells it, whether or not its severity fails the run
    assert "order_items" in name and f"has {lost} rows whose order is missing" in words
    with project.platform().warehouse() as warehouse:
        warehouse.query("ALTER TABLE raw_shop.orders RENAME COLUMN status TO state")
    result = build(project, ORDERS, *OTHERS)
    assert not result.success
    [failed] = [e for e in result.all_events if e.is_step_failure]
    data = failed.step_failure_data.user_failure_data
    assert data is not None and "staging/stg_shop__orders" in (data.description or "")
    assert "\x1b" not in str(failed) and TOLD_BY_CHECKS in data.metadata
    found, _ = told(project, cursor)
    summaries = dict(found)
    assert "status" in summaries["staging/stg_shop__orders"]
    assert summaries["staging/stg_shop__orders"].startswith("Binder Error: ")
    assert not [name for name in summaries if "sync" in name or "selected assets" in name]


@contextmanager
def held(path: Path) -> Iterator[int]:
    """Another process has the warehouse's file open; its number."""
    code = (
        f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        yield holder.pid
    finally:
        holder.communicate("")


def test_who_holds_the_warehouse_is_said(tmp_path: Path) -> None:
    with held(tmp_path / "w.duckdb") as pid:
        with pytest.raises(duckdb.IOException) as caught:
            duckdb.connect(str(tmp_path / "w.duckdb"))
        message = f"Runtime Error in model a (models/a.sql)\n  {caught.value}"
        assert f"held by process {pid} (python" in error_sentence(message, ENGINE)


@pytest.mark.slow
@pytest.mark.usefixtures("thorough")  # dbt tries again for half a minute, each model and test
def test_who_holds_the_warehouse_is_said_of_a_run(project: Project) -> None:
    assert project.sync("orders", checks=False).success
    with held(Path(project.platform().environment.warehouse.place(project.root))) as pid:
        assert not build(project, ORDERS).success
    found, _ = told(project)
    assert any(f"held by process {pid}" in summary for _, summary in found), found
