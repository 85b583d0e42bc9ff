"""What is particular to Redshift: exactly once through every failing call, what a load costs, what is refused before it is written.

Over the stand-in (``engines/redshift``): the client, the protocol, transactions and locks are real ones; COPY is the proxy's.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import duckdb
import psycopg
import pytest
from pydantic import ValidationError

from data_platform.duckdb_sql import duckdb_token, keeps_text
from data_platform.errors import ConfigurationError, LoadRefused, QueryFailed, UnsupportedType, WarehouseError
from data_platform.tables import WHOLE_TABLE, Column, Fingerprint, Layout, TableId
from data_platform.warehouses import LoadResult, Warehouse
from data_platform.warehouses.redshift.config import RedshiftConfig
from data_platform.warehouses.remote import load
from data_platform.warehouses.remote.engine import Transient
from data_platform.warehouses.remote.load import Loader
from data_platform_tests.contracts.batches import COLUMNS, GONE, Chain, write_part
from data_platform_tests.engines.redshift.server import Broken, RedshiftServer, ServerError
from data_platform_tests.servers.objects import BUCKET, new_prefix

CHANGING = re.compile(r"(INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|TRUNCATE)\b")
WIDER = tuple(replace(c, type="DECIMAL(38,0)") if c.name == "_source_xmin" else c for c in COLUMNS)
OTHER = (*COLUMNS[:2], Column("total", "DOUBLE", ""), COLUMNS[3])
FAULTS: dict[str, tuple[str, Exception]] = {
    "cut before it is run": ("before", Broken()),
    "answer lost": ("after", Broken()),
    "serialization": ("before", ServerError("40001", "could not serialize access")),
    "1023": (
        "before",
        ServerError("XX000", "1023\nDETAIL:  Serializable isolation violation on table - 100"),
    ),
}


@pytest.fixture
def server(redshift_server: RedshiftServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedshiftServer]:
    for name, value in redshift_server.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Loader, "_pause", lambda self, attempt: None)
    yield redshift_server
    redshift_server.fault = None
    redshift_server.refused_roles.clear()


@pytest.fixture
def opened(server: RedshiftServer, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the test's warehouse, any number of times."""
    yield lambda **changes: server.config(tmp_path, **changes).open(tmp_path, files=[tmp_path])
    server.emptied(tmp_path)


def a_chain(folder: Path, number: int) -> Chain:
    return Chain(folder / f"t{number}", table=TableId("shop", f"t{number}"))


def batches(chain: Chain, kind: str) -> list[Any]:
    """Batches of which the last is of that kind."""
    first = chain.next("replace", [(n, f"2026-01-0{1 + n % 3}", "a", 1) for n in range(6)])
    if kind == "merge":
        last = chain.next(
            "merge",
            [(1, "2026-01-05", "b", 2, None), (2, None, "", 2, True), (9, None, "n", 2, None)],
            columns=GONE,
            deleted="gone",
        )
    elif kind == "slice":
        last = chain.next("slice", [(1, "2026-01-02", "b", 2)], slices=["2026-01-02"], columns=WIDER)
    elif kind == "append":
        last = chain.next("append", [(1, "2026-01-02", "b", 2), (9, "2026-01-02", "b", 2)])
    elif kind == "replace":
        last = chain.next("replace", [(1, "2026-01-02", "b", 2), (8, None, None, 2)])
    else:
        last = chain.next("replace", [(1, "2026-01-02", "0.5", 2), (8, None, None, 2)], columns=OTHER)
    return [first, last]


KINDS = ("merge", "slice", "append", "replace", "replace anew")


def held(warehouse: Warehouse, table: TableId) -> tuple[Any, ...]:
    """Rows, records, touched slices: everything that a load leaves."""
    names = {name for name, _ in warehouse.describe("raw_shop", table.table)[0].columns}
    columns = sorted(names - {"_batch_id"})
    rows = warehouse.query(f"SELECT {', '.join(columns)} FROM raw_shop.{table.table} ORDER BY id").rows
    where = f"WHERE \"table\" = '{table.table}'"
    loaded = warehouse.query(
        f"SELECT sequence, rows_inserted, rows_deleted FROM _data_platform.loaded_batches {where} ORDER BY 1"
    ).rows
    touched = warehouse.query(
        f"SELECT sequence, slice, came, went, vacated FROM _data_platform.touched_slices {where} ORDER BY 1, 2"
    ).rows
    return columns, rows, loaded, touched


@contextmanager
def breaking(
    server: RedshiftServer, at: int, when: str, error: Exception, *, for_good: bool = False
) -> Iterator[list[str]]:
    """The statement of number ``at`` fails; ``for_good``, and whatever comes after it."""
    count, broken = [0], list[str]()

    def fault(sql: str, now: str) -> None:
        if now == "before":
            count[0] += 1
        if (count[0] == at + 1 and now == when) or (for_good and broken):
            broken.append(sql)
            raise error if not for_good else Broken()

    server.fault = fault
    try:
        yield broken
    finally:
        server.fault = None


def clean(
    warehouse: Warehouse, server: RedshiftServer, folder: Path, kind: str
) -> tuple[LoadResult, tuple[Any, ...], list[str]]:
    chain = a_chain(folder, 1000 + KINDS.index(kind))
    first, (made, parts) = batches(chain, kind)
    warehouse.load(*first)
    before = len(server.seen)
    result = warehouse.load(made, parts)
    statements = server.seen[before:]
    return result, held(warehouse, made.table), statements


@pytest.mark.parametrize("kind", KINDS)
def test_a_load_goes_on_after_any_call_that_fails(
    opened: Callable[..., Any],
    server: RedshiftServer,
    tmp_path: Path,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    """Whatever fails, once: the load itself ends as if nothing had. By default one fault for every other call, in turn."""
    every = on_demand(request, kind)
    with opened() as warehouse:
        expected, state, statements = clean(warehouse, server, tmp_path, kind)
        number = 0
        for at in range(0, len(statements), 1 if every else 2):
            names = list(FAULTS) if every else [list(FAULTS)[at // 2 % len(FAULTS)]]
            for name in names:
                number += 1
                first, (made, parts) = batches(a_chain(tmp_path, number), kind)
                warehouse.load(*first)
                when, error = FAULTS[name]
                with breaking(server, at, when, error) as broken:
                    if isinstance(error, ServerError) and not in_a_transaction(statements, at):
                        continue  # the server says this only there
                    result = warehouse.load(made, parts)
                assert broken, f"statement {at} was not met"
                assert (result, held(warehouse, made.table)) == (expected, state), (name, broken[0])


def on_demand(request: pytest.FixtureRequest, kind: str) -> bool:
    """Whether every kind of load meets every fault; a run of all tests takes one kind, and one fault a call."""
    every = request.config.getoption("--warehouse") is not None
    if not every and kind != "merge":
        pytest.skip("on demand: --warehouse redshift")
    return every


def in_a_transaction(statements: list[str], at: int) -> bool:
    return statements.index("BEGIN") < at <= statements.index("COMMIT")


@pytest.mark.parametrize("kind", KINDS)
def test_a_load_that_was_killed_at_any_call_is_made_again(
    opened: Callable[..., Any],
    server: RedshiftServer,
    tmp_path: Path,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    """Before the call or after it: another process finds what was done, or does it."""
    every = on_demand(request, kind)
    with opened() as warehouse:
        expected, state, statements = clean(warehouse, server, tmp_path, kind)
    committed = 0
    for at in range(1, len(statements), 1 if every else 4):
        first, (made, parts) = batches(a_chain(tmp_path, at), kind)
        when = "after" if statements[at] == "COMMIT" or at % 8 < 4 else "before"
        with opened() as warehouse:
            warehouse.load(*first)
            with pytest.MonkeyPatch.context() as patch, breaking(server, at, when, Broken(), for_good=True):
                patch.setattr(load, "ATTEMPTS", 1)  # who is dead tries nothing again
                with pytest.raises(Transient):
                    warehouse.load(made, parts)
        with opened() as warehouse:
            result = warehouse.load(made, parts)
            assert result in (expected, LoadResult(made.sequence, 0, 0, {}, 0))
            committed += result != expected
            assert held(warehouse, made.table) == state, statements[at]
    assert committed <= len(statements) - statements.index("COMMIT")


@pytest.mark.parametrize("kind", KINDS)
def test_two_loads_of_one_batch_at_once_load_it_once(
    opened: Callable[..., Any], server: RedshiftServer, tmp_path: Path, kind: str
) -> None:
    """Both have asked the record and staged the batch before either begins its transaction."""
    with opened() as warehouse:
        expected, state, _ = clean(warehouse, server, tmp_path, kind)
        first, (made, parts) = batches(a_chain(tmp_path, 1), kind)
        warehouse.load(*first)
    meeting, met = threading.Barrier(2, timeout=20), threading.local()

    def fault(sql: str, now: str) -> None:
        if sql == "BEGIN" and now == "before" and not getattr(met, "once", False):
            met.once = True
            meeting.wait()

    server.fault = fault
    results: list[LoadResult] = []

    def load() -> None:
        with opened() as one:
            results.append(one.load(made, parts))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.fault = None
    assert len(results) == 2 and expected in results
    with opened() as warehouse:
        assert held(warehouse, made.table) == state


def test_first_loads_of_several_tables_at_once(
    opened: Callable[..., Any], server: RedshiftServer, tmp_path: Path
) -> None:
    """Each makes the platform's own tables, and the schema that they share, where they are not there yet."""
    chains = [a_chain(tmp_path, number) for number in range(4)]
    work = [[*batches(chain, "merge"), *batches(chain, "slice")] for chain in chains]
    start, errors = threading.Barrier(4, timeout=20), []
    server.config(tmp_path)  # the database is there

    def load(mine: list[Any]) -> None:
        try:
            with opened() as warehouse:
                warehouse.loaded(mine[0][0].table)
                start.wait()
                for made, parts in mine:
                    warehouse.load(made, parts)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=load, args=(mine,)) for mine in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with opened() as warehouse:
        assert [(one.table.table, one.sequence) for one in warehouse.loaded_all()] == [
            (f"t{number}", 4) for number in range(4)
        ]
        states = [held(warehouse, chain.always["table"]) for chain in chains]
    assert all(state == states[0] for state in states)


def test_what_a_batch_costs_is_bounded(
    opened: Callable[..., Any], server: RedshiftServer, tmp_path: Path
) -> None:
    """One COPY, and six statements that change something, where the table fits already."""
    with opened() as warehouse:
        for kind in ("merge", "append", "replace"):
            _, _, statements = clean(warehouse, server, tmp_path, kind)
            changing = [sql for sql in statements if CHANGING.match(sql)]
            assert len(changing) <= 6, changing
            assert sum(sql.startswith("COPY") for sql in statements) == 1
            assert len(statements) <= 18, statements


def test_what_lies_in_the_bucket_is_read_from_there(
    opened: Callable[..., Any], server: RedshiftServer, tmp_path: Path
) -> None:
    s3 = boto3.client("s3")
    made, parts = Chain(tmp_path / "parts").next("merge", [(1, "2026-01-01", "a", 1)])
    key = f"{new_prefix()}/part-0000.parquet"
    s3.upload_file(str(parts[0]), BUCKET, key)
    with opened() as warehouse:
        server.copied.clear()
        assert warehouse.load(made, parts, addresses=[f"s3://{BUCKET}/{key}"]).rows_inserted == 1
        assert server.copied == [f"s3://{BUCKET}/{key}"]
        server.copied.clear()
        chain = Chain(
            tmp_path / "more", columns=(*COLUMNS, Column("u", "UUID", "uuid")), table=TableId("shop", "other")
        )
        made, parts = chain.next("merge", [(1, "2026-01-01", "a", 1, "00000000-0000-0000-0000-00000000000a")])
        warehouse.load(made, parts, addresses=[f"s3://{BUCKET}/{key}"])
        assert len(server.copied) == 1 and key not in server.copied[0], (
            "a column that COPY does not read: sent anew"
        )
        assert warehouse.query("SELECT u FROM raw_shop.other").rows == [
            ("00000000-0000-0000-0000-00000000000a",)
        ]
    staging = server.config(tmp_path).staging.removeprefix(f"s3://{BUCKET}/")
    assert not s3.list_objects_v2(Bucket=BUCKET, Prefix=staging).get("Contents"), "nothing is left behind"


def test_a_raw_table_is_sorted_by_its_days_and_its_cluster(
    opened: Callable[..., Any], server: RedshiftServer, tmp_path: Path
) -> None:
    columns = (*COLUMNS, Column("x", "BLOB", "bytea"))
    made, parts = Chain(tmp_path / "parts", columns=columns).next("merge", [(1, "2026-01-01", "a", 1, None)])
    with opened() as warehouse:
        with pytest.raises(
            LoadRefused, match="clustered by x, which is no column of it that Redshift can sort by"
        ):
            warehouse.load(made, parts, cluster=["x"])
        warehouse.load(made, parts, cluster=["note", "at"])
    (create,) = [
        sql for sql in server.seen if sql.startswith('CREATE TABLE IF NOT EXISTS "raw_shop"."orders"')
    ][-1:]
    assert create.endswith(' COMPOUND SORTKEY ("at", "note")')


VALUES: dict[str, tuple[str, str]] = {
    "TINYINT": ("-128", "127"),
    "UTINYINT": ("0", "255"),
    "SMALLINT": ("-32768", "32767"),
    "USMALLINT": ("0", "65535"),
    "INTEGER": ("-2147483648", "2147483647"),
    "UINTEGER": ("0", "4294967295"),
    "BIGINT": ("-9223372036854775808", "9223372036854775807"),
    "UBIGINT": ("0", "18446744073709551615"),
    "DECIMAL(4,2)": ("-99.99", "0.50"),
    "DECIMAL(38,18)": ("-12345678901234567890.123456789012345678", "0.000000000000000001"),
    "DECIMAL(37,37)": ("-0.0000000000000000000000000000000000001", "0.5"),
    "BOOLEAN": ("true", "false"),
    "DATE": ("0001-01-01", "9999-12-31"),
    "TIME": ("00:00:00", "23:59:59.999999"),
    "TIMESTAMP": ("0001-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999"),
    "TIMESTAMPTZ": ("0001-01-01 00:00:00.000001+00", "9999-12-31 23:59:59.999999+00"),
    "UUID": ("00000000-0000-0000-0000-00000000000A", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    "VARCHAR": ("", "it's \\ 5% \n ü 🦆 "),
    "JSON": ('{"b": 1.10, "a": 12345678901234567890, "b": null}', "[]"),
    "BLOB": ("\\x00\\xFF", ""),
    "FLOAT": ("0.1", "-3.4e38"),
    "DOUBLE": ("0.1", "1.7976931348623157e308"),
    "BIGINT[]": ("[1, NULL, -9223372036854775808]", "[]"),
    "VARCHAR[]": ("[a, 'b c']", "[NULL]"),
}


def test_every_type_keeps_its_extremes(opened: Callable[..., Any], tmp_path: Path) -> None:
    """By the text of each key, which both sides make for themselves, and by the whole rows against their parts."""
    kinds = {f"c{n}": kind for n, kind in enumerate(VALUES)}
    columns = (COLUMNS[0], *(Column(name, kind, "") for name, kind in kinds.items()), COLUMNS[3])
    held = [(row, *(VALUES[kind][row] for kind in kinds.values()), row) for row in (0, 1)]
    held.append((2, *(None for _ in kinds), 2))
    table = TableId("shop", "kinds")
    chain = Chain(tmp_path / "parts", table=table, columns=columns, partition=None)
    made, parts = chain.next("merge", held)
    layout = Layout(("id",), None, "UTC", None)
    with opened() as warehouse, duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        assert warehouse.load(made, parts).rows_inserted == 3
        again = chain.next("merge", held)
        assert warehouse.load(*again).rows_deleted == 3, "the table fits what it was made for"
        for column in columns:
            if keeps_text(column):
                sql = f"SELECT sum({duckdb_token([column], None)}) FROM read_parquet('{parts[0]}')"
                (total,) = engine.execute(sql).fetchall()[0]
                found = warehouse.fingerprints(table, replace(layout, key=(column.name,)))
                assert found == {"all": Fingerprint(3, int(total) % 2**64)}, column.type
        assert warehouse.altered(table, layout, columns, parts, [WHOLE_TABLE]) == {}
        for number, kind in enumerate(kinds.values()):
            other = [list(row) for row in held]
            other[0][number + 1] = VALUES[kind][1]
            part = write_part(tmp_path / f"{number}.parquet", columns, other)
            assert warehouse.altered(table, layout, columns, [part], [WHOLE_TABLE]) == {"all": 0}, kind
        lists = warehouse.query("SELECT c22, c23, c18 FROM raw_shop.kinds WHERE id = 0").rows
        assert lists == [("[1,null,-9223372036854775808]", '["a","b c"]', VALUES["JSON"][0])]


TOO_MUCH = {
    "more than 65,535 bytes": (Column("x", "VARCHAR", "text"), "ü" * 32_768),
    "U\\+0000": (Column("x", "VARCHAR", "text"), None),
    "after year 9999": (Column("x", "TIMESTAMP", "timestamp"), "10000-01-01"),
    "without end": (Column("x", "DATE", "date"), "infinity"),
}


@pytest.mark.parametrize("words", TOO_MUCH)
def test_a_value_that_redshift_cannot_hold_is_refused_by_its_column(
    opened: Callable[..., Any], server: RedshiftServer, tmp_path: Path, words: str
) -> None:
    column, value = TOO_MUCH[words]
    made, parts = Chain(tmp_path / "parts", columns=(*COLUMNS, column)).next(
        "merge", [(1, "2026-01-01", "a", 1, value)]
    )
    if value is None:
        with duckdb.connect() as engine:
            engine.execute(
                f"COPY (SELECT * EXCLUDE x, 'a' || chr(0) AS x FROM read_parquet('{parts[0]}')) TO '{parts[0]}2' (FORMAT parquet)"
            )
        parts = [Path(f"{parts[0]}2")]
    with opened() as warehouse:
        warehouse.loaded(made.table)
        with pytest.raises(LoadRefused, match=f"1 rows of its column x .*{words}") as caught:
            warehouse.load(made, parts)
        assert str(value)[:50] not in str(caught.value)
        assert warehouse.describe("raw_shop") == [], "nothing was written"


def test_a_type_and_a_shape_that_redshift_has_not_are_refused_by_name(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    for columns, words in (
        ((*COLUMNS, Column("x", "HUGEINT", "")), "column x lands as HUGEINT.*as: {x: text}"),
        ((*COLUMNS, Column("x", "DECIMAL(38,38)", "")), "column x lands as DECIMAL"),
        ((*COLUMNS, *(Column(f"c{n}", "BOOLEAN", "") for n in range(1_595))), "1,601 columns.*at most 1,600"),
        ((*COLUMNS, Column("Note", "VARCHAR", "")), "note and Note are one name"),
        ((*COLUMNS, Column("n" * 128, "VARCHAR", "")), "longer than 127 bytes"),
    ):
        made, parts = Chain(tmp_path / "parts", columns=columns).next("merge", [])
        with opened() as warehouse:
            with pytest.raises((LoadRefused, UnsupportedType), match=words):
                warehouse.load(made, parts)
            assert warehouse.describe("raw_shop") == []


def test_what_the_services_refuse_is_said(
    server: RedshiftServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, parts = Chain(tmp_path / "parts").next("merge", [(1, "2026-01-01", "secret-value", 1)])

    def said(**changes: Any) -> str:
        with (
            server.config(tmp_path, **changes).open(tmp_path) as warehouse,
            pytest.raises(WarehouseError) as caught,
        ):
            warehouse.load(made, parts)
        assert "secret" not in str(caught.value) and server.postgres.password not in str(caught.value)
        return str(caught.value)

    role = "arn:aws:iam::123456789012:role/copies"
    server.refused_roles.add(role)
    assert "may not take the IAM role" in said(iam_role=role)
    assert "the bucket is there" in said(staging="s3://no-such-bucket-here/x")
    server.fault = lambda sql, now: denied() if sql.startswith("COPY") else None
    assert "IAM role of COPY may not read" in said()
    server.fault = lambda sql, now: elsewhere() if sql.startswith("COPY") else None
    assert "in another region" in said()
    server.fault = lambda sql, now: crowded() if sql == "COMMIT" and now == "before" else None
    assert "error 1023" in said()
    server.fault = None
    assert "no warehouse at redshift://" in said(database="not_there")
    monkeypatch.setenv("TEST_REDSHIFT_PASSWORD", "wrong")
    assert "refused the user" in said()
    monkeypatch.delenv("TEST_REDSHIFT_PASSWORD")
    with (
        server.config(tmp_path).open(tmp_path) as warehouse,
        pytest.raises(ConfigurationError, match="is not set"),
    ):
        warehouse.loaded_all()
    server.emptied(tmp_path)


def denied() -> None:
    raise ServerError("XX000", "S3ServiceException:Access Denied,Status 403,Error AccessDenied")


def elsewhere() -> None:
    raise ServerError(
        "XX000",
        "S3ServiceException:The bucket must be addressed using the specified endpoint,Status 301,Error PermanentRedirect",
    )


def crowded() -> None:
    raise ServerError(
        "XX000",
        "1023 DETAIL: Serializable isolation violation on table - 100, transactions forming the cycle are: 1, 2",
    )


CHANGING_QUESTIONS = (
    "DROP TABLE x",
    "SELECT 1; SELECT 2",
    "WITH a AS (SELECT 1) DELETE FROM x",
    "SELECT 1 INTO x",
    "COPY x FROM 's3://b/k'",
    "CALL p()",
    "VACUUM x",
    "not sql at all",
    "SELECT nextval('counted')",
)
"""The last is a SELECT, and the server refuses it."""


def test_a_reader_asks_one_question_and_changes_nothing(server: RedshiftServer, tmp_path: Path) -> None:
    config = server.config(tmp_path)
    with psycopg.connect(server.postgres.url(config.database), autocommit=True) as connection:
        connection.execute("create sequence counted")
    with config.open(tmp_path, read_only=True) as warehouse:
        for statement in CHANGING_QUESTIONS:
            with pytest.raises(QueryFailed, match="did not run"):
                warehouse.query(statement)
        assert warehouse.query("SELECT 1 AS one UNION ALL SELECT 2", limit=1).rows == [(1,)]
    server.emptied(tmp_path)


def test_what_rules_found_may_be_longer_than_a_text(opened: Callable[..., Any]) -> None:
    table, other = TableId("shop", "orders"), TableId("shop", "users")
    text = "".join(f"{n}: it's \\ ü\n" for n in range(20_000))
    with opened() as warehouse:
        warehouse.record_rules(table, 1, text)
        warehouse.record_rules(other, 7, "")
        assert warehouse.recorded_rules() == {table: (1, text), other: (7, "")}
        warehouse.record_rules(table, 2, "short")
        assert warehouse.recorded_rules()[table] == (2, "short")


def test_a_right_that_is_missing_is_named(
    opened: Callable[..., Any], server: RedshiftServer, tmp_path: Path
) -> None:
    made, parts = Chain(tmp_path / "parts").next("merge", [(1, "2026-01-01", "a", 1)])

    def refused(sql: str, now: str) -> None:
        if sql.startswith('CREATE SCHEMA IF NOT EXISTS "raw_shop"'):
            raise ServerError("42501", "permission denied for database analytics")

    with opened() as warehouse:
        server.fault = refused
        with pytest.raises(
            WarehouseError, match=r'create schema "raw_shop": permission denied for database analytics. Grant'
        ):
            warehouse.load(made, parts)
        server.fault = None
        assert warehouse.loaded_all() == []


def test_without_its_extra_it_says_which(
    server: RedshiftServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redshift_connector", None)
    with (
        server.config(tmp_path).open(tmp_path) as warehouse,
        pytest.raises(ConfigurationError, match=r"data-platform\[redshift\]"),
    ):
        warehouse.loaded_all()
    server.emptied(tmp_path)


def test_its_settings_are_checked_and_hold_no_password() -> None:
    base = {"kind": "redshift", "host": "h", "database": "analytics", "staging": "s3://bucket/staging"}
    assert (
        RedshiftConfig(**base, workgroup="etl").dbt_variables(Path())["DATA_PLATFORM_REDSHIFT_METHOD"]
        == "iam"
    )
    for wrong in (
        {},
        {"password_env": "X"},
        {"workgroup": "a", "cluster": "b"},
        {"workgroup": "a", "password": "x"},
        {"workgroup": "a", "staging": "bucket"},
    ):
        with pytest.raises(ValidationError):
            RedshiftConfig(**(base | wrong))
    with pytest.raises(ConfigurationError, match="no name of a database"):
        RedshiftConfig(**base, workgroup="etl").elsewhere('a"b')
