"""What is asked for of what changed, of parents' records, and of a day; and where a cut read goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from data_platform.errors import SourceError, TableMissing
from data_platform.sources.records.feed import Page
from data_platform.sources.rest.cursor import at_most, before, day_bounds, greater, greatest, in_day
from data_platform_tests.sources.http.server import Asked, Reply, serving
from data_platform_tests.sources.rest.api import Api, api, ids


def events(*times: str) -> list[dict[str, Any]]:
    return [{"id": n, "updated_at": time} for n, time in enumerate(times, 1)]


def since(records: list[dict[str, Any]], field: str = "updated_at") -> Any:
    """An endpoint that gives two records a page of those from ``since`` on, in no order of time."""

    def answer(asked: Asked) -> Reply:
        found = [r for r in records if str(r[field]) >= asked.query.get("since", "")]
        at = int(asked.query.get("cursor", 0))
        return Reply({"items": found[at : at + 2], "next_cursor": at + 2 if at + 2 < len(found) else None})

    return answer


INCREMENTAL = {"cursor_path": "updated_at", "start_param": "since"}


def endpoint(**incremental: Any) -> dict[str, Any]:
    return {"items": {"endpoint": {"incremental": {**INCREMENTAL, **incremental}}}}


DAY = "2026-01-0{}T00:00:00Z"


def test_the_next_read_begins_with_the_greatest_value_whatever_the_order() -> None:
    records = events(*(DAY.format(n) for n in (2, 5, 1, 3)))
    with serving(since(records)) as server, api(server.url, endpoint(initial_value="2026-01-01")) as shop:
        pages = shop.pages("items")
        assert ids(pages) == [1, 2, 3, 4] and server.asked[0].query["since"] == "2026-01-01"
        assert pages[-1].text == f"up to {DAY.format(5)}"
        records.append({"id": 5, "updated_at": DAY.format(5)})  # a tie of the greatest
        again = shop.pages("items", pages[-1].state)
        assert server.asked[-1].query["since"] == DAY.format(5)
        assert ids(again) == [5]  # the one that was read before is known by its bytes
        records[1]["note"] = "changed without a new time"
        assert ids(shop.pages("items", again[-1].state)) == [2]


def test_a_look_back_asks_for_what_came_late() -> None:
    records = events(DAY.format(5))
    with serving(since(records)) as server, api(server.url, endpoint(lag=86_400)) as shop:
        state = shop.pages("items")[-1].state
        records.append({"id": 2, "updated_at": DAY.format(4)})
        (page,) = shop.pages("items", state)
        assert server.asked[-1].query["since"] == DAY.format(4) and ids([page]) == [2]
        (again,) = shop.pages("items", page.state)
        assert ids([again]) == [] and again.state == page.state
        assert len(page.state["edge"]) == 2  # type: ignore[arg-type]


def test_too_many_records_at_the_edge_are_read_again() -> None:
    records = events(*[DAY.format(5)] * 1200)
    with serving(lambda _: Reply(records)) as server, api(server.url, endpoint()) as shop:
        (page,) = shop.pages("items")
        assert "edge" not in page.state
        (again,) = shop.pages("items", page.state)
        assert len(again.records) == 1200


def test_nothing_new_keeps_the_place() -> None:
    with serving(since([])) as server, api(server.url, endpoint()) as shop:
        (page,) = shop.pages("items", {"cursors": {"": '"2026-01-05"'}})
        assert page.state == {"cursors": {"": '"2026-01-05"'}} and not page.more
        assert server.asked[-1].query["since"] == "2026-01-05"


def test_a_cut_read_keeps_what_it_saw_and_where_it_began() -> None:
    records = events(*(DAY.format(n) for n in (9, 2, 1, 3, 2)))
    with serving(since(records)) as server, api(server.url, endpoint()) as shop:
        (first,) = shop.pages("items", {"cursors": {"": '"2026-01-01"'}}, pages=1)
        state = json.loads(json.dumps(first.state))
        rest = shop.pages("items", state)
        assert ids([first, *rest]) == [1, 2, 3, 4, 5]
        assert {asked.query["since"] for asked in server.asked} == {"2026-01-01"}
        assert rest[-1].state["cursors"] == {"": f'"{DAY.format(9)}"'}


def test_a_place_that_the_api_forgot_begins_the_read_anew() -> None:
    records = events(*(DAY.format(n) for n in (1, 2, 3)))

    def answer(asked: Asked) -> Reply:
        return Reply(status=410) if asked.query.get("cursor") == "99" else since(records)(asked)

    with serving(answer) as server, api(server.url, endpoint()) as shop:
        (first,) = shop.pages("items", pages=1)
        lost = {**first.state, "trail": [{"page": {**first.state["trail"][0]["page"], "cursor": "99"}}]}
        pages = shop.pages("items", lost)
        assert ids(pages) == [1, 2, 3] and "no longer knows the page" in pages[0].notes[0]


def test_a_paginator_that_is_another_one_by_now_begins_anew() -> None:
    records = events(*(DAY.format(n) for n in (1, 2, 3)))
    with serving(since(records)) as server, api(server.url, endpoint()) as shop:
        pages = shop.pages("items", {"trail": [{"page": {"at": 3}}], "cursors": {}})
        assert ids(pages) == [1, 2, 3]


def test_a_record_without_the_value_stops_the_table_or_is_told_to_land() -> None:
    records = Reply([{"id": 1, "updated_at": None}, {"id": 2, "updated_at": "2026-01-02"}])
    with serving(lambda _: records) as server:
        with (
            api(server.url, endpoint()) as shop,
            pytest.raises(SourceError, match=r"1 record.* no value at `updated_at`"),
        ):
            shop.pages("items")
        with api(server.url, endpoint(on_cursor_value_missing="include")) as shop:
            assert ids(shop.pages("items")) == [1, 2]


def test_a_wrong_clock_of_one_record_hides_nothing_later() -> None:
    records = events("2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z")
    with serving(since(records)) as server, api(server.url, endpoint()) as shop:
        cursor = json.loads(shop.pages("items")[-1].state["cursors"][""])
        assert abs(datetime.fromisoformat(cursor) - datetime.now(UTC)).total_seconds() < 3600


def test_placeholders_take_the_value_where_they_stand() -> None:
    def answer(asked: Asked) -> Reply:
        assert json.loads(asked.body) == {"where": {"id": {"gte": 17}}, "text": "id>=17"}
        return Reply([{"id": 20}])

    json_ = {"where": {"id": {"gte": "{incremental.start_value}"}}, "text": "id>={incremental.last_value}"}
    block = {"method": "POST", "json": json_, "incremental": {"cursor_path": "id", "initial_value": 17}}
    with serving(answer) as server, api(server.url, {"items": {"endpoint": block}}) as shop:
        assert shop.pages("items")[-1].state["cursors"] == {"": "20"}


@pytest.mark.parametrize(
    "one, other, last",
    [
        ('"2026-01-01T00:00:00+02:00"', '"2026-01-01T00:00:00Z"', '"2026-01-01T00:00:00Z"'),
        ('"2026-01-01T00:00:00.5Z"', '"2026-01-01T00:00:00Z"', '"2026-01-01T00:00:00.5Z"'),
        ("9", "10", "10"),
        ('"9"', '"10"', '"10"'),
        ("12345678901234567890", "12345678901234567891", "12345678901234567891"),
        ('"b"', '"a"', '"b"'),
    ],
)
def test_which_of_two_is_later(one: str, other: str, last: str) -> None:
    assert (
        greater(one, other) == greater(other, one) == greatest([one, other]) == greatest([other, one]) == last
    )
    assert greater(None, one) == greater(one, None) == one


def test_what_lies_before() -> None:
    assert before('"2026-01-01T00:00:30.250Z"', 60) == '"2025-12-31T23:59:30.250000Z"'
    assert before('"2026-01-01T00:00:00+02:00"', 60) == '"2025-12-31T23:59:00+02:00"'
    assert before('"2026-01-03"', 2) == '"2026-01-01"'
    assert before("100", 1) == "99" and before('"100"', 1) == '"99"'
    with pytest.raises(ValueError):
        before('"abc"', 1)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert at_most("1893456000", now, "epoch") == "1767225600"
    assert at_most("1893456000", now, None) == "1893456000"


# Parents


def blog(asked: Asked) -> Reply:
    """Three posts on two pages; post 2 has five comments on three pages, post 3 none."""
    comments = {"1": [11], "2": [21, 22, 23, 24, 25], "3": []}
    at = int(asked.query.get("at", 0))
    size = 2
    if asked.path == "/posts":
        held: list[Any] = [{"id": n, "title": f"Post {n}", "tag": {"name": f"t{n}"}} for n in (1, 2, 3)]
    else:
        held = [{"id": n} for n in comments[asked.path.split("/")[2]]]
    nxt = f"{asked.path}?at={at + size}" if at + size < len(held) else None
    return Reply({"items": held[at : at + size], "next": nxt})


BLOG: dict[str, Any] = {
    "posts": {},
    "comments": {
        "endpoint": "posts/{resources.posts.id}/comments",
        "include_from_parent": ["id", "title"],
    },
}
COMMENTS = [11, 21, 22, 23, 24, 25]


def test_each_parents_pages_begin_anew() -> None:
    with serving(blog) as server, api(server.url, BLOG, paginator="json_link") as shop:
        pages = shop.pages("comments")
        assert ids(pages) == COMMENTS
        assert server.paths() == [
            "/posts",
            "/posts/1/comments",
            "/posts/2/comments",
            "/posts/2/comments?at=2",
            "/posts/2/comments?at=4",
            "/posts?at=2",
            "/posts/3/comments",
        ]
        assert json.loads(pages[0].records[0]) == {"id": 11, "_posts_id": 1, "_posts_title": "Post 1"}
        assert pages[0].records[0].startswith(b'{"id": 11, ')
        assert not pages[-1].more and pages[-1].state == {}


def cut_everywhere(shop: Api, name: str) -> None:
    whole = shop.pages(name)
    for n in range(1, len(whole)):
        head = shop.pages(name, pages=n)
        tail = shop.pages(name, json.loads(json.dumps(head[-1].state)))
        assert [*ids(head), *ids(tail)] == ids(whole), n


def test_a_read_of_parents_goes_on_wherever_it_was_cut() -> None:
    with serving(blog) as server, api(server.url, BLOG, paginator="json_link") as shop:
        cut_everywhere(shop, "comments")


def test_a_parent_that_moved_is_found_again() -> None:
    posts = [{"id": 1}, {"id": 2}, {"id": 3}]

    def answer(asked: Asked) -> Reply:
        if asked.path == "/posts":
            return Reply(posts)
        return Reply([{"id": int(asked.path.split("/")[2]) * 10}])

    with serving(answer) as server, api(server.url, BLOG, paginator="json_link") as shop:
        head = shop.pages("comments", pages=1)
        posts.insert(0, {"id": 9})
        assert ids(shop.pages("comments", head[-1].state)) == [20, 30]
        del posts[:]
        posts.extend([{"id": 3}, {"id": 4}])
        assert ids(shop.pages("comments", head[-1].state)) == [30, 40]


def test_three_levels() -> None:
    def answer(asked: Asked) -> Reply:
        parts = asked.path.strip("/").split("/")
        return Reply([{"id": f"{parts[-2] if len(parts) > 1 else ''}{n}"} for n in "ab"])

    tables = {
        "a": {"endpoint": "a"},
        "b": {"endpoint": "a/{resources.a.id}/b"},
        "c": {
            "endpoint": {
                "path": "b/{which}/c",
                "params": {"which": {"type": "resolve", "resource": "b", "field": "id"}},
            }
        },
    }
    with serving(answer) as server, api(server.url, tables) as shop:
        assert ids(shop.pages("c")) == ["aaa", "aab", "aba", "abb", "baa", "bab", "bba", "bbb"]
        assert server.asked[2].path == "/b/aa/c" and not server.asked[2].query
        cut_everywhere(shop, "c")


def test_each_parent_has_a_cursor_of_its_own() -> None:
    messages = {"1": [5, 9], "2": [3]}
    channels = [{"id": 1}, {"id": 2}]

    def answer(asked: Asked) -> Reply:
        if asked.path == "/channels":
            return Reply(channels)
        held = messages[asked.path.split("/")[2]]
        return Reply([{"id": n} for n in held if n >= int(asked.query.get("from", 0))])

    tables = {
        "channels": {},
        "messages": {
            "endpoint": {
                "path": "channels/{resources.channels.id}/messages",
                "incremental": {"cursor_path": "id", "start_param": "from", "initial_value": 1},
            }
        },
    }
    with serving(answer) as server, api(server.url, tables) as shop:
        first = shop.pages("messages")
        assert ids(first) == [5, 9, 3]
        messages["2"].append(4)
        messages["3"] = [2]
        channels.append({"id": 3})
        second = shop.pages("messages", first[-1].state)
        assert ids(second) == [9, 3, 4, 2]
        assert [asked.query.get("from") for asked in server.asked[4:]] == ["9", "3", "1"]
        del channels[0]
        third = shop.pages("messages", second[-1].state)
        assert sorted(third[-1].state["cursors"].values()) == ["2", "4"]  # type: ignore[union-attr]


def test_a_parents_value_is_one_segment_of_the_path() -> None:
    found: list[Page] = []
    for value, path in (("a/b?c=1#d", "/posts/a%2Fb%3Fc%3D1%23d/comments"), ("é", "/posts/%C3%A9/comments")):
        with (
            serving(
                lambda asked, value=value: Reply([{"id": value}] if asked.path == "/posts" else [])
            ) as server,
            api(server.url, BLOG) as shop,
        ):
            found += shop.pages("comments")
            assert server.asked[1].path == path
    for value in ("..", ".", ""):
        with serving(lambda _, value=value: Reply([{"id": value}])) as server, api(server.url, BLOG) as shop:
            with pytest.raises(SourceError, match="made of dots"):
                shop.pages("comments")
            assert len(server.asked) == 1
    for record in ({"id": None}, {"id": {"x": 1}}, {"name": 1}):
        with (
            serving(lambda _, record=record: Reply([record])) as server,
            api(server.url, BLOG) as shop,
            pytest.raises(SourceError, match="a record of `posts` has no value at `id`"),
        ):
            shop.pages("comments")


def test_a_parent_that_is_gone_meanwhile() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply([{"id": 1}]) if asked.path == "/posts" else Reply(status=404)

    with serving(answer) as server:
        with api(server.url, BLOG) as shop, pytest.raises(TableMissing, match="action: ignore"):
            shop.pages("comments")
        actions = {
            "path": "posts/{resources.posts.id}/comments",
            "response_actions": [{"status_code": 404, "action": "ignore"}],
        }
        with api(server.url, {"posts": {}, "comments": {"endpoint": actions}}) as shop:
            assert ids(shop.pages("comments")) == []


# Days


def test_a_day_is_asked_for_by_its_bounds() -> None:
    times = ["2026-01-01T22:59:59Z", "2026-01-01T23:00:00Z", "2026-01-02T22:59:59Z", "2026-01-02T23:00:00Z"]
    records = events(*times)

    def answer(asked: Asked) -> Reply:
        start, end = asked.query["since"], asked.query["until"]
        return Reply([r for r in records if start <= r["updated_at"] <= end])

    block = endpoint(end_param="until")["items"]
    tables = {"items": {**block, "partition": "updated_at", "types": {"updated_at": "timestamp"}}}
    with serving(answer) as server, api(server.url, tables, timezone="Europe/Berlin") as shop:
        table = shop.tables["items"]
        assert table.settings.can is not None and table.settings.can.slices
        pages = shop.pages("items", {"cursors": {"": '"x"'}}, days=["2026-01-02"])
        assert server.asked[0].query == {"since": times[1], "until": times[3]}
        assert ids(pages) == [2, 3]  # not the next day's first, which the API gives too
        assert not pages[-1].more
        with pytest.raises(SourceError, match="without a `updated_at`"):
            shop.pages("items", {"cursors": {}}, days=["null"])


def test_days_in_the_words_of_types() -> None:
    from datetime import date

    day = date(2026, 3, 29)  # 23 hours in Berlin
    assert day_bounds(day, "Europe/Berlin", "epoch") == ("1774738800", "1774821600")
    assert day_bounds(day, "Europe/Berlin", "epoch_ms") == ("1774738800000", "1774821600000")
    assert day_bounds(day, "UTC", "date") == ('"2026-03-29"', '"2026-03-30"')
    assert in_day("1774738800", day, "Europe/Berlin", "epoch") and not in_day(
        "1774821600", day, "Europe/Berlin", "epoch"
    )
    assert in_day('"2026-03-29"', day, "UTC", "date") and not in_day('"soon"', day, "UTC", "timestamp")
