"""What is worth knowing of a PostgreSQL source before a sync meets it: connection, clock, rights, limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from data_platform.findings import Finding, clock
from data_platform.sources.looking import Checked
from data_platform.sources.postgres import limits as server_limits
from data_platform.sources.postgres.clock import observe
from data_platform.sources.postgres.config import connection_of, settings_of
from data_platform.sources.postgres.connected import SUPPORTED
from data_platform.sources.postgres.session import SourceSession
from data_platform.sources.reading import Opening


def findings(
    session: SourceSession, opening: Opening, head: str, now: Callable[[], datetime]
) -> Iterator[Finding]:
    """All but what is to be said of the tables themselves."""
    # the session's own connection and its readers'
    connections = 1 + (1 if session.server.standby else connection_of(opening.connection).connections)
    yield server(head, session.server.version, session.server.standby, SUPPORTED)
    yield pooler(f"{head}: connection", session.pooled, connections)
    with session.asking(f"Asking {opening.source!r} who may see what") as connection:
        before = now()
        (theirs,) = connection.execute("select clock_timestamp()").fetchone()
        yield clock(f"{head}: clock", before, theirs, now())
        yield _activity(connection, opening, head)
        yield limits(
            f"{head}: limits",
            [str(limit) for limit in server_limits.lifted(session.limits)],
            server_limits.staying(session.limits),
            server_limits.connection_limits(connection, connections),
            server_limits.standby_delays(session.limits) if session.server.standby else "",
        )


def _activity(connection: Any, opening: Opening, head: str) -> Finding:
    seen = observe(connection)
    (user,) = connection.execute("select current_user").fetchone()
    by_clock = sum(settings_of(table).cursor_clock == "database" for table in opening.tables)
    return activity(f"{head}: pg_read_all_stats", by_clock, seen.sees_all_activity, seen.standby, user)


def server(check: str, version: int, standby: bool, supported: range) -> Finding:
    what = f"PostgreSQL {version}{', a standby' if standby else ''}"
    if version in supported:
        return Finding(check, "ok", f"{what} answers.")
    return Finding(
        check,
        "warn",
        f"{what} answers; {supported.start} to {supported.stop - 1} are tested.",
        "Read from a server of a tested version, or try this one on a copy first.",
    )


def pooler(check: str, pooled: bool, connections: int) -> Finding:
    if not pooled:
        return Finding(check, "ok", "It leads to the server itself; the settings of a sync take hold.")
    return Finding(
        check,
        "ok",
        "It leads to the server through a pooler; the settings of a sync are made in each transaction and take hold."
        f" A sync takes {connections} of the pool's server connections at once, for as long as it reads. The"
        " pooler's own limits cannot be seen from here: query_timeout, idle_transaction_timeout and the like must"
        " be 0 or longer than the longest sync.",
    )


def limits(
    check: str, lifted: Sequence[str], staying: Sequence[str], too_low: Sequence[str], of_a_standby: str = ""
) -> Finding:
    """``lifted`` do not hold for a sync; ``staying`` may end one; ``too_low`` will."""
    if too_low or staying:
        return Finding(check, "fail" if too_low else "warn", "\n".join([*too_low, *staying]) + of_a_standby)
    own = "statement_timeout_seconds and lock_timeout_seconds of the catalog"
    if lifted:
        found = f"{', '.join(lifted)}: a sync's transactions replace them by {own}."
    else:
        found = f"No limit of the role, the database or the server ends a sync, only {own}."
    return Finding(check, "ok", found + of_a_standby)


def activity(check: str, by_clock: int, sees_all: bool, standby: bool, user: str) -> Finding:
    """``by_clock`` tables have a cursor that the database sets: only they gain by the right."""
    if not by_clock:
        return Finding(check, "ok", "No table has a cursor that the database sets, so it is not needed.")
    if standby:
        return Finding(check, "ok", "The source is a standby, where it is of no use.")
    if sees_all:
        return Finding(check, "ok", f"{by_clock} tables may be read by their cursor's index.")
    return Finding(
        check,
        "warn",
        f"The user {user} lacks pg_read_all_stats: {by_clock} tables are scanned for what changed"
        " instead of read by their cursor's index. Nothing is missed, it only takes longer.",
        f'GRANT pg_read_all_stats TO "{user}";',
    )


def tables(check: str, wanted: int, found: Checked) -> Finding:
    """``mistakes`` keep tables from being synced; ``notes`` are worth a look."""
    if found.mistakes:
        return Finding(check, "fail", "\n".join(found.mistakes))
    if found.notes:
        return Finding(check, "warn", "\n".join(found.notes))
    return Finding(check, "ok", f"{wanted} tables are there and can be read.")
