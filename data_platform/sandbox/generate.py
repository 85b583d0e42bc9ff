"""Fills an empty database with the shop's history.

``history.py`` computes the events and ``words.py`` writes them to files. This module
creates the tables and copies the files into them. Two connections load at once while
the next chunk is written; keys, indexes and foreign keys are created after the load.
"""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.errors import SandboxError

if TYPE_CHECKING:
    import psycopg

    from data_platform.sandbox.history import Plan
    from data_platform.sandbox.words import Writer

    Connection = psycopg.Connection[tuple[Any, ...]]

TABLES = ("users", "products", "orders", "order_items", "payments", "events")
LANES = (("users", "orders", "payments"), ("products", "order_items", "events"))
"""One connection loads each table, so that its rows keep their order. Both connections
have about the same work."""
SEQUENCES = {
    "users": "user_id",
    "products": "product_id",
    "orders": "order_id",
    "order_items": "order_item_id",
}
COPY_BYTES = 256 * 1024
FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Generated:
    """The data that was generated; ``rows`` maps each table to its row count."""

    orders: int
    seed: int
    today: date
    rows: Mapping[str, int]


def generate(
    url: str,
    *,
    orders: int = 20_000,
    seed: int = 1,
    today: date,
    dirt_rate: float = 0.003,
    faults: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Generated:
    """Create the shop's tables in an empty database and fill them.

    The same arguments always give the same rows in the same order. History covers
    the ``history.DAYS`` days before ``today`` (UTC, not included). ``on_progress``
    gets (orders written, orders in all). SandboxError if one of the tables
    already exists.
    """
    import psycopg

    from data_platform.sandbox.history import Plan
    from data_platform.sandbox.words import Writer

    if orders < 1:
        raise SandboxError(f"A shop needs at least one order; {orders} were asked for.")
    plan = Plan(orders=orders, today=today, seed=seed, dirt_rate=dirt_rate, faults=faults)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="data-platform-sandbox-")))
        connections = [stack.enter_context(_connect(url)) for _ in LANES]
        writer = Writer(folder)
        try:
            connections[0].execute((FOLDER / "schema.sql").read_text())
        except psycopg.errors.DuplicateTable as error:
            raise SandboxError(
                "The sandbox's tables cannot be created, because the database already has some of them "
                f"({error.diag.message_primary}). Give an empty database."
            ) from error
        _load(connections, plan, writer, on_progress)
        for table, key in SEQUENCES.items():
            connections[0].execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), max({key})) FROM {table}"
            )
        for part in (FOLDER / "constraints.sql").read_text().split("-- ----\n"):
            _side_by_side(connections, _statements(part))
        return Generated(orders=orders, seed=seed, today=today, rows=dict(writer.rows))


def _connect(url: str) -> Connection:
    import psycopg

    # UTC: the files hold times without a zone. Two connections keep two cores busy,
    # so parallel workers would only be in each other's way.
    options = (
        "-c timezone=UTC -c synchronous_commit=off -c maintenance_work_mem=192MB -c work_mem=32MB "
        "-c max_parallel_maintenance_workers=0 -c max_parallel_workers_per_gather=0"
    )
    return psycopg.connect(url, autocommit=True, connect_timeout=10, options=options)


def _load(
    connections: Sequence[Connection],
    plan: Plan,
    writer: Writer,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Copy files while the next are written."""
    failed = threading.Event()
    queues: list[queue.Queue[tuple[str, Path] | None]] = [queue.Queue(maxsize=4) for _ in LANES]
    with ThreadPoolExecutor(len(LANES)) as pool:
        lanes: list[Future[None]] = [
            pool.submit(_copy_lane, connection, tables, files, failed)
            for connection, tables, files in zip(connections, LANES, queues, strict=True)
        ]
        done = 0
        try:
            for table, columns in _history(plan):
                lane = next(n for n, tables in enumerate(LANES) if table in tables)
                queues[lane].put((table, writer.write(table, columns)))
                if table == "orders":
                    done += len(columns["order_id"])
                    if on_progress is not None:
                        on_progress(done, plan.orders)
                if failed.is_set():
                    break
        except BaseException:
            failed.set()
            raise
        finally:
            for files in queues:
                files.put(None)
    for future in lanes:
        future.result()


def _history(plan: Plan) -> Iterator[tuple[str, Any]]:
    """(table, columns) of each chunk, in the order they are written."""
    from data_platform.sandbox import history

    users, products = history.users(plan), history.products(plan)
    yield "users", users
    yield "products", products
    for chunk in history.chunks(plan, users, products):
        yield from chunk.items()


def _copy_lane(
    connection: Connection,
    tables: Sequence[str],
    files: queue.Queue[tuple[str, Path] | None],
    failed: threading.Event,
) -> None:
    """Copy the files of ``tables`` in one transaction, until None comes.

    TRUNCATE in the same transaction lets COPY write rows frozen, which saves every
    later reader from marking them. After a failure anywhere the queue is still
    emptied, so that the writer never waits for a place in it.
    """
    item: tuple[str, Path] | None = ("", FOLDER)
    try:
        with connection.transaction():
            for table in tables:
                connection.execute(f"TRUNCATE {table}")
            while (item := files.get()) is not None and not failed.is_set():
                _copy_file(connection, *item)
            if failed.is_set():
                raise _Abandoned
    except BaseException as error:
        failed.set()
        while item is not None:
            item = files.get()
        if not isinstance(error, _Abandoned):
            raise


class _Abandoned(Exception):
    """Another lane failed; its error is the one to show."""


def _copy_file(connection: Connection, table: str, path: Path) -> None:
    from data_platform.sandbox.words import COPY_OPTIONS

    statement = f"COPY {table} FROM STDIN ({COPY_OPTIONS}, FREEZE)"
    with connection.cursor() as cursor, cursor.copy(statement) as copy, path.open("rb") as file:
        while block := file.read(COPY_BYTES):
            copy.write(block)
    path.unlink()


def _statements(script: str) -> list[str]:
    """The statements of a part of constraints.sql; a function body holds semicolons of its own."""
    statements, held = [], ""
    for line in script.splitlines():
        if line.startswith("--"):
            continue
        held += line + "\n"
        if line.rstrip().endswith(";") and held.count("$$") % 2 == 0:
            statements.append(held.strip())
            held = ""
    return statements


def _side_by_side(connections: Sequence[Connection], statements: Sequence[str]) -> None:
    """Run the statements, each connection taking the next when it is done with one."""
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for statement in statements:
        todo.put(statement)

    def work(connection: Connection) -> None:
        while True:
            try:
                statement = todo.get_nowait()
            except queue.Empty:
                return
            connection.execute(statement)

    with ThreadPoolExecutor(len(connections)) as pool:
        for future in [pool.submit(work, connection) for connection in connections]:
            future.result()
