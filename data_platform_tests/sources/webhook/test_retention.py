"""A delivery that comes late, or again, does not bring back what is older than its table's rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.sync.retention.apply import ask, carry_out, plan
from data_platform_tests.catalog.documents import mistakes
from data_platform_tests.conftest import REDACTION_KEY
from data_platform_tests.sources.webhook.conftest import Hooks, event

TODAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


def tables(then: str, by: str = "at", **types: str) -> dict[str, Any]:
    rule = {"days": 30, "by": by, "then": then}
    return {
        "events": {"personal": {"payload": "redact"}},
        "orders": {
            "events": "order.*", "record": "data.order", "key": "id", "strategy": "merge", "types": types,
            "personal": {"name": "keep"}, "retention": rule,
        }
    }  # fmt: skip


def order(n: int, day: str, **more: str) -> dict[str, Any]:
    return event(f"e{n}", at=f"{day}T12:00:00Z", name=f"Needle{n}", **more)


@pytest.mark.parametrize("then", ["delete", "anonymise"])
def test_a_late_delivery_brings_nothing_back(hooks: Callable[..., Hooks], then: str) -> None:
    hooked = hooks(tables(then, at="timestamp"))
    hooked.environ[KEY_VARIABLE] = REDACTION_KEY
    hooked.deliver(order(1, "2026-01-05"), order(2, "2026-02-20"))
    hooked.good()
    platform = replace(hooked.platform, clock=lambda: TODAY)
    asked = ask(platform, plan(platform), "the DPO")
    assert asked is not None
    assert carry_out(platform, asked.id, list).next_step is None
    hooked.deliver(order(1, "2026-01-05", more="again"), order(3, "2026-01-06"), order(4, "2026-02-21"))
    hooked.good()
    kept = hooked.rows("select id, name from raw_hooks.orders order by id")
    named = [("2", "Needle2"), ("4", "Needle4")]
    assert kept == (named if then == "delete" else [("1", None), named[0], ("3", None), named[1]])
    assert hooked.waiting() == [], "what is too old is taken all the same, and does not wait for ever"


def test_the_type_of_the_column_must_be_known(hooks: Callable[..., Hooks], tmp_path: Path) -> None:
    said = "\n".join(mistakes(hooks(tables("delete")).root))
    assert "types.at: is missing: declare the type of the column of `partition`, `retention`" in said
    said = "\n".join(mistakes(hooks(tables("delete", at="text")).root))
    assert "types.at: must be one of" in said
