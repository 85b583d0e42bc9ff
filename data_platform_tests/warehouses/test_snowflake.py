"""What is particular to Snowflake: exactly once through every failing call, two loads at once, what a batch costs, what is refused.

Over the emulator (``engines/snowflake``), by the client of the service. The words alone are in ``test_snowflake_words.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector.errors as sf
from snowflake.connector.cursor import SnowflakeCursor

from data_platform.errors import ConfigurationError, LoadRefused, WarehouseBusy, WarehouseError
from data_platform.tables import Column
from data_platform.warehouses.remote.load import Loader
from data_platform_tests.contracts.batches import COLUMNS, Chain
from data_platform_tests.engines.snowflake.engine import SnowflakeServer
from data_platform_tests.warehouses.exactly_once import ExactlyOnce, Fault, Trial, When

CHANGING = re.compile(r"(INSERT|UPDATE|DELETE|CREATE|ALTER|TRUNCATE|MERGE)\b")


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


@pytest.fixture
def trial(opened: Callable[..., Any], watch: Watch, tmp_path: Path) -> Trial:
    def lost() -> Exception:
        return sf.OperationalError(msg="connection reset", errno=250003)

    faults = {
        "cut before it is run": Fault("before", lost),
        "answer lost": Fault("after", lost),
        "503": Fault("before", lambda: sf.ServiceUnavailableError(msg="HTTP 503", errno=290503)),
        "token expired": Fault("before", lambda: sf.ProgrammingError(msg="token has expired.", errno=390114)),
        "lock": Fault(
            "before", lambda: sf.ProgrammingError(msg="has locked table", errno=625, sqlstate="57014")
        ),
    }
    return Trial(opened, watch, tmp_path, faults, lost, "BEGIN TRANSACTION", "COMMIT")


class TestExactlyOnce(ExactlyOnce):
    kind, step = "snowflake", 3
    meet = ("append", "replace anew")
    """Two INSERTs lock nothing by themselves."""

    def kills(self, trial: Trial, calls: list[str], everything: bool) -> Iterable[tuple[int, When]]:
        """By default around the end of the transaction alone: the emulator waits for the locks of a session that is gone."""
        end = calls.index(trial.commits)
        return [(at, "after") for at in (range(len(calls)) if everything else (end - 1, end))]


def test_what_a_batch_of_a_table_that_fits_costs(trial: Trial) -> None:
    with trial.opened() as warehouse:
        _, _, statements = trial.clean(warehouse, "merge")
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


@pytest.mark.parametrize("by", ["PUT", "external stage"])
def test_every_type_arrives_as_it_was(
    opened: Callable[..., Any], watch: Watch, tmp_path: Path, by: str, snowflake_server: SnowflakeServer
) -> None:
    """The same Parquet, sent from here or read where it lies: the emulator reads a folder as the service reads a bucket."""
    if by != "PUT" and snowflake_server.port is None:
        pytest.skip("the service reads no folder of this machine")
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
    external = {} if by == "PUT" else {"stage": "LANDING.BATCHES"}
    with opened(**external) as warehouse:
        if external:
            warehouse.session.define(
                [
                    "CREATE SCHEMA IF NOT EXISTS LANDING",
                    f"CREATE STAGE IF NOT EXISTS LANDING.BATCHES URL = 'file://{tmp_path}/'",
                ]
            )
        row = (1, *(value for value, _, _ in values.values()))
        made, parts = chain.next("replace", [row, (2, *[None] * len(values))])
        warehouse.load(made, parts, addresses=[f"file://{part}" for part in parts])
        sent = [sql for sql in watch.seen if sql.startswith("PUT")]
        assert bool(sent) == (by == "PUT"), "what lies in a bucket is not sent"
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


def test_a_load_replaces_a_table_that_readers_never_miss(trial: Trial) -> None:
    """The table of another shape is made beside; what makes it the raw table is one statement that copies nothing."""
    with trial.opened() as warehouse:
        _, _, statements = trial.clean(warehouse, "replace anew")
    target = next(sql for sql in statements if " CLONE " in sql)
    assert target.startswith('CREATE OR REPLACE TABLE "RAW_SHOP"."T1004" CLONE') and target.endswith(
        "COPY GRANTS"
    )
    assert not [sql for sql in statements if sql.startswith(('DROP TABLE IF EXISTS "RAW', "TRUNCATE"))]


def test_a_wider_chain_is_replaced_in_place(trial: Trial) -> None:
    with trial.opened() as warehouse:
        _, _, statements = trial.clean(warehouse, "replace")
    assert not [sql for sql in statements if " CLONE " in sql], "rows alone change: one transaction, no DDL"
