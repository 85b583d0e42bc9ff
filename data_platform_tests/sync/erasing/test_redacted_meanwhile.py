"""A redaction replaces a landed part between the moment at which somebody asks for the current parts and the one at which it is read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups import heal, mirror
from data_platform.backups.landing import restore_ledger
from data_platform.errors import ConfigurationError, LandingError, PartDamaged, PartReplaced
from data_platform.landing import check
from data_platform.landing.chain import Chain
from data_platform.landing.inbox import StoredInbox
from data_platform.landing.inputs import LedgerInputs
from data_platform.landing.ledger import Ledger
from data_platform.landing.verify import verify
from data_platform.sources.inbox.delivery import Delivery, Place
from data_platform.stores.local import LocalStore
from data_platform.sync import rebuild, subject_export
from data_platform.sync.backup import archives
from data_platform.sync.erasing import freeze, landing, steps
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.traces import to_copies
from data_platform.sync.load import load_pending
from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse
from data_platform_tests.sync.conftest import Project
from data_platform_tests.sync.erasing.people import ORDERS, USERS, VISITS, WITHOUT, person, totals

TABLES = (USERS, ORDERS, VISITS)


class Meanwhile:
    """Person 7 is erased from what landed, by a real request, once, just before or after a call of something else."""

    def __init__(self, shop: Project, monkeypatch: pytest.MonkeyPatch, *, copies: bool = False) -> None:
        self.shop, self.monkeypatch, self.copies = shop, monkeypatch, copies
        self.request = ""
        self.person = person(shop.platform())  # whoever is interrupted may hold the warehouse

    def __call__(self) -> None:
        if self.request:
            return
        platform = self.shop.platform()
        customer, book = platform.catalog.subject("customer"), Book(platform)
        request = freeze.ask(platform, customer, self.person, "request 12", "the DPO")
        self.request = request.id
        work = steps.Work(platform, book, request, customer, *book.opened(request.sealed), ())
        said = steps._landing(work)
        assert {"shop/users", "shop/orders"} <= said.keys(), "parts were replaced"
        if self.copies:
            to_copies(platform, work.tables)

    def at(
        self, owner: Any, name: str, *, after: bool = False, when: Callable[..., bool] = lambda *_: True
    ) -> None:
        act = getattr(owner, name)

        def wrapped(*args: Any, **more: Any) -> Any:
            if not when(*args):
                return act(*args, **more)
            if not after:
                self()
                return act(*args, **more)
            done = act(*args, **more)
            self()
            return done

        self.monkeypatch.setattr(owner, name, wrapped)

    def finish(self) -> None:
        assert self.request
        assert steps.carry_out(self.shop.platform(), self.request, list).next_step is None
        assert totals(self.shop) == WITHOUT


@pytest.fixture
def meanwhile(shop: Project, monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    return Meanwhile(shop, monkeypatch)


def keys_of(store: Any) -> set[str]:
    return {key for key in store.list("shop") if key.endswith(".parquet")}


def whole(shop: Project) -> None:
    platform = shop.platform()
    for table in TABLES:
        assert verify(platform.ledger, table, platform.clock(), since=0).problems == ()


@pytest.mark.parametrize("seam", ["listed", "opened"])
def test_a_load_asks_again_for_the_parts(shop: Project, meanwhile: Meanwhile, seam: str) -> None:
    """The part goes after the batches were listed, or when it was opened and the engine has not read it yet."""
    shop.execute("update users set name = name || '!'", "update orders set amount = amount + 1")
    if seam == "listed":
        meanwhile.at(Chain, "pending", after=True)
    else:
        meanwhile.at(DuckDBWarehouse, "load")
    for report in shop.sync().values():
        assert report.error is None, report.error
    assert shop.rows("select count(*) from raw_shop.users where name = 'Needle8!'") == [(1,)]
    meanwhile.finish()
    whole(shop)


def test_a_part_that_no_redaction_replaced_is_damaged(shop: Project) -> None:
    platform = shop.platform()
    (shop.root / "warehouse.duckdb").unlink()
    head = platform.ledger.head(USERS)
    assert head is not None
    platform.store.delete(head.parts[0].key)
    with pytest.raises(PartDamaged, match="is missing"):
        load_pending(platform, USERS)


def test_what_another_loader_had_loaded_before_the_redaction_goes_too(
    shop: Project, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its old part, after we were told that it is not loaded: its batch is passed over, and its redaction must still be applied."""
    shop.execute("update users set name = name || '!'")
    with monkeypatch.context() as patch:
        patch.setattr("data_platform.sync.finish.load_pending", lambda *_, **__: ())
        shop.good(tables=["users"])
    platform = shop.platform()
    with platform.warehouse(landed=True) as warehouse:
        known = warehouse.loaded(USERS)
        load_pending(platform, USERS, warehouse=warehouse, known=known)
        meanwhile()
        with monkeypatch.context() as patch:
            patch.setattr(warehouse, "loaded", lambda table: known)
            load_pending(platform, USERS, warehouse=warehouse)
    assert shop.rows("select count(*) from raw_shop.users where user_id = 7") == [(0,)]
    meanwhile.finish()


@pytest.mark.parametrize("when", ["first", "last"])
def test_a_rebuild_begins_again(shop: Project, meanwhile: Meanwhile, when: str) -> None:
    """Before a part is read, or after the last one was."""
    if when == "first":
        meanwhile.at(rebuild, "open_parts")
    else:
        meanwhile.at(rebuild, "_rebuild", after=True, when=lambda _, __, table, *___: table == VISITS)
    rebuild.rebuild(shop.platform(), shop.root / "rebuilt.duckdb")
    assert meanwhile.request
    config = shop.platform().environment.warehouse.elsewhere(shop.root / "rebuilt.duckdb")
    with config.open(shop.root, read_only=True) as warehouse:
        for name, rows in WITHOUT.items():
            assert warehouse.query(f"select count(*) from raw_shop.{name}").rows == [(rows,)]
    assert b"Needle7" not in (shop.root / "rebuilt.duckdb").read_bytes()
    meanwhile.finish()


def test_a_verification_finds_no_damage(shop: Project, meanwhile: Meanwhile) -> None:
    platform = shop.platform()
    meanwhile.at(check, "damage_of", when=lambda _, manifest, __: manifest.table == USERS)
    found = verify(platform.ledger, USERS, platform.clock(), since=0)
    assert meanwhile.request
    assert found.problems == ()
    whole(shop)
    meanwhile.finish()


@pytest.mark.parametrize("when", ["before it is read", "before it is written"])
@pytest.mark.parametrize("copies", [False, True])
def test_a_copy_of_the_landing_store_follows(
    shop: Project, monkeypatch: pytest.MonkeyPatch, when: str, copies: bool
) -> None:
    """The request may have brought the copy up to date, too, before the old part is written there."""
    meanwhile = Meanwhile(shop, monkeypatch, copies=copies)
    if when == "before it is read":
        meanwhile.at(mirror, "open_part")
    else:
        meanwhile.at(shutil, "copyfile", after=True)
    platform = shop.platform()
    (archive,) = archives(platform)
    done = mirror.mirror(platform.ledger, archive, TABLES)
    assert meanwhile.request and done.damaged == ()
    assert keys_of(mirror.place_in(archive).reader) == keys_of(platform.store)
    meanwhile.finish()


def test_what_somebody_who_was_killed_put_into_a_copy_goes(shop: Project, meanwhile: Meanwhile) -> None:
    platform = shop.platform()
    (archive,) = archives(platform)
    mirror.mirror(platform.ledger, archive, TABLES)
    place = mirror.place_in(archive)
    old = {key: place.reader.read(key) for key in keys_of(place.reader)}
    meanwhile()
    mirror.mirror(platform.ledger, archive, TABLES)
    gone = old.keys() - keys_of(place.reader)
    assert gone
    for key in gone:
        place.store.put_new(key, old[key])
    mirror.mirror(platform.ledger, archive, TABLES)
    assert keys_of(place.reader) == keys_of(platform.store)


@pytest.mark.parametrize("when", ["before it is read", "before it is written"])
def test_a_restored_landing_store_ends_after_it(
    shop: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
) -> None:
    platform = shop.platform()
    (archive,) = archives(platform)
    heads = mirror.mirror(platform.ledger, archive, TABLES).heads
    meanwhile = Meanwhile(shop, monkeypatch, copies=True)
    if when == "before it is read":
        meanwhile.at(mirror, "open_part")
    else:
        meanwhile.at(shutil, "copyfile", after=True)
    store = LocalStore(tmp_path / "restored")
    assert restore_ledger(archive, heads, store, platform.environ).damaged == ()
    assert meanwhile.request
    assert keys_of(store) == keys_of(platform.store)
    restored = Ledger(store, platform.environ)
    for table in TABLES:
        assert verify(restored, table, platform.clock(), since=0).problems == ()
    meanwhile.finish()


def test_healing_puts_back_nothing_that_was_erased(shop: Project, meanwhile: Meanwhile) -> None:
    platform = shop.platform()
    (archive,) = archives(platform)
    mirror.mirror(platform.ledger, archive, TABLES)
    head = platform.ledger.head(VISITS)
    assert head is not None
    platform.store.delete(head.parts[0].key)
    real = heal.copy_part

    def copied(*args: Any, **more: Any) -> Any:
        done = real(*args, **more)  # the part is there again, so that the request can read it
        meanwhile()
        real(*args, **more)  # and it is put back once more, as by somebody who was slow
        return done

    meanwhile.monkeypatch.setattr(heal, "copy_part", copied)
    heal.heal(platform.ledger, [archive], VISITS, [head.sequence])
    assert meanwhile.request and head.parts[0].key not in keys_of(platform.store)
    whole(shop)
    meanwhile.finish()


def test_a_request_counts_and_reads_again(shop: Project, meanwhile: Meanwhile) -> None:
    """What is counted in landed parts for a rule of retention."""
    platform = shop.platform()
    gone = landing.Gone({}, lambda columns: "true")
    before = landing.count_landed(platform, USERS, gone)
    meanwhile.at(landing, "open_part")
    assert landing.count_landed(platform, USERS, gone) == before - 1
    meanwhile.finish()


def test_inputs_of_a_computation_say_it(shop: Project, meanwhile: Meanwhile) -> None:
    platform = shop.platform()
    with (
        pytest.raises(PartReplaced, match="rows were erased"),
        LedgerInputs(platform.ledger).landed(USERS, in_bucket=False) as found,
    ):
        meanwhile()
        Path(found.batches[0].files[0]).read_bytes()
    with LedgerInputs(platform.ledger).landed(USERS, in_bucket=False) as found:
        assert Path(found.batches[0].files[0]).read_bytes()
    meanwhile.finish()


def test_an_export_of_a_person_who_is_being_erased_leaves_nothing(
    shop: Project, meanwhile: Meanwhile, tmp_path: Path
) -> None:
    """The request comes after the rows were read, and before the folder gets its name."""
    meanwhile.at(subject_export, "_describe")
    platform = shop.platform()
    customer = platform.catalog.subject("customer")
    with pytest.raises(ConfigurationError, match="is being erased, so nothing was written"):
        subject_export.export(platform, customer, {"user_id": ["7"]}, tmp_path / "out" / "seven")
    assert list((tmp_path / "out").iterdir()) == []
    subject_export.export(platform, customer, {"user_id": ["8"]}, tmp_path / "out" / "eight")
    meanwhile.finish()


def test_a_delivery_that_waits_is_named_by_its_source(shop: Project, meanwhile: Meanwhile) -> None:
    """It came while the person was erased; a sync of the source takes it, without what is the person's."""
    platform = shop.platform()
    inbox = StoredInbox(platform.store, platform.signer, "hooks", (), platform.hash_key, must_seal=False)
    act = steps._STEPS["copies"]

    def meanwhile_delivered(work: Any) -> Any:
        inbox._hash_key = _no_key
        inbox.put(Place("a", 1), [Delivery(1, {}, b'{"email": "person7@company.example"}')])
        return act(work)

    meanwhile.monkeypatch.setitem(steps._STEPS, "copies", meanwhile_delivered)  # type: ignore[arg-type]
    meanwhile()
    with pytest.raises(LandingError, match="sync hooks, which leaves the rows of the person out"):
        steps.carry_out(platform, meanwhile.request, list)
    platform.store.delete(platform.store.list("_inbox/hooks")[0])
    meanwhile.finish()


def _no_key() -> bytes:
    raise ConfigurationError("There is none.")
