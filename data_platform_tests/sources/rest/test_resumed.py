"""A table whose changes cannot be asked for: its first read, cut, goes on at its page; every later one is of all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.sources.http.waiting import SystemClock
from data_platform.sources.records import fetch
from data_platform.sync import TableReport, open_platform, sync_changes
from data_platform.tables import TableId
from data_platform_tests.sources.http.server import Asked, Reply, Server, serving
from data_platform_tests.sources.one_source import PLATFORM

PAGINATORS: dict[str, Mapping[str, Any]] = {
    "page": {"type": "page_number", "base_page": 1, "total_path": None},
    "offset": {"type": "offset", "limit": 2, "total_path": None},
    "cursor": {"type": "cursor", "cursor_path": "next", "cursor_param": "after"},
    "link": {"type": "json_link", "next_url_path": "link"},
}


class Shop:
    def __init__(self, root: Path, server: Server, paginator: str) -> None:
        self.root, self.server, self.ids, self.fails = root, server, list(range(1, 10)), 99
        (root / "catalog" / "sources").mkdir(parents=True)
        (root / "catalog" / "platform.yaml").write_text(PLATFORM)
        tables = {
            "items": {"key": "id", "endpoint": {"path": "items", "paginator": dict(PAGINATORS[paginator])}},
            "parts": {"of": "items", "path": "parts"},
        }
        source = {"source": "shop", "kind": "rest", "connection": {"base_url": server.url}, "tables": tables}
        (root / "catalog" / "sources" / "shop.yaml").write_text(yaml.safe_dump(source))

    def answer(self, asked: Asked) -> Reply:
        query = asked.query
        at = int(query.get("after") or query.get("offset") or 2 * (int(query.get("page", 1)) - 1))
        if at >= self.fails:
            return Reply(status=500)
        some = [{"id": n, "parts": [{"n": n}]} for n in self.ids[at : at + 2]]
        after = at + 2 if at + 2 < len(self.ids) else None
        link = after and f"{self.server.url}/items?after={after}"
        return Reply(json.dumps({"items": some, "next": after and str(after), "link": link}).encode())

    def sync(self) -> dict[str, TableReport]:
        reports = sync_changes(open_platform(self.root, "local", {}), "shop")
        return {report.table.table: report for report in reports}

    def held(self, column: str = "id", table: str = "items") -> list[Any]:
        with open_platform(self.root, "local", {}).warehouse(read_only=True) as warehouse:
            rows = warehouse.query(f"SELECT {column} FROM raw_shop.{table} ORDER BY 1").rows
        return [one for (one,) in rows]

    def landed(self) -> list[tuple[str, int]]:
        batches = open_platform(self.root, "local", {}).ledger.since(TableId("shop", "items"), 0)
        return [(batch.load, batch.rows) for batch in batches]

    def asked(self) -> int:
        count = len(self.server.asked)
        self.server.asked.clear()
        return count


@pytest.fixture(params=[*PAGINATORS])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(SystemClock, "wait", lambda *_: None)
    monkeypatch.setattr(fetch, "STEP_RECORDS", 4)
    with serving(lambda _: Reply()) as server:
        made = Shop(tmp_path, server, request.param)
        server.answer = made.answer
        yield made


def test_a_first_read_goes_on_where_it_was_cut(shop: Shop) -> None:
    shop.fails = 6
    reports = shop.sync()
    assert reports["items"].error is not None and reports["parts"].error is not None
    assert shop.held() == [1, 2, 3, 4, 5, 6] == shop.held("n", "parts"), "what was read is there"
    assert shop.landed() == [("replace", 4), ("merge", 2)]
    shop.fails = 99
    shop.asked()
    assert {report.error for report in shop.sync().values()} == {None}
    rest = shop.asked()
    assert shop.held() == [*range(1, 10)] == shop.held("n", "parts")
    assert shop.landed()[2:] == [("merge", 3)]
    shop.ids.remove(2)
    assert {report.error for report in shop.sync().values()} == {None}
    assert shop.held() == [1, *range(3, 10)] == shop.held("n", "parts"), "a later read is of all"
    assert shop.landed()[-1] == ("replace", 8) and shop.asked() > rest


def test_a_later_read_that_is_cut_changes_nothing(shop: Shop) -> None:
    assert {report.error for report in shop.sync().values()} == {None}
    shop.ids.remove(1)
    shop.fails = 6
    before = shop.landed()
    assert shop.sync()["items"].error is not None
    assert shop.held() == [*range(1, 10)] and shop.landed() == before
    shop.fails = 99
    shop.sync()
    assert shop.held() == [*range(2, 10)]
