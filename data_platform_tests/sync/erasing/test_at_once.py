"""Requests that are killed, and requests beside syncs and beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from data_platform.errors import BatchConflict
from data_platform.landing.keys import part_key
from data_platform.landing.verify import verify
from data_platform.privacy.erasure.requests import STEPS
from data_platform.sync import sync_changes
from data_platform.sync.backup import make_backup
from data_platform.sync.erasing import door, landing, steps
from data_platform.sync.erasing.book import Book
from data_platform.tables import TableId
from data_platform_tests.sync.conftest import Project
from data_platform_tests.sync.erasing.people import ORDERS, USERS, VISITS, WITHOUT, ask, erase, totals


@pytest.mark.parametrize("step", STEPS)
def test_a_request_that_is_killed_goes_on(
    shop: Project, step: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if step not in ("landing", "warehouse") and not request.config.getoption("--seeds"):
        pytest.skip("on demand: --seeds N")
    platform = shop.platform()
    make_backup(platform)
    asked = ask(platform)

    def killed(work: Any) -> Any:
        act(work)  # all of it was done, and nothing of it was written down
        raise KeyboardInterrupt

    act = steps._STEPS[step]
    monkeypatch.setitem(steps._STEPS, step, killed)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        steps.carry_out(platform, asked.id, list)
    assert Book(platform).request(asked.id).next_step == step
    monkeypatch.setitem(steps._STEPS, step, act)  # type: ignore[arg-type]
    done = steps.carry_out(shop.platform(), asked.id, list)
    assert done.next_step is None
    assert done.done["landing"]["shop/orders"]["rows"] == 10
    assert totals(shop) == WITHOUT


def test_a_sync_that_began_before_the_request_lands_nothing_of_it(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.execute("update users set name = 'Needle7 again' where user_id = 7")
    platform = shop.platform()
    checked = door.Door.check

    ids = []

    def asked_meanwhile(self: door.Door, table: TableId) -> None:
        monkeypatch.setattr(door.Door, "check", checked)
        ids.append(ask(shop.platform()).id)
        done = steps.carry_out(shop.platform(), ids[0], list)  # its parts lie there, and no batch names them
        assert done.next_step is None
        checked(self, table)

    monkeypatch.setattr(door.Door, "check", asked_meanwhile)
    (report,) = sync_changes(platform, "shop", ["users"])
    assert report.error is None, "it was tried again"
    assert steps.carry_out(shop.platform(), ids[0], list).next_step is None
    assert totals(shop) == WITHOUT


def test_steps_of_a_request_that_was_known_refuse_no_sync(shop: Project) -> None:
    platform = shop.platform()
    request = ask(platform)
    known = door.door_of(platform)
    steps.carry_out(platform, request.id, list)
    known.check(USERS)
    ask(platform, 8)
    with pytest.raises(BatchConflict, match="is being erased"):
        known.check(USERS)


def test_two_people_are_erased_at_once(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts that one request rewrites are no longer those that stand, for another request was faster."""
    platform = shop.platform()
    first, second = ask(platform, 7), ask(platform, 8)
    rewritten = landing._rewritten

    def meanwhile(*args: Any) -> Iterator[Any]:
        monkeypatch.setattr(landing, "_rewritten", rewritten)
        made = list(rewritten(*args))
        assert steps.carry_out(shop.platform(), second.id, list).next_step is None
        yield from made

    monkeypatch.setattr(landing, "_rewritten", meanwhile)
    assert steps.carry_out(platform, first.id, list).next_step is None
    assert totals(shop) == {"users": 38, "orders": 380, "visits": 190}


def test_parts_that_a_killed_sync_left_go(shop: Project) -> None:
    """Nobody names them: those of a batch that is taken already, and those of the next one, which a living sync might still name."""
    platform = shop.platform()
    make_backup(platform)
    head = platform.ledger.head(USERS)
    assert head is not None
    strays = [part_key(USERS, head.sequence + ahead, "0123456789abcdef", 0) for ahead in (1, 2)]
    for stray in strays:
        platform.store.put_new(stray, platform.store.read(head.parts[0].key))
    assert erase(shop).next_step is None
    assert not set(strays) & set(platform.store.list("shop"))
    for table in (USERS, ORDERS, VISITS):
        assert verify(platform.ledger, table, platform.clock(), sample=1).problems == ()
    shop.good(verify=True)
    assert totals(shop) == WITHOUT
