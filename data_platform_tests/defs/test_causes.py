"""Which problem explains which, by the graph; and what has fallen silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from data_platform.alerts.problem import Problem
from data_platform.defs.causes import explained
from data_platform.defs.silence import Awake, silent_daemons, silent_sensors
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_alerts import a_tick_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def spec(name: str, *deps: str, **options: object) -> dg.AssetSpec:
    return dg.AssetSpec(
        dg.AssetKey.from_user_string(name), deps=[dg.AssetKey.from_user_string(d) for d in deps], **options
    )  # type: ignore[arg-type]


GRAPH = dg.Definitions(
    assets=[
        spec("raw/orders", owners=["team:shop"], tags={"tier": "1"}),
        spec("raw/users"),
        spec("staging/orders", "raw/orders"),
        spec("marts/facts", "staging/orders", "raw/users"),
        spec("marts/daily", "marts/facts"),
        spec("marts/other", "raw/users"),
    ]
)


def problem(kind: str, asset: str) -> Problem:
    return Problem(kind, asset, asset, "", {}, NOON, assets=(asset,))


def causes(*found: Problem) -> dict[str, set[str]]:
    graph = GRAPH.get_repository_def().asset_graph
    return {one.key: set(one.causes) for one in explained(found, graph)}


def test_what_is_downstream_of_a_failure_follows_from_it() -> None:
    found = causes(
        problem("run", "raw/orders"),
        problem("freshness", "raw/orders"),
        problem("freshness", "marts/facts"),
        problem("freshness", "marts/daily"),
        problem("freshness", "marts/other"),
        problem("run", "marts/daily"),
    )
    assert found == {
        "run:raw/orders": set(),
        "freshness:raw/orders": {"run:raw/orders"},
        "freshness:marts/facts": {"run:raw/orders", "freshness:raw/orders"},
        "freshness:marts/daily": {"freshness:marts/facts", "run:marts/daily"},
        "freshness:marts/other": set(),
        "run:marts/daily": {"run:raw/orders"},
    }


def test_checks_follow_from_checks_and_from_nothing_else() -> None:
    found = causes(
        problem("check", "raw/users"),
        problem("check", "marts/facts"),
        problem("anomaly", "marts/daily"),
        problem("freshness", "raw/users"),
        problem("run", "raw/orders"),
    )
    assert found["check:marts/facts"] == {"check:raw/users"}
    assert found["anomaly:marts/daily"] == {"check:marts/facts"}
    assert found["freshness:raw/users"] == found["run:raw/orders"] == found["check:raw/users"] == set()


def test_the_owner_and_the_tags_are_those_of_the_asset() -> None:
    graph = GRAPH.get_repository_def().asset_graph
    orders, gone, sensor = explained(
        [problem("run", "raw/orders"), problem("run", "raw/gone"), Problem("sensor", "s", "s", "", {}, NOON)],
        graph,
    )
    assert (orders.owner, dict(orders.tags)) == ("team:shop", {"tier": "1"})
    assert (gone.owner, gone.causes, sensor.owner) == ("", (), "")


def test_a_wide_and_deep_graph_is_walked_once() -> None:
    """A thousand layers of two assets, every one stale: each follows from the two above it."""
    layers = [
        [
            spec(f"l{depth}/{side}", *([f"l{depth - 1}/a", f"l{depth - 1}/b"] if depth else []))
            for side in "ab"
        ]
        for depth in range(300)
    ]
    graph = dg.Definitions(assets=[one for layer in layers for one in layer]).get_repository_def().asset_graph
    found = [problem("freshness", f"l{depth}/{side}") for depth in range(300) for side in "ab"]
    by_key = {one.key: set(one.causes) for one in explained(found, graph)}
    assert by_key["freshness:l299/a"] == {"freshness:l298/a", "freshness:l298/b"}
    ends = explained([problem("run", "l0/a"), problem("freshness", "l299/b")], graph)
    assert ends[1].causes == ("run:l0/a",)


def test_after_a_pause_the_others_get_their_time() -> None:
    awake = Awake()
    began = awake.since(NOON)
    assert awake.since(NOON + timedelta(minutes=1)) == began
    later = NOON + timedelta(hours=1)
    assert awake.since(later) == later


def test_a_part_of_the_daemon_that_stopped_is_a_problem() -> None:
    with dg.instance_for_test() as instance:
        required = instance.get_required_daemon_types()
        for number, name in enumerate(required):
            at = NOON - timedelta(minutes=11 if number == 0 else 0)
            instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), name, "id", []))
        assert list(silent_daemons(instance, NOON - timedelta(minutes=1), NOON)) == []
        [found] = silent_daemons(instance, NOON - timedelta(hours=1), NOON)
        assert found.key == f"daemon:{required[0].lower()} daemon" and found.since == NOON - timedelta(
            minutes=11
        )


@pytest.mark.slow
def test_a_sensor_that_is_on_and_does_not_tick_is_a_problem(project: Project) -> None:
    a_tick_of(project, "shop_probe", SerializableErrorInfo("gone", [], "SourceUnreachable"))
    now, began = datetime.now(UTC), datetime.now(UTC) - timedelta(days=1)
    intervals = {"shop_probe": 120}

    def silent(minutes: float, since: datetime = began, own: str = "alerts") -> list[str]:
        later = now + timedelta(minutes=minutes)
        return [one.key for one in silent_sensors(project.instance, intervals, own, since, later)]

    assert silent(19) == [] and silent(21) == ["sensor:shop_probe"]
    assert silent(21, own="shop_probe") == []
    assert silent(21, since=now + timedelta(minutes=20)) == []
