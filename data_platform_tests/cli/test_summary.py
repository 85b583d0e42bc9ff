"""The summary after a whole run: what is green, what is not, what to type next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_platform.cli.summary import (
    Failing,
    Modelled,
    Summary,
    Synced,
    checked_lines,
    command_name,
    dbt_results,
    next_steps,
    read_checks,
    tell,
    verdict,
)
from data_platform.errors import ConfigurationError

from .conftest import Result


def summary(**changes: Any) -> Summary:
    fields: dict[str, Any] = {
        "ok": True,
        "environment": "local",
        "synced": (
            Synced("shop/orders", 20_000, 1, 1_500_000, "00000001-abcd1234"),
            Synced("shop/users", 2_500, 1, 500_000, "00000001-abcd1235"),
            Synced("desk/tickets", 40, 1, 9_000, "00000001-abcd1236"),
        ),
        "sources": {"shop": "PostgreSQL", "desk": "Zendesk"},
        "modelled": (
            Modelled("marts.daily_revenue", "table", 730),
            Modelled("marts.order_facts", "table", 20_000),
            Modelled("staging.stg_shop__orders", "view", None),
        ),
        "dbt_failed": (),
        "dbt_tests_passed": 41,
        "checks_passed": 80,
        "failing": (Failing("raw/shop/users: age_between_0_and_150", "WARN", {"failing rows": 12}),),
        "run_url": None,
        "warehouse_error": None,
    }
    return Summary(**{**fields, **changes})


def run_results(path: Path, at: str, **statuses: str) -> None:
    path.mkdir(parents=True)
    results = [{"unique_id": name.replace("__", "."), "status": status} for name, status in statuses.items()]
    document = {"metadata": {"generated_at": at}, "results": results}
    (path / "run_results.json").write_text(json.dumps(document))


def test_it_says_what_was_done_and_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    tell(summary(), "http://127.0.0.1:3000")
    text = capsys.readouterr().out
    assert ["shop", "PostgreSQL", "2", "22,500", "2", "MB"] in [line.split() for line in text.splitlines()]
    assert ["desk", "Zendesk", "1", "40", "9", "kB"] in [line.split() for line in text.splitlines()]
    for part in (
        "marts.daily_revenue",
        "80 checks passed, 1 failed",
        "WARN raw/shop/users: age_between_0_and_150 (failing rows 12)",
        "41 dbt tests passed",
        "Everything is green.",
        "make dev",
        "http://127.0.0.1:3000",
        'query "from marts.daily_revenue limit 10"',
        "sandbox traffic --seconds 30",
        "discover --url-env",
    ):
        assert part in text, part


def test_a_publication_is_told_with_how_to_open_it(capsys: pytest.CaptureFixture[str]) -> None:
    tell(summary(publication="Publication: 3 s ago, 11 relations, in /data/p.duckdb"), "http://ui")
    text = capsys.readouterr().out
    assert (
        "Published\n  Publication: 3 s ago, 11 relations, in /data/p.duckdb\n  BI tools open it read-only"
        in text
    )


def test_what_is_not_green_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    failed = summary(ok=False, dbt_failed=("model.data_platform.order_facts",), warehouse_error="It is held.")
    tell(failed, "http://ui")
    text = capsys.readouterr().out
    assert "dbt: model.data_platform.order_facts failed" in text
    assert "It is held." in text
    assert "Not everything is green" in text


def test_a_table_that_failed_is_named_under_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    whole = summary()
    tables = (
        *whole.synced[:2],
        Synced("desk/tickets", 40, 1, 9_000, "00000001-abcd1236", failure="desk: the token is not accepted"),
        Synced("desk/users", None, 0, 0, None),
        Synced("desk/views", None, 0, 0, None),
    )
    left = ("web is not configured, so it is left out: none of WEB_KEY is set.",)
    tell(summary(ok=False, synced=tables, not_configured=left), "http://ui")
    text = " ".join(capsys.readouterr().out.split())
    assert "Zendesk 0 of 3" in text
    assert "desk/tickets: desk: the token is not accepted" in text
    assert "desk/users and 1 other table: nothing of it is loaded" in text
    assert left[0] in text


def test_nothing_checked_is_said_too() -> None:
    assert checked_lines(summary(checks_passed=None, failing=(), dbt_tests_passed=0)) == [
        "no checks have run yet"
    ]


def test_the_last_word() -> None:
    assert verdict(summary())[0] == "Everything is green."
    assert "Not everything" in verdict(summary(ok=False))[0]
    assert "have not run yet" in verdict(summary(checks_passed=None, dbt_tests_passed=0))[0]


def test_commands_are_spelled_so_that_the_shell_finds_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / ".venv" / "bin" / "data-platform"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv"))
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert command_name() == "data-platform"
    monkeypatch.setenv("MAKELEVEL", "1")
    assert command_name() == ".venv/bin/data-platform", "make's path is not the shell's"
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / ".venv"))
    assert command_name() == "data-platform"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir("/")
    assert command_name().endswith(".venv/bin/data-platform")


def test_the_next_step_names_a_mart_that_is_there() -> None:
    def queries(found: Summary) -> list[str]:
        return [command for command, _ in next_steps(found, "http://ui") if " query " in command]

    assert "marts.order_facts" in queries(summary(modelled=(Modelled("marts.order_facts", "table", 1),)))[0]
    assert queries(summary(modelled=())) == []


def test_results_of_one_run_are_put_together_and_older_runs_left_out(tmp_path: Path) -> None:
    target = tmp_path / "target"
    run_results(target / "old", "2026-01-01T00:00:00Z", test__gone="fail")
    run_results(target / "build-1", "2026-01-02T00:00:00Z", model__a="success", test__a="fail")
    run_results(target / "build-2", "2026-01-02T00:05:00Z", test__a="pass")
    (target / "broken").mkdir()
    (target / "broken" / "run_results.json").write_text("{")
    assert dbt_results(target) == {"model.a": "success", "test.a": "pass"}
    assert dbt_results(tmp_path / "nothing") == {}


def test_checks_that_cannot_be_read_are_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "checks.json"
    with pytest.raises(ConfigurationError, match=r"docs/cli\.md"):
        read_checks(file)
    for text in (
        "[]",
        "{}",
        '{"passed": "x"}',
        '{"passed": 1, "failing": [{}]}',
        '{"passed": 1, "failing": [3]}',
    ):
        file.write_text(text)
        with pytest.raises(ConfigurationError):
            read_checks(file)
    file.write_text('{"passed": 3, "failing": [{"check": "a", "severity": "ERROR"}]}')
    assert read_checks(file)["passed"] == 3


def test_models_are_found_in_the_warehouse(cli: Callable[..., Result], project: Path) -> None:
    import duckdb

    path = project / ".data" / "warehouse.duckdb"
    path.parent.mkdir()
    with duckdb.connect(path) as connection:
        connection.execute("create schema marts; create schema staging; create schema raw_shop")
        connection.execute("create table raw_shop.orders as select 1 as order_id")
        connection.execute("create table marts.order_facts as select range as order_id from range(7)")
        connection.execute("create view staging.stg_shop__orders as select * from raw_shop.orders")
    run_results(project / "dbt" / "target", "2026-01-01T00:00:00Z", test__a="pass", model__b="error")
    (project / "checks.json").write_text('{"passed": 3, "failing": []}')
    result = cli("summary", "--checks", "checks.json", "--json")
    assert result.code == 1, "nothing is synced, and a model failed"
    document = json.loads(result.out)
    assert document["modelled"] == [
        {"relation": "marts.order_facts", "kind": "table", "rows": 7},
        {"relation": "staging.stg_shop__orders", "kind": "view", "rows": None},
    ]
    assert (document["dbt_failed"], document["dbt_tests_passed"], document["checks_passed"]) == (
        ["model.b"],
        1,
        3,
    )
    text = (
        (Path(__file__).parents[2] / "docs" / "cli.md").read_text().partition("## `data-platform summary`")[2]
    )
    for key in document:
        assert f"`{key}`" in text.partition("JSON:")[2].partition("\n## ")[0], key
