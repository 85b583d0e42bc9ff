"""People of a company are erased, and nobody is left in a byte of it, and nobody else has lost a row."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_platform.backups.manifest import made_at
from data_platform.backups.mirror import place_in
from data_platform.backups.shelf import ARCHIVE, WAREHOUSE
from data_platform.errors import ConfigurationError
from data_platform.keystore import Keystore
from data_platform.keystore.sqlite import CopiedRows
from data_platform.privacy.seal import subject_of
from data_platform.privacy.subjects.place import Place
from data_platform.sync import Platform, backup, keys_kept, longterm
from data_platform.sync.erasing import freeze, steps
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.certificate import Certificate, certify
from data_platform.sync.erasing.derived import Derived
from data_platform.sync.erasing.restored import forgetting
from data_platform.sync.erasing.watch import watch
from data_platform.tables import TableId
from data_platform.warehouses.duckdb.config import PATH_VARIABLE
from data_platform_tests.chaos.conftest import forks
from data_platform_tests.chaos.forks import ForkServer
from data_platform_tests.company import acts, modelled
from data_platform_tests.company.catalog import Store
from data_platform_tests.company.oracle import Person, people
from data_platform_tests.company.search import IN_CLEAR, Found, Wanted, search, versions
from data_platform_tests.company.services import Services, running
from data_platform_tests.company.turmoil import Turmoil
from data_platform_tests.company.world import DERIVED, USERS, World, build
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix

__all__ = ["forks"]

pytestmark = pytest.mark.slow
CHARGES = TableId("stripe", "charges")
WHOLE, SAMPLE = (10_000, 100), (80, 2)


@pytest.fixture
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """(people, of whom so many are erased)."""
    return (
        WHOLE
        if request.config.getoption("--seeds") or request.config.getoption("--seed") is not None
        else SAMPLE
    )


@pytest.fixture
def services() -> Iterator[Services]:
    with running() as made:
        yield made


def erase(world: World, *some: Person, derived: Sequence[Derived] = DERIVED) -> None:
    """By one request."""
    platform = world.platform()
    customer = platform.catalog.subject("customer")
    found = freeze.together([freeze.found(platform, customer, {"email": [one.typed]}) for one in some])
    request = freeze.ask(platform, customer, found, "a request", "the officer")
    done = steps.carry_out(platform, request.id, lambda: derived)
    assert done.next_step is None


def certificates(platform: Platform) -> list[Certificate]:
    return [certify(platform, request) for request in Book(platform).read().requests.values()]


def rebuilt(world: World) -> None:
    """Models that name people without a key are built again, and the file is written again, without what they held."""
    platform = world.platform()
    build(platform)
    platform.environment.warehouse.forget(platform.catalog.root)


def test_one_after_the_other(
    tmp_path: Path,
    database: str,
    services: Services,
    size: tuple[int, int],
    seeds: Callable[[int], Sequence[int]],
) -> None:
    """dbt builds the models, and its manifest says which of them hold somebody."""
    for seed in seeds(1):
        who = people(seed, *size)
        world = World(tmp_path / str(seed), database, who, services).make()
        erased = who.erased()
        with modelled.built(world) as dbt:
            wanted = world.wanted(erased)
            assert len(world.left(wanted).where) > 5, "the search would find them"
            derived = modelled.followed(world)
            for n, person in enumerate(who.asking, 1):
                erase(world, person, derived=derived)
                if n % 20 == 0:
                    world.good()
                    modelled.build(dbt)
            waits = {tuple(map(tuple, one.request.unbuilt)) for one in certificates(world.platform())}
            assert waits == {((modelled.KEYLESS,), (modelled.LASTING,))}
            modelled.built_again(world, dbt)
            found = world.left(wanted)
            assert found.where == {}, f"of {found.objects} objects"
            assert world.wrong(erased) == [] == modelled.wrong(world)
            world.good(verify=True)
            assert world.wrong(erased) == []
            assert world.left(wanted).where == {}
            assert not any(one.open for one in certificates(world.platform()))


def copied(world: World, name: str) -> Iterator[tuple[str, bytes]]:
    """Every object of the landing store's copy in the archive ``name``."""
    store = place_in(backup.archive(world.platform(), name)).reader
    yield from ((f"{name} {key}", store.read(key)) for key in store.list(""))


def stored(world: World, name: str) -> Iterator[tuple[str, bytes]]:
    """Every object in the backup store ``name``, of whatever class."""
    store = backup.archive(world.platform(), name).reader
    yield from ((f"{name} {key}", store.read(key)) for key in store.list(""))


def locked(world: World, name: str, key: str) -> bool:
    locks = place_in(backup.archive(world.platform(), name)).reader.locks
    return locks is not None and locks.until(key) is not None


def opened(keystore: Keystore, wanted: Wanted) -> set[bool]:
    """Whether the keys open under which those who are looked for were sealed: all, none, or some."""
    ids = {id_ for text in wanted.sealed if (id_ := subject_of(text)) is not None}
    found = keystore.opened(ids)
    assert found.keys() == ids
    return {key is not None for key in found.values()}


def restored(world: World, name: str, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """These backups in the archive ``name``, as the file that a restore makes of each."""
    platform = world.platform()
    archive = backup.archive(platform, name)
    made_again = [*DERIVED, Derived(Place(USERS, "user_id"), "marts", "greetings", None)]
    for id_ in ids:
        into = world.root.with_name(f"{name}-{id_}.duckdb")
        then = forgetting(platform, lambda: made_again, archive=archive)
        backup.restore_warehouse(platform, id_, into, copy=name, then=then)
        yield f"restored from {name} {id_}", into.read_bytes()
        into.unlink()


@pytest.fixture
def copies(
    tmp_path: Path, s3_server: ObjectServer, gcs_server: ObjectServer, locked_bucket: str
) -> dict[str, Store]:
    """A bucket that locks what it gets for a day, and another provider."""
    cache = str(tmp_path / "cache")
    return {
        "locked": s3_server.config(new_prefix(), bucket=locked_bucket, lock_days=1, cache=cache),
        "elsewhere": gcs_server.config(new_prefix(), cache=cache),
    }


def test_backups_and_archives_of_before(
    tmp_path: Path,
    database: str,
    services: Services,
    size: tuple[int, int],
    s3_server: ObjectServer,
    copies: dict[str, Store],
) -> None:
    """They lie in a folder, in a bucket that locks them and at another provider; the landing store has a copy beside each."""
    who = people(1, *size)
    world = World(tmp_path / "company", database, who, services, copies=copies, secrets=ENVIRON).make()
    platform = world.platform()
    build(platform)
    erased, names = who.erased(), ("primary", "locked", "elsewhere")
    wanted = world.wanted(erased)
    backup.make_backup(platform)
    archived = longterm.make_archive(platform).manifest.id
    key_copy = keys_kept.copy(platform).copy
    everybody = search(wanted, copied(world, "elsewhere"))
    assert len(everybody.where) > 2, "the search would find them"
    assert opened(platform.keystore(), wanted) == {True}
    first, *others = who.asking
    erase(world, first)
    backup.make_backup(platform)
    rng = random.Random("how many ask on one day")
    while others:
        some = [others.pop() for _ in range(min(len(others), rng.randint(1, 12)))]
        erase(world, *some)

    # what is restored has nobody in it, and a copy of the landing store has them where it is locked alone
    for name in names:
        ids = backup.archive(platform, name).ids()
        assert len(ids) == 2
        here = search(wanted, copied(world, name)).where
        assert {key for key in here if not locked(world, name, key.removeprefix(f"{name} "))} == set()
        assert bool(here) is (name == "locked"), "nobody can remove a locked object before its time"
        chosen = ids if size == WHOLE else ids[:1]  # of before anybody was erased
        found = search(wanted, restored(world, name, chosen))
        assert found.where == {}
        assert found.objects == len(chosen)

    # an archive is never rewritten: it has what landed in clear, and the certificate says until when
    for name in names:
        held = search(wanted, (one for one in stored(world, name) if archived in one[0])).where
        assert held and not any(IN_CLEAR in some for some in held.values())
    years = timedelta(days=round(7 * backup.DAYS_A_YEAR))
    for told in certificates(platform):
        remains = {(one.name, one.id): one for one in told.remains}
        assert remains["archive", archived].stored == names
        assert remains["archive", archived].until == made_at(archived) + years
        assert remains["keystore", key_copy.path.name].until == key_copy.made_at + timedelta(days=7)
        assert [one.id for one in told.remains if one.name == "landing"] == ["copy locked"]
        assert told.waits_for.startswith("copies of the keystore, locked copies, backups until ")

    # what was sealed can be read nowhere any more, once the copy of the keystore is as old as its rule says
    assert opened(platform.keystore(), wanted) == {False}
    assert opened(platform.keystore().beside(CopiedRows(key_copy.path)), wanted) == {True}
    later = replace(platform, clock=lambda: datetime.now(UTC) + timedelta(days=8))
    newest = keys_kept.copy(later).copy
    assert [one.path for one in keys_kept.kept(later).copies] == [newest.path]
    assert opened(platform.keystore().beside(CopiedRows(newest.path)), wanted) == {False}
    for told in certificates(later):
        assert {one.name for one in told.remains} == {"warehouse", "archive"}

    # their days pass: only what is locked is left
    rebuilt(world)
    backup.make_backup(platform)
    longterm.make_archive(platform)
    later = replace(platform, clock=lambda: datetime.now(UTC) + years + timedelta(days=1))
    for shelf in (WAREHOUSE, ARCHIVE):
        backup.prune(later, shelf)
    assert world.left(wanted).where == {}
    assert search(wanted, stored(world, "elsewhere")).where == {}
    for told in certificates(later):
        assert {one.stored for one in told.remains} == {("locked",)}
    client, bucket = s3_server.client(), copies["locked"]["bucket"]
    for name in search(wanted, versions(client, bucket, copies["locked"]["prefix"])).where:
        _, key, version = name.split(" ")
        kept = client.head_object(Bucket=bucket, Key=key, VersionId=version)
        assert kept["ObjectLockRetainUntilDate"] > datetime.now(UTC), name
    assert world.wrong(erased) == []


def unnamed(world: World, found: Found) -> dict[str, set[int]]:
    """What was found, without the backups that the certificates name as still holding somebody, and without a model that names people
    without their key: a backup holds it as it was last built (docs/erasure.md)."""
    platform = world.platform()
    named: dict[int, set[str]] = {}
    book = Book(platform)
    for request in book.read().requests.values():
        backups = {one.id for one in certify(platform, request).remains}
        keys = book.opened(request.sealed)[0].values
        late = (key.rpartition("_")[2] for key in keys.get(Place(CHARGES, "id"), ()))  # it says whose it is
        for key in (*keys.get(Place(USERS, "user_id"), ()), *late):
            named.setdefault(int(key), set()).update(backups)
    anybody = {id_ for some in named.values() for id_ in some}
    left = {}
    for name, who in found.where.items():
        if name.startswith("backups/") and any(
            f"/{model}/" in name for model in (modelled.KEYLESS, modelled.LASTING)
        ):
            continue
        backup = next((piece for piece in name.split("/") if piece in anybody), None)
        if some := {
            one
            for one in who
            if backup is None or one == IN_CLEAR or (one > 0 and backup not in named.get(one, ()))
        }:
            left[name] = some
    return left


@dataclass(frozen=True)
class Modelling:
    """How the company's models are made: ``act`` makes them in a process of its own, which gets to know ``more``."""

    act: str
    more: Mapping[str, object]
    derived: Sequence[Derived]
    again: Callable[[], None]


@contextmanager
def modelling(world: World, by_dbt: bool) -> Iterator[Modelling]:
    if not by_dbt:
        build(world.platform())
        yield Modelling("models", {"environ": world.environ}, DERIVED, lambda: rebuilt(world))
        return
    with modelled.built(world) as dbt:
        derived = modelled.followed(world)
        more = {
            "environ": {**world.environ, PATH_VARIABLE: str(dbt.path)},
            "derived": pickle.dumps(derived).hex(),
        }
        yield Modelling("dbt_models", more, derived, lambda: modelled.built_again(world, dbt))
        assert modelled.wrong(world) == []


def test_everything_at_once(
    tmp_path: Path,
    database: str,
    services: Services,
    size: tuple[int, int],
    forks: ForkServer,
    seeds: Callable[[int], Sequence[int]],
) -> None:
    """Afterwards nothing is left to do by hand but to go on with the requests that stopped. In the sample the models are made without
    dbt, whose processes take some seconds to start."""
    for seed in seeds(1):
        who = people(seed, *size)
        world = World(tmp_path / str(seed), database, who, services).make()
        with modelling(world, by_dbt=size == WHOLE) as models:
            at_once(
                world,
                models,
                Turmoil(world, forks, random.Random(f"turmoil {seed}"), models.act, models.more),
            )


def at_once(world: World, models: Modelling, turmoil: Turmoil) -> None:
    erased = world.people.erased()
    wanted = world.wanted(erased)
    asking = list(world.people.asking)
    while asking:
        turmoil.round([asking.pop() for _ in range(min(len(asking), turmoil.rng.choice((1, 2, 3))))])
    said = f"{world.root}: {turmoil.killed} killed, {turmoil.ended} ended, {turmoil.written} writes"
    said = "\n".join([said, *turmoil.errors])
    assert not [error for error in turmoil.errors if "Traceback" in error], said
    assert turmoil.killed and turmoil.ended and turmoil.written
    world.good()
    assert acts.go_on({"root": str(world.root), **models.more}) == {"error": None}, said
    for person in world.people.asking:
        with suppress(ConfigurationError):  # who was asked for is not found any more
            erase(world, person, derived=models.derived)
    world.good(verify=True)
    next_day = watch(world.platform(), lambda: models.derived)
    assert not next_day.back and not next_day.stopped, said
    models.again()
    assert world.wrong(erased) == [], said
    assert unnamed(world, world.left(wanted)) == {}, said
