"""What a PostgreSQL relation is: its kind, columns, enforced keys and indexes, read from pg_catalog.

Only reading belongs here; what follows from it is decided in ``types.py``,
``clock.py`` and the sync.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_platform.errors import TableMissing
from data_platform.sources.postgres.identity import Identity

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
    """A relation that holds rows itself: the table, or one leaf of a partitioned one. ``rows`` is the
    server's estimate, 0 where it has none; ``toast_bytes`` is what is stored beside the heap."""

    schema: str
    name: str
    kind: str
    pages: int
    rows: int = 0
    toast_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Relation:
    """``unique_keys`` are the column sets a valid, immediate, whole unique index
    over NOT NULL columns enforces; ``indexed`` the columns some index leads with.
    ``children`` are the tables that inherit from it, as (oid, schema, name): their rows are
    theirs, and it is read without them. ``references`` are the columns of foreign keys: the table
    and column that each refers to. ``readable`` are the columns, those of the system included, that this
    user may SELECT where that is not granted on all of them; None where it is. Rows for which ``without``, SQL of the server, is true
    are read, counted and measured by nobody."""

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
    without: str = ""

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


_RELATIONS = """
select w.ord::int - 1, c.oid, n.nspname, c.relname, c.relkind::text,
       greatest(c.reltuples, 0)::bigint, d.description,
       case when c.relkind = 'r' then c.relfilenode::bigint else 0 end,
       case when not has_table_privilege(c.oid, 'SELECT') then
           array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and not a.attisdropped
                 and has_column_privilege(c.oid, a.attnum, 'SELECT')) end
from unnest(%s::text[], %s::text[]) with ordinality w(nspname, relname, ord)
join pg_namespace n on n.nspname = w.nspname
join pg_class c on c.relnamespace = n.oid and c.relname = w.relname and c.relkind in ('r','p','v','m','f')
left join pg_description d on d.objoid = c.oid and d.classoid = 'pg_class'::regclass and d.objsubid = 0
"""

# {oids} are numbers: several statements go to the server in one message, which takes no parameters
_COLUMNS = """
with recursive base(relid, attnum, oid, typtype, typbasetype, typmod, dims) as (
    select a.attrelid, a.attnum, t.oid, t.typtype, t.typbasetype, greatest(a.atttypmod, t.typtypmod),
           greatest(a.attndims, t.typndims)::int
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid in ({oids}) and a.attnum > 0 and not a.attisdropped
    union all
    select base.relid, base.attnum, p.oid, p.typtype, p.typbasetype, greatest(base.typmod, p.typtypmod),
           greatest(base.dims, p.typndims)
    from base join pg_type p on p.oid = base.typbasetype where base.typtype = 'd')
select a.attrelid, a.attnotnull,
       a.attname, format_type(a.atttypid, a.atttypmod), b.typname, bn.nspname, b.typtype::text,
       base.typmod,
       a.attnotnull or t.typnotnull,
       e.typname, base.dims, d.description,
       a.attnum::int, a.attgenerated::text = 'v'
from base
join pg_attribute a on a.attrelid = base.relid and a.attnum = base.attnum
join pg_type t on t.oid = a.atttypid
join pg_type b on b.oid = base.oid
join pg_namespace bn on bn.oid = b.typnamespace
left join pg_type e on e.oid = b.typelem and b.typcategory = 'A'
left join pg_description d on d.objoid = a.attrelid and d.classoid = 'pg_class'::regclass
    and d.objsubid = a.attnum
where base.typtype <> 'd'
order by a.attrelid, a.attnum
"""

_INDEXES = """
select i.indrelid, i.indisprimary,
       i.indisunique and i.indimmediate and i.indpred is null and i.indexprs is null,
       i.indisvalid and i.indpred is null, (i.indkey::int2[])[0:i.indnkeyatts - 1]
from pg_index i where i.indrelid in ({oids}) and i.indislive order by i.indexrelid
"""

_LEAVES = """
select w.oid, n.nspname, c.relname, c.relkind::text,
       case when c.relkind = 'r' then pg_relation_size(c.oid) / current_setting('block_size')::int else 0 end,
       has_table_privilege(c.oid, 'SELECT'), greatest(c.reltuples, 0)::bigint,
       case when c.reltoastrelid <> 0 then pg_relation_size(c.reltoastrelid) else 0 end
from (select oid from pg_class where oid in ({oids}) and (relkind = 'p' or relispartition)) w
cross join lateral pg_partition_tree(w.oid) t
join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace
where t.isleaf
"""

_PAGES = """
select oid, pg_relation_size(oid) / current_setting('block_size')::int, greatest(reltuples, 0)::bigint,
       case when reltoastrelid <> 0 then pg_relation_size(reltoastrelid) else 0 end
from pg_class where oid in ({oids}) and relkind = 'r'
"""

_BELOW = """
with recursive below(root, oid) as (
    select inhparent, inhrelid from pg_inherits where inhparent in ({oids})
    union select b.root, i.inhrelid from pg_inherits i join below b on i.inhparent = b.oid)
select below.root, c.oid::bigint, n.nspname, c.relname
from below join pg_class c using (oid) join pg_namespace n on n.oid = c.relnamespace order by 2
"""

_REFERENCES = """
select k.conrelid, a.attname, c.relname, f.attname
from pg_constraint k
cross join lateral unnest(k.conkey, k.confkey) as pair(own, other)
join pg_attribute a on a.attrelid = k.conrelid and a.attnum = pair.own
join pg_class c on c.oid = k.confrelid
join pg_attribute f on f.attrelid = k.confrelid and f.attnum = pair.other
where k.conrelid in ({oids}) and k.contype = 'f'
order by k.conname desc
"""

_MEANINGS = """
with recursive types(relid, attname, oid) as (
    select a.attrelid, a.attname, a.atttypid from pg_attribute a
    where a.attrelid in ({oids}) and a.attnum > 0 and not a.attisdropped
    union
    select y.relid, y.attname, v.oid from types y join pg_type t on t.oid = y.oid
    cross join lateral (
        select t.typbasetype union all select t.typelem
        union all select r.rngsubtype from pg_range r where r.rngtypid = t.oid
        union all select a.atttypid from pg_attribute a
            where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) v(oid)
    where v.oid <> 0)
select y.relid, y.attname, e.oid || ' ' || e.enumlabel from types y join pg_enum e on e.enumtypid = y.oid
union all
select y.relid, y.attname,
       string_agg(a.attnum || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
from types y join pg_type t on t.oid = y.oid join pg_attribute a on a.attrelid = t.typrelid
where t.typtype = 'c' and a.attnum > 0 and not a.attisdropped group by y.relid, y.attname, t.oid
union all
select a.attrelid, a.attname, pg_get_expr(d.adbin, d.adrelid) from pg_attribute a
join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid in ({oids}) and a.attgenerated::text = 'v'
union all
select c.oid, '', pg_get_viewdef(c.oid) from pg_class c where c.oid in ({oids}) and c.relkind = 'v'
"""


def read_relations(connection: Any, wanted: Sequence[tuple[str, str]]) -> list[Relation | TableMissing]:
    """What is known of each of ``wanted`` (schema, name), in three round trips however many there are."""
    if not wanted:
        return []
    rows = connection.execute(_RELATIONS, ([w[0] for w in wanted], [w[1] for w in wanted])).fetchall()
    found: dict[int, Relation | TableMissing] = {}
    if rows:
        about = _About(connection, {oid: kind for _, oid, _, _, kind, *_ in rows})
        for place, *described in rows:
            found[place] = about.relation(*described)
    missing = [place for place in range(len(wanted)) if place not in found]
    found |= {place: TableMissing(_missing(connection, *wanted[place])) for place in missing}
    return [found[place] for place in range(len(wanted))]


class _About:
    """What the catalog of the server says of relations, given as oids with their kinds."""

    def __init__(self, connection: Any, kinds: Mapping[int, str]) -> None:
        asked = (_COLUMNS, _INDEXES, _LEAVES, _PAGES, _BELOW, _REFERENCES)
        columns, self._indexes, self._leaves, self._pages, self._below, self._references = (
            _by_relation(rows) for rows in ask_together(connection, [_of(kinds, sql) for sql in asked])
        )
        self._columns = {oid: tuple(SourceColumn(*c[1:]) for c in rows) for oid, rows in columns.items()}
        # a key's column is not null by itself, whatever its domain says
        self._not_null = {oid: {c[11] for c in rows if c[0]} for oid, rows in columns.items()}
        told = [
            oid
            for oid, kind in kinds.items()
            if kind == "v" or any(map(_has_meaning, self._columns.get(oid, ())))
        ]
        self._meanings = _meanings(connection, told)

    def relation(
        self,
        oid: int,
        schema: str,
        name: str,
        kind: str,
        estimate: int,
        comment: str | None,
        storage: int,
        granted: Sequence[str] | None,
    ) -> Relation:
        columns = self._columns.get(oid, ())
        unique, primary, indexed = self._keys(oid, columns)
        below = tuple(self._below.get(oid, ())) if kind in ("r", "p") else ()
        rows = self._leaves.get(oid, [])
        leaves: tuple[Leaf, ...] = ()
        if kind == "p":
            estimate = sum(r[5] for r in rows)
        if kind == "r" and not rows:
            leaves = (Leaf(schema, name, "r", *self._pages[oid][0]),)
        elif kind in ("r", "p") and all(r[4] for r in rows):
            leaves = tuple(Leaf(*r[:4], *r[5:]) for r in rows)
        elif kind in ("r", "p"):  # a leaf we may not read by itself is still read through its parent
            leaves = tuple(Leaf(schema, name, r[2], 0) for r in rows[:1])
        return Relation(
            oid=oid,
            schema=schema,
            name=name,
            kind=kind,
            columns=columns,
            unique_keys=unique,
            primary_key=primary,
            indexed=indexed,
            leaves=leaves,
            rows_estimate=estimate,
            comment=comment,
            identity=Identity(
                oid,
                storage,
                tuple(leaf for leaf, *_ in below) if kind == "p" else (),
                {c.name: c.number for c in columns},
                self._meanings.get(oid, {}),
            ),
            children=below if kind == "r" else (),
            references={own: (table, column) for own, table, column in self._references.get(oid, ())},
            readable=None if granted is None else frozenset(granted),
        )

    def _keys(
        self, oid: int, columns: Sequence[SourceColumn]
    ) -> tuple[tuple[frozenset[str], ...], tuple[str, ...], frozenset[str]]:
        """The unique keys, the primary key, and the columns that some index leads with."""
        name_of = {c.number: c.name for c in columns}
        unique: list[frozenset[str]] = []
        primary: tuple[str, ...] = ()
        indexed: set[str] = set()
        for is_primary, is_unique, usable, numbers in self._indexes.get(oid, ()):
            names = [name_of[n] for n in numbers if n in name_of]  # an expression has no column
            if usable and names:
                indexed.add(names[0])
            if is_unique and names and self._not_null[oid].issuperset(numbers):
                unique.append(frozenset(names))
            if is_primary:
                primary = tuple(names)
        return tuple(unique), primary, frozenset(indexed)


def _by_relation(rows: Iterable[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    """``rows`` without their first column, which says what they are of."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for oid, *rest in rows:
        found.setdefault(oid, []).append(tuple(rest))
    return found


def ask_together(connection: Any, statements: Sequence[str]) -> list[list[tuple[Any, ...]]]:
    """The rows of each of ``statements``, which go to the server in one message. Each has the
    ``statement_timeout`` for itself; the first that fails fails all."""
    cursor = connection.execute("; ".join(statements))
    found = []
    while True:
        found.append(cursor.fetchall() if cursor.description else [])
        if not cursor.nextset():
            return found


def _of(oids: Iterable[int], sql: str) -> str:
    return sql.replace("{oids}", ", ".join(map(str, map(int, oids))))


def _has_meaning(column: SourceColumn) -> bool:
    return column.virtual or column.base_schema != "pg_catalog"


def _meanings(connection: Any, oids: Sequence[int]) -> dict[int, dict[str, tuple[str, ...]]]:
    """``Identity.meanings`` of each relation, each piece as a short digest."""
    if not oids:
        return {}
    found: dict[int, dict[str, set[str]]] = {}
    for oid, name, piece in connection.execute(_of(oids, _MEANINGS)):
        digest = hashlib.sha256(piece.encode()).hexdigest()[:12]
        found.setdefault(oid, {}).setdefault(name, set()).add(digest)
    return {
        oid: {name: tuple(sorted(pieces)) for name, pieces in sorted(names.items())}
        for oid, names in found.items()
    }


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
