"""What Snowflake's client raises, in words of ours: which object, which right, what to do. Its own words may hold a value.

Numbers are those of the service ("002003 (02000)"). Names of objects are taken out of its words by pattern; nothing else is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from data_platform.errors import ConfigurationError, LoadRefused, QueryFailed, WarehouseError
from data_platform.warehouses import EngineError
from data_platform.warehouses.remote.engine import RelationMissing, Transient

EXISTS = (2002, 1430)
"""An object, a column: there already."""
MISSING = (2003, 2043)
_SESSION_GONE = (390111, 390112, 390114, 390104, 390103, 390195, 250002, 250003, 250005, 250006)
_LOCKED = (625, 628, 629, 635, 637, 638)
_TIMED_OUT = (604, 630)
_NO_COMPUTE = (606, 605, 610)
_STAGE = (100016, 100183, 91003, 91016, 3167, 253003, 253006, 253007)
_RIGHT = re.compile(r"Insufficient privileges to operate on ([a-z ]+) '([^']{1,300})'", re.IGNORECASE)
_RIGHT_WORD = re.compile(r"requires? (?:the )?'?([A-Z][A-Z ]{2,40})'? (?:privilege|on)")
_OBJECT = re.compile(r"(\w+) '([^']{1,300})' does not exist or not authorized", re.IGNORECASE)
_COLUMN = re.compile(r'column "(?:[^"\n]{1,255}"\[")?([^"\n:]{1,255})(?:":\d+\])?"', re.IGNORECASE)
_TOO_LARGE = re.compile(
    r"too long and would be truncated|LOB size|exceeds? the (?:maximum|limit)", re.IGNORECASE
)
_IN_TEXT = re.compile(r"\b(\d{6}) \(([0-9A-Z]{5})\): ")
_OF_STATEMENTS = ("42", "02", "08", "57")
"""Classes of SQL states of errors about statements, objects and connections. Any other may quote a value."""


@dataclass(frozen=True, slots=True)
class Place:
    """What an error is told with: how the warehouse is called, and who asks for what."""

    name: str
    user: str
    role: str
    compute: str
    database: str
    seconds: int


def translated(error: Exception, doing: str, place: Place) -> WarehouseError | ConfigurationError:
    """``error`` of the client library, raised while ``doing`` something. Never quotes its message."""
    import snowflake.connector.errors as sf

    number = _number(error)
    text = str(getattr(error, "msg", None) or error)
    state = str(getattr(error, "sqlstate", "") or "")
    if number in MISSING and (lost := _object(text, doing, place)):
        return lost
    if number in _STAGE or "remote file" in text or "stage area" in text:
        return WarehouseError(
            f"Snowflake could not read the stage while it should {doing} (error {number:06d}). Check that the stage's storage"
            " integration may read the landing bucket, and that the role has USAGE on the stage; for files that are sent"
            " from here, that this machine reaches the storage of the account."
        )
    if number == 3001 or "nsufficient privileges" in text:
        return _right(text, doing, place)
    if number in _NO_COMPUTE:
        return WarehouseError(
            f"Snowflake has no running warehouse to {doing}. Check that the warehouse {place.compute} exists, that"
            f" the role {place.role} has USAGE on it, that it resumes by itself (AUTO_RESUME), and that no resource monitor"
            " has suspended it."
        )
    if number in _LOCKED or (state == "57014" and "locked" in text):
        return Transient(
            f"Snowflake did not {doing}: another transaction holds the table. If nothing else loads, SHOW TRANSACTIONS"
            " names it; Snowflake ends one that is idle and in the way after five minutes.",
            session_lost=False,
        )
    if number in _TIMED_OUT:
        return WarehouseError(
            f"Snowflake was stopped while it should {doing}: it took longer than {place.seconds} seconds, or somebody"
            " cancelled it. Raise `timeout_seconds`, or take a larger warehouse."
        )
    if _TOO_LARGE.search(text):
        cell = f"a cell{_in_column(text, '')}"
        return LoadRefused(
            f"Snowflake did not {doing}: {cell} is larger than it can hold (16 MB of text, 8 MB of bytes). Nothing was loaded."
            " Leave the column out, or split it at its source."
        )
    if number == 100090:
        return LoadRefused(
            f"Snowflake did not {doing}: two rows of the batch have one key. Nothing was loaded."
        )
    if number in _SESSION_GONE or _is_broken(error, number):
        return Transient(
            f"The connection to Snowflake was lost while it should {doing} ({_named(error, number)}).",
            session_lost=True,
        )
    if isinstance(error, sf.ProgrammingError) and doing.startswith("answer"):
        return QueryFailed(
            f"The query did not run{_in_column(text)}: Snowflake refused it ({_named(error, number)}). Check its names and types."
        )
    return WarehouseError(
        f"Snowflake did not {doing}{_in_column(text)} ({_named(error, number)}). Its QUERY_HISTORY has the statement and the"
        " reason."
    )


def not_connected(error: Exception, place: Place) -> WarehouseError | ConfigurationError:
    """``error`` of a login."""
    number, text = _number(error), str(getattr(error, "msg", None) or error)
    if "JWT" in text or number in (390144, 390100, 394300, 394301, 394302, 394304):
        return ConfigurationError(
            f"Snowflake refused the key of the user {place.user} at {place.name}. Check that RSA_PUBLIC_KEY of the user is"
            " the public half of the key, that the account is spelled <organization>-<account>, and this machine's clock."
        )
    if number in (390186, 390189) or ("Role" in text and "not" in text):
        return ConfigurationError(
            f"The role {place.role} does not exist at {place.name}, or the user {place.user} does not have it:"
            f" GRANT ROLE {place.role} TO USER {place.user}."
        )
    if number in (390422, 390420) or ("IP" in text and "allowed" in text):
        return ConfigurationError(
            f"A network policy of {place.name} does not admit this machine's address. Add it, or connect by PrivateLink."
        )
    return Transient(
        f"Snowflake could not be reached at {place.name} ({_named(error, number)}). Check the account's name, the network and"
        " https://status.snowflake.com.",
        session_lost=True,
    )


def error_in(text: str) -> EngineError | None:
    """``WarehouseConfig.error_in``: Snowflake's number and state introduce each of its errors."""
    found = _IN_TEXT.search(text)
    if found is None:
        return None
    named = found[2].startswith(_OF_STATEMENTS) and found[2] != "22000"
    summary = (
        f"Snowflake's error {found[1]} ({found[2]}). Its QUERY_HISTORY has the statement and the reason."
    )
    return EngineError(found.start(), named, summary)


def _object(text: str, doing: str, place: Place) -> WarehouseError | None:
    found = _OBJECT.search(text)
    kind, name = (found[1].lower(), found[2]) if found else ("", "")
    match kind:
        case "database":
            return WarehouseError(
                f"There is no database {name} at {place.name}, or the role {place.role} has no USAGE on it. Create it:"
                f" CREATE DATABASE {name}; GRANT ALL ON DATABASE {name} TO ROLE {place.role}."
            )
        case "stage":
            return WarehouseError(
                f"There is no stage {name} at {place.name}, or the role {place.role} has no USAGE on it. Check `stage` of the"
                " environment's warehouse."
            )
    return RelationMissing(
        f"The query did not run: a table or a schema that it needs is not in {place.name}."
    )


def _right(text: str, doing: str, place: Place) -> WarehouseError:
    found = _RIGHT.search(text)
    kind, name = (found[1].upper().strip(), found[2]) if found else ("DATABASE", place.database)
    word = _RIGHT_WORD.search(text)
    right = (
        word[1].strip()
        if word
        else {"SCHEMA": "ALL", "DATABASE": "ALL", "STAGE": "USAGE"}.get(kind, "OWNERSHIP")
    )
    return WarehouseError(
        f"The role {place.role} lacks a right on the {kind.lower()} {name} to {doing}. An administrator gives it:"
        f" GRANT {right} ON {kind} {name} TO ROLE {place.role}."
    )


def _in_column(text: str, comma: str = ",") -> str:
    found = _COLUMN.search(text)
    return f"{comma} in the column {found[1]}" if found else ""


def _number(error: Exception) -> int:
    number = getattr(error, "errno", None)
    return number if isinstance(number, int) and number >= 0 else 0


def _named(error: Exception, number: int) -> str:
    return f"error {number:06d}" if number else type(error).__name__


def _is_broken(error: Exception, number: int) -> bool:
    """A connection, an answer or the service is not there: whether it did what it was told is not known."""
    import snowflake.connector.errors as sf

    return (
        isinstance(error, sf.OperationalError)
        or not isinstance(error, sf.DatabaseError)
        or 290000 <= number < 292000
    )
