"""What is handed to Dagster instead of its own finds what its own finds."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.assets.job import asset_job
from dagster._core.definitions.decorators import decorator_assets_definition_builder as builder

from data_platform.catalog import load_catalog
from data_platform.defs import linear
from data_platform.defs.build import build
from data_platform_tests.defs.conftest import REPOSITORY

FIRST, SECOND, LATER = dg.AssetKey("first"), dg.AssetKey("second"), dg.AssetKey("later")


def specs() -> list[dg.AssetCheckSpec]:
    """A check of its own that blocks, and one of what it is made of."""
    return [
        dg.AssetCheckSpec("own", asset=FIRST, blocking=True),
        dg.AssetCheckSpec("own", asset=SECOND),
    ]


@dg.multi_asset(specs=[dg.AssetSpec(FIRST), dg.AssetSpec(SECOND, deps=[FIRST])], check_specs=specs())
def both() -> Iterator[Any]:
    yield from ()


@dg.multi_asset(specs=[dg.AssetSpec(LATER, deps=[FIRST, SECOND])])
def later() -> Iterator[Any]:
    yield from ()


@dg.multi_asset_check(specs=[dg.AssetCheckSpec("apart", asset=FIRST, blocking=True)])
def apart() -> Iterator[Any]:
    yield from ()


def _graph(definitions: dg.Definitions) -> object:
    return definitions.get_repository_def().asset_graph


def test_the_dependencies_of_ops_are_the_same(manifest: Path) -> None:
    original = asset_job.build_node_deps
    plain = original.__closure__[0].cell_contents if original.__module__ == linear.__name__ else original
    for graph in (
        _graph(dg.Definitions(assets=[both, later], asset_checks=[apart])),
        _graph(build(load_catalog(REPOSITORY), "local")),
    ):
        deps, by_handle = plain(graph)
        found, handles = linear.node_deps(plain)(graph)
        assert found == deps
        assert handles == by_handle
    assert any(deps.values())


def test_each_is_put_in_once(manifest: Path) -> None:
    for _ in range(2):
        build(load_catalog(REPOSITORY), "local")
    for module, name in ((asset_job, linear.NODE_DEPS), (builder, linear.CHECK_TARGETS)):
        put = getattr(module, name)
        assert put.__module__ == linear.__name__
        assert put.__closure__[0].cell_contents.__module__ == module.__name__


def test_a_check_of_an_asset_of_nobody_is_refused(manifest: Path) -> None:
    build(load_catalog(REPOSITORY), "local")
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="Invalid asset key"):
        dg.multi_asset(specs=[dg.AssetSpec(SECOND)], check_specs=[dg.AssetCheckSpec("own", asset=FIRST)])(
            lambda: None
        )
