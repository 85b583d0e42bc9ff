"""The YAML of a catalog file, a table's block each: names, keys, cursors, partitions, treatments.

Text only: what the database says is ``discover.py``'s to ask. A comment stands where it guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from data_platform.errors import UnsupportedType
from data_platform.printable import printable_line, yaml_scalar
from data_platform.sources.looking import Privacy
from data_platform.sources.postgres.introspect import KINDS, ROW_VERSIONS, Relation
from data_platform.sources.postgres.types import plan_columns
from data_platform.sql import quoted
from data_platform.tables import BATCH_ID, LOADED_AT, NOT_PERSONAL, RULE_PREFIX, SOURCE_XMIN

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
"""As ``catalog.fields`` has them, which is above this layer; a test holds the two together."""
IDENTIFIER_LENGTH = 42
"""Of a table's name in the catalog, before a number that tells it from another."""
SMALL_TABLE_ROWS = 100_000
"""Below this a whole read costs less than the bookkeeping of daily partitions."""

READ_EVERY_HOURS = 24
"""Of what is read whole each time because nothing tells that it changed."""


def table_block(
    relation: Relation, name: str, database_clock: str | None, privacy: Privacy, note: str | None = None
) -> list[str]:
    """The lines of a table's block under its ``name`` in the catalog. Of ``relation`` the granted columns are
    taken; ``note`` is what else is to be said of it."""
    kind = KINDS[relation.kind]
    lines = [f"  {name}:"]
    if name != relation.name:
        lines.append(f"    relation: {yaml_scalar(_relation(relation.name))}")
    if relation.comment:
        lines.append(f"    description: {yaml_scalar(' '.join(relation.comment.split()))}")
    if note:
        lines.append(f"    # {printable_line(note)}")
    if relation.children:
        lines.append(f"    # read without the rows of what inherits from it: {_names(relation.children)}")
    if relation.readable is not None:
        relation = granted(relation)
        lines.append(f"    only: {_list(relation.column_names)}  # this user may read these columns")
    reasons = {
        c.name: reason
        for c in relation.columns
        if (
            reason := privacy.looks(
                c.name, relation.name, c.element or c.base, relation.references.get(c.name)
            )
        )
    }
    key, comment = _key(relation, set(reasons))
    joined = {*key, *relation.references, *(c for unique in relation.unique_keys for c in unique)}
    personal = {c: (f"{privacy.treatment(c, reason, c in joined)}?", reason) for c, reason in reasons.items()}
    if key:
        lines.append(f"    key: {_flow(key)}{comment}")
    cursor = cursor_of(relation) if relation.has_xmin else None
    if cursor and cursor not in personal:
        lines.append(f"    cursor: {yaml_scalar(cursor)}")
        if database_clock == cursor:
            lines.append("    cursor_clock: database  # a trigger sets it on every insert and update")
        else:
            lines.append(
                "    # cursor_clock: application, as no trigger was found that sets it on every update"
            )
    partition = _partition(relation, set(personal)) if key else None
    if partition:
        if relation.rows_estimate >= SMALL_TABLE_ROWS:
            lines.append(f"    partition: {yaml_scalar(partition)}  # guess: the time a row came to be")
        else:
            lines.append(
                f"    # partition: {yaml_scalar(partition)}  # worth it from about {SMALL_TABLE_ROWS:,} rows on"
            )
    if not key:
        why = "no unique, NOT NULL key was found" if relation.kind in ("r", "p") else f"a {kind} has no key"
        lines.append(f"    strategy: replace  # guess: {why}")
    elif relation.readable is not None and not relation.has_xmin:
        more = ", ".join(sorted(ROW_VERSIONS))
        lines.append(f"    strategy: replace  # row versions would show changes: GRANT SELECT ({more}) too")
    elif not relation.has_xmin:
        lines.append(f"    strategy: replace  # a {kind} has no row versions to find changes by")
    if not relation.has_xmin:
        lines.append(f"    freshness_hours: {2 * READ_EVERY_HOURS}")
        lines.append(
            f"    read_every_hours: {READ_EVERY_HOURS}  # the source does not show when it changed: the whole table is read each time"
        )
    text = _columns_as_text(relation)
    if text:
        lines.append("    as:  # types whose values only their text form keeps")
        lines += [f"      {yaml_scalar(column)}: text" for column in text]
    for column in (*key, cursor, partition, *text):
        if column and column not in personal and privacy.by_name(column, relation.name):
            personal[column] = (
                NOT_PERSONAL,
                "only its name looks personal; its type or a foreign key says otherwise",
            )
    if personal:
        lines.append(
            "    personal:  # remove the question mark once you have decided; `keep` lands it unchanged, `not_personal` says that nothing of a person is in it"
        )
        lines += [
            f"      {yaml_scalar(c)}: {treatment}  # {reason}" for c, (treatment, reason) in personal.items()
        ]
    if len(lines) == 1:
        lines[0] += " {}"
    return lines


def _names(relations: Sequence[tuple[int, str, str]]) -> str:
    """At most three of them, on one line of a comment."""
    shown = ", ".join(yaml_scalar(name) for _, _, name in relations[:3])
    return shown + (f" and {len(relations) - 3} more" if len(relations) > 3 else "")


def granted(relation: Relation) -> Relation:
    """``relation`` with the columns that this user may read, and the keys within them."""
    readable = relation.readable
    if readable is None:
        return relation
    return replace(
        relation,
        columns=tuple(c for c in relation.columns if c.name in readable),
        unique_keys=tuple(key for key in relation.unique_keys if key <= readable),
        primary_key=relation.primary_key if readable.issuperset(relation.primary_key) else (),
    )


def left_out(relation: Relation) -> str | None:
    """Why a table cannot be synced as it is."""
    if relation.columns and not granted(relation).columns:
        return "this user may not SELECT from it"
    relation = granted(relation)
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


def cursor_of(relation: Relation) -> str | None:
    for wanted in _CURSORS:
        for column in relation.columns:
            if _words(column.name) == wanted and column.base in _TIMES:
                return column.name
    return None


def _partition(relation: Relation, personal: set[str]) -> str | None:
    cursor = cursor_of(relation)
    times = [c.name for c in relation.columns if c.base in _TIMES and c.name not in {*personal, cursor}]
    for wanted in _PARTITIONS:
        for name in times:
            if _words(name) == wanted or _words(name).endswith("_" + wanted):
                return name
    return None


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


def identifiers(relations: Sequence[str]) -> dict[str, str]:
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


def _relation(name: str) -> str:
    """A relation's name for the catalog, where a dot outside of double quotes ends the schema."""
    return quoted(name) if "." in name or name.startswith('"') else name


def _list(names: Sequence[str]) -> str:
    return "[" + ", ".join(yaml_scalar(n) for n in names) + "]"


def _flow(names: list[str]) -> str:
    return yaml_scalar(names[0]) if len(names) == 1 else _list(names)
