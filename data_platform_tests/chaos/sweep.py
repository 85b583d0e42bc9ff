"""Kills at each distinct point of an operation, one after the other: the same world goes on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from data_platform_tests.chaos.forks import ForkServer
from data_platform_tests.chaos.world import DAYS, TABLES, World

OPERATIONS = ("changes", "slices", "refresh", "verify")


def sites(forks: ForkServer, job: dict[str, Any]) -> list[str]:
    """The distinct points that a run of ``job`` passes, in the order of their first time."""
    outcome = forks.run({**job, "watched": True, "sites": True})
    assert not outcome.errors and not outcome.said.get("failed"), outcome.said
    return list(outcome.said["sites"])


class Sweep:
    """Between a kill and the next sync the source changes; every other time that one is verified."""

    def __init__(
        self, forks: ForkServer, world: World, rng: random.Random, tables: Sequence[str] = TABLES
    ) -> None:
        self.forks, self.world, self.rng, self.tables = forks, world, rng, tables
        self.killed = 0
        self.kinds: list[str] = []
        self._runs = 0

    def find(self, operation: str) -> list[str]:
        """The points of ``operation`` in a world that has synced before."""
        self.forks.run(self.world.job("changes", self.tables))
        self.world.edit(self.rng)
        return sites(self.forks, self._job(operation))

    def kill(self, operation: str, site: int) -> str | None:
        """Kill at the ``site``-th distinct point, run again and compare; what is wrong, or None."""
        self._runs += 1
        self.world.edit(self.rng)
        outcome = self.forks.run({**self._job(operation), "at_site": site, "watched": True})
        where = f"{operation} killed at {outcome.point}"
        if outcome.killed:
            self.killed += 1
            self.kinds.append((outcome.point or "").partition(":")[0])
        elif outcome.errors or "failed" in outcome.said:
            return f"{where}, not reached: {outcome.said}"
        self.world.edit(self.rng)
        self.world.age_scratch()
        verified = self._runs % 2 == 0
        clean = self.forks.run(self.world.job("verify" if verified else "changes", self.tables))
        if clean.killed or clean.errors or "failed" in clean.said:
            return f"{where}: the next sync failed: {clean.said}"
        verdict = self.world.compare(tables=self.tables, deletes=verified)
        return None if verdict.good else f"{where}: {verdict}"

    def _job(self, operation: str) -> dict[str, Any]:
        slices = [*self.rng.sample(DAYS, 2), "null"] if operation == "slices" else []
        return self.world.job(operation, self.tables, slices)
