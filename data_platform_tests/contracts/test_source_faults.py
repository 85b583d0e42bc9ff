"""What an API may do to a sync, over every kind that asks one: fail, stop in the middle, change while it is read.

After each fault what the API holds is in the warehouse, and what a failure says names the source and no secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from data_platform.landing.verify import verify
from data_platform.sources.ga4 import feed as ga4_feed
from data_platform.sources.http.client import HttpClient, Limits
from data_platform.sources.http.waiting import SystemClock
from data_platform.sources.records import fetch
from data_platform_tests.contracts.api_worlds import API_PARAMS, Analytics, serving_world
from data_platform_tests.contracts.worlds import ITEMS, World
from data_platform_tests.sources.http.server import Asked, Reply, Server

SECRET = "s3cr3t"


@dataclass
class Api:
    """``world``'s API. What ``before`` gives for the n-th request since ``watch`` takes the place of the answer."""

    world: World
    server: Server

    def watch(self, before: Callable[[int, Asked], Reply | None]) -> None:
        items: Any = self.world.items
        count = 0

        def answer(asked: Asked) -> Reply:
            nonlocal count
            count += 1
            found = before(count, asked)
            plain: Reply = items.answer(asked)
            return found or plain

        self.server.answer = answer

    def whole(self) -> None:
        self.server.answer = self.world.items.answer  # type: ignore[attr-defined]

    @property
    def retries(self) -> bool:
        """Google Analytics is asked again by the next sync: each server error takes of its quota."""
        return self.world.items.kind != "ga4"


@pytest.fixture(params=API_PARAMS)
def api(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Waits take no time, and an answer that does not come is not waited for long."""
    plain = HttpClient.__init__

    def impatient(self: HttpClient, title: str, limits: Limits | None = None, **more: Any) -> None:
        plain(self, title, replace(limits or Limits(), read_seconds=0.5), **more)

    monkeypatch.setattr(HttpClient, "__init__", impatient)
    monkeypatch.setattr(SystemClock, "wait", lambda *_: None)
    monkeypatch.setattr(fetch, "STEP_RECORDS", 3)
    monkeypatch.setattr(ga4_feed, "now", lambda: Analytics.NOW)
    with serving_world(tmp_path, request.param) as (world, server):
        yield Api(world, server)


def filled(world: World, count: int) -> dict[int, str]:
    for n in range(1, count + 1):
        world.items.put(n, f"first {n}")
    return {n: f"first {n}" for n in range(1, count + 1)}


FAULTS: dict[str, Reply] = {
    "429 with Retry-After": Reply(status=429, headers={"Retry-After": "3"}),
    "429 without": Reply(status=429),
    "500": Reply(status=500),
    "half a body": Reply(b'{"items": [', claimed=900),
    "no answer in time": Reply(b" " * 9),
}


def test_what_passes_by_itself_costs_nothing(api: Api) -> None:
    wanted = filled(api.world, 4)
    api.world.good()
    ended = Event()
    for n, (name, fault) in enumerate(FAULTS.items(), 20):
        fault = replace(fault, hang=ended) if "in time" in name else fault
        api.watch(lambda count, _, fault=fault: fault if count == 1 else None)  # type: ignore[misc]
        api.world.items.put(n, name)
        wanted[n] = name
        if not api.retries:
            error = api.world.sync().error
            assert error is not None and "shop" in str(error), name
        assert api.world.good().manifest is not None, name
        assert api.world.notes() == wanted, name
    ended.set()


def test_what_does_not_pass_is_told_and_nothing_is_lost(api: Api) -> None:
    wanted = filled(api.world, 4)
    api.world.good()
    landed = len(api.world.batches())
    for n, (status, body) in enumerate(
        ((401, b"{}"), (403, b"{}"), (404, b"{}"), (200, b"<html>"), (500, b"")), 20
    ):
        api.watch(lambda *_, reply=Reply(body, status): reply)  # type: ignore[misc]
        api.world.items.put(n, str(status))
        wanted[n] = str(status)
        error = api.world.sync().error
        assert error is not None and "shop" in str(error), status
        assert SECRET not in str(error) and str(error).rstrip().endswith("."), status
        assert len(api.world.batches()) == landed
    api.whole()
    api.world.good()
    assert api.world.notes() == wanted


def test_a_cut_at_any_request_goes_on(api: Api, tmp_path: Path) -> None:
    wanted = filled(api.world, 7)
    for cut in range(1, 40):
        world = World(tmp_path / str(cut), api.world.items).catalog()
        api.watch(lambda count, _, cut=cut: Reply(status=500) if count >= cut else None)  # type: ignore[misc]
        report = world.sync()
        api.whole()
        if report.error is None:
            assert world.notes() == wanted and cut > 3, "the cut is behind the last request"
            return
        before = world.batches()
        world.good()
        assert world.notes() == wanted, cut
        after = world.batches()
        assert after[: len(before)] == before, "what had landed is not read again"
        assert [b.position_before for b in after[1:]] == [a.position_after for a in after[:-1]]
        assert world.items.rereads or sum(b.rows for b in after) == 7, cut
    raise AssertionError("it never ends")


def test_a_page_that_changes_while_it_is_read_is_right_in_the_end(api: Api) -> None:
    wanted = filled(api.world, 7)
    if api.world.items.kind == "rest":  # its pages are not sorted by what changed last
        endpoint = dict(api.world.items.block["endpoint"])  # type: ignore[attr-defined]
        endpoint["incremental"] = {**endpoint["incremental"], "lag": 5}
        api.world.catalog(endpoint=endpoint)

    def changes(count: int, _: Asked) -> None:
        if count == 2:
            api.world.items.put(2, "changed")
            api.world.items.put(20, "new")

    api.watch(changes)
    api.world.sync()
    api.whole()
    api.world.good()
    assert api.world.notes() == wanted | {2: "changed", 20: "new"}
    assert verify(api.world.platform().ledger, ITEMS, datetime.now(UTC)).problems == ()


def test_a_record_that_comes_with_two_pages_is_one_row(api: Api) -> None:
    items: Any = api.world.items
    if items.rereads:
        pytest.skip("a day whose rows come twice is no whole day: its own tests")
    wanted = filled(api.world, 7)
    items.overlap = 2
    api.world.good()
    items.put(3, "second")
    api.world.good()
    assert api.world.notes() == wanted | {3: "second"}


@pytest.mark.parametrize("days", [-40, 40])
def test_a_clock_that_is_wrong_loses_nothing(api: Api, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    wanted = filled(api.world, 4)
    wrong = timedelta(days)
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime.now(UTC) + wrong)
    api.world.good()
    for n in (20, 21):
        api.world.items.put(n, f"later {n}")
        wanted[n] = f"later {n}"
        api.world.good()
        wrong = -wrong
    assert api.world.notes() == wanted
