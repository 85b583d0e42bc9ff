"""What differs between two graphs: relations, columns and what leans on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from data_platform.column_lineage import ColumnOf
from data_platform.impact.downstream import Impact, downstream
from data_platform.impact.graph import Graph


@dataclass(frozen=True, slots=True)
class Changes:
    """Names, each in order."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Difference:
    """From one graph to another. ``columns`` are those of relations that both have. ``impact`` is what depends, in the
    earlier graph, on the columns that were removed or changed."""

    assets: Changes = field(default_factory=Changes)
    columns: Changes = field(default_factory=Changes)
    checks: Changes = field(default_factory=Changes)
    exports: Changes = field(default_factory=Changes)
    dashboards: Changes = field(default_factory=Changes)
    impact: Impact | None = None

    def __bool__(self) -> bool:
        return bool(self.assets or self.columns or self.checks or self.exports or self.dashboards)


def difference(before: Graph, after: Graph) -> Difference:
    assets = _changes(_assets(before), _assets(after))
    both = before.relations.keys() & after.relations.keys()
    columns = _changes(
        {c: text for c, text in _columns(before).items() if (c.schema, c.table) in both},
        {c: text for c, text in _columns(after).items() if (c.schema, c.table) in both},
    )
    kept = _columns(after)
    gone = [column for column, text in _columns(before).items() if kept.get(column) != text]
    checks, exports, dashboards = (
        _changes(_dependents(before, kinds), _dependents(after, kinds))
        for kinds in (("check", "dbt test"), ("export",), ("dashboard",))
    )
    return Difference(
        assets, columns, checks, exports, dashboards, downstream(before, gone) if gone else None
    )


def _assets(graph: Graph) -> Mapping[str, str]:
    return {one.asset: one.definitions.get("", "") for one in graph.relations.values()}


def _columns(graph: Graph) -> Mapping[ColumnOf, str]:
    return {
        ColumnOf(one.schema, one.name, column): one.definitions.get(column, "")
        for one in graph.relations.values()
        for column in one.columns
    }


def _dependents(graph: Graph, kinds: tuple[str, ...]) -> Mapping[str, str]:
    return {one.name: one.definition for one in graph.dependents if one.kind in kinds}


def _changes(before: Mapping[ColumnOf, str] | Mapping[str, str], after: Mapping[ColumnOf, str] | Mapping[str, str]) -> Changes:  # fmt: skip
    old = {_label(key): text for key, text in before.items()}
    new = {_label(key): text for key, text in after.items()}
    return Changes(
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
        tuple(sorted(name for name in old.keys() & new.keys() if old[name] != new[name])),
    )


def _label(key: ColumnOf | str) -> str:
    return key if isinstance(key, str) else f"{key.schema}.{key.table}.{key.column}"
