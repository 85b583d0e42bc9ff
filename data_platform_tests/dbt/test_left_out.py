"""The dbt project of a company that has not all of the systems: their models are not there, and nothing fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_platform.catalog import load_catalog
from data_platform.cli.generated import differences, write_all
from data_platform_tests.dbt import raw_company, raw_shop
from data_platform_tests.dbt.runner import Dbt
from data_platform_tests.defs.parsed import copy_parsed
from data_platform_tests.repository import PEOPLE, ROOT

pytestmark = pytest.mark.slow
OPTIONAL = ("stripe", "files", "zendesk", "web")
OTHERS = "stripe_payment_count, stripe_paid_amount, stripe_refund_count, stripe_refunded_amount"


class Company:
    """A copy of the catalog and of the dbt project."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "catalog", root / "catalog", ignore=shutil.ignore_patterns(PEOPLE))
        shutil.copytree(ROOT / "spark", root / "spark")
        shutil.copytree(ROOT / "dbt", root / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
        self.dbt = Dbt(root, root / "dbt")
        copy_parsed(ROOT, root / "target", self.dbt.path)

    def has(self, *sources: str) -> set[str]:
        """Keep the files of these sources alone; all that dbt then finds."""
        folder = self.root / "catalog" / "sources"
        for name in OPTIONAL:
            (folder / f"{name}.yaml").unlink(missing_ok=True)
            if name in sources:
                shutil.copy(ROOT / "catalog" / "sources" / f"{name}.yaml", folder)
        write_all(load_catalog(self.root))
        assert differences(load_catalog(self.root)) == []
        self.dbt.manifest = None
        self.dbt("parse")
        manifest = self.dbt.manifest
        return {*manifest.nodes, *manifest.sources, *manifest.unit_tests, *manifest.disabled}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    made = Company(tmp_path_factory.mktemp("company"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_PLATFORM_DUCKDB_PATH", str(made.dbt.path))
        patch.delenv("DATA_PLATFORM_DBT_TARGET", raising=False)
        raw_shop.write(made.dbt.path, raw_shop.shop(), dict.fromkeys(raw_shop.DDL, 1))
        yield made


def of(source: str, found: set[str]) -> set[str]:
    """Ids of what is made of a source."""
    marts = {
        "stripe": ("stripe_",),
        "zendesk": ("support_tickets",),
        "web": ("web_traffic", "marketing_funnel"),
    }
    words = (f"stg_{source}__", f"int_{source}__", f"source.data_platform.{source}.", *marts.get(source, ()))
    return {id_ for id_ in found if any(word in id_ for word in words)}


def columns_known(dbt: Dbt, mart: str, *columns: str) -> list[int]:
    counts = ", ".join(f"count({column}) as {column}" for column in columns)
    (row,) = dbt.rows(f"select {counts} from marts.{mart}")
    return list(row.values())


@pytest.fixture(scope="module")
def whole(company: Company) -> set[str]:
    """All that dbt finds where every source is there."""
    return company.has(*OPTIONAL)


def test_a_source_that_is_taken_out_of_the_catalog_takes_its_models_with_it(
    company: Company, whole: set[str]
) -> None:
    """And puts them back: dbt parses what changed alone, as it does for everybody. Without any the shop's marts are built."""
    for count in (2, 4):
        gone, kept = OPTIONAL[:count], OPTIONAL[count:]
        found = company.has(*kept)
        assert found <= whole
        assert not any(of(name, found) for name in gone)
        for name in kept:
            assert of(name, found) == of(name, whole)
        assert {id_ for id_ in whole - found if not any(of(name, {id_}) for name in gone)} == set()
    company.dbt("run")
    assert columns_known(company.dbt, "user_metrics_fact", *OTHERS.split(", "), "ticket_count") == [0] * 5
    assert company.has(*OPTIONAL) == whole
    assert company.dbt.warnings == []


def test_a_source_of_the_catalog_that_never_synced_fails_nothing_and_is_no_difference(
    company: Company,
) -> None:
    company.dbt("run", "--select", "+user_metrics_fact", "+stripe_reconciliation", "+marketing_funnel_daily")
    company.dbt("test", "--select", "stripe_agrees_by_order", "stripe_agrees_by_amount")
    assert columns_known(company.dbt, "user_metrics_fact", *OTHERS.split(", "), "ticket_count") == [0] * 5
    found = company.dbt.rows("select distinct status, is_difference from marts.stripe_reconciliation")
    assert found == [{"status": "pending", "is_difference": False}]
    assert company.dbt.warnings == []


def test_columns_of_the_systems_that_are_there_are_known(company: Company) -> None:
    """Stripe's file is gone, though its tables are still in the warehouse; no file of costs."""
    raw_company.company(raw_shop.shop()).write(company.dbt.path)
    company.has("zendesk", "web")
    company.dbt("run", "--select", "+user_metrics_fact", "+marketing_funnel_daily")
    counts: list[Any] = columns_known(
        company.dbt, "user_metrics_fact", *OTHERS.split(", "), "ticket_count", "user_id"
    )
    assert counts[:4] == [0] * 4 and counts[4] == counts[5] > 0
    assert columns_known(company.dbt, "marketing_funnel_daily", "cost_amount", "session_count") == [
        0,
        len(raw_company.DAYS),
    ]
    assert company.dbt.warnings == []


def test_without_the_shop_what_stands_by_itself_stays(company: Company, whole: set[str]) -> None:
    """A company whose database is another one takes the shop's file out."""
    shop = company.root / "catalog" / "sources" / "shop.yaml"
    text = shop.read_text()
    shop.unlink()
    try:
        found = company.has(*OPTIONAL)
    finally:
        shop.write_text(text)
    models = {id_.rpartition(".")[2] for id_ in found if id_.startswith("model.")}
    assert "web_traffic_daily" in models
    assert {name.partition("__")[0] for name in models} == {
        *(f"stg_{name}" for name in (*OPTIONAL, "data_platform")),
        "web_traffic_daily",
    }
    assert not [id_ for id_ in found if ".shop." in id_ or id_.startswith("snapshot.")]
    company.dbt("run")
    assert company.has(*OPTIONAL) == whole
