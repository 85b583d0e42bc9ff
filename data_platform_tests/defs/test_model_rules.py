"""Rules of dbt models in real runs: checks of the models' assets, evaluated after dbt; their failing rows in the warehouse."""

from __future__ import annotations

import shlex

import dagster as dg
import pytest

from data_platform.catalog import load_catalog
from data_platform.defs.build import build
from data_platform.defs.model_checks import STEP
from data_platform.quality.failures import TABLE
from data_platform.warehouses.journal import read
from data_platform_tests.defs.conftest import Project

pytestmark = pytest.mark.slow
FACTS = dg.AssetKey(["marts", "order_facts"])
MODELS = """\
schema: marts
owner: team:analytics
models:
  order_facts:
    key: [order_id, line_number]
    partition: created_date
    rules:
      - unique(order_id, line_number)
      - {rule: revenue < 0, severity: warn, owner: "team:finance", name: odd}
      - row_count() >= 1 per day
      - sum(revenue) equals query "SELECT sum(total_revenue) FROM marts.customer_lifetime_value" within 0.01
      - user_id references user_dim.user_id
      - user_id references shop/users.user_id
"""


@pytest.fixture
def ruled(project: Project) -> Project:
    folder = project.root / "catalog" / "models"
    folder.mkdir()
    (folder / "marts.yaml").write_text(MODELS)
    return Project(project.root, project.url, project.instance, build(load_catalog(project.root), "local"))


def test_a_run_evaluates_the_rules_of_what_it_built(
    ruled: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = ruled.repository.asset_graph.get_check_spec(dg.AssetCheckKey(FACTS, "odd"))
    assert spec.metadata["owner"] == "team:finance"
    result = ruled.run("everything")
    assert result.success
    found = {one.check_name: one for one in result.get_asset_check_evaluations() if one.asset_key == FACTS}
    own = {
        name: found[name]
        for name in (rule.name for rule in load_catalog(ruled.root).models["order_facts"].rules)
    }
    assert {name: one.description for name, one in own.items() if not one.passed} == {
        "odd": own["odd"].description
    }, "all that holds in the shop passes"
    odd = own["odd"]
    assert odd.severity == dg.AssetCheckSeverity.WARN
    assert odd.metadata["rows_failing"].value == odd.metadata["rows"].value > 100
    with ruled.platform().warehouse(read_only=True) as warehouse:
        kept = read(warehouse, TABLE, {"table_name": "marts.order_facts"})
        assert {one["rule"] for one in kept} == {"odd"}
        assert len(kept) == 100
        command = shlex.split(str(odd.metadata["failing_rows"].value))
        assert len(warehouse.query(command[2]).rows) == 100
    steps = [event.step_key for event in result.all_events if event.is_step_success]
    assert steps.index("dbt_build") < steps.index(STEP)


def test_a_model_without_rules_has_no_step(project: Project) -> None:
    assert STEP not in {node.name for node in project.definitions.resolve_job_def("everything").nodes}


def test_only_what_is_selected_is_evaluated(ruled: Project) -> None:
    chosen = dg.AssetSelection.assets(dg.AssetKey(["marts", "user_dim"])).upstream()
    job = dg.define_asset_job("some", selection=chosen)
    made = dg.Definitions.merge(ruled.definitions, dg.Definitions(jobs=[job]))
    assert STEP not in {node.name for node in made.resolve_job_def("some").nodes}
