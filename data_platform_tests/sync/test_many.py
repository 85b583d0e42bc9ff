"""What one more table costs a sync, and that tables which are asked about together stay apart in their troubles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from data_platform.errors import SourceError, TableLocked
from data_platform.sources.postgres import session, together
from data_platform.sync import probe
from data_platform_tests.conftest import Role
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow

NAMES = [f"t{number:02d}" for number in range(24)]


def blocks(count: int) -> dict[str, Any]:
    clocked = {"key": "id", "cursor": "updated_at", "cursor_clock": "database"}
    return {name: clocked if n % 2 else {"key": "id"} for n, name in enumerate(NAMES[:count])}


@pytest.fixture
def many(project: Project) -> Project:
    for name in NAMES:
        project.execute(
            f"create table {name} (id int primary key, v text, updated_at timestamptz not null default now())",
            f"create index on {name} (updated_at)",
            f"insert into {name} select g, 'v' from generate_series(1, 3) g",
        )
    project.catalog(blocks(len(NAMES))).good()
    return project


@contextmanager
def messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What psycopg's connections send to a server."""
    sent: list[str] = []
    execute = psycopg.Connection.execute

    def counting(self: Any, query: Any, *rest: Any, **options: Any) -> Any:
        sent.append(str(query))
        return execute(self, query, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "execute", counting)
        yield sent


def test_one_more_unchanged_table_costs_no_message_to_the_server(
    many: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for count in (2, len(NAMES)):
        many.catalog(blocks(count))
        with messages(monkeypatch) as sent:
            assert all(report.manifest is None for report in many.good().values())
        counts.append(len(sent))
    assert counts[0] == counts[1] < 40
    counts = []
    for count in (2, len(NAMES)):
        many.catalog(blocks(count))
        with messages(monkeypatch) as sent:
            assert [p.moved for p in probe(many.platform(), "shop")] == [False] * count
        counts.append(len(sent))
    assert counts[0] == counts[1] < 40


@pytest.mark.parametrize("at_once", [1, 5, 500])
def test_what_changed_is_found_however_many_are_asked_at_once(
    many: Project, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(together, "AT_ONCE", at_once)
    monkeypatch.setattr(session, "LOOKED_AT_ONCE", at_once)
    changed = NAMES[::5]
    many.execute(*(f"update {name} set v = 'new', updated_at = now() where id = 2" for name in changed))
    assert [p.table.table for p in probe(many.platform(), "shop") if p.moved] == changed
    reports = many.good()
    assert {name: report.rows for name, report in reports.items() if report.manifest} == dict.fromkeys(
        changed, 1
    )
    for name in NAMES:
        assert many.difference(name, "id, v") == ([], []), name
    assert not any(p.moved for p in probe(many.platform(), "shop"))


def test_what_fails_among_those_asked_together_fails_alone(many: Project, reader: Role) -> None:
    """A policy is found out by the question itself, a lock without LOCK TABLE when the table is described."""
    policed, held, gone, changed = NAMES[3], NAMES[11], NAMES[17], NAMES[20]
    many.execute(
        *(f"grant select on {name} to {reader.name}" for name in NAMES if name != held),
        f"grant select (id, v, updated_at, xmin, ctid, tableoid) on {held} to {reader.name}",
        f"alter table {policed} enable row level security",
        f"drop table {gone}",
        f"update {changed} set v = 'new', updated_at = now() where id = 2",
    )
    limited = Project(many.root, reader.url)
    with psycopg.connect(many.url) as other:
        other.execute(f"lock table {held} in access exclusive mode")
        looks = {p.table.table: p for p in probe(limited.platform(), "shop")}
        reports = limited.sync()
        other.rollback()
    assert {name for name, report in reports.items() if report.error} == {policed, held, gone}
    assert "row-level security policy" in str(reports[policed].error)
    assert isinstance(reports[held].error, (TableLocked, SourceError))
    assert "is not in the database" in str(reports[gone].error)
    assert {name for name, report in reports.items() if report.manifest} == {changed}
    assert {name for name, look in looks.items() if look.error} == {policed, held, gone}
    assert isinstance(looks[held].error, TableLocked)
    assert {name for name, look in looks.items() if look.moved} == {changed}
    many.execute(
        f"grant select on {held} to {reader.name}", f"alter table {policed} disable row level security"
    )
    limited.catalog({name: block for name, block in blocks(len(NAMES)).items() if name != gone}).good()
    for name in NAMES:
        assert name == gone or many.difference(name, "id, v") == ([], []), name
