"""A table of documents of 20 kB: nearly all of it stored beside the heap, and few rows for its size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from benchmarks.case import Wanted, new_result
from benchmarks.loading import Loading
from benchmarks.measure import BenchmarkError
from benchmarks.project import PLATFORM, Project, plain_environment
from benchmarks.report import Limit, Result
from benchmarks.source import serving

CASES = {
    "wide-copy": ("psql: COPY documents TO STDOUT (binary) > /dev/null", ()),
    "wide": ("50,000 documents of 20 kB: full load", (Limit("ratio_to_copy", 2.5), Limit("peak_mb", 950))),
    "wide-changes": ("1% of the documents updated, by clock", ()),
}
ROWS = 50_000
SOURCE = """\
source: bench
kind: postgres
connection: {url_env: BENCH_DATABASE_URL}
start: 2024-01-01
tables:
  documents: {key: id, cursor: updated_at, cursor_clock: database, personal: {doc: keep}}
"""
CREATE = """
create table documents (id bigint primary key, updated_at timestamptz not null, doc jsonb not null);
create index on documents (updated_at);
create function set_updated_at() returns trigger language plpgsql as
    $$ begin new.updated_at := now(); return new; end $$;
"""
# Everything follows from the number g. Keys and words repeat, as in real documents; a third of the text does not.
FILL = """
insert into documents
select g, now() - interval '2 days', (
    select jsonb_build_object('order', g, 'customer', md5('customer' || g), 'events', jsonb_agg(jsonb_build_object(
        'at', timestamptz '2026-01-01' + (g * 160 + n) * interval '1 second', 'id', md5(g || ':' || n),
        'name', (array['viewed', 'added to cart', 'removed from cart', 'paid'])[1 + (g + n) % 4], 'quantity', n % 7)))
    from generate_series(1, 152) n)
from generate_series(1::bigint, {rows}) g
"""
FINISH = """
create trigger set_updated_at before update on documents for each row execute function set_updated_at();
"""
CHANGE = "update documents set doc = doc || '{{\"change\": {number}}}' where id % 100 = {number} % 100"


def results(wanted: Wanted) -> Iterator[Result]:
    """Each case that is wanted, on a server of its own."""
    names = wanted.of(CASES)
    if not names:
        return
    wanted.say(f"Making {ROWS:,} documents on a PostgreSQL server of their own.")
    with (
        serving() as (server, url),
        tempfile.TemporaryDirectory(prefix="data-platform-bench-wide-") as folder,
    ):
        fill(url, ROWS)
        loading = Loading(server, url, make_project(Path(folder) / "project", url), "documents")
        copy, full = copy_and_full(loading, wanted)
        yield copy
        if "wide" in names:
            yield full
        if "wide-changes" in names:
            yield changes(loading, wanted)


def fill(url: str, rows: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():  # made and filled in one transaction: nothing goes to the log
            for statement in (CREATE, FILL.format(rows=rows), FINISH):
                connection.execute(statement.encode())
        connection.execute("vacuum (analyze) documents")
        connection.execute("checkpoint")


def make_project(root: Path, url: str) -> Project:
    (root / "catalog" / "sources").mkdir(parents=True)
    (root / "catalog" / "platform.yaml").write_text(PLATFORM)
    (root / "catalog" / "sources" / "bench.yaml").write_text(SOURCE)
    return Project(root, {**plain_environment(), "BENCH_DATABASE_URL": url})


def copy_and_full(loading: Loading, wanted: Wanted) -> tuple[Result, Result]:
    copy, full = new_result(CASES, "wide-copy"), new_result(CASES, "wide")
    if loading.in_turn(copy, full, wanted.repeat, wanted.say):
        stored = loading.project.root / ".data"
        parts = [part.stat().st_size for part in (stored / "landing").rglob("*.parquet")]
        full.notes.append(
            f"{len(parts)} parts of {sum(parts) / 1e6:,.0f} MB,"
            f" a warehouse of {(stored / 'warehouse.duckdb').stat().st_size / 1e6:,.0f} MB"
        )
    return copy, full


def changes(loading: Loading, wanted: Wanted) -> Result:
    result = new_result(CASES, "wide-changes")
    try:
        for number in range(wanted.repeat):
            with psycopg.connect(loading.url, autocommit=True) as connection:
                connection.execute(CHANGE.format(number=number).encode())
                connection.execute("checkpoint")
            result.repetitions.append(loading.sync())
            wanted.say(f"{result.title}: {result.repetitions[-1].wall_seconds:.2f} s")
    except BenchmarkError as error:
        result.error = str(error)
    return result
