"""What the graph keeps for the command line: it comes back as it was, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from data_platform.observability.record import (
    POINTS_KEPT,
    Built,
    GraphRecord,
    Model,
    extended,
    from_fields,
    to_fields,
)
from data_platform.observability.trust import Check, Point

from .company import NOW, before, failed, passed

RECORD = GraphRecord(
    at=NOW,
    models=(Model("marts.a", "marts/a", True, "sales", "team:x", ("raw_shop.orders",), ("unique_a",)),),
    checks={
        "marts/a": (
            passed("p", NOW),
            failed("f", NOW, before(days=1), "why", severity="warn"),
            Check("n", "unknown"),
        )
    },
    built={"marts.a": Built(NOW, 1.5), "marts.b": Built(NOW)},
    history={"marts.a": (Point(before(hours=1), 10, None), Point(NOW, None, 2.0))},
)


def test_it_comes_back_from_json_as_it_was() -> None:
    assert from_fields(json.loads(json.dumps(to_fields(RECORD)))) == RECORD


@pytest.mark.parametrize(
    "changes",
    [
        {"at": "yesterday"},
        {"at": "2026-11-30T12:00:00"},
        {"models": [{"relation": "a"}]},
        {"checks": {"a": [["n", "fine", "error", None, None, ""]]}},
        {"checks": {"a": [["n", "passed"]]}},
        {"built": {"a": "now"}},
        {"history": None},
    ],
)
def test_what_is_no_record_is_none(changes: dict[str, Any]) -> None:
    assert from_fields({**to_fields(RECORD), **changes}) is None
    assert from_fields({}) is None


def test_a_history_grows_by_each_load_and_is_bounded() -> None:
    points: tuple[Point, ...] = ()
    for hours in range(POINTS_KEPT + 5, 0, -1):
        points = extended(points, Point(before(hours=hours), hours, None))
    assert len(points) == POINTS_KEPT
    assert points[-1].rows == 1
    assert extended(points, Point(before(hours=1), 99, None)) == points, "the same load again"
    assert extended(points, None) == points
