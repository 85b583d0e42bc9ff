"""What Redshift holds of each type, over its stand-in, and what is refused by its column or table before it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_platform.duckdb_sql import duckdb_token, keeps_text
from data_platform.errors import LoadRefused, UnsupportedType
from data_platform.tables import WHOLE_TABLE, Column, Fingerprint, Layout, TableId
from data_platform_tests.contracts.batches import COLUMNS, Chain, write_part
from data_platform_tests.engines.redshift.server import RedshiftServer

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


def test_every_type_keeps_its_extremes(opened_redshift: Callable[..., Any], tmp_path: Path) -> None:
    """By the text of each key, which both sides make for themselves, and by the whole rows against their parts."""
    kinds = {f"c{n}": kind for n, kind in enumerate(VALUES)}
    columns = (COLUMNS[0], *(Column(name, kind, "") for name, kind in kinds.items()), COLUMNS[3])
    held = [(row, *(VALUES[kind][row] for kind in kinds.values()), row) for row in (0, 1)]
    held.append((2, *(None for _ in kinds), 2))
    table = TableId("shop", "kinds")
    chain = Chain(tmp_path / "parts", table=table, columns=columns, partition=None)
    made, parts = chain.next("merge", held)
    layout = Layout(("id",), None, "UTC", None)
    with opened_redshift() as warehouse, duckdb.connect() as engine:
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
    opened_redshift: Callable[..., Any], redshift: RedshiftServer, tmp_path: Path, words: str
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
    with opened_redshift() as warehouse:
        warehouse.loaded(made.table)
        with pytest.raises(LoadRefused, match=f"1 rows of its column x .*{words}") as caught:
            warehouse.load(made, parts)
        assert str(value)[:50] not in str(caught.value)
        assert warehouse.describe("raw_shop") == [], "nothing was written"


def test_a_type_and_a_shape_that_redshift_has_not_are_refused_by_name(
    opened_redshift: Callable[..., Any], tmp_path: Path
) -> None:
    for columns, words in (
        ((*COLUMNS, Column("x", "HUGEINT", "")), "column x lands as HUGEINT.*as: {x: text}"),
        ((*COLUMNS, Column("x", "DECIMAL(38,38)", "")), "column x lands as DECIMAL"),
        ((*COLUMNS, *(Column(f"c{n}", "BOOLEAN", "") for n in range(1_595))), "1,601 columns.*at most 1,600"),
        ((*COLUMNS, Column("Note", "VARCHAR", "")), "note and Note are one name"),
        ((*COLUMNS, Column("n" * 128, "VARCHAR", "")), "longer than 127 bytes"),
    ):
        made, parts = Chain(tmp_path / "parts", columns=columns).next("merge", [])
        with opened_redshift() as warehouse:
            with pytest.raises((LoadRefused, UnsupportedType), match=words):
                warehouse.load(made, parts)
            assert warehouse.describe("raw_shop") == []


def test_what_rules_found_may_be_longer_than_a_text(opened_redshift: Callable[..., Any]) -> None:
    table, other = TableId("shop", "orders"), TableId("shop", "users")
    text = "".join(f"{n}: it's \\ ü\n" for n in range(20_000))
    with opened_redshift() as warehouse:
        warehouse.record_rules(table, 1, text)
        warehouse.record_rules(other, 7, "")
        assert warehouse.recorded_rules() == {table: (1, text), other: (7, "")}
        warehouse.record_rules(table, 2, "short")
        assert warehouse.recorded_rules()[table] == (2, "short")
