"""What is made of a relation, at whatever distance."""

from __future__ import annotations

from collections.abc import Iterator

from data_platform.impact.graph import Graph, Name, Relation


def made_of(graph: Graph, start: Name) -> Iterator[Relation]:
    """Models and snapshots that read ``start``, or what is made of it."""
    reached = {start}
    for relation in graph.relations.values():  # after those that it reads
        if relation.reads & reached:
            reached.add(relation.key)
            yield relation
