"""What there is: relations with their columns, what these are made of, and what leans on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from data_platform.column_lineage import ColumnOf, Taken
from data_platform.errors import ConfigurationError
from data_platform.privacy.purposes import LASTING

RelationKind = Literal["raw", "model", "snapshot", "seed", "records"]
Name = tuple[str, str]
"""A relation's schema and name in the warehouse."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view of the warehouse, or a table of a source once it is landed.

    ``asset`` is its key in the graph, ``aliases`` other names that people give it (``shop.orders``). ``values`` says of each
    column what its values are made of, ``rows`` which columns choose the rows; None where the SQL cannot be followed.
    ``taken`` says of each column what its values take of others; None as in ``values``. ``declared`` are the classes that a model's YAML
    says of its columns (``privacy/classes.py``). ``reads`` are the relations that its SQL names. ``definitions`` holds, by column and by ``""`` for the whole, a
    text that changes where its meaning does.
    """

    schema: str
    name: str
    kind: RelationKind
    asset: str
    columns: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    values: Mapping[str, tuple[ColumnOf, ...] | None] = field(default_factory=dict)
    taken: Mapping[str, frozenset[Taken]] | None = field(default_factory=dict)
    declared: Mapping[str, str] = field(default_factory=dict)
    rows: frozenset[ColumnOf] | None = frozenset()
    reads: frozenset[Name] = frozenset()
    definitions: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Name:
        return self.schema, self.name

    @property
    def made_as(self) -> str:
        """How dbt makes a model: `table`, `view`, `incremental`, `snapshot` and the like."""
        return self.definitions.get("", "").partition(" ")[0]

    @property
    def lasting(self) -> bool:
        """Whether rows of a model stay from build to build."""
        return self.made_as in LASTING

    @property
    def stored(self) -> bool:
        """Whether a model keeps rows of its own."""
        return self.lasting or self.made_as in ("table", "materialized_view")

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.name}"


DependentKind = Literal["check", "dbt test", "export", "dashboard"]


@dataclass(frozen=True, slots=True)
class Dependent:
    """What leans on data and is no relation. ``on``: the columns that it names; ``whole``: relations on all of whose rows
    and columns it depends. ``definition`` changes where its meaning does."""

    kind: DependentKind
    name: str
    on: frozenset[ColumnOf] = frozenset()
    whole: frozenset[Name] = frozenset()
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """``relations`` come after those that they read."""

    relations: Mapping[Name, Relation]
    dependents: tuple[Dependent, ...] = ()

    def find(self, target: str) -> tuple[Relation, str | None]:
        """The relation, and the column if ``target`` names one: ``shop.orders.revenue``, ``marts.order_facts``.
        ConfigurationError, with near matches, when there is none."""
        named = self._named
        if target in named:
            return named[target], None
        table, _, column = target.rpartition(".")
        if table not in named:
            near = get_close_matches(table if table.count(".") else target, named, n=3)
            meant = f" Did you mean {', '.join(near)}?" if near else ""
            raise ConfigurationError(
                f"There is no table or model {table or target!r}.{meant} Name a table of a source (shop.orders), a raw table or"
                " a model (marts.order_facts), and behind it a column (shop.orders.revenue)."
            )
        relation = named[table]
        for one in relation.columns:
            if one.lower() == column.lower():
                return relation, one
        near = get_close_matches(column, relation.columns, n=3)
        meant = (
            f" Did you mean {', '.join(near)}?" if near else f" Its columns: {', '.join(relation.columns)}."
        )
        raise ConfigurationError(f"{relation.label} has no column {column!r} that is known.{meant}")

    @property
    def _named(self) -> Mapping[str, Relation]:
        """By each name, a relation's own before others' aliases."""
        aliases = {alias: one for one in self.relations.values() for alias in one.aliases}
        return aliases | {one.label: one for one in self.relations.values()}
