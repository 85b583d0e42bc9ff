"""Each rule's case passes, and fails by the oracle's own read once the rule is broken."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from data_platform.sandbox.server import PostgresServer
from data_platform_tests.exactness import watermark_cases
from data_platform_tests.exactness.bench import Bench
from data_platform_tests.exactness.mutants import MUTANTS, Mutant
from data_platform_tests.exactness.oracle import Inexact
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow

SHARE = 6
"""Of the mutants, those that each run tries."""
CASES = list(dict.fromkeys(mutant.case for mutant in MUTANTS))


@pytest.fixture
def run(
    database: str, postgres: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[Callable[..., None]], None]]:
    """Runs a case over a database of its own, watched by the oracle."""
    bench = Bench(Project(tmp_path, database), lambda: request.getfixturevalue("standby"))

    def run_case(case: Callable[..., None]) -> None:
        if case is watermark_cases.another_database:
            name = database.rsplit("/", 1)[-1].split("?")[0]
            case = partial(
                case, copy=lambda: postgres.create_database(f"copy_{uuid.uuid4().hex[:12]}", template=name)
            )
        with bench.oracle.watching():
            case(bench)

    yield run_case
    bench.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_case_loses_nothing(case: Callable[..., None], run: Callable[[Callable[..., None]], None]) -> None:
    run(case)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every ``SHARE``-th mutant, and all of them with ``--seeds``."""
    if "mutant" in metafunc.fixturenames:
        chosen = MUTANTS if metafunc.config.getoption("--seeds") else MUTANTS[::SHARE]
        metafunc.parametrize("mutant", chosen, ids=lambda mutant: mutant.name.replace(" ", "-"))


def test_a_broken_rule_is_noticed(
    mutant: Mutant, run: Callable[[Callable[..., None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant.apply(monkeypatch)
    with pytest.raises(Inexact):
        run(mutant.case)
