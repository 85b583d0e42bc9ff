"""A kind of check that the platform does not know: one class, and its line in ``quality/kinds.py``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import pytest
import yaml
from pydantic import Field

from data_platform.catalog import load_catalog
from data_platform.catalog.schema import json_schemas
from data_platform.cli.app import run
from data_platform.defs import names
from data_platform.defs.build import build
from data_platform.defs.checks import recorded_results
from data_platform.errors import CatalogError
from data_platform.quality import kinds
from data_platform.quality.checking import CheckResult, Subject
from data_platform.quality.evaluated import from_text
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation
from data_platform.yaml_fields import ColumnName, Model
from data_platform_tests.defs.conftest import Project

pytestmark = pytest.mark.slow

PRODUCTS = TableId("shop", "products")
KEY = dg.AssetKey(["raw", "shop", "products"])


class VariedSettings(Model):
    column: ColumnName = Field(description="The column whose values are counted.")
    at_least: int = Field(description="How many different ones there must be.")


class Varied:
    """Whether a column has enough different values."""

    name = "varied"
    model = VariedSettings
    description = "A check that a column has enough different values."
    severity: Literal["error", "warn"] = "error"
    why_clear = "its values are counted"
    of_models = False

    def columns(self, settings: VariedSettings) -> Mapping[str, str]:
        return {"column": settings.column}

    def times(self, settings: VariedSettings) -> Collection[str]:
        return ()

    def says(self, settings: VariedSettings, code: Callable[[str], str]) -> str:
        return f"{code(settings.column)} has at least {settings.at_least} different values."

    def evaluate(
        self, warehouse: Warehouse, subject: Subject, settings: VariedSettings, now: datetime
    ) -> CheckResult:
        column = warehouse.dialect.quote(settings.column)
        raw = relation(warehouse.dialect, subject.schema, subject.name)
        found = int(warehouse.query(f"SELECT count(DISTINCT {column}) FROM {raw}").rows[0][0])
        return CheckResult(
            found >= settings.at_least, f"It has {found} different values.", {"different": found}
        )


def ask_for(root: Path, **settings: Any) -> None:
    """The check in the block of products."""
    path = root / "catalog" / "sources" / "shop.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["tables"]["products"]["varied"] = settings
    path.write_text(yaml.safe_dump(raw, sort_keys=False))


@pytest.fixture
def varied(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    ask_for(project.root, column="product_id", at_least=1_000)
    with pytest.raises(CatalogError, match="varied: unknown key"):
        load_catalog(project.root)
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, Varied()))
    made = build(load_catalog(project.root), "local")
    return Project(project.root, project.url, project.instance, made)


def test_it_is_a_check_of_the_graph_that_a_run_evaluates(varied: Project) -> None:
    graph = varied.repository.asset_graph
    spec = graph.get_check_spec(dg.AssetCheckKey(KEY, "varied"))
    assert spec.description == "`product_id` has at least 1000 different values."
    result = varied.sync("products")
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert (found["varied"].passed, found["varied"].severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert found["varied"].description == "It has 240 different values."
    assert found["varied"].metadata["different"].value == 240


def test_the_command_line_evaluates_it_and_the_graph_hears_of_it(
    varied: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["sync", "shop/products", "--root", str(varied.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    platform = varied.platform()
    with platform.warehouse(read_only=True) as warehouse:
        _, text = warehouse.recorded_rules()[PRODUCTS]
    table = platform.catalog.table(PRODUCTS)
    evaluated = from_text(text, table)
    assert evaluated.checks["varied"] == CheckResult(
        False, "It has 240 different values.", {"different": 240}
    )
    told = {one.check_name: one.passed for one in recorded_results(table, evaluated)}
    assert told["varied"] is False
    varied.sensor("report_batches")
    stored = varied.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(KEY, "varied")]
    )
    assert len(stored) == 1
    earlier = {key: value for key, value in json.loads(text).items() if key != "checks"} | {"newest": None}
    assert from_text(json.dumps(earlier), table).checks == {}, "what an earlier version recorded"


def test_its_mistakes_are_those_of_every_check(varied: Project) -> None:
    ask_for(varied.root, column="product_id", at_least="many")
    with pytest.raises(CatalogError, match=r"varied.at_least"):
        load_catalog(varied.root)
    path = varied.root / "catalog" / "sources" / "shop.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["tables"]["products"] |= {
        "varied": {"column": "secret_note", "at_least": 1},
        "personal": {"secret_note": "redact"},
    }
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    with pytest.raises(CatalogError, match=r"varied.column.*treated as redact.*its values are counted"):
        load_catalog(varied.root)
    block = json_schemas()["source.schema.json"]
    assert "How many different ones there must be." in json.dumps(block)


def test_no_other_table_has_it(varied: Project) -> None:
    keys = {key for key in varied.repository.asset_graph.asset_check_keys if key.name == "varied"}
    assert keys == {dg.AssetCheckKey(names.raw_key(PRODUCTS), "varied")}
