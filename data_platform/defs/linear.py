"""Places of Dagster whose time grows with the square of an op's assets, handed what keeps it in proportion.

Our sync op makes every table of a source, with some checks each. For 2,000 tables the first took 2 CPU-s of
each job that holds the op, the second 1 CPU-s, and the third 5 CPU-s of a run of 500. All are names that Dagster
keeps to itself, which is why its version is pinned; a test compares what they find.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.job import asset_job
from dagster._core.definitions.decorators import decorator_assets_definition_builder as builder
from dagster._core.execution.context.system import StepExecutionContext

NODE_DEPS = "build_node_deps"
CHECK_TARGETS = "_validate_check_specs_target_relevant_asset_keys"
OUTPUT_KEYS = "get_output_asset_keys"
_KEPT = "_data_platform_output_asset_keys"


class _Asset:
    """An ``AssetsDefinition`` of which ``build_node_deps`` asks, for every input, whether a check of its own is of
    that input. It makes a set of all checks each time, so only those are left that can be."""

    def __init__(self, own: dg.AssetsDefinition) -> None:
        self.own = own
        inputs = frozenset(own.node_keys_by_input_name.values())
        self.check_keys = frozenset(key for key in own.check_keys if key.asset_key in inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)


class _Graph:
    def __init__(self, own: Any) -> None:
        # of an op that has nothing but checks, it asks whether there are any
        self.assets_defs = [_Asset(one) if one.keys and one.check_keys else one for one in own.assets_defs]


def node_deps(original: Callable[[Any], tuple[Any, Any]]) -> Callable[[Any], tuple[Any, Any]]:
    def build_node_deps(asset_graph: Any) -> tuple[Any, Any]:
        deps, by_handle = original(_Graph(asset_graph))
        return deps, {
            handle: one.own if isinstance(one, _Asset) else one for handle, one in by_handle.items()
        }

    return build_node_deps


def check_targets(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """It looks for the asset of every check in a list of all."""

    def validate(check_specs: Sequence[dg.AssetCheckSpec] | None, keys: Collection[dg.AssetKey]) -> None:
        original(check_specs, frozenset(keys))

    return validate


def output_keys(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """For every table that a step yields, it looks up all assets of the step; they stay what they are."""

    def get_output_asset_keys(context: Any) -> Any:
        kept = vars(context)
        if _KEPT not in kept:
            kept[_KEPT] = frozenset(original(context))
        return kept[_KEPT]

    return get_output_asset_keys


REPLACED: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (asset_job, NODE_DEPS, node_deps),
    (builder, CHECK_TARGETS, check_targets),
    (StepExecutionContext, OUTPUT_KEYS, output_keys),
)


def install() -> None:
    """Once a process; a second time changes nothing."""
    for owner, name, quicker in REPLACED:
        original = getattr(owner, name)
        if original.__module__ != __name__:
            setattr(owner, name, quicker(original))
