"""``anomaly``: alarms that a check left in the warehouse, listed and answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_platform.quality.verdicts import VERDICTS, id_of
from data_platform.sync import open_platform
from data_platform.warehouses.journal import Row, keep

from .conftest import Result

Cli = Callable[..., Result]
AT = datetime(2026, 11, 30, 5, tzinfo=UTC)


def verdict(day: str, status: str) -> Row:
    return {
        "id": id_of("raw_shop.orders", "rows", day), "table_name": "raw_shop.orders", "series": "rows", "day": day,
        "status": status, "observed": 3.0, "expected": 100.0, "lowest": 80.0, "highest": 120.0,
        "reason": "3 is below the usual range", "judged_at": AT,
    }  # fmt: skip


@pytest.fixture
def alarmed(project: Path) -> Path:
    (project / ".data").mkdir()
    with open_platform(project).environment.warehouse.open(project) as warehouse:
        keep(warehouse, VERDICTS, [verdict("2026-11-28", "alarm"), verdict("2026-11-29", "alarm"), verdict("2026-11-27", "ok")])  # fmt: skip
    return project


def test_alarms_are_listed_and_an_answer_is_kept(alarmed: Path, cli: Cli) -> None:
    found = json.loads(cli("anomaly", "list", "--json").out)
    assert [one["day"] for one in found] == ["2026-11-29", "2026-11-28"]
    said = cli("anomaly", "accept", found[0]["id"][:5], "--remark", "a sale")
    assert said.code == 0 and "usual from now on" in said.out
    assert cli("anomaly", "incident", found[1]["id"]).code == 0
    left = json.loads(cli("anomaly", "list", "--json").out)
    assert [(one["day"], one["answer"]) for one in left] == [("2026-11-28", "incident")]
    both = json.loads(cli("anomaly", "list", "--all", "--json").out)
    assert both[0]["answer"] == "accepted" and both[0]["remark"] == "a sale"
    assert "3 is below the usual range" in cli("anomaly", "list").out


def test_an_id_that_is_none_is_refused_with_those_that_are(alarmed: Path, cli: Cli) -> None:
    found = cli("anomaly", "accept", "zzzz")
    assert found.code == 2 and id_of("raw_shop.orders", "rows", "2026-11-29") in found.err


def test_where_nothing_was_judged_there_is_no_alarm(project: Path, cli: Cli) -> None:
    (project / ".data").mkdir()
    with open_platform(project).environment.warehouse.open(project):
        pass
    assert cli("anomaly", "list").out == "There is no alarm.\n"
