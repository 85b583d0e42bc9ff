"""``query``: three formats of one answer, against the real engine, which lets nothing be changed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from .conftest import Result

Cli = Callable[..., Result]
EVERY_KIND = """
select 1 as i, 12345678901234567890123::hugeint as h, 1.10::decimal(9,2) as d, 0.5::double as f, true as b,
       'a "quoted", text' as t, null as n, date '2026-01-31' as day,
       timestamptz '2026-01-31 12:00:00.000001+00' as at, '\\x01\\xFF'::blob as x,
       [1, 2] as l, {'k': 1.5::decimal(2,1)} as s, uuid '00000000-0000-0000-0000-000000000001' as u,
       'nan'::double as nan
"""


@pytest.fixture
def warehouse(project: Path) -> Path:
    path = project / ".data" / "warehouse.duckdb"
    path.parent.mkdir()
    with duckdb.connect(path) as connection:
        connection.execute("create table numbers as select range as n from range(250)")
    return path


def test_json_keeps_exact_types_exact(cli: Cli, warehouse: Path) -> None:
    result = cli("query", EVERY_KIND, "--format", "json")
    assert result.code == 0, result.err
    [row] = json.loads(result.out)
    assert row["h"] == 12345678901234567890123
    assert (row["i"], row["d"], row["f"], row["b"], row["n"]) == (1, "1.10", 0.5, True, None)
    assert (row["day"], row["x"], row["l"], row["s"]) == ("2026-01-31", "01ff", [1, 2], {"k": "1.5"})
    assert row["at"] == "2026-01-31T12:00:00.000001+00:00"
    assert (row["u"], row["nan"]) == ("00000000-0000-0000-0000-000000000001", "nan")


def test_csv_reads_back(cli: Cli, warehouse: Path) -> None:
    result = cli("query", EVERY_KIND, "-f", "csv")
    [row] = csv.DictReader(io.StringIO(result.out))
    assert (row["t"], row["n"], row["d"], row["l"]) == ('a "quoted", text', "", "1.10", "[1, 2]")


def test_a_table_shows_a_hundred_rows_and_says_so(cli: Cli, warehouse: Path) -> None:
    result = cli("query", "from numbers order by n")
    assert "99" in result.out
    assert "100" not in result.out
    assert "--limit 0 shows all" in result.err
    everything = cli("query", "from numbers", "--limit", "0")
    assert len(everything.out.split()) == 250 + 2, "a heading, its rule and every row"


def test_scripts_get_every_row_unless_they_say_so(cli: Cli, warehouse: Path) -> None:
    assert len(json.loads(cli("query", "from numbers", "-f", "json").out)) == 250
    assert len(json.loads(cli("query", "from numbers", "-f", "json", "--limit", "3").out)) == 3


def test_a_statement_from_standard_input(cli: Cli, warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("select 7 as seven"))
    assert cli("query", "-", "-f", "csv").out == "seven\n7\n"


@pytest.mark.parametrize(
    "sql",
    [
        "insert into numbers values (1)",
        "drop table numbers",
        "select * from read_csv('/etc/passwd')",
        "copy numbers to '/tmp/data_platform_out.csv'",
        "attach '/tmp/data_platform_other.duckdb' as other",
        "set enable_external_access = true",
    ],
)
def test_nothing_is_changed_and_nothing_outside_is_reached(cli: Cli, warehouse: Path, sql: str) -> None:
    result = cli("query", sql)
    assert result.code == 5
    assert "Traceback" not in result.err
    assert json.loads(cli("query", "select count(*) as n from numbers", "-f", "json").out) == [{"n": 250}]


def test_a_mistake_in_the_statement_is_the_engine_s_own_word(cli: Cli, warehouse: Path) -> None:
    result = cli("query", "select nothing from numbers")
    assert result.code == 5
    assert "nothing" in result.err


def test_without_a_warehouse_it_says_what_to_do(cli: Cli, project: Path) -> None:
    result = cli("query", "select 1")
    assert result.code == 5
    assert "sync" in result.err
    assert not (project / ".data" / "warehouse.duckdb").exists()


def test_an_empty_statement(cli: Cli, warehouse: Path) -> None:
    assert cli("query", "  ").code == 2


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("call enable_logging('QueryLog', storage='file', storage_config={'path': 'x'})", "only reads"),
        ("from enable_logging('QueryLog', storage='file', storage_config={'path': 'x'})", "enable_logging"),
        ("select (select count(*) from Enable_Logging('QueryLog'))", "enable_logging"),
        ("explain analyze /* ; */ from enable_logging('QueryLog')", "The query did not run"),
        ("/* */ explain from enable_logging('QueryLog')", "enable_logging"),
        ("from query('from enable_logging(''QueryLog'')')", "table function query "),
        ("from duckdb_logs()", "duckdb_logs"),
        ("from checkpoint()", "checkpoint"),
        ("pragma enable_profiling", "only reads"),
        ("set search_path = 'information_schema'", "only reads"),
        ("create temp table t as select 1", "only reads"),
        ("prepare p as select 1", "only reads"),
        ("select 1; select 2", "holds 2 statements"),
        ("pivot numbers on n using count(*)", "IN ('a', 'b')"),
        ("/* nothing */", "no statement"),
        (f"select 1 {'+ 1 ' * 3000}", "The query did not run"),
    ],
)
def test_one_question_that_calls_nothing_that_acts(cli: Cli, warehouse: Path, sql: str, why: str) -> None:
    result = cli("query", sql)
    assert (result.code, result.out) == (5, "")
    assert why in result.err
    assert json.loads(cli("query", "select count(*) as n from numbers", "-f", "json").out) == [{"n": 250}]


@pytest.mark.parametrize(
    "sql",
    [
        "from numbers limit 1",
        "describe numbers",
        "summarize numbers",
        "show tables",
        "explain select 1",
        "explain analyze from numbers",
        "with recursive a as (select 1) from a",
        "pivot numbers on n in (1, 2) using count(*)",
        "select * from range(3), unnest([1, 2]) -- of no table",
        "select table_name from duckdb_tables();",
    ],
)
def test_every_way_to_ask_is_answered(cli: Cli, warehouse: Path, sql: str) -> None:
    result = cli("query", sql)
    assert result.code == 0, result.err


def test_values_are_bound_to_the_places_of_a_statement(cli: Cli, warehouse: Path) -> None:
    sql = "select n, ? as t from numbers where n < cast(? as int) order by n"
    result = cli("query", sql, "--bind", "it's", "--bind", "2", "-f", "csv")
    assert (result.code, result.out) == (0, "n,t\n0,it's\n1,it's\n"), result.err
    assert cli("query", sql, "--bind", "it's").code == 5


def test_a_query_does_not_see_our_own_variables(cli: Cli, warehouse: Path) -> None:
    for name in ("rows", "parameters", "described"):
        assert cli("query", f"from {name}").code == 5


def test_an_error_is_no_longer_than_a_page(cli: Cli, warehouse: Path) -> None:
    result = cli("query", "select cast(repeat('x', 100000) as integer)")
    assert result.code == 5
    assert len(result.err) < 2500


@pytest.mark.parametrize("type_", ["date", "timestamp", "timestamptz", "timestamp_s", "timestamp_ms"])
def test_infinity_is_not_the_last_day_of_a_calendar(cli: Cli, warehouse: Path, type_: str) -> None:
    sql = (
        f"select 'infinity'::{type_} as a, '-infinity'::{type_} as b, '9999-12-31'::{type_} as c, 1 as c,"
        f" ['infinity'::{type_}] as l, {{'at': '-infinity'::{type_}}} as s order by 1; -- the end"
    )
    [row] = json.loads(cli("query", sql, "-f", "json").out)
    assert (row["a"], row["b"], row["l"], row["s"]) == (
        "infinity",
        "-infinity",
        ["infinity"],
        {"at": "-infinity"},
    )
    result = cli("query", sql, "-f", "csv").out.splitlines()
    assert result[0] == "a,b,c,c,l,s"
    assert result[1].startswith("infinity,-infinity,9999-12-31")
    assert "infinity" in cli("query", sql).out


HOSTILE = "\x1b]0;owned\x07\x1b[31m\u202egnp.exe\x9b2J\r\udcff"


def test_what_acts_on_a_terminal_is_shown_as_an_escape(cli: Cli, warehouse: Path) -> None:
    sql = "select chr(27) || '[2J' || chr(8238) || chr(10) || 'x' as \"h\x1b[2J\""
    table = cli("query", sql).out
    assert r"\x1b[2J\u202e\nx" in table
    as_json = cli("query", sql, "-f", "json").out
    assert json.loads(as_json) == [{"h\x1b[2J": "\x1b[2J\u202e\nx"}], "the same document"
    for shown in (table, as_json, cli("query", "select 'a' as \"\x1b[2J\", x").err):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert cli("query", sql, "-f", "csv").out.endswith('"\x1b[2J\u202e\nx"\n'), (
        "a file gets the bytes as they are"
    )


def test_a_spreadsheet_runs_no_formula(cli: Cli, warehouse: Path) -> None:
    sql = "select '=cmd()' as \"@SUM(1)\", '+1' as b, 'a=b' as c, -5 as d, null as e"
    assert cli("query", sql, "-f", "csv", "--spreadsheet").out == "'@SUM(1),b,c,d,e\n'=cmd(),'+1,a=b,-5,\n"
    assert cli("query", sql, "-f", "csv").out == "@SUM(1),b,c,d,e\n=cmd(),+1,a=b,-5,\n"
