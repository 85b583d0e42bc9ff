"""Reads objects from the shop's database: a page of a list, one object, many as of their own moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_platform.sandbox.services.stripe.errors import StripeFault, missing
from data_platform.sandbox.services.stripe.kinds import Filter, Kind, Object, Source, read
from data_platform.sandbox.services.stripe.params import Params

if TYPE_CHECKING:
    from data_platform.sandbox.services.database import Connection


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object by its key, as text, at a moment."""

    letter: str
    key: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A place in a list."""

    created_at: datetime
    letter: str
    key: Any


def page(
    connection: Connection, kind: Kind, params: Params, lag_seconds: float = 0.0
) -> tuple[list[Found], bool]:
    """The places of a page, newest first, and whether there are more beyond it.

    Each source is asked for a page of its own along its index; what they give is merged.
    ``lag_seconds`` hides what was made within so many seconds, as a list does that lags behind.
    """
    backwards = params.ending_before is not None
    cursor_id = params.ending_before or params.starting_after
    cursor = None if cursor_id is None else _cursor(connection, kind, cursor_id, backwards)
    conditions, values = _conditions(kind, params)
    if lag_seconds:
        conditions.append("created_at < now() - make_interval(secs => %s)")
        values.append(lag_seconds)
    found: list[Found] = []
    for source in kind.sources:
        more, bound = _beyond(source, cursor, backwards)
        where = " AND ".join([*conditions, *more]) or "true"
        order = "ASC" if backwards else "DESC"
        rows = connection.execute(
            f"SELECT created_at, key FROM {plain(source.relation)} AS listed WHERE {where}"
            f" ORDER BY created_at {order}, key {order} LIMIT %s".encode(),
            [*values, *bound, params.limit + 1],
        ).fetchall()
        found += [Found(at, source.letter, key) for at, key in rows]
    found.sort(key=lambda one: (one.created_at, one.letter, one.key), reverse=not backwards)
    kept = found[: params.limit]
    return (kept[::-1] if backwards else kept), len(found) > params.limit


def details(connection: Connection, kind: Kind, wanted: Sequence[Wanted]) -> list[dict[str, Any] | None]:
    """A row for each, in their order; None for what is not there."""
    from psycopg.rows import dict_row

    rows: list[dict[str, Any] | None] = [None] * len(wanted)
    if not wanted:
        return rows
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "WITH wanted AS MATERIALIZED (SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[])"
            f" WITH ORDINALITY AS w(letter, key, as_of, n)) {plain(kind.detail)}".encode(),
            ([one.letter for one in wanted], [one.key for one in wanted], [one.as_of for one in wanted]),
        )
        for row in cursor:
            rows[row["n"] - 1] = row
    return rows


def objects(connection: Connection, kind: Kind, places: Sequence[Found]) -> list[Object]:
    """The objects at the places of a page, as they are now; what has gone meanwhile is left out."""
    now = datetime.now(UTC)
    rows = details(connection, kind, [Wanted(one.letter, str(one.key), now) for one in places])
    return [kind.render(row) for row in rows if row is not None]


def one(connection: Connection, kind: Kind, id_: str) -> Object:
    """StripeFault 404 when there is none."""
    known = kind.key(id_)
    if known is not None:
        row = details(connection, kind, [Wanted(known[0].letter, known[1], datetime.now(UTC))])[0]
        if row is not None:
            return kind.render(row)
    raise missing(kind.name, id_)


def _cursor(connection: Connection, kind: Kind, id_: str, backwards: bool) -> Found:
    param = "ending_before" if backwards else "starting_after"
    known = kind.key(id_)
    if known is not None:
        source, key = known
        row = connection.execute(
            f"SELECT created_at, key FROM {plain(source.relation)} AS listed WHERE key = %s::{source.key_type}".encode(),
            (key,),
        ).fetchone()
        if row is not None:
            return Found(row[0], source.letter, row[1])
    raise missing(kind.name, id_, param)


def _beyond(source: Source, cursor: Found | None, backwards: bool) -> tuple[list[str], list[Any]]:
    """What of a source comes after the cursor, which may be another source's."""
    if cursor is None:
        return [], []
    sign = ">" if backwards else "<"
    if source.letter == cursor.letter:
        return [f"(created_at, key) {sign} (%s, %s::{source.key_type})"], [cursor.created_at, str(cursor.key)]
    of_the_instant = source.letter > cursor.letter if backwards else source.letter < cursor.letter
    return [f"created_at {sign}{'=' if of_the_instant else ''} %s"], [cursor.created_at]


def _conditions(kind: Kind, params: Params) -> tuple[list[str], list[Any]]:
    conditions, values = [], []
    # A second holds whatever was made within it.
    for comparison, second in params.created.items():
        after = comparison in ("gt", "lte")
        sign = ">=" if comparison in ("gt", "gte") else "<"
        conditions.append(f"created_at {sign} to_timestamp(%s)")
        values.append(second + after)
    if kind.shown and kind.unless not in params.others:
        conditions.append(plain(kind.shown))
    given: Mapping[str, str | list[str]] = {**params.others, **params.lists}
    for name, value in given.items():
        if name == kind.unless and value == "all":
            continue
        if name in kind.filters:
            condition, told = _filter(kind.filters[name], name, value)
            conditions.append(condition)
            values += told
    return conditions, values


def _filter(of: Filter, name: str, value: str | list[str]) -> tuple[str, list[Any]]:
    text = of.condition if "{}" in of.condition else f"{of.condition} = {{}}"
    if of.prefix:
        known = read(str(value).removeprefix(of.prefix), of.type_)
        if known is None:
            raise missing(name, str(value), name)
        value = known
    elif of.type_ == "boolean" and value not in ("true", "false"):
        raise StripeFault(400, f"Invalid boolean: {value}", param=name)
    return plain(text).replace("{}", f"%s::{of.type_}"), [value] * text.count("{}")


def plain(sql: str) -> str:
    """SQL of ours in a statement with values: its per cent signs are no places for values."""
    return sql.replace("%", "%%")
