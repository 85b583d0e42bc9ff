"""The warehouses that the contract runs over. An engine joins with one line in ``ENGINES``: its configuration in a folder, and
what it cannot do besides what its ``Traits`` say.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data_platform.warehouses import Warehouse, WarehouseConfig
from data_platform.warehouses.dialect import relation
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.contracts.toy_warehouse.config import ToyConfig
from data_platform_tests.engines import ducklake
from data_platform_tests.engines.bigquery import server as bigquery
from data_platform_tests.engines.snowflake import engine as snowflake

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Engine:
    """``config`` is of a warehouse in a folder. ``all_instants``: its times reach beyond year 9999, before year 1
    and to infinity. ``patterns``: it knows regular expressions. ``server`` is the fixture that it needs; ``emptied``
    cleans up behind a test where warehouses are not thrown away with their folder; ``other`` names another warehouse
    in a folder. ``sampled``: by default a sample of the contract runs, ``SAMPLE`` or these tests of it, and all of it with
    ``--warehouse KIND``. ``all_names``: a name may have any character. ``decimal_zeros``: the text of a decimal ends in the
    zeros of its scale."""

    config: Callable[[Path], WarehouseConfig]
    all_instants: bool = True
    patterns: bool = True
    server: str | None = None
    emptied: Callable[[Path], None] | None = None
    other: Callable[[Path], Path | str] = lambda folder: folder / "other"
    sampled: bool | tuple[str, ...] = False
    all_names: bool = True
    decimal_zeros: bool = True
    reach: Callable[[Path], Path] = lambda folder: folder
    """The folder that its statements may reach, for a test in a folder."""

    def open(self, folder: Path, *, read_only: bool = False) -> AbstractContextManager[Warehouse]:
        return self.config(folder).open(folder, read_only, files=[self.reach(folder)])

    def fresh(self, folder: Path) -> AbstractContextManager[Warehouse]:
        """A new one, within a test that has had another."""
        if self.emptied is not None:
            self.emptied(folder)
        return self.open(folder)


def needs_a_server(folder: Path) -> WarehouseConfig:
    raise AssertionError(f"the fixture `engine` gives the configuration of the warehouse for {folder}")


ENGINES = {
    "duckdb": Engine(lambda folder: DuckDBConfig(path=folder / "warehouse.duckdb", threads=1)),
    "ducklake": Engine(
        ducklake.config,
        server="lake_catalogs",
        sampled=True,
        emptied=ducklake.emptied,
        other=lambda folder: "other",
        reach=lambda folder: folder.parent,
    ),
    "bigquery": Engine(
        needs_a_server,
        server="bigquery_server",
        sampled=(
            "test_refresh_then_changes",
            "test_a_slice_replaces_its_days_deletes_included",
            "test_replace_brings_a_new_shape_and_forgets_the_old_rows",
            "test_odd_names_are_quoted",
            "test_each_rule_says_of_each_value_what_it_says_anywhere",
            "test_rows_are_kept_and_replaced",
            "test_two_that_replace_at_once_leave_the_rows_of_one",
            "test_each_rule_over_several_rows_finds_the_same_anywhere",
            "test_quantiles_are_values_of_the_data_and_the_same_everywhere",
            "test_a_value_within_json_is_a_text",
            "test_rows_that_are_gone_from_their_batch_go",
        ),
        all_instants=False,
        all_names=False,
        decimal_zeros=False,
        other=bigquery.other,
    ),
    "redshift": Engine(
        needs_a_server,
        server="redshift_server",
        sampled=True,
        all_instants=False,
        other=lambda folder: f"test_{uuid.uuid4().hex[:8]}_other",
    ),
    "snowflake": Engine(
        needs_a_server,
        server="snowflake_server",
        sampled=True,
        all_instants=False,
        other=lambda folder: f"{snowflake.database(folder)}_other",
    ),
    "toy": Engine(lambda folder: ToyConfig(folder=folder / "toy"), all_instants=False, patterns=False),
}


def raw(warehouse: Warehouse) -> str:
    """The raw table of the batches, as a statement of this warehouse names it."""
    return relation(warehouse.dialect, "raw_shop", "orders")


FOLDING = ("redshift", "snowflake")
"""Dialects that keep no capital letter of a name: a raw table with one is refused."""
SAMPLE = (
    "test_refresh_then_changes",
    "test_a_slice_replaces_its_days_deletes_included",
    "test_rows_of_a_group_are_replaced_together",
    "test_replace_brings_a_new_shape_and_forgets_the_old_rows",
    "test_fingerprints_are_those_of_the_parts",
    "test_rows_that_differ_from_their_parts_are_counted_by_slice",
    "test_odd_names_are_quoted",
    "test_an_unreadable_part_changes_nothing",
    "test_the_age_of_the_newest_row",
    "test_every_statement_of_a_dialect_is_of_its_grammar",
    "test_what_a_dialect_cannot_say_is_refused_and_no_pass",
    "test_records_that_newer_ones_replace_go",
    "test_another_cluster_is_named_and_a_refresh_applies_it",
    "test_a_new_warehouse_appears_whole_or_not_at_all",
    "test_reads_are_remembered",
    "test_values_are_bound_and_are_no_part_of_a_statement",
    "test_each_rule_says_of_each_value_what_it_says_anywhere",
    "test_each_rule_over_several_rows_finds_the_same_anywhere",
    "test_rows_are_kept_and_replaced",
    "test_a_transaction_that_fails_keeps_what_was_there",
    "test_a_later_version_adds_a_column",
    "test_quantiles_are_values_of_the_data_and_the_same_everywhere",
    "test_two_that_replace_at_once_leave_the_rows_of_one",
    "test_a_value_within_json_is_a_text",
    "test_rows_that_are_gone_from_their_batch_go",
)
"""What every run tests of a sampled engine."""


def rows(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """The raw table by id, its instants as ISO days."""
    micros = warehouse.dialect.micros(warehouse.dialect.quote("at"))
    found = warehouse.query(f"SELECT id, {micros}, note FROM {raw(warehouse)} ORDER BY id").rows
    return [(id_, None if at is None else iso(at)[:10], note) for id_, at, note in found]


def iso(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()
