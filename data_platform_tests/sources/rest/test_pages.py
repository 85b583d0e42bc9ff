"""Every paginator against a real server: each record once, and an end to every read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from data_platform.errors import SourceError, SourceUnreachable, TableMissing
from data_platform_tests.sources.http.server import Asked, Reply, Server, serving
from data_platform_tests.sources.rest.api import Items, api, ids

ITEMS = Items()
ALL = [1, 2, 3, 4, 5, 6, 7]
Answer = Callable[[Asked], Reply]


def by_offset(asked: Asked) -> Reply:
    at, limit = int(asked.query["offset"]), int(asked.query["limit"])
    return Reply({"data": ITEMS.page(at, min(limit, 3)), "total": 7})


def by_page(asked: Asked, first: int = 1) -> Reply:
    page = int(asked.query.get("page", first))
    return Reply({"results": ITEMS.page((page - first) * 3), "total_pages": 3, "page": page})


def by_cursor(asked: Asked) -> Reply:
    at = int(asked.query.get("cursor", 0))
    after = str(at + 3) if at + 3 < 7 else None
    return Reply({"items": ITEMS.page(at), "cursors": {"next": after}})


def by_link(asked: Asked) -> Reply:
    at = int(asked.query.get("at", 0))
    return Reply({"items": ITEMS.page(at), "next": f"/items?at={at + 3}" if at + 3 < 7 else None})


def by_header(asked: Asked) -> Reply:
    at = int(asked.query.get("at", 0))
    link = f'<{"/items?at=" + str(at + 3)}>; rel="next", </items?at=0>; rel="first"'
    return Reply(ITEMS.page(at), headers={"Link": link} if at + 3 < 7 else {})


def by_header_cursor(asked: Asked) -> Reply:
    at = int(asked.query.get("from", 0))
    return Reply(ITEMS.page(at), headers={"X-Next": str(at + 3)} if at + 3 < 7 else {})


PAGINATORS: dict[str, tuple[Answer, Any]] = {
    "offset": (by_offset, {"type": "offset", "limit": 3}),
    "offset, a server that gives less than asked": (by_offset, {"type": "offset", "limit": 5}),
    "offset without a total": (by_offset, {"type": "offset", "limit": 3, "total_path": None}),
    "page_number": (by_page, {"type": "page_number", "base_page": 1, "total_path": "total_pages"}),
    "page_number until an empty page": (by_page, {"type": "page_number", "base_page": 1}),
    "cursor": (by_cursor, "cursor"),
    "json_link": (by_link, "json_link"),
    "json_response": (by_link, {"type": "json_response", "next_url_path": "$.next"}),
    "header_link": (by_header, "header_link"),
    "header_cursor": (
        by_header_cursor,
        {"type": "header_cursor", "cursor_key": "X-Next", "cursor_param": "from"},
    ),
    "auto: page numbers": (by_page, "auto"),
    "auto: cursor": (by_cursor, None),
    "auto: link": (by_link, None),
    "auto: header": (by_header, None),
}


@pytest.mark.parametrize("name", PAGINATORS)
def test_each_record_comes_once(name: str) -> None:
    answer, paginator = PAGINATORS[name]
    with serving(answer) as server, api(server.url, {"items": {}}, paginator=paginator) as shop:
        pages = shop.pages("items")
        assert ids(pages) == ALL
        assert [page.more for page in pages] == [True] * (len(pages) - 1) + [False]


@pytest.mark.parametrize("name", PAGINATORS)
def test_a_cut_read_goes_on_where_it_was(name: str) -> None:
    answer, paginator = PAGINATORS[name]
    with serving(answer) as server, api(server.url, {"items": {}}, paginator=paginator) as shop:
        (first,) = shop.pages("items", pages=1)
        asked = len(server.asked)
        state = json.loads(json.dumps(first.state))
        assert ids(shop.pages("items", state)) == ALL[len(first.records) :]
        assert server.asked[asked].query != server.asked[0].query


def test_bodies_take_what_parameters_take_elsewhere() -> None:
    def answer(asked: Asked) -> Reply:
        assert asked.method == "POST" and not asked.query
        body = json.loads(asked.body)
        assert body["filter"] == {"open": True}
        return Reply({"data": ITEMS.page(body["page"]["from"], body["page"]["size"]), "total": 7})

    paginator = {
        "type": "offset",
        "limit": 3,
        "offset_body_path": "page.from",
        "limit_body_path": "page.size",
    }
    endpoint = {
        "path": "search",
        "method": "POST",
        "json": {"filter": {"open": True}},
        "paginator": paginator,
    }
    with serving(answer) as server, api(server.url, {"items": {"endpoint": endpoint}}) as shop:
        assert ids(shop.pages("items")) == ALL


def test_the_connections_paginator_is_every_endpoints_but_for_its_own() -> None:
    def answer(asked: Asked) -> Reply:
        return by_header(asked) if asked.path == "/items" else by_cursor(asked)

    tables = {"items": {}, "others": {"endpoint": {"path": "/others", "paginator": "cursor"}}}
    with serving(answer) as server, api(server.url, tables, paginator="header_link") as shop:
        assert ids(shop.pages("items")) == ALL and ids(shop.pages("others")) == ALL


def test_has_more_ends_and_goes_on() -> None:
    def answer(asked: Asked) -> Reply:
        at = int(asked.query["offset"])
        return Reply({"data": ITEMS.page(at), "meta": {"has_more": at + 3 < 7}})

    paginator = {"type": "offset", "limit": 3, "has_more_path": "meta.has_more"}
    with serving(answer) as server, api(server.url, {"items": {}}, paginator=paginator) as shop:
        assert ids(shop.pages("items")) == ALL and len(server.asked) == 3


def test_a_maximum_is_told() -> None:
    paginator = {"type": "page_number", "base_page": 1, "maximum_page": 3}
    with serving(by_page) as server, api(server.url, {"items": {}}, paginator=paginator) as shop:
        pages = shop.pages("items")
        assert ids(pages) == ALL[:6]
        assert "ended at 3, the maximum" in pages[-1].notes[0]


def test_one_full_page_without_a_way_on_is_told() -> None:
    with (
        serving(lambda _: Reply([{"id": n} for n in range(100)])) as server,
        api(server.url, {"items": {}}) as shop,
    ):
        (page,) = shop.pages("items")
        assert "only one page was read, of 100 records" in page.notes[0]


# An end to every read


def read(answer: Answer, paginator: Any, **endpoint: Any) -> tuple[list[Any], Server]:
    with serving(answer) as server:
        block = {"items": {"endpoint": {"paginator": paginator, **endpoint}}}
        with api(server.url, block, attempts=2) as shop:
            return ids(shop.pages("items")), server


def test_a_cursor_that_names_its_own_page_ends_the_read() -> None:
    def answer(asked: Asked) -> Reply:
        at = int(asked.query.get("cursor", 0))
        return Reply({"items": ITEMS.page(at), "cursors": {"next": str(min(at + 3, 6))}})

    assert read(answer, "cursor")[0] == ALL


def test_a_link_that_names_its_own_page_ends_the_read() -> None:
    def answer(asked: Asked) -> Reply:
        at = int(asked.query.get("at", 0))
        return Reply({"items": ITEMS.page(at), "next": f"/items?at={min(at + 3, 6)}"})

    assert read(answer, "json_link")[0] == ALL


def test_a_cursor_that_should_move_and_does_not_is_an_error() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply({"items": [{"id": len(asked.query)}], "cursors": {"next": "x"}, "more": True})

    with pytest.raises(SourceError, match="does not move"):
        read(answer, {"type": "cursor", "has_more_path": "more"})
    with pytest.raises(SourceError, match=r"no cursor at `cursors\.next`"):
        read(lambda _: Reply({"items": [], "more": True}), {"type": "cursor", "has_more_path": "more"})


def test_a_page_that_comes_again_is_an_error() -> None:
    with pytest.raises(SourceError, match="the same records as the page before"):
        read(lambda _: Reply(ITEMS.page(0)), {"type": "page_number", "page_param": "nobody_reads_this"})


def test_cursors_that_go_round_are_an_error() -> None:
    round_ = {None: "a", "a": "b", "b": "c", "c": "a"}

    def answer(asked: Asked) -> Reply:
        cursor = asked.query.get("cursor")
        return Reply({"items": [{"id": cursor}], "cursors": {"next": round_[cursor]}})

    with pytest.raises(SourceError, match="was read before"):
        read(answer, "cursor")


def test_pages_without_end_are_an_error() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply({"items": [{"id": asked.query["page"]}]})

    with pytest.raises(SourceError, match="pages_max"):
        read(answer, {"type": "page_number"}, pages_max=5)


def test_empty_pages_on_the_way_are_no_end() -> None:
    def answer(asked: Asked) -> Reply:
        at = int(asked.query.get("cursor", 0))
        return Reply(
            {"items": [] if at == 3 else ITEMS.page(at), "cursors": {"next": str(at + 3) if at < 6 else None}}
        )

    assert read(answer, "cursor")[0] == [1, 2, 3, 7]
    assert read(answer, {"type": "cursor", "stop_after_empty_page": True})[0] == [1, 2, 3]


@pytest.mark.parametrize("empty", [[], None, {"items": []}])
def test_no_record_at_all_is_one_empty_page(empty: Any) -> None:
    assert read(lambda _: Reply(empty), "auto")[0] == []


def test_an_answer_that_says_there_is_more_needs_a_paginator() -> None:
    with pytest.raises(SourceError, match=r"nothing in it leads on\. Correct the endpoint's `paginator`"):
        read(lambda _: Reply({"data": [{"id": 1}], "has_more": True}), "auto")


def test_what_a_path_names_must_be_there() -> None:
    with pytest.raises(SourceError, match="total_path"):
        read(lambda _: Reply({"data": [{"id": 1}]}), {"type": "offset", "limit": 1, "total_path": "count"})
    with pytest.raises(SourceError, match="has_more_path"):
        read(lambda _: Reply({"data": [{"id": 1}]}), {"type": "offset", "limit": 1, "has_more_path": "more"})
    with pytest.raises(SourceError, match=r"nothing at `data\.items`"):
        read(lambda _: Reply({"data": []}), "single_page", data_selector="data.items")
    assert read(lambda _: Reply({}), "single_page", data_selector="items", data_may_be_missing=True)[0] == []


def test_a_paginator_that_could_not_end_is_refused() -> None:
    with pytest.raises(ValidationError, match="would never end"):
        read(by_page, {"type": "page_number", "stop_after_empty_page": False, "total_path": None})
    with pytest.raises(ValidationError, match="needs a `limit`"):
        read(by_page, "offset")


@pytest.mark.parametrize(
    "selector, body, found",
    [
        ("$", [{"id": 1}], [1]),
        ("data", {"data": [{"id": 1}, {"id": 2}]}, [1, 2]),
        ("$.data[*].node", {"data": [{"node": {"id": 1}}, {"node": {"id": 2}}]}, [1, 2]),
        ("groups[*].rows", {"groups": [{"rows": [{"id": 1}]}, {"rows": [{"id": 2}, {"id": 3}]}]}, [1, 2, 3]),
        ("data[0]", {"data": [{"id": 1}, {"id": 2}]}, [1]),
        ("['a.b']", {"a.b": [{"id": 4}]}, [4]),
        ("result", {"result": {"id": 9}}, [9]),
        (None, {"widgets": [{"id": 1}], "tags": ["x"], "meta": {"data": [{"id": 5}]}}, [1]),
        (None, {"id": 3, "name": "one record"}, [3]),
    ],
)
def test_where_records_are(selector: str | None, body: Any, found: list[int]) -> None:
    assert read(lambda _: Reply(body), "single_page", data_selector=selector)[0] == found


def test_numbers_come_as_they_are_written() -> None:
    text = b'{"id": 12345678901234567890, "price": 0.12345678901234567, "big": 1e400, "list": [1.10]}'
    with (
        serving(lambda _: Reply(b'{"data": [ ' + text + b"\n]}")) as server,
        api(server.url, {"items": {}}) as shop,
    ):
        (page,) = shop.pages("items")
        assert page.records == [text]


def test_links_lead_to_the_host_of_the_credentials_alone() -> None:
    with serving(lambda _: Reply([])) as other:

        def answer(_: Asked) -> Reply:
            return Reply({"items": [{"id": 1}], "next": f"{other.url}/items?at=3"})

        auth = {"type": "bearer", "token_env": "SHOP_TOKEN"}
        with (
            serving(answer) as server,
            api(server.url, {"items": {}}, auth=auth, paginator="json_link") as shop,
        ):
            with pytest.raises(SourceError, match="credentials are sent to the host"):
                shop.pages("items")
            assert other.asked == []
            assert server.asked[0].headers["Authorization"] == "Bearer s3cr3t-value"


def test_failures_name_table_and_endpoint() -> None:
    for status, error in ((401, SourceError), (404, TableMissing), (500, SourceUnreachable)):
        with pytest.raises(error, match=r"shop: GET lists/items at 127.0.0.1:\d+ answered " + str(status)):
            read(lambda _, status=status: Reply(status=status), "auto", path="lists/items", params={"q": "x"})


def test_answers_may_be_ignored() -> None:
    actions = [{"status_code": 404, "action": "ignore"}, {"content": "nothing here", "action": "ignore"}]
    for reply in (Reply(b"<html>", status=404), Reply({"error": "nothing here"})):
        assert read(lambda _, reply=reply: reply, "auto", response_actions=actions)[0] == []
    with pytest.raises(SourceError, match="answered 403"):
        read(
            lambda _: Reply({"why": "limits"}, 403),
            "auto",
            response_actions=[{"status_code": "4xx", "content": "nothing", "action": "ignore"}],
        )
