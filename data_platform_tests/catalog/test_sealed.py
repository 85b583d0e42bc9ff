"""What must be said where a column is sealed: whose it is, and where the keys are."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.catalog import load_catalog
from data_platform_tests.catalog.documents import PLATFORM, mistakes, only, write

KEYSTORE = PLATFORM + "    keystore: {kind: sqlite, path: keys/keystore.sqlite}\n"
USERS = "  users: {key: id, subject: id, personal: {email: seal}}\n"


def test_a_sealed_table_has_a_subject_of_a_kind(tmp_path: Path) -> None:
    tables = USERS + "  orders: {key: id, subject: {column: user_id, as: person}, personal: {note: seal}}\n"
    source = load_catalog(write(tmp_path, tables, platform=KEYSTORE)).source("shop")
    one, other = source.table("users"), source.table("orders")
    assert one.subject is not None and other.subject is not None
    assert (one.subject.column, one.subject.kind_of(one.id)) == ("id", "shop/users")
    assert (other.subject.column, other.subject.kind_of(other.id)) == ("user_id", "person")
    assert one.seals and one.treated == ("email",)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{key: id, personal: {email: seal}}", "users.subject: is missing. `email` is sealed under a key"),
        ("{key: id, personal: {'a.email': seal}}", "users.subject: is missing"),
        ("{key: email, subject: id, personal: {email: seal}}", "users.key: the column `email` is sealed"),
        ("{key: id, cursor: at, subject: id, personal: {at: seal}}", "`at` is treated as seal"),
        (
            "{key: id, only: [id, email], subject: user_id, personal: {email: seal}}",
            "names `user_id`, which is not read",
        ),
        ("{key: id, subject: {column: id, as: A b}, personal: {email: seal}}", "users.subject.as"),
        ("{key: id, subject: {of: id}, personal: {email: seal}}", "users.subject"),
        ("{key: id, subject: [id], personal: {email: seal}}", "users.subject"),
    ],
)
def test_what_does_not_fit_a_sealed_column_is_a_mistake(tmp_path: Path, block: str, said: str) -> None:
    assert said in "\n".join(mistakes(write(tmp_path, f"  users: {block}\n", platform=KEYSTORE)))


def test_a_table_that_seals_needs_a_keystore_in_every_environment(tmp_path: Path) -> None:
    assert "environments.local.keystore: is missing. shop/users has columns" in only(write(tmp_path, USERS))
    load_catalog(write(tmp_path, USERS, platform=KEYSTORE))


def test_runs_that_share_no_disk_share_no_file_of_keys(tmp_path: Path) -> None:
    found = mistakes(write(tmp_path, USERS, platform=KEYSTORE + "    runs: {where: pods}\n"))
    (one,) = (mistake for mistake in found if "keystore" in mistake)
    assert "use a keystore of the kind postgres" in one


@pytest.mark.parametrize(
    ("keystore", "said"),
    [
        (
            "{kind: sqlite, path: .data/landing/keys.sqlite}",
            "keystore.path: lies in landing, the folder of a store",
        ),
        (
            "{kind: sqlite, path: keys.sqlite, backups: {path: .data/landing/../landing/x}}",
            "keystore.backups.path: lies in landing",
        ),
        ("{kind: sqlite, path: keys.sqlite, backups: {path: k, keep_days: 8}}", "keystore.backups.keep_days"),
        ("{kind: postgres}", "keystore.url_env"),
        ("{kind: vault}", "keystore"),
        ("{kind: sqlite, path: k, master: {kind: gcp_kms, key: alias/x}}", "keystore.master.key"),
    ],
)
def test_a_keystore_lies_apart_from_every_store(tmp_path: Path, keystore: str, said: str) -> None:
    found = "\n".join(mistakes(write(tmp_path, USERS, platform=PLATFORM + f"    keystore: {keystore}\n")))
    assert said in found
