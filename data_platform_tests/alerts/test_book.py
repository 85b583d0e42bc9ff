"""Nothing is lost between detecting and sending: processes that are killed, two at once, a store that is away."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.alerts import book as book_module
from data_platform.alerts.announce import SENDS_FOR
from data_platform.alerts.book import KEPT, Book
from data_platform.alerts.slack import SlackConfig
from data_platform.alerts.state import BookState, from_cursor
from data_platform.errors import LandingError
from data_platform.landing.signing import Signer
from data_platform.stores.local import LocalStore
from data_platform.stores.s3.config import S3StoreConfig
from data_platform_tests.alerts.servers import Receiver, receiver
from data_platform_tests.alerts.ticks import NOON, Recorder, Ticker, problem


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with receiver() as state:
        yield state


@dataclass
class Deadly:
    """Ends the process at the call number ``at`` of a store or a channel: before it, or right after it."""

    at: int
    after: bool
    calls: int = 0

    def guard(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self.at and not self.after:
                os._exit(9)
            done = call(*arguments, **named)
            if self.calls == self.at:
                os._exit(9)
            return done

        return guarded


def tick_in_a_process(folder: Path, url: str, at: int, after: bool, *, wrong: bool) -> int:
    """One tick in a child process, as the code server would run it; its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        deadly = Deadly(at, after)
        store: Any = LocalStore(folder)
        for name in ("list", "read", "put_new", "delete"):
            setattr(store, name, deadly.guard(getattr(store, name)))
        channel: Any = SlackConfig().open({"SLACK_WEBHOOK_URL": url}, sleep=lambda _: None)
        channel.send = deadly.guard(channel.send)
        ticker = Ticker({"slack": channel}, store=store)
        ticker.tick(*([problem()] if wrong else []))
        os._exit(0)
    except BaseException:
        os._exit(1)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("wrong", [True, False])
def test_a_process_that_is_killed_at_any_call_loses_no_message(
    tmp_path: Path, webhook: Receiver, after: bool, wrong: bool
) -> None:
    """Both of an opening and of a recovery. Only a process that dies after the channel has taken a message, and before that is
    kept, has it sent twice."""
    killed = 0
    for at in range(1, 50):
        store = LocalStore(tmp_path / f"{at}")
        channel = SlackConfig().open({"SLACK_WEBHOOK_URL": webhook.url})
        if not wrong:
            Ticker({"slack": channel}, store=store).tick(problem())
        webhook.received.clear()
        code = tick_in_a_process(tmp_path / f"{at}", webhook.url, at, after, wrong=wrong)
        assert code in (0, 9)
        sent_by_the_dead = len(webhook.received)
        # the cursor of a tick that died is not kept; the next tick is of another process
        later = Ticker({"slack": channel}, store=store, now=NOON + timedelta(minutes=5))
        later.tick(*([problem()] if wrong else []))
        texts = {message["text"] for message in webhook.received}
        assert texts == {"[local] Check failed: a" if wrong else "[local] Check passes again: a"}, at
        assert len(webhook.received) <= 1 + (sent_by_the_dead and code)
        later.tick(*([problem()] if wrong else []))
        assert len(webhook.received) <= 1 + (sent_by_the_dead and code), "and no more than that"
        if code == 0:
            break
        killed += 1
    assert killed >= 5, "list, write, send, list, write"


def test_a_process_that_died_while_it_sent_holds_the_others_up_for_a_while(tmp_path: Path) -> None:
    class Dies(Recorder):
        def send(self, post: Any) -> str:
            raise SystemExit

    store = LocalStore(tmp_path)
    with pytest.raises(SystemExit):
        Ticker({"one": Dies()}, store=store).tick(problem())
    one = Recorder()
    ticker = Ticker({"one": one}, store=store, now=NOON + timedelta(minutes=1))
    ticker.tick(problem(), minutes=0.5)
    assert one.heard() == []
    ticker.tick(problem(), minutes=SENDS_FOR.total_seconds() / 60)
    assert one.heard() == ["opened: a"]


def test_two_sensors_at_once_send_once(tmp_path: Path) -> None:
    """Many rounds of two ticks side by side; each incident is opened once and ended once."""
    one = Recorder()
    lock = threading.Lock()
    send = one.send

    def locked(post: Any) -> str:
        with lock:
            return send(post)

    one.send = locked  # type: ignore[method-assign]
    for number in range(15):
        found = [problem("a"), problem("b")] if number % 2 == 0 else []
        tickers = [
            Ticker({"one": one}, store=LocalStore(tmp_path), now=NOON + timedelta(minutes=10 * number))
            for _ in range(2)
        ]
        threads = [threading.Thread(target=ticker.tick, args=found) for ticker in tickers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        said = one.heard()
        event = "opened" if found else "recovered"
        if number or found:
            assert sorted(said) == [f"{event}: a", f"{event}: b"], number


@dataclass
class Away:
    """A store that fails while it is away."""

    store: LocalStore
    away: bool = False

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.store, name)

        def asked(*arguments: Any) -> Any:
            if self.away:
                raise LandingError("the bucket does not answer")
            return call(*arguments)

        return asked


def test_a_store_that_is_away_leaves_it_to_the_cursor(tmp_path: Path) -> None:
    one = Recorder()
    store: Any = Away(LocalStore(tmp_path))
    ticker = Ticker({"one": one}, store=store)
    ticker.tick(problem("a"))
    store.away = True
    done = ticker.tick(problem("a"), problem("b"))
    assert done.trouble == "the bucket does not answer" and one.heard() == ["opened: a", "opened: b"]
    ticker.tick(problem("b"))
    assert one.heard() == ["recovered: a"]
    store.away = False
    assert ticker.tick(problem("b")).trouble is None
    assert one.heard() == []
    kept = Book("alerts", store).load()
    assert set(kept.incidents) == {"check:b"} and not from_cursor(ticker.cursor).ahead
    ticker.cursor = None  # somebody resets the cursor
    ticker.tick(problem("b"))
    assert one.heard() == []


def test_a_store_that_was_set_back_makes_nobody_forget(tmp_path: Path) -> None:
    one = Recorder()
    store = LocalStore(tmp_path)
    ticker = Ticker({"one": one}, store=store)
    ticker.tick(problem("a"))
    (*_, newest) = before = store.list("_alerts")
    ticker.tick(problem("a"), problem("b"))
    for key in set(store.list("_alerts")) - {before[0]}:
        store.delete(key)
    one.heard()
    ticker.tick(problem("a"), problem("b"))
    assert one.heard() == []
    ticker.tick(problem("b"))
    assert one.heard() == ["recovered: a"] and store.list("_alerts")[-1] > newest


def test_a_store_that_goes_away_within_a_tick_too(tmp_path: Path) -> None:
    for at in range(1, 12):
        one = Recorder()
        store: Any = Away(LocalStore(tmp_path / str(at)))
        calls = 0

        def failing(name: str, store: Any = store, at: int = at) -> Any:
            call = getattr(store.store, name)

            def asked(*arguments: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls >= at and store.away:
                    raise LandingError("gone")
                return call(*arguments)

            return asked

        store.__dict__.update({name: failing(name) for name in ("list", "read", "put_new", "delete")})
        store.away = True
        ticker = Ticker({"one": one}, store=store)
        ticker.tick(problem())
        store.away = False
        ticker.tick(problem())
        ticker.tick()
        assert one.heard() == ["opened: a", "recovered: a"], at


def test_what_a_person_decided_meanwhile_is_kept(tmp_path: Path) -> None:
    from data_platform_tests.alerts.test_grouping import changed, snoozed

    one = Recorder()
    store: Any = Away(LocalStore(tmp_path))
    ticker = Ticker({"one": one}, store=store)
    ticker.tick(problem("a"))
    store.away = True
    ticker.tick(problem("a"), problem("b"))
    store.away = False
    changed(ticker, "check:a", lambda incident: snoozed(incident, NOON + timedelta(hours=3), "ada"))
    one.heard()
    ticker.tick(problem("a"), problem("b"))
    assert one.heard() == ["snoozed: a"]


def test_a_store_that_does_not_answer_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and says nothing, to a real client."""
    monkeypatch.setattr(book_module, "ANSWER_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        config = S3StoreConfig(
            kind="s3",
            bucket="acme-landing",
            endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}",
            region="us-east-1",
        )
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
        store = config.open(Path("/"), {})
        one = Recorder()
        ticker = Ticker({"one": one}, store=store)
        done = ticker.tick(problem())
        assert "gave no answer within 0.3 s" in str(done.trouble)
        assert one.heard() == ["opened: a"]
        ticker.tick(problem())
        assert one.heard() == []


def test_a_writer_that_was_slower_decides_again(tmp_path: Path) -> None:
    first, second = (Book("alerts", LocalStore(tmp_path)) for _ in range(2))
    seen: list[int] = []

    def change(state: BookState) -> BookState:
        seen.append(state.number)
        if len(seen) == 1:
            second.update(lambda other: BookState({"x": incident("x")}, other.number))
        return BookState({**state.incidents, "y": incident("y")}, state.number)

    state = first.update(change)
    assert seen == [0, 1] and set(state.incidents) == {"check:x", "y"} and state.number == 2


def incident(name: str) -> Any:
    from data_platform.alerts.incidents import Incident

    return Incident(f"check:{name}", problem(name), NOON)


def test_nothing_is_written_while_nothing_changes_and_old_states_go(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    ticker = Ticker({"one": Recorder()}, store=store)
    ticker.tick(problem())
    written = store.list("_alerts")
    ticker.tick(problem())
    assert store.list("_alerts") == written
    for number in range(5 * KEPT):
        ticker.tick(*([problem()] if number % 2 else []))
        assert len(store.list("_alerts")) <= 2 * KEPT + 1
    assert len(store.list("_alerts")) >= KEPT


def test_what_nobody_of_ours_wrote_is_not_taken(tmp_path: Path) -> None:
    signer = Signer("KEY", (b"k" * 32,))
    one = Recorder()
    store = LocalStore(tmp_path)
    Book("alerts", store, signer).update(lambda state: BookState({"check:a": incident("a")}, state.number))
    (key,) = store.list("_alerts")
    forged = store.read(key).replace(b"a is broken", b"call 0900 1")
    store.put_new(key[:-1] + "2", forged)
    store.put_new(key[:-1] + "3", b"rubbish")
    store.put_new("_alerts/alerts/no-number", b"rubbish")
    book = Book("alerts", store, signer)
    assert book.load().incidents["check:a"].problem.summary == "a is broken"
    assert book.update(lambda state: BookState({}, state.number)).number == 4
    assert Book("alerts", store, signer).load().incidents == {} and one.heard() == []
