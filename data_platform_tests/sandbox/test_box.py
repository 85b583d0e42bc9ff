"""The sandbox as a person meets it: up, down, status, and what it leaves in .env."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest
import stripe

from data_platform.errors import SandboxError
from data_platform.sandbox import box, down, status, up
from data_platform.sandbox.server import PostgresServer
from data_platform.sync import open_platform
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.recovery import recover_database
from data_platform.sync.wal import receiver

pytestmark = pytest.mark.slow
TODAY = date(2026, 11, 20)


@pytest.fixture
def root(server_folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    root = server_folder / f"project-{request.node.name}"
    root.mkdir()
    yield root
    down(root, destroy=True)


def environment(root: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (root / ".env").read_text().splitlines())


def test_up_down_up(root: Path) -> None:
    ticks: list[tuple[int, int]] = []
    first = up(root, orders=300, today=TODAY, on_progress=lambda done, total: ticks.append((done, total)))
    assert first.generated
    assert (first.orders, first.seed, first.today, first.notes) == (300, 1, TODAY, ())
    assert first.url is not None
    assert "postgres:" not in repr(first)
    assert ticks[-1] == (300, 300)
    written = environment(root)
    assert written["SHOP_DATABASE_URL"] == first.url
    assert first.services["stripe"] == written["STRIPE_API_BASE"]
    client = stripe.StripeClient(
        written["STRIPE_API_KEY"], base_addresses={"api": written["STRIPE_API_BASE"]}
    )
    assert client.v1.charges.list({"limit": 1}).data
    keys = [written[name] for name in ("DATA_PLATFORM_HASH_KEY", "DATA_PLATFORM_REDACTION_KEY")]
    assert [len(bytes.fromhex(key)) for key in keys] == [32, 32]
    assert keys[0] != keys[1]
    assert (root / ".env").stat().st_mode & 0o777 == 0o600
    with psycopg.connect(first.url) as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        connection.execute("DELETE FROM orders WHERE order_id = 1")

    again = up(root, orders=400, today=TODAY)
    assert not again.generated
    assert again.port == first.port
    assert "already holds 300 orders" in again.notes[0]
    assert environment(root) == written

    assert not down(root).running
    assert not status(root).running
    assert "was not running" in down(root).notes[0]
    back = up(root, orders=300, today=TODAY)
    assert back.port == first.port
    assert back.url == first.url
    with psycopg.connect(back.url) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (299,)
    assert status(root).orders == 300
    assert client.v1.charges.list({"limit": 1}).data


def test_its_database_can_be_backed_up_and_brought_back_to_any_second(root: Path) -> None:
    info = up(root, orders=200, today=TODAY)
    assert info.url is not None
    sources = root / "catalog/sources"
    sources.mkdir(parents=True)
    (root / "catalog/platform.yaml").write_text(
        "environments: {local: {landing: {kind: local, path: landing}, warehouse: {kind: duckdb, path: w.duckdb},"
        " backups: {store: {kind: local, path: backups}, start: 2026-11-01}}}\n"
    )
    (sources / "shop.yaml").write_text(
        "source: shop\nkind: postgres\nconnection: {url_env: SHOP_DATABASE_URL}\nbackups: {database: {engine: native}}\n"
        "tables: {orders: {key: order_id}}\n"
    )
    platform = open_platform(root, "local", environment(root))
    receiver(platform, "shop", lambda _: None).once()
    ways = [back_up_database(platform, "shop").backup.way for _ in range(2)]
    with psycopg.connect(info.url, autocommit=True) as connection:
        row = connection.execute("select clock_timestamp(), (select count(*) from orders)").fetchone()
        connection.execute("delete from orders where order_id = 1")
    assert row is not None and ways == ["full", "incremental"]
    receiver(platform, "shop", lambda _: None).once()
    report = recover_database(platform, "shop", row[0], root / "recovered")
    assert report.rows["shop.public.orders"] == row[1] and len(report.rows) > 5


def test_fresh_is_another_system(root: Path) -> None:
    def identifier(url: str | None) -> object:
        assert url is not None
        with psycopg.connect(url) as connection:
            return connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()

    before = identifier(up(root, orders=100, today=TODAY).url)
    info = up(root, orders=150, today=TODAY, fresh=True)
    assert info.orders == 150
    assert identifier(info.url) != before


def test_an_interrupted_up_starts_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate = box._generate

    def interrupted(*arguments: object) -> None:
        generate(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(box, "_generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        up(root, orders=100, today=TODAY)
    assert not status(root).running
    monkeypatch.undo()
    info = up(root, orders=120, today=TODAY)
    assert info.generated
    assert info.orders == 120


def test_env_keeps_what_is_the_users_own(root: Path) -> None:
    own = "# mine\nSHOP_DATABASE_URL=postgresql://me@db.example/shop\nSLACK_WEBHOOK_URL=x=y\nDATA_PLATFORM_HASH_KEY=k\n"
    (root / ".env").write_text(own)
    info = up(root, orders=100, today=TODAY)
    assert (root / ".env").read_text().startswith(own)
    assert any("names another database" in note for note in info.notes)


def test_a_missing_database_is_made_again(root: Path) -> None:
    info = up(root, orders=100, today=TODAY)
    PostgresServer(info.home).drop_database("shop")
    assert "has no database" in status(root).notes[0]
    assert up(root, orders=110, today=TODAY).orders == 110


def test_an_occupied_port_is_a_clear_error(root: Path, postgres: PostgresServer) -> None:
    with pytest.raises(SandboxError, match=f"Port {postgres.port} .* is used"):
        up(root, orders=100, today=TODAY, port=postgres.port)


def test_importing_the_sandbox_is_cheap() -> None:
    heavy = (
        "{'starlette', 'uvicorn', 'requests', 'psycopg', 'numpy', 'pyarrow', 'pandas', 'duckdb', 'dagster'}"
    )
    code = f"import sys, data_platform.sandbox; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_generating_does_not_import_pandas(database: str) -> None:
    code = (
        "import sys, datetime; from data_platform.sandbox.generate import generate; "
        "generate(sys.argv[1], orders=50, today=datetime.date(2026, 11, 20)); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, database], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
