"""Columns that land sealed: read again as they landed, compared as any others, opened by ``reveal`` alone."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_platform.audit.trail import Filter, Trail
from data_platform.cli.app import run
from data_platform.errors import ConfigurationError, KeystoreUnreachable, StoreUnreachable
from data_platform.keystore import Keystore
from data_platform.privacy.seal import NOBODY, SEALED, subject_of
from data_platform.sync import Platform, check_sources, open_platform
from data_platform.sync.rebuild import rebuild
from data_platform.sync.reveal import Request, Revealed, reveal
from data_platform.sync.subject_export import export
from data_platform.tables import TableId
from data_platform_tests.sync.conftest import HASH_KEY, KEYSTORE, Project

MASTER = "of-the-tests-at-least-32-characters"
USERS = TableId("shop", "users")
BLOCK = {
    "key": "id",
    "cursor": "updated_at",
    "subject": "id",
    "personal": {"email": "seal", "phone": "mask", "profile.name": "seal", "profile.tags": "seal"},
}
NEEDLES = ("ada@", "lovelace", "grace", "secret-tag")


class Sealed(Project):
    """Its environment has a keystore."""

    def catalog(self, tables: dict[str, Any], **source: Any) -> Sealed:
        super().catalog(tables, **source).environment(keystore=KEYSTORE)
        return self

    def platform(self) -> Platform:
        own = {"SHOP_URL": self.url, "DATA_PLATFORM_HASH_KEY": HASH_KEY, "DATA_PLATFORM_MASTER_KEY": MASTER}
        return open_platform(self.root, "local", {**os.environ, **own})

    def texts(self) -> list[str]:
        """Every byte that was left, Parquet as it is decoded too."""
        import pyarrow.parquet as pq

        files = [path for path in self.root.rglob("*") if path.is_file() and "catalog" not in path.parts]
        decoded = [repr(pq.read_table(path).to_pylist()) for path in files if path.suffix == ".parquet"]
        return [*decoded, *(path.read_bytes().decode("latin-1") for path in files)]

    def reveal(self, *columns: str, **how: Any) -> Revealed:
        return reveal(self.platform(), Request(USERS, columns, "a test", **how))


@pytest.fixture
def users(tmp_path: Path, database: str) -> Sealed:
    project = Sealed(tmp_path, database)
    project.execute(
        "create table users (id int primary key, email text, phone text, profile jsonb, updated_at timestamptz default now())",
        "insert into users values"
        """ (1, 'ada@example.com', '+49 170 5550199', '{"name": "Lovelace", "size": 1.50, "tags": ["secret-tag", 7, null]}'),"""
        """ (2, 'Grace@example.com', null, '{"name": null}'), (3, null, null, null), (4, '', null, '{}')""",
    )
    project.catalog({"users": BLOCK}).good()
    return project


def test_clear_values_are_in_no_byte_and_come_back(users: Sealed) -> None:
    for text in users.texts():
        assert not [needle for needle in NEEDLES if needle in text.lower()]
    landed = users.rows("SELECT id, email, phone FROM raw_shop.users ORDER BY id")
    assert [subject_of(email) is not None for _, email, _ in landed if email is not None] == [True] * 3
    assert landed[0][2] == "+49********99" and landed[2][1] is None
    found = users.reveal("id", "email", "profile", where="id <= 4")
    assert [(id_, email) for id_, email, _ in sorted(found.rows)] == [
        (1, "ada@example.com"),
        (2, "Grace@example.com"),
        (3, None),
        (4, ""),
    ]
    profile = next(str(row[2]) for row in found.rows if row[0] == 1)
    assert json.loads(profile) == {"name": "Lovelace", "size": 1.50, "tags": ["secret-tag", "7", None]}
    assert '"size": 1.50' in profile
    assert (len(found.subjects), found.erased, found.unopened) == (3, 0, 0)


def test_one_person_is_found_by_the_value_in_clear(users: Sealed) -> None:
    found = users.reveal("id", "email", subject="2")
    assert found.rows == ((2, "Grace@example.com"),)
    with pytest.raises(ConfigurationError, match="no key is kept for this id") as caught:
        users.reveal("id", "email", subject="ada@example.com")
    assert "ada" not in str(caught.value)


def test_an_export_names_the_keystores_ids_of_whom_it_opened(users: Sealed) -> None:
    (users.root / "catalog/subjects.yaml").write_text(
        "subjects: {customer: {lookups: {id: shop/users.id}}}\n"
    )
    platform = users.platform()
    into = users.root / "out"
    done = export(platform, platform.catalog.subject("customer"), {"id": ["1"]}, into)
    id_ = platform.keystore().find("shop/users", "1")
    assert json.loads((into / "data/shop/users.json").read_text())[0]["email"] == "ada@example.com"
    assert json.loads((into / "manifest.json").read_text())["subject_ids"] == [id_] == [*done.subject_ids]
    done_, begun = platform.trail.search(Filter(action="subject_export"), [])
    assert done_.body["subjects"] == [id_] and "subjects" not in begun.body


def test_what_is_read_again_is_as_it_landed(users: Sealed) -> None:
    before = users.rows("SELECT id, email, profile FROM raw_shop.users ORDER BY id")
    users.execute("update users set updated_at = now() where id = 1")
    assert users.good()["users"].manifest is not None
    assert users.rows("SELECT id, email, profile FROM raw_shop.users ORDER BY id") == before
    report = users.good(verify=True, audit=True)["users"]
    assert report.completeness is not None and report.completeness.passed
    users.good(refresh=["users"])
    assert users.rows("SELECT id, email, profile FROM raw_shop.users ORDER BY id") == before
    rebuild(users.platform(), users.root / "rebuilt.duckdb")
    with duckdb.connect(str(users.root / "rebuilt.duckdb"), read_only=True) as rebuilt:
        found = rebuilt.execute("SELECT id, email, profile FROM raw_shop.users ORDER BY id").fetchall()
    assert found == before


def test_another_subject_column_reads_the_table_anew(users: Sealed) -> None:
    report = users.catalog({"users": {**BLOCK, "subject": {"column": "id", "as": "person"}}}).good()["users"]
    assert "the treatment of email changed" in " ".join(report.notes)
    assert users.reveal("email", subject="1").rows == (("ada@example.com",),)


def test_the_same_person_in_tables_of_one_kind_has_one_key(users: Sealed) -> None:
    users.execute("create table orders (id int primary key, user_id text, address text)")
    users.execute("insert into orders values (10, '1', 'Lovelace Road'), (11, null, 'Nobody Street')")
    subject = {"column": "user_id", "as": "person"}
    orders = {"key": "id", "subject": subject, "personal": {"address": "seal"}}
    users.catalog({"users": {**BLOCK, "subject": {"column": "id", "as": "person"}}, "orders": orders}).good()
    ((email,),) = users.rows("SELECT email FROM raw_shop.users WHERE id = 1")
    one, nobody = (a for (a,) in users.rows("SELECT address FROM raw_shop.orders ORDER BY id"))
    assert subject_of(one) == subject_of(email)
    assert str(subject_of(nobody)).startswith(NOBODY), "a row without a subject is sealed all the same"
    assert users.platform().keystore().status().nobody == ("person",)


def test_a_destroyed_key_shows_as_erased_and_nobody_elses_value_is_touched(users: Sealed) -> None:
    keystore = users.platform().keystore()
    id = keystore.find("shop/users", "1")
    assert id is not None and keystore.destroy([id]) == 1
    found = users.reveal("id", "email", "profile")
    assert sorted((row[0], row[1]) for row in found.rows if row[0] < 3) == [
        (1, None),
        (2, "Grace@example.com"),
    ]
    assert found.erased == 4 and found.unopened == 0
    profile = json.loads(next(str(row[2]) for row in found.rows if row[0] == 1))
    assert profile["name"] is None and profile["size"] == 1.5


def test_a_value_that_was_moved_to_another_column_or_person_does_not_open(users: Sealed) -> None:
    with users.platform().warehouse() as warehouse:
        connection = warehouse.connection  # type: ignore[attr-defined]
        connection.execute(
            "UPDATE raw_shop.users SET email = json_extract_string(profile, '$.name') WHERE id = 1"
        )
        email = connection.execute("SELECT email FROM raw_shop.users WHERE id = 2").fetchone()[0]
        connection.execute("UPDATE raw_shop.users SET email = ? WHERE id = 4", [email[:-3] + "AAA"])
    found = users.reveal("id", "email")
    shown = dict(found.rows)
    assert SEALED.fullmatch(shown[1]) and SEALED.fullmatch(shown[4]) and shown[2] == "Grace@example.com"
    assert found.unopened == 2


@pytest.mark.parametrize("value", ["", "another-of-the-tests-of-32-characters"], ids=["none", "another"])
def test_without_the_master_nothing_is_read_and_nothing_lands(users: Sealed, value: str) -> None:
    users.execute("insert into users values (9, 'nine@example.com')")
    before = users.ledger_sequences("users")
    platform = users.platform()
    other = replace(platform, environ={**platform.environ, "DATA_PLATFORM_MASTER_KEY": value})
    from data_platform.sync import sync_changes

    (report,) = sync_changes(other, "shop")
    assert isinstance(report.error, ConfigurationError) and "DATA_PLATFORM_MASTER_KEY" in str(report.error)
    assert users.ledger_sequences("users") == before
    assert "DATA_PLATFORM_MASTER_KEY" in check_sources(other).mistakes[0]
    with pytest.raises(ConfigurationError, match="DATA_PLATFORM_MASTER_KEY"):
        reveal(other, Request(USERS, ("email",), "a test"))


def test_a_keystore_that_fails_while_rows_are_read_fails_the_table_and_the_next_sync_heals(
    users: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.execute("insert into users values (9, 'nine@example.com')")
    before = users.ledger_sequences("users")

    def down(*_: Any) -> Any:
        raise KeystoreUnreachable("The keystore is down.")

    with monkeypatch.context() as patch:
        patch.setattr(Keystore, "keys", down)
        error = users.sync()["users"].error
    assert error is not None and "nine@" not in str(error)
    assert users.ledger_sequences("users") == before
    users.good()
    assert users.reveal("email", subject="9").rows == (("nine@example.com",),)


def test_who_read_what_is_recorded_before_it_is_shown(users: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    id = users.platform().keystore().find("shop/users", "1")
    users.reveal("id", "email", subject="1")
    (event,) = users.platform().trail.search(Filter(action="reveal"), [])
    assert (event.body["purpose"], event.body["subjects"]) == ("a test", [id])
    assert event.body["objects"] == ["shop/users", "shop/users.id", "shop/users.email"]
    assert event.body["details"] == {"rows": 1, "people": 1, "erased": 0, "unopened": 0, "by": "subject"}
    assert "ada@" not in repr(event.body)

    def down(*_: Any) -> Any:
        raise StoreUnreachable("The store is down.")

    monkeypatch.setattr(Trail, "record", down)
    with pytest.raises(StoreUnreachable):
        users.reveal("email", subject="1")


def test_a_table_that_seals_nothing_and_an_empty_purpose_are_refused(users: Sealed) -> None:
    with pytest.raises(ConfigurationError, match="The purpose"):
        reveal(users.platform(), Request(USERS, ("email",), "  "))
    with pytest.raises(ConfigurationError, match="never erased"):
        reveal(users.platform(), Request(USERS, ("email",), "a call of ada@example.com"))
    users.catalog({"users": {**BLOCK, "personal": {"email": "hash", "phone": "mask", "profile": "redact"}}})
    with pytest.raises(ConfigurationError, match="nothing to reveal"):
        users.reveal("email")


def test_the_command_prints_what_it_opened_and_says_what_did_not(
    users: Sealed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in users.platform().environ.items():
        monkeypatch.setenv(name, value)
    words = [
        "reveal",
        "shop/users",
        "-c",
        "id",
        "-c",
        "email",
        "--purpose",
        "a test",
        "--root",
        str(users.root),
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n"))
    assert run([*words, "--subject", "-", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"id": 1, "email": "ada@example.com"}]
    assert run([*words, "--where", "id < 3 -- and more", "-f", "csv"]) == 0
    assert capsys.readouterr().out == "id,email\n1,ada@example.com\n2,Grace@example.com\n"
    with users.platform().warehouse() as warehouse:
        connection = warehouse.connection  # type: ignore[attr-defined]
        connection.execute(f"UPDATE raw_shop.users SET email = 'sealed:1:{'0' * 32}:{'A' * 24}' WHERE id = 2")
    assert run([*words, "--where", "id = 2", "-f", "json"]) == 1
    shown = capsys.readouterr()
    assert "sealed:1:0000" in shown.out and "1 value did not open" in shown.err
    assert run([*words, "--where", "nothing = 1"]) == 5
