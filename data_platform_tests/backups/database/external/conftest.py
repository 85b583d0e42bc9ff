"""Servers that archive by Barman into SeaweedFS, and by pgBackRest into a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups.database.recover import RecoveryReport
from data_platform.backups.database.repository import Repository
from data_platform.local_postgres import unprivileged_user
from data_platform.sandbox.server import PostgresServer
from data_platform.stores import Store
from data_platform.sync import Platform
from data_platform.sync.backup import archives
from data_platform.sync.database_backup import repository
from data_platform.sync.recovery import recover_database
from data_platform_tests.backups.database.conftest import SETTINGS, Company
from data_platform_tests.backups.database.external.archiving import archiver, command
from data_platform_tests.servers.objects import ACCESS_KEY, ENVIRON, SECRET_KEY, ObjectServer, new_prefix

BARMAN = Path(__file__).parents[4] / ".barman"
DEBIAN_15 = Path("/usr/lib/postgresql/15")
ARCHIVING = {**SETTINGS, "archive_mode": "on"}
GRANTS = """
create role archiver login password 'of-the-archiver';
grant pg_monitor to archiver;
grant execute on function pg_switch_wal(), pg_create_restore_point(text) to archiver;
create schema _data_platform; create table _data_platform.heartbeat (id integer primary key check (id = 1), at timestamptz not null);
grant usage on schema _data_platform to archiver; grant select, insert, update on _data_platform.heartbeat to archiver
"""

BACKS_UP = "grant execute on function pg_backup_start(text, boolean), pg_backup_stop(boolean) to archiver"


@dataclass
class Shop:
    """``platform`` backs the company's database up by the program; ``folder`` is one that the server's account can reach."""

    company: Company
    platform: Platform
    folder: Path

    def now(self) -> datetime:
        at: datetime = self.company.row("select clock_timestamp()")[0]
        return at

    def recover(self, at: datetime, name: str = "recovered", **how: Any) -> RecoveryReport:
        return recover_database(self.platform, "shop", at, self.folder / name, **how)

    @property
    def repository(self) -> Repository:
        return repository(self.platform, "shop", archives(self.platform)[0])

    @property
    def orders(self) -> str:
        return f"{self.company.database}.public.orders"


def archived(shop: Shop) -> datetime:
    """Let the server archive what it has; returns the time then."""
    name = shop.company.row("select pg_walfile_name(pg_switch_wal())")[0]
    for _ in range(1200):
        if shop.company.row(f"select last_archived_wal >= '{name}' from pg_stat_archiver")[0]:
            break
        time.sleep(0.05)
    return shop.now()


def _company(server: PostgresServer, root: Path) -> Company:
    made = Company(root, server, f"shop_{uuid.uuid4().hex[:12]}")
    server.create_database(made.database)
    made.execute(
        *GRANTS.split(";")[2 if _has_role(server) else 0 :],
        "create table orders (id bigint primary key, note text)",
        "insert into orders select n, 'note ' || n from generate_series(1, 20000) n",
    )
    return made


def _has_role(server: PostgresServer) -> bool:
    with server.connect() as connection:
        return connection.execute("select from pg_roles where rolname = 'archiver'").fetchone() is not None


def _shop(company: Company, block: dict[str, Any], folder: Path, copies: str = "{}") -> Shop:
    platform = company.platform(json.dumps(block), copies)
    url = company.server.url(company.database)
    own = url.split("//")[1].split("@")[0]
    platform.environ["ARCHIVER_URL"] = url.replace(own, "archiver:of-the-archiver")  # type: ignore[index]
    platform.environ.update(ENVIRON)  # type: ignore[attr-defined]
    home = folder / f"recovered-{company.database}"
    home.mkdir(mode=0o711)
    return Shop(company, platform, home)


@dataclass
class Barman:
    """Barman's repository ``prefix``/shop on ``bucket``, into which ``server`` archives. ``archives`` is off where WAL is lost on its
    way: then ``answer`` is what the archive command ends with."""

    server: PostgresServer
    bucket: ObjectServer
    prefix: str
    archives: bool = True
    answer: int = 0

    def archive(self, file: Path) -> int:
        if not self.archives:
            return self.answer
        done = subprocess.run(
            [
                *(BARMAN / "bin" / "barman-cloud-wal-archive", "--endpoint-url", self.bucket.url, "--gzip"),
                *(f"s3://landing/{self.prefix}", "shop", file),
            ],
            env={
                **os.environ,
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_DEFAULT_REGION": "us-east-1",
            },
            capture_output=True,
            check=False,
        )
        return done.returncode

    @property
    def block(self) -> dict[str, Any]:
        inner = {"store": self.bucket.config(self.prefix), "server": "shop", "environment": str(BARMAN)}
        return {"engine": "barman_cloud", "url_env": "ARCHIVER_URL", "barman_cloud": inner}

    def store(self, scratch: Path) -> Store:
        return self.bucket.opener(scratch, self.prefix)()


@pytest.fixture(scope="session")
def barman(server_folder: Path, s3_server: ObjectServer) -> Iterator[Barman]:
    if not (BARMAN / ".installed").exists():
        pytest.skip("Barman is not installed here: make barman")
    handed = server_folder / "handed-over"
    server = PostgresServer(
        server_folder / "archiving", settings={**ARCHIVING, "archive_command": command(handed)}
    )
    made = Barman(server, s3_server, new_prefix())
    with archiver(handed, made.archive):
        server.start()
        with server.connect() as connection:
            connection.execute("select 1")
        yield made
        server.stop(immediate=True)


@pytest.fixture
def barman_shop(barman: Barman, tmp_path: Path, server_folder: Path) -> Iterator[Shop]:
    company = _company(barman.server, tmp_path)
    company.execute(BACKS_UP, "grant pg_checkpoint, pg_read_all_settings to archiver")
    yield _shop(company, barman.block, server_folder)
    barman.server.drop_database(company.database)


@dataclass
class PgBackRest:
    """The stanza shop of ``home/pgbackrest.conf``, with a repository in ``home/repository``."""

    server: PostgresServer
    home: Path
    account: str | None

    @property
    def block(self) -> dict[str, Any]:
        inner = {
            "stanza": "shop",
            "config": str(self.home / "pgbackrest.conf"),
            "secrets": {"repo1-cipher-pass": "SHOP_CIPHER"},
            "encrypted": True,
            **({"account": self.account} if self.account else {}),
        }
        return {"engine": "pgbackrest", "url_env": "ARCHIVER_URL", "pgbackrest": inner}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        user = unprivileged_user()
        how: dict[str, Any] = (
            {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        )
        return subprocess.run(
            ["pgbackrest", f"--config={self.home / 'pgbackrest.conf'}", "--stanza=shop", *arguments],
            env={"PATH": os.environ["PATH"], "PGBACKREST_REPO1_CIPHER_PASS": CIPHER, "PGUSER": "postgres", "PGPASSWORD": self.server.password},
            capture_output=True, text=True, check=False, cwd="/", **how,
        )  # fmt: skip


CIPHER = "the-cipher-of-the-tests"
CONFIG = """\
[global]
repo1-path={home}/repository
repo1-cipher-type=aes-256-cbc
log-path={home}/log
lock-path={home}/lock
spool-path={home}/spool
repo1-retention-full=99
compress-type=gz
compress-level=1

[shop]
pg1-path={data}
pg1-host-type=tls
"""


@pytest.fixture(scope="session")
def pgbackrest(server_folder: Path) -> Iterator[PgBackRest]:
    """pgBackRest of Debian's package with the PostgreSQL 15 of the same release; the 2.45 there knows no newer one."""
    if shutil.which("pgbackrest") is None:
        pytest.skip("pgbackrest is not installed here: make test-tools")
    if not (DEBIAN_15 / "bin" / "pg_waldump").exists():
        pytest.skip("PostgreSQL 15 with its programs is not installed here: apt-get install postgresql-15")
    home = server_folder / "backrest"
    user = unprivileged_user()
    for name in ("", "repository", "log", "lock", "spool"):
        (home / name).mkdir(mode=0o755)
        if user is not None:
            os.chown(home / name, user.pw_uid, user.pw_gid)
    archive = f"PGBACKREST_REPO1_CIPHER_PASS={CIPHER} pgbackrest --config={home}/pgbackrest.conf --stanza=shop archive-push %p"
    server = PostgresServer(
        server_folder / "backrest-server",
        settings={**ARCHIVING, "archive_command": archive, "unix_socket_directories": str(home)},
        install=DEBIAN_15,
        locale=("--locale=C", "--data-checksums"),
    )
    server.start()
    text = CONFIG.format(home=home, data=server.data_dir).replace("pg1-host-type=tls\n", "")
    (home / "pgbackrest.conf").write_text(f"{text}pg1-port={server.port}\npg1-socket-path={home}\n")
    made = PgBackRest(server, home, user.pw_name if user else None)
    created = made.run("stanza-create")
    assert created.returncode == 0, created.stderr
    yield made
    server.stop(immediate=True)


@pytest.fixture
def pgbackrest_shop(pgbackrest: PgBackRest, tmp_path: Path, server_folder: Path) -> Iterator[Shop]:
    company = _company(pgbackrest.server, tmp_path)
    with pgbackrest.server.connect() as connection:  # to which pgBackRest connects
        connection.execute(BACKS_UP)
        connection.execute(
            "grant execute on function pg_switch_wal(), pg_create_restore_point(text) to archiver"
        )
    shop = _shop(company, pgbackrest.block, server_folder)
    shop.platform.environ["SHOP_CIPHER"] = CIPHER  # type: ignore[index]
    yield shop
    pgbackrest.server.drop_database(company.database)
