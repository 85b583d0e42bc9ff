"""A warehouse of each engine, and a chain of batches for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_platform.warehouses import Warehouse
from data_platform_tests.contracts.batches import Chain
from data_platform_tests.contracts.engines import ENGINES, Engine


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    found = ENGINES[request.param]
    if found.server is not None:
        if "naive_model" in request.node.name and not request.config.getoption("--seeds"):
            pytest.skip("on demand: --seeds N")  # half a minute where each statement asks a server
        request.getfixturevalue(found.server)
    yield found
    if found.emptied is not None:
        found.emptied(tmp_path)


@pytest.fixture
def warehouse(engine: Engine, tmp_path: Path) -> Iterator[Warehouse]:
    with engine.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / "parts")
