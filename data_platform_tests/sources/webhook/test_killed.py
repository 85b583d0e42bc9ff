"""Syncs of an inbox that are killed at any point: no event is lost, none is there twice, and nothing waits in the end."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from data_platform_tests.chaos.forks import fork_server
from data_platform_tests.sources.webhook.conftest import Hooks, event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]
LAST_SHARE = 0.4
"""Of the points, the part at the end of a sync in which most kills fall: parts, manifests, releases and loads are there."""


def test_a_sync_killed_at_any_point_loses_and_doubles_nothing(
    hooks: Callable[..., Hooks], seeds: Callable[[int], Sequence[int]]
) -> None:
    shop = hooks()
    sent: list[dict[str, Any]] = []
    chance = random.Random(5)

    def deliver() -> None:
        """Some new events in two objects of two receivers, and one that was sent before."""
        new = [event(f"e{len(sent) + n:04}", total=len(sent) + n) for n in range(3)]
        sent.extend(new)
        shop.deliver(*new[:2], receiver="r1")
        shop.deliver(new[2], chance.choice(sent), receiver="r2")

    job = {
        "operation": "changes", "source": "hooks", "tables": ["events", "orders"], "root": str(shop.root),
        "environ": shop.environ, "act": "kill",
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, fork_server(Path(folder)) as forks:
        deliver()
        found = forks.run({**job, "watched": True})
        points = found.said["points"]
        assert not found.errors and points > 100
        killed = 0
        for _ in seeds(5):
            deliver()
            first = 0 if chance.random() < 0.3 else int(points * (1 - LAST_SHARE))
            killed += forks.run({**job, "watched": True, "at": chance.randint(max(first, 1), points)}).killed
            if chance.random() < 0.5:  # sometimes more comes before the next sync
                deliver()
                again = forks.run(job)
                assert not again.errors, again
        last = forks.run(job)
        assert not last.errors and killed, last
    shop.good()
    counts = "count(*), count(DISTINCT _event_id)"
    assert shop.rows(f"SELECT {counts} FROM raw_hooks.events") == [(len(sent), len(sent))]
    expected = [(len(sent), len(sent), sum(range(len(sent))))]
    assert shop.rows(f"SELECT {counts}, sum(total) FROM raw_hooks.orders") == expected
    assert shop.waiting() == []
