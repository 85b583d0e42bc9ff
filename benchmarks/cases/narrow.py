"""A long table of narrow rows, where what is done for each row counts: COPY, and a full load."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from benchmarks.case import Wanted, new_result
from benchmarks.loading import Loading
from benchmarks.project import make_project
from benchmarks.report import Limit, Result
from benchmarks.source import serving

CASES = {
    "narrow-copy": ("psql: COPY of 20M rows of four columns (binary) > /dev/null", ()),
    "narrow": ("full load of 20M rows of four columns", (Limit("ratio_to_copy", 2.0), Limit("peak_mb", 800))),
}
ROWS_TO_ORDERS = 4
"""As many times the rows of the large table."""
CREATE = """
create table readings (
    reading_id bigint not null, sensor int not null, read_at timestamptz not null, status text not null)
"""
ROWS = """
insert into readings
select g, 1 + (g * 7919) %% 5000,
       date_trunc('day', now()) - interval '2 days' - (%(rows)s - g) * (interval '730 days' / %(rows)s),
       (array['ok','ok','ok','late','missing','repaired'])[1 + (g * 31) %% 6]
from generate_series(1, %(rows)s::bigint) g
"""
SOURCE = """\
source: bench
kind: postgres
connection: {url_env: BENCH_DATABASE_URL}
start: 2024-01-01
tables:
  readings:
    key: reading_id
    partition: read_at
"""


def results(wanted: Wanted) -> Iterator[Result]:
    """Both cases where any of them is wanted: the one is the other's measure."""
    names = wanted.of(CASES)
    if not names:
        return
    rows = ROWS_TO_ORDERS * wanted.rows
    wanted.say(f"Making {rows:,} narrow rows on a PostgreSQL server of their own.")
    with (
        serving() as (server, url),
        tempfile.TemporaryDirectory(prefix="data-platform-bench-narrow-") as folder,
    ):
        _fill(url, rows)
        project = make_project(Path(folder) / "project", url)
        (project.root / "catalog" / "sources" / "bench.yaml").write_text(SOURCE)
        copy, full = new_result(CASES, "narrow-copy"), new_result(CASES, "narrow")
        Loading(server, url, project, "readings").in_turn(copy, full, wanted.repeat, wanted.say)
        yield from (copy, full)


def _fill(url: str, rows: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():  # made and filled in one transaction: nothing goes to the log
            connection.execute(CREATE)
            connection.execute(ROWS, {"rows": rows})
            connection.execute("alter table readings add primary key (reading_id)")
        connection.execute("vacuum (analyze) readings")
        connection.execute("checkpoint")
