"""``doctor``: each verdict for what was seen, and the command over a project of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from data_platform.catalog import load_catalog
from data_platform.doctor import look, verdicts
from data_platform.doctor.verdicts import Variable
from data_platform.errors import LandingError
from data_platform.findings import Finding, clock
from data_platform.sources.postgres import doctor as postgres
from data_platform.stores.local import LocalStore

from .conftest import Result

Cli = Callable[..., Result]
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_clock_is_judged_by_what_the_round_trip_cannot_explain() -> None:
    def judged(theirs: datetime) -> Finding:
        return clock("clock", NOW, theirs, NOW + 2 * SECOND)

    assert judged(NOW + SECOND).state == "ok"
    assert judged(NOW - 5 * SECOND).state == "ok"
    assert judged(NOW - 6 * SECOND).state == "warn" and "6 s behind" in judged(NOW - 6 * SECOND).found
    assert judged(NOW + 32 * SECOND).state == "warn" and "30 s ahead of" in judged(NOW + 32 * SECOND).found
    assert judged(NOW + timedelta(hours=1)).state == "fail"
    assert "NTP" in judged(NOW + timedelta(hours=1)).todo


@pytest.mark.parametrize(
    ("first", "second", "read_back", "state"),
    [
        (True, False, True, "ok"),
        (True, True, False, "fail"),
        (False, False, False, "fail"),
        (True, False, False, "fail"),
    ],
)
def test_a_store_must_keep_the_first_of_two_writes(
    first: bool, second: bool, read_back: bool, state: str
) -> None:
    assert verdicts.conditional_write("store", "file:///x", first, second, read_back).state == state


def test_disks_are_judged_by_what_is_free() -> None:
    states = [verdicts.disk("disk", "/x", free).state for free in (0, 999_999_999, 2 * 10**9, 10**10)]
    assert states == ["fail", "fail", "warn", "ok"]


def test_variables_that_are_needed_fail_and_others_warn() -> None:
    named = [Variable("A", "a.url_env", True), Variable("B", "b.webhook_env", False)]
    assert [f.state for f in verdicts.variables(named, {})] == ["fail", "warn"]
    assert [f.state for f in verdicts.variables(named, {"A": " ", "B": "x"})] == ["fail"]
    assert [f.state for f in verdicts.variables(named, {"A": "x", "B": "x"})] == ["ok"]
    secret = "postgresql://user:hunter2@db/x"
    assert "hunter2" not in str(verdicts.variables(named, {"A": secret}))


def test_the_right_to_see_activity_matters_where_a_cursor_gains_by_it() -> None:
    def judged(by_clock: int, sees: bool, standby: bool) -> str:
        return postgres.activity("rights", by_clock, sees, standby, "reader").state

    assert judged(0, False, False) == judged(3, False, True) == judged(3, True, False) == "ok"
    assert judged(3, False, False) == "warn"
    assert 'TO "reader"' in postgres.activity("rights", 3, False, False, "reader").todo


def test_a_server_of_an_untested_version_is_told() -> None:
    assert postgres.server("source", 18, False, range(13, 19)).state == "ok"
    assert postgres.server("source", 19, False, range(13, 19)).state == "warn"
    assert "a standby" in postgres.server("source", 18, True, range(13, 19)).found


@pytest.mark.parametrize("running", [True, False])
def test_the_daemon_is_judged_by_its_heartbeats(running: bool) -> None:
    bad = "fail" if running else "warn"
    old, new = NOW - timedelta(hours=1), NOW - 20 * SECOND
    assert verdicts.daemon({"SENSOR": new, "SCHEDULER": new}, NOW, running).state == "ok"
    partly = verdicts.daemon({"SENSOR": new, "SCHEDULER": old, "BACKFILL": None}, NOW, running)
    assert partly.state == bad and "BACKFILL, SCHEDULER" in partly.found
    gone = verdicts.daemon({"SENSOR": old, "SCHEDULER": old}, NOW, running)
    assert gone.state == bad and "2026-11-22 11:00:00" in gone.found
    never = verdicts.daemon({"SENSOR": None}, NOW, running)
    assert never.state == bad and "dagster-daemon run" in never.todo


def test_dagster_home_must_be_a_folder_with_settings() -> None:
    assert verdicts.dagster_home("/x", True, True, True) is None
    for home, folder, settings in (("", False, False), ("/x", False, False), ("/x", True, False)):
        for running, state in ((True, "fail"), (False, "warn")):
            finding = verdicts.dagster_home(home, folder, settings, running)
            assert finding is not None and finding.state == state and finding.todo


@dataclass
class Forgetful:
    """A store without conditional writes, whose clock is an hour ahead."""

    url: str = "test://forgetful"
    locks: None = None
    kept: dict[str, bytes] = field(default_factory=dict)

    def put_new(self, key: str, data: bytes) -> bool:
        self.kept[key] = data
        return True

    def read(self, key: str) -> bytes:
        return self.kept[key]

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)

    def written_at(self, key: str) -> datetime:
        return datetime.now(UTC) + timedelta(hours=1)


def test_a_store_is_really_tried_and_left_as_it_was(tmp_path: Path) -> None:
    local = LocalStore(tmp_path / "landing")
    states = {f.check: f.state for f in look.look_at_store("landing store", lambda: local, [local.path])}
    assert states["landing store"] == "ok" and "landing store: disk" in states
    assert local.list("") == []

    forgetful = Forgetful()
    found = {f.check: f for f in look.look_at_store("store", lambda: forgetful)}  # type: ignore[arg-type,return-value]
    assert found["store"].state == "fail" and "second write" in found["store"].found
    assert found["store: clock"].state == "fail"
    assert forgetful.kept == {}


def test_a_store_that_does_not_open_is_a_finding() -> None:
    def broken() -> LocalStore:
        raise LandingError("The bucket is not there. Make it.")

    assert [f.state for f in look.look_at_store("store", broken)] == ["fail"]


ALERTS = ("SLACK_WEBHOOK_URL", "SMTP_URL", "ALERTS_MAIL_TO", "PAGERDUTY_ROUTING_KEY", "ALERTS_HEARTBEAT_URL")
"""What the defaults of alerts name."""


def test_named_variables_are_found_wherever_they_stand(project: Path) -> None:
    catalog = load_catalog(project)
    local = catalog.environment("local")
    found = {v.name: v.needed for v in look.named_variables(catalog, local, {})}
    alerts = dict.fromkeys(ALERTS, False)
    assert found == {"CLI_TEST_SHOP_URL": True, "CLI_TEST_CRM_URL": True} | alerts
    shop = project / "catalog" / "sources" / "shop.yaml"
    shop.write_text(shop.read_text().replace("{url_env:", "{replica_url_env: REPLICA, url_env:"))
    catalog = load_catalog(project)
    assert {v.name: v.needed for v in look.named_variables(catalog, local, {})}["REPLICA"] is False
    set_ = {v.name for v in look.named_variables(catalog, local, {"REPLICA": "postgresql://x"})}
    assert set_ == {"REPLICA", "CLI_TEST_CRM_URL", *ALERTS}


def test_it_says_what_fails_and_ends_with_1(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLI_TEST_CRM_URL", "CLI_TEST_HASH_KEY", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    done = cli("doctor", "--json")
    report = json.loads(done.out)
    assert (done.code, report["ok"]) == (1, False)
    assert all(set(one) == {"check", "state", "found", "todo"} for one in report["checks"])
    states = {one["check"]: one["state"] for one in report["checks"]}
    assert states["catalog"] == states["landing store"] == states["warehouse"] == "ok"
    assert states["variables"] == states["source shop"] == states["hash key"] == "fail"
    assert states["Dagster"] == "warn"

    told = cli("doctor")
    assert told.code == 1
    assert "fail  source shop: The environment variable CLI_TEST_SHOP_URL is not set" in told.out
    assert "failed." in told.err


def test_a_platform_file_with_mistakes_is_the_only_finding(project: Path, cli: Cli) -> None:
    (project / "catalog" / "platform.yaml").write_text("environments: {local: {landnig: 1}}\n")
    report = json.loads(cli("doctor", "--json").out)
    assert [one["check"] for one in report["checks"]] == ["catalog"]
    assert "platform.yaml" in report["checks"][0]["found"]


@pytest.mark.slow
def test_a_source_is_looked_at_as_a_sync_would(
    project: Path, database: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "catalog" / "sources" / "crm.yaml").unlink()
    catalog = project / "catalog" / "sources" / "shop.yaml"
    catalog.write_text(catalog.read_text().replace("supplier_email: hash", "supplier_email: hash?"))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE products (product_id int PRIMARY KEY, updated_at timestamptz, supplier_email text)"
        )
        connection.execute("DROP ROLE IF EXISTS doctors_reader")
        connection.execute("CREATE ROLE doctors_reader LOGIN PASSWORD 'only for this test'")
    monkeypatch.setenv("CLI_TEST_SHOP_URL", database)
    monkeypatch.setenv("CLI_TEST_HASH_KEY", "a key that only tests use")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    found = {one["check"]: one for one in json.loads(cli("doctor", "--json").out)["checks"]}
    assert found["guesses"]["state"] == "warn" and found["guesses"]["found"].startswith("1 treatments")
    assert "PostgreSQL" in found["source shop"]["found"]
    assert found["source shop: clock"]["state"] == "ok"
    tables = found["source shop: tables"]
    assert tables["state"] == "fail" and "shop/orders" in tables["found"]

    try:
        reader = database.replace(
            database.split("//")[1].split("@")[0], "doctors_reader:only%20for%20this%20test"
        )
        monkeypatch.setenv("CLI_TEST_SHOP_URL", reader)
        shop = project / "catalog" / "sources" / "shop.yaml"
        shop.write_text(
            shop.read_text()
            .replace("cursor: updated_at", "cursor: updated_at, cursor_clock: database")
            .replace(
                "    cursor: updated_at, cursor_clock: database\n",
                "    cursor: updated_at\n    cursor_clock: database\n",
            )
        )
        report = cli("doctor", "--json").out
        found = {one["check"]: one for one in json.loads(report)["checks"]}
        assert found["source shop: pg_read_all_stats"]["state"] == "warn"
        assert "shop/products" in found["source shop: tables"]["found"]
        assert "only for this test" not in report
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DROP ROLE doctors_reader")


@pytest.mark.slow
def test_dagsters_records_are_read_in_a_process_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environ = {"DAGSTER_HOME": str(tmp_path)}
    records, daemon = look.look_at_dagster(environ, running=True)
    assert records.state == "ok" and "Sqlite" in records.found and "GB" in records.found
    too_much = verdicts.records("SqliteEventLogStorage", 12_000_000_000)
    assert too_much.state == "warn" and "12.0 GB" in too_much.found and "tidy_records" in too_much.todo
    assert daemon.state == "fail" and "never ran" in daemon.found

    (tmp_path / "dagster.yaml").write_text(
        "storage: {postgres: {postgres_url: 'postgresql+psycopg2://user:hunter2@127.0.0.1:1/none'}}\n"
    )
    (broken,) = look.look_at_dagster(environ, running=True)
    assert broken.state == "fail" and "hunter2" not in broken.found
    assert "nothing listens at the URL's host and port" in broken.found and "127.0.0.1" not in broken.found


def test_what_other_accounts_may_read_is_told_with_the_way_to_close_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_platform.doctor import modes
    from data_platform.sync import open_platform

    platform = open_platform(project, None, {})
    landing = project / platform.environment.landing.path
    landing.mkdir(parents=True, exist_ok=True)
    landing.chmod(0o755)
    monkeypatch.setattr(modes, "open_to_others", lambda path: bool(path.stat().st_mode & 0o077))
    found = modes.look_at_modes(platform, {"DAGSTER_HOME": str(project / "nowhere")})
    assert found.state == "warn" and f"chmod -R go-rwx {landing}" in found.todo
    landing.chmod(0o700)
    assert modes.look_at_modes(platform, {"DAGSTER_HOME": str(project / "nowhere")}).state == "ok"
