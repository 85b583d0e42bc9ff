"""What is handed to Dagster instead of its own finds what its own finds."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.assets.job import asset_job
from dagster_shared.record import replace

from data_platform.defs import linear
from data_platform.defs.build import build
from data_platform.defs.check_results import CheckResult
from data_platform_tests.repository import shop_alone

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
        _graph(build(shop_alone(), "local")),
    ):
        deps, by_handle = plain(graph)
        found, handles = linear.node_deps(plain)(graph)
        assert found == deps
        assert handles == by_handle
    assert any(deps.values())


def test_each_is_put_in_once(manifest: Path) -> None:
    for _ in range(2):
        build(shop_alone(), "local")
    for owner, name, _ in linear.REPLACED:
        put = getattr(owner, name)
        assert put.__module__ == linear.__name__
        assert put.__closure__[0].cell_contents.__module__ != linear.__name__


def test_a_table_before_what_it_is_made_of_is_refused() -> None:
    linear.install()

    @dg.multi_asset(specs=[dg.AssetSpec(FIRST), dg.AssetSpec(SECOND, deps=[FIRST])])
    def wrong() -> Iterator[Any]:
        yield dg.MaterializeResult(asset_key=SECOND)
        yield dg.MaterializeResult(asset_key=FIRST)

    with pytest.raises(dg.DagsterInvariantViolationError, match="was yielded before its"):
        dg.materialize([wrong])


def evaluated_with(result: type[dg.AssetCheckResult]) -> dg.AssetsDefinition:
    @dg.multi_asset(specs=[dg.AssetSpec(FIRST), dg.AssetSpec(SECOND)], check_specs=specs())
    def made() -> Iterator[Any]:
        for key, passed in ((FIRST, False), (SECOND, True)):
            yield dg.MaterializeResult(asset_key=key)
            yield result(
                asset_key=key,
                check_name="own",
                passed=passed,
                metadata={"rows": 3},
                severity=dg.AssetCheckSeverity.WARN,
                description="said",
            )

    return made


def test_a_result_is_evaluated_as_dagsters_own() -> None:
    seen = []
    for result in (dg.AssetCheckResult, CheckResult):
        with dg.DagsterInstance.ephemeral() as instance:
            run = dg.materialize([evaluated_with(result)], instance=instance)
            found = run.get_asset_check_evaluations()
            for one in found:
                target = one.target_materialization_data
                [last] = instance.fetch_materializations(one.asset_key, limit=2).records
                assert target is not None
                assert (target.run_id, target.storage_id) == (run.run_id, last.storage_id)
            seen.append([replace(one, target_materialization_data=None) for one in found])
    assert seen[0] == seen[1]
    assert [one.blocking for one in seen[0]] == [True, False]


def test_a_check_of_an_asset_of_nobody_is_refused(manifest: Path) -> None:
    build(shop_alone(), "local")
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="Invalid asset key"):
        dg.multi_asset(specs=[dg.AssetSpec(SECOND)], check_specs=[dg.AssetCheckSpec("own", asset=FIRST)])(
            lambda: None
        )
