"""Why a statement failed at the server, as a person can act on it; never with a value of a row.

The server's own sentence is free text: a function behind a view may put a row's value into it, and so does a
cast that fails. So the sentence is made here from the SQLSTATE. The server's is added only where it is one of
a few that hold names and nothing else, was written by the server's own code and not by a function of somebody's.
Whether our connection was lost is never read from an error: who calls knows the connection and asks it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from data_platform.errors import DataPlatformError, SourceError, SourceUnreachable, TableLocked, ValueNotKept
from data_platform.sources.postgres.limits import OF_A_STATEMENT, STATEMENT, Limit, ended_by

LOST = "the connection to the source was lost. Run the sync again."
IN_THE_WAY_OF_REPLAY = (
    "the standby ended the read, for which the replay of a TRUNCATE, an ALTER or a vacuum had waited as long as"
    " max_standby_streaming_delay allows. Nothing was committed; run the sync again. Where it keeps happening,"
    " raise that setting on the standby."
)
NOT_CHARACTERS = (
    "a text value contains bytes that are invalid in the database's encoding or cannot be converted"
    " to UTF-8. Correct it at the source, or read a view that states their encoding:"
    " `convert_from(textsend(column), 'LATIN1')`."
)
LOCK_CODES = ("55P03", "40P01")
"""A lock was not to be had, or waiting for it would have been a deadlock."""

_ROW = "Correct the row or the expression at the source."
_LATER = "It will be read at the next sync."
_BEHIND = "Read it separately at the source, with the sync's user, to find out which; the other tables are not affected."

_REASONS = {
    "0A000": ("it needs something that this server does not support", _BEHIND),
    "21000": ("a subquery in it gives more than one row", _ROW),
    "22001": ("a text is too long for the type it is cast to", _ROW),
    "22003": ("a number is out of the range of its type", _ROW),
    "22004": ("a value is NULL where NULL is not allowed", _ROW),
    "22007": ("a text is not a valid date or time", _ROW),
    "22008": ("a date or time is out of range", _ROW),
    "22012": ("an expression divides by zero", _ROW),
    "22023": ("a function was called with a value that it does not accept", _ROW),
    "22032": ("a text is not valid JSON", _ROW),
    "22P02": ("a text is not a valid value of the type it is cast to", _ROW),
    "22P03": ("bytes are not a valid value of their type", _ROW),
    "25006": (
        "a function that it calls writes, which a sync does not allow",
        "Read a view that does not call it.",
    ),
    "2201X": ("a LIMIT or OFFSET is negative", _ROW),
    "42501": (
        "the user has no permission for something that it reads",
        "GRANT the missing right to the sync's user.",
    ),
    "42P17": ("its definition refers to itself", _BEHIND),
    "53100": ("a disk of the server is full", f"Free space there. {_LATER}"),
    "53200": ("the server is out of memory", _LATER),
    "53300": (
        "the server, or one that it reads from, has too many connections",
        f"Lower `connections`. {_LATER}",
    ),
    "54001": ("its expressions are nested too deeply for the server's stack", _BEHIND),
    "55000": ("something that it reads is not ready to be read", _BEHIND),
    "57P01": ("a server that it reads from is shutting down", _LATER),
    "57P03": ("a server that it reads from does not accept connections yet", _LATER),
    "XX001": (
        "the server says that data of it is damaged",
        "Check that table at the source (`pg_amcheck`) and restore what is lost from a backup.",
    ),
    "XX002": (
        "the server says that an index of it is damaged",
        "Check it at the source (`pg_amcheck`) and REINDEX it.",
    ),
}
"""(what is the matter, what to do) by SQLSTATE."""
_CLASSES = {
    "08": (
        "a server that it reads from (a foreign table, dblink) cannot be reached",
        f"Bring that server up, or remove the table from the catalog. {_LATER}",
    ),
    "22": ("a value is invalid in an expression", _ROW),
    "23": ("a value breaks a constraint of its type", _ROW),
    "42": ("its definition refers to something that does not exist or has changed", _BEHIND),
    "53": ("the server is out of a resource", _LATER),
    "54": ("it exceeds a limit of the server", _BEHIND),
    "57": ("the server, or one that it reads from, ended the statement", _LATER),
    "58": ("the server's operating system reported an error", "Look into the server's log."),
    "HV": (
        "the foreign server that it reads from refused or failed",
        f"Read the foreign table by itself, with the sync's user. {_LATER}",
    ),
    "P0": (
        "a function that it calls raised an error of its own, whose text is not shown since it may hold values",
        _BEHIND,
    ),
    "XX": ("the server had an internal error", "Look into the server's log."),
}
_RETRYABLE = ("08", "53", "57", "58", "72", "HV")
_NAME = r'(?:"[^"]+"|\S+)'
_NAMES_ONLY = {
    "08001": rf"could not connect to server {_NAME}",
    "42501": rf"permission denied for (?:(?:foreign |materialized )?[a-z-]+(?: [a-z]+)?) {_NAME}",
    "42703": rf"column {_NAME} does not exist",
    "42883": r"function [\w.]+\([\w ,.\[\]]*\) does not exist",
    "42P01": rf"relation {_NAME} does not exist",
    "55000": rf"materialized view {_NAME} has not been populated",
}
"""The sentences of the server that are shown: they hold names of the catalog."""
_DO = {
    "has not been populated": "Fill it at the source with REFRESH MATERIALIZED VIEW, or remove it from the catalog.",
    "permission denied": "GRANT SELECT on it (and USAGE on its schema) to the sync's user.",
}


def source_error(
    error: Exception, *, what: str, lost: bool = False, limits: Mapping[str, Limit] | None = None
) -> DataPlatformError:
    """A readable error for a failed statement; the kind says whether to try again.

    ``lost``: our own connection is gone, as who holds it found by asking it. ``limits`` are what the role and the
    server have set.
    """
    if isinstance(error, DataPlatformError):
        return error
    if lost:
        return SourceUnreachable(f"{what} failed: {ended_by(error, limits or {}) or LOST}")
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate in OF_A_STATEMENT:
        return SourceUnreachable(f"{what} failed: {ended_by(error, limits or {})}")
    if sqlstate == "57014":
        own = (limits or {}).get(STATEMENT, STATEMENT)
        return SourceUnreachable(
            f"{what} took longer than {own} and was cancelled, unless somebody cancelled it (pg_cancel_backend)."
            " Raise that limit or read from a replica (replica_url_env)."
        )
    if sqlstate == "40001":  # what only reads, and is not serializable, conflicts with nothing but replay
        return SourceUnreachable(f"{what}: {IN_THE_WAY_OF_REPLAY}")
    if sqlstate in LOCK_CODES:
        return TableLocked(
            f"{what} would have waited for a lock that another session holds or waits for (a migration, a"
            f" TRUNCATE?), so it was cancelled. Nothing was committed. {_LATER}"
        )
    if sqlstate in ("22021", "22P05"):
        return ValueNotKept(f"{what} failed: {NOT_CHARACTERS}")
    if sqlstate == "42501":
        return SourceError(_not_permitted(error, what))
    if sqlstate is None:
        return SourceError(
            f"{what} failed ({type(error).__name__}). The reason is not shown since it may hold values."
        )
    reason, do = _REASONS.get(sqlstate) or _CLASSES.get(
        sqlstate[:2], ("the server refused the statement", _BEHIND)
    )
    if said := _said(error):
        reason = said
        do = next((way for words, way in _DO.items() if words in said), do)
    kind = SourceUnreachable if sqlstate[:2] in _RETRYABLE else SourceError
    return kind(f"{what} failed: {reason}{_named(error)} (SQLSTATE {sqlstate}). {do}")


def _not_permitted(error: Exception, what: str) -> str:
    if getattr(getattr(error, "diag", None), "source_file", None) == "rls.c":
        return (
            f"{what} is not permitted: a row-level security policy would hide rows from the sync's user, so that"
            " they would be missing silently. Give that user BYPASSRLS, or read a view whose owner the policy"
            " does not bind."
        )
    said = _said(error)
    return (
        f"{what} is not permitted{f': {said}' if said else ''}. GRANT SELECT on it (and USAGE on its schema) to"
        " the sync's user; under row-level security the user also needs BYPASSRLS, or rows would be missing silently."
    )


def _said(error: Exception) -> str | None:
    """The server's own sentence where it holds names alone; None for any other."""
    diag, sqlstate = getattr(error, "diag", None), getattr(error, "sqlstate", None)
    pattern = _NAMES_ONLY.get(sqlstate or "")
    if pattern is None or not _by_the_server(diag):
        return None
    message = diag.message_primary if diag else None
    return message if message and re.fullmatch(pattern, message) else None


def _named(error: Exception) -> str:
    """The constraint or type that the server names."""
    diag = getattr(error, "diag", None)
    if diag is None or not _by_the_server(diag):
        return ""
    if diag.constraint_name:
        return f" (the constraint {diag.constraint_name})"
    return f" (the type {diag.datatype_name})" if diag.datatype_name else ""


def _by_the_server(diag: Any) -> bool:
    """Not raised by a function in some language, nor handed on from another server: either may put anything
    into the text and the names. Both say where they were."""
    return diag is not None and not diag.context and not str(diag.source_file or "pl").startswith("pl")
