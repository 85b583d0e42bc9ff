"""What is done to a running sync. Each fault starts the job, harms it, waits for its end, and says what
it did; whether anything came of it is the comparison's to tell.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from data_platform.sources.postgres.settings import APPLICATION_NAME
from data_platform_tests.chaos.forks import ForkServer, Outcome
from data_platform_tests.chaos.source import Source, lock_holder
from data_platform_tests.chaos.world import KEEPING, World
from data_platform_tests.servers.faulty import FaultyProxy

Job = dict[str, Any]

POINTS_MAX, SITES_MAX = 900, 260
"""About as many as a sync of two tables has; a number beyond its end kills nothing and is counted so."""
FAILOVER_EVERY = 40
"""A new standby takes seconds."""


@dataclass
class Totals:
    schedules: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    unreached: int = 0
    """Kills at a point that the sync did not come to, and limits that it did not touch."""
    lost: int = 0
    duplicated: int = 0
    resurrected: int = 0
    by_hand: int = 0

    def line(self) -> str:
        def listed(counts: Counter[str]) -> str:
            return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))

        return (
            f"chaos: {self.schedules} schedules; {self.kills.total()} kills ({listed(self.kills)});"
            f" {self.faults.total()} faults ({listed(self.faults)}); {self.unreached} met nothing;"
            f" {self.lost} lost, {self.duplicated} duplicated, {self.resurrected} resurrected,"
            f" {self.by_hand} left by hand"
        )


@dataclass
class Stage:
    """What a fault may act on; ``store`` is the proxy before the bucket, where the world has one, and
    ``disk`` the small disk that the world is on, where this user may mount one."""

    forks: ForkServer
    source: Source
    world: World
    tables: Sequence[str]
    totals: Totals
    store: FaultyProxy | None = None
    disk: Path | None = None
    problems: list[str] = field(default_factory=list)
    """What the fault itself showed, besides the state that it left."""

    def killed(self, outcome: Outcome, kind: str) -> str:
        if not outcome.killed:
            self.unharmed(outcome)
            return "met nothing"
        self.totals.kills[kind] += 1
        return f"killed ({outcome.point or kind})"

    def failed(self, outcome: Outcome, kind: str) -> str:
        """A fault that was to be told readably, table by table."""
        if outcome.killed:
            self.problems.append(f"{kind} ended the process by signal {outcome.signal}")
        if crash := outcome.said.get("failed"):
            self.problems.append(f"{kind} came as a crash: {crash}")
        self.totals.faults[kind] += 1
        return f"{kind}: {outcome.errors or 'no table failed'}"

    def unharmed(self, outcome: Outcome) -> None:
        self.totals.unreached += 1
        if outcome.errors or outcome.said.get("failed"):
            self.problems.append(f"nothing was done to it, and yet: {outcome.said}")


Fault = Callable[[Stage, random.Random, Job], str]


# ---- killed


def kill_at_a_point(stage: Stage, rng: random.Random, job: Job) -> str:
    where = (
        {"at": rng.randint(1, POINTS_MAX)} if rng.random() < 0.5 else {"at_site": rng.randint(1, SITES_MAX)}
    )
    outcome = stage.forks.run({**job, **where, "watched": True})
    return stage.killed(outcome, (outcome.point or "").partition(":")[0])


def kill_in_a_write(stage: Stage, rng: random.Random, job: Job) -> str:
    """In the middle of a write to whatever file first grows beyond so many bytes: an engine's too."""
    limit = rng.choice([rng.randint(1, 6000), rng.randint(6000, 400_000), rng.randint(400_000, 4_000_000)])
    outcome = stage.forks.run({**job, "file_bytes": limit})
    return stage.killed(outcome, "write")


def kill_at_an_instant(stage: Stage, rng: random.Random, job: Job) -> str:
    running = stage.forks.start(job)
    time.sleep(rng.uniform(0, 0.8))
    running.kill()
    return stage.killed(running.wait(), "instant")


# ---- the source


def cut_the_line(stage: Stage, rng: random.Random, job: Job) -> str:
    proxy = stage.source.proxy
    before, proxy.cut_after = proxy.cuts, rng.randint(1, 40_000)
    outcome = stage.forks.run(job)
    proxy.cut_after = None
    if proxy.cuts == before:
        stage.unharmed(outcome)
        return "met nothing"
    return stage.failed(outcome, "line cut")


@contextmanager
def stopped(stage: Stage, rng: random.Random, job: Job) -> Iterator[dict[str, Outcome]]:
    """The block runs while the sync stands still at some point; its outcome is there afterwards."""
    running = stage.forks.start({**job, "act": "stop", "at": rng.randint(1, POINTS_MAX), "watched": True})
    found: dict[str, Outcome] = {}
    reached = running.until("point")
    yield found
    if reached:
        running.go_on()
    found["is"] = running.wait()


def restart_the_source(stage: Stage, rng: random.Random, job: Job) -> str:
    with stopped(stage, rng, job) as outcome:
        stage.source.restart(crash=rng.random() < 0.5)
    return stage.failed(outcome["is"], "source restart")


def end_its_sessions(stage: Stage, rng: random.Random, job: Job) -> str:
    with stopped(stage, rng, job) as outcome:
        stage.world.execute(
            f"select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{APPLICATION_NAME}'"
        )
    return stage.failed(outcome["is"], "session ended")


def cancel_its_statements(stage: Stage, rng: random.Random, job: Job) -> str:
    """As a statement time-out does, again and again while it runs."""
    done = threading.Event()

    def cancel() -> None:
        statement = (
            "select count(pg_cancel_backend(pid)) from pg_stat_activity"
            f" where application_name = '{APPLICATION_NAME}' and state = 'active'"
        )
        with psycopg.connect(stage.world.url, autocommit=True) as connection:
            while not done.wait(0.001):
                connection.execute(statement)

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        outcome = stage.forks.run(job)
    finally:
        done.set()
        thread.join()
    return stage.failed(outcome, "statement cancelled")


def lock_a_table(stage: Stage, rng: random.Random, job: Job) -> str:
    table = rng.choice(job["tables"])
    with lock_holder(stage.world.url, table):
        outcome = stage.forks.run(job)
    if set(outcome.errors) - {table}:
        stage.problems.append(f"a lock on {table} kept others from being read: {outcome.errors}")
    return stage.failed(outcome, "lock time-out")


def edit_in_between(stage: Stage, rng: random.Random, job: Job) -> str:
    with stopped(stage, rng, job) as outcome:
        stage.world.edit(rng)
    if outcome["is"].errors:
        stage.problems.append(f"edits in between made it fail: {outcome['is'].errors}")
    return stage.failed(outcome["is"], "edit in mid-sync")


def fail_over(stage: Stage, rng: random.Random, job: Job) -> str:
    """The standby lacks the last writes, which a sync has read; during it, the primary is lost."""
    standby = stage.source.attach_standby()
    stage.source.detach(standby)
    stage.world.edit(rng)
    before = stage.forks.run(stage.world.job("changes", stage.tables))
    stage.world.edit(rng)
    with stopped(stage, rng, job) as outcome:
        stage.source.fail_over(standby)
        stage.world.url, stage.world.seen_url = stage.source.url, stage.source.seen_url
    for _ in range(3):
        stage.world.edit(rng, KEEPING)
    # not verified: it is the new timeline that must tell
    after = stage.forks.run(stage.world.job("changes", stage.tables))
    if before.errors or after.errors:
        stage.problems.append(f"around the failover: {before.errors} {after.errors}")
    if not (verdict := stage.world.compare(tables=stage.tables)).good:
        stage.problems.append(f"after the failover, before anything is verified: {verdict}")
    return stage.failed(outcome["is"], "failover")


# ---- the disk


def fill_the_files(stage: Stage, rng: random.Random, job: Job) -> str:
    limit = rng.choice([rng.randint(1, 6000), rng.randint(6000, 400_000), rng.randint(400_000, 2_000_000)])
    return stage.failed(stage.forks.run({**job, "file_bytes": limit, "full": True}), "file too large")


def fill_the_disk(stage: Stage, rng: random.Random, job: Job) -> str:
    if stage.disk is None:
        return fill_the_files(stage, rng, job)
    with full_disk(stage.disk, free_bytes=rng.choice([0, rng.randint(0, 60_000), rng.randint(0, 1_500_000)])):
        outcome = stage.forks.run(job)
    return stage.failed(outcome, "disk full")


@contextmanager
def full_disk(disk: Path, *, free_bytes: int) -> Iterator[None]:
    """``disk`` with only so much left, until somebody frees some."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 65536):
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - free_bytes))
    try:
        yield
    finally:
        filler.unlink()


# ---- the store in a bucket


def break_the_store(stage: Stage, rng: random.Random, job: Job) -> str:
    assert stage.store is not None
    what = rng.choice(["500", "503", "reset", "time-out", "short", "lose answer", "flip", "flip answer"])
    methods = {
        "short": ["GET"],
        "flip answer": ["GET"],
        "flip": ["PUT"],
        "lose answer": ["PUT", "PUT", "DELETE"],
    }
    method = rng.choice(methods.get(what, ["GET", "PUT", "PUT"]))
    skipped = rng.randint(0, 12)
    seen = Counter[str]()

    def later(path: str) -> bool:
        seen[path and "any"] += 1
        return seen["any"] > skipped

    before = len(stage.store.broken())
    stage.store.breaks(what, method, rng.choice([1, 1, 2, float("inf")]), later)
    outcome = stage.forks.run(job)
    stage.store.faults.clear()
    if len(stage.store.broken()) == before:
        stage.unharmed(outcome)
        return "met nothing"
    return stage.failed(outcome, f"store: {what}")


# ---- other hosts, other clocks


def two_hosts(stage: Stage, rng: random.Random, job: Job) -> str:
    """The same tables at once, by another process, with the same warehouse or its own; perhaps one dies."""
    own, dies = rng.random() < 0.5, rng.random() < 0.4
    root = stage.world.another_host() if own else stage.world.root
    killing = {"at": rng.randint(1, POINTS_MAX), "watched": True} if dies else {}
    first, second = stage.forks.start(job), stage.forks.start({**job, "root": str(root), **killing})
    outcomes = [first.wait(), second.wait()]
    if outcomes[1].killed:
        stage.totals.kills["host"] += 1
    for outcome in outcomes:
        if not outcome.killed and (outcome.errors or outcome.said.get("failed")):
            stage.problems.append(f"two hosts could not share a ledger: {outcome.said}")
    if own:
        clean = stage.forks.run({**stage.world.job("verify", stage.tables), "root": str(root)})
        if clean.errors or not (verdict := stage.world.compare(root, stage.tables)).good:
            stage.problems.append(f"the second host's warehouse: {clean.errors or verdict}")
    stage.totals.faults["two hosts" + (", two warehouses" if own else "")] += 1
    return f"two hosts, {'each its warehouse' if own else 'one warehouse'}"


def jump_the_clock(stage: Stage, rng: random.Random, job: Job) -> str:
    """Ours alone: the source's is the machine's."""
    seconds = rng.choice([-1, 1]) * rng.choice([1, 3600, 86_400, 400 * 86_400, 30 * 365 * 86_400])
    outcome = stage.forks.run({**job, "clock_shift_seconds": seconds})
    if outcome.errors:
        stage.problems.append(f"a clock {seconds} s off made it fail: {outcome.errors}")
    return stage.failed(outcome, "clock jump")


KILLS: tuple[Fault, ...] = (
    kill_at_a_point,
    kill_at_a_point,
    kill_at_a_point,
    kill_in_a_write,
    kill_at_an_instant,
)
FAULTS: tuple[Fault, ...] = (
    *(cut_the_line, cut_the_line, restart_the_source, end_its_sessions, cancel_its_statements, lock_a_table),
    *(edit_in_between, fill_the_files, fill_the_disk, fill_the_disk, two_hosts, two_hosts, jump_the_clock),
)


def choose(rng: random.Random, *, bucket: bool) -> Fault:
    if rng.randrange(FAILOVER_EVERY) == 0:
        return fail_over
    if bucket and rng.random() < 0.5:
        return break_the_store
    return rng.choice(KILLS if rng.random() < 0.5 else FAULTS)
