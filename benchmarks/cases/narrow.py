"""A long table of narrow rows, where what is done for each row counts: COPY, and a full load."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from benchmarks.case import Wanted, new_result
from benchmarks.measure import BenchmarkError, Figures, measure
from benchmarks.project import DATA_PLATFORM, Project, make_project
from benchmarks.report import Limit, Result
from benchmarks.source import SETTINGS
from data_platform.sandbox.server import PostgresServer

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
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-narrow-") as folder:
        Path(folder).chmod(0o711)  # the server runs as an unprivileged account
        with PostgresServer(Path(folder) / "server", settings=SETTINGS) as server:
            url = server.create_database("bench")
            _fill(url, rows)
            project = make_project(Path(folder) / "project", url)
            (project.root / "catalog" / "sources" / "bench.yaml").write_text(SOURCE)
            yield from _copy_and_full(server, url, project, wanted)


def _fill(url: str, rows: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():  # made and filled in one transaction: nothing goes to the log
            connection.execute(CREATE)
            connection.execute(ROWS, {"rows": rows})
            connection.execute("alter table readings add primary key (reading_id)")
        connection.execute("vacuum (analyze) readings")
        connection.execute("checkpoint")


def _copy_and_full(server: PostgresServer, url: str, project: Project, wanted: Wanted) -> list[Result]:
    """In turn, so that whatever else the machine does slows both alike."""
    copy, full = new_result(CASES, "narrow-copy"), new_result(CASES, "narrow")
    psql = [str(server.install / "bin" / "psql"), url, "-Xqc", "COPY readings TO STDOUT (FORMAT binary)"]

    def run(*command: str) -> Figures:
        return measure(command, environ=project.environ, cwd=project.root, server_pid=server.pid())

    try:
        run(*psql)  # reads the table into memory; not counted
        for _ in range(wanted.repeat):
            copy.repetitions.append(run(*psql))
            project.forget()
            full.repetitions.append(run(DATA_PLATFORM, "sync"))
            full.compare(copy.repetitions[-1])
            wanted.say(f"full load of narrow rows: {full.ratios[-1]:.2f} x COPY")
    except BenchmarkError as error:
        full.error = str(error)
    return [copy, full]
