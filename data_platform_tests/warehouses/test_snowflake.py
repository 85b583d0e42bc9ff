"""What is particular to Snowflake: exactly once through every failing call, two loads at once, what a batch costs, what is refused.

Over the emulator (``engines/snowflake``), by the client of the service. The words alone are in ``test_snowflake_words.py``.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector.errors as sf
from snowflake.connector.cursor import SnowflakeCursor

from data_platform.errors import ConfigurationError, LoadRefused, WarehouseBusy, WarehouseError
from data_platform.tables import Column, TableId
from data_platform.warehouses import LoadResult, Warehouse
from data_platform.warehouses.remote.engine import Transient
from data_platform.warehouses.remote.load import Loader
from data_platform_tests.contracts.batches import COLUMNS, GONE, Chain
from data_platform_tests.engines.snowflake.engine import SnowflakeServer

CHANGING = re.compile(r"(INSERT|UPDATE|DELETE|CREATE|ALTER|TRUNCATE|MERGE)\b")
OTHER = (*COLUMNS[:2], Column("total", "DOUBLE", ""), COLUMNS[3])
Raises = Callable[[], Exception]
FAULTS: dict[str, tuple[str, Raises]] = {
    "cut before it is run": ("before", lambda: sf.OperationalError(msg="connection reset", errno=250003)),
    "answer lost": ("after", lambda: sf.OperationalError(msg="timed out", errno=250003)),
    "503": ("before", lambda: sf.ServiceUnavailableError(msg="HTTP 503", errno=290503)),
    "token expired": (
        "before",
        lambda: sf.ProgrammingError(msg="Authentication token has expired.", errno=390114),
    ),
    "lock": ("before", lambda: sf.ProgrammingError(msg="has locked table", errno=625, sqlstate="57014")),
}
PAUSE = Loader._pause
KINDS = ("merge", "slice", "append", "replace", "replace anew")


class Watch:
    """What the client was told to execute; ``fault`` may raise before a statement or after it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.fault: Callable[[str, str], None] | None = None


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    made, execute = Watch(), SnowflakeCursor.execute

    def watched(cursor: Any, command: str, *args: Any, **options: Any) -> Any:
        made.seen.append(command)
        if made.fault:
            made.fault(command, "before")
        result = execute(cursor, command, *args, **options)
        if made.fault:
            made.fault(command, "after")
        return result

    monkeypatch.setattr(SnowflakeCursor, "execute", watched)
    monkeypatch.setattr(Loader, "_pause", lambda self, attempt: None)
    return made


@pytest.fixture
def opened(
    snowflake_server: SnowflakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Opens the test's warehouse, any number of times."""
    for name, value in snowflake_server.environ.items():
        monkeypatch.setenv(name, value)
    yield lambda **changes: snowflake_server.config(tmp_path, **changes).open(tmp_path, files=[tmp_path])
    snowflake_server.emptied(tmp_path)


def a_chain(folder: Path, number: int) -> Chain:
    return Chain(folder / f"t{number}", table=TableId("shop", f"t{number}"))


def batches(chain: Chain, kind: str) -> list[Any]:
    """Two batches, the last of that kind."""
    first = chain.next("replace", [(n, f"2026-01-0{1 + n % 3}", "a", 1) for n in range(6)])
    marked = [(1, "2026-01-05", "b", 2, None), (2, None, "", 2, True), (9, None, "n", 2, None)]
    match kind:
        case "merge":
            return [first, chain.next("merge", marked, columns=GONE, deleted="gone")]
        case "slice":
            return [first, chain.next("slice", [(1, "2026-01-02", "b", 2)], slices=["2026-01-02"])]
        case "append":
            return [first, chain.next("append", [(1, "2026-01-02", "b", 2), (9, "2026-01-02", "b", 2)])]
        case "replace":
            return [first, chain.next("replace", [(1, "2026-01-02", "b", 2), (8, None, None, 2)])]
    return [first, chain.next("replace", [(1, "2026-01-02", "0.5", 2), (8, None, None, 2)], columns=OTHER)]


def held(warehouse: Warehouse, table: TableId) -> tuple[Any, ...]:
    """Rows, records, touched slices: everything that a load leaves."""
    (described,) = warehouse.describe("raw_shop", table.table)
    columns = sorted({name for name, _ in described.columns} - {"_batch_id"})
    shown = ", ".join(map(warehouse.dialect.quote, columns))
    rows = warehouse.query(f"SELECT {shown} FROM raw_shop.{table.table} ORDER BY id").rows
    where = f"WHERE \"TABLE\" = '{table.table}'"
    loaded = warehouse.query(
        f"SELECT sequence, rows_inserted, rows_deleted FROM _data_platform.loaded_batches {where} ORDER BY 1"
    ).rows
    touched = warehouse.query(
        f"SELECT sequence, slice, came, went, vacated FROM _data_platform.touched_slices {where} ORDER BY 1, 2"
    ).rows
    return columns, rows, loaded, touched


def clean(
    warehouse: Warehouse, watch: Watch, folder: Path, kind: str
) -> tuple[LoadResult, tuple[Any, ...], list[str]]:
    first, (made, parts) = batches(a_chain(folder, 1000 + KINDS.index(kind)), kind)
    warehouse.load(*first)
    before = len(watch.seen)
    result = warehouse.load(made, parts)
    return result, held(warehouse, made.table), watch.seen[before : before + len(watch.seen)]


@contextmanager
def breaking(
    watch: Watch, at: int, when: str, error: Raises, *, for_good: bool = False
) -> Iterator[list[str]]:
    """The statement of number ``at`` fails; ``for_good``, and whatever comes after it."""
    count, broken = [0], list[str]()

    def fault(sql: str, now: str) -> None:
        count[0] += now == "before"
        if (count[0] == at + 1 and now == when and not broken) or (for_good and broken):
            broken.append(sql)
            raise error()

    watch.fault = fault
    try:
        yield broken
    finally:
        watch.fault = None


def loading(statements: list[str]) -> list[str]:
    """Those of the load itself, of what was seen until the state was read."""
    return statements[: next(n for n, sql in enumerate(statements) if "INFORMATION_SCHEMA" in sql)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_load_goes_on_after_any_call_that_fails(
    opened: Callable[..., Any], watch: Watch, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """By default a merge meets one fault at each third call; all of it with ``--warehouse snowflake``."""
    every = on_demand(request, kind)
    with opened() as warehouse:
        expected, state, statements = clean(warehouse, watch, tmp_path, kind)
        statements = loading(statements)
        for at in range(0, len(statements), 1 if every else 3):
            for number, name in enumerate(FAULTS):
                if not every and number != at // 3 % len(FAULTS):
                    continue
                first, (made, parts) = batches(a_chain(tmp_path, at * 10 + number), kind)
                warehouse.load(*first)
                with breaking(watch, at, *FAULTS[name]) as broken:
                    result = warehouse.load(made, parts)
                assert broken, f"statement {at} was not met"
                assert (result, held(warehouse, made.table)) == (expected, state), (name, broken[0])


def on_demand(request: pytest.FixtureRequest, kind: str) -> bool:
    every = request.config.getoption("--warehouse") == "snowflake"
    if not every and kind != "merge":
        pytest.skip("on demand: --warehouse snowflake")
    return every


@pytest.mark.parametrize("kind", KINDS)
def test_a_load_that_was_killed_at_any_call_is_made_again(
    opened: Callable[..., Any], watch: Watch, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    every = on_demand(request, kind)
    gone = FAULTS["answer lost"][1]
    with opened() as warehouse:
        expected, state, statements = clean(warehouse, watch, tmp_path, kind)
    statements = loading(statements)
    points = range(len(statements)) if every else (statements.index("COMMIT") - 1, statements.index("COMMIT"))
    for at in points:
        first, (made, parts) = batches(a_chain(tmp_path, at), kind)
        with opened() as warehouse:
            warehouse.load(*first)
            with breaking(watch, at, "after", gone, for_good=True) as broken, pytest.raises(Transient):
                warehouse.load(made, parts)
            assert broken
        with opened() as warehouse:
            again = warehouse.load(made, parts)
            assert again in (expected, LoadResult(made.sequence, 0, 0, {}, 0))
            assert held(warehouse, made.table) == state, statements[at]


@pytest.mark.parametrize("kind", ["append", "replace anew"])
def test_two_loads_of_one_batch_at_once_load_it_once(
    opened: Callable[..., Any], watch: Watch, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have asked the record and staged the batch before either goes on; two INSERTs lock nothing by themselves."""
    monkeypatch.setattr(Loader, "_pause", PAUSE)
    with opened() as warehouse:
        expected, state, _ = clean(warehouse, watch, tmp_path, kind)
        first, (made, parts) = batches(a_chain(tmp_path, 1), kind)
        warehouse.load(*first)
    meeting, met = threading.Barrier(2, timeout=20), threading.local()

    def fault(sql: str, now: str) -> None:
        if sql == "BEGIN TRANSACTION" and now == "before" and not getattr(met, "once", False):
            met.once = True
            meeting.wait()

    watch.fault = fault
    results: list[LoadResult] = []

    def load() -> None:
        with opened() as one:
            results.append(one.load(made, parts))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watch.fault = None
    assert len(results) == 2 and expected in results
    with opened() as warehouse:
        assert held(warehouse, made.table) == state


def test_what_a_batch_of_a_table_that_fits_costs(
    opened: Callable[..., Any], watch: Watch, tmp_path: Path
) -> None:
    with opened() as warehouse:
        _, _, statements = clean(warehouse, watch, tmp_path, "merge")
    statements = loading(statements)
    changing = [sql for sql in statements if CHANGING.match(sql)]
    assert len(changing) <= 6, changing
    assert sum(sql.startswith("COPY INTO") for sql in statements) == 1
    assert sum(sql.startswith("PUT") for sql in statements) == 1
    begun, ended = statements.index("BEGIN TRANSACTION"), statements.index("COMMIT")
    inside = statements[begun + 1 : ended]
    assert not [sql for sql in inside if sql.startswith(("CREATE", "ALTER", "DROP", "TRUNCATE"))], (
        "DDL commits"
    )
    assert len(statements) <= 17


def test_every_type_arrives_as_it_was(opened: Callable[..., Any], tmp_path: Path) -> None:
    values = {
        "SMALLINT": ("-32768", "{}", "-32768"),
        "BIGINT": ("9223372036854775807", "{}", "9223372036854775807"),
        "DECIMAL(38,18)": (
            "-12345678901234567890.000000000000000001",
            "{}",
            "-12345678901234567890.000000000000000001",
        ),
        "DOUBLE": ("0.1", "{}", "0.1"),
        "BOOLEAN": ("true", "{}", "true"),
        "VARCHAR": ("it's a \\ and \n", "{}", "it's a \\ and \n"),
        "UUID": ("0123abcd-0000-0000-0000-00000000000f", "{}", "0123abcd-0000-0000-0000-00000000000f"),
        "DATE": ("0001-01-01", "{}", "0001-01-01"),
        "TIME": ("23:59:59.999999", "DATEDIFF(MICROSECOND, CAST('00:00:00' AS TIME), {})", "86399999999"),
        "TIMESTAMP": ("2026-01-02 03:04:05.000001", "DATE_PART(EPOCH_MICROSECOND, {})", "1767323045000001"),
        "TIMESTAMPTZ": (
            "2026-01-02 03:04:05.000001+02",
            "DATE_PART(EPOCH_MICROSECOND, {})",
            "1767315845000001",
        ),
        "BLOB": ("\\xFF\\x00", "HEX_ENCODE({}, 0)", "ff00"),
        "JSON": ('{"a": 12345678901234567890.123}', "{}", '{"a": 12345678901234567890.123}'),
        "INTEGER[]": ("[1, NULL, 3]", "TO_JSON({})", "[1,null,3]"),
    }
    columns = (COLUMNS[0], *(Column(f"c{n}", kind, "") for n, kind in enumerate(values)))
    chain = Chain(tmp_path, partition=None, columns=columns, version=None)
    with opened() as warehouse:
        row = (1, *(value for value, _, _ in values.values()))
        warehouse.load(*chain.next("replace", [row, (2, *[None] * len(values))]))
        forms = [form.format(f"c{n}") for n, (_, form, _) in enumerate(values.values())]
        shown = ", ".join(f"TO_VARCHAR({form})" for form in forms)
        found, empty = warehouse.query(f"SELECT {shown} FROM raw_shop.orders ORDER BY id").rows
        assert dict(zip(values, found, strict=True)) == {kind: said for kind, (_, _, said) in values.items()}
        assert set(empty) == {None}


def test_a_column_keeps_its_source_s_spelling_and_is_found_however_it_is_typed(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    columns = (*COLUMNS, Column("createdAt", "VARCHAR", "text"))
    chain = Chain(tmp_path, columns=columns)
    with opened() as warehouse:
        warehouse.load(*chain.next("merge", [(1, None, "a", 1, "x")]))
        warehouse.load(*chain.next("merge", [(2, None, "a", 1, "y"), (1, None, "b", 2, "z")]))
        (described,) = warehouse.describe("raw_shop", "orders")
        assert "createdAt" in dict(described.columns)
        assert warehouse.query("SELECT CREATEDAT FROM RAW_SHOP.Orders ORDER BY Id").rows == [("z",), ("y",)]
        alike = (*columns, Column("createdat", "VARCHAR", "text"))
        with pytest.raises(LoadRefused, match="createdAt, createdat, which Snowflake does not tell apart"):
            warehouse.load(*chain.next("replace", [(1, None, "a", 1, "x", "y")], columns=alike))


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("TIMESTAMPTZ", "infinity", "1 rows of its column c are infinite"),
        ("DATE", "12026-01-01", "1 rows of its column c lie outside the years 1 to 9999"),
        ("DATE", "0044-03-15 (BC)", "outside the years"),
    ],
)
def test_values_that_snowflake_cannot_hold_are_named_before_anything_is_sent(
    opened: Callable[..., Any], watch: Watch, tmp_path: Path, kind: str, value: str, said: str
) -> None:
    columns = (COLUMNS[0], Column("c", kind, ""))
    chain = Chain(tmp_path, partition=None, columns=columns, version=None)
    with opened() as warehouse, pytest.raises(LoadRefused, match=said):
        warehouse.load(*chain.next("replace", [(1, value)]))
    assert not [sql for sql in watch.seen if sql.startswith(("PUT", "COPY"))]


def test_what_is_not_there_is_named(opened: Callable[..., Any], tmp_path: Path) -> None:
    made, parts = Chain(tmp_path).next("merge", [(1, None, "a", 1)])
    for changes, said in (
        ({"database": "NOWHERE"}, "no database NOWHERE, or the role LOADER has no USAGE on it"),
        ({"warehouse": "MISSING"}, "There is no virtual warehouse MISSING at snowflake://emulator"),
    ):
        with pytest.raises(WarehouseError, match=said), opened(**changes) as warehouse:
            warehouse.load(made, parts)
    with (
        opened(stage="landing.files") as warehouse,
        pytest.raises(WarehouseError, match=r"stage landing\.files"),
    ):
        warehouse.load(made, parts, addresses=["s3://bucket/1.parquet"])


def test_a_key_that_cannot_be_used_is_named(
    opened: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value, said in (
        ("", "is not set"),
        ("nothing.pem", "neither a private key in PEM form nor the path"),
    ):
        monkeypatch.setenv("OTHER_KEY", value)
        with (
            pytest.raises(ConfigurationError, match=f"OTHER_KEY .*{said}") as caught,
            opened(private_key_env="OTHER_KEY") as warehouse,
        ):
            warehouse.loaded_all()
        assert value == "" or value not in str(caught.value)


def test_a_database_that_was_loaded_into_meanwhile_is_not_replaced(
    snowflake_server: SnowflakeServer, opened: Callable[..., Any], tmp_path: Path
) -> None:
    config = snowflake_server.config(tmp_path)
    chain = Chain(tmp_path)
    with opened() as warehouse:
        warehouse.load(*chain.next("replace", [(1, None, "a", 1)]))
    with (
        pytest.raises(WarehouseBusy, match="Stop the loads"),
        config.replace_atomically(tmp_path, "making") as new,
    ):
        new.load(*Chain(tmp_path / "new").next("replace", [(1, None, "a", 1)]))
        with opened() as warehouse:
            warehouse.load(*chain.next("merge", [(2, None, "a", 1)]))
    with opened() as warehouse:
        assert warehouse.query("SELECT count(*) FROM raw_shop.orders").rows == [(2,)]


def test_a_load_replaces_a_table_that_readers_never_miss(
    opened: Callable[..., Any], watch: Watch, tmp_path: Path
) -> None:
    """The table of another shape is made beside; what makes it the raw table is one statement that copies nothing."""
    with opened() as warehouse:
        _, _, statements = clean(warehouse, watch, tmp_path, "replace anew")
    target = next(sql for sql in statements if " CLONE " in sql)
    assert target.startswith('CREATE OR REPLACE TABLE "RAW_SHOP"."T1004" CLONE') and target.endswith(
        "COPY GRANTS"
    )
    assert not [sql for sql in statements if sql.startswith(('DROP TABLE IF EXISTS "RAW', "TRUNCATE"))]


def test_a_wider_chain_is_replaced_in_place(opened: Callable[..., Any], watch: Watch, tmp_path: Path) -> None:
    with opened() as warehouse:
        _, _, statements = clean(warehouse, watch, tmp_path, "replace")
    assert not [sql for sql in statements if " CLONE " in sql], "rows alone change: one transaction, no DDL"
