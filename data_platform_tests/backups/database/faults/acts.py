"""What is done with backups, each as a function of a company that gives what went wrong: no line if nothing did."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

from data_platform.backups.database.wal import WalArchive
from data_platform.landing.verify import verify
from data_platform.sync import backup
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.everything import recover_everything
from data_platform.sync.recovery import recover_database
from data_platform_tests.backups.database.faults.prepared import Prepared

IN_FULL = "a full backup, since"
MADE_GOOD = re.compile(r"lacked .* were brought from|^a full backup, since")
"""What the next run may say: an archive lacked the backup that failed there."""
Act = Callable[[Prepared], Sequence[str]]


def back_up_the_database(company: Prepared) -> Sequence[str]:
    return _database(company)


def back_up_the_database_in_full(company: Prepared) -> Sequence[str]:
    return _database(company, full=True)


def dump_the_database(company: Prepared) -> Sequence[str]:
    block = company.root / "catalog/sources/shop.yaml"
    block.write_text(block.read_text().replace("native", "logical"))
    return back_up_the_database(company.opened())


def verify_all(company: Prepared) -> Sequence[str]:
    problems: list[str] = []
    for one, repository in zip(backup.archives(company.platform), company.repositories(), strict=True):
        problems += one.damage(one.chosen("latest"), deep=True)
        for id_ in repository.ids():
            problems += repository.damage(repository.backup(id_), deep=True)
        problems += WalArchive(one, "shop", company.system).damage(deep=True)
    for table in company.platform.catalog.table_ids():
        problems += verify(
            company.platform.ledger, table, company.platform.clock(), since=0, sample=1.0
        ).problems
    return problems


def recover_the_database(company: Prepared) -> Sequence[str]:
    into = _emptied(company.root / "recovered")
    report = recover_database(company.platform, "shop", company.at, into)
    assert set(report.rows.values()) >= {company.rows}, report.rows
    return []


def recover_all(company: Prepared) -> Sequence[str]:
    into = _emptied(company.root / "all")
    found = recover_everything(company.platform, company.at, into)
    if not found.problems:
        assert found.proven and _orders(into / "warehouse.duckdb") == company.rows
    return found.problems


QUICK: tuple[Act, ...] = (
    back_up_the_database,
    back_up_the_database_in_full,
    dump_the_database,
    verify_all,
)
SLOW: tuple[Act, ...] = (recover_the_database, recover_all)


def _database(company: Prepared, full: bool = False) -> Sequence[str]:
    """What went wrong, and why the backup is a full one though an incremental one was due."""
    report = back_up_database(company.platform, "shop", full=full)
    notes = [note for note in report.backup.notes if note.startswith(IN_FULL)]
    return [
        *(str(error) for error in (*report.failed.values(), *report.not_pruned.values())),
        *notes,
        *report.remarks,
    ]


def _emptied(into: Path) -> Path:
    """The folder of the run before, as a person would clear it, with the server that a killed run left."""
    for file in into.rglob("postmaster.pid"):
        with suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text().splitlines()[0]), signal.SIGQUIT)
    shutil.rmtree(into, ignore_errors=True)
    return into


def _orders(file: Path) -> int:
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.execute("select count(*) from raw_shop.orders").fetchone()
    assert found is not None
    return int(found[0])
