"""The HTTP layer against a real server: what is sent again, what is waited for, and what no error ever says."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest

from data_platform.errors import DataPlatformError, SourceError, SourceUnreachable, TableMissing
from data_platform.sources.http.auth import ApiKey, Auth, OAuth2ClientCredentials, basic, bearer
from data_platform.sources.http.client import Answer, HttpClient, Limits, Request
from data_platform.sources.http.waiting import retry_after
from data_platform_tests.sources.http.server import Asked, Reply, Server, serving

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECRET = "s3cr3t-value"


@dataclass
class FakeClock:
    """A clock that only moves when somebody waits."""

    at: float = 1000.0
    waited: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.at - 1000)

    def monotonic(self) -> float:
        return self.at

    def wait(self, ended: Event, seconds: float) -> None:
        self.waited.append(seconds)
        self.at += seconds


@dataclass
class World:
    server: Server
    client: HttpClient
    clock: FakeClock

    def get(self, path: str = "/items", **options: object) -> Answer:
        return self.client.send(Request("items", self.server.url + path, **options))  # type: ignore[arg-type]


@contextmanager
def world(
    answer: Callable[[Asked], Reply], limits: Limits | None = None, **options: object
) -> Iterator[World]:
    clock = FakeClock()
    with serving(answer) as server:
        client = HttpClient("shop", limits, clock=clock, **options)  # type: ignore[arg-type]
        try:
            yield World(server, client, clock)
        finally:
            client.close()


def in_turn(*replies: Reply) -> Callable[[Asked], Reply]:
    """Each reply once, the last for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


GOOD = Reply([{"id": 1}])


def refused(world: World, error: type[DataPlatformError], path: str = "/items", **options: object) -> str:
    with pytest.raises(error) as caught:
        world.get(path, **options)
    assert type(caught.value).__mro__[1] is not Exception
    text = str(caught.value)
    assert SECRET not in text and SECRET not in repr(caught.value.__cause__)
    return text


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
def test_what_may_pass_is_sent_again_with_growing_random_waits(status: int) -> None:
    with world(in_turn(*[Reply(status=status)] * 3, GOOD)) as w:
        assert w.get().body == b'[{"id": 1}]'
        assert len(w.server.asked) == 4
        assert len(w.clock.waited) == 3
        assert all(waited <= 0.5 * 2**n for n, waited in enumerate(w.clock.waited, 1))


def test_attempts_end() -> None:
    with world(in_turn(Reply(status=500)), Limits(attempts=3)) as w:
        text = refused(w, SourceUnreachable)
        assert len(w.server.asked) == 3
        assert "GET items at 127.0.0.1" in text and "500 Internal Server Error" in text


@pytest.mark.parametrize(
    "status, error", [(400, SourceError), (401, SourceError), (403, SourceError), (404, TableMissing)]
)
def test_what_would_be_refused_again_is_asked_once(status: int, error: type[DataPlatformError]) -> None:
    auth = bearer("the token in SHOP_TOKEN", SECRET)
    with world(in_turn(Reply({"why": SECRET}, status)), auth=auth) as w:
        text = refused(w, error, params=(("since", SECRET),))
        assert len(w.server.asked) == 1
        assert str(status) in text and "items" in text
        assert ("SHOP_TOKEN" in text) == (status in (401, 403))


def test_retry_after_in_seconds_is_waited_for_by_all_tables() -> None:
    with world(in_turn(Reply(status=429, headers={"Retry-After": "7"}), GOOD)) as w:
        w.get()
        assert 7 <= sum(w.clock.waited) <= 7 + 0.1
        w.client._waits.hold(5)
        w.get("/other")
        assert w.clock.waited[-1] == pytest.approx(5)


def test_a_date_is_compared_with_the_servers_own_clock() -> None:
    headers = {"Date": "Thu, 01 Jan 2037 00:00:00 GMT", "Retry-After": "Thu, 01 Jan 2037 00:00:30 GMT"}
    assert retry_after(503, headers, NOON) == 30
    del headers["Date"]
    assert retry_after(503, {"Retry-After": "Sat, 31 Jan 2026 12:00:09 GMT"}, NOON) == 9
    assert retry_after(503, {"Retry-After": "Sat, 31 Jan 2026 11:00:00 GMT"}, NOON) == 0
    assert retry_after(503, {"Retry-After": "soon"}, NOON) is None


def test_a_rate_limit_that_is_used_up_is_taken_by_its_reset() -> None:
    reset = str(int(NOON.timestamp()) + 40)
    for status in (403, 429):
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
        assert retry_after(status, headers, NOON) == 40
    assert retry_after(429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "12"}, NOON) == 12
    assert retry_after(403, {"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": reset}, NOON) is None
    with world(
        in_turn(Reply(status=403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4"}), GOOD)
    ) as w:
        w.get()
        assert len(w.server.asked) == 2


def test_many_answers_that_ask_to_wait_are_no_failures_but_are_bounded() -> None:
    slow = Reply(status=429, headers={"Retry-After": "60"})
    with world(in_turn(*[slow] * 10, GOOD), Limits(attempts=3, wait_seconds_max=900)) as w:
        w.get()
        assert len(w.server.asked) == 11
    with world(in_turn(slow), Limits(attempts=3, wait_seconds_max=900)) as w:
        refused(w, SourceUnreachable)
        assert len(w.server.asked) == 15
        assert sum(w.clock.waited) <= 900
    with world(in_turn(Reply(status=429, headers={"Retry-After": "0"})), Limits(attempts=3)) as w:
        refused(w, SourceUnreachable)
        assert len(w.server.asked) == 3


def test_a_wait_that_is_too_long_is_not_begun() -> None:
    with world(in_turn(Reply(status=503, headers={"Retry-After": "86400"}))) as w:
        text = refused(w, SourceUnreachable)
        assert w.clock.waited == [] and "86,400 s" in text and "503" in text


def test_the_rate_limit_is_one_for_all_threads() -> None:
    with world(in_turn(GOOD), Limits(requests_per_second=4)) as w:
        for _ in range(5):
            w.get()
        assert w.clock.waited == pytest.approx([0.25] * 4)


def test_a_window_holds_so_many_requests_and_no_more() -> None:
    with world(in_turn(GOOD), Limits(requests_in_window=(3, 60))) as w:
        for _ in range(7):
            w.get()
        assert w.clock.waited == pytest.approx([60, 60])


@pytest.mark.parametrize(
    "broken",
    [
        Reply(b'[{"id": 1}]', claimed=500),
        Reply(chunks=(b'[{"id"', b": 1}]"), cut=True),
        Reply(b'[{"id": 1}, {"id"'),
        Reply(b"\x1f\x8b broken", headers={"Content-Encoding": "gzip"}),
        Reply(
            gzip.compress(b"[%b1]" % b"".join(b"%d, " % (n * n) for n in range(1000)))[:-300],
            headers={"Content-Encoding": "gzip"},
        ),
    ],
    ids=["short", "chunk missing", "JSON cut", "not gzip", "gzip cut"],
)
def test_half_an_answer_is_no_answer(broken: Reply) -> None:
    with world(in_turn(broken, GOOD)) as w:
        assert w.get().body == b'[{"id": 1}]'
        assert len(w.server.asked) == 2
    with world(in_turn(broken), Limits(attempts=2)) as w:
        refused(w, SourceUnreachable)


@pytest.mark.parametrize(
    "whole",
    [
        Reply(b'\xef\xbb\xbf [{"id": 1}]\n'),
        Reply(chunks=(b'[{"id"', b": 1}]")),
        Reply(gzip.compress(b'[{"id": 1}]'), headers={"Content-Encoding": "gzip"}),
        Reply(b'[{"id": 1}]', headers={"Content-Type": "text/plain"}),
    ],
    ids=["byte order mark", "chunked", "gzip", "another content type"],
)
def test_a_whole_answer_is_taken_as_it_is_packed(whole: Reply) -> None:
    with world(in_turn(whole)) as w:
        assert w.get().body == b'[{"id": 1}]'


def test_json_that_is_never_valid_is_no_matter_of_another_sync() -> None:
    with world(in_turn(Reply(b'[{"id": NaN}]')), Limits(attempts=2)) as w:
        text = refused(w, SourceError)
        assert "not valid JSON" in text and len(w.server.asked) == 2


def test_nothing_is_null() -> None:
    with world(in_turn(Reply(status=204))) as w:
        assert w.get().body == b"null"


def test_html_is_named_by_its_endpoint() -> None:
    page = Reply(f"<html>{SECRET}</html>".encode(), headers={"Content-Type": "text/html"})
    with world(in_turn(page)) as w:
        text = refused(w, SourceError)
        assert "GET items at 127.0.0.1" in text and "HTML" in text and len(w.server.asked) == 1


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with world(in_turn(GOOD), Limits(attempts=2)) as w:
        url = w.server.url
    client = HttpClient("shop", Limits(attempts=2), clock=FakeClock())
    with pytest.raises(SourceUnreachable, match="no connection"):
        client.send(Request("items", f"{url}/?key={SECRET}"))
    client.close()


def test_no_byte_for_too_long_is_another_attempt() -> None:
    late = Event()
    with world(in_turn(replace(GOOD, hang=late), GOOD), Limits(read_seconds=0.2)) as w:
        w.get()
        late.set()
        assert len(w.server.asked) == 2


class HastyClock(FakeClock):
    """A minute passes with every look at it."""

    def monotonic(self) -> float:
        self.at += 60
        return self.at


def test_an_answer_has_a_time_and_a_size() -> None:
    with world(in_turn(GOOD), Limits(total_seconds=30, attempts=2)) as w:
        w.client.clock = HastyClock()
        assert "within 30 s" in refused(w, SourceUnreachable)
        assert len(w.server.asked) == 2
    with world(in_turn(Reply(b"[" + b" " * 1000 + b"]")), Limits(bytes_max=100)) as w:
        assert "larger than 100 bytes" in refused(w, SourceError)


def test_another_thread_ends_a_body_that_does_not_come() -> None:
    never, began = Event(), Event()

    def answer(_: Asked) -> Reply:
        began.set()
        return replace(GOOD, hang=never)

    with world(answer, Limits(attempts=1)) as w:
        found: list[BaseException] = []

        def ask() -> None:
            try:
                w.get()
            except DataPlatformError as error:
                found.append(error)

        thread = Thread(target=ask)
        thread.start()
        assert began.wait(10)
        while not w.client._open and thread.is_alive():
            pass
        w.client.interrupt()
        thread.join(10)
        never.set()
        assert not thread.is_alive()
        assert "was ended" in str(found[0])


def test_another_thread_ends_a_wait() -> None:
    with serving(in_turn(Reply(status=429, headers={"Retry-After": "800"}))) as server:
        client = HttpClient("shop")
        found: list[BaseException] = []

        def ask() -> None:
            try:
                client.send(Request("items", server.url))
            except DataPlatformError as error:
                found.append(error)

        thread = Thread(target=ask)
        thread.start()
        while not server.asked:
            pass
        client.interrupt()
        thread.join(10)
        assert not thread.is_alive() and "was ended" in str(found[0])
        client.close()


def test_credentials_are_sent_as_declared() -> None:
    for auth, name, value in (
        (bearer("", SECRET), "Authorization", f"Bearer {SECRET}"),
        (basic("", "ann", "pw"), "Authorization", "Basic YW5uOnB3"),
        (ApiKey("", "X-Key", SECRET, "header"), "X-Key", SECRET),
        (ApiKey("", "key", SECRET, "cookie"), "Cookie", f"key={SECRET}"),
    ):
        with world(in_turn(GOOD), auth=auth) as w:
            w.get()
            assert w.server.asked[0].headers[name] == value
    with world(in_turn(GOOD), auth=ApiKey("", "key", SECRET, "query")) as w:
        answer = w.get(f"/items?key={SECRET}&page=2", params=(("limit", "5"),))
        assert w.server.asked[0].query == {"key": SECRET, "page": "2", "limit": "5"}
        assert SECRET not in answer.url and answer.url.endswith("/items?page=2&limit=5")


def test_redirects_stay_where_the_credentials_are_for() -> None:
    with serving(in_turn(GOOD)) as other:

        def answer(asked: Asked) -> Reply:
            if asked.path == "/moved":
                return Reply(status=301, headers={"Location": "/items?page=1"})
            if asked.path == "/away":
                return Reply(status=302, headers={"Location": f"{other.url}/items"})
            return Reply(status=302, headers={"Location": "/round"}) if asked.path == "/round" else GOOD

        with world(answer, auth=bearer("", SECRET)) as w:
            assert w.get("/moved").url.endswith("/items?page=1")
            assert w.server.asked[-1].headers["Authorization"] == f"Bearer {SECRET}"
            assert "credentials are sent to the host" in refused(w, SourceError, "/away")
            assert "times over" in refused(w, SourceError, "/round")
        with world(answer, secret_headers={"X-Key": SECRET}) as w:
            refused(w, SourceError, "/away")
        assert other.asked == []
        with world(answer) as w:
            w.get("/away")
            assert len(other.asked) == 1


def test_a_session_keeps_no_cookie() -> None:
    with world(in_turn(replace(GOOD, headers={"Set-Cookie": "who=me; Path=/"}), GOOD)) as w:
        w.get()
        w.get()
        assert "Cookie" not in w.server.asked[1].headers


def test_a_token_is_fetched_kept_and_renewed() -> None:
    tokens = iter(("first", "second", "third"))
    revoked: set[str] = set()

    def answer(asked: Asked) -> Reply:
        if asked.path == "/token":
            form = dict(pair.split("=") for pair in asked.body.decode().split("&"))
            assert form == {
                "grant_type": "client_credentials",
                "client_id": "me",
                "client_secret": SECRET,
                "scope": "read",
            }
            return Reply({"access_token": next(tokens), "token_type": "bearer", "expires_in": 600})
        return (
            GOOD
            if asked.headers["Authorization"].removeprefix("Bearer ") not in revoked
            else Reply(status=401)
        )

    with serving(answer) as server:
        auth = OAuth2ClientCredentials("the client", f"{server.url}/token", "me", SECRET, {"scope": "read"})
        clock = FakeClock()
        client = HttpClient("shop", auth=auth, clock=clock)
        get = lambda: client.send(Request("items", server.url + "/items"))  # noqa: E731
        get()
        get()
        assert server.paths() == ["/token", "/items", "/items"]
        clock.at += 545
        get()
        assert server.paths()[3:] == ["/token", "/items"]
        revoked.add("second")
        get()
        assert server.paths()[5:] == ["/items", "/token", "/items"]
        revoked.add("third")
        clock.at += 1
        tokens = iter(("third",))
        with pytest.raises(SourceError, match="401"):
            get()
        client.close()


@pytest.mark.parametrize(
    "answer", [Reply({"token": SECRET}), Reply([1]), Reply({"access_token": SECRET, "expires_in": "soon"})]
)
def test_a_token_that_is_none_is_told_without_it(answer: Reply) -> None:
    with serving(in_turn(answer)) as server:
        auth: Auth = OAuth2ClientCredentials("the client", f"{server.url}/token", "me", SECRET, {})
        client = HttpClient("shop", auth=auth, clock=FakeClock())
        with pytest.raises(SourceError) as caught:
            client.send(Request("items", server.url))
        assert SECRET not in str(caught.value) and "access_token" in str(caught.value)
        client.close()
