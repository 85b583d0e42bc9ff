"""Writing a source's YAML from its database: what is there, whose clock sets cursors, what can be read.

It reads the catalogs and tries each table and view; no value leaves the database. What is known of
personal columns is handed in, for privacy is above this layer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from data_platform.errors import SourceError
from data_platform.printable import printable_line, yaml_scalar
from data_platform.sources.looking import Privacy
from data_platform.sources.postgres.config import PostgresConnection, PostgresSourceKeys
from data_platform.sources.postgres.connection import Target, target
from data_platform.sources.postgres.draft import (
    cursor_of,
    granted,
    identifiers,
    left_out,
    table_block,
)
from data_platform.sources.postgres.introspect import Relation, list_relations
from data_platform.sources.postgres.readable import SECONDS_MAX, Trial, try_to_read
from data_platform.sources.postgres.session import LOOK_SECONDS, SourceSession

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


@dataclass(frozen=True, slots=True)
class Found:
    """A relation, whose clock sets its cursor, and what came of reading it."""

    relation: Relation
    clock: str | None
    trial: Trial

    @property
    def left_out(self) -> str | None:
        if why := left_out(self.relation):
            return why
        if self.trial.extension:
            return f"it belongs to the extension {self.trial.extension}"
        return self.trial.problem


def discover_in(
    *,
    source: str,
    connection: PostgresConnection,
    keys: PostgresSourceKeys,
    environ: Mapping[str, str],
    today: date,
    privacy: Privacy,
) -> str:
    """``discover`` of the schema of ``keys`` in the database of ``connection``."""
    where = target(connection, environ, source=source)
    return discover(where, url_env=connection.url_env, schema=keys.schema_, today=today, privacy=privacy)


def discover(target: Target, *, url_env: str, schema: str, today: date, privacy: Privacy) -> str:
    """The YAML of ``catalog/sources/<source>.yaml`` for every table and view of ``schema``.

    Raises SourceUnreachable, and SourceError for a schema without tables.
    """
    what = f"Reading the schema {schema!r} of {target.source!r}"
    with SourceSession(target) as session:
        with session.asking(what) as connection:
            listed = [relation for relation, _ in list_relations(connection, schema)]
            server = str(connection.info.parameter_status("server_version"))
        wanted = [(name, schema, name) for name in listed]
        seen = session.look(wanted, lambda _, relation: _look(session, relation), seconds=LOOK_SECONDS)
    found = {name: one for name, one in seen.items() if isinstance(one, Found)}
    left = {name: one.left_out if isinstance(one, Found) else str(one) for name, one in seen.items()}
    if not seen:
        raise SourceError(
            f"The schema {schema!r} of the database in {url_env} has no tables that this user may see."
            " Name another with --schema, or GRANT USAGE on it."
        )
    lines = [
        "# yaml-language-server: $schema=../schema/source.schema.json",
        f"# Written by `data-platform discover` from PostgreSQL {printable_line(server.split()[0])}. Lines with `guess:` or a",
        "# question mark need a decision; `data-platform validate` lists the question marks.",
        f"source: {target.source}",
        "kind: postgres",
        "connection:",
        f"  url_env: {url_env}",
        f"schema: {yaml_scalar(schema)}",
    ]
    names = identifiers([name for name in found if not left[name]])
    blocks: list[str] = []
    for name, why in left.items():
        if why:
            blocks.append(f"  # {yaml_scalar(name)} is left out: {printable_line(' '.join(why.split()))}")
        else:
            one = found[name]
            blocks += table_block(one.relation, names[name], one.clock, privacy, one.trial.note)
    if any(line.startswith("    partition:") for line in blocks):
        lines.append(
            f"start: {today.year - 1}-01-01  # guess: the first daily partition; older rows are synced too"
        )
    return "\n".join([*lines, "tables:", *blocks]) + "\n"


def _look(session: SourceSession, relation: Relation) -> Found:
    with session.trying(SECONDS_MAX) as connection:
        clock = _database_clock(connection, relation)
    trial = Trial()
    if not left_out(relation):
        trial = try_to_read(session, relation, granted(relation).column_names)
    return Found(relation, clock, trial)


def _database_clock(connection: Any, relation: Relation) -> str | None:
    """The cursor, if BEFORE row triggers set it from the database's clock on every insert and update.

    Whatever may leave it alone is no proof: a condition, a list of columns, a branch, an
    early return, another trigger that speaks of the cursor too.
    """
    cursor = cursor_of(relation)
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
