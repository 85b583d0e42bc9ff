"""What a PostgreSQL relation is: its kind, columns, enforced keys and indexes, read from pg_catalog.

Only reading belongs here; what follows from it is decided in ``types.py``,
``clock.py`` and the sync.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data_platform.errors import TableMissing
from data_platform.tables import Identity

KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
}


ROW_VERSIONS = frozenset(("xmin", "ctid", "tableoid"))
"""The columns of the system by which changes are found; a grant on columns alone leaves them out."""


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column as pg_catalog describes it. ``base`` is the type behind any domain,
    ``category`` its typtype (b base, e enum, c composite, r range, m multirange)
    and ``element`` an array's element type. ``number`` outlives a rename, and is never given
    to another column; a ``virtual`` one is computed whenever it is read."""

    name: str
    formatted: str
    base: str
    base_schema: str
    category: str
    typmod: int
    not_null: bool
    element: str | None = None
    dimensions: int = 0
    comment: str | None = None
    number: int = 0
    virtual: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """A relation that holds rows itself: the table, or one leaf of a partitioned one."""

    schema: str
    name: str
    kind: str
    pages: int


@dataclass(frozen=True, slots=True)
class Relation:
    """``unique_keys`` are the column sets a valid, immediate, whole unique index
    over NOT NULL columns enforces; ``indexed`` the columns some index leads with.
    ``children`` are the tables that inherit from it, as (oid, schema, name): their rows are
    theirs, and it is read without them. ``references`` are the columns of foreign keys: the table
    and column that each refers to. ``readable`` are the columns, those of the system included, that this
    user may SELECT where that is not granted on all of them; None where it is."""

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[SourceColumn, ...]
    unique_keys: tuple[frozenset[str], ...]
    primary_key: tuple[str, ...]
    indexed: frozenset[str]
    leaves: tuple[Leaf, ...]
    rows_estimate: int
    comment: str | None = None
    identity: Identity | None = None
    children: tuple[tuple[int, str, str], ...] = ()
    references: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    readable: frozenset[str] | None = None

    @property
    def has_xmin(self) -> bool:
        if self.kind not in ("r", "p") or any(leaf.kind != "r" for leaf in self.leaves):
            return False
        return self.readable is None or self.readable >= ROW_VERSIONS

    def column(self, name: str) -> SourceColumn | None:
        return next((c for c in self.columns if c.name == name), None)

    @property
    def column_names(self) -> list[str]:
        return [c.name for c in self.columns]


_RELATION = """
select c.oid, c.relkind::text, greatest(c.reltuples, 0)::bigint, obj_description(c.oid, 'pg_class'),
       case when c.relkind = 'r' then c.relfilenode::bigint else 0 end,
       case when not has_table_privilege(c.oid, 'SELECT') then
           array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and not a.attisdropped
                 and has_column_privilege(c.oid, a.attnum, 'SELECT')) end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s and c.relkind in ('r','p','v','m','f')
"""

_COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), b.typname, bn.nspname, b.typtype::text,
       basetype.typmod,
       a.attnotnull or t.typnotnull,
       e.typname, basetype.dims, col_description(a.attrelid, a.attnum),
       a.attnum::int, a.attgenerated::text = 'v'
from pg_attribute a
join pg_type t on t.oid = a.atttypid
join lateral (
    with recursive base(oid, typtype, typbasetype, typmod, dims) as (
        select t.oid, t.typtype, t.typbasetype, greatest(a.atttypmod, t.typtypmod),
               greatest(a.attndims, t.typndims)::int
        union all select p.oid, p.typtype, p.typbasetype, greatest(typmod, p.typtypmod),
               greatest(dims, p.typndims) from base join pg_type p on p.oid = base.typbasetype
        where base.typtype = 'd')
    select oid, typmod, dims from base where typtype <> 'd') basetype on true
join pg_type b on b.oid = basetype.oid
join pg_namespace bn on bn.oid = b.typnamespace
left join pg_type e on e.oid = b.typelem and b.typcategory = 'A'
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""

_INDEXES = """
select i.indisprimary, i.indisunique and i.indimmediate and i.indpred is null and i.indexprs is null,
       i.indisvalid and i.indpred is null,
       array(select a.attname::text from unnest(i.indkey::int2[]) with ordinality k(attnum, n)
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
             where k.n <= i.indnkeyatts order by k.n),
       array(select a.attname::text from unnest(i.indkey::int2[]) with ordinality k(attnum, n)
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
             where k.n <= i.indnkeyatts and not a.attnotnull)
from pg_index i where i.indrelid = %s and i.indislive
"""

_LEAVES = """
select n.nspname, c.relname, c.relkind::text,
       case when c.relkind = 'r' then pg_relation_size(c.oid) / current_setting('block_size')::int else 0 end,
       has_table_privilege(c.oid, 'SELECT'), greatest(c.reltuples, 0)::bigint
from pg_partition_tree(%s) t
join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace
where t.isleaf
"""


_BELOW = """
with recursive below(oid) as (
    select inhrelid from pg_inherits where inhparent = %s
    union select i.inhrelid from pg_inherits i join below b on i.inhparent = b.oid)
select c.oid::bigint, n.nspname, c.relname
from below join pg_class c using (oid) join pg_namespace n on n.oid = c.relnamespace order by 1
"""

_REFERENCES = """
select a.attname, c.relname, f.attname
from pg_constraint k
cross join lateral unnest(k.conkey, k.confkey) as pair(own, other)
join pg_attribute a on a.attrelid = k.conrelid and a.attnum = pair.own
join pg_class c on c.oid = k.confrelid
join pg_attribute f on f.attrelid = k.confrelid and f.attnum = pair.other
where k.conrelid = %s and k.contype = 'f'
order by k.conname desc
"""

_MEANINGS = """
with recursive types(attname, oid) as (
    select a.attname, a.atttypid from pg_attribute a
    where a.attrelid = %(oid)s and a.attnum > 0 and not a.attisdropped
    union
    select y.attname, v.oid from types y join pg_type t on t.oid = y.oid
    cross join lateral (
        select t.typbasetype union all select t.typelem
        union all select r.rngsubtype from pg_range r where r.rngtypid = t.oid
        union all select a.atttypid from pg_attribute a
            where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) v(oid)
    where v.oid <> 0)
select y.attname, e.oid || ' ' || e.enumlabel from types y join pg_enum e on e.enumtypid = y.oid
union all
select y.attname, string_agg(a.attnum || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
from types y join pg_type t on t.oid = y.oid join pg_attribute a on a.attrelid = t.typrelid
where t.typtype = 'c' and a.attnum > 0 and not a.attisdropped group by y.attname, t.oid
union all
select a.attname, pg_get_expr(d.adbin, d.adrelid) from pg_attribute a
join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = %(oid)s and a.attgenerated::text = 'v'
union all
select '', pg_get_viewdef(c.oid) from pg_class c where c.oid = %(oid)s and c.relkind = 'v'
"""


def read_relation(connection: Any, schema: str, name: str) -> Relation:
    """The relation ``schema.name``; TableMissing names near matches when it is not there."""
    row = connection.execute(_RELATION, (schema, name)).fetchone()
    if row is None:
        raise TableMissing(_missing(connection, schema, name))
    oid, kind, estimate, comment, storage, granted = row
    columns = tuple(SourceColumn(*c) for c in connection.execute(_COLUMNS, (oid,)))
    unique: list[frozenset[str]] = []
    primary: tuple[str, ...] = ()
    indexed: set[str] = set()
    for is_primary, is_unique, usable, names, nullable in connection.execute(_INDEXES, (oid,)):
        if usable and names:
            indexed.add(names[0])
        if is_unique and names and not nullable:
            unique.append(frozenset(names))
        if is_primary:
            primary = tuple(names)
    below = tuple(connection.execute(_BELOW, (oid,))) if kind in ("r", "p") else ()
    leaves: tuple[Leaf, ...] = ()
    if kind in ("r", "p"):
        rows = connection.execute(_LEAVES, (oid,)).fetchall()
        readable = all(r[4] for r in rows)
        if kind == "p":
            estimate = sum(r[5] for r in rows)
        if kind == "r" and not rows:
            pages = connection.execute(
                "select pg_relation_size(%s::oid::regclass) / current_setting('block_size')::int", (oid,)
            ).fetchone()[0]
            leaves = (Leaf(schema, name, "r", pages),)
        elif readable:
            leaves = tuple(Leaf(*r[:4]) for r in rows)
        else:  # a leaf we may not read by itself is still read through its parent
            leaves = tuple(Leaf(schema, name, r[2], 0) for r in rows[:1])
    return Relation(
        oid=oid,
        schema=schema,
        name=name,
        kind=kind,
        columns=columns,
        unique_keys=tuple(unique),
        primary_key=primary,
        indexed=frozenset(indexed),
        leaves=leaves,
        rows_estimate=estimate,
        comment=comment,
        identity=Identity(
            oid,
            storage,
            tuple(leaf for leaf, *_ in below) if kind == "p" else (),
            {c.name: c.number for c in columns},
            _meanings(connection, oid, kind, columns),
        ),
        children=below if kind == "r" else (),
        references={own: (table, column) for own, table, column in connection.execute(_REFERENCES, (oid,))},
        readable=None if granted is None else frozenset(granted),
    )


def _meanings(
    connection: Any, oid: int, kind: str, columns: tuple[SourceColumn, ...]
) -> dict[str, tuple[str, ...]]:
    """``Identity.meanings``, each piece as a short digest."""
    if kind != "v" and not any(c.virtual or c.base_schema != "pg_catalog" for c in columns):
        return {}
    found: dict[str, set[str]] = {}
    for name, piece in connection.execute(_MEANINGS, {"oid": oid}):
        found.setdefault(name, set()).add(hashlib.sha256(piece.encode()).hexdigest()[:12])
    return {name: tuple(sorted(pieces)) for name, pieces in sorted(found.items())}


def list_relations(connection: Any, schema: str) -> list[tuple[str, str]]:
    """(name, relkind) of every table and view of ``schema`` that is not itself a partition."""
    return list(
        connection.execute(
            "select c.relname, c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = %s and c.relkind in ('r','p','v','m','f') and not c.relispartition"
            " order by c.relkind not in ('r','p'), c.relname",
            (schema,),
        )
    )


def _missing(connection: Any, schema: str, name: str) -> str:
    import difflib

    schemas = [r[0] for r in connection.execute("select nspname from pg_namespace")]
    if schema not in schemas:
        near = difflib.get_close_matches(schema, schemas, 1)
        hint = f" Did you mean the schema {near[0]!r}?" if near else ""
        return f"The schema {schema!r} of the table {schema}.{name} is not in the database.{hint}"
    near = difflib.get_close_matches(name, [r[0] for r in list_relations(connection, schema)], 1)
    hint = f" Did you mean {schema}.{near[0]}?" if near else ""
    return (
        f"The table {schema}.{name} is not in the database.{hint}"
        " Correct `relation:` in the catalog, or remove the table's block."
    )
