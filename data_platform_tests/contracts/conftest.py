"""A warehouse of each engine, and a chain of batches for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data_platform.warehouses import Warehouse
from data_platform_tests.contracts.batches import Chain
from data_platform_tests.contracts.engines import ENGINES, SAMPLE, Engine
from data_platform_tests.engines import EngineServer

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a sampled engine what ``SAMPLE`` names; all of it where ``--warehouse`` names its kind, and nothing else then."""
    kind = config.getoption("--warehouse")
    left, out = [], []
    for item in items:
        callspec = getattr(item, "callspec", None)
        engine = callspec.params.get("engine") if callspec and item.path.parent == HERE else None
        name = getattr(item, "originalname", item.name)
        sample = ENGINES[engine].sampled if engine else False
        sampled = not sample or name in (SAMPLE if sample is True else sample)
        (left if (sampled if kind is None else engine in (None, kind)) else out).append(item)
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = left


@pytest.fixture(
    params=[pytest.param(kind, marks=[pytest.mark.slow] * bool(e.server)) for kind, e in ENGINES.items()]
)
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    found = ENGINES[request.param]
    if found.server is not None:
        found = served(found, request, monkeypatch)
    yield found
    if found.emptied is not None:
        found.emptied(tmp_path)


def served(engine: Engine, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """``engine`` once the server that it needs runs."""
    server = request.getfixturevalue(engine.server) if engine.server else None
    if not isinstance(server, EngineServer):
        return engine
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    return replace(engine, config=server.config, emptied=server.emptied)


@pytest.fixture
def warehouse(engine: Engine, tmp_path: Path) -> Iterator[Warehouse]:
    with engine.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / "parts")
