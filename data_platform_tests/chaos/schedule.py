"""Seeded chaos: edits at the source, an operation, a kill or a fault, a clean sync, the comparison.

So many seeds in a row share a world, so that ledgers grow: a seed alone repeats those before it in its
row. What happens is the seed's; what an engine's threads make of it, and instants, are not.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_platform_tests.chaos.faults import Stage, Totals, choose
from data_platform_tests.chaos.forks import ForkServer
from data_platform_tests.chaos.source import Source
from data_platform_tests.chaos.world import DAYS, TABLES, World
from data_platform_tests.servers.faulty import FaultyProxy
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix

ROW = 5
"""Seeds that share a world."""
BUCKET_EVERY = 4
"""Of so many worlds one has its landing store in a bucket."""
DISK_MB = 64


class Chaos:
    """``bucket`` is a server of objects and the proxy before it. ``disk`` is an empty folder."""

    def __init__(
        self,
        forks: ForkServer,
        source: Source,
        disk: Path,
        *,
        small: bool,
        bucket: tuple[ObjectServer, FaultyProxy],
    ) -> None:
        self.forks, self.source, self.disk, self.small = forks, source, disk, small
        self.bucket = bucket
        self.totals = Totals()
        self._stage: Stage | None = None
        self._next = 0

    def run(self, seed: int) -> str | None:
        """What went wrong, with the story before it; None when all is well."""
        first = seed - seed % ROW
        self.totals.schedules += 1
        if seed != self._next or self._stage is None:
            for before in range(first, seed):
                self._schedule(before)
        self._next = seed + 1
        story, problems = self._schedule(seed)
        if not problems:
            return None
        self._next = -1  # what follows starts in a world of its own
        return "\n".join([f"seed {seed}:", *story, "what is wrong:", *problems])

    def _schedule(self, seed: int) -> tuple[list[str], list[str]]:
        rng = random.Random(f"chaos {seed}")
        if seed % ROW == 0 or self._stage is None:
            self._stage = self._begin(seed)
        stage, world = self._stage, self._stage.world
        stage.problems = []
        story = [f"  tables: {', '.join(stage.tables)}; {'a bucket' if stage.store else 'a folder'}"]
        story += [f"  edit: {text}" for text in world.edit(rng)]
        job = self._job(rng, stage)
        fault = choose(rng, bucket=stage.store is not None)
        story.append(f"  {job['operation']} {job['slices'] or ''} and {fault.__name__}")
        story.append(f"    {fault(stage, rng, job)}")
        if rng.random() < 0.5:
            story += [f"  edit: {text}" for text in world.edit(rng)]
        world.age_scratch()
        # a verified sync would mend what the one before lost, and finds the deletes: both ends must be right
        verified = seed % ROW == ROW - 1 or rng.random() < 0.4
        clean = self.forks.run(world.job("verify" if verified else "changes", stage.tables))
        story.append(f"  clean: {'verify' if verified else 'changes'}: {clean.said}")
        verdict = world.compare(tables=stage.tables, deletes=verified)
        verdict.by_hand += [f"{table}: {error}" for table, error in clean.errors.items()]
        if "failed" in clean.said or clean.killed:
            verdict.by_hand.append(f"the clean sync did not end: {clean.said}")
        verdict.by_hand += stage.problems
        self.totals.lost += len(verdict.lost)
        self.totals.duplicated += len(verdict.duplicated)
        self.totals.resurrected += len(verdict.resurrected)
        self.totals.by_hand += len(verdict.by_hand)
        return story, [] if verdict.good else [str(verdict)]

    def _begin(self, seed: int) -> Stage:
        rng = random.Random(f"chaos world {seed - seed % ROW}")
        in_bucket = seed // ROW % BUCKET_EVERY == BUCKET_EVERY - 1
        landing: dict[str, Any] | None = None
        folder = self.disk / "world"
        server, proxy = self.bucket
        if in_bucket:
            landing = server.config(new_prefix(), url=proxy.url, cache=str(folder / "cache"))
        world = World(
            folder,
            self.source.url,
            self.source.seen_url,
            landing=landing,
            environ=ENVIRON,
            connections=rng.choice([1, 2]),
        )
        world.make()
        return Stage(
            self.forks,
            self.source,
            world,
            rng.sample(TABLES, 2),
            self.totals,
            store=proxy if in_bucket else None,
            disk=self.disk if self.small else None,
        )

    def _job(self, rng: random.Random, stage: Stage) -> dict[str, Any]:
        (operation,) = rng.choices(["changes", "slices", "refresh", "verify"], [5, 2, 1, 2])
        slices = [*rng.sample(DAYS, 2), "null"] if operation == "slices" else []
        return stage.world.job(operation, stage.tables, slices)


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """``folder`` (made here) as a disk of its own of a few megabytes; False where this user may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def command(seed: int) -> str:
    """What repeats a seed."""
    return f"python -m data_platform_tests.chaos --seed {seed}"
