"""Everything at once: syncs, models, backups and erasures in processes of their own, killed at random; the sources are written meanwhile."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from data_platform.sync.erasing.book import Book
from data_platform_tests.chaos.forks import ForkServer, Outcome
from data_platform_tests.company.oracle import Person
from data_platform_tests.company.world import World

POINTS_MAX = 6_000
SECONDS_MAX = 6.0


@dataclass
class Turmoil:
    """``killed`` and ``ended`` count the processes; ``errors`` are what those said that ended by themselves. ``models`` is
    the act that makes the models; ``more`` is what every process gets to know."""

    world: World
    forks: ForkServer
    rng: random.Random
    models: str
    more: Mapping[str, Any]
    killed: int = 0
    ended: int = 0
    written: int = 0
    errors: list[str] = field(default_factory=list)

    def round(self, asking: list[Person]) -> None:
        """Those of ``asking`` who were not asked for yet are asked for, while all the rest goes on."""
        acts = [("erase", {"typed": one.typed}) for one in asking]
        acts += [(name, {}) for name in self.rng.sample(("sync", self.models, "back_up", "copy"), 3)] + [
            ("go_on", {})
        ]
        stop = threading.Event()
        writer = threading.Thread(target=self._write, args=(stop, random.Random(self.rng.random())))
        writer.start()
        try:
            threads = [
                threading.Thread(target=self._one, args=(act, more, self._end())) for act, more in acts
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            stop.set()
            writer.join()

    def asked(self) -> int:
        return len(Book(self.world.platform()).read().requests)

    def _end(self) -> tuple[str, float]:
        """How a process ends: by itself, at its n-th touch of something outside, or after some seconds."""
        kind = self.rng.choice(("itself", "point", "seconds", "seconds"))
        return kind, self.rng.random()

    def _one(self, act: str, more: dict[str, str], end: tuple[str, float]) -> None:
        kind, share = end
        job = {
            "root": str(self.world.root),
            "act": "kill",
            "operation": f"data_platform_tests.company.acts:{act}",
            "watched": kind == "point",
            **({"at": 1 + int(share * share * POINTS_MAX)} if kind == "point" else {}),
            **self.more,
            **more,
        }
        running = self.forks.start(job)
        if kind == "seconds":
            killer = threading.Timer(share * SECONDS_MAX, running.kill)
            killer.start()
            outcome = running.wait()
            killer.cancel()
        else:
            outcome = running.wait()
        self._note(act, outcome)

    def _note(self, act: str, outcome: Outcome) -> None:
        if outcome.killed:
            self.killed += 1
            return
        self.ended += 1
        failed = filter(None, [outcome.said.get("failed")])
        self.errors += [f"{act}: {error}" for error in (*outcome.errors.values(), *failed)]

    def _write(self, stop: threading.Event, rng: random.Random) -> None:
        """The shop goes on, for those who are erased too: its rows change, and come again."""
        with psycopg.connect(self.world.url, autocommit=True) as connection:
            connection.execute("set lock_timeout = '300ms'")
            while not stop.is_set():
                n, person = 10**6 + rng.randrange(10**9), rng.choice(self.world.people.every)
                statements = [
                    f"update users set name = name || '.' where user_id % 97 = {n % 97}",
                    f"update orders set note = note || '.' where order_id % 97 = {n % 97}",
                    f"update items set engraving = engraving || '.' where item_id % 97 = {n % 97}",
                    f"update visits set payload = payload || '{{\"page\": {n % 97}}}' where visit_id % 97 = {n % 97}",
                    f"insert into orders values ({n}, {person.id}, 'again {person.mark}', date '2026-01-03') on conflict do nothing",
                    f"insert into visits select {n}, payload from visits where payload->>'user' = '{person.id}' limit 1 on conflict do nothing",
                ]
                with suppress(psycopg.errors.LockNotAvailable):
                    connection.execute(rng.choice(statements).encode())
                    self.written += 1
                payments, desk = self.world.services.payments, self.world.services.desk
                rng.choice((payments.rename, payments.pay, desk.rename, desk.ask))(person)
                time.sleep(0.05)
