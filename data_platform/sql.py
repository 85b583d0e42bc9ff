"""Names and texts in a SQL statement, for what no engine can bind as a value."""

from __future__ import annotations

from collections.abc import Sequence


def quoted(name: str) -> str:
    """``name`` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """``text`` as a string literal."""
    return "'" + text.replace("'", "''") + "'"


def json_path(keys: Sequence[str]) -> str:
    """The path that leads from a JSON document to the value under ``keys``. ValueError for a key with a quotation mark, which not
    every engine can name."""
    if any('"' in key for key in keys):
        raise ValueError('a key with a " in it cannot be named in a path')
    return "$." + ".".join(f'"{key}"' for key in keys)
