"""People of a company are erased, and nobody is left in a byte of it, and nobody else has lost a row."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from data_platform.errors import ConfigurationError
from data_platform.sync.erasing import freeze, steps
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.certificate import certify
from data_platform_tests.chaos.conftest import forks
from data_platform_tests.chaos.forks import ForkServer
from data_platform_tests.company import acts
from data_platform_tests.company.oracle import Person, people
from data_platform_tests.company.search import Found
from data_platform_tests.company.turmoil import Turmoil
from data_platform_tests.company.world import DERIVED, World, build

__all__ = ["forks"]

pytestmark = pytest.mark.slow


@pytest.fixture
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """(people, of whom so many are erased)."""
    return (
        (10_000, 100)
        if request.config.getoption("--seeds") or request.config.getoption("--seed") is not None
        else (300, 3)
    )


def erase(world: World, person: Person) -> None:
    platform = world.platform()
    customer = platform.catalog.subject("customer")
    found = freeze.found(platform, customer, {"email": [person.typed]})
    request = freeze.ask(platform, customer, found, "a request", "the officer")
    done = steps.carry_out(platform, request.id, lambda: DERIVED)
    assert done.next_step is None


def rebuilt(world: World) -> None:
    """Models that name people without a key are built again, and the file is written again, without what they held."""
    platform = world.platform()
    build(platform)
    platform.environment.warehouse.forget(platform.catalog.root)


def test_one_after_the_other(
    tmp_path: Path, database: str, size: tuple[int, int], seeds: Callable[[int], Sequence[int]]
) -> None:
    for seed in seeds(1):
        who = people(seed, *size)
        world = World(tmp_path / str(seed), database, who).make()
        build(world.platform())
        erased = who.erased()
        hashes = world.hashes(erased)
        assert len(world.left(erased, hashes=hashes).where) > 5, "the search would find them"
        for n, person in enumerate(who.asking):
            erase(world, person)
            if n % 20 == 0:
                world.good()
        rebuilt(world)
        found = world.left(erased, hashes=hashes)
        assert found.where == {}, f"of {found.objects} objects"
        assert world.wrong(erased) == []
        world.good(verify=True)
        assert world.wrong(erased) == []
        assert world.left(erased, hashes=hashes).where == {}


def unnamed(world: World, found: Found) -> dict[str, set[int]]:
    """What was found, without the backups that the certificates name as still holding somebody, and without a model that names people
    without their key: a backup holds it as it was last built (docs/erasure.md)."""
    platform = world.platform()
    named: dict[int, set[str]] = {}
    book = Book(platform)
    for request in book.read().requests.values():
        backups = {one.id for one in certify(platform, request).remains}
        for keys in book.opened(request.sealed)[0].values.values():
            for key in keys:
                named.setdefault(int(key), set()).update(backups)
    anybody = {id_ for some in named.values() for id_ in some}
    left = {}
    for name, who in found.where.items():
        if name.startswith("backups/") and "/marts.greetings/" in name:
            continue
        backup = next((piece for piece in name.split("/") if piece in anybody), None)
        if some := {one for one in who if backup is None or (one > 0 and backup not in named.get(one, ()))}:
            left[name] = some
    return left


def test_everything_at_once(
    tmp_path: Path,
    database: str,
    size: tuple[int, int],
    forks: ForkServer,
    seeds: Callable[[int], Sequence[int]],
) -> None:
    """Afterwards nothing is left to do by hand but to go on with the requests that stopped."""
    for seed in seeds(1):
        who = people(seed, *size)
        world = World(tmp_path / str(seed), database, who).make()
        build(world.platform())
        erased = who.erased()
        hashes = world.hashes(erased)
        rng = random.Random(f"turmoil {seed}")
        turmoil, asking = Turmoil(world, forks, rng), list(who.asking)
        while asking:
            some = [asking.pop() for _ in range(min(len(asking), rng.choice((1, 2, 3))))]
            turmoil.round(some)
        said = f"seed {seed}: {turmoil.killed} killed, {turmoil.ended} ended, {turmoil.written} writes"
        said = "\n".join([said, *turmoil.errors])
        assert not [error for error in turmoil.errors if "Traceback" in error], said
        assert turmoil.killed and turmoil.ended and turmoil.written
        world.good()
        assert acts.go_on({"root": str(world.root), "environ": world.environ}) == {"error": None}, said
        for person in who.asking:
            with suppress(ConfigurationError):  # who was asked for is not found any more
                erase(world, person)
        world.good(verify=True)
        rebuilt(world)
        assert world.wrong(erased) == [], said
        assert unnamed(world, world.left(erased, hashes=hashes)) == {}, said
