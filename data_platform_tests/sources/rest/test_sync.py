"""A REST source through a whole sync: from a server's bytes to rows of the warehouse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import SourceError, SourceUnreachable
from data_platform.sources.records import fetch
from data_platform.sync import check_sources, open_platform, sync_changes, sync_slices
from data_platform.tables import Slice, TableId
from data_platform_tests.sources.http.server import Asked, Reply, Server, serving
from data_platform_tests.sources.one_source import OneSource


class Shop(OneSource):
    """A project over a server whose ``records`` lie behind a cursor, two a page."""

    source = "shop"

    def __init__(self, root: Path, server: Server) -> None:
        self.root, self.server = root, server

    def write(self, tables: dict[str, Any], **more: Any) -> Shop:
        connection = {"base_url": self.server.url, "attempts": 1}
        self.put({"kind": "rest", "connection": connection, "tables": tables, **more})
        return self


@contextmanager
def shop(root: Path, answer: Any) -> Iterator[Shop]:
    with serving(answer) as server:
        yield Shop(root, server)


RECORD = (
    '{"id": 7, "long": 12345678901234567890, "price": 0.10, "exact": 1234567890.123456789, "paid": true, "at": "2026-01-02T03:04:05Z",'
    ' "customer": {"email": "eve@example.com", "size": 1.10}, "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]}'
)


def test_values_and_children_are_what_the_api_wrote(tmp_path: Path) -> None:
    tables = {
        "orders": {
            "key": "id",
            "types": {"at": "timestamp"},
            "personal": {"customer.email": "hash"},
        },
        "lines": {"of": "orders", "path": "lines"},
    }
    with shop(tmp_path, lambda _: Reply(f'{{"data": [{RECORD}]}}'.encode())) as api:
        api.write(tables).good()
        assert api.rows('SELECT long, price, exact, paid, epoch("at") FROM raw_shop.orders') == [
            (12345678901234567890, 0.1, Decimal("1234567890.123456789000000000"), True, 1767323045.0)
        ]
        ((record,),) = api.rows("SELECT _record FROM raw_shop.orders")
        assert '"price": 0.10' in record and '"size": 1.10' in record and "eve@" not in record
        lines = api.rows("SELECT _parent_id, _index, sku, n FROM raw_shop.lines ORDER BY _index")
        assert lines == [(7, 0, "a", 1), (7, 1, "b", 2)]
        assert {asked.path for asked in api.server.asked} == {"/orders"}


def test_one_walk_feeds_a_table_and_its_children(tmp_path: Path) -> None:
    with shop(tmp_path, lambda _: Reply([{"id": 1, "lines": [{"n": 1}]}])) as api:
        api.write({"orders": {"key": "id"}, "lines": {"of": "orders", "path": "lines"}}).good()
        assert api.server.paths() == ["/orders"]


def paged(asked: Asked, count: int, broken: set[int]) -> Reply:
    at = int(asked.query.get("cursor", 0))
    if at // 2 in broken:
        return Reply(status=503, headers={"Retry-After": "0"})
    found = [{"id": n, "seq": n} for n in range(int(asked.query.get("since", 0)), count)]
    return Reply(
        {"items": found[at : at + 2], "cursors": {"next": str(at + 2) if at + 2 < len(found) else None}}
    )


BLOCK = {
    "items": {
        "key": "id",
        "endpoint": {"paginator": "cursor", "incremental": {"cursor_path": "seq", "start_param": "since"}},
    }
}


def test_a_read_that_is_cut_at_page_40_goes_on_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "STEP_RECORDS", 10)
    broken = {40}
    with shop(tmp_path, lambda asked: paged(asked, 101, broken)) as api:
        error = api.write(BLOCK).sync()["items"].error
        assert isinstance(error, SourceUnreachable) and "503" in str(error)
        assert sum(batch.rows for batch in api.platform.ledger.since(TableId("shop", "items"), 0)) == 80
        broken.clear()
        api.server.asked.clear()
        api.good()
        assert api.rows("SELECT count(*), count(DISTINCT id) FROM raw_shop.items") == [(101, 101)]
        assert len(api.server.asked) == 11 and api.server.asked[0].query["cursor"] == "80"
        api.server.asked.clear()
        assert api.good()["items"].manifest is None
        assert api.server.asked[0].query == {"since": "100"}


def test_a_whole_read_that_is_cut_changes_nothing(tmp_path: Path) -> None:
    broken: set[int] = set()
    with shop(tmp_path, lambda asked: paged(asked, 9, broken)) as api:
        api.write({"items": {"key": "id", "endpoint": {"paginator": "cursor"}}}).good()
        broken.add(3)
        assert api.sync()["items"].error is not None
        assert api.rows("SELECT count(*) FROM raw_shop.items") == [(9,)]


def test_what_is_gone_goes_with_a_whole_read(tmp_path: Path) -> None:
    records = [{"id": 1}, {"id": 2}]
    with shop(tmp_path, lambda _: Reply(records)) as api:
        api.write({"items": {"key": "id"}}).good()
        del records[0]
        api.good()
        assert api.rows("SELECT id FROM raw_shop.items") == [(2,)]


def test_a_parents_fields_are_columns(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/posts":
            return Reply([{"id": 1, "lang": "de"}, {"id": 2, "lang": "en"}])
        return Reply([{"id": int(asked.path.split("/")[2]) * 10}])

    tables = {
        "posts": {"key": "id"},
        "comments": {
            "key": ["_posts_id", "id"],
            "endpoint": "posts/{resources.posts.id}/comments",
            "include_from_parent": ["id", "lang"],
        },
    }
    with shop(tmp_path, answer) as api:
        api.write(tables).good()
        assert api.rows("SELECT _posts_id, _posts_lang, id FROM raw_shop.comments ORDER BY id") == [
            (1, "de", 10),
            (2, "en", 20),
        ]


def test_days_are_replaced_by_themselves(tmp_path: Path) -> None:
    records = [{"id": n, "day": f"2026-01-0{d}"} for n, d in ((1, 1), (2, 2), (3, 2), (4, 3))]

    def answer(asked: Asked) -> Reply:
        start, end = asked.query.get("from", ""), asked.query.get("to", "9")
        return Reply([r for r in records if start <= str(r["day"]) <= end])

    block = {
        "key": "id",
        "partition": "day",
        "types": {"day": "date"},
        "endpoint": {"incremental": {"cursor_path": "day", "start_param": "from", "end_param": "to"}},
    }
    with shop(tmp_path, answer) as api:
        api.write({"items": block}, start="2026-01-01").good()
        del records[1:3]
        records.append({"id": 5, "day": "2026-01-02"})
        assert [
            report.error for report in sync_slices(api.platform, "shop", None, [Slice("2026-01-02")])
        ] == [None]
        assert api.rows("SELECT id FROM raw_shop.items ORDER BY id") == [(1,), (4,), (5,)]
        assert {"from": "2026-01-02", "to": "2026-01-03"} in [asked.query for asked in api.server.asked]


def test_personal_fields_are_decided_before_anything_is_written(tmp_path: Path) -> None:
    with shop(tmp_path, lambda _: Reply([{"id": 1, "author": {"email": "eve@example.com"}}])) as api:
        error = api.write({"posts": {"key": "id"}}).sync()["posts"].error
        assert error is not None and "author.email" in str(error)
        (mistake,) = check_sources(api.platform).mistakes
        assert "author.email" in mistake
        assert not list((tmp_path / "landing").rglob("*.parquet"))


def test_what_is_wrong_is_told_before_the_first_sync(tmp_path: Path) -> None:
    with shop(tmp_path, lambda _: Reply(b"<html>", headers={"Content-Type": "text/html"})) as api:
        (mistake,) = check_sources(api.write({"posts": {"key": "id"}}).platform).mistakes
        assert "GET posts" in mistake and "HTML" in mistake
        error = api.sync()["posts"].error
        assert isinstance(error, SourceError) and "HTML" in str(error)


def test_one_broken_table_stops_no_other(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(status=403) if asked.path == "/secrets" else Reply([{"id": 1}])

    with shop(tmp_path, answer) as api:
        reports = api.write({"secrets": {"key": "id"}, "posts": {"key": "id"}}).sync()
        assert reports["posts"].error is None
        assert "403" in str(reports["secrets"].error) and "may not read" in str(reports["secrets"].error)


def test_no_secret_is_in_any_byte(tmp_path: Path) -> None:
    secret = "s3cr3t-value-of-a-token"

    def answer(asked: Asked) -> Reply:
        at = int(asked.query.get("at", 0))
        link = f"/items?key={asked.query['key']}&at={at + 1}" if at < 3 else None
        return Reply({"items": [{"id": at}], "next": link})

    with shop(tmp_path, answer) as api:
        api.write(
            {
                "items": {
                    "key": "id",
                    "endpoint": {"incremental": {"cursor_path": "id", "start_param": "since"}},
                }
            },
            connection={
                "base_url": api.server.url,
                "auth": {"type": "api_key", "name": "key", "location": "query", "api_key_env": "SHOP_KEY"},
                "paginator": "json_link",
            },
        )
        platform = open_platform(tmp_path, "local", {"SHOP_KEY": secret})
        (report,) = sync_changes(platform, "shop")
        assert report.error is None and len(api.server.asked) == 4
        assert all(asked.query["key"] == secret for asked in api.server.asked)
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes()


def test_a_million_is_bounded_by_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a million here: steps of 1,000 of 5,000 records, each of one manifest."""
    monkeypatch.setattr(fetch, "STEP_RECORDS", 1000)
    text = json.dumps([{"id": n, "seq": n} for n in range(500)])[1:-1]

    def answer(asked: Asked) -> Reply:
        at = int(asked.query.get("cursor", 0))
        body = text.replace('"id": ', f'"id": {at + 1}').replace('"seq": ', f'"seq": {at + 1}')
        return Reply(f'{{"items": [{body}], "cursors": {{"next": {at + 1 if at < 9 else "null"}}}}}'.encode())

    with shop(tmp_path, answer) as api:
        api.write(BLOCK).good()
        assert api.rows("SELECT count(*) FROM raw_shop.items") == [(5000,)]
        assert len(api.platform.ledger.since(TableId("shop", "items"), 0)) == 5
