"""Why a read failed, as a person can act on it; never with a value of a row.

The engine's messages quote statements and values: what is known is said anew, of the rest only
what stands before the first thing in quotes is kept.
"""

from __future__ import annotations

import re

from data_platform.errors import SourceError, SourceUnreachable, StoreFull, ValueNotKept
from data_platform.sources.postgres.connection import IN_THE_WAY_OF_REPLAY, in_the_way_of_replay, redact
from data_platform.sources.postgres.types import NOT_KEPT, quote, refused_value, way_out


def readable(error: Exception, label: str, conninfo: str, memory: str) -> Exception:
    """What to tell of a read of ``label`` that failed in a reader of so much ``memory``."""
    text = redact(str(error), conninfo)
    kind = type(error).__name__
    if isinstance(error, ValueNotKept):
        return error
    if found := refused_value(text):
        return not_kept(label, *found)
    if "invalid byte sequence for encoding" in text or "has no equivalent in encoding" in text:
        return ValueNotKept(
            f"{label}: a text holds bytes that are no characters of the database's encoding, or none"
            " that UTF-8 has. Correct it at the source, or read a view that says what they are:"
            " `convert_from(textsend(column), 'LATIN1')`."
        )
    if "No space left" in text:
        return StoreFull(
            f"{label}: the disk of the landing store is full. Nothing was committed; free space"
            " and run the sync again."
        )
    if does_not_fit(error):
        return ValueNotKept(
            f"{label}: a row is too large for the {memory} that a reader has, or rows of a view"
            " are. Read a view that leaves the large column out or cuts it; of a view with rows of 90 kB and"
            " more, its table."
        )
    if in_the_way_of_replay(error):
        return SourceUnreachable(f"{label}: {IN_THE_WAY_OF_REPLAY}")
    if connection_lost(error):
        return SourceUnreachable(f"{label}: the connection to the source was lost. Run the sync again.")
    if "canceling statement due to lock timeout" in text:
        return SourceUnreachable(
            f"{label}: somebody waits to change the table (ALTER, TRUNCATE) while it was to be read, and"
            " this sync gave way. Nothing was committed; it will be read at the next sync."
        )
    if "canceling statement due to statement timeout" in text:
        return SourceUnreachable(
            f"{label}: the read took longer than statement_timeout_seconds and was cancelled."
        )
    return SourceError(f"{label}: the read failed ({kind}): {_shorten(text)}.")


def does_not_fit(error: Exception) -> bool:
    return type(error).__name__ == "OutOfMemoryException"


def connection_lost(error: Exception) -> bool:
    text = str(error)
    return any(
        sign in text
        for sign in (
            "server closed the connection",
            "terminating connection",
            "connection to server",
            "no connection",
        )
    )


def not_kept(label: str, column: str, why: str) -> ValueNotKept:
    finding = f" Find it with `WHERE {quote(column)} = 'NaN'`." if why == "nan" else ""
    return ValueNotKept(
        f"{label}: the column {column} {NOT_KEPT[why]}.{finding} Correct it at the source, or land the"
        f" column as text: {way_out(column)}."
    )


_QUOTABLE = re.compile(
    r"""(?:(?:relation|table|column|schema|type|function|operator|role|database|view) "[^"]*"|[^"'])*""", re.S
)


def _shorten(text: str) -> str:
    """The engine's message without the statement, up to the first thing in quotes that is not the name
    of something: it may be a value of a row."""
    text = re.split(r"(?:\bLINE \d+:|DETAIL:|CONTEXT:|Input:|Failed to execute query)", text, maxsplit=1)[0]
    said = _QUOTABLE.match(text)
    kept = said[0] if said else ""
    return (kept if kept == text else kept + "…").strip()[:300].rstrip(".:")
