"""A warehouse backed up, verified and restored, beside a plain copy of the same bytes with SHA-256."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.case import Say, Wanted, new_result
from benchmarks.measure import BenchmarkError, Figures, measure
from benchmarks.project import DATA_PLATFORM, PLATFORM, plain_environment
from benchmarks.report import Limit, Result

CASES = {
    "backup-copy": ("plain copy of a backup's objects, with SHA-256", ()),
    "backup-engine": ("the engine's own COPY of the rows, sorted, unproven", ()),
    "backup": ("backup run: export, store, read back", (Limit("ratio_to_copy", 2.0), Limit("peak_mb", 1000))),
    "backup-verify": ("backup verify: every byte read and hashed", (Limit("ratio_to_copy", 2.0),)),
    "restore-engine": ("the engine's own load of those objects, unproven", ()),
    "restore": ("restore warehouse, proven equal", (Limit("ratio_to_copy", 2.0), Limit("peak_mb", 1000))),
}
BACKUPS = """\
    backups: {store: {kind: local, path: .data/backups}, start: 2026-01-01}
"""
# As many rows and about the columns of the large table, made by DuckDB itself.
ROWS = """
create schema raw_bench;
create table raw_bench.orders as
select md5('order' || g)::uuid as order_id, md5('user' || g % 250000)::uuid as user_id, (1 + g % 7)::int as quantity,
       (((g * 7919) % 100000) / 100)::decimal(10,2) as amount, date '2024-01-01' + (g % 730)::int as order_date,
       timestamptz '2024-01-01' + to_seconds(g % 63072000) as created_at,
       timestamptz '2024-01-02' + to_seconds(g % 63072000) as updated_at,
       ['pending','paid','shipped','delivered','cancelled','refunded'][1 + (g * 31) % 6] as status,
       ('{"device": "' || ['mobile','desktop','tablet'][1 + g % 3] || '", "campaign": "c' || g % 977 || '"}')::json as attrs,
       case when g % 2 = 0 then 'leave it with the neighbour at number ' || g % 100000 || ', after six' end as note,
       700 + g % 3 as _source_xmin, '00000001-abcdef12' as _batch_id, timestamptz '2026-01-01' as _loaded_at
from range({rows}) numbered(g);
"""
COPY = """
import hashlib, os, sys
from pathlib import Path
source, target = map(Path, sys.argv[1:])
target.mkdir()
for number, path in enumerate(sorted(p for p in source.rglob("*") if p.is_file())):
    digest = hashlib.sha256()
    with path.open("rb") as old, (target / str(number)).open("wb") as new:
        while block := old.read(1 << 20):
            digest.update(block)
            new.write(block)
        new.flush()
        os.fsync(new.fileno())
"""
# What anything written in the same engine would take: the limit asks for less.
ENGINE = """
import sys
import duckdb
file, task = sys.argv[1:]
config = {"memory_limit": "384MB", "preserve_insertion_order": False, "storage_compatibility_version": "latest"}
with duckdb.connect(file, config=config) as connection:
    connection.execute("set timezone = 'UTC'")
    connection.execute(task)
    connection.execute("checkpoint")
"""


def results(wanted: Wanted) -> Iterator[Result]:
    """All are run when any of them is wanted: each needs the one before. Each repetition is held against
    a plain copy made just before it."""
    names = wanted.of(CASES)
    if not names:
        return
    made = {name: new_result(CASES, name) for name in CASES}
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-backup-") as name:
        root = Path(name)
        try:
            size = _make_warehouse(root, wanted.rows)
            wanted.say(f"A warehouse of {wanted.rows:,} rows, {size / 1e6:,.0f} MB.")
            for number in range(wanted.repeat):
                _once(root, made, number, wanted.say)
        except BenchmarkError as error:
            made["backup"].error = str(error)
        objects = sum(p.stat().st_size for p in (root / ".data/backups").rglob("*.parquet")) / max(
            wanted.repeat, 1
        )
        for result in made.values():
            seconds = result.median().get("wall_seconds")
            if seconds:
                result.notes.append(
                    f"{objects / seconds / 1e6:,.0f} MB/s of the backup's {objects / 1e6:,.0f} MB; the warehouse is"
                    f" {size / 1e6:,.0f} MB, {wanted.rows:,} rows"
                )
        yield from (result for result in made.values() if result.name in names)


def _once(root: Path, results: dict[str, Result], number: int, say: Say) -> None:
    made = _run(root, [DATA_PLATFORM, "backup", "run"])
    newest = sorted((root / ".data/backups/warehouse/objects").iterdir())[-1]
    copied = _run(root, [sys.executable, "-c", COPY, str(newest), str(root / f"copy-{number}")])
    verified = _run(root, [DATA_PLATFORM, "backup", "verify"])
    restored = _run(
        root, [DATA_PLATFORM, "restore", "warehouse", "--into", str(root / f"restored-{number}.duckdb")]
    )
    written = (
        f"copy (from raw_bench.orders order by all) to '{root}/engine-{number}.parquet' (compression zstd)"
    )
    exported = _run(root, [sys.executable, "-c", ENGINE, str(root / ".data/warehouse.duckdb"), written])
    objects = f"create table orders as from '{newest}/raw_bench.orders/*.parquet'"
    loaded = _run(root, [sys.executable, "-c", ENGINE, str(root / f"loaded-{number}.duckdb"), objects])
    results["backup-copy"].repetitions.append(copied)
    for case, figures in (
        ("backup-engine", exported),
        ("backup", made),
        ("backup-verify", verified),
        ("restore-engine", loaded),
        ("restore", restored),
    ):
        results[case].repetitions.append(figures)
        results[case].compare(copied)
        say(f"{results[case].title}: {figures.wall_seconds:.1f} s, {results[case].ratios[-1]:.2f} x the copy")


def _run(root: Path, command: list[str]) -> Figures:
    return measure(command, environ={**plain_environment(), "DAGSTER_HOME": ""}, cwd=root)


def _make_warehouse(root: Path, rows: int) -> int:
    import duckdb

    (root / "catalog" / "sources").mkdir(parents=True)
    (root / ".data").mkdir()
    text = PLATFORM.replace("    automation", f"{BACKUPS}    automation")
    (root / "catalog" / "platform.yaml").write_text(text)
    (root / "catalog" / "sources" / "bench.yaml").write_text(
        "source: bench\nkind: postgres\nconnection: {url_env: BENCH_DATABASE_URL}\nstart: 2024-01-01\n"
        "tables:\n  orders: {key: order_id}\n"
    )
    file = root / ".data" / "warehouse.duckdb"
    with duckdb.connect(str(file), config={"storage_compatibility_version": "latest"}) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(ROWS.replace("{rows}", str(rows)))
    return file.stat().st_size
