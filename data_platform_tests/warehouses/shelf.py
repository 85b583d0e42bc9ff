"""A warehouse of two tables that always say the same number, its publication, and processes that write, publish and read.

``python -m data_platform_tests.warehouses.shelf read ROOT`` is a reader, ``watch ROOT`` publishes with a reader at every step,
``kill ROOT SITE...`` publishes in forked processes, each killed at its point. Nothing here imports the engine before a process is forked.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_platform.warehouses import Relation
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform.warehouses.publishing import Chosen, Publication
from data_platform_tests.chaos.points import Points, kill_oneself

CONFIG = DuckDBConfig(path=Path("warehouse.duckdb"), wait_seconds=30, threads=1)
HASTY = CONFIG.model_copy(update={"wait_seconds": 0})
"""Waits for nobody: who would have to fails."""
PUBLISHED = Path("published.duckdb")


def write(root: Path, version: int, rows: int = 20) -> None:
    """Both tables with ``version`` in every row, in one transaction, as a load and its models would."""
    with CONFIG.open(root) as warehouse:
        execute = warehouse.connection.execute
        execute("CREATE SCHEMA IF NOT EXISTS marts")
        execute("BEGIN TRANSACTION")
        for table, each in (("orders", 1), ("lines", 3)):
            execute(
                f"CREATE OR REPLACE TABLE marts.{table} AS"
                f" SELECT range AS id, {version}::BIGINT AS version FROM range({rows * each})"
            )
        execute("CREATE OR REPLACE VIEW marts.newest AS SELECT max(version) AS version FROM marts.orders")
        execute("COMMIT")


def everything(relations: Sequence[Relation], schema: str = "marts") -> list[Chosen]:
    return [Chosen(one, tuple(name for name, _ in one.columns)) for one in relations if one.schema == schema]


def publish(
    root: Path, config: DuckDBConfig = CONFIG, choose: Callable[..., Any] = everything, **more: Any
) -> Publication:
    return config.publish(root, root / PUBLISHED, choose, lambda: datetime.now(UTC), **more)


def versions(root: Path) -> tuple[int, int]:
    """What a reader finds in both tables, asked one after the other; a publication is read or this fails."""
    with HASTY.published(root, root / PUBLISHED) as (copy, made):
        first = copy.query("SELECT min(version) FROM marts.orders").rows[0][0]
        second = copy.query("SELECT max(version), (SELECT version FROM marts.newest) FROM marts.lines").rows[
            0
        ]
        assert first == second[1], "a view is of the same instant"
        counted = dict(
            copy.query(
                "SELECT 'orders', count(*) FROM marts.orders UNION ALL SELECT 'lines', count(*) FROM marts.lines"
            ).rows
        )
        assert counted == {one.name: one.rows for one in made.relations if one.name != "newest"}, (
            "the records are of this very file"
        )
    return first, second[0]


def tell(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def read(root: Path) -> None:
    """Read until the file ``stop`` is there, and once more; print a line after the first read, and at the end how many there
    were, how many versions they saw, and each error or torn one."""
    reads, wrong, seen, last, stopping = 0, [], set(), 0, False
    while not stopping:
        stopping = (root / "stop").exists()
        try:
            first, second = versions(root)
        except Exception as error:  # each is a finding
            wrong.append(f"{type(error).__name__}: {error}")
            continue
        if first != second or first < last:
            wrong.append(f"{first} and {second} after {last}")
        last = first
        seen.add(first)
        reads += 1
        if reads == 1:
            tell("reads")
    tell({"reads": reads, "wrong": wrong[:5], "seen": len(seen)})


def answer(root: Path) -> None:
    """A line for each line that comes: what a reader finds now, or its error."""
    for _ in sys.stdin:
        try:
            tell(versions(root))
        except Exception as error:  # each is a finding
            tell(f"{type(error).__name__}: {error}")


def watched(root: Path) -> None:
    """Publish the next version, and at every line that touches the world let another process read; print what it found."""
    command = [sys.executable, "-m", "data_platform_tests.warehouses.shelf", "answer", str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        write(root, 2)
        found = []

        def ask(point: str) -> None:
            reader.stdin.write("now\n")  # type: ignore[union-attr]
            reader.stdin.flush()  # type: ignore[union-attr]
            found.append((point, json.loads(reader.stdout.readline())))  # type: ignore[union-attr]
            points.at_site = len(points.sites) + 1

        points = Points(None, 1, ask)
        points.install()
        publish(root)
        points.remove()
        reader.stdin.close()
    tell(found)


def killed(root: Path, sites: Sequence[int]) -> None:
    """Publish a new version once for each of ``sites``, killed at the point of that number, and print where it was and
    what a reader finds afterwards."""
    for number, site in enumerate(sites, start=1):
        process = os.fork()
        if process == 0:
            _publish_and_die(root, number + 1, site)
        _, status = os.waitpid(process, 0)
        tell({"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0})


def _publish_and_die(root: Path, version: int, site: int) -> None:
    """A negative ``site`` is a number of milliseconds."""
    code = 1
    try:
        before = versions(root)
        write(root, version, rows=200_000 if site < 0 else 20)

        def die(point: str) -> None:
            tell({"point": point, "before": before, "version": version})
            kill_oneself()

        points = Points(None, site if site > 0 else None, die)
        if site > 0:
            points.install()
        else:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, -site / 1000)
        publish(root)
        points.remove()
        signal.setitimer(signal.ITIMER_REAL, 0)
        tell({"point": None, "before": before, "version": version, "sites": len(points.sites)})
        code = 0
    finally:
        os._exit(code)


def main(act: str, root: str, *sites: str) -> None:
    acts = {"read": read, "answer": answer, "watch": watched}
    if act in acts:
        acts[act](Path(root))
    else:
        killed(Path(root), [int(site) for site in sites])


if __name__ == "__main__":
    main(*sys.argv[1:])
