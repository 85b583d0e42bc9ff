"""An inbox over every kind of store: written by receivers, read in order, released by all who read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.errors import ConfigurationError, LandingError, LedgerBroken
from data_platform.landing.inbox import StoredInbox
from data_platform.landing.signing import NOT_SIGNED
from data_platform.sources.inbox.delivery import Delivery, Place
from data_platform.stores import Store
from data_platform.stores.local import LocalStore

KEY = b"a test's key, long enough to be taken"
ONE = Delivery(1_790_000_000_123, {"x-id": "1"}, b'{"needle": 1}\xff')


def no_key() -> bytes:
    raise ConfigurationError("there is no key")


def inbox(store: Store, *, key: bool = True, must_seal: bool = False) -> StoredInbox:
    return StoredInbox(store, NOT_SIGNED, "hooks", (), (lambda: KEY) if key else no_key, must_seal=must_seal)


@pytest.fixture(
    params=["local", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("s3_store", "gcs_store"))]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return LocalStore(tmp_path / "store")
    found: Store = request.getfixturevalue(request.param)
    return found


def test_what_receivers_write_is_read_in_order_and_released_by_all(store: Store) -> None:
    here = inbox(store)
    places = [Place("a", 1), Place("b", 1), Place("a", 2), Place("a", 10)]
    for place in places:
        here.put(place, [ONE, ONE._replace(body=str(place).encode())])
    assert here.places() == places and here.some()
    assert [list(inbox(store).read(place))[1].body for place in places] == [str(p).encode() for p in places]
    assert next(iter(here.read(places[0]))) == ONE
    here.release("one", {"a": 2, "b": 1}, ["one", "other"])
    assert here.places() == places  # the other has taken nothing yet
    here.release("other", {"a": 1}, ["one", "other"])
    assert here.places() == places[1:]
    here.release("other", {"a": 10, "b": 1}, ["one", "other"])
    assert here.places() == [Place("a", 10)]
    here.release("one", {"a": 10}, ["one", "other"])
    assert here.places() == [] and not here.some()
    assert here.read(places[0]) == ()  # another reader has let go of it


def test_a_number_is_used_once(store: Store) -> None:
    inbox(store).put(Place("a", 1), [ONE])
    with pytest.raises(LandingError, match="already"):
        inbox(store).put(Place("a", 1), [ONE._replace(at=2)])
    assert list(inbox(store).read(Place("a", 1))) == [ONE]


def test_it_is_sealed_where_there_is_a_key_and_opens_at_its_place_alone(store: Store) -> None:
    inbox(store).put(Place("a", 1), [ONE])
    inbox(store, key=False).put(Place("a", 2), [ONE])
    first, second = (store.read(f"_inbox/hooks/objects/a/{n:015d}") for n in (1, 2))
    assert b"needle" not in first and b"needle" in second
    with pytest.raises(ConfigurationError, match="there is no key"):
        inbox(store, key=False).read(Place("a", 1))
    with pytest.raises(ConfigurationError, match="wait sealed"):
        inbox(store, key=False, must_seal=True).put(Place("a", 3), [ONE])
    store.put_new("_inbox/hooks/objects/b/000000000000001", first)
    with pytest.raises(ConfigurationError, match="does not open"):
        inbox(store).read(Place("b", 1))


def test_an_object_with_another_name_is_named(store: Store) -> None:
    store.put_new("_inbox/hooks/objects/a/notes.txt", b"hello")
    with pytest.raises(LedgerBroken, match=r"objects/a/notes.txt in the landing store is no delivery"):
        inbox(store).places()
