"""The Chinook shop through ``discover`` alone: no line of code, no edit of the file it writes."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import phonenumbers
import psycopg
import pytest
from psycopg import sql

from data_platform.cli.app import run
from data_platform.sources.postgres.config import settings_of
from data_platform.sync import Platform, open_platform
from data_platform_tests.end_to_end.shared_data import shared_data

pytestmark = pytest.mark.slow
HASH_KEY = "a test's key, long enough to be taken"
PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
"""
KEYS = {"PlaylistTrack": ("PlaylistId", "TrackId")}  # the others' are <Table>Id
TYPES = {
    "UnitPrice": "numeric(10,2)",
    "Total": "numeric(10,2)",
    "InvoiceDate": "timestamp",
    "BirthDate": "timestamp",
    "HireDate": "timestamp",
}
PERSONAL = {
    "FirstName": "redact",
    "LastName": "redact",
    "Email": "hash",
    "Phone": "mask",
    "Fax": "mask",
    "Address": "redact",
    "BirthDate": "redact",
    "PostalCode": "redact",
    "BillingAddress": "redact",
    "BillingPostalCode": "redact",
}

Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def chinook() -> Tables:
    tables: Tables = json.loads(shared_data("chinook", "chinook.json").read_text(encoding="utf-8"))
    assert sum(map(len, tables.values())) == 15_607
    return tables


def key_of(table: str) -> tuple[str, ...]:
    return KEYS.get(table, (f"{table}Id",))


def type_of(column: str, values: list[Any]) -> str:
    return TYPES.get(column) or ("int" if any(isinstance(v, int) for v in values) else "varchar(200)")


@pytest.fixture
def shop(database: str, chinook: Tables) -> str:
    """A database as its own script would make it: capitals in every name, primary keys, sensible types."""
    with psycopg.connect(database) as connection:
        for table, records in chinook.items():
            columns = [
                sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(type_of(c, [r[c] for r in records])))  # type: ignore[arg-type]
                for c in records[0]
            ]
            key = sql.SQL(", ").join(map(sql.Identifier, key_of(table)))
            connection.execute(
                sql.SQL("create table {} ({}, primary key ({}))").format(
                    sql.Identifier(table), sql.SQL(", ").join(columns), key
                )
            )
            with connection.cursor().copy(
                sql.SQL("copy {} from stdin").format(sql.Identifier(table))
            ) as copy:
                for record in records:
                    copy.write_row(list(record.values()))
    return database


@pytest.fixture
def project(tmp_path: Path, shop: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project folder without any source, which is also the working folder."""
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATA_PLATFORM_HOME", raising=False)
    monkeypatch.delenv("DATA_PLATFORM_ENV", raising=False)
    monkeypatch.setenv("CHINOOK_URL", shop)
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", HASH_KEY)
    yield tmp_path


def test_from_discover_to_a_warehouse_equal_to_the_source(
    project: Path, chinook: Tables, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def cli(*words: str) -> str:
        capsys.readouterr()
        code = run(words)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    cli("discover", "--url-env", "CHINOOK_URL", "--source", "chinook", "--write")
    cli("validate", "--connect")
    synced = {t["table"]: t for t in json.loads(cli("sync", "--json"))["tables"]}
    assert {name: t["rows"] for name, t in synced.items()} == {
        f"chinook/{snake(table)}": len(records) for table, records in chinook.items()
    }

    platform = open_platform(project, "local")
    blocks = platform.catalog.source("chinook").tables
    for table, records in chinook.items():
        block = blocks[snake(table)]
        assert (block.key, settings_of(block).relation) == (key_of(table), ("public", table))
        treatments = {c: PERSONAL[c] for c in records[0] if c in PERSONAL}
        assert dict(block.personal) == treatments, table
        landed = rows(platform, table, list(records[0]))
        assert landed == sorted(expected(table, record) for record in records), table
    assert_nothing_is_clear(platform, chinook)

    with psycopg.connect(shop) as connection:
        connection.execute(
            """update "Customer" set "Email" = ' LuisG@Embraer.com.br ' where "CustomerId" = 1"""
        )
        connection.execute("""insert into "Genre" values (26, 'Fado')""")
    again = {t["table"]: t["rows"] for t in json.loads(cli("sync", "--json"))["tables"]}
    assert {name: n for name, n in again.items() if n} == {"chinook/customer": 1, "chinook/genre": 1}
    customers = [expected("Customer", record) for record in chinook["Customer"]]
    assert rows(platform, "Customer", list(chinook["Customer"][0])) == sorted(customers), (
        "an address in capitals is the same person's"
    )


def snake(table: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and n else c.lower() for n, c in enumerate(table))


def rows(platform: Platform, table: str, columns: list[str]) -> list[tuple[Any, ...]]:
    """Of the raw table, in the order of the key's text."""
    names = ", ".join(f'"{c}"' for c in [*key_of(table), *columns])
    with platform.warehouse(read_only=True) as warehouse:
        return sorted(warehouse.query(f"select {names} from raw_chinook.{snake(table)}").rows)


def expected(table: str, record: dict[str, Any]) -> tuple[Any, ...]:
    """The record as it is to land, its key in front to sort by."""
    return (*(record[k] for k in key_of(table)), *(treated(c, v) for c, v in record.items()))


def treated(column: str, value: Any) -> Any:
    treatment = PERSONAL.get(column)
    if value is None:
        return None
    if treatment == "redact":
        return "[redacted]"
    if treatment == "hash":
        return hmac.new(HASH_KEY.encode(), value.strip().lower().encode(), hashlib.sha256).hexdigest()
    if treatment == "mask":
        try:
            number = phonenumbers.parse(value)
        except phonenumbers.NumberParseException:
            return "***"
        return f"+{number.country_code}********{value[-2:]}"
    if TYPES.get(column) == "timestamp":
        return datetime.fromisoformat(value)
    return Decimal(str(value)).quantize(Decimal("0.01")) if isinstance(value, float) else value


def assert_nothing_is_clear(platform: Platform, chinook: Tables) -> None:
    """No personal value stands in any column of any raw table."""
    secrets = {
        str(record[column])
        for table in ("Customer", "Employee")
        for record in chinook[table]
        for column in PERSONAL
        if record.get(column)
    }
    assert len(secrets) > 300
    with platform.warehouse(read_only=True) as warehouse:
        for table in ("customer", "employee", "invoice"):
            for row in warehouse.query(f"select * from raw_chinook.{table}").rows:
                assert not secrets & {str(value) for value in row}
