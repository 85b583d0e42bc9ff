"""A large CSV file for the benchmark, and what turns it into Parquet:
``python -m benchmarks.files ours|duckdb text|typed FOLDER seconds.json`` after ``made(FOLDER, megabytes)``."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

TYPES = {
    "id": "bigint",
    "customer": "bigint",
    "amount": "decimal(12,2)",
    "ordered_on": "date",
    "updated_at": "timestamp",
    "paid": "bool",
}
FILE = "exports/orders.csv"
HEADER = "id,customer,amount,ordered_on,updated_at,paid,status,code,city,label\n"


def made(folder: Path, megabytes: int) -> int:
    """``FILE`` below ``folder`` with rows of some 110 bytes and ten columns; gives their number."""
    luck = random.Random(1)
    cities = ["Köln", "Bonn", "Aix-la-Chapelle", "Trier", '"Ulm, Donau"']
    lines = [
        f"{luck.randint(1, 10**6)},{luck.randint(100, 10**7) / 100:.2f},2026-{luck.randint(1, 12):02}-{luck.randint(1, 28):02},"
        f"2026-01-{luck.randint(1, 28):02}T{luck.randint(0, 23):02}:15:{luck.randint(0, 59):02}Z,{luck.choice(['true', 'false'])},"
        f"{luck.choice(['paid', 'open', 'refunded'])},{luck.getrandbits(64):016x},{luck.choice(cities)},{'x' * luck.randint(0, 30)}\n"
        for _ in range(50_000)
    ]
    file = folder / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = size = 0
    with file.open("w", encoding="utf-8") as target:
        target.write(HEADER)
        while size < megabytes * 10**6:
            text = "".join(f"{rows + n},{line}" for n, line in enumerate(lines, 1))
            target.write(text)
            rows, size = rows + len(lines), size + len(text)
    return rows


def ours(folder: Path, types: dict[str, str]) -> float:
    """Seconds of a source's reading: from the listing to parts with each row's file and number, and the file's digest."""
    import yaml

    from data_platform.sources.kinds import open_reading
    from data_platform.sources.reading import Ask, Opening, PlannedRead, Prior
    from data_platform.sync import open_platform
    from data_platform.sync.columns import land
    from data_platform.sync.sealed import OnlyLooking

    block = {"files": "*.csv", "types": types}
    source = {
        "source": "bench",
        "kind": "files",
        "connection": {"path": "exports", "settle_seconds": 0},
        "tables": {"orders": block},
    }
    local = {
        "landing": {"kind": "local", "path": "landing"},
        "warehouse": {"kind": "duckdb", "path": "w.duckdb"},
    }
    (folder / "catalog/sources").mkdir(parents=True)
    (folder / "catalog/platform.yaml").write_text(yaml.safe_dump({"environments": {"local": local}}))
    (folder / "catalog/sources/bench.yaml").write_text(yaml.safe_dump(source))
    platform = open_platform(folder, "local", {})
    known = platform.catalog.source("bench")
    table, prior = known.tables["orders"], Prior()
    opening = Opening("bench", known.connection.under(folder), {}, [table])
    began = time.perf_counter()
    with open_reading("files", opening) as reading:
        now = reading.describe(table, prior)
        plan = reading.plan(table, prior, now, reading.drift(table, prior, now), Ask("whole"))
        first = land(table, now, "2026-01-01", OnlyLooking())
        reading.start([PlannedRead(plan, first, folder / "parts")], None)
        rows, more = 0, True
        while more:
            found = reading.found(plan)
            assert found is not None
            parts = reading.finish(_with(plan, found), land(table, found, "2026-01-01", OnlyLooking()))
            rows, more = rows + parts.rows, parts.more
    seconds = time.perf_counter() - began
    assert rows > 0
    return seconds


def _with(plan: Any, found: Any) -> Any:
    from dataclasses import replace

    return replace(plan, now=found)


def duckdb(folder: Path, types: dict[str, str]) -> float:
    """Seconds of DuckDB's own ``read_csv`` into one Parquet file, as it does it by default."""
    import duckdb as engine

    how = ", types={'amount': 'DECIMAL(12,2)'}" if types else ", all_varchar=true"
    with engine.connect(":memory:", config={"threads": 2}) as connection:
        began = time.perf_counter()
        select = f"SELECT * FROM read_csv('{folder / FILE}'{how})"
        connection.execute(f"COPY ({select}) TO '{folder / 'engine.parquet'}' (FORMAT parquet)")
        return time.perf_counter() - began


if __name__ == "__main__":
    act = {"ours": ours, "duckdb": duckdb}[sys.argv[1]]
    taken = act(Path(sys.argv[3]), TYPES if sys.argv[2] == "typed" else {})
    Path(sys.argv[4]).write_text(json.dumps(taken))
