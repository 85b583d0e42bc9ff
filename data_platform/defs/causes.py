"""Which problems explain which, from the asset graph: a failed or stale asset follows from what is wrong upstream of it.

- A failed run follows from failed runs upstream.
- A stale asset follows from its own failed run, and from failed or stale assets upstream.
- A failed check, an anomaly or a quarantine follows from one upstream.

Only the nearest problems are named; the others follow from these (``alerts/grouping.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from data_platform.alerts.problem import Problem

RUNS = frozenset({"run", "schema", "backup", "drill"})
DATA = frozenset({"check", "anomaly", "quarantine"})
FRESHNESS = frozenset({"freshness"})
UPSTREAM: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(RUNS, RUNS),
    **dict.fromkeys(DATA, DATA),
    "freshness": RUNS | FRESHNESS,
}


def explained(found: Sequence[Problem], graph: BaseAssetGraph) -> list[Problem]:
    """``found`` with causes, and with the owner and the tags of the asset."""
    at: dict[dg.AssetKey, list[Problem]] = {}
    keys = {problem.key: _assets(problem, graph) for problem in found}
    for problem in found:
        for asset in () if problem.once else keys[problem.key]:
            at.setdefault(asset, []).append(problem)
    nearest = {kinds: Nearest(graph, at, kinds) for kinds in set(UPSTREAM.values())}
    done: list[Problem] = []
    for problem in found:
        assets = keys[problem.key]
        causes: set[str] = set()
        if problem.kind in UPSTREAM:
            for asset in assets:
                causes |= nearest[UPSTREAM[problem.kind]].above(asset)
        if problem.kind == "freshness":
            causes |= {one.key for asset in assets for one in at.get(asset, ()) if one.kind in RUNS}
        owner, tags = _owner_and_tags(assets, graph)
        done.append(
            replace(
                problem,
                causes=tuple(sorted(causes - {problem.key})),
                owner=problem.owner or owner,
                tags={**tags, **problem.tags},
            )
        )
    return done


class Nearest:
    """The problems of some kinds that are next above an asset, with none of these kinds in between."""

    def __init__(
        self, graph: BaseAssetGraph, at: Mapping[dg.AssetKey, Iterable[Problem]], kinds: Collection[str]
    ) -> None:
        self._graph = graph
        self._at = {
            asset: frozenset(one.key for one in problems if one.kind in kinds)
            for asset, problems in at.items()
        }
        self._above: dict[dg.AssetKey, frozenset[str]] = {}

    def above(self, asset: dg.AssetKey) -> frozenset[str]:
        ahead = [asset]
        while ahead:  # parents before their children, without recursion
            here = ahead[-1]
            parents = self._graph.get(here).parent_keys if self._graph.has(here) else frozenset()
            missing = [p for p in parents if not self._at.get(p) and p not in self._above]
            if missing and here not in self._above:
                self._above.setdefault(here, frozenset())  # a second visit ends the wait
                ahead += missing
                continue
            self._above[here] = frozenset().union(
                *(self._at.get(p) or self._above.get(p, frozenset()) for p in parents)
            )
            ahead.pop()
        return self._above[asset]


def _assets(problem: Problem, graph: BaseAssetGraph) -> list[dg.AssetKey]:
    named = (dg.AssetKey.from_user_string(name) for name in problem.assets)
    return [key for key in named if graph.has(key)]


def _owner_and_tags(assets: Sequence[dg.AssetKey], graph: BaseAssetGraph) -> tuple[str, dict[str, str]]:
    """Those of the first asset."""
    if not assets:
        return "", {}
    node = graph.get(assets[0])
    return next(iter(node.owners), ""), {
        name: value for name, value in node.tags.items() if not name.startswith("dagster/")
    }
