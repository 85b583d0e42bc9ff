"""``subject``: a person is found and exported over the real engine; no value is shown, and nobody else's row is taken."""

from __future__ import annotations

import csv
import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from data_platform.privacy.treatments import hash_value

from .conftest import Result

Cli = Callable[..., Result]
KEY = "a test's key, long enough to be taken"
SHOP = """\
source: shop
kind: postgres
description: The shop.
connection: {url_env: CLI_TEST_SHOP_URL}
start: 2026-01-01
tables:
  users: {key: id, description: "Who buys.", columns: {id: "The number."}, personal: {email: hash, name: redact}}
  orders: {key: id}
  visits: {key: id}
"""
SUBJECTS = """\
subjects:
  customer:
    description: Who buys.
    lookups: {email: [shop/users.email, crm/contacts.mail], id: shop/users.id}
    links:
      shop/orders.user_id: shop/users.id
      shop/visits.user_id: shop/users.id
      crm/contacts.metadata.user: shop/users.id
  employee:
    lookups: {badge: crm/orders.order_id}
"""
CRM = """\
source: crm
kind: postgres
connection: {url_env: CLI_TEST_CRM_URL}
tables:
  contacts: {key: contact_id, personal: {mail: keep, "metadata.note": keep}}
  orders: {key: order_id}
"""


@pytest.fixture
def company(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLI_TEST_HASH_KEY", KEY)
    (project / "catalog/sources/shop.yaml").write_text(SHOP)
    (project / "catalog/sources/crm.yaml").write_text(CRM)
    (project / "catalog/subjects.yaml").write_text(SUBJECTS)
    path = project / ".data" / "warehouse.duckdb"
    path.parent.mkdir()
    hashed = {mail: hash_value("email", mail, KEY.encode()) for mail in ("ann@x.example", "bob@x.example")}
    with duckdb.connect(path) as engine:
        engine.execute("create schema raw_shop; create schema raw_crm")
        engine.execute(
            "create table raw_shop.users (id bigint, email varchar, name varchar, _batch_id varchar)"
        )
        for n, mail in enumerate(hashed.values(), 1):
            engine.execute("insert into raw_shop.users values (?, ?, '[redacted]', 'b')", [n, mail])
        engine.execute(
            "create table raw_shop.orders as select i as id, 1 + i % 2 as user_id, '=1+1' as note, 1.10::decimal(9,2) as total"
            " from range(1, 8) t(i)"
        )
        engine.execute(
            "create table raw_crm.contacts as select * from (values (1, 'Ann+news@x.example ', '{\"user\": 1}'::json),"
            " (2, 'ann@X.example', '{}'::json), (3, 'bob@x.example', '{\"user\": \"2\"}'::json)) t(contact_id, mail, metadata)"
        )
        engine.execute("create table raw_crm.orders (order_id bigint)")
    return project


def counts(result: Result) -> dict[str, int]:
    assert result.code == 0, result.err
    return {table["table"]: table["rows"] for table in json.loads(result.out)["tables"]}


def test_a_person_is_found_in_every_table_and_no_value_is_shown(cli: Cli, company: Path) -> None:
    found = cli("subject", "find", "--email", "ANN@x.example", "--json")
    assert counts(found) == {"shop/users": 1, "shop/orders": 3, "crm/contacts": 2}
    assert json.loads(found.out)["absent"] == ["shop/visits"]
    shown = cli("subject", "find", "--email", "ann@x.example")
    assert "6 rows found" in shown.err
    assert "Nothing has been loaded yet of shop/visits" in shown.err
    assert "ann" not in (shown.out + shown.err + found.out).lower()


def test_each_lookup_finds_and_two_accounts_are_found_together(cli: Cli, company: Path) -> None:
    assert counts(cli("subject", "find", "--by", "id=2", "--json")) == {
        "shop/users": 1,
        "shop/orders": 4,
        "crm/contacts": 1,
    }
    both = cli("subject", "find", "--by", "id=1", "--by", "id=2", "--json")
    assert counts(both) == {"shop/users": 2, "shop/orders": 7, "crm/contacts": 2}
    nobody = cli("subject", "find", "--by", "id=3")
    assert nobody.code == 0
    assert "No row of such a customer was found" in nobody.err


def test_rows_of_the_address_without_its_tag_are_told(cli: Cli, company: Path) -> None:
    found = cli("subject", "find", "--email", "ann+news@x.example")
    assert "1 row found" in found.err
    assert "5 more rows are found under the address without what is behind its plus sign" in found.err


def test_a_value_may_come_from_standard_input(
    cli: Cli, company: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("bob@x.example\r\nrest\n"))
    assert counts(cli("subject", "find", "--email", "-", "--json"))["shop/orders"] == 4


def test_an_export_is_exact_private_and_of_that_person_alone(cli: Cli, company: Path) -> None:
    into = company / "out" / "request-12"
    done = cli("subject", "export", "--email", "ann@x.example", "--into", str(into), "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["tables"] == {"shop/users": 1, "shop/orders": 3, "crm/contacts": 2}
    orders = json.loads((into / "data/shop/orders.json").read_text())
    assert [row["id"] for row in orders] == [2, 4, 6]
    assert orders[0] == {"id": 2, "user_id": 1, "note": "=1+1", "total": "1.10"}
    with (into / "data/shop/orders.csv").open() as file:
        assert next(csv.DictReader(file))["note"] == "'=1+1"
    assert "_batch_id" not in json.loads((into / "data/shop/users.json").read_text())[0]
    readme = (into / "README.txt").read_text()
    assert "kept as a keyed hash only" in readme
    assert "Who buys." in readme
    manifest = json.loads((into / "manifest.json").read_text())
    written = {p.relative_to(into).as_posix() for p in into.rglob("*") if p.is_file()} - {"manifest.json"}
    assert set(manifest["files"]) == written
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((into / name).read_bytes()).hexdigest() == digest
    for path in (into, *into.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert [path.name for path in into.parent.iterdir()] == ["request-12"], "nothing half-made is left"
    again = cli("subject", "export", "--email", "ann@x.example", "--into", str(into))
    assert again.code == 2
    assert "exists" in again.err
    done_, begun = json.loads(cli("audit", "search", "--action", "subject_export", "--json").out)
    assert (begun["outcome"], done_["outcome"]) == ("started", "done")
    assert sorted(done_["objects"]) == ["crm/contacts", "customer", "shop/orders", "shop/users"]
    assert done_["details"] == {"rows": 6} and "ann" not in json.dumps([begun, done_])


def test_an_export_of_nobody_writes_nothing(cli: Cli, company: Path) -> None:
    done = cli("subject", "export", "--email", "nobody@x.example", "--into", str(company / "out"))
    assert done.code == 2
    assert "nothing was written" in done.err
    assert not (company / "out").exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "Say who is meant"),
        (("--email", " "), "nobody is found by nothing"),
        (("--by", "email"), "LOOKUP=VALUE"),
        (("--by", "phone=1"), "cannot be found by 'phone'"),
        (("--kind", "custmer", "--by", "id=1"), "Did you mean 'customer'"),
        (("--kind", "employee", "--email", "a@x"), "lookups badge"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    cli: Cli, company: Path, words: tuple[str, ...], problem: str
) -> None:
    result = cli("subject", "find", *words)
    assert result.code == 2
    assert problem in result.err


def test_a_column_that_is_not_there_is_named(cli: Cli, company: Path) -> None:
    (company / "catalog/subjects.yaml").write_text(
        "subjects: {customer: {lookups: {id: shop/users.number}}}\n"
    )
    result = cli("subject", "find", "--by", "id=1")
    assert result.code == 2
    assert "raw_shop.users has no column number" in result.err


def test_the_kinds_are_listed_with_what_they_do_not_reach(cli: Cli, company: Path) -> None:
    shown = cli("subject", "list")
    assert "found by email: shop/users.email, crm/contacts.mail" in shown.out
    assert "not reached" not in shown.err
    (company / "catalog/subjects.yaml").write_text("subjects: {customer: {lookups: {id: shop/users.id}}}\n")
    assert "crm/contacts" in cli("subject", "list").err
    listed = json.loads(cli("subject", "list", "--json").out)
    assert listed["unreached"] == ["crm/contacts"]
    assert listed["kinds"][0]["tables"] == ["shop/users"]
    (company / "catalog/subjects.yaml").unlink()
    assert "is not there" in cli("subject", "find", "--by", "id=1").err
