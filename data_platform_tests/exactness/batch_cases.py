"""Directed cases for the snapshot, the merge, the ledger and the comparison: each passes, and fails once
its rule is broken."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from data_platform.errors import DuplicateKey
from data_platform.landing.ledger import Ledger
from data_platform.sources.postgres.session import SourceSession
from data_platform.sync import finish as finish_module
from data_platform.warehouses.duckdb import merge
from data_platform_tests.exactness.bench import DAY, Bench, insert
from data_platform_tests.exactness.oracle import Inexact, warehouse
from data_platform_tests.exactness.tables import VARIANTS

CLOCKED, _, SCANNED, PLAIN, LEAVES, _ = VARIANTS
OTHER_DAY = "2026-01-05"
TO_OTHER_DAY = f"created_at = '{OTHER_DAY} 12:00+00'"


# ---- the snapshot


def truncate_beside_the_read(bench: Bench) -> None:
    bench.start(PLAIN)

    def truncate() -> None:
        options = "-c lock_timeout=100ms"
        with psycopg.connect(bench.url, options=options) as other, suppress(psycopg.errors.LockNotAvailable):
            other.execute("truncate plain")
            other.execute(PLAIN.fill(1, 3).encode())
            other.commit()

    with bench.once_begun(truncate):
        bench.changes(refresh=["plain"])


def truncate_before_the_read(bench: Bench) -> None:
    """A reload that commits just before the sync gets its lock: the table was at no time empty."""
    bench.start(PLAIN)
    reload = bench.writer()
    reload.execute("truncate plain")
    reload.execute(PLAIN.fill(1, 12).encode())
    lock, tries = SourceSession._lock, []

    def commit_before_the_second(session: SourceSession, wanted: Any) -> Any:
        tries.append(wanted)
        if len(tries) == 2:
            reload.commit()
        return lock(session, wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SourceSession, "_lock", commit_before_the_second)
        bench.changes(refresh=["plain"])
    with warehouse(bench.project.platform()) as query:
        if query("select count(*) from raw_shop.plain") != [(12,)]:
            raise Inexact("a table that was reloaded was read as empty")


def commit_beside_the_readers(bench: Bench) -> None:
    bench.start(SCANNED, PLAIN)
    bench.execute("update scanned set status = 'before'", "update plain set status = 'before'")

    def commit() -> None:
        bench.execute("update scanned set status = 'after' where id < 4", "update plain set status = 'after'")
        bench.execute(insert("scanned", 101), insert("plain", 101))

    with bench.once_begun(commit):
        bench.changes()


# ---- the merge


def older_transaction_writes_last(bench: Bench) -> None:
    bench.start(SCANNED)
    older = bench.writer()
    older.execute("select now()")
    bench.execute("update scanned set status = 'newer', updated_at = now() where id = 1")
    bench.changes()
    older.execute("update scanned set status = 'older, but last', updated_at = now() where id = 1")
    older.commit()
    bench.changes()


def row_moved_into_a_slice(bench: Bench) -> None:
    bench.start(CLOCKED)
    bench.execute(f"update clocked set {TO_OTHER_DAY} where id = 1")
    bench.slices(OTHER_DAY)
    bench.complete()


def row_moved_out_of_a_slice(bench: Bench) -> None:
    """Silently at that: its cursor does not tell."""
    bench.start(CLOCKED)
    bench.execute("alter table clocked disable trigger stamp", f"update clocked set {TO_OTHER_DAY}")
    bench.slices(DAY)
    bench.complete()


def delete_in_a_slice(bench: Bench) -> None:
    bench.start(CLOCKED)
    bench.execute(f"delete from clocked where created_at::date = '{DAY}' and id < 5")
    bench.slices(DAY)


def changes_in_the_slice_of_nulls(bench: Bench) -> None:
    bench.start(CLOCKED, before="update clocked set created_at = null where id < 4")
    bench.execute("delete from clocked where id = 1", "update clocked set status = 'x' where id = 2")
    bench.slices("null")


def change_elsewhere_than_the_slice(bench: Bench) -> None:
    bench.start(CLOCKED, SCANNED)
    changed = f"set status = 'waits' where created_at::date <> '{DAY}'"
    bench.execute(f"update clocked {changed}", f"update scanned {changed}", "select pg_current_xact_id()")
    bench.execute(f"update clocked set status = 'x' where created_at::date = '{DAY}'")
    bench.slices(DAY)
    bench.changes()


def key_that_repeats(bench: Bench) -> None:
    bench.start(PLAIN, before="alter table plain drop constraint plain_pkey")
    bench.execute("update plain set id = 2 where id = 1")
    bench.oracle.kinds = {}  # which knows no row by such a key either
    error = bench.project.sync()["plain"].error
    if not isinstance(error, DuplicateKey):
        raise Inexact(f"a key on two rows was taken for one: {error}")


# ---- the ledger


def overtaken_by_another_sync(bench: Bench) -> None:
    """The second sync begins after the first one's snapshot and ends before its batch."""
    bench.start(SCANNED)
    bench.execute("update scanned set status = 'first' where id < 6")

    def second() -> None:
        bench.execute("update scanned set status = 'second' where id < 3")
        bench.changes()

    with bench.once_begun(second):
        bench.changes()


def loaded_by_another_sync(bench: Bench) -> None:
    """Between finding what is pending and loading it, a second sync loads that and more."""
    bench.start(SCANNED)
    bench.execute("update scanned set status = 'first' where id < 6")
    pending = Ledger.pending

    def overtaken(ledger: Ledger, *arguments: Any) -> Any:
        found = pending(ledger, *arguments)
        patch.setattr(Ledger, "pending", pending)
        bench.execute("update scanned set status = 'second' where id < 3")
        bench.good(bench.project.sync())
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "pending", overtaken)
        bench.changes()


def loaded_by_another_thread(bench: Bench) -> None:
    """Two threads of one process load the same batch at once: no file is locked between them."""
    bench.start(SCANNED)
    bench.execute(insert("scanned", 101), insert("scanned", 102))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finish_module, "load_pending", lambda *_, **__: ())
        bench.good(bench.project.sync())  # it lands, and is not loaded yet
    meeting, touched = threading.Barrier(2, timeout=1), merge.touched

    def met(batch: merge.Batch, *arguments: Any) -> str:
        with suppress(threading.BrokenBarrierError):  # where one waits for the other to be done
            meeting.wait()
        return touched(batch, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "touched", met)
        with ThreadPoolExecutor(2) as threads:
            done = [threads.submit(bench.project.sync) for _ in range(2)]
    for report in (report for sync in done for report in sync.result().values()):
        if report.error is not None:  # that the engine refuses one of them is no way to keep them apart
            raise Inexact(str(report.error))
    bench.changes()


# ---- completeness


def deletes_that_verify_finds(bench: Bench) -> None:
    bench.start(CLOCKED, LEAVES)
    bench.execute("delete from clocked where id in (2, 3)", "delete from leaves where id = 5")
    bench.execute("update leaves set id = 200 where id = 6")
    bench.verify()
