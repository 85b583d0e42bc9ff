"""Records for the benchmark, and what turns them into parts: ``python -m benchmarks.records flat 1000000 seconds.json``.

The records are made first, then the clock runs: from pages of JSON in memory to Parquet files of typed columns.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = 1_000
DLT = """\
import os, sys, json, time
import dlt
from benchmarks_records import made
kind, count = sys.argv[1], int(sys.argv[2])
pages = made(kind, count)
pipeline = dlt.pipeline("bench", destination="filesystem", dataset_name="raw", pipelines_dir="state")

@dlt.resource(name="items", primary_key="id", write_disposition="append")
def items():
    for page in pages:
        yield json.loads(page)

began = time.perf_counter()
pipeline.extract(items(), loader_file_format="parquet")
pipeline.normalize()
open(sys.argv[3], "w").write(json.dumps(time.perf_counter() - began))
"""


def made(kind: str, count: int) -> list[bytes]:
    """Pages of ``count`` records, ``flat`` (10 fields, 185 bytes) or ``nested`` (two objects, two arrays, 420 bytes)."""
    luck = random.Random(1)
    make = _flat if kind == "flat" else _nested
    return [
        json.dumps([make(n, luck) for n in range(first, min(first + PAGE, count))]).encode()
        for first in range(0, count, PAGE)
    ]


def _flat(n: int, luck: random.Random) -> dict[str, Any]:
    return {
        "id": n,
        "created": 1_700_000_000 + n,
        "amount": luck.randint(1, 10**6),
        "currency": "eur",
        "status": luck.choice(["paid", "open"]),
        "code": f"u{n}",
        "rate": round(luck.random() * 100, 4),
        "ok": True,
        "note": None,
        "title": "x" * 20,
    }


def _nested(n: int, luck: random.Random) -> dict[str, Any]:
    lines = [{"sku": f"s{k}", "n": k, "price": 1.25} for k in range(3)]
    return {
        **_flat(n, luck),
        "billing": {"zone": f"a{n % 9}", "geo": {"lat": round(luck.random(), 6), "lon": 1.5}},
        "tags": ["a", "b"],
        "lines": {"data": lines, "has_more": False},
    }


def ours(pages: Sequence[bytes]) -> float:
    """Seconds for all pages: one thread walks them into steps, another writes each step's part."""
    import msgspec

    from data_platform.sources.reading import LandedColumns
    from data_platform.sources.records.feed import Page
    from data_platform.sources.records.fields import clear_columns, with_needed, words_of
    from data_platform.sources.records.keys import RecordSettings
    from data_platform.sources.records.write import Writer
    from data_platform.tables import Column, TableId

    @dataclass
    class Items:
        id: TableId = field(default_factory=lambda: TableId("bench", "items"))
        key: tuple[str, ...] = ("id",)
        strategy: str = "merge"
        only: tuple[str, ...] = ()
        partition: str | None = None
        settings: RecordSettings = field(default_factory=lambda: RecordSettings("items"))

    table: Any = Items()
    raw = msgspec.json.Decoder(list[msgspec.Raw])

    def walked() -> Iterator[Page]:
        for n, page in enumerate(pages):
            records = [bytes(record) for record in raw.decode(page)]
            yield Page(records, {"page": n}, f"page {n}", f"page {n}", more=n + 1 < len(pages))

    def write(step: Any, folder: Path, number: int) -> None:
        words = with_needed(table, table.settings, words_of(table, {}, {}, step.values, afresh=True))
        clear = clear_columns(table, table.settings, words)
        columns = tuple(Column(c.name, c.type, c.source_type) for c in clear)
        landed = LandedColumns(columns, tuple(c.value for c in clear))
        step.paths.found()
        Writer(table, table.settings, words, [], landed).write(step, folder / f"{number}.parquet")

    with tempfile.TemporaryDirectory() as name:
        return _timed(lambda: _walk(table, walked(), Path(name), write))


def _walk(table: Any, walked: Iterator[Any], folder: Path, write: Callable[[Any, Path, int], None]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from data_platform.sources.records.fetch import STEP_BYTES, STEP_RECORDS
    from data_platform.sources.records.steps import Gathering

    gathering, size, records = Gathering(table, {}, folder), 0, 0
    with ThreadPoolExecutor(1) as writer:
        under_way = []
        for page in walked:
            gathering.add(page)
            size += sum(map(len, page.records))
            records += len(page.records)
            if size >= STEP_BYTES or records >= STEP_RECORDS or not page.more:
                under_way.append(writer.submit(write, gathering.end_step(), folder, len(under_way)))
                size = records = 0
        for step in under_way:
            step.result()


def _timed(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    _, kind, count, file = sys.argv
    Path(file).write_text(json.dumps(ours(made(kind, int(count)))))
