"""An event is recorded before and after the act, found again, and holds no personal value."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.audit.event import ACTIONS, Event, checked_text, looks_personal
from data_platform.audit.trail import Filter, Trail
from data_platform.chained.log import Log
from data_platform.errors import ConfigurationError, StoreUnreachable
from data_platform.stores.local import LocalStore
from data_platform_tests.chained.logs import SIGNER, Clock, CountingStore

SUBJECT = "0123456789abcdef0123456789abcdef"
NEEDLES = (
    "jane.roe@example.com", "Jane Roe", "+49 170 1234567", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "o'hara",
    "12 Main Street", "jane\nroe", "<jane>", "Jürgen", "=cmd|calc", "", " jane",
)  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trail(tmp_path: Path, clock: Clock) -> Trail:
    return Trail(Log(LocalStore(tmp_path), "audit", SIGNER, clock), "jane@host")


def events(trail: Trail, **wanted: Any) -> list[dict[str, Any]]:
    problems: list[str] = []
    found = [dict(one.body) for one in trail.search(Filter(**wanted), problems)]
    assert problems == []
    return found


def stored(tmp_path: Path) -> bytes:
    return b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("needle", NEEDLES)
@pytest.mark.parametrize(
    "place", ["objects", "subjects", "details", "name", "list", "who", "action", "outcome"]
)
def test_no_field_takes_a_personal_value(needle: str, place: str, trail: Trail, tmp_path: Path) -> None:
    if place == "who":
        if needle == NEEDLES[0]:
            pytest.skip("who acts may be named by an address")
        trail = Trail(trail.log, needle)
    event = {
        "objects": Event("query", objects=("shop/orders", needle)),
        "subjects": Event("reveal", subjects=(needle,)),
        "details": Event("query", details={"sha256": needle}),
        "name": Event("query", details={needle: 1}),
        "list": Event("query", details={"archives": ("primary", needle)}),
        "action": Event(needle),
        "outcome": Event("query", outcome=needle),  # type: ignore[arg-type]
    }.get(place, Event("query"))
    with pytest.raises(ValueError, match="an event of the audit trail holds no other text"):
        trail.record(event)
    if place not in ("who", "outcome"):
        with pytest.raises(ValueError, match="an event of the audit trail"), trail.audited(event):
            raise AssertionError("it was done all the same")
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize(
    "text", ["for jane@example.com", "call +49 170 1234567", "card 4111-1111-1111-1111", "account 12345678", "ssn 078-05-1120",
    "", "x" * 301, "two\nlines", "=1+1", "'; drop"]
)  # fmt: skip
def test_a_purpose_that_looks_personal_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        checked_text(text, "The purpose")


@pytest.mark.parametrize(
    "text", ["REQ-2026-0117", "support ticket 4711", "audit of 2026-11-30", "request 12 (GDPR Art. 15)"]
)
def test_a_purpose_names_a_request(text: str) -> None:
    assert checked_text(text, "The purpose") == text


@given(st.text(alphabet="0123456789 -./()+", min_size=0, max_size=40))
def test_long_numbers_look_personal(text: str) -> None:
    digits = "".join(filter(str.isdigit, text))
    assert not (looks_personal(text) and len(digits) < 7)
    assert looks_personal(f"x{''.join(digits[:1] or '1') * 7}")


def test_an_act_is_recorded_before_and_after(trail: Trail) -> None:
    with trail.audited(Event("reveal", ("shop/users",), "REQ-1", subjects=(SUBJECT,))) as act:
        (begun,) = events(trail)
        act.details["rows"] = 3
    done, before = events(trail)
    assert before == begun
    assert (begun["outcome"], done["outcome"], done["details"]) == ("started", "done", {"rows": 3})
    assert begun["id"] == done["id"] and done["subjects"] == [SUBJECT] and done["who"] == "jane@host"


def test_what_failed_is_recorded_without_its_words(trail: Trail, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="jane@example"),
        trail.audited(Event("erase", subjects=(SUBJECT,))),
    ):
        raise RuntimeError("no row of jane@example.com")
    assert events(trail)[0]["outcome"] == "failed" and events(trail)[0]["details"] == {
        "error": "RuntimeError"
    }
    assert b"jane@example" not in stored(tmp_path)


@pytest.mark.parametrize("after", [False, True])
def test_nothing_is_done_that_was_not_recorded(tmp_path: Path, after: bool) -> None:
    """The store fails once at each call: either it was recorded first, or it is not done."""
    done_unrecorded = refused = 0
    for call in range(1, 8):
        folder = tmp_path / str(call)
        trail = Trail(Log(CountingStore(LocalStore(folder), call, after=after), "audit", SIGNER), "jane")
        done = False
        try:
            with trail.audited(Event("reveal", ("shop/users",))):
                done = True
        except StoreUnreachable:
            refused += not done
        found = events(Trail(Log(LocalStore(folder), "audit", SIGNER), "jane"))
        outcomes = [one["outcome"] for one in found]
        assert not done or "started" in outcomes
        done_unrecorded += done and "done" not in outcomes
    assert refused >= 2 and done_unrecorded <= 1


def test_search_by_action_object_actor_subject_time_and_outcome(trail: Trail, clock: Clock) -> None:
    began = clock()
    for number, action in enumerate(ACTIONS):
        clock.forward()
        trail.record(
            Event(action, (f"shop/t{number}", "backup-1"), outcome="failed" if number == 2 else "done")
        )
    other = Trail(trail.log, "agent:reports")
    clock.forward()
    other.record(Event("reveal", ("crm/contacts",), subjects=(SUBJECT,)), Event("query", ("shops/t1",)))
    total = len(ACTIONS) + 2
    assert [one["action"] for one in events(trail)] == ["query", "reveal", *reversed(ACTIONS)]
    assert len(events(trail, action="reveal")) == 2
    assert len(events(trail, object_="shop")) == len(ACTIONS) and len(events(trail, object_="shop/t1")) == 1
    assert len(events(trail, who="agent:reports")) == 2
    assert [one["action"] for one in events(trail, subject=SUBJECT)] == ["reveal"]
    assert [one["action"] for one in events(trail, outcome="failed")] == [list(ACTIONS)[2]]
    day = timedelta(hours=1)
    assert len(events(trail, since=began + 3 * day)) == total - 2
    assert [one["action"] for one in events(trail, since=began + 3 * day, until=began + 5 * day)] == list(
        ACTIONS
    )[2:4][::-1]
    assert events(trail, object_="shop/t") == []
    oldest = list(trail.search(Filter(), [], newest_first=False))
    assert [one.number for one in oldest] == list(range(1, total + 1))


def test_a_search_of_a_damaged_trail_says_so_and_shows_the_rest(trail: Trail) -> None:
    for number in range(6):
        trail.record(Event("query", (f"shop/t{number}",)))
    path = trail.log.store.folder / trail.log.key(3)
    path.write_bytes(path.read_bytes().replace(b"shop/t2", b"shop/t9"))
    for newest_first in (True, False):
        problems: list[str] = []
        found = [one.body["objects"] for one in trail.search(Filter(), problems, newest_first=newest_first)]
        assert len(found) == 5 and ["shop/t9"] not in found
        assert len(problems) == 1 and "was edited" in problems[0]
    path = trail.log.store.folder / trail.log.key(6)
    path.unlink()
    problems = []
    list(trail.search(Filter(), problems))
    assert "was truncated: it ends at block 5" in problems[0]


def test_many_objects_are_counted(trail: Trail) -> None:
    trail.record(Event("backup_deletion", tuple(f"backup-{n}" for n in range(1_000))))
    (found,) = events(trail)
    assert len(found["objects"]) == 200 and found["objects_left_out"] == 800


def test_a_group_is_far_cheaper_than_single_events(trail: Trail) -> None:
    event = Event("query", ("shop/orders",), details={"sha256": "a" * 64})
    began = time.perf_counter()
    trail.record(*[event] * 1_000)
    group = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(100):
        trail.record(event)
    single = time.perf_counter() - began
    assert trail.log.last() == 101 and group / 1_000 < single / 100
