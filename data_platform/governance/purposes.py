"""Which models are made for which purposes, and whether each asks for the consent of the people in it.

A model under a purpose chooses its rows by the mart ``consents``, or reads nothing but models under that purpose. A model that reads one
under a purpose is under one too, or says why it is under none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from data_platform.column_lineage import ColumnOf
from data_platform.governance.classes import Fault
from data_platform.impact.graph import Graph
from data_platform.printable import printable
from data_platform.privacy.leaving import Name
from data_platform.privacy.purposes import (
    CONSENTS,
    LASTING,
    META,
    NONE,
    Purposed,
    place_of,
    purposed,
    said_of,
)

MODELS = ("model", "snapshot", "seed")


def purposes(
    manifest: Mapping[str, Any],
    compiled: Mapping[str, str],
    graph: Graph,
    known: Collection[str],
    keys: Mapping[str, Collection[ColumnOf]],
) -> list[Fault]:
    """What is wrong with the purposes that models declare. ``compiled`` is SQL by dbt's unique id, ``known`` the purposes of the catalog; ``keys`` are, by purpose, the raw columns that hold the
    consent key of its people."""
    nodes = {id_: node for id_, node in manifest["nodes"].items() if node["resource_type"] in MODELS}
    models: dict[str, Purposed] = {}
    faults: list[Fault] = []
    silent: dict[str, Mapping[str, Any]] = {}
    for id_, node in nodes.items():
        try:
            if (one := purposed(node)) is not None:
                models[id_] = one
            elif said_of(node) is None:
                silent[id_] = node
        except ValueError as error:
            faults.append(_fault(node, f"{_label(node)}: {error}"))
    consents = next((id_ for id_, node in nodes.items() if node["name"] == CONSENTS), None)
    dialect = manifest["metadata"]["adapter_type"]
    mart = place_of(nodes[consents]) if consents else None
    asked = {id_: purposes_asked(compiled.get(id_, ""), dialect, mart) for id_ in models if mart is not None}
    above = {id_: [one for one in nodes[id_]["depends_on"]["nodes"] if one != consents] for id_ in models}
    for id_, one in models.items():
        texts = [
            *_of_one(id_, _Project(models, asked, above), known),
            *_of_columns(one, graph, keys),
        ]
        faults += [_fault(nodes[id_], text) for text in texts]
    for node in silent.values():
        read = [models[parent] for parent in node["depends_on"]["nodes"] if parent in models]
        if read:
            said = ", ".join(f"{one.label} ({', '.join(one.columns)})" for one in read)
            faults.append(
                _fault(
                    node,
                    f"{_label(node)} reads what is made for a purpose, and says none: {said}. Write"
                    f" `config: {{meta: {{{META}: {{{next(iter(read[0].columns))}: COLUMN}}}}}}` in its YAML, or `{{{NONE}: REASON}}` if"
                    " nobody can be found in it.",
                )
            )
    return faults


@dataclass(frozen=True, slots=True)
class _Project:
    """Models under purposes by dbt's id, the purposes that each asks consent for, and what each reads besides the mart of consents."""

    models: Mapping[str, Purposed]
    asked: Mapping[str, Collection[str]]
    above: Mapping[str, Collection[str]]

    def asks(self, id_: str, purpose: str) -> bool:
        return purpose in self.asked.get(id_, ())

    def inherits(self, id_: str, purpose: str) -> bool:
        """Whether it reads nothing but models under the purpose."""
        read = [self.models.get(one) for one in self.above[id_]]
        return bool(read) and all(one is not None and purpose in one.columns for one in read)

    def lasting(self, id_: str, purpose: str) -> list[str]:
        """The models that hold people who withdrew for as long as a build lasts, of those whose rows it takes as they are."""
        if self.asks(id_, purpose):
            return []
        found = []
        for one in self.above[id_]:
            if (model := self.models.get(one)) is not None and purpose in model.columns:
                found += [model.label] if model.made_as in LASTING else self.lasting(one, purpose)
        return found


def _of_one(id_: str, project: _Project, known: Collection[str]) -> Iterator[str]:
    one = project.models[id_]
    for purpose, column in one.columns.items():
        asking = f"`where {{{{ consented('{purpose}', '{column or 'COLUMN'}') }}}}`"
        if purpose not in known:
            there = f"It has {', '.join(map(printable, sorted(known)))}." if known else "It has none."
            yield (
                f"{one.label} is for the purpose {printable(purpose)}, which catalog/subjects.yaml does not have. {there}"
            )
        elif not project.asks(id_, purpose) and not project.inherits(id_, purpose):
            yield (
                f"{one.label} is for the purpose {purpose} and does not ask for consent. Write {asking} in its SQL, or let it read"
                " nothing but models of this purpose."
            )
        elif column is None and (lasting := project.lasting(id_, purpose)):
            yield (
                f"{one.label} sums up {', '.join(sorted(set(lasting)))}: people who withdrew are taken out of that only after the build."
                f" Write {asking} in its SQL."
            )


def _of_columns(one: Purposed, graph: Graph, keys: Mapping[str, Collection[ColumnOf]]) -> Iterator[str]:
    relation = graph.relations.get(one.place)
    if relation is None or not relation.columns:
        return
    names = {name.lower() for name in relation.columns}
    for purpose, column in one.checked.items():
        if column.lower() not in names:
            yield f"{one.label} has no column {printable(column)}, which {META}: {purpose} names. It has {', '.join(map(printable, relation.columns))}."
            continue
        origins = _origins(graph, ColumnOf(*one.place, column.lower()), frozenset())
        if origins is not None and keys.get(purpose) and not origins & set(keys[purpose]):
            held = ", ".join(sorted(".".join(origin) for origin in origins)) or "no column of a source"
            wanted = ", ".join(sorted(".".join(key) for key in keys[purpose]))
            yield (
                f"{one.label}.{printable(column)} does not hold the key of a person who consents to {purpose}: it is made of {held}, and the"
                f" key is in {wanted}. Name another column, or ~ if no column holds it."
            )


def _origins(graph: Graph, at: ColumnOf, seen: frozenset[ColumnOf]) -> frozenset[ColumnOf] | None:
    """The raw columns behind a column; None where the SQL cannot be followed."""
    relation = graph.relations.get((at.schema, at.table))
    if relation is None or at in seen:
        return None
    if relation.kind in ("raw", "records"):
        return frozenset({ColumnOf(at.schema, at.table, at.column.lower())})
    behind = {name.lower(): columns for name, columns in relation.values.items()}.get(at.column.lower())
    if behind is None:
        return None
    found = [_origins(graph, one, seen | {at}) for one in behind]
    return None if None in found else frozenset().union(*(one for one in found if one is not None))


def purposes_asked(sql: str, dialect: str, consents: Name) -> frozenset[str]:
    """The purposes by which SQL chooses rows of ``consents``: the texts that a query which reads it compares its column ``purpose`` with.
    Empty where the SQL cannot be followed."""
    return frozenset(_asked(sql, dialect, consents))


def _asked(sql: str, dialect: str, consents: Name) -> Iterator[str]:
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    try:
        query = parse_one(sql, dialect=dialect)
    except SqlglotError:
        return
    for select in query.find_all(exp.Select):
        source, condition = select.args.get("from_"), select.args.get("where")
        table = source.this if source is not None else None
        if condition is None or not isinstance(table, exp.Table):
            continue
        if (table.db.lower(), table.name.lower()) != consents:
            continue
        for equal in condition.find_all(exp.EQ):
            column, text = equal.this, equal.expression
            if isinstance(column, exp.Column) and column.name.lower() == "purpose" and text.is_string:
                yield text.this


def _fault(node: Mapping[str, Any], text: str) -> Fault:
    return Fault(*place_of(node), "", text)


def _label(node: Mapping[str, Any]) -> str:
    return printable(".".join(place_of(node)))
