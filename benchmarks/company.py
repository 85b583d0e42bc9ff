"""A company of many small tables: its database and its catalog, by number alone.

    python -m benchmarks.company SENSOR FIGURES.json

loads the definitions of the project around it, evaluates the sensor twice and writes what each tick took.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import psycopg

from benchmarks.measure import Figures

NAME = "company"
JOB = "company_changes"
SENSOR = "company_probe"
RUN_TABLES = 500
ROWS = 10
VARIABLE = "COMPANY_DATABASE_URL"
PARTITIONED_EACH = 10
"""One table in so many has daily partitions; one in so many has a rule that blocks."""

HEAD = """\
source: company
kind: postgres
connection: {{url_env: {variable}}}
start: 2024-01-01
owner: team:data
schedule: "0 * * * *"
reconcile: "30 3 * * *"
tables:
"""
BLOCK = """\
  {name}:
    description: Records of business process {number}, one row each.
    key: id
    cursor: updated_at
    cursor_clock: database
{partition}    columns:
      id: The record's number.
      customer_id: Whom it concerns.
      amount: In euros, before tax.
      status: open, done or void.
    personal:
      email: hash
"""
RULES = ("id not null", "amount >= 0", "status in [open, done, void]")
FOUR_RULES = (*RULES, "customer_id not null")
"""With the check ``complete``, a table has five checks."""
TABLE = """\
create table {name} (
    id bigint primary key, customer_id bigint not null, amount numeric(10,2) not null, status text not null,
    email text, created_at timestamptz not null, updated_at timestamptz not null);
insert into {name}
select g, g % 10, g, 'open', 'a' || g || '@example.com', now() - interval '3 days', now() - interval '2 days'
from generate_series(1, {rows}) g;
create index on {name} (updated_at);
create trigger set_updated_at before insert or update on {name} for each row execute function set_updated_at();
"""
FUNCTION = """\
create function set_updated_at() returns trigger language plpgsql as
    $$ begin new.updated_at := now(); return new; end $$;
"""


def table_name(number: int) -> str:
    return f"process_{number:04d}"


def catalog_text(tables: int, rules: Sequence[str] = RULES) -> str:
    """The source's file; each table has the ``rules``."""
    return HEAD.format(variable=VARIABLE) + "".join(_block(number, rules) for number in range(tables))


def _block(number: int, rules: Sequence[str]) -> str:
    special = number % PARTITIONED_EACH == 0
    partition = "    partition: created_at\n" if special else ""
    block = BLOCK.format(name=table_name(number), number=number, partition=partition)
    if not rules:
        return block
    first = f"{{rule: {rules[0]}, blocking: true}}" if special else rules[0]
    return block + "    rules:\n" + "".join(f"      - {rule}\n" for rule in (first, *rules[1:]))


def declare(root: Path, tables: int, rules: Sequence[str] = RULES) -> None:
    """Add the source to the catalog at ``root``."""
    (root / "catalog" / "sources" / f"{NAME}.yaml").write_text(catalog_text(tables, rules))


def fill(url: str, tables: int) -> None:
    """Make the tables at the source, some rows each."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FUNCTION)
        for number in range(tables):
            connection.execute(TABLE.format(name=table_name(number), rows=ROWS))
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")


def ticks(sensor: str) -> list[Figures]:
    """Of ``sensor``, in this process, with the definitions loaded before. The first opens what the next has."""
    import dagster as dg

    from data_platform.definitions import defs

    definitions = defs()
    repository = definitions.get_repository_def()
    found = []
    with dg.DagsterInstance.get() as instance:
        cursor = None
        for _ in range(2):
            context = dg.build_sensor_context(
                instance=instance,
                cursor=cursor,
                repository_def=repository,
                resources={"platform": dict(definitions.resources or {})["platform"]},
            )
            wall, cpu = time.perf_counter(), time.process_time()
            cursor = repository.get_sensor_def(sensor).evaluate_tick(context).cursor
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            found.append(Figures(wall, cpu, peak / (1e6 if sys.platform == "darwin" else 1e3)))
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps([asdict(one) for one in ticks(sys.argv[1])]))
