"""Many small tables of one source, of four kinds, and the catalog that declares them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psycopg

from benchmarks.project import PLATFORM, Project, plain_environment

ROWS = 1_000
AT_ONCE = 100
"""Tables made in one transaction: the server holds the locks of as many at once."""

KINDS = (
    # a cursor that the database's clock sets, with an index: the clock path
    ("amount numeric(10,2) not null, status text not null, updated_at timestamptz not null",
     "(g % 1000)::numeric / 7, (array['new','paid','sent'])[1 + g % 3], now() - interval '2 days'",
     "cursor: updated_at, cursor_clock: database"),
    # nothing but row versions to go by
    ("code text not null, weight double precision, active boolean not null",
     "md5(g::text), g / 3.0, g % 5 <> 0", ""),
    ("payload jsonb not null, note text",
     """('{"step": ' || g % 9 || ', "name": "n' || g % 97 || '"}')::jsonb,"""
     " case when g % 2 = 0 then 'a remark of some length, number ' || g end", "personal: {payload: keep, note: keep}"),
    ("booked date not null, quantity int not null, updated_at timestamptz not null",
     "current_date - 2 - g % 30, g % 11, now() - interval '2 days'",
     "cursor: updated_at, cursor_clock: database, partition: booked"),
)  # fmt: skip
"""Columns after ``id``, the values of row ``g``, and what the catalog says besides the key."""


def name(number: int) -> str:
    return f"table_{number:04d}"


def make_tables(url: str, first: int, count: int) -> None:
    """``count`` tables of ``ROWS`` rows from number ``first`` on, vacuumed."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create or replace function set_updated_at() returns trigger language plpgsql as"
            " $$ begin new.updated_at := now(); return new; end $$"
        )
        for start in range(first, first + count, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, first + count))
            with connection.transaction():
                for number in numbers:
                    connection.execute(_make(number))
            connection.execute(f"vacuum (analyze) {', '.join(map(name, numbers))}")
        connection.execute("checkpoint")


def change(url: str, numbers: Sequence[int]) -> None:
    """Update a hundredth of the rows of each of the tables ``numbers``."""
    with psycopg.connect(url, autocommit=True) as connection:
        for number in numbers:
            connection.execute(f"update {name(number)} set {_first_column(number)} = {_first_column(number)}"
                               f" where id % 100 = {number % 100}")  # fmt: skip
        connection.execute("checkpoint")


def make_project(root: Path, url: str, count: int) -> Project:
    (root / "catalog" / "sources").mkdir(parents=True)
    (root / "catalog" / "platform.yaml").write_text(PLATFORM)
    project = Project(root, {**plain_environment(), "BENCH_DATABASE_URL": url})
    declare(project, count)
    return project


def declare(project: Project, count: int) -> None:
    """Let the catalog name the first ``count`` tables."""
    lines = [
        "source: bench", "kind: postgres", "connection: {url_env: BENCH_DATABASE_URL}",
        "start: 2024-01-01", "tables:",
    ]  # fmt: skip
    for number in range(count):
        besides = KINDS[number % len(KINDS)][2]
        lines.append(f"  {name(number)}: {{key: id{', ' * bool(besides)}{besides}}}")
    (project.root / "catalog" / "sources" / "bench.yaml").write_text("\n".join(lines) + "\n")


def _make(number: int) -> str:
    columns, values, _ = KINDS[number % len(KINDS)]
    table = name(number)
    statements = [
        f"create table {table} (id bigint not null, {columns})",
        f"insert into {table} select g, {values} from generate_series(1, {ROWS}) g",
        f"alter table {table} add primary key (id)",
    ]
    if "updated_at" in columns:
        statements += [
            f"create index on {table} (updated_at)",
            f"create trigger set_updated_at before insert or update on {table}"
            " for each row execute function set_updated_at()",
        ]
    return "; ".join(statements)


def _first_column(number: int) -> str:
    return KINDS[number % len(KINDS)][0].split()[0]
