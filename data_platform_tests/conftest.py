"""Fixtures that many tests share: a real PostgreSQL server and databases on it.

One server serves the whole run, without waiting for the disk. It lives in a
folder named after this process, so that the next run can clear away what a
killed one left behind.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg
import pytest

from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.local_postgres import alive
from data_platform.sandbox.generate import generate
from data_platform.sandbox.server import PostgresServer
from data_platform.sandbox.settings import QUIET
from data_platform_tests import costs, other_postgres
from data_platform_tests.engines.ducklake import lake_catalogs
from data_platform_tests.engines.fixtures import bigquery_server, redshift_server
from data_platform_tests.engines.snowflake.fixtures import snowflake_server
from data_platform_tests.servers.fixtures import (
    gcs_server,
    gcs_store,
    locked_bucket,
    pooled,
    s3_server,
    s3_store,
)

__all__ = [
    "bigquery_server",
    "gcs_server",
    "gcs_store",
    "lake_catalogs",
    "locked_bucket",
    "pooled",
    "redshift_server",
    "s3_server",
    "s3_store",
    "snowflake_server",
]

FOLDER_PREFIX = "data-platform-tests-"
SHOP_ORDERS = 2_000
SHOP_TODAY = date(2026, 11, 20)
"""History of the ``shop`` fixture ends as this day begins (UTC)."""
REDACTION_KEY = "a key that only these tests use, long enough"


IN_MEMORY = Path("/dev/shm")
ROOM_BYTES_MIN = 6_000_000_000


def pytest_configure(config: pytest.Config) -> None:
    """What tests write goes to memory where there is room: they sync so much that they mostly wait for the disk.

    A disk would prove no more. Tests kill processes, never the machine, and what a killed process has written
    is there whether it was synced or not. TMPDIR, where it is set, is kept to.
    """
    if shown := config.getoption("--costs"):
        config.pluginmanager.register(costs.Meter(), "costs-meter")
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(costs.Bill(shown), "costs-bill")
    if "TMPDIR" in os.environ or not os.access(IN_MEMORY, os.W_OK):
        return
    found = os.statvfs(IN_MEMORY)
    if found.f_bavail * found.f_frsize >= ROOM_BYTES_MIN and not found.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(IN_MEMORY)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("seeded schedules")
    group.addoption(
        "--seeds", type=int, help="how many seeds each seeded test runs (each has a small number)"
    )
    group.addoption("--seed", type=int, help="the one seed to run")
    parser.addoption(
        "--postgres",
        type=int,
        choices=other_postgres.VERSIONS,
        help="the version of the PostgreSQL server that tests share, instead of the sandbox's own",
    )
    parser.addoption(
        "--warehouse",
        help="a kind of warehouse: all of the contract runs over it instead of a sample, and over no other",
    )
    parser.addoption(
        "--airflow", action="store_true", help="also the platform beside a real Airflow (`make test-airflow`)"
    )
    parser.addoption(
        "--costs",
        type=int,
        metavar="N",
        help="print the N dearest files and tests by CPU seconds, those of started processes included",
    )
    parser.addoption(
        "--webhook-events",
        type=int,
        default=3_000,
        help="how many events are delivered while receivers and syncs are killed",
    )


LONG = (
    *(
        "deploy/test_production.py",
        "end_to_end/test_browser.py",
        "defs/test_runs.py",
        "chaos/test_chaos.py",
        "sources/spark/",
    ),
    *(
        "dbt/test_figures.py",
        "dbt/",
        "contracts/test_source_contract.py",
        "stores/test_faults.py",
        "exactness/",
        "chaos/",
    ),
    *(
        "security/",
        "contracts/",
        "warehouses/",
        "sync/",
        "deploy/",
        "end_to_end/",
        "sources/",
        "defs/",
        "sandbox/",
        "stores/",
    ),
    *("test_benchmarks.py", "test_scale_simulation.py"),
)
"""What takes longest starts first, so that no worker is left alone with it in the end: see ``--costs``."""


SERVERS = frozenset(
    {
        "postgres",
        "s3_server",
        "gcs_server",
        "bigquery_server",
        "redshift_server",
        "snowflake_server",
        "lake_catalogs",
    }
)
"""Fixtures that start a server of their own: a test that asks for one is slow, whether or not it says so."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = Path(__file__).parent
    for item in items:
        if not SERVERS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(root).as_posix()
        return next((n for n, start in enumerate(LONG) if name.startswith(start)), len(LONG))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """What the modules are made of stays to the end: the collector need not look through it again and again.

    It looks a seventh as often too: among Dagster's definitions it took a twentieth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000)


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> Callable[[int], Sequence[int]]:
    """The seeds a test runs when it would run so many by itself."""

    def chosen(default: int) -> Sequence[int]:
        one = request.config.getoption("--seed")
        return [one] if one is not None else range(request.config.getoption("--seeds") or default)

    return chosen


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> None:
    """For what takes minutes, and of which a CI run sees another sample already."""
    if not request.config.getoption("--seeds"):
        pytest.skip("on demand: --seeds N")


def _clear_left_behind() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        process = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if not process.isdigit() or alive(int(process)) or folder.stat().st_uid != os.geteuid():
            continue
        for home in folder.iterdir():
            if home.is_dir():
                PostgresServer(home).stop(immediate=True)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that the servers' unprivileged account can enter (pytest's own are closed to it).

    Servers started in a direct subfolder of it are stopped and removed at the end.
    """
    _clear_left_behind()
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
    folder.chmod(0o711)
    yield folder
    for home in folder.iterdir():
        if home.is_dir():
            PostgresServer(home).stop(immediate=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(server_folder: Path, request: pytest.FixtureRequest) -> PostgresServer:
    """The run's server: logical WAL, prepared transactions, no fsync, no autovacuum noise."""
    settings = {**QUIET, "shared_buffers": "128MB", "max_connections": "200"}
    version = request.config.getoption("--postgres")
    if version is not None:
        return other_postgres.start(version, server_folder / "primary", settings)
    return PostgresServer(server_folder / "primary", settings=settings).start()


@pytest.fixture(scope="session")
def postgres_version(postgres: PostgresServer) -> int:
    with postgres.connect() as connection:
        return connection.info.server_version // 10_000


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """What a command closes to others, called in this process, it closes for its own test."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def redaction_key(monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment has the key without which no row is taken out of what landed."""
    monkeypatch.setenv(KEY_VARIABLE, REDACTION_KEY)
    return REDACTION_KEY


@pytest.fixture(autouse=True)
def _needs_postgres(request: pytest.FixtureRequest) -> None:
    """Skips what is marked ``needs_postgres(18)`` on an older server."""
    marker = request.node.get_closest_marker("needs_postgres")
    if marker is not None and request.getfixturevalue("postgres_version") < marker.args[0]:
        pytest.skip(f"needs PostgreSQL {marker.args[0]}")


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """URL of an empty database of the test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@dataclass(frozen=True)
class Role:
    """A user of the server who may log in and owns nothing."""

    name: str
    url: str


@pytest.fixture
def reader(postgres: PostgresServer, database: str) -> Iterator[Role]:
    """A user of the test's own, who may connect to ``database`` and read what the test grants."""
    name = f"reader_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"create role {name} login password 'of-the-reader'")  # type: ignore[arg-type]
    yield Role(name, re.sub("//.*@", f"//{name}:of-the-reader@", database))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"drop owned by {name}")  # type: ignore[arg-type]
        connection.execute(f"drop role {name}")  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def shop(postgres: PostgresServer) -> str:
    """URL of the sandbox's shop with 2,000 orders. For reading only: see ``shop_copy``."""
    url = postgres.create_database("shop_small")
    generate(url, orders=SHOP_ORDERS, seed=1, today=SHOP_TODAY)
    return url


@pytest.fixture
def shop_copy(postgres: PostgresServer, shop: str) -> Iterator[str]:
    """URL of a shop of the test's own, to change at will."""
    name = f"shop_{uuid.uuid4().hex[:12]}"
    with postgres.connect() as connection:  # a template must have no connection
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop_small'"
        )
    yield postgres.create_database(name, template="shop_small")
    postgres.drop_database(name)
