"""The schedules of writers, end to end into every engine that runs here; ``--seeds N`` runs more of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from data_platform.sync import Platform
from data_platform.warehouses import WarehouseConfig
from data_platform_tests.contracts.conftest import served
from data_platform_tests.contracts.engines import ENGINES, Engine
from data_platform_tests.exactness.schedules import STEPS, Schedule
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow
FEW = 16
"""Steps of a schedule by default: each of its syncs asks a server some twenty times."""
ON_DEMAND = ("bigquery",)
"""Run with ``--warehouse KIND`` alone: a statement takes the emulator a fifth of a second."""
NEVER = ("duckdb", "toy")
"""The one has schedules of its own; the other keeps no JSON."""


@dataclass
class Into(Project):
    warehouse: WarehouseConfig

    def platform(self) -> Platform:
        opened = super().platform()
        return replace(
            opened, environment=opened.environment.model_copy(update={"warehouse": self.warehouse})
        )


@pytest.fixture(params=[name for name in ENGINES if name not in NEVER])
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    wanted = request.config.getoption("--warehouse")
    if wanted not in (None, request.param):
        pytest.skip(f"--warehouse {wanted}")
    if wanted is None and request.param in ON_DEMAND:
        pytest.skip(f"on demand: --warehouse {request.param}")
    found = served(ENGINES[request.param], request, monkeypatch)
    yield found
    if found.emptied is not None:
        found.emptied(tmp_path)


def test_a_schedule_of_writers_loses_nothing_on_its_way_into_any_engine(
    engine: Engine,
    database: str,
    tmp_path: Path,
    seeds: Callable[[int], Sequence[int]],
    request: pytest.FixtureRequest,
) -> None:
    thorough = request.config.getoption("--seeds") or request.config.getoption("--warehouse")
    for seed in seeds(1):
        root = tmp_path.with_name(f"{tmp_path.name}-{seed}")
        project = Into(root, database, engine.config(root))
        Schedule(project, database, seed, steps=STEPS if thorough else FEW).run()
        if engine.emptied is not None:
            engine.emptied(root)
        shutil.rmtree(root)
