"""A receiver over HTTP: nothing is answered with 2xx that is not kept, and nothing is kept that is not signed."""

from __future__ import annotations

import http.client
import json
import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from data_platform.errors import ConfigurationError
from data_platform.landing.inbox import StoredInbox
from data_platform.receive import inflow
from data_platform.receive.server import doors
from data_platform_tests.receive.conftest import Process, receiving
from data_platform_tests.receive.test_hook import signed
from data_platform_tests.sources.webhook.conftest import SECRET, Hooks, event

Made = Callable[..., Hooks]


def text(id_: str, **order: Any) -> bytes:
    return json.dumps(event(id_, **order)).encode()


def ids(shop: Hooks) -> list[str]:
    return [id_ for (id_,) in shop.rows("SELECT _event_id FROM raw_hooks.events ORDER BY 1")]


def test_a_delivery_is_there_before_it_is_answered(hooks: Made) -> None:
    shop = hooks()
    with receiving(shop.platform) as receiver:
        assert receiver.post(text("e1", total=5)).status_code == 204
        assert len(shop.waiting()) == 1
        shop.good()
        assert receiver.post(text("e2", total=6)).status_code == 204
        assert requests.get(f"{receiver.url}/health", timeout=5).json() == {"ok": True}
    shop.good()
    assert ids(shop) == ["e1", "e2"] and shop.waiting() == []


def test_what_is_not_signed_is_refused_and_nothing_is_written(
    hooks: Made, caplog: pytest.LogCaptureFixture
) -> None:
    shop = hooks(max_bytes=2_000)
    now, body = int(time.time()), text("e1")
    good = signed("stripe", SECRET, now, body)
    with receiving(shop.platform) as receiver, caplog.at_level(logging.INFO):
        refused: list[tuple[Any, int]] = [
            (receiver.post(body, {}), 400),
            (receiver.post(body, {"Stripe-Signature": "v1=zz"}), 400),
            (receiver.post(body + b" ", good), 401),
            (receiver.post(body, signed("stripe", "whsec_other", now, body)), 401),
            (receiver.post(body, signed("stripe", SECRET, now - 400, body)), 401),
            (receiver.post(body, signed("stripe", SECRET, now + 400, body)), 401),
            (receiver.post(body, good, source="others"), 404),
            (receiver.post(b"x" * 2_001), 413),
            (requests.get(f"{receiver.url}/webhooks/hooks", timeout=5), 405),
        ]
        assert [answer.status_code for answer, _ in refused] == [status for _, status in refused]
        in_pieces = iter([b"x" * 1_500, b"x" * 1_500])  # no length is told
        answer = requests.post(f"{receiver.url}/webhooks/hooks", in_pieces, headers=good, timeout=5)
        assert answer.status_code == 413
    assert shop.waiting() == []
    said = caplog.text + "".join(answer.text for answer, _ in refused)
    assert (
        "refused" in said and SECRET not in said and good["stripe-signature"] not in said and "e1" not in said
    )


def test_while_one_secret_takes_the_place_of_another_both_are_good(hooks: Made) -> None:
    shop = hooks()
    shop.environ["HOOKS_SECRET"] = f"whsec_new {SECRET}"
    with receiving(shop.platform) as receiver:
        for n, secret in enumerate(["whsec_new", SECRET, "whsec_older"]):
            body = text(f"e{n}")
            answer = receiver.post(body, signed("stripe", secret, int(time.time()), body))
            assert answer.status_code == (401 if secret == "whsec_older" else 204)
    shop.good()
    assert ids(shop) == ["e0", "e1"]


def test_while_the_store_is_down_senders_are_told_to_come_again(
    hooks: Made, caplog: pytest.LogCaptureFixture
) -> None:
    shop = hooks()
    with receiving(shop.platform) as receiver, caplog.at_level(logging.INFO):
        folder = shop.root / "landing"
        shutil.rmtree(folder, ignore_errors=True)
        folder.write_text("in the way")
        for _ in range(3):
            answer = receiver.post(text("e1"))
            assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
        assert requests.get(f"{receiver.url}/health", timeout=5).status_code == 503
        folder.unlink()
        assert receiver.post(text("e1")).status_code == 204
        assert requests.get(f"{receiver.url}/health", timeout=5).status_code == 200
    assert caplog.text.count("told to come again") == 1  # not once a delivery
    shop.good()
    assert ids(shop) == ["e1"]


def test_a_write_that_is_kept_and_not_answered_is_no_double(
    hooks: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = hooks()
    put, lost = StoredInbox.put, iter([True, True, False])

    def torn(inbox: StoredInbox, place: Any, deliveries: Any) -> None:
        put(inbox, place, deliveries)
        if next(lost):
            raise OSError("the answer of the store is lost")

    monkeypatch.setattr(StoredInbox, "put", torn)
    with receiving(shop.platform) as receiver:
        answers = [receiver.post(text("e1")).status_code for _ in range(3)]
    assert answers == [503, 503, 204] and len(shop.waiting()) == 3
    shop.good()
    assert ids(shop) == ["e1"] and shop.waiting() == []


def test_deliveries_that_come_together_are_written_together(
    hooks: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inflow, "GATHER_SECONDS", 0.2)
    shop = hooks()
    with receiving(shop.platform) as receiver, ThreadPoolExecutor(16) as senders:
        answers = list(senders.map(lambda n: receiver.post(text(f"e{n:02}")).status_code, range(16)))
        assert answers == [204] * 16
        assert receiver.doors[0].inflow.objects <= 4
    shop.good()
    assert ids(shop) == [f"e{n:02}" for n in range(16)]


def test_when_too_much_waits_more_is_refused(hooks: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflow, "HELD_DELIVERIES", 2)
    monkeypatch.setattr(inflow, "ANSWER_SECONDS", 0.2)
    held, put = threading.Event(), StoredInbox.put

    def slow(*given: Any) -> None:
        held.wait(30)
        put(*given)

    monkeypatch.setattr(StoredInbox, "put", slow)
    shop = hooks()
    monkeypatch.setattr(inflow, "LANES", 1)
    with receiving(shop.platform) as receiver:
        answers = [receiver.post(text(f"e{n}")) for n in range(3)]
        assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [
            (503, "5"), (503, "5"), (503, "2"),  # twice the store is slow, then too much waits
        ]  # fmt: skip
        held.set()
        while not receiver.doors[0].inflow.deliveries:
            time.sleep(0.01)
    shop.good()
    assert set(ids(shop)) <= {"e0", "e1"} and "e0" in ids(shop)  # kept all the same


def test_told_to_stop_it_writes_and_answers_what_came(hooks: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflow, "GATHER_SECONDS", 0.5)
    shop = hooks()
    with receiving(shop.platform) as receiver, ThreadPoolExecutor(4) as senders:
        sent = [senders.submit(receiver.post, text(f"e{n}")) for n in range(4)]
        while receiver.doors[0].inflow._held < 4:
            time.sleep(0.01)
        receiver.stop()
        assert [one.result().status_code for one in sent] == [204] * 4
    shop.good()
    assert ids(shop) == ["e0", "e1", "e2", "e3"]


def test_two_receivers_side_by_side_never_meet(hooks: Made) -> None:
    shop = hooks()
    with receiving(shop.platform) as one, receiving(shop.platform) as other:
        for n in range(6):
            assert (one, other)[n % 2].post(text(f"e{n}")).status_code == 204
        assert len({place.receiver.rpartition("-")[0] for place in shop.waiting()}) == 2
        shop.good()
        assert other.post(text("e6")).status_code == 204
    shop.good()
    assert ids(shop) == [f"e{n}" for n in range(7)]


def test_what_is_missing_is_said_before_it_listens(hooks: Made) -> None:
    shop = hooks({"events": {"personal": {"payload.data.order.email": "hash"}}})
    del shop.environ["DATA_PLATFORM_HASH_KEY"]
    with pytest.raises(ConfigurationError, match="wait sealed"):
        doors(shop.platform)
    del shop.environ["HOOKS_SECRET"]
    with pytest.raises(ConfigurationError, match="HOOKS_SECRET is not set"):
        doors(shop.platform)


class Sender:
    """Sends each event until it is answered with 2xx, as senders of webhooks do, and some once more."""

    def __init__(self, process: Process, count: int) -> None:
        self.process, self.answered = process, 0
        self._left = iter(range(count))
        self._lock = threading.Lock()

    def run(self) -> None:
        connection = None
        while (n := self._next()) is not None:
            body = text(f"e{n:07}", total=n)
            tries = 2 if n % 50 == 0 else 1
            while tries:
                try:
                    if connection is None:
                        connection = http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=30)
                    connection.request(
                        "POST", "/webhooks/hooks", body, signed("stripe", SECRET, int(time.time()), body)
                    )
                    answer = connection.getresponse()
                    answer.read()
                    tries -= answer.status == 204
                except (OSError, http.client.HTTPException):
                    connection = None
                    time.sleep(0.05)
            with self._lock:
                self.answered += 1

    def _next(self) -> int | None:
        with self._lock:
            return next(self._left, None)


def kills(sender: Sender, shares: Sequence[float], count: int) -> Iterator[None]:
    """Each time when so much is answered, or all."""
    for share in shares:
        while sender.answered < share * count:
            time.sleep(0.005)
        yield


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_receivers_and_syncs_that_are_killed_lose_nothing_and_double_nothing(
    hooks: Made,
    process: Callable[[Hooks], Process],
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    count = int(pytestconfig.getoption("--webhook-events"))
    shop = hooks()
    release, cut = StoredInbox.release, iter([True, False] * count)
    monkeypatch.setattr(StoredInbox, "release", lambda *given: None if next(cut) else release(*given))
    killed = process(shop)
    killed.start()
    sender = Sender(killed, count)
    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(sender.run) for _ in range(8)]
        times = max(3, count // 10_000)
        for _ in kills(sender, [(n + 0.4) / times for n in range(times)], count):
            killed.end(signal.SIGKILL)
            killed.start()
            shop.good()
        for one in running:
            one.result()
    assert killed.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    monkeypatch.setattr(StoredInbox, "release", release)
    shop.good()
    expected = [(count, count, sum(range(count)))]
    assert (
        shop.rows("SELECT count(*), count(DISTINCT _event_id), sum(total) FROM raw_hooks.orders") == expected
    )
    assert shop.rows("SELECT count(*), count(DISTINCT _event_id) FROM raw_hooks.events") == [(count, count)]
    assert shop.waiting() == []
