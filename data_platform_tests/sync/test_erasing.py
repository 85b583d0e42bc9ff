"""A person is taken out of what landed, the warehouse and the copies, and stays out, whatever is read, rebuilt or restored."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import yaml

from data_platform.backups.mirror import place_in
from data_platform.cli.app import run
from data_platform.errors import BatchConflict, ConfigurationError, LandingError, LedgerBroken
from data_platform.landing.keys import part_key
from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.landing.verify import verify
from data_platform.privacy.erasure.requests import STEPS, Request
from data_platform.privacy.subjects.place import Place
from data_platform.quality.failures import TABLE as FAILURES
from data_platform.sync import Platform, open_platform, sync_changes
from data_platform.sync.backup import archives, copy_landing, make_backup, restore_beside
from data_platform.sync.erasing import certificate, door, freeze, landing, models, steps
from data_platform.sync.erasing.book import Book
from data_platform.sync.load import check_completeness
from data_platform.sync.rebuild import rebuild
from data_platform.sync.subject_export import export
from data_platform.sync.subjects import find
from data_platform.tables import TableId
from data_platform.warehouses.journal import keep
from data_platform_tests.sync.conftest import HASH_KEY, Project

KEY = "a key that only these tests use, long enough"
USERS, ORDERS, VISITS = (TableId("shop", name) for name in ("users", "orders", "visits"))
SQL = """
create table users (user_id bigint primary key, email text, name text, updated_at timestamptz not null default clock_timestamp());
create table orders (order_id bigint primary key, user_id bigint, amount numeric(10,2), created_at timestamptz,
    updated_at timestamptz not null default clock_timestamp());
create table visits (visit_id bigint primary key, payload jsonb, updated_at timestamptz not null default clock_timestamp());
insert into users select n, 'person' || n || '@company.example', 'Needle' || n from generate_series(1, 40) n;
insert into orders select n, 1 + n % 40, n, timestamptz '2026-01-01 12:00+00' + n % 5 * interval '1 day' from generate_series(1, 400) n;
insert into visits select n, jsonb_build_object('user', (1 + n % 40)::text, 'page', n) from generate_series(1, 200) n;
"""
TABLES: dict[str, Any] = {
    "users": {"key": "user_id", "cursor": "updated_at", "personal": {"email": "hash", "name": "keep"}},
    "orders": {"key": "order_id", "cursor": "updated_at", "partition": "created_at"},
    "visits": {"key": "visit_id", "cursor": "updated_at", "personal": {"payload": "keep"}},
}
SUBJECTS = {
    "subjects": {
        "customer": {
            "lookups": {"email": "shop/users.email", "user_id": "shop/users.user_id"},
            "links": {
                "shop/orders.user_id": "shop/users.user_id",
                "shop/visits.payload.user": "shop/users.user_id",
            },
        }
    }
}
HIS = {"users": 1, "orders": 10, "visits": 5}


@pytest.fixture
def shop(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Forty people, loaded; the catalog has a copy of the landing store."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    project.execute(SQL)
    project.catalog(TABLES)
    settings = project.root / "catalog/platform.yaml"
    platform = yaml.safe_load(settings.read_text())
    platform["environments"]["local"]["backups"] = {
        "store": {"kind": "local", "path": "backups"},
        "start": "2026-01-01",
    }
    settings.write_text(yaml.safe_dump(platform))
    (project.root / "catalog/subjects.yaml").write_text(yaml.safe_dump(SUBJECTS))
    project.good()
    yield project


def person(platform: Platform, n: int = 7) -> freeze.Person:
    customer = platform.catalog.subject("customer")
    return freeze.found(platform, customer, {"email": [f"person{n}@company.example"]})


def ask(platform: Platform, n: int = 7) -> Request:
    return freeze.ask(
        platform, platform.catalog.subject("customer"), person(platform, n), "request 12", "the DPO"
    )


def erase(shop: Project, n: int = 7) -> Request:
    platform = shop.platform()
    return steps.carry_out(platform, ask(platform, n).id, list)


def counts(platform: Platform, n: int = 7) -> dict[str, int]:
    found = find(platform, platform.catalog.subject("customer"), {"user_id": [str(n)]})
    return {table.table.table: table.rows for table in found.tables}


def totals(shop: Project) -> dict[str, int]:
    return {name: int(shop.rows(f"select count(*) from raw_shop.{name}")[0][0]) for name in TABLES}


WITHOUT = {"users": 39, "orders": 390, "visits": 195}
NONE = dict.fromkeys(TABLES, 0)


def test_a_person_is_gone_everywhere_and_nobody_else_lost_a_row(shop: Project) -> None:
    platform = shop.platform()
    make_backup(platform)
    done = erase(shop)
    assert dict(done.rows) == {f"shop/{name}": rows for name, rows in HIS.items()}
    assert done.next_step is None
    assert totals(shop) == WITHOUT
    for table in (USERS, ORDERS, VISITS):
        assert verify(platform.ledger, table, platform.clock(), sample=1).problems == ()
    copied = place_in(archives(platform)[0]).reader
    landed = {key for key in platform.store.list("shop") if key.endswith(".parquet")}
    assert {key for key in copied.list("shop") if key.endswith(".parquet")} == landed
    told = certificate.certify(platform, done)
    assert told.open, "the backup that was made before still holds the person"
    assert [one.name for one in told.remains] == ["warehouse"]
    assert told.remains[0].until is not None
    later = replace(platform, clock=lambda: told.remains[0].until)  # type: ignore[arg-type, return-value]
    assert certificate.certify(later, done).at == told.remains[0].until


def test_what_is_read_again_does_not_bring_the_person_back(shop: Project) -> None:
    """The source still has all of the rows: reads of changes, of all, of a day, and checks that count both sides."""
    erase(shop)
    shop.execute(
        "update users set name = name || '!'", "update orders set amount = amount + 1 where user_id = 7"
    )
    shop.execute("insert into orders values (1000, 7, 1, '2026-01-02', clock_timestamp())")
    shop.good()
    assert totals(shop) == WITHOUT
    shop.good(refresh=[USERS.table, ORDERS.table, VISITS.table])
    assert totals(shop) == WITHOUT
    assert shop.slices(["orders"], "2026-01-02")["orders"].error is None
    reports = shop.good(verify=True)
    assert all(report.completeness is not None and report.completeness.passed for report in reports.values())
    assert totals(shop) == WITHOUT
    platform = shop.platform()
    for name in TABLES:
        assert check_completeness(platform, platform.catalog.table(TableId("shop", name))).passed
    assert counts(platform) == NONE


def test_whoever_comes_back_with_the_address_is_somebody_new(shop: Project) -> None:
    erase(shop)
    shop.execute("update users set email = 'gone' where user_id = 7")
    shop.execute(
        "insert into users values (700, 'person7@company.example', 'Again')",
        "insert into orders values (1000, 700, 1, now(), now())",
    )
    shop.good()
    assert counts(shop.platform(), 700) == {"users": 1, "orders": 1, "visits": 0}
    assert totals(shop) == {"users": 40, "orders": 391, "visits": 195}


def test_rows_that_the_warehouse_lost_before_are_taken_out_of_what_landed(shop: Project) -> None:
    """The application deleted the person first, so that the raw tables have no row by which to find what landed."""
    shop.execute("delete from orders where user_id = 7", "delete from users where user_id = 7")
    shop.good(verify=True)
    platform = shop.platform()
    with pytest.raises(ConfigurationError, match="by their key"):
        person(platform)
    customer = platform.catalog.subject("customer")
    request = freeze.ask(
        platform, customer, freeze.found(platform, customer, {"user_id": ["7"]}), "request 12", "the DPO"
    )
    done = steps.carry_out(platform, request.id, list)
    assert done.done["landing"]["shop/users"] == {"parts": 1, "rows": 1}
    assert done.done["landing"]["shop/orders"]["rows"] == 10
    assert totals(shop) == WITHOUT


def test_a_warehouse_that_is_rebuilt_or_restored_lacks_the_person(shop: Project) -> None:
    platform = shop.platform()
    kept = (shop.root / "warehouse.duckdb").read_bytes()
    erase(shop)
    rebuild(platform, shop.root / "rebuilt.duckdb")
    config = platform.environment.warehouse.elsewhere(shop.root / "rebuilt.duckdb")
    with config.open(shop.root, read_only=True) as warehouse:
        assert warehouse.query("select count(*) from raw_shop.orders").rows == [(390,)]
    (shop.root / "rebuilt.duckdb").replace(shop.root / "warehouse.duckdb")
    for name in TABLES:  # what the source counted before the redaction holds no more
        assert check_completeness(platform, platform.catalog.table(TableId("shop", name))).passed
    (shop.root / "warehouse.duckdb").write_bytes(kept)  # a backup of before
    assert counts(shop.platform()) == HIS
    shop.good()
    assert totals(shop) == WITHOUT


def test_the_log_outlives_the_landing_store(shop: Project) -> None:
    """Restored from an archive alone, the platform still knows whom to keep out."""
    make_backup(shop.platform())
    request = erase(shop)
    platform = shop.platform()
    copy_landing(platform)
    shutil.rmtree(shop.root / "landing")
    restore_beside(platform, "latest", shop.root / "back")
    (shop.root / "back/ledger").rename(shop.root / "landing")
    (shop.root / "warehouse.duckdb").unlink()
    platform = shop.platform()
    assert Book(platform).request(request.id).done["landing"] == request.done["landing"]
    shop.good()
    shop.good(refresh=["users", "orders", "visits"])
    assert totals(shop) == WITHOUT


@pytest.mark.parametrize("step", STEPS)
def test_a_request_that_is_killed_goes_on(
    shop: Project, step: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if step not in ("landing", "warehouse") and not request.config.getoption("--seeds"):
        pytest.skip("on demand: --seeds N")
    platform = shop.platform()
    make_backup(platform)
    asked = ask(platform)

    def killed(work: Any) -> Any:
        act(work)  # all of it was done, and nothing of it was written down
        raise KeyboardInterrupt

    act = steps._STEPS[step]
    monkeypatch.setitem(steps._STEPS, step, killed)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        steps.carry_out(platform, asked.id, list)
    assert Book(platform).request(asked.id).next_step == step
    monkeypatch.setitem(steps._STEPS, step, act)  # type: ignore[arg-type]
    done = steps.carry_out(shop.platform(), asked.id, list)
    assert done.next_step is None
    assert done.done["landing"]["shop/orders"]["rows"] == 10
    assert totals(shop) == WITHOUT


def test_asked_twice_and_of_nobody(shop: Project) -> None:
    erase(shop)
    platform = shop.platform()
    with pytest.raises(ConfigurationError, match="No row of such a customer"):
        person(platform)
    with pytest.raises(ConfigurationError, match="No row of such a customer"):
        person(platform, 999)
    request = freeze.ask(
        platform,
        platform.catalog.subject("customer"),
        freeze.found(platform, platform.catalog.subject("customer"), {"user_id": ["7"]}),
        "again",
        "the DPO",
    )
    again = steps.carry_out(platform, request.id, list)
    assert set(again.done["landing"]) == {"at"}, "nothing was left to take out"
    assert totals(shop) == WITHOUT


def test_two_accounts_go_together_and_a_second_request_follows_the_first(shop: Project) -> None:
    shop.execute("update users set email = 'person7@company.example' where user_id = 8")
    shop.good()
    done = erase(shop)
    assert dict(done.rows) == {"shop/users": 2, "shop/orders": 20, "shop/visits": 10}
    erase(shop, 9)
    assert totals(shop) == {"users": 37, "orders": 370, "visits": 185}
    shop.good(verify=True)
    assert totals(shop) == {"users": 37, "orders": 370, "visits": 185}


def test_a_hold_stops_it_by_name_until_it_is_released(shop: Project) -> None:
    platform = shop.platform()
    customer = platform.catalog.subject("customer")
    freeze.hold(platform, customer, person(platform), "case-77", "a lawsuit", "counsel")
    with pytest.raises(ConfigurationError, match="hold case-77 is about this customer"):
        ask(platform)
    with pytest.raises(ConfigurationError, match="already"):
        freeze.hold(platform, customer, person(platform, 8), "case-77", "another", "counsel")
    assert erase(shop, 8).next_step is None, "a hold is about its person alone"
    Book(platform).release("case-77", "it is over", "counsel")
    assert erase(shop).next_step is None
    assert totals(shop) == {"users": 38, "orders": 380, "visits": 190}


def test_a_sync_that_began_before_the_request_lands_nothing_of_it(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.execute("update users set name = 'Needle7 again' where user_id = 7")
    platform = shop.platform()
    checked = door.Door.check

    ids = []

    def asked_meanwhile(self: door.Door, table: TableId) -> None:
        monkeypatch.setattr(door.Door, "check", checked)
        ids.append(ask(shop.platform()).id)
        done = steps.carry_out(shop.platform(), ids[0], list)  # its parts lie there, and no batch names them
        assert done.next_step is None
        checked(self, table)

    monkeypatch.setattr(door.Door, "check", asked_meanwhile)
    (report,) = sync_changes(platform, "shop", ["users"])
    assert report.error is None, "it was tried again"
    assert steps.carry_out(shop.platform(), ids[0], list).next_step is None
    assert totals(shop) == WITHOUT


def test_steps_of_a_request_that_was_known_refuse_no_sync(shop: Project) -> None:
    platform = shop.platform()
    request = ask(platform)
    known = door.door_of(platform)
    steps.carry_out(platform, request.id, list)
    known.check(USERS)
    ask(platform, 8)
    with pytest.raises(BatchConflict, match="is being erased"):
        known.check(USERS)


def test_two_people_are_erased_at_once(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts that one request rewrites are no longer those that stand, for another request was faster."""
    platform = shop.platform()
    first, second = ask(platform, 7), ask(platform, 8)
    rewritten = landing._rewritten

    def meanwhile(*args: Any) -> Iterator[Any]:
        monkeypatch.setattr(landing, "_rewritten", rewritten)
        made = list(rewritten(*args))
        assert steps.carry_out(shop.platform(), second.id, list).next_step is None
        yield from made

    monkeypatch.setattr(landing, "_rewritten", meanwhile)
    assert steps.carry_out(platform, first.id, list).next_step is None
    assert totals(shop) == {"users": 38, "orders": 380, "visits": 190}


def test_parts_that_a_killed_sync_left_go(shop: Project) -> None:
    """Nobody names them: those of a batch that is taken already, and those of the next one, which a living sync might still name."""
    platform = shop.platform()
    make_backup(platform)
    head = platform.ledger.head(USERS)
    assert head is not None
    strays = [part_key(USERS, head.sequence + ahead, "0123456789abcdef", 0) for ahead in (1, 2)]
    for stray in strays:
        platform.store.put_new(stray, platform.store.read(head.parts[0].key))
    assert erase(shop).next_step is None
    assert not set(strays) & set(platform.store.list("shop"))
    for table in (USERS, ORDERS, VISITS):
        assert verify(platform.ledger, table, platform.clock(), sample=1).problems == ()
    shop.good(verify=True)
    assert totals(shop) == WITHOUT


def test_models_samples_and_quarantine_lose_the_person(shop: Project) -> None:
    platform = shop.platform()
    with platform.warehouse() as warehouse:
        warehouse.connection.execute(  # type: ignore[attr-defined]
            "create schema marts; create table marts.people as select user_id as person, count(*) n from raw_shop.orders group by 1"
        )
        keep(warehouse, FAILURES, [{"table_name": "shop/users", "rule": "r", "row_values": "Needle7"}])
    derived = [
        steps.Derived(Place(USERS, "user_id"), "marts", "people", "person"),
        steps.Derived(Place(VISITS, "visit_id"), "marts", "people", "n"),  # nobody's key is one of these
    ]
    done = steps.carry_out(platform, ask(platform).id, lambda: derived)
    assert done.done["warehouse"]["marts.people"] == {"rows": 1}
    assert shop.rows("select count(*) from marts.people") == [(39,)]
    assert shop.rows("select count(*) from quality.failures") == [(0,)]


def test_a_model_that_hands_on_no_key_is_clean_once_it_was_built_again(shop: Project) -> None:
    """Until then the certificate names it, and the backups that hold it; after it the file is written again."""
    platform = shop.platform()
    greet = "create or replace table marts.greetings as select 'Dear ' || name as text from raw_shop.users"

    def build() -> None:
        with platform.warehouse() as warehouse:
            warehouse.connection.execute("create schema if not exists marts")  # type: ignore[attr-defined]
            warehouse.connection.execute(greet)  # type: ignore[attr-defined]

    build()
    place = Place(USERS, "user_id")
    derived = [
        steps.Derived(place, "marts", "greetings", None),
        steps.Derived(place, "marts", "absent", None),
    ]
    done = steps.carry_out(platform, ask(platform).id, lambda: derived)
    assert done.unbuilt == (["marts.greetings"], [])
    make_backup(platform)
    told = certificate.certify(platform, done)
    assert told.open
    assert len(told.remains) == 1, "the backup was made with the model in it"
    file = shop.root / "warehouse.duckdb"
    assert b"Dear Needle7" in file.read_bytes()
    before = datetime.fromisoformat(done.done["warehouse"]["at"])
    assert not models.settle_built(platform, {}) and not models.settle_built(
        platform, {"marts.greetings": before}
    )
    build()
    after = platform.clock()
    (settled,) = models.settle_built(platform, {"marts.greetings": after})
    assert settled.id == done.id
    assert b"Dear Needle7" not in file.read_bytes()
    done = Book(platform).request(done.id)
    assert done.unbuilt == ([], [])
    assert not models.settle_built(platform, {"marts.greetings": after})
    later = replace(platform, clock=lambda: told.remains[0].until)  # type: ignore[arg-type, return-value]
    assert certificate.certify(platform, done).open
    assert certificate.certify(later, done).remains[0].until is not None
    make_backup(platform)
    assert len(certificate.certify(platform, done).remains) == 1, "a backup of after holds nothing"


def test_a_model_that_lasts_waits_until_somebody_says_that_it_was_built_in_full(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = shop.platform()
    with platform.warehouse() as warehouse:
        warehouse.connection.execute("create schema marts")  # type: ignore[attr-defined]
        warehouse.connection.execute("create table marts.sums as select 1 as n")  # type: ignore[attr-defined]
    derived = [steps.Derived(Place(USERS, "user_id"), "marts", "sums", None, lasting=True)]
    done = steps.carry_out(platform, ask(platform).id, lambda: derived)
    assert done.unbuilt == ([], ["marts.sums"])
    assert not models.settle_built(platform, {"marts.sums": platform.clock()})
    words = ["subject", "erase", "--continue", done.id, "--root", str(shop.root)]
    assert run(words) == 0
    assert "marts.sums" in capsys.readouterr().out
    assert run([*words, "--models-built"]) == 0
    assert "marts.sums" not in capsys.readouterr().out
    assert Book(platform).request(done.id).unbuilt == ([], [])
    assert (
        run(["subject", "erase", "--email", "a@b.example", "--models-built", "--root", str(shop.root)]) == 2
    )


def test_what_is_left_somewhere_is_named(shop: Project) -> None:
    platform = shop.platform()
    request = ask(platform)
    platform.store.put_new("shop/users/stray.txt", b"a copy of person7@company.example")
    with pytest.raises(LandingError, match=r"shop/users/stray\.txt"):
        steps.carry_out(platform, request.id, list)
    platform.store.delete("shop/users/stray.txt")
    with platform.warehouse() as warehouse:
        warehouse.connection.execute("create table notes as select 'person7@company.example' as note")  # type: ignore[attr-defined]
    with pytest.raises(LandingError, match=r"main\.notes"):
        steps.carry_out(platform, request.id, list)
    with platform.warehouse() as warehouse:
        warehouse.connection.execute("drop table notes")  # type: ignore[attr-defined]
    assert steps.carry_out(platform, request.id, list).next_step is None


def test_keys_are_sealed_and_what_is_altered_is_named(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    request = erase(shop)
    platform = shop.platform()
    for key in platform.store.list("_erasures"):
        assert b"person7" not in platform.store.read(key)
        assert b"user_id" not in platform.store.read(key) or not key.endswith(".sealed")
    monkeypatch.setenv(KEY_VARIABLE, "another key that is long enough to be taken")
    with pytest.raises(ConfigurationError, match="does not open"):
        Book(shop.platform()).opened(request.sealed)
    with pytest.raises(ConfigurationError, match="does not open"):
        shop.sync()
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    platform.store.delete(request.sealed.key)
    with pytest.raises(LedgerBroken, match="missing or altered"):
        Book(shop.platform()).opened(request.sealed)
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        Book(shop.platform()).seal("x", person(shop.platform(), 8).frozen, ())


def test_a_table_without_a_key_in_clear_is_refused(shop: Project) -> None:
    path = shop.root / "catalog/sources/shop.yaml"
    document = yaml.safe_load(path.read_text())
    document["tables"]["users"]["personal"]["user_id"] = "hash"
    path.write_text(yaml.safe_dump(document))
    subjects = {"subjects": {"customer": {"lookups": {"email": "shop/users.email"}}}}
    (shop.root / "catalog/subjects.yaml").write_text(yaml.safe_dump(subjects))
    with pytest.raises(ConfigurationError, match="no key of one column that lands in clear"):
        person(
            open_platform(
                shop.root, "local", {**os.environ, "SHOP_URL": shop.url, "DATA_PLATFORM_HASH_KEY": HASH_KEY}
            )
        )


def test_what_was_sealed_can_be_read_nowhere_any_more(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_PLATFORM_MASTER_KEY", "ab" * 32)
    settings, source = shop.root / "catalog/platform.yaml", shop.root / "catalog/sources/shop.yaml"
    platform_file, shop_file = yaml.safe_load(settings.read_text()), yaml.safe_load(source.read_text())
    platform_file["environments"]["local"]["keystore"] = {"kind": "sqlite", "path": "keys/keystore.sqlite"}
    shop_file["tables"]["users"] |= {"subject": "user_id", "personal": {"email": "hash", "name": "seal"}}
    settings.write_text(yaml.safe_dump(platform_file))
    source.write_text(yaml.safe_dump(shop_file))
    shop.good(refresh=["users"])
    keystore = shop.platform().keystore()
    id_ = keystore.find("shop/users", "7")
    assert id_ is not None
    assert shop.rows("select count(*) from raw_shop.users where name like 'Needle%'") == [(0,)]
    customer = shop.platform().catalog.subject("customer")
    export(shop.platform(), customer, {"user_id": ["7"]}, shop.root / "out")
    assert '"name": "Needle7"' in (shop.root / "out/data/shop/users.json").read_text(), (
        "it is the person's own"
    )
    assert erase(shop).done["keys"]["destroyed"] == 1
    shop.good(refresh=["users"])
    keystore = shop.platform().keystore()
    assert keystore.opened([id_]) == {id_: None}
    assert keystore.find("shop/users", "7") is None, "what comes again makes no new key"
    assert keystore.find("shop/users", "8") is not None
