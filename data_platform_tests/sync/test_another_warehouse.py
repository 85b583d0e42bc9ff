"""The whole way with a warehouse that the platform does not know: a folder of code, and no line besides its kind's."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from data_platform.cli.options import output_warehouse
from data_platform.errors import ConfigurationError
from data_platform.quality.evaluated import from_text
from data_platform.sync import Platform
from data_platform.sync.backup import make_backup, restore_warehouse
from data_platform.sync.load import check_completeness
from data_platform.sync.rebuild import rebuild
from data_platform.tables import TableId
from data_platform.warehouses import Traits
from data_platform_tests.contracts.toy_warehouse.config import ToyConfig
from data_platform_tests.sync.conftest import ORDERS, ORDERS_SQL, Project

TABLE = TableId("shop", "orders")
EXTREMES = "SELECT count(*), min(order_id), max(order_id), sum(_source_xmin) FROM raw_shop.orders"


@dataclass
class OverAToy(Project):
    def platform(self) -> Platform:
        opened = super().platform()
        environment = opened.environment.model_copy(update={"warehouse": ToyConfig(folder=Path("toy"))})
        return replace(opened, environment=environment, rules_with_load=True)


@pytest.fixture
def orders(tmp_path: Path, database: str) -> OverAToy:
    project = OverAToy(tmp_path, database)
    project.execute(ORDERS_SQL)
    project.catalog({"orders": {**ORDERS, "rules": ["amount >= 2", "status in [new]"]}})
    project.good()
    return project


def held(project: OverAToy) -> list[tuple[object, ...]]:
    (found,) = project.rows(EXTREMES)
    (theirs,) = project.source_rows(
        "select count(*), min(order_id), max(order_id), sum(xmin::text::bigint)::bigint from orders"
    )
    assert found == theirs
    return [found]


def test_changes_deletes_and_slices_are_followed_and_proven(orders: OverAToy) -> None:
    held(orders)
    orders.execute(
        "update orders set status = 'paid' where order_id <= 10", "delete from orders where order_id > 390"
    )
    (report,) = orders.good(verify=True, audit=True).values()
    assert report.completeness is not None and report.completeness.passed
    held(orders)
    orders.execute("delete from orders where order_id = 1")
    orders.slices(["orders"], "2026-01-02")
    held(orders)
    assert check_completeness(orders.platform(), orders.platform().catalog.table(TABLE)).passed
    with orders.platform().warehouse(read_only=True) as warehouse:
        sequence, text = warehouse.recorded_rules()[TABLE]
    assert sequence == orders.ledger_sequences("orders")[-1]
    found = from_text(text, orders.platform().catalog.table(TABLE)).rules
    assert [(one.failing, one.problem) for one in found] == [(0, None), (9, None)]


def test_it_is_made_anew_from_the_ledger(orders: OverAToy) -> None:
    before = held(orders)
    into = orders.root / "anew"
    (made,) = rebuild(orders.platform(), into)
    assert (made.rows, made.batches) == (400, 1)
    anew = orders.platform().environment.warehouse.elsewhere(into)
    with anew.open(orders.root, read_only=True) as warehouse:
        assert warehouse.query(EXTREMES).rows == before


def test_what_it_cannot_is_said(orders: OverAToy) -> None:
    platform = with_backups(orders.platform())
    for act in (partial(make_backup, platform), partial(restore_warehouse, platform, "latest", "x")):
        with pytest.raises(ConfigurationError) as caught:
            act()
        for words in (
            "of the kind toy",
            "second copy of the landing store",
            "data-platform rebuild",
            "`backups:`",
        ):
            assert words in str(caught.value)
    assert not (orders.root / "backups").exists(), "refused before anything is written"


class NamedPlaces(ToyConfig):
    """As an engine elsewhere names its warehouses."""

    traits: ClassVar[Traits] = Traits(writers="many", archive=False, in_files=False)

    def elsewhere(self, name: str | os.PathLike[str]) -> NamedPlaces:
        if isinstance(name, Path):  # its own, beside the one that is replaced
            return self.model_copy(update={"folder": name})
        if not str(name).isidentifier():
            raise ConfigurationError(f"{name!r} is no dataset's name: use letters, digits and underscores.")
        return self.model_copy(update={"folder": self.folder.with_name(f"dataset_{name}")})


def test_another_warehouse_is_named_as_its_engine_names_them(orders: OverAToy) -> None:
    opened = orders.platform()
    named = NamedPlaces(folder=Path("toy"))
    platform = replace(opened, environment=opened.environment.model_copy(update={"warehouse": named}))
    (orders.root / "past").mkdir()
    output_warehouse(platform, "past", "--into")  # a folder of that name is nobody's business
    with pytest.raises(ConfigurationError, match="no dataset's name"):
        output_warehouse(platform, "a/b", "--into")
    rebuild(platform, "past")
    assert (orders.root / "dataset_past" / "toy.db").exists()


def with_backups(platform: Platform) -> Platform:
    from data_platform.backups.config import BackupsConfig

    backups = BackupsConfig.model_validate(
        {"store": {"kind": "local", "path": "backups"}, "start": "2026-01-01"}
    )
    return replace(platform, environment=platform.environment.model_copy(update={"backups": backups}))
