"""Dumps for servers without the right to replicate: one instant each, restored into a new cluster and counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from data_platform.backups.database import logical
from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.kinds import ENGINES
from data_platform.errors import BackupDamaged, BackupError
from data_platform.sync import Platform
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.recovery import recover_database, windows
from data_platform_tests.backups.database.conftest import Company

BLOCK = "{engine: logical, url_env: DUMPER_URL}"


def test_every_engine_of_the_block_is_there() -> None:
    assert set(get_args(DatabaseBackups.model_fields["engine"].annotation)) == set(ENGINES)


@pytest.fixture
def platform(company: Company) -> Iterator[Platform]:
    """Backed up by a role that may only read."""
    role = f"dumper_{company.database}"
    company.execute(
        f"create role {role} login password 'of-the-dumper'",
        f"grant pg_read_all_data to {role}",
        "create table empty (x int)",
        "create view big as select * from orders where id > 10",
        'create schema other; create table other."Strange / name" as select 1 as x',
    )
    made = company.platform(BLOCK)
    url = company.server.url(company.database)
    made.environ["DUMPER_URL"] = url.replace(url.split("//")[1].split("@")[0], f"{role}:of-the-dumper")  # type: ignore[index]
    yield made
    company.execute(f"drop owned by {role}", f"drop role {role}")


@pytest.mark.slow
def test_a_dump_comes_back_with_every_row(platform: Platform, company: Company, server_folder: Path) -> None:
    first = back_up_database(platform, "shop").backup
    assert (first.way, first.engine) == ("full", "logical") and "RPO is its schedule" in first.notes[0]
    assert first.rows == {
        f"{company.database}.public.orders": 20_000,
        f"{company.database}.public.empty": 0,
        f"{company.database}.other.Strange / name": 1,
    }
    company.execute("delete from orders where id > 5")
    second = back_up_database(platform, "shop").backup
    assert [(one.first, one.last) for one in windows(platform, "shop")] == [
        (first.ended_at, first.ended_at),
        (second.ended_at, second.ended_at),
    ]
    folder = server_folder / f"logical-{company.database}"
    between = first.ended_at + (second.ended_at - first.ended_at) / 2
    found = recover_database(platform, "shop", between, folder)
    assert found.at == first.ended_at and found.rows == first.rows and found.checksums
    assert "a dump of one instant" in found.notes[0]
    with pytest.raises(BackupError, match="before the end of the first backup"):
        recover_database(platform, "shop", first.ended_at - timedelta(seconds=1), folder.with_name("x"))


@pytest.mark.slow
def test_a_table_with_fewer_rows_is_found(
    platform: Platform, company: Company, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = back_up_database(platform, "shop").backup
    restore = logical._restore

    def losing(server: logical.RecoveredServer, *given: object) -> None:
        restore(server, *given)  # type: ignore[arg-type]
        with server.connect("postgres", company.database) as connection:
            connection.execute("delete from orders where id = 4711")

    monkeypatch.setattr(logical, "_restore", losing)
    with pytest.raises(BackupDamaged, match=r"public\.orders .* holds 19,999 rows; it held 20,000"):
        recover_database(platform, "shop", made.ended_at, server_folder / f"fewer-{company.database}")


@pytest.mark.slow
def test_a_role_that_may_not_read_a_table_is_refused(platform: Platform, company: Company) -> None:
    company.execute("create table secret (x int)", "alter table secret enable row level security")
    with pytest.raises(BackupError, match=r"could not be dumped .* right to read every table") as raised:
        back_up_database(platform, "shop")
    assert "of-the-dumper" not in str(raised.value)
