"""Writing a source's YAML from its database: keys, cursors and whose clock sets them, partitions.

It reads pg_catalog only, never a row, and puts a comment where it guessed. What is known of
personal columns is handed in, for privacy is above this layer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from data_platform.errors import DataPlatformError, SourceError, UnsupportedType
from data_platform.sources.postgres.connection import Target
from data_platform.sources.postgres.introspect import KINDS, Relation, SourceColumn, list_relations
from data_platform.sources.postgres.session import LOOK_SECONDS, SourceSession
from data_platform.sources.postgres.types import plan_columns
from data_platform.tables import BATCH_ID, LOADED_AT, RULE_PREFIX, SOURCE_XMIN

_CURSORS = (
    "updated_at",
    "modified_at",
    "last_modified",
    "updated_on",
    "modified_on",
    "update_time",
    "last_update",
)
_PARTITIONS = (
    "created_at",
    "inserted_at",
    "occurred_at",
    "created_on",
    "event_time",
    "timestamp",
    "ts",
    "date",
)
_TIMES = ("timestamptz", "timestamp", "date")
NAME_LENGTH_MAX = 48
_NAME = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"
"""As ``catalog.models`` has them, which is above this layer; a test holds the two together."""
IDENTIFIER_LENGTH = 42
"""Of a table's name in the catalog, before a number that tells it from another."""
SMALL_TABLE_ROWS = 100_000
"""Below this a whole read costs less than the bookkeeping of daily partitions."""

_TRIGGERS = """
select p.prosrc, t.tgtype::int & 20, t.tgqual is null and t.tgattr::text = ''
from pg_trigger t join pg_proc p on p.oid = t.tgfoid
where t.tgrelid = %s and not t.tgisinternal and t.tgenabled in ('O', 'A')
  and (t.tgtype & 1) = 1 and (t.tgtype & 2) = 2 and (t.tgtype & 20) > 0
"""
_INSERT_AND_UPDATE = 4 | 16
"""Bits of pg_trigger.tgtype."""
_CLOCKS = (
    r"((now|clock_timestamp|statement_timestamp|transaction_timestamp)\(\)|current_timestamp(\(\d\))?)\s*;"
)
_MAY_SKIP = re.compile(r"\b(if|case|when|loop|exception|execute)\b", re.IGNORECASE)
_NOT_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'", re.DOTALL)


@dataclass(frozen=True)
class Privacy:
    """What is above this layer knows of personal data: why a column looks personal (``looks``), whether it
    would by its name and its table's alone (``by_name``), and the treatment to begin with for a column, a
    reason and whether others may join on it."""

    looks: Callable[[Relation, SourceColumn], str | None]
    by_name: Callable[[str, str], str | None]
    treatment: Callable[[str, str, bool], str]


def discover(
    target: Target,
    *,
    url_env: str,
    schema: str,
    today: date,
    privacy: Privacy,
) -> str:
    """The YAML of ``catalog/sources/<source>.yaml`` for every table and view of ``schema``.

    Raises SourceUnreachable, and SourceError for a schema without tables.
    """
    what = f"Reading the schema {schema!r} of {target.source!r}"
    with SourceSession(target) as session:
        with session.asking(what) as connection:
            listed = [relation for relation, _ in list_relations(connection, schema)]
            server = str(connection.info.parameter_status("server_version"))
        found = session.look(
            [(name, schema, name) for name in listed], lambda _, relation: relation, seconds=LOOK_SECONDS
        )
        relations = [relation for relation in found.values() if isinstance(relation, Relation)]
        problems = {n: why for n, why in found.items() if isinstance(why, DataPlatformError)}
        with session.asking(what) as connection:
            may_read = "select oid from pg_class where oid = any(%s) and has_table_privilege(oid, 'SELECT')"
            readable = {oid for (oid,) in connection.execute(may_read, ([r.oid for r in relations],))}
            clocks = {r.name: _database_clock(connection, r) for r in relations}
    if not found:
        raise SourceError(
            f"The schema {schema!r} of the database in {url_env} has no tables that this user may see."
            " Name another with --schema, or GRANT USAGE on it."
        )
    lines = [
        "# yaml-language-server: $schema=../schema/source.schema.json",
        f"# Written by `data-platform discover` from PostgreSQL {server.split()[0]}. Lines with `guess:` or a\n"
        "# question mark want a look; `data-platform validate` lists the question marks.",
        f"source: {target.source}",
        "kind: postgres",
        "connection:",
        f"  url_env: {url_env}",
        f"schema: {_scalar(schema)}",
    ]
    left_out = {r.name: why for r in relations if (why := _left_out(r, r.oid in readable))}
    names = _identifiers([r.name for r in relations if r.name not in left_out])
    blocks: list[str] = []
    for relation in relations:
        if relation.name in left_out:
            blocks.append(f"  # {_scalar(relation.name)} is left out: {left_out[relation.name]}")
            continue
        blocks += _table(relation, names[relation.name], clocks[relation.name], privacy)
    blocks += [
        f"  # {_scalar(relation)} is left out: {' '.join(str(why).split())}"
        for relation, why in problems.items()
    ]
    if any(line.startswith("    partition:") for line in blocks):
        lines.append(
            f"start: {today.year - 1}-01-01  # guess: the first daily partition; older rows are synced too"
        )
    return "\n".join([*lines, "tables:", *blocks]) + "\n"


def _table(relation: Relation, name: str, database_clock: str | None, privacy: Privacy) -> list[str]:
    kind = KINDS[relation.kind]
    lines = [f"  {name}:"]
    if name != relation.name:
        lines.append(f"    relation: {_scalar(_relation(relation.name))}")
    if relation.comment:
        lines.append(f"    description: {_scalar(' '.join(relation.comment.split()))}")
    if relation.children:
        lines.append(f"    # read without the rows of what inherits from it: {_names(relation.children)}")
    reasons = {c.name: reason for c in relation.columns if (reason := privacy.looks(relation, c))}
    key, comment = _key(relation, set(reasons))
    joined = {*key, *relation.references, *(c for unique in relation.unique_keys for c in unique)}
    personal = {c: (f"{privacy.treatment(c, reason, c in joined)}?", reason) for c, reason in reasons.items()}
    if key:
        lines.append(f"    key: {_flow(key)}{comment}")
    cursor = _cursor(relation) if relation.has_xmin else None
    if cursor and cursor not in personal:
        lines.append(f"    cursor: {_scalar(cursor)}")
        if database_clock == cursor:
            lines.append("    cursor_clock: database  # a trigger sets it on every insert and update")
        else:
            lines.append(
                "    # cursor_clock: application, as no trigger was found that sets it on every update"
            )
    partition = _partition(relation, set(personal)) if key else None
    if partition:
        if relation.rows_estimate >= SMALL_TABLE_ROWS:
            lines.append(f"    partition: {_scalar(partition)}  # guess: the time a row came to be")
        else:
            lines.append(
                f"    # partition: {_scalar(partition)}  # worth it from about {SMALL_TABLE_ROWS:,} rows on"
            )
    if not key:
        why = "no unique, NOT NULL key was found" if relation.kind in ("r", "p") else f"a {kind} has no key"
        lines.append(f"    strategy: replace  # guess: {why}")
    elif not relation.has_xmin:
        lines.append(f"    strategy: replace  # a {kind} has no row versions to find changes by")
    text = _columns_as_text(relation)
    if text:
        lines.append("    as:  # types whose values only their text form keeps")
        lines += [f"      {_scalar(column)}: text" for column in text]
    for column in (*key, cursor, partition, *text):
        if column and column not in personal and privacy.by_name(column, relation.name):
            personal[column] = (
                "keep",
                "only its name looks personal; its type or a foreign key says otherwise",
            )
    if personal:
        lines.append(
            "    personal:  # take the question mark away once you have decided; `keep` lands it as it is"
        )
        lines += [
            f"      {_scalar(c)}: {treatment}  # {reason}" for c, (treatment, reason) in personal.items()
        ]
    if len(lines) == 1:
        lines[0] += " {}"
    return lines


def _names(relations: Sequence[tuple[int, str, str]]) -> str:
    """At most three of them, on one line of a comment."""
    shown = ", ".join(_scalar(name) for _, _, name in relations[:3])
    return shown + (f" and {len(relations) - 3} more" if len(relations) > 3 else "")


def _left_out(relation: Relation, readable: bool) -> str | None:
    """Why a table cannot be synced as it is."""
    if not readable:
        return "this user may not SELECT from it"
    folded = Counter(name.lower() for name in relation.column_names)
    if max(folded.values(), default=1) > 1:
        return "it has columns whose names differ in case only; a view that renames them can be read"
    own = (BATCH_ID, LOADED_AT, SOURCE_XMIN)
    if any(n in own or n.startswith(RULE_PREFIX) for n in relation.column_names):
        return "it has a column of a name the platform uses itself; a view that renames it can be read"
    return None


def _key(relation: Relation, personal: set[str]) -> tuple[list[str], str]:
    if relation.primary_key:
        return list(relation.primary_key), ""
    candidates = sorted(relation.unique_keys, key=lambda k: (bool(k & personal), len(k), sorted(k)))
    if not candidates:
        return [], ""
    order = relation.column_names
    return sorted(
        candidates[0], key=order.index
    ), "  # guess: the smallest unique index over NOT NULL columns"


def _cursor(relation: Relation) -> str | None:
    for wanted in _CURSORS:
        for column in relation.columns:
            if _words(column.name) == wanted and column.base in _TIMES:
                return column.name
    return None


def _partition(relation: Relation, personal: set[str]) -> str | None:
    cursor = _cursor(relation)
    times = [c.name for c in relation.columns if c.base in _TIMES and c.name not in {*personal, cursor}]
    for wanted in _PARTITIONS:
        for name in times:
            if _words(name) == wanted or _words(name).endswith("_" + wanted):
                return name
    return None


def _database_clock(connection: Any, relation: Relation) -> str | None:
    """The cursor, if BEFORE row triggers set it from the database's clock on every insert and update.

    Whatever may leave it alone is no proof: a condition, a list of columns, a branch, an
    early return, another trigger that speaks of the cursor too.
    """
    cursor = _cursor(relation)
    if cursor is None:
        return None
    named = re.compile(rf'\bnew\s*\.\s*("?){re.escape(cursor)}\1\s*:?=', re.IGNORECASE)
    sets = re.compile(rf"{named.pattern}\s*{_CLOCKS}", re.IGNORECASE)
    proven = 0
    for body, events, unconditional in connection.execute(_TRIGGERS, (relation.oid,)):
        code = _NOT_CODE.sub(" ", body)
        before_return = re.split(r"\breturn\b", code, maxsplit=1, flags=re.IGNORECASE)[0]
        once = len(named.findall(code)) == 1
        if unconditional and once and sets.search(before_return) and not _MAY_SKIP.search(code):
            proven |= events
        elif re.search(rf"\b{re.escape(cursor)}\b", code, re.IGNORECASE):
            return None
    return cursor if proven == _INSERT_AND_UPDATE else None


def _columns_as_text(relation: Relation) -> list[str]:
    text: list[str] = []
    while True:
        try:
            plan_columns(relation, text)
            return text
        except UnsupportedType:
            for column in relation.columns:
                if column.name not in text:
                    try:
                        plan_columns(_only(relation, column.name))
                    except UnsupportedType:
                        text.append(column.name)


def _only(relation: Relation, column: str) -> Relation:
    return replace(relation, columns=tuple(c for c in relation.columns if c.name == column))


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _identifiers(relations: Sequence[str]) -> dict[str, str]:
    """The name in the catalog of each relation. One that is a name there already keeps it, whatever others
    come before it; those that would have the same name get a number, in the order given."""
    names = {r: r for r in relations if len(r) <= NAME_LENGTH_MAX and re.fullmatch(_NAME, r)}
    taken = set(names)
    for relation in relations:
        if relation not in names:
            names[relation] = _identifier(relation, taken)
    return names


def _identifier(name: str, taken: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "_", _words(name)).strip("_") or "table"
    base = f"t_{base}" if base[0].isdigit() else base
    base = base[:IDENTIFIER_LENGTH].rstrip("_")
    candidate, n = base, 2
    while candidate in taken:
        candidate, n = f"{base}_{n}", n + 1
    taken.add(candidate)
    return candidate


def _scalar(text: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", text) and text.lower() not in (
        "null",
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
    ):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '\\"':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _relation(name: str) -> str:
    """A relation's name for the catalog, where a dot outside of double quotes ends the schema."""
    return '"' + name.replace('"', '""') + '"' if "." in name or name.startswith('"') else name


def _flow(names: list[str]) -> str:
    return _scalar(names[0]) if len(names) == 1 else "[" + ", ".join(_scalar(n) for n in names) + "]"
