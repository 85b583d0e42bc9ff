"""The asset of erasures: its checks fail on a request that stopped, and on a row that came back."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pytest
import yaml

from data_platform.defs.build import build
from data_platform.defs.erasures import FINISHED, GONE
from data_platform.defs.names import ERASURES
from data_platform.landing.keys import part_key
from data_platform.sync.erasing import steps
from data_platform.tables import TableId
from data_platform_tests import people
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_backup import metadata

pytestmark = pytest.mark.slow
SUBJECTS = {
    "subjects": {
        "customer": {
            "lookups": {"user_id": "shop/users.user_id"},
            "links": {"shop/orders.user_id": "shop/users.user_id"},
        }
    }
}


def judged(project: Project) -> dict[str, bool]:
    job = project.definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={ERASURES}, asset_check_selection={GONE, FINISHED})
    result = subset.execute_in_process(instance=project.instance, raise_on_error=False)
    assert result.success
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def test_what_stopped_and_what_came_back_fails_its_check(project: Project, redaction_key: str) -> None:
    (project.root / "catalog/subjects.yaml").write_text(yaml.safe_dump(SUBJECTS))
    project = replace(project, definitions=build(project.platform().catalog, "local"))
    assert project.sync("users", "orders", checks=False).success
    assert judged(project) == {GONE.name: True, FINISHED.name: True}
    platform = project.platform()
    with platform.warehouse(read_only=True) as warehouse:
        ((user,),) = warehouse.query("select min(user_id) from raw_shop.orders").rows
    request = people.requested(platform, user_id=str(user))
    assert judged(project) == {GONE.name: False, FINISHED.name: False}
    assert metadata(project, ERASURES)["rows_back"] >= 2
    steps.carry_out(platform, request.id, list)
    assert judged(project) == {GONE.name: True, FINISHED.name: True}
    found = metadata(project, ERASURES)
    shown = found["newest_certificates"]
    assert isinstance(shown, dg.TableMetadataValue)
    (told,) = shown.records
    assert (told.data["request"], told.data["rows"]) == (request.id, str(sum(request.rows.values())))
    assert told.data["certificate"] == "closed"
    assert (found["requests"], found["stopped"], found["rows_back"]) == (1, 0, 0)
    users = TableId("shop", "users")
    late = part_key(users, 1, "0123456789abcdef")
    platform.store.put_new(late, b"what a sync that was killed left after the request")
    with platform.warehouse() as warehouse:
        warehouse.connection.execute(  # type: ignore[attr-defined]
            f"insert into raw_shop.users (user_id) values ({user})"
        )
    assert judged(project) == {GONE.name: False, FINISHED.name: True}
    assert metadata(project, ERASURES)["strays_removed"] == 1
    assert late not in set(platform.store.list("shop"))
    assert (
        dg.AssetKey(["raw", "shop", "users"])
        in project.definitions.resolve_asset_graph().get(ERASURES).parent_keys
    )
