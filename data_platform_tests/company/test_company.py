"""People of a company are erased, and nobody is left in a byte of it, and nobody else has lost a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from data_platform.sync.erasing import freeze, steps
from data_platform_tests.company.oracle import Person, people
from data_platform_tests.company.world import DERIVED, World, build

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
