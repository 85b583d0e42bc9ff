"""What ``sync`` reads from its words, what it says, and how it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from data_platform.catalog import Catalog, load_catalog
from data_platform.cli import sync as module
from data_platform.cli.sync import (
    choose,
    exit_code,
    only_partitioned,
    parse_slices,
    report_fields,
    table_named,
)
from data_platform.errors import (
    ConfigurationError,
    DataPlatformError,
    DuplicateKey,
    SourceUnreachable,
    StoreFull,
)
from data_platform.sync.report import TableReport
from data_platform.tables import Position, TableId

from .conftest import Result

Cli = Callable[..., Result]
ORDERS, PRODUCTS = TableId("shop", "orders"), TableId("shop", "products")
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.fixture
def catalog(project: Path) -> Catalog:
    return load_catalog(project)


def report(table: TableId = ORDERS, error: DataPlatformError | None = None, **fields: Any) -> TableReport:
    return TableReport(table, "changes", 0.25, error=error, **fields)


@pytest.mark.parametrize(
    ("text", "slices"),
    [
        ("2026-01-31", ["2026-01-31"]),
        ("2026-01-31..2026-02-01", ["2026-01-31", "2026-02-01"]),
        ("null", ["null"]),
    ],
)
def test_slices(text: str, slices: list[str]) -> None:
    assert parse_slices(text) == slices


@pytest.mark.parametrize(
    "text", ["x", "2026-02-30", "2026-02-01..2026-01-31", "..", "1026-01-01..2026-01-01", "2026-01..2026-02"]
)
def test_slices_that_are_none(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_slices(text)


def test_everything_is_chosen_by_default(catalog: Catalog) -> None:
    assert choose(catalog, []) == {"crm": ["contacts", "orders"], "shop": ["orders", "products"]}


def test_sources_and_tables_are_chosen_once(catalog: Catalog) -> None:
    assert choose(catalog, ["shop/products", "shop/products"]) == {"shop": ["products"]}
    assert choose(catalog, ["shop", "shop/orders"]) == {"shop": ["orders", "products"]}


def test_a_refresh_alone_chooses_only_its_table(catalog: Catalog) -> None:
    assert choose(catalog, [], {PRODUCTS}) == {"shop": ["products"]}
    assert choose(catalog, ["crm"], {PRODUCTS}) == {"crm": ["contacts", "orders"], "shop": ["products"]}


def test_a_table_is_named_by_itself_where_only_one_source_has_it(catalog: Catalog) -> None:
    assert table_named(catalog, "products") == PRODUCTS
    with pytest.raises(typer.BadParameter, match="crm/orders or shop/orders"):
        table_named(catalog, "orders")
    for unknown in ("nothing", "shop/nothing", "nothing/orders"):
        with pytest.raises(ConfigurationError):
            table_named(catalog, unknown)
    with pytest.raises(typer.BadParameter):
        table_named(catalog, "a/b/c")


def test_slices_leave_unpartitioned_tables_out_unless_named(catalog: Catalog) -> None:
    assert only_partitioned(catalog, {"shop": ["orders", "products"]}, []) == {"shop": ["orders"]}
    with pytest.raises(ConfigurationError, match="no partition column"):
        only_partitioned(catalog, {"shop": ["orders", "products"]}, ["shop/products"])
    with pytest.raises(ConfigurationError):
        only_partitioned(catalog, {"crm": ["contacts"]}, [])


def test_the_exit_code_tells_some_from_all() -> None:
    down, twice, full = SourceUnreachable("down"), DuplicateKey("twice"), StoreFull("full")
    assert exit_code([]) == 0
    assert exit_code([report(), report()]) == 0
    assert exit_code([report(), report(error=down)]) == 1
    assert exit_code([report(error=down), report(error=twice)]) == 3
    assert exit_code([report(error=full)]) == 4
    assert exit_code([report(error=full), report(error=down)]) == 1


def test_the_json_of_a_table_is_what_the_documentation_says() -> None:
    mark = Position("1@1", {"xmin": 700, "horizon": "2026-01-01T00:00:00Z", "cursor": None}, "xmin 700")
    fields = report_fields(report(error=SourceUnreachable("down"), position_before=mark))
    assert json.loads(json.dumps(fields)) == fields
    section = DOCS.read_text().partition("## `data-platform sync [")[2].partition("\n## ")[0]
    table = section.partition("| key | meaning |")[2]
    written = {
        name
        for row in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.M)
        for name in re.findall(r"\w+", row)
    }
    assert written == set(fields)
    assert fields["watermark_before"] == {"xmin": 700, "horizon": "2026-01-01T00:00:00Z", "cursor": None}
    assert fields["error"]["type"] == "SourceUnreachable"
    assert fields["error"]["retryable"] is True


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, catalog: Catalog) -> list[TableReport]:
    """Reports that the next ``sync`` gives."""
    reports: list[TableReport] = []

    def run(*_: Any, **__: Any) -> Iterator[TableReport]:
        yield from reports

    platform = SimpleNamespace(catalog=catalog, environment=SimpleNamespace(name="local"))
    monkeypatch.setattr(module, "open_project", lambda *_, **__: platform)
    monkeypatch.setattr(module, "run", run)
    return reports


def test_what_hits_every_table_is_said_once(cli: Cli, played: list[TableReport]) -> None:
    down = SourceUnreachable("No answer from [shop]. Check CLI_TEST_SHOP_URL.")
    played += [report(ORDERS, down), report(PRODUCTS, down)]
    result = cli("sync", "shop")
    assert result.code == 3
    assert result.err.count("No answer from [shop]") == 1
    assert "shop/orders, shop/products: No answer" in result.err
    assert result.out == "shop/orders: failed\nshop/products: failed\n"


def test_a_good_table_is_shown_beside_a_bad_one(cli: Cli, played: list[TableReport]) -> None:
    played += [report(ORDERS, notes=("Read by the clock path.",)), report(PRODUCTS, DuplicateKey("Twice."))]
    result = cli("sync")
    assert result.code == 1
    assert "shop/orders: nothing changed" in result.out
    assert "Read by the clock path." in result.err
    assert "1 table synced, 1 failed" in result.err


def test_among_hundreds_of_tables_those_in_which_nothing_changed_are_counted(
    cli: Cli, played: list[TableReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    played += [report(TableId("crm", "contacts")), report(TableId("crm", "orders"))]
    played += [report(ORDERS, notes=("Read by the clock path.",)), report(PRODUCTS, DuplicateKey("Twice."))]
    summary = "3 tables synced, 1 failed, 0 rows; nothing changed in 3."
    result = cli("sync")
    assert len(result.out.splitlines()) == 4 and summary in result.err
    monkeypatch.setattr(module, "EACH_TABLE_MAX", 3)  # the catalog has four
    result = cli("sync")
    assert result.out.splitlines() == ["shop/orders: nothing changed (0.2 s)", "shop/products: failed"]
    assert summary in result.err


def test_json_is_one_document_whatever_happens(cli: Cli, played: list[TableReport]) -> None:
    played += [report(ORDERS), report(PRODUCTS, DuplicateKey("Twice."))]
    result = cli("sync", "--json")
    assert result.code == 1
    document = json.loads(result.out)
    assert (document["ok"], document["exit_code"], document["environment"]) == (False, 1, "local")
    assert [table["ok"] for table in document["tables"]] == [True, False]


def test_slices_go_with_nothing_that_reads_changes(cli: Cli, played: list[TableReport]) -> None:
    assert cli("sync", "--slices", "2026-01-01", "--verify").code == 2
    assert cli("sync", "--slices", "2026-01-01", "--refresh", "products").code == 2
