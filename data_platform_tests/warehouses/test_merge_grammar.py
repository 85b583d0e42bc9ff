"""Every statement that a load puts together is one statement, and of DuckDB's grammar as others know it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlglot
from sqlglot.expressions import Command

from data_platform.tables import Column, Layout, Slice
from data_platform.warehouses.duckdb import merge
from data_platform_tests.contracts.batches import COLUMNS, COMMITTED_AT, LAYOUT, TABLE

BATCHES = {
    "of rows": merge.Batch(TABLE, COLUMNS, LAYOUT, (Path("it's.parquet"),), "b", COMMITTED_AT),
    "of none": merge.Batch(TABLE, COLUMNS, LAYOUT, (), "b", COMMITTED_AT),
    "with deleted rows": merge.Batch(TABLE, COLUMNS, LAYOUT, (Path("p"),), "b", COMMITTED_AT, 'go"ne'),
    "of groups": merge.Batch(
        TABLE, COLUMNS, LAYOUT, (Path("p"),), "b", COMMITTED_AT, 'go"ne', replaces=("at", "note")
    ),
    "of one slice": merge.Batch(
        TABLE, COLUMNS, Layout(("id", "note"), None, "UTC", None), (Path("p"),), "b", COMMITTED_AT
    ),
    "of days elsewhere": merge.Batch(
        TABLE,
        COLUMNS,
        Layout(("id",), "at", "Asia/Kathmandu", "_source_xmin"),
        (Path("p"),),
        "b",
        COMMITTED_AT,
    ),
}
SLICES = [Slice("2026-01-01"), Slice("null"), Slice("0044-03-15 BC"), Slice("infinity")]


@pytest.mark.parametrize("name", BATCHES)
def test_statements_are_parsed(name: str) -> None:
    batch = BATCHES[name]
    statements = [
        merge.create_empty(batch),
        merge.add_column(batch, Column("more", "DECIMAL(12,2)", "")),
        merge.widen_column(batch, Column('mo"re', "DECIMAL(12,2)", "")),
        merge.create_table(batch, batch.replacement),
        *merge.swap_in(batch),
        merge.stage_keys(batch),
        merge.count_keys(batch),
        merge.count_deleted(batch),
        merge.collect_gone(batch),
        merge.collect_gone(batch, SLICES),
        merge.delete_gone(batch),
        merge.stage_held(batch),
        merge.keys_not_in_batch(batch),
        merge.insert(batch, batch.rows()),
        merge.insert(batch, merge.absent_rows(batch)),
        merge.touched(batch, batch.rows(), merge.GONE),
        merge.touched(batch, batch.target, None),
    ]
    if batch.replaces:
        keyless = replace(batch, layout=replace(batch.layout, key=()))
        statements += [merge.stage_groups(batch), merge.count_groupless(batch)]
        statements += [
            merge.collect_groups(one, slices) for one in (batch, keyless) for slices in ((), SLICES)
        ]
    for statement in statements:
        (parsed,) = sqlglot.parse(statement, dialect="duckdb")
        assert parsed is not None and not isinstance(parsed, Command), statement
