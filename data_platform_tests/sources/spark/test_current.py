"""The rows of a landed table: Spark's, against those that DuckDB's loads leave."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlglot import parse_one

from data_platform.errors import SourceError
from data_platform.sources.inputs import Head, LandedBatch, LandedTable
from data_platform.sources.spark import runner
from data_platform.sources.spark.current import current
from data_platform.sources.spark.jobs import _input
from data_platform.tables import Column, Slice
from data_platform_tests.contracts.batches import GONE, MARKED, TABLE, Chain, manifest
from data_platform_tests.contracts.engines import ENGINES, Engine
from data_platform_tests.sources.spark.conftest import SMALL, SPARK, missing

DAYS = [None, "2026-03-28", "2026-03-29", "2026-03-30"]


def landed(batches: list[LandedBatch], **changes: Any) -> LandedTable:
    settings: dict[str, Any] = {"key": ("id",), "partition": "at", "timezone": "UTC"} | changes
    return LandedTable(TABLE, Head(len(batches), "", ""), batches=tuple(batches), **settings)


def batch(made: Any, parts: list[Path]) -> LandedBatch:
    return LandedBatch(
        made.sequence,
        made.load,
        made.columns,
        tuple(str(part) for part in parts),
        made.rows,
        made.slices,
        made.deleted,
        made.replaces,
    )


def test_the_query_of_any_chain_is_one_statement_whose_size_does_not_grow_with_it(tmp_path: Path) -> None:
    def sql(batches: int) -> str:
        chain = Chain(tmp_path / str(batches))
        steps = [batch(*chain.next("replace", [(1, "2026-01-01", "a", 1)]))]
        steps += [batch(*chain.next("merge", [(1, "2026-01-01", "a", n)])) for n in range(batches)]
        return current(landed(steps), "scan").sql

    assert len(sql(2)) == len(sql(40))
    parse_one(sql(2), dialect="spark")


def test_a_table_by_whose_key_spark_cannot_tell_rows_apart_is_refused() -> None:
    columns = (Column("id", "UUID[]", "uuid[]"), Column("at", "DATE", "date"))
    made = manifest(1, "replace", 1, columns=columns)
    with pytest.raises(SourceError, match="shop/orders: its column id, by which its rows are told apart"):
        current(landed([batch(made, [Path("x.parquet")])]), "scan")


def test_a_batch_that_replaced_a_slice_that_is_no_day_is_refused() -> None:
    base, later = manifest(1, "replace", 1), manifest(2, "slice", 1, slices=(Slice("infinity"),))
    batches = [batch(base, [Path("x")]), batch(later, [Path("y")])]
    with pytest.raises(SourceError, match="its batch 2 replaced the slice infinity"):
        current(landed(batches), "scan")


def random_chain(chance: random.Random, engine: Engine, folder: Path) -> tuple[LandedTable, list[Any]]:
    """Batches of all kinds, and the rows that the warehouse holds after them."""
    grouped = chance.random() < 0.3
    zone = chance.choice(["UTC", "Europe/Berlin", "America/New_York"])
    always: dict[str, Any] = {"timezone": zone}
    if grouped:
        always |= {
            "key": ("note",) if chance.random() < 0.5 else ("id", "note"),
            "replaces": ("id",),
            **MARKED,
        }
    chain, batches = Chain(folder / "parts", **always), []
    with engine.open(folder) as warehouse:
        for _ in range(chance.randint(2, 9)):
            loads = (
                ["merge", "slice", "replace"]
                if grouped
                else ["merge", "append", "append", "slice", "replace"]
            )
            load: Any = chance.choice(loads)
            slices = chance.sample([day or "null" for day in DAYS], chance.randint(1, 2))
            rows: dict[Any, tuple[Any, ...]] = {}
            for _ in range(chance.randint(0, 5)):
                day = chance.choice(DAYS)
                at = day and f"{day} {chance.randint(0, 23):02d}:30:00+00"
                row = (chance.randint(1, 6), at, chance.choice("abcd"), chain.sequence)
                rows[row[2] if grouped else row[0]] = row
            if grouped:  # a step brings all rows of a group
                marks = [(row[0], None, None, 1, "true") for row in rows.values()]
                marks += [(chance.randint(1, 6), None, None, 1, "true")] if chance.random() < 0.5 else []
                written = [(*row, "false") for row in rows.values()] + (marks if load != "replace" else [])
                made, parts = chain.next(load, written, slices=slices)
            elif load != "append" and chance.random() < 0.5:
                gone = {chance.randint(1, 6) for _ in range(2)} - rows.keys()
                written = [(*row, "false") for row in rows.values()]
                written += [(id_, None, None, 1, "true") for id_ in gone]
                made, parts = chain.next(load, written, slices=slices, columns=GONE, deleted="gone")
            else:
                made, parts = chain.next(load, list(rows.values()), slices=slices)
            warehouse.load(made, parts)
            batches.append(batch(made, parts))
        held = warehouse.query('SELECT id::VARCHAR, epoch_us("at")::VARCHAR, note FROM raw_shop.orders').rows
    key = always.get("key", ("id",))
    return landed(batches, key=key, timezone=zone), [list(row) for row in held]


TYPES: dict[str, tuple[str, str]] = {
    "b": ("BOOLEAN", "true"), "si": ("SMALLINT", "-2"), "i": ("INTEGER", "3"), "bi": ("BIGINT", "-9007199254740993"),
    "ub": ("UBIGINT", "18446744073709551615"), "f": ("FLOAT", "1.5"), "d": ("DOUBLE", "-2.25"), "v": ("VARCHAR", "é'\\n"),
    "dt": ("DATE", "0900-01-01"), "ts": ("TIMESTAMP", "1500-01-01 01:02:03.000004"), "t": ("TIME", "01:02:03.000004"),
    "tz": ("TIMESTAMPTZ", "2024-03-31 01:02:03.000004+00"), "de": ("DECIMAL(38,10)", "12345678901234567890.5000000000"),
    "u": ("UUID", "00112233-4455-6677-8899-aabbccddeeff"), "j": ("JSON", '{"a": 1}'), "bl": ("BLOB", "abc"),
}  # fmt: skip


def every_type(folder: Path) -> tuple[LandedTable, list[list[str]]]:
    columns = tuple(Column(name, kind, "") for name, (kind, _) in TYPES.items())
    chain = Chain(folder, columns=columns, key=("i",), partition=None)
    made = batch(*chain.next("replace", [[text for _, text in TYPES.values()]]))
    wanted = [[text.removesuffix("+00") for _, text in TYPES.values()]]
    return landed([made], key=("i",), partition=None), wanted


def columns_that_came_and_widened(folder: Path) -> tuple[LandedTable, list[list[str | None]]]:
    id_, narrow, wide = (
        Column("id", "BIGINT", ""),
        Column("n", "SMALLINT", ""),
        Column("n", "DECIMAL(38,18)", ""),
    )
    chain = Chain(folder, partition=None)
    steps = [batch(*chain.next("replace", [(1, 10), (2, 20)], columns=(id_, narrow)))]
    steps.append(
        batch(*chain.next("merge", [(2, 21, "new")], columns=(id_, narrow, Column("more", "VARCHAR", ""))))
    )
    steps.append(
        batch(*chain.next("merge", [(3, "0.5", "b")], columns=(id_, wide, Column("more", "VARCHAR", ""))))
    )
    zeros = "0" * 18
    wanted = [["1", f"10.{zeros}", None], ["2", f"21.{zeros}", "new"], ["3", f"0.5{zeros[1:]}", "b"]]
    return landed(steps, partition=None), wanted


@pytest.mark.slow
def test_spark_finds_the_rows_that_the_warehouse_holds(
    tmp_path: Path, seeds: Callable[[int], Sequence[int]]
) -> None:
    """`--seeds 200` for more chains of batches."""
    if (why := missing()) is not None:
        pytest.skip(why)
    asked, wanted = [], []
    for n in seeds(3):
        table, held = random_chain(random.Random(n), ENGINES["duckdb"], tmp_path / str(n))
        given = _input(f"t{n}", TABLE, table, tmp_path / f"links{n}", in_bucket=n % 5 == 4)
        given["sql"] = f"SELECT id, unix_micros(at) AS at, note FROM ({given['sql']})"
        asked.append({"input": given, "names": ["id", "at", "note"]})
        wanted.append(sorted(held, key=str))
    for name, (table, rows), names in (
        ("types", every_type(tmp_path / "types"), list(TYPES)),
        ("wider", columns_that_came_and_widened(tmp_path / "wider"), ["id", "n", "more"]),
    ):
        given = _input(name, TABLE, table, tmp_path / f"links-{name}", in_bucket=False)
        asked.append({"input": given, "names": names})
        wanted.append(rows)
    script = Path(__file__).with_name("evaluate.py")
    done = subprocess.run(
        [str(SPARK / "bin/python"), str(script), runner.__file__, "local[2]", json.dumps(SMALL)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for n, found in enumerate(json.loads(done.stdout.splitlines()[-1])):
        assert sorted(found, key=str) == wanted[n], f"table {n}"
