"""What the role, the database and the server allow: limits that can end a sync, with their values and where
they are set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_platform.sources.postgres.unreachable import of_a_pooler

LIFTED = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)
"""The sync sets them for each of its transactions (``settings.py``), whatever the role has."""

STATEMENT = "statement_timeout_seconds"
"""The catalog's own limit."""
_STAYING = {
    "temp_file_limit": ("-1", "a sort or a hash of a view that writes more to disk is ended"),
    "old_snapshot_threshold": ("-1", "a read that is older may be ended (`snapshot too old`)"),
}
"""Only a superuser or the server's file changes them: name, the value that means no limit, what it does."""
_ON_STANDBYS = ("max_standby_streaming_delay", "max_standby_archive_delay")

_SOURCES = {
    "user": "of the role",
    "database": "of the database",
    "database user": "of the role in this database",
    "configuration file": "in the server's configuration",
    "command line": "on the server's command line",
    "global": "of all roles",
    "client": "in the URL's options",
    "session": "by an earlier user of the pooled connection",
}
_ASKED = (*LIFTED, *_STAYING, *_ON_STANDBYS)

_LIMITS = f"""
select name, setting, coalesce(unit, ''), source from pg_catalog.pg_settings
where name in ({", ".join(f"'{name}'" for name in _ASKED)})
"""
_COUNTS = """
select r.rolname, r.rolconnlimit, d.datname, d.datconnlimit, r.rolsuper,
       case when isfinite(r.rolvaliduntil) and r.rolvaliduntil < now() + interval '14 days'
            then to_char(r.rolvaliduntil, 'YYYY-MM-DD HH24:MI TZ') end
from pg_catalog.pg_roles r, pg_catalog.pg_database d
where r.rolname = session_user and d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """A setting as this user meets it. ``where`` says who set it."""

    name: str
    value: str
    where: str

    def __str__(self) -> str:
        return f"{self.name} = {self.value}{' ' if self.where else ''}{self.where}"


def read_limits(connection: Any, statement_timeout_seconds: int) -> dict[str, Limit]:
    """The limits before the sync's own settings are made, by name, and the catalog's own."""
    own = Limit(STATEMENT, f"{statement_timeout_seconds} s", "in the source's `connection:`")
    return {STATEMENT: own} | {
        name: Limit(name, _shown(setting, unit), _SOURCES.get(source, ""))
        for name, setting, unit, source in connection.execute(_LIMITS)
    }


def _shown(setting: str, unit: str) -> str:
    if unit == "ms" and setting.isdigit() and int(setting) >= 1000 and int(setting) % 1000 == 0:
        return f"{int(setting) // 1000} s"
    return f"{setting} {unit}" if unit and setting not in ("0", "-1") else setting


def lifted(limits: Mapping[str, Limit]) -> list[Limit]:
    """Limits that are set and do not hold for the sync's transactions."""
    return [limits[name] for name in LIFTED if name in limits and limits[name].value != "0"]


def staying(limits: Mapping[str, Limit]) -> list[str]:
    """What can end a sync and is not the sync's to change, each with what to do."""
    return [
        f"{limits[name]}: {effect}. Where a sync meets it, raise it (ALTER ROLE ... SET {name} takes a superuser;"
        " old_snapshot_threshold the server's configuration)."
        for name, (none, effect) in _STAYING.items()
        if name in limits and limits[name].value != none
    ]


def standby_delays(limits: Mapping[str, Limit]) -> str:
    """How long a standby lets a read hold up its replay."""
    delays = [limits[name] for name in _ON_STANDBYS if name in limits and limits[name].value != "-1"]
    if not delays:
        return ""
    return (
        f" A standby ends a read that holds its replay up for longer than {', '.join(map(str, delays))}; where that"
        " keeps happening, raise it there."
    )


def connection_limits(connection: Any, needed: int) -> list[str]:
    """Limits of the role and the database that leave no room for ``needed`` connections, and a password that
    ends."""
    role, of_role, database, of_database, superuser, until = connection.execute(_COUNTS).fetchone()
    found = []
    for what, name, limit in (("role", role, of_role), ("database", database, of_database)):
        if 0 <= limit < needed and not superuser:
            found.append(
                f"The {what} {name} may have {limit} connection(s), and a sync takes {needed} (one, and one for each of"
                f" `connections:`). ALTER {what.upper()} ... CONNECTION LIMIT {needed}, or lower `connections:`."
            )
    if until:
        found.append(
            f"The password of the role {role} is valid until {until}. ALTER ROLE ... VALID UNTIL a later day."
        )
    return found


_ENDINGS = {
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "57P05": "idle_session_timeout",
    "53400": "temp_file_limit",
    "72000": "old_snapshot_threshold",
}
"""SQLSTATEs that one limit of the server has for itself."""
OF_A_STATEMENT = ("53400", "72000")
"""Those of them that leave the session as it was."""
_RAISE = {
    "temp_file_limit": "A superuser raises it: ALTER ROLE ... SET temp_file_limit",
    "old_snapshot_threshold": "Raise it in the server's configuration, or sync fewer tables at once",
}


def ended_by(error: Exception, limits: Mapping[str, Limit]) -> str | None:
    """Which limit of the server or of a pooler ended a session or a statement, its value and where it is set, and
    what to do; None where none did."""
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate == "08P01":
        found = of_a_pooler(str(error))
        return found and f"{found}. Nothing was committed; run the sync again."
    if sqlstate == "57P01":
        return (
            "the session was ended at the server (pg_terminate_backend), or the server was stopped. Nothing was"
            " committed; run the sync again. Where it keeps happening, look for a job that ends long transactions."
        )
    name = _ENDINGS.get(sqlstate or "")
    if name is None:
        return None
    way_out = _RAISE.get(name, f"Lift it for the sync's user: ALTER ROLE ... SET {name} = 0")
    return f"the limit {limits.get(name, name)} ended it. {way_out}. Nothing was committed; then run the sync again."
