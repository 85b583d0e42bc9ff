"""Simulated traffic: a bounded run of realistic transactions against the sandbox's shop.

It includes on purpose what makes a sync hard: transactions that stay open and commit
after younger ones, savepoints, rollbacks, deletes that cascade, old rows that
change, rows whose day changes. ``business.py`` defines the transactions; this module
paces them, distributes them over connections, and counts them.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from data_platform.errors import SandboxError

if TYPE_CHECKING:
    import psycopg

CONNECTIONS = 4
HOLD_SECONDS_MAX = 5.0
LATE_SHARE = 0.06
"""Transactions that stay open for a while before they commit or roll back."""
ROLLBACK_SHARE = 0.05
PROGRESS_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class TrafficSummary:
    """The result of a run.

    ``inserted``, ``updated`` and ``deleted`` are rows of committed transactions,
    without those that a delete cascaded to (items, payments). ``late`` transactions
    committed after they had stayed open for a while. ``conflicts`` were rolled back by the
    database because of another transaction. ``kinds`` counts the committed transactions
    by kind.
    """

    seconds: float
    transactions: int
    committed: int
    rolled_back: int
    conflicts: int
    late: int
    savepoints: int
    inserted: int
    updated: int
    deleted: int
    kinds: Mapping[str, int]


def traffic(
    url: str,
    seconds: float = 60.0,
    rate: float = 20.0,
    seed: int = 1,
    on_progress: Callable[[float], None] | None = None,
    *,
    count: int | None = None,
    connections: int = CONNECTIONS,
    hold_seconds_max: float = HOLD_SECONDS_MAX,
) -> TrafficSummary:
    """Run ``rate`` transactions per second for ``seconds``, or until there were ``count`` of them.

    The same seed decides what the n-th transaction does and how long it stays open;
    which rows it affects also depends on the others. No transaction is left open at
    the end. ``on_progress`` gets the elapsed seconds. SandboxError if the database
    cannot be reached or holds no shop.
    """
    run = _Run(seed, rate, time.monotonic() + seconds, count, hold_seconds_max, connections)
    started = time.monotonic()
    sessions: list[psycopg.Connection[tuple[Any, ...]]] = []
    try:
        for _ in range(connections):
            sessions.append(_connect(url))
        _check_shop(sessions[0])
        with ThreadPoolExecutor(connections) as pool:
            workers = [pool.submit(run.work, session) for session in sessions]
            try:
                while wait(workers, timeout=PROGRESS_SECONDS).not_done:
                    if on_progress is not None:
                        on_progress(min(time.monotonic() - started, seconds))
            finally:  # Ctrl-C included
                run.stop.set()
        for worker in workers:
            worker.result()
    finally:
        for session in sessions:
            session.close()
    if on_progress is not None:
        on_progress(seconds)
    return run.summary(time.monotonic() - started)


class _Run:
    """The state that the workers share."""

    def __init__(
        self,
        seed: int,
        rate: float,
        deadline: float,
        count: int | None,
        hold_seconds_max: float,
        connections: int,
    ) -> None:
        self.seed, self.rate, self.deadline, self.count = seed, rate, deadline, count
        self.hold_seconds_max = hold_seconds_max
        self.started = time.monotonic()
        self.stop = threading.Event()
        self.numbers = itertools.count()
        # At least half of the connections go on while the others hold theirs open.
        self.holds = threading.Semaphore(max(1, connections // 2)) if connections > 1 else None
        self.counts: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.lock = threading.Lock()

    def work(self, session: psycopg.Connection[tuple[Any, ...]]) -> None:
        import psycopg

        try:
            while (number := self.next_number()) is not None:
                self.play(session, number)
        except psycopg.OperationalError as error:
            self.stop.set()
            raise SandboxError(
                f"The connection to the sandbox's database was lost during the traffic: {str(error).strip()}"
            ) from error
        except psycopg.Error as error:
            self.stop.set()
            raise SandboxError(
                f"The tables differ from those that the sandbox made, so traffic cannot run: {error.diag.message_primary}."
                " Undo the change, or create the sandbox again: `data-platform sandbox up --fresh`."
            ) from error
        except BaseException:
            self.stop.set()
            raise

    def next_number(self) -> int | None:
        """The number of the next transaction when it is due; None when the run is over."""
        with self.lock:
            number = next(self.numbers)
        if self.count is not None and number >= self.count:
            return None
        due = self.started + number / self.rate
        now = time.monotonic()
        if due >= self.deadline or now >= self.deadline:
            return None
        if self.stop.wait(max(0.0, due - now)):
            return None
        return number

    def play(self, session: psycopg.Connection[tuple[Any, ...]], number: int) -> None:
        import psycopg

        from data_platform.sandbox.business import Act, choose

        random = Random(f"{self.seed}/{number}")
        kind, act = choose(random)
        late, abandons = random.random() < LATE_SHARE, random.random() < ROLLBACK_SHARE
        hold_seconds = random.uniform(0.2, 1.0) * self.hold_seconds_max
        doing = Act(session, random)
        held = False
        outcome = "rolled_back"
        try:
            with session.transaction():
                act(doing)
                if late and self.holds is not None and self.holds.acquire(blocking=False):
                    held = True
                    self.stop.wait(max(0.0, min(hold_seconds, self.deadline - time.monotonic())))
                if abandons:
                    raise psycopg.Rollback
                outcome = "committed"
        except (
            psycopg.errors.DeadlockDetected,
            psycopg.errors.LockNotAvailable,
            psycopg.errors.SerializationFailure,
            psycopg.errors.ForeignKeyViolation,
        ):
            outcome = "conflicts"
        finally:
            if held and self.holds is not None:
                self.holds.release()
        with self.lock:
            self.counts["transactions"] += 1
            self.counts[outcome] += 1
            if outcome == "committed":
                self.kinds[kind] += 1
                self.counts.update(doing.counts)
                self.counts["late"] += held

    def summary(self, seconds: float) -> TrafficSummary:
        counted = {
            name: self.counts[name]
            for name in (
                "transactions", "committed", "rolled_back", "conflicts", "late", "savepoints",
                "inserted", "updated", "deleted",
            )
        }  # fmt: skip
        return TrafficSummary(seconds=seconds, kinds=dict(sorted(self.kinds.items())), **counted)


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    import psycopg

    options = "-c lock_timeout=5s -c statement_timeout=30s -c timezone=UTC"
    try:
        return psycopg.connect(
            url, autocommit=True, connect_timeout=10, application_name="sandbox traffic", options=options
        )
    except psycopg.OperationalError as error:
        raise SandboxError(
            f"The sandbox's database cannot be reached: {str(error).strip()}. Bring it up with `data-platform sandbox up`."
        ) from error


def _check_shop(session: psycopg.Connection[tuple[Any, ...]]) -> None:
    import psycopg

    try:
        row = session.execute(
            "SELECT EXISTS (SELECT FROM users), EXISTS (SELECT FROM products), EXISTS (SELECT FROM orders)"
        ).fetchone()
    except psycopg.errors.UndefinedTable as error:
        raise SandboxError(
            "The database has no tables of the sandbox's shop: traffic is only for the sandbox."
        ) from error
    if row is None or not all(row):
        raise SandboxError(
            "The sandbox's shop is empty; create it again: `data-platform sandbox up --fresh`."
        )
