"""A sync learns in few requests whom the log of erasures names, however many they are, and never too few of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from data_platform.errors import LandingError, LedgerBroken
from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.privacy.erasure.frozen import Frozen
from data_platform.privacy.erasure.requests import Request
from data_platform.privacy.subjects.place import Place
from data_platform.sync import Platform, open_platform
from data_platform.sync.erasing import steps
from data_platform.sync.erasing.book import BLOCKS_UNTIL_KEPT, Book
from data_platform.sync.erasing.derived import Derived
from data_platform.sync.erasing.door import door_of
from data_platform.sync.erasing.scan import scan
from data_platform.tables import TableId
from data_platform_tests import people
from data_platform_tests.chained.logs import CountingStore
from data_platform_tests.conftest import REDACTION_KEY
from data_platform_tests.sources.files.company import Company
from data_platform_tests.sync.conftest import HASH_KEY
from data_platform_tests.sync.erasing.people import ORDERS, SUBJECTS, TABLES, USERS, VISITS

KNOWN = "_erasures/known.sealed"
PEOPLE = TableId("office", "t")
USER = Place(USERS, "user_id")


@pytest.fixture
def counting(tmp_path: Path) -> Platform:
    """A platform whose source nobody asks."""
    (tmp_path / "catalog/sources").mkdir(parents=True)
    environment = {
        "landing": {"kind": "local", "path": "landing"},
        "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb"},
    }
    source = {
        "source": "shop",
        "kind": "postgres",
        "start": "2026-01-01",
        "connection": {"url_env": "SHOP_URL"},
        "tables": TABLES,
    }
    for name, content in {
        "platform": {"environments": {"local": environment}},
        "sources/shop": source,
        "subjects": {"subjects": SUBJECTS},
    }.items():
        (tmp_path / f"catalog/{name}.yaml").write_text(yaml.safe_dump(content))
    environ = {
        "DATA_PLATFORM_HASH_KEY": HASH_KEY,
        KEY_VARIABLE: REDACTION_KEY,
        "SHOP_URL": "postgresql://localhost/shop",
    }
    platform = open_platform(tmp_path, "local", environ)
    return replace(platform, store=CountingStore(platform.store))


def add(platform: Platform, first: int, people: int) -> None:
    """Requests as ``freeze.ask`` writes them, each with a step that is done."""
    book = Book(platform)
    for n in range(first, first + people):
        sealed = book.seal(f"{n}", Frozen({USER: frozenset({str(n)})}), ())
        request = Request(f"{n}", "customer", "a request", "the DPO", sealed, {})
        book.log.append([request.entry()])
        book.log.append([request.finished("keys", {})])


def asked_of_the_store(platform: Platform) -> dict[str, int]:
    assert isinstance(platform.store, CountingStore)
    platform.store.requests.clear()
    door_of(platform)
    return dict(platform.store.requests)


def erased(platform: Platform) -> set[int]:
    return {int(key) for key in door_of(platform).values.get(USER, ())}


def test_requests_do_not_grow_with_people(counting: Platform) -> None:
    add(counting, 100, 3)
    door_of(counting)
    few = asked_of_the_store(counting)
    assert few == {"read": 3, "list": 2}
    add(counting, 200, 60)
    first = asked_of_the_store(counting)
    assert first.pop("put_hint") == 1 and first["read"] > 2 * 60 + 60, "each new one is read once"
    assert asked_of_the_store(counting) == few
    assert erased(counting) == {*range(100, 103), *range(200, 260)}
    assert {ORDERS, VISITS, USERS} == set(door_of(counting).matches)
    assert door_of(counting, whole=True).values == door_of(counting).values


def test_steps_alone_are_seldom_written_down(counting: Platform) -> None:
    add(counting, 100, 1)
    door_of(counting)
    book = Book(counting)
    request = book.request("100")
    for n in range(BLOCKS_UNTIL_KEPT + 1):
        book.log.append([request.finished("landing", {"n": n})])
        if n < 3:
            assert "put_hint" not in asked_of_the_store(counting)
    assert asked_of_the_store(counting)["put_hint"] == 1
    assert asked_of_the_store(counting) == {"read": 3, "list": 2}


def test_what_is_kept_is_never_relied_on_where_it_does_not_fit(counting: Platform) -> None:
    add(counting, 100, 2)
    door_of(counting)
    old = counting.store.read(KNOWN)
    assert b"user_id" not in old
    add(counting, 102, 2)
    everybody = {100, 101, 102, 103}
    assert erased(counting) == everybody
    for bad in (old, b"", b"rubbish", old[:-1] + bytes([old[-1] ^ 1])):
        counting.store.put_hint(KNOWN, bad)
        assert erased(counting) == everybody
    forged = replace(Book(counting).known(), erased={}, digest="0" * 64)
    Book(counting).beside.keep("known", forged.to_json())
    assert erased(counting) == everybody, "it is of another log"
    Book(counting).beside.keep("known", b'{"format": 2}')
    assert erased(counting) == everybody


def test_a_log_that_was_lost_whole_lets_nobody_in(counting: Platform) -> None:
    add(counting, 100, 1)
    door_of(counting)
    for number in (1, 2):
        counting.store.delete(Book(counting).log.key(number))
    with pytest.raises(LedgerBroken, match="truncated"):
        door_of(counting)


def test_all_of_it_is_checked_where_all_of_it_is_read(counting: Platform) -> None:
    """A key that is lost is named by the daily asset and by a restore, while syncs go on keeping the person out."""
    add(counting, 100, 2)
    door_of(counting)
    counting.store.delete(Book(counting).request("100").sealed.key)
    assert erased(counting) == {100, 101}
    with pytest.raises(LedgerBroken, match="missing or altered"):
        door_of(counting, whole=True)


@pytest.fixture
def office(tmp_path: Path) -> Company:
    """Three people in a folder of files, who are in a model too."""
    company = Company(tmp_path, environ={"DATA_PLATFORM_HASH_KEY": HASH_KEY, KEY_VARIABLE: REDACTION_KEY})
    company.put("people.csv", "id,name\n1,Needle1\n2,Needle2\n3,Needle3\n")
    company.catalog(key="id", personal={"name": "keep"})
    subjects = {"subjects": {"customer": {"lookups": {"id": "office/t.id"}}}}
    (tmp_path / "catalog/subjects.yaml").write_text(yaml.safe_dump(subjects))
    company.good()
    with company.platform().warehouse() as warehouse:
        statement = "create schema marts; create table marts.people as select id as person from raw_office.t"
        warehouse.connection.execute(statement)  # type: ignore[attr-defined]
    return company


def asked_by_key(platform: Platform, key: str) -> Request:
    assert not people.found(platform, id=key).needles
    return people.requested(platform, id=key)


def test_a_sync_leaves_out_whom_it_knows_by_what_is_kept(office: Company) -> None:
    asked_by_key(office.platform(), "2")
    assert door_of(office.platform()).values and office.platform().store.read(KNOWN)
    office.put("later.csv", "id,name\n2,Needle2 again\n4,Needle4\n")
    office.good()
    assert [row[0] for row in office.rows("name")] == ["Needle4", "Needle1", "Needle2", "Needle3"]


def test_a_person_who_is_asked_by_key_alone_is_searched_by_key(office: Company) -> None:
    """Raw tables and models are searched in the columns that hold keys; a model that kept the person is named."""
    platform = office.platform()
    derived = [Derived(Place(PEOPLE, "id"), "marts", "people", "person")]
    done = steps.carry_out(platform, asked_by_key(platform, "2").id, lambda: derived)
    assert done.done["scan"]["warehouse"] == {"relations": 2}
    assert done.done["warehouse"]["marts.people"] == {"rows": 1}
    work = steps.Work(
        platform,
        Book(platform),
        done,
        platform.catalog.subject("customer"),
        *Book(platform).opened(done.sealed),
        derived,
    )
    with platform.warehouse() as warehouse:
        warehouse.connection.execute("insert into marts.people values (2)")  # type: ignore[attr-defined]
    models = {("marts", "people"): [(Place(PEOPLE, "person"), Place(PEOPLE, "id"))]}
    with pytest.raises(LandingError, match=r"marts\.people"):
        scan(platform, (), work.needles, work.frozen, work.keys, work.subject, models)
