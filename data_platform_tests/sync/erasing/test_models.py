"""Models, samples and quarantine lose the person, or the certificate names what still holds something of one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from data_platform.cli.app import run
from data_platform.privacy.subjects.place import Place
from data_platform.quality.failures import TABLE as FAILURES
from data_platform.sync.backup import make_backup
from data_platform.sync.erasing import certificate, models, steps
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.derived import Derived
from data_platform.sync.erasing.watch import watch
from data_platform.warehouses.journal import keep
from data_platform_tests import people
from data_platform_tests.sync.conftest import Project
from data_platform_tests.sync.erasing.people import USERS, VISITS, ask


def test_models_samples_and_quarantine_lose_the_person(shop: Project) -> None:
    platform = shop.platform()
    shop.build(
        "create schema marts",
        "create table marts.people as select user_id as person, count(*) n from raw_shop.orders group by 1",
    )
    with platform.warehouse() as warehouse:
        keep(warehouse, FAILURES, [{"table_name": "shop/users", "rule": "r", "row_values": "Needle7"}])
    derived = [
        Derived(Place(USERS, "user_id"), "marts", "people", "person"),
        Derived(Place(VISITS, "visit_id"), "marts", "people", "n"),  # nobody's key is one of these
    ]
    done = steps.carry_out(platform, ask(platform).id, lambda: derived)
    assert done.done["warehouse"]["marts.people"] == {"rows": 1}
    assert shop.rows("select count(*) from marts.people") == [(39,)]
    assert shop.rows("select count(*) from quality.failures") == [(0,)]
    assert not watch(platform, lambda: derived).back
    shop.build("insert into marts.people values (7, 1)")  # by a build that had read before
    found = watch(platform, lambda: derived)
    assert found.back == {"marts.people": 1}
    assert found.searched == watch(platform).searched + 1


def test_a_model_that_hands_on_no_key_is_clean_once_it_was_built_again(shop: Project) -> None:
    """Until then the certificate names it, and the backups that hold it; after it the file is written again."""
    platform = shop.platform()
    greet = "create or replace table marts.greetings as select 'Dear ' || name as text from raw_shop.users"

    shop.build("create schema marts", greet)
    place = Place(USERS, "user_id")
    derived = [
        Derived(place, "marts", "greetings", None),
        Derived(place, "marts", "absent", None),
    ]
    done = steps.carry_out(platform, ask(platform).id, lambda: derived)
    assert done.unbuilt == (["marts.greetings"], [])
    make_backup(platform)
    told = certificate.certify(platform, done)
    assert told.open and told.waits_for == "a build of marts.greetings"
    assert len(told.remains) == 1, "the backup was made with the model in it"
    file = shop.root / "warehouse.duckdb"
    assert b"Dear Needle7" in file.read_bytes()
    before = datetime.fromisoformat(done.done["warehouse"]["at"])
    assert not models.settle_built(platform, {}) and not models.settle_built(
        platform, {"marts.greetings": before}
    )
    shop.build(greet)
    after = platform.clock()
    (settled,) = models.settle_built(platform, {"marts.greetings": after})
    assert settled.id == done.id
    assert b"Dear Needle7" not in file.read_bytes()
    done = Book(platform).request(done.id)
    assert done.unbuilt == ([], [])
    assert not models.settle_built(platform, {"marts.greetings": after})
    later = replace(platform, clock=lambda: told.remains[0].until)  # type: ignore[arg-type, return-value]
    (until,) = {one.until for one in certificate.certify(platform, done).remains}
    assert until is not None
    assert certificate.certify(platform, done).waits_for == f"backups until {until:%Y-%m-%d}"
    assert certificate.certify(later, done).remains[0].until is not None
    make_backup(platform)
    assert len(certificate.certify(platform, done).remains) == 1, "a backup of after holds nothing"


def test_a_model_that_lasts_waits_until_somebody_says_that_it_was_built_in_full(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = shop.platform()
    shop.build("create schema marts", "create table marts.sums as select 1 as n")
    derived = [Derived(Place(USERS, "user_id"), "marts", "sums", None, lasting=True)]
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


def test_sums_that_outlive_a_build_are_named_and_keep_no_certificate_open(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = shop.platform()
    shop.build(
        "create schema marts", "create table marts.totals as select count(*) as n from raw_shop.orders"
    )
    place = Place(USERS, "user_id")
    derived = [
        Derived(place, "marts", "totals", None, lasting=True, sums=True),
        Derived(place, "marts", "absent", None, lasting=True, sums=True),
    ]
    done = steps.carry_out(platform, ask(platform).id, lambda: derived)
    assert (done.unbuilt, done.totals) == (([], []), ["marts.totals"])
    told = certificate.certify(platform, done)
    assert not told.open and told.fields["totals"] == ["marts.totals"]
    assert run(["subject", "erase", "--continue", done.id, "--root", str(shop.root)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "marts.totals. `dbt build --full-refresh --select totals` sums up again" in said


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("7", True),
        ("-7", True),
        ("0", True),
        ("12345678901234567890123", True),
        ("cus_7", True),
        ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", True),
        ("007", False),
        ("+7", False),
        (" 7", False),
        ("7.0", False),
        ("7.5", False),
        ("1e3", False),
        ("-0", False),
        ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", False),
    ],
)
def test_a_key_that_a_cast_writes_in_another_way_is_not_looked_for(key: str, found: bool) -> None:
    place = Place(USERS, "user_id")
    assert Derived(place, "marts", "people", "person", canonical=True).finds([key]) is found
    assert Derived(place, "marts", "people", "person").finds([key])
    assert not Derived(place, "marts", "people", None).finds([key])


NUMBERED = """
create table users (user_id text primary key, email text, updated_at timestamptz not null default clock_timestamp());
insert into users values ('7', 'seven@company.example'), ('007', 'bond@company.example');
"""


def test_a_model_in_which_a_cast_made_another_s_key_of_the_person_s_waits_for_a_full_build(
    project: Project, redaction_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = {"key": "user_id", "cursor": "updated_at", "personal": {"email": "hash"}}
    shop = project.people(
        NUMBERED, {"users": table}, {"customer": {"lookups": {"email": "shop/users.email"}}}
    )
    built = (
        "create or replace table marts.people as select user_id::bigint as person, email from raw_shop.users"
    )
    shop.build("create schema marts", built)
    derived = Derived(Place(USERS, "user_id"), "marts", "people", "person", lasting=True, canonical=True)
    bond = people.erased(shop.platform(), lambda: [derived], email="bond@company.example")
    assert (bond.unbuilt, bond.next_step) == (([], ["marts.people"]), None)
    assert shop.rows("select person from marts.people") == [(7,), (7,)], "one of them is somebody else"
    said_so = ["subject", "erase", "--continue", bond.id, "--models-built", "--root", str(shop.root)]
    assert run(said_so) != 0
    assert "marts.people still holds somebody" in " ".join(capsys.readouterr().err.split())
    shop.build(built)
    assert run(said_so) == 0
    assert Book(shop.platform()).request(bond.id).unbuilt == ([], [])
    assert shop.rows("select person from marts.people") == [(7,)]
