"""People found, exported and erased among millions of rows of four tables.

    python -m benchmarks.erasing [--rows 10000000] [--people 3]

A PostgreSQL server is filled and synced once; then one person is found and exported, and some are erased one after the other:
wall time of each, and of the longest steps. The source keeps its rows, so the last sync shows that nobody comes back.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb, memory_limit: 1GB}
"""
SOURCE = """\
source: shop
kind: postgres
connection: {url_env: SHOP_URL}
tables:
  users: {key: user_id, personal: {email: hash}}
  orders: {key: order_id}
  items: {key: item_id}
  events: {key: event_id}
"""
SUBJECTS = """\
subjects:
  customer:
    lookups: {email: shop/users.email, user_id: shop/users.user_id}
    links:
      shop/orders.user_id: shop/users.user_id
      shop/items.order_id: shop/orders.order_id
      shop/events.user_id: shop/users.user_id
"""
SECRETS = {
    "DATA_PLATFORM_HASH_KEY": "a key that only benchmarks use",
    "DATA_PLATFORM_REDACTION_KEY": "another key that only benchmarks use",
}


def statements(rows: int) -> Iterator[str]:
    """One user has 5 orders, each of 2 items, and 10 events: 26 rows."""
    users = rows // 26
    yield f"create table users as select n as user_id, 'person' || n || '@company.example' as email from generate_series(1, {users}) n"
    yield f"create table orders as select n as order_id, 1 + n % {users} as user_id, n % 1000 as amount from generate_series(1, {users * 5}) n"
    yield f"create table items as select n as item_id, 1 + n % {users * 5} as order_id, n % 7 as quantity from generate_series(1, {users * 10}) n"
    yield f"create table events as select n as event_id, 1 + n % {users} as user_id, md5(n::text) as page from generate_series(1, {users * 10}) n"
    for table, key in (
        ("users", "user_id"),
        ("orders", "order_id"),
        ("items", "item_id"),
        ("events", "event_id"),
    ):
        yield f"alter table {table} add primary key ({key})"
    yield "analyze"


def measured(root: Path, rows: int, people: int) -> Iterator[tuple[str, float]]:
    """(what was done, its seconds)."""
    import psycopg

    from benchmarks.source import serving
    from data_platform.sync import open_platform, sync_changes
    from data_platform.sync.erasing import freeze, steps
    from data_platform.sync.subject_export import export
    from data_platform.sync.subjects import find

    (root / "catalog/sources").mkdir(parents=True)
    for name, text in {
        "platform.yaml": PLATFORM,
        "sources/shop.yaml": SOURCE,
        "subjects.yaml": SUBJECTS,
    }.items():
        (root / "catalog" / name).write_text(text)
    with serving() as (_, url):
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements(rows):
                connection.execute(statement.encode())
        platform = open_platform(root, "local", {**os.environ, **SECRETS, "SHOP_URL": url})
        customer = platform.catalog.subject("customer")

        def synced() -> None:
            for report in sync_changes(platform, "shop", verify=True):
                if report.error is not None:
                    raise report.error

        yield "first sync, compared with the source", _seconds(synced)
        asked = {"email": ["person77@company.example"]}
        yield "one person found", _seconds(lambda: find(platform, customer, asked))
        yield "one person exported", _seconds(lambda: export(platform, customer, asked, root / "out"))
        for n in range(1, people + 1):
            person = {"email": [f"person{n * 1000}@company.example"]}
            began = time.monotonic()
            request = freeze.ask(
                platform, customer, freeze.found(platform, customer, person), f"request {n}", "the benchmark"
            )
            done = steps.carry_out(platform, request.id, list)
            yield f"person {n} of {people} erased, {sum(done.rows.values())} rows", time.monotonic() - began
            ends = [
                datetime.fromisoformat(done.done[step]["at"])
                for step in ("landing", "warehouse", "file", "scan")
            ]
            yield "    of which landing", (ends[0] - (done.asked_at or ends[0])).total_seconds()
            yield "    of which the file", (ends[2] - ends[1]).total_seconds()
            yield "    of which the search", (ends[3] - ends[2]).total_seconds()
        yield "a sync after it, compared with the source, which still has them", _seconds(synced)
        found = find(platform, customer, {"user_id": ["1000"]})
        if found.rows:
            raise SystemExit(f"{found.rows} rows of an erased person are there again")


def _seconds(act: object) -> float:
    began = time.monotonic()
    assert callable(act)
    act()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--people", type=int, default=3)
    given = parser.parse_args()
    print(f"{given.rows:,} rows of four tables, {given.rows // 26:,} people")
    with tempfile.TemporaryDirectory() as folder:
        for what, seconds in measured(Path(folder), given.rows, given.people):
            print(f"{seconds:8.1f} s  {what}", flush=True)


if __name__ == "__main__":
    main()
