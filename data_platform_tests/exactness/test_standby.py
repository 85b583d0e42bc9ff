"""What a sync from a standby may not do: believe, or leave behind, a snapshot that PostgreSQL cut short.

PostgreSQL exports a standby's snapshot without the transactions in progress once any of them has overflowed
(``sof:1`` and no ``sxp`` in pg_snapshots). Who imports it takes them for aborted, and writes that down in the
rows' hint bits, so that the standby shows wrong rows to everybody from then on.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from data_platform.errors import SourceError, SourceUnreachable
from data_platform_tests.exactness.standby import Standby
from data_platform_tests.exactness.tables import VARIANTS
from data_platform_tests.servers.pools import balancer
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow


def test_a_snapshot_that_overflowed_changes_nothing_on_the_standby(
    database: str, standby: Standby, tmp_path: Path
) -> None:
    table = VARIANTS[3]
    there = standby.url(database)
    project = Project(tmp_path, there)
    with (
        psycopg.connect(database, autocommit=True) as late,
        psycopg.connect(database, autocommit=True) as other,
    ):
        other.execute(table.create().encode())
        standby.caught_up()
        project.catalog({"plain": table.block()}).good()
        # a number, and a savepoint that writes first: the standby is told of an overflow, as by 64 savepoints
        late.execute(
            "begin; select pg_current_xact_id(); savepoint a; update plain set status = 'late' where id = 1"
        )
        other.execute("update plain set status = 'early' where id = 2")
        standby.caught_up()
        project.good()
        late.execute("commit")
        standby.caught_up()
        project.good()
    rows = "select id, status from plain order by id"
    project.url = database
    expected = project.source_rows(rows)
    project.url = there
    assert project.source_rows(rows) == expected
    assert project.rows("select id, status from raw_shop.plain order by id") == expected


def test_a_read_that_the_standby_ends_is_told_and_the_next_one_is_whole(
    database: str, standby: Standby, tmp_path: Path
) -> None:
    """The primary's TRUNCATE waits for the readers of the standby, and not for long."""
    table = VARIANTS[3]
    project = Project(tmp_path, standby.url(database))
    with psycopg.connect(database, autocommit=True) as primary:
        primary.execute(table.create().encode())
        standby.caught_up()
        project.catalog({"plain": table.block()}).good()
        primary.execute("update plain set status = 'changed' where id = 1")
        standby.caught_up()

        def truncate(*_: object) -> None:
            primary.execute("truncate plain; insert into plain (id, status) values (7, 'new')")
            standby.caught_up()

        error = project.sync(refresh=["plain"], progress=truncate)["plain"].error  # rows are counted after
        assert isinstance(error, SourceUnreachable), error
        assert "the standby ended the read" in str(error) and "run the sync again" in str(error)
        project.good()
    assert project.rows("select id, status from raw_shop.plain") == [(7, "new")]


@pytest.mark.parametrize("standby_first", [True, False])
def test_servers_behind_one_name_are_noticed_before_a_row_is_read(
    database: str, standby: Standby, tmp_path: Path, standby_first: bool
) -> None:
    """The reader's rows would be older than the snapshot, and what is between never asked for again."""
    table = VARIANTS[3]
    with psycopg.connect(database, autocommit=True) as primary:
        primary.execute(table.create().encode())
    standby.caught_up()
    urls = [standby.url(database), database][:: 1 if standby_first else -1]
    given = [psycopg.conninfo.conninfo_to_dict(url) for url in urls]
    with balancer([int(one["port"]) for one in given]) as port:
        project = Project(tmp_path, psycopg.conninfo.make_conninfo(urls[0], port=port))
        error = project.catalog({"plain": table.block()}).sync()["plain"].error
    assert isinstance(error, SourceError)
    assert "several servers" in str(error) and "give the URL of one of them" in str(error)
    assert not (tmp_path / "warehouse.duckdb").exists()
