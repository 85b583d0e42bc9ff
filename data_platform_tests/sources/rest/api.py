"""Tables over a server of a test's, read through the feed alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from data_platform.catalog.table import TableSettings
from data_platform.sources.kind import KindSettings
from data_platform.sources.reading import Ask, Opening
from data_platform.sources.records.feed import Page, State, Wanted
from data_platform.sources.rest.config import RestConnection
from data_platform.sources.rest.feed import RestFeed
from data_platform.sources.rest.keys import RestTableKeys
from data_platform.tables import Slice, Strategy, TableId
from data_platform_tests.sources.http.test_client import FakeClock


class Block(RestTableKeys, TableSettings):
    """A table's block, as far as the feed looks at it."""


@dataclass(frozen=True)
class Table:
    id: TableId
    settings: KindSettings
    key: tuple[str, ...] = ("id",)
    cursor: str | None = None
    partition: str | None = None
    timezone: str = "UTC"
    strategy: Strategy = "merge"
    only: tuple[str, ...] = ()


@dataclass
class Api:
    feed: RestFeed
    tables: Mapping[str, Table]
    clock: FakeClock

    def pages(
        self, name: str, start: State | None = None, *, days: Sequence[str] = (), pages: int | None = None
    ) -> list[Page]:
        """The pages of a read, or the first of them."""
        ask = Ask("slices", slices=tuple(map(Slice, days))) if days else Ask("changes" if start else "whole")
        table = self.tables[name]
        got: list[Page] = []
        for page in self.feed.pages(Wanted(self.feed.stream(table), (table,), start, ask)):
            got.append(page)
            if len(got) == pages:
                break
        return got


@contextmanager
def api(url: str, tables: Mapping[str, Any], timezone: str = "UTC", **connection: Any) -> Iterator[Api]:
    blocks = {name: Block.model_validate({"key": "id", **block}) for name, block in tables.items()}
    made = {
        name: Table(
            TableId("shop", name),
            block.settings(name, None, blocks),
            block.key,
            partition=block.partition,
            timezone=timezone,
        )
        for name, block in blocks.items()
    }
    clock = FakeClock()
    client = RestConnection.model_validate({"base_url": url, **connection})
    with RestFeed(
        Opening("shop", client, {"SHOP_TOKEN": "s3cr3t-value"}, list(made.values())), clock
    ) as feed:
        yield Api(feed, made, clock)


def ids(pages: Sequence[Page]) -> list[Any]:
    return [json.loads(record)["id"] for page in pages for record in page.records]


@dataclass
class Items:
    """Records of an endpoint that gives ``size`` of them a page."""

    count: int = 7
    size: int = 3
    records: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.records = self.records or [{"id": n} for n in range(1, self.count + 1)]

    def page(self, at: int, size: int | None = None) -> list[dict[str, Any]]:
        return self.records[at : at + (size or self.size)]
