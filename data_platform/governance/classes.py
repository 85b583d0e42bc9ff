"""What every column of the warehouse holds of a person: the catalog's declarations, carried along the columns of the models.

A model's column has the strongest class of the columns in its values, within JSON documents by path. Where its YAML declares
a class, that one goes on: `none` ends it. Where people read models, a classed column without a declaration is a fault.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from data_platform.catalog import Catalog
from data_platform.column_lineage import ColumnOf, Taken
from data_platform.impact.graph import Graph, Relation
from data_platform.printable import printable
from data_platform.privacy.classes import (
    CLASSES,
    META,
    NONE,
    UNKNOWN,
    Class,
    Path,
    class_of,
    classed_columns,
    joined,
    within,
)
from data_platform.privacy.documents import path_of
from data_platform.privacy.leaving import Carried


@dataclass(frozen=True, slots=True)
class ClassedColumn:
    """A column, or the values under ``path`` of its JSON documents, that holds something of a person. ``treatment`` is that
    of a raw column, else empty. ``sources``: the raw columns that it comes from; ``declared``: whether a model's YAML says the class.
    ``class_`` is `none` of what was redacted and where the YAML ends it, `unknown` where the SQL cannot be followed. ``way`` are the
    columns through which it came, from this one to the source's."""

    schema: str
    table: str
    column: str
    path: Path
    class_: str
    treatment: str
    sources: tuple[str, ...]
    declared: bool
    way: str = ""

    @property
    def label(self) -> str:
        return ".".join((self.column, *self.path))


@dataclass(frozen=True, slots=True)
class Fault:
    """A declaration that is missing or wrong: of which column, and a sentence for people."""

    schema: str
    table: str
    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Classes:
    columns: tuple[ClassedColumn, ...] = ()
    faults: tuple[Fault, ...] = ()

    def declared_at(self, schema: str, table: str) -> dict[str, frozenset[Path]]:
        """By column in lower case, the paths of its values about which something is said; ``()`` is all of them."""
        found: dict[str, frozenset[Path]] = {}
        for one in self.columns:
            said = one.class_ != UNKNOWN and (one.schema, one.table) == (schema.lower(), table.lower())
            if said:
                name = one.column.lower()
                found[name] = found.get(name, frozenset()) | {one.path}
        return found

    def carried(self) -> dict[tuple[str, str], dict[str, Carried]]:
        """By relation and column in lower case, the strongest that a column holds, and how it came there."""
        found: dict[tuple[str, str], dict[str, Carried]] = {}
        for one in sorted(self.columns, key=_strength, reverse=True):
            there = found.setdefault((one.schema.lower(), one.table.lower()), {})
            there[one.column.lower()] = Carried(one.class_, one.way)
        return found

    def of(self, schema: str, table: str) -> dict[str, ClassedColumn]:
        """By column in lower case, the strongest that a relation's columns hold."""
        found: dict[str, ClassedColumn] = {}
        for one in self.columns:
            if (one.schema, one.table) == (schema.lower(), table.lower()):
                other = found.setdefault(one.column.lower(), one)
                if _strength(one) < _strength(other):
                    found[one.column.lower()] = one
        return found


_ORDER = {one: number for number, one in enumerate((*CLASSES, UNKNOWN, NONE))}


def _strength(one: ClassedColumn) -> int:
    return _ORDER[one.class_]


@dataclass(slots=True)
class _Held:
    """What a column holds: the classes by path, the raw columns behind it, and the column through which it comes.
    ``ended``: nothing of a person is left in it, by a declaration."""

    classes: dict[Path, Class] = field(default_factory=dict)
    sources: frozenset[str] = frozenset()
    through: ColumnOf | None = None
    note: str = ""
    unknown: bool = False
    changed: bool = False
    ended: bool = False

    def __bool__(self) -> bool:
        return bool(self.classes) or self.unknown


def classes(graph: Graph, catalog: Catalog) -> Classes:
    """Of every column in ``graph``; ``privacy: declared_in:`` of the catalog says where models have to declare."""
    raw = {table.id.raw_name: table for source in catalog.sources.values() for table in source.tables.values()}  # fmt: skip
    held: dict[ColumnOf, _Held] = {}
    columns: list[ClassedColumn] = []
    faults: list[Fault] = []
    for relation in graph.relations.values():
        if relation.kind == "raw" and relation.label in raw:
            personal = raw[relation.label].personal
            treatments = {path_of(key, relation.columns): said for key, said in personal.items()}
            classed = classed_columns(personal, relation.columns)
            for (name, *path), how in treatments.items():
                at = ColumnOf(*relation.key, name)
                left = class_of(how) or NONE
                columns.append(
                    ClassedColumn(*at, tuple(path), left, how, (_label(at),), False, f"{_label(at)} ({how})")
                )
                note, ended = f" ({treatments.get((name,), 'declared by path')})", (name,) in treatments
                held[at] = _Held(dict(classed.get(name, {})), frozenset({_label(at)}), note=note, ended=ended)
        else:
            guarded = bool({relation.schema, relation.label} & set(catalog.privacy.declared_in))
            for name in relation.columns:
                at = ColumnOf(*relation.key, name)
                found = _carried(relation, name, held)
                said = relation.declared.get(name.lower(), "")
                fault = _fault(at, found, said, held, guarded=guarded)
                if fault is not None:
                    faults.append(Fault(*at, fault))
                columns += _rows(at, found, said, held)
                if (class_ := _known(said)) is not None:
                    found.classes, found.unknown = {(): class_}, False
                elif said == NONE:
                    found.classes, found.unknown, found.ended = {}, False, True
                if found or found.ended:
                    held[at] = found
    return Classes(tuple(columns), tuple(faults))


def _known(said: str) -> Class | None:
    return next((one for one in CLASSES if one == said), None)


def _carried(relation: Relation, name: str, held: Mapping[ColumnOf, _Held]) -> _Held:
    """What a model's column holds by its SQL."""
    takes = (relation.taken or {}).get(name)
    behind = relation.values.get(name)
    if takes is None and behind is not None:
        takes = frozenset(Taken(one, changed=True) for one in behind)
    if takes is None:
        near = sorted(at for at, one in held.items() if (at.schema, at.table) in relation.reads and one)
        return _Held(unknown=bool(near), through=near[0] if near else None, changed=True)
    found = _Held(ended=bool(takes))
    for one in sorted(takes):
        source = held.get(one.column)
        if one.column == ColumnOf(*relation.key, name):
            continue
        if source is None:
            found.ended = False
            continue
        found.ended &= source.ended
        part = within(source.classes, one.keys)
        for path, class_ in part.items():
            kept = () if one.changed else path
            found.classes[kept] = (
                joined([class_, *([found.classes[kept]] if kept in found.classes else [])]) or class_
            )
        if part or source.unknown or source.ended:
            found.through = found.through or one.column
            found.sources |= source.sources
            found.changed |= one.changed
            found.unknown |= source.unknown
    return found  # fmt: skip


def _fault(
    at: ColumnOf, found: _Held, said: str, held: Mapping[ColumnOf, _Held], *, guarded: bool
) -> str | None:
    class_, way = joined(found.classes.values()), " <- ".join(_way(at, found, held))
    choices = f"`config: {{meta: {{{META}: {class_ or 'CLASS'}}}}}`"
    if said and said not in (*CLASSES, NONE):
        known = ", ".join((*CLASSES, NONE))
        return f"{_label(at)} declares the class {printable(said)}, which there is not. Classes are {known}."
    if class_ is not None and not found.changed and not found.unknown and said and said != class_:
        return (
            f"{_label(at)} declares {said}, and carries {class_} values as they are: {way}. Declare {class_}."
        )
    if not found or not guarded or said:
        return None
    if class_ is None:
        return (
            f"{_label(at)}: its SQL cannot be followed, and it reads classed columns: {way}. Declare the column's class in"
            f" the model's YAML with {choices}, or `{META}: {NONE}` if it holds nothing of a person."
        )
    return (
        f"{_label(at)} carries {class_} values and does not declare it: {way}. Leave the column out, or write {choices} at the"
        f" column in the model's YAML; `{META}: {NONE}` says that what is made of them holds nothing of a person."
    )


def _way(at: ColumnOf, found: _Held, held: Mapping[ColumnOf, _Held]) -> Iterator[str]:
    yield _label(at)
    seen: set[ColumnOf] = set()
    step = found.through
    while step is not None and step not in seen:
        seen.add(step)
        one = held.get(step)
        yield _label(step) + (one.note if one is not None else "")
        step = one.through if one is not None else None


def _rows(at: ColumnOf, found: _Held, said: str, held: Mapping[ColumnOf, _Held]) -> Iterator[ClassedColumn]:
    sources, way = tuple(sorted(found.sources)), " <- ".join(_way(at, found, held))
    if said in CLASSES or (said == NONE and found):
        yield ClassedColumn(*at, (), said, "", sources, True, way)
    elif not said:
        if found.ended and not found:
            yield ClassedColumn(*at, (), NONE, "", sources, False, way)
        for path, one in found.classes.items():
            yield ClassedColumn(*at, path, one, "", sources, False, way)
        if found.unknown and not found.classes:
            yield ClassedColumn(*at, (), UNKNOWN, "", sources, False, way)


def faults_of(found: Classes, relations: Collection[tuple[str, str]]) -> list[Fault]:
    """Those of the relations named, by schema and name in lower case."""
    return [one for one in found.faults if (one.schema, one.table) in relations]


def _label(column: ColumnOf) -> str:
    return printable(f"{column.schema}.{column.table}.{column.column}")
