"""What a request keeps of a person is sealed, what is left of one is named, and sealed values lose their key."""

from __future__ import annotations

import pytest

from data_platform.errors import ConfigurationError, LandingError, LedgerBroken
from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.sync.erasing import steps
from data_platform.sync.erasing.book import Book
from data_platform.sync.subject_export import export
from data_platform_tests.sync.conftest import BACKUPS, KEYSTORE, Project
from data_platform_tests.sync.erasing.people import TABLES, ask, erase, person


def test_what_is_left_somewhere_is_named(shop: Project) -> None:
    platform = shop.platform()
    request = ask(platform)
    platform.store.put_new("shop/users/stray.txt", b"a copy of person7@company.example")
    with pytest.raises(LandingError, match=r"shop/users/stray\.txt"):
        steps.carry_out(platform, request.id, list)
    platform.store.delete("shop/users/stray.txt")
    shop.build("create table notes as select 'person7@company.example' as note")
    with pytest.raises(LandingError, match=r"main\.notes"):
        steps.carry_out(platform, request.id, list)
    shop.build("drop table notes")
    assert steps.carry_out(platform, request.id, list).next_step is None


def test_keys_are_sealed_and_what_is_altered_is_named(
    shop: Project, redaction_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    monkeypatch.setenv(KEY_VARIABLE, redaction_key)
    platform.store.delete(request.sealed.key)
    with pytest.raises(LedgerBroken, match="missing or altered"):
        Book(shop.platform()).opened(request.sealed)
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        Book(shop.platform()).seal("x", person(shop.platform(), 8).frozen, ())


def test_a_table_without_a_key_in_clear_is_refused(shop: Project) -> None:
    users = {**TABLES["users"], "personal": {"email": "hash", "name": "keep", "user_id": "hash"}}
    shop.catalog({**TABLES, "users": users}).subjects(
        {"customer": {"lookups": {"email": "shop/users.email"}}}
    )
    with pytest.raises(ConfigurationError, match="no key of one column that lands in clear"):
        person(shop.platform())


def test_what_was_sealed_can_be_read_nowhere_any_more(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_PLATFORM_MASTER_KEY", "ab" * 32)
    users = {**TABLES["users"], "subject": "user_id", "personal": {"email": "hash", "name": "seal"}}
    shop.catalog({**TABLES, "users": users}).environment(backups=BACKUPS, keystore=KEYSTORE)
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
