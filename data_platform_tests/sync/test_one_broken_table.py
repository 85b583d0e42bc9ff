"""Whatever breaks one table stops nothing else, is told by its cause, and never by a value of a row."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from data_platform.cli.app import run as run_cli
from data_platform.errors import SourceUnreachable, WarehouseError
from data_platform.sync import check_sources, probe
from data_platform_tests.sync.conftest import HASH_KEY, Project

pytestmark = pytest.mark.slow

NEEDLE = "needle-of-a-row"
NUMBER = 777_000_777
"""Values of rows that no message may hold."""
GOOD = ("b_local", "c_local", "d_local", "e_local")
REPLACE = {"strategy": "replace"}

FOREIGN = f"""
create extension postgres_fdw;
create server far foreign data wrapper postgres_fdw
    options (host '127.0.0.1', port '{{port}}', dbname 'x', connect_timeout '2');
create user mapping for public server far options (user 'x', password '{NEEDLE}', password_required 'false');
create foreign table a_remote (id int, v text) server far options (schema_name 'public', table_name 'a_remote');
create extension dblink;
create view a_linked as select * from dblink('host=127.0.0.1 port={{port}} dbname=x user=x password={NEEDLE}',
    'select 1') r(id int);
"""
ROWS = f"""
create table rows (id int primary key, v text, n int);
insert into rows select g, '{NEEDLE}', {NUMBER} from generate_series(1, 50) g;
create function tell(v text) returns text language plpgsql as
    $$ begin raise exception 'customer % is unknown', v using table = v, column = v, hint = v, detail = v; end $$;
create function lie(v text) returns text language plpgsql as
    $$ begin raise exception 'materialized view "%" has not been populated', v using errcode = '55000'; end $$;
create function miscast(v text) returns int language sql immutable as $$ select v::int $$;
create function dynamic(v text) returns int language plpgsql as
    $$ declare n int; begin execute 'select 1 from "' || v || '"' into n; return n; end $$;
create function writes() returns int language plpgsql as $$ begin create table made (); return 1; end $$;
create domain small as int check (value < 10);
create materialized view empty as select * from rows with no data;
create view over_empty as select * from empty;
create view divides as select id, n / (id - id) as q from rows;
create view told as select id, tell(v) as t from rows;
create view lied as select id, lie(v) as t from rows;
create view cast_text as select id, v::int as n from rows;
create view cast_in_sql as select id, miscast(v) as n from rows;
create view too_large as select id, (n::bigint * {NUMBER})::int as n from rows;
create view no_day as select id, v::timestamptz as at from rows;
create view no_table as select id, dynamic(v) as n from rows;
create view small_ones as select id, n::small as n from rows;
create view twice as select id, (select v from rows) as v from rows;
create view makes as select id, writes() as n from rows limit 1;
create view pattern as select id, regexp_replace(v, '(' || v, '') as v from rows;
"""
TOLD = {
    "empty": ('materialized view "empty" has not been populated', "REFRESH MATERIALIZED VIEW"),
    "over_empty": ('materialized view "empty" has not been populated', "REFRESH MATERIALIZED VIEW"),
    "divides": ("divides by zero", "at the source"),
    "told": ("a function that it calls raised an error of its own", "P0001"),
    "lied": ("not ready to be read", "55000"),
    "cast_text": ("not a valid value of the type", "22P02"),
    "cast_in_sql": ("not a valid value of the type", "22P02"),
    "too_large": ("out of the range", "22003"),
    "no_day": ("not a valid date or time", "22007"),
    "no_table": ("refers to something that does not exist", "42P01"),
    "small_ones": ("the constraint small_check", "23514"),
    "twice": ("more than one row", "21000"),
    "makes": ("writes, which a sync does not allow", "25006"),
    "pattern": ("is invalid in an expression", "2201B"),
}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses everybody."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]


def silent(text: str) -> None:
    for value in (NEEDLE, str(NUMBER), "customer"):
        assert value not in text, text


@pytest.mark.parametrize("connections", [1, 2])
def test_a_foreign_server_that_is_down_keeps_its_own_tables_back_alone(
    project: Project, closed_port: int, connections: int
) -> None:
    project.execute(
        *FOREIGN.format(port=closed_port).strip().split(";\n"),
        *(f"create table {t} (id int primary key, v text)" for t in GOOD),
        *(f"insert into {t} select g, 'v' from generate_series(1, 100) g" for t in GOOD),
    )
    blocks: dict[str, Any] = {"a_remote": REPLACE, "a_linked": REPLACE, **{t: {"key": "id"} for t in GOOD}}
    project.catalog(blocks, connection={"connections": connections})
    for _ in range(2):
        reports = project.sync()
        for table in ("a_remote", "a_linked"):
            error = reports[table].error
            assert isinstance(error, SourceUnreachable), "it may be up again next time"
            assert "cannot be reached" in str(error) or "could not connect to server" in str(error)
            assert "connection to the source was lost" not in str(error)
            silent(str(error))
        assert 'could not connect to server "far"' in str(reports["a_remote"].error)
        assert {t: r.error for t, r in reports.items() if t in GOOD} == dict.fromkeys(GOOD)
    assert (
        project.rows(" union all ".join(f"select count(*) from raw_shop.{t}" for t in GOOD)) == [(100,)] * 4
    )
    assert not [p.error for p in probe(project.platform(), "shop") if p.table.table in GOOD and p.error]


def broken(project: Project) -> None:
    project.execute(ROWS, "create table fine (id int primary key)", "insert into fine values (1)")
    # before the broken ones and after them
    blocks: dict[str, Any] = {"fine": {"key": "id"}, **dict.fromkeys(TOLD, REPLACE), "rows": {"key": "id"}}
    project.catalog(blocks, connection={"connections": 1})


def test_each_cause_is_told_and_no_value(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(project)
    reports = project.sync()
    for table, said in TOLD.items():
        error = str(reports[table].error)
        for words in said:
            assert words in error, (table, error)
        assert table in error and "Failed to" not in error
        silent(error)
    assert [reports[t].error for t in ("fine", "rows")] == [None, None]
    monkeypatch.setenv("SHOP_URL", project.url)
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", HASH_KEY)
    for options in ([], ["--json"]):
        assert run_cli(["sync", "--root", str(project.root), *options]) == 1
        out, err = capfd.readouterr()
        silent(out + err)
        assert "divides by zero" in out + err
    assert {r["table"] for r in json.loads(out)["tables"] if r["error"]} == {f"shop/{t}" for t in TOLD}
    silent(" ".join(check_sources(project.platform()).mistakes))
    silent(" ".join(str(p.error) for p in probe(project.platform(), "shop")))


@pytest.mark.needs_postgres(18)  # a virtual generated column
def test_a_key_that_cannot_be_computed_is_told_without_its_value(project: Project) -> None:
    """The key is computed by each statement that asks for repeated keys, counts or fingerprints."""
    project.execute(
        "create table computed (id int generated always as (v::int) virtual, v text, n int)",
        "insert into computed (v, n) values ('1', 1), ('2', 2)",
        "create table fine (id int primary key)",
    )
    project.catalog({"computed": {"key": "id"}, "fine": {"key": "id"}}, connection={"connections": 1}).good()
    project.execute(f"insert into computed (v) values ('{NEEDLE}')", "insert into fine values (1)")
    attempts: list[dict[str, Any]] = [{}, {"verify": True}, {"refresh": ["computed"]}]
    for options in attempts:
        reports = project.sync(**options)
        error = str(reports["computed"].error)
        assert "not a valid value of the type" in error and "22P02" in error
        silent(error)
        assert reports["fine"].error is None
    for seen in probe(project.platform(), "shop", measure_slices=True):
        silent(str(seen.error))


def test_what_the_engine_says_of_values_is_not_shown(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.execute(f"create table t (id int primary key, v text); insert into t values (1, '{NEEDLE}')")
    project.catalog({"t": {"key": "id"}}).good()
    monkeypatch.setenv("SHOP_URL", project.url)
    for expression in (
        "v::int",
        "error(v)",
        "v::timestamp",
        "strptime(v, '%Y')",
        f"(id::int + {2**31 - 2})::int * {NUMBER}::int",
        "list_value(v)[1]::int[]",
        "json_extract(v, '$.a')",
    ):
        for options in ([], ["-f", "json"]):
            assert (
                run_cli(
                    ["query", f"select {expression} from raw_shop.t", "--root", str(project.root), *options]
                )
                == 5
            )
            out, err = capfd.readouterr()
            assert "its text is not shown" in err, (expression, err)
            assert NEEDLE not in out + err, expression
    with project.platform().warehouse(read_only=True) as warehouse, pytest.raises(WarehouseError) as raised:
        warehouse.query("select v::int from raw_shop.t")
    assert raised.value.__cause__ is None and raised.value.__suppress_context__, "Dagster writes causes down"
    # what holds no value is shown
    assert run_cli(["query", "select nothing from raw_shop.t", "--root", str(project.root)]) == 5
    assert "nothing" in capfd.readouterr().err


def test_a_statement_under_the_snapshot_that_fails_leaves_the_session_usable(project: Project) -> None:
    """Counting and checksums run on the session: a key that cannot be computed is its own table's trouble."""
    project.execute(
        "create function gone(v text) returns int language plpgsql as"
        " $$ begin if current_setting('application_name') = 'data_platform' then raise exception 'customer %', v;"
        " end if; return 1; end $$",
        f"create table rows (id int primary key, v text); insert into rows values (1, '{NEEDLE}')",
        "create view a_view as select id, v from rows where gone(v) = 1",
        "create table z (id int primary key); insert into z values (1)",
    )
    project.catalog(
        {"a_view": {"key": "id", "cursor": "id"}, "z": {"key": "id"}}, connection={"connections": 1}
    )
    for options in ({}, {"verify": True}):
        reports = project.sync(**options)
        assert "error of its own" in str(reports["a_view"].error)
        silent(str(reports["a_view"].error))
        assert reports["z"].error is None


@pytest.mark.needs_postgres(15)  # security_invoker
def test_a_policy_that_hides_rows_is_told_as_one(project: Project) -> None:
    name = "clerk_" + project.url.rsplit("/", 1)[-1].split("?")[0]
    owner = project.url
    project.execute(
        "create table policed (id int primary key)",
        "alter table policed enable row level security",
        "create table behind (id int primary key)",
        f"create role {name} login password 'x-of-clerk'",
        f"grant select on policed to {name}",
        "create view by_owner with (security_invoker = true) as select * from behind",
        f"grant select on by_owner to {name}",
    )
    try:
        project.catalog({"policed": {"key": "id"}, "by_owner": REPLACE})
        project.url = psycopg.conninfo.make_conninfo(owner, user=name, password="x-of-clerk")
        reports = project.sync()
        assert "row-level security policy" in str(reports["policed"].error)
        assert "BYPASSRLS" in str(reports["policed"].error)
        assert "GRANT SELECT" in str(reports["by_owner"].error)
    finally:
        project.url = owner
        project.execute(f"drop owned by {name}", f"drop role {name}")


@pytest.mark.parametrize(
    ("view", "cause"),
    [
        ("select id from t where random() < 0.5", "it calls random()"),
        ("select id from drawn", "it calls random()"),
        ("select id from t tablesample bernoulli (50)", "it takes a TABLESAMPLE"),
        (
            "select id from t where id % 7 > extract(microseconds from clock_timestamp())::bigint % 7",
            "it calls clock_timestamp()",
        ),
    ],
)
def test_a_view_that_gives_other_rows_each_time_says_what_in_it_does(
    project: Project, view: str, cause: str
) -> None:
    project.execute(
        "create table t (id int primary key); insert into t select generate_series(1, 2000)",
        "create view drawn as select id from t where random() < 0.5",
        f"create view unsteady as {view}",
    )
    project.catalog({"unsteady": REPLACE, "t": {"key": "id"}})
    for _ in range(4):  # as many rows twice are rare, but happen
        reports = project.sync()
        if reports["unsteady"].error:
            break
    error = str(reports["unsteady"].error)
    assert cause in error and "gives other rows each time" in error and "materialized view" in error
    assert "report it" not in error
    assert reports["t"].error is None


def test_a_reader_that_is_ended_costs_at_most_the_table_it_read(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is lost, the snapshot is not: another joins it."""
    tables = [f"t{n}" for n in range(4)]
    project.execute(
        *(
            f"create table {t} (id int primary key); insert into {t} select generate_series(1, 9)"
            for t in tables
        )
    )
    project.catalog({t: {"key": "id"} for t in tables}, connection={"connections": 1})
    ended: list[Callable[[], None]] = []

    def end_it(*_: Any) -> None:
        if not ended:
            ended.append(lambda: None)
            project.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'data_platform'"
                " and query not like '%pg_%' and datname = current_database() and backend_xmin is not null"
                " order by backend_start desc limit 1"
            )

    reports = project.sync(progress=end_it)
    failed = {t: r.error for t, r in reports.items() if r.error}
    assert ended and len(failed) <= 1
    for error in failed.values():
        assert isinstance(error, SourceUnreachable)
    project.good()
