"""`seal` beside `hash`: fields a second that the landing engine treats on one core.

    python -m benchmarks.sealing [--people 20000] [--rows 500000] [--postgres URL]

Both treat the same column of the same rows, as a sync does: `hash` by its SQL expression, `seal` by its function over Arrow
batches. Keys are in a new keystore, a SQLite file or a schema of a PostgreSQL database (whose server's CPU time is not counted);
the first pass makes them, the second finds them in the file, the others in memory.
CPU time of the process, the median of three passes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

COLUMNS = ("email", "name", "street")
SCHEMA = "benchmark_of_sealing"


def measured(people: int, rows: int, folder: Path, url: str | None = None) -> dict[str, float]:
    """Fields a second by what was done."""
    import duckdb

    from data_platform.catalog.table import SubjectColumn
    from data_platform.keystore import Keystore
    from data_platform.keystore.masters.environment import EnvironmentMaster
    from data_platform.keystore.postgres import PostgresRows
    from data_platform.keystore.sqlite import SqliteRows
    from data_platform.privacy.treatments import expression, session_setup
    from data_platform.sync.sealed import Sealing
    from data_platform.tables import TableId

    master = EnvironmentMaster("MASTER", "of-the-benchmark-at-least-32-characters")
    engine = duckdb.connect(config={"threads": 1})
    engine.execute(
        f"CREATE TABLE given AS SELECT (range * 7919 % {people})::VARCHAR AS person,"
        " 'person.' || range || '@example.com' AS email, 'Ada Lovelace ' || range AS name,"
        f" range || ' Analytical Engine Road' AS street FROM range({rows})"
    )
    for statement, parameters in session_setup(b"a key of the benchmark"):
        engine.execute(statement, parameters)

    def keystore() -> Keystore:
        if url is not None:
            return Keystore(PostgresRows("--postgres", url, SCHEMA), [master])
        return Keystore(SqliteRows(folder / "keystore.sqlite"), [master])

    table: Any = SimpleNamespace(id=TableId("benchmark", "people"), subject=SubjectColumn(column="person"))

    def sealing(store: Keystore) -> str:
        names = {column: f"seal_{column}_{id(store)}" for column in COLUMNS}
        seals = Sealing(table, store)
        for column, name in names.items():
            seal = seals.column(column)
            engine.create_function(
                name, seal, ["VARCHAR", "VARCHAR"], "VARCHAR", type="arrow", null_handling="special"
            )
        return ", ".join(f"{name}({column}, person) AS {column}" for column, name in names.items())

    def landed(listed: str) -> Callable[[], None]:
        target = folder / "part.parquet"
        return lambda: engine.execute(f"COPY (SELECT {listed} FROM given) TO '{target}'") and None

    def fields(what: Callable[[], None], times: int = 1) -> float:
        taken = []
        for _ in range(times):
            began = time.process_time()
            what()
            taken.append(time.process_time() - began)
        return rows * len(COLUMNS) / statistics.median(taken)

    kept = fields(landed(", ".join(COLUMNS)), 3)
    hashed = fields(landed(", ".join(f"{expression(name, 'hash', name)} AS {name}" for name in COLUMNS)), 3)
    made = fields(landed(sealing(keystore())))
    found = keystore()
    listed = sealing(found)
    first = fields(landed(listed))
    again = fields(landed(listed), 3)
    return {
        "kept": kept,
        "hash": hashed,
        "seal, keys in memory": again,
        "seal, keys in the file": first,
        "seal, keys made": made,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--postgres", metavar="URL", help="the schema in it must not be there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(given.people, given.rows, Path(folder), given.postgres)
    print(
        f"{given.rows:,} rows of {given.people:,} people, {len(COLUMNS)} columns; fields a second on one core"
    )
    for what, rate in found.items():
        print(f"{what:26} {rate:12,.0f}")


if __name__ == "__main__":
    main()
