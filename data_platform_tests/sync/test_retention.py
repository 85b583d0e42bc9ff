"""Rows that are older than their rule leave landing, warehouse, models and copies, and stay out; whom a hold names keeps theirs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from data_platform.backups.mirror import place_in
from data_platform.cli.app import run
from data_platform.errors import BatchConflict, ConfigurationError
from data_platform.landing.verify import verify
from data_platform.privacy.retention.requests import STEPS, Application
from data_platform.privacy.retention.rule import AgedModel
from data_platform.sync import Platform
from data_platform.sync.backup import archives, make_backup, restore_warehouse, settings
from data_platform.sync.erasing import door, restored
from data_platform.sync.erasing.book import Book
from data_platform.sync.load import check_completeness
from data_platform.sync.rebuild import rebuild
from data_platform.sync.retention import apply as applying
from data_platform.sync.retention.apply import ask, carry_out, plan, unfinished
from data_platform.sync.retention.kept import still_held
from data_platform.tables import TableId
from data_platform_tests import people
from data_platform_tests.sync.conftest import HASH_KEY, Project

TODAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENTS, VISITS = TableId("shop", "events"), TableId("shop", "visits")
SQL = """
create table users (user_id bigint primary key, email text, updated_at timestamptz not null default clock_timestamp());
create table events (event_id bigint primary key, user_id bigint, what text, occurred_at timestamptz,
    updated_at timestamptz not null default clock_timestamp());
create table visits (visit_id bigint primary key, user_id bigint, address text, page text, day date,
    updated_at timestamptz not null default clock_timestamp());
insert into users select n, 'person' || n || '@company.example' from generate_series(1, 10) n;
insert into events select n, 1 + n % 10, 'Event' || n, timestamptz '2026-03-01 00:30+00' - n * interval '1 day' from generate_series(1, 100) n;
insert into events values (1000, 1, 'undated', null, clock_timestamp());
insert into visits select n, 1 + n % 10, 'Street' || n, 'page' || n, date '2026-03-01' - n from generate_series(1, 100) n;
"""
TABLES: dict[str, Any] = {
    "users": {"key": "user_id", "cursor": "updated_at", "personal": {"email": "hash"}},
    "events": {
        "key": "event_id",
        "cursor": "updated_at",
        "partition": "occurred_at",
        "retention": {"days": 40, "by": "occurred_at", "purpose": "Fraud is looked for in 40 days."},
    },
    "visits": {
        "key": "visit_id",
        "cursor": "updated_at",
        "personal": {"address": "keep"},
        "retention": {"days": 40, "by": "day", "then": "anonymise"},
    },
}
SUBJECTS: dict[str, Any] = {
    "customer": {
        "lookups": {"user_id": "shop/users.user_id"},
        "links": {
            "shop/events.user_id": "shop/users.user_id",
            "shop/visits.user_id": "shop/users.user_id",
        },
    }
}


@pytest.fixture
def shop(project: Project, redaction_key: str) -> Project:
    """A hundred days of events and visits, loaded; the catalog has a copy of the landing store."""
    return project.people(SQL, TABLES, SUBJECTS)


def on(shop: Project, day: datetime = TODAY) -> Platform:
    return replace(shop.platform(), clock=lambda: day)


def apply(shop: Project, day: datetime = TODAY, models: list[AgedModel] | None = None) -> Application:
    platform = on(shop, day)
    asked = ask(platform, plan(platform), "the DPO")
    assert asked is not None
    return carry_out(platform, asked.id, lambda: models or [])


def events(shop: Project) -> int:
    return int(shop.rows("select count(*) from raw_shop.events")[0][0])


def named(shop: Project) -> int:
    return int(
        shop.rows("select count(*) from raw_shop.visits where user_id is not null or address is not null")[0][
            0
        ]
    )


def test_old_rows_leave_and_what_is_read_again_does_not_bring_them(shop: Project) -> None:
    """The source still has all of them, and both sides are counted."""
    platform = on(shop)
    found = {one.limit.table: one for one in plan(platform)}
    assert found[EVENTS].limit.before == date(2026, 1, 20)
    assert (found[EVENTS].rows, found[VISITS].rows) == (60, 60)
    assert (events(shop), named(shop)) == (101, 100), "a plan changes nothing"
    done = apply(shop)
    assert done.next_step is None
    assert dict(done.rows) == {"shop/events": 60, "shop/visits": 60}
    assert (events(shop), named(shop)) == (41, 40)
    assert shop.rows("select count(*), count(page) from raw_shop.visits") == [(100, 100)]
    for table in (EVENTS, VISITS):
        assert verify(platform.ledger, table, platform.clock(), sample=1).problems == ()
        assert check_completeness(platform, platform.catalog.table(table)).passed
    shop.execute(
        "update events set what = what || '!'",
        "update visits set page = page || '!'",
        "insert into events values (2000, 3, 'late', '2025-12-24', clock_timestamp())",
    )
    shop.good()
    shop.good(refresh=["events", "visits"])
    shop.verified()
    assert (events(shop), named(shop)) == (41, 40)
    assert shop.rows("select count(*) from raw_shop.visits where page like '%!'") == [(100,)]
    assert plan(platform)[0].rows == 0
    assert ask(platform, plan(platform), "the DPO") is None


def test_no_byte_of_them_is_left_where_the_platform_writes(shop: Project) -> None:
    make_backup(shop.platform())
    apply(shop)
    platform = on(shop)
    copied = place_in(archives(platform)[0]).reader
    landed = {key for key in platform.store.list("shop") if key.endswith(".parquet")}
    assert {key for key in copied.list("shop") if key.endswith(".parquet")} == landed
    data = (shop.root / "warehouse.duckdb").read_bytes()
    assert b"Event30" in data
    assert b"Event77" not in data
    assert b"Street77" not in data


def test_the_day_after_one_more_goes(shop: Project) -> None:
    apply(shop)
    done = apply(shop, TODAY + timedelta(days=1))
    assert dict(done.rows) == {"shop/events": 1, "shop/visits": 1}
    assert events(shop) == 40


@pytest.mark.parametrize("step", STEPS)
def test_one_that_is_killed_goes_on(shop: Project, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = on(shop)
    asked = ask(platform, plan(platform), "the DPO")
    assert asked is not None

    def killed(name: str) -> None:
        if name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(platform, asked.id, list, killed)
    assert [one.next_step for one in unfinished(platform)] == [step]
    shop.good()
    assert carry_out(on(shop), asked.id, list).next_step is None
    assert (events(shop), named(shop)) == (41, 40)
    assert not unfinished(platform)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_was_done_and_not_written_down_is_done_again(
    shop: Project, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = on(shop)
    asked = ask(platform, plan(platform), "the DPO")
    assert asked is not None
    act = applying._STEPS[step]

    def killed(work: Any) -> Any:
        act(work)
        raise KeyboardInterrupt

    monkeypatch.setitem(applying._STEPS, step, killed)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        carry_out(platform, asked.id, list)
    monkeypatch.setitem(applying._STEPS, step, act)  # type: ignore[arg-type]
    shop.execute("update events set what = what || '!' where event_id % 3 = 0")
    shop.good()
    done = carry_out(on(shop), asked.id, list)
    assert done.next_step is None
    assert done.done["landing"]["shop/events"]["parts"] == 1
    assert (events(shop), named(shop)) == (41, 40)
    assert b"Event77" not in (shop.root / "warehouse.duckdb").read_bytes()


def test_the_command_counts_first_and_says_what_it_did(
    shop: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the real clock, all of the rows are older than forty days."""
    monkeypatch.chdir(shop.root)
    monkeypatch.setenv("SHOP_URL", shop.url)
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", HASH_KEY)
    days = (datetime.now(UTC).date() - TODAY.date()).days + 40
    longer = {
        name: {**block, "retention": {**block["retention"], "days": days}} if "retention" in block else block
        for name, block in TABLES.items()
    }
    shop.catalog(longer)

    def said(*words: str) -> Any:
        capsys.readouterr()
        assert run(("retention", *words, "--json")) == 0
        return json.loads(capsys.readouterr().out)

    shown = said("show")
    assert {one["table"]: (one["rows"], one["landed"]) for one in shown["tables"]} == {
        "shop/events": (60, 60),
        "shop/visits": (60, 60),
    }
    assert said("apply", "--table", "shop.events")["tables"][0]["rows"] == 60
    assert events(shop) == 101
    done = said("apply", "--table", "shop.events", "--yes", "--authorised-by", "the DPO")
    assert done["rows"] == {"shop/events": 60}
    assert (events(shop), named(shop)) == (41, 100)
    assert said("apply", "--table", "shop.events", "--yes", "--authorised-by", "the DPO")["id"] is None
    assert run(("retention", "apply", "--table", "shop.users")) == 2
    capsys.readouterr()
    assert run(("retention", "apply", "--yes", "--authorised-by", "the DPO")) == 0
    assert "shop/visits: 60 rows from before 2026-01-20 were anonymised" in capsys.readouterr().out
    assert run(("retention", "show")) == 0
    assert "2026-01-20" in capsys.readouterr().out
    recorded = [one.body for one in shop.platform().trail.log.entries() if one.body["action"] == "retention"]
    assert {tuple(one["objects"]) for one in recorded} == {("shop/events",), ("shop/visits",)}


def test_a_hold_keeps_a_person_s_rows_until_it_is_released(shop: Project) -> None:
    platform = on(shop)
    people.held(platform, user_id="3")
    done = apply(shop)
    assert dict(done.rows) == {"shop/events": 54, "shop/visits": 54}
    assert done.done["warehouse"]["holds"] == ["case-77"]
    shop.good(refresh=["events", "visits"])
    assert (events(shop), named(shop)) == (47, 46)
    assert all(check_completeness(platform, platform.catalog.table(one)).passed for one in (EVENTS, VISITS))
    Book(platform).release("case-77", "it ended", "counsel")
    shop.good(refresh=["events"])
    shop.verified()
    assert (events(shop), named(shop)) == (47, 46), "until the next application both sides have them"
    assert dict(apply(shop).rows) == {"shop/events": 6, "shop/visits": 6}
    assert (events(shop), named(shop)) == (41, 40)


def test_a_hold_of_later_brings_nothing_back(shop: Project) -> None:
    platform = on(shop)
    apply(shop)
    people.held(platform, "case-78", user_id="3")
    assert dict(apply(shop, TODAY + timedelta(days=30)).rows) == {"shop/events": 27, "shop/visits": 27}
    shop.good(refresh=["events", "visits"])
    shop.verified()
    assert (events(shop), named(shop)) == (14, 13), "10 days, 3 of the person's, and one without a date"


def test_rows_that_the_source_deleted_leave_what_landed(shop: Project) -> None:
    """The raw table has none of them any more."""
    shop.execute("delete from events where occurred_at < '2026-01-20'")
    shop.good(verify=True)
    assert events(shop) == 41
    (found, _) = plan(on(shop))
    assert (found.rows, found.landed) == (0, 60)
    done = apply(shop)
    assert done.done["landing"]["shop/events"] == {"parts": 1}
    assert plan(on(shop))[0].landed == 0


def test_a_column_that_is_no_partition_is_searched_in_what_landed_when_asked_for(shop: Project) -> None:
    shop.execute("delete from visits where day < '2026-01-20'")
    shop.good(verify=True)
    assert [one.landed for one in plan(on(shop))] == [60, 0]
    assert [one.landed for one in plan(on(shop), thorough=True)] == [60, 60]


def test_a_limit_only_moves_forward(shop: Project) -> None:
    """Days that are raised, and another column to count from, take nothing back; the other column counts beside it."""
    apply(shop)
    longer = {"days": 90, "by": "occurred_at"}
    shop.catalog({**TABLES, "events": {**TABLES["events"], "retention": longer}})
    shop.good(refresh=["events"])
    assert events(shop) == 41
    assert plan(on(shop), [EVENTS])[0].rows == 0
    other = {"days": 40, "by": "updated_at"}
    shop.catalog({**TABLES, "events": {**TABLES["events"], "retention": other}})
    shop.execute("update events set updated_at = '2026-01-01' where event_id <= 5")
    shop.good(refresh=["events"])
    assert dict(apply(shop).rows)["shop/events"] == 5
    shop.good(refresh=["events"])
    shop.verified()
    assert events(shop) == 36


def test_a_sync_that_began_before_lands_nothing_of_it(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.execute("update events set what = what || '!'")
    checked = door.Door.check

    def applied_meanwhile(self: door.Door, table: TableId) -> None:
        monkeypatch.setattr(door.Door, "check", checked)
        apply(shop)
        checked(self, table)

    monkeypatch.setattr(door.Door, "check", applied_meanwhile)
    assert shop.good()["events"].error is None, "it was tried again"
    assert events(shop) == 41
    known = door.door_of(on(shop))
    apply(shop, TODAY + timedelta(days=1))
    with pytest.raises(BatchConflict, match="leave by its `retention`"):
        known.check(EVENTS)
    known.check(TableId("shop", "users"))


def test_what_a_plan_shows(shop: Project) -> None:
    platform = on(shop)
    people.held(platform, user_id="3")
    found = plan(platform, [EVENTS])[0]
    assert (found.rows, found.spared, found.undated, found.landed) == (54, 6, 1, 54)
    assert found.late == 54 - len([n for n in (41, 42) if 1 + n % 10 != 3])
    assert str(found.oldest).startswith("2025-11-21")


def test_models_that_hand_on_the_column_lose_the_rows(shop: Project) -> None:
    shop.build(
        "create schema marts",
        "create table marts.clicks as select event_id as id, occurred_at as at from raw_shop.events",
        "create table marts.clicked as select user_id, count(*) n from raw_shop.events group by 1",
        "create table marts.pages as select day, address as street, page from raw_shop.visits",
    )
    models = [
        AgedModel(EVENTS, "marts", "clicks", "at", {}),
        AgedModel(VISITS, "marts", "pages", "day", {"address": "street"}),
        AgedModel(VISITS, "marts", "gone", "day", {}),
        AgedModel(EVENTS, "marts", "clicked", None, {}),
    ]
    done = apply(shop, models=models)
    assert {name: done.done["warehouse"][name] for name in ("marts.clicks", "marts.pages")} == {
        "marts.clicks": 60,
        "marts.pages": 60,
    }
    assert done.done["warehouse"]["full_refresh"] == ["marts.clicked"]
    assert shop.rows("select count(*) from marts.clicks") == [(41,)]
    assert shop.rows("select count(*), count(street) from marts.pages") == [(100, 40)]


def test_models_that_say_whose_rows_they_are_keep_those_of_people_on_hold(shop: Project) -> None:
    platform = on(shop)
    people.held(platform, user_id="3")
    shop.build(
        "create schema marts",
        "create table marts.clicks as select user_id as person, occurred_at as at from raw_shop.events",
        "create table marts.nobodys as select occurred_at as at from raw_shop.events",
    )
    models = [
        AgedModel(EVENTS, "marts", "clicks", "at", {"user_id": "person"}),
        AgedModel(EVENTS, "marts", "nobodys", "at", {}),
    ]
    done = apply(shop, models=models)
    assert done.done["warehouse"]["full_refresh"] == ["marts.nobodys"]
    assert shop.rows("select count(*) from marts.clicks") == [(47,)]
    assert shop.rows("select count(*) from marts.nobodys") == [(101,)]


def test_what_is_rebuilt_or_restored_lacks_them(shop: Project) -> None:
    make_backup(shop.platform())
    apply(shop)
    platform = on(shop)
    rebuild(platform, shop.root / "rebuilt.duckdb")
    then = restored.forgetting(platform, list)
    report = restore_warehouse(platform, "latest", shop.root / "restored.duckdb", then=then)
    assert report.removed == {"raw_shop.events": 60, "raw_shop.visits": 60}
    for name in ("rebuilt", "restored"):
        config = platform.environment.warehouse.elsewhere(shop.root / f"{name}.duckdb")
        with config.open(shop.root, read_only=True) as warehouse:
            assert warehouse.query("select count(*) from raw_shop.events").rows == [(41,)]
            assert warehouse.query("select count(address) from raw_shop.visits").rows == [(40,)]


def test_until_when_backups_hold_what_left_is_shown(
    shop: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert still_held(on(shop)) == []
    before, after = TODAY - timedelta(hours=3), TODAY + timedelta(hours=3)
    make_backup(on(shop, before))
    first = apply(shop)
    (found,) = still_held(on(shop))
    days = settings(shop.platform()).retention.days
    assert (found.application.id, found.classes) == (first.id, {"warehouse": 1})
    assert found.until is not None and abs(found.until - before - timedelta(days=days)) < timedelta(seconds=2)
    make_backup(on(shop, after))
    assert [one.classes for one in still_held(on(shop))] == [{"warehouse": 1}], (
        "the second was made without them"
    )
    second = apply(shop, TODAY + timedelta(days=1))
    both = still_held(on(shop))
    assert [(one.application.id, one.classes["warehouse"]) for one in both] == [(second.id, 2), (first.id, 1)]
    monkeypatch.setenv("SHOP_URL", shop.url)
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", HASH_KEY)
    capsys.readouterr()
    assert run(("retention", "show", "--table", "shop.events", "--root", str(shop.root), "--json")) == 0
    said = json.loads(capsys.readouterr().out)["in_backups"]
    assert [(one["id"], one["until"]) for one in said] == [
        (one.application.id, one.until.isoformat()) for one in both if one.until
    ]
    assert run(("retention", "show", "--root", str(shop.root))) == 0
    assert f"is in 1 backup (warehouse) until {found.until:%Y-%m-%d}" in capsys.readouterr().out


def test_a_rule_that_was_taken_away_lets_rows_land_again(shop: Project) -> None:
    apply(shop)
    without = {name: {k: v for k, v in block.items() if k != "retention"} for name, block in TABLES.items()}
    shop.catalog(without)
    shop.good(refresh=["events"])
    assert events(shop) == 101


def test_a_column_that_holds_no_day_is_refused(shop: Project) -> None:
    shop.catalog({**TABLES, "events": {**TABLES["events"], "retention": {"days": 40, "by": "what"}}})
    with pytest.raises(ConfigurationError, match=r"counts from what, which holds no day"):
        plan(on(shop))
