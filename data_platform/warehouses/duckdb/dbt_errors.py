"""DuckDB's errors as dbt passes them on, found in its text and judged by what they may quote."""

from __future__ import annotations

import re

from data_platform.engine_errors import reason
from data_platform.warehouses import EngineError

QUOTES_SQL_ONLY = frozenset(
    ("Binder", "Catalog", "Parser", "Syntax", "IO", "Permission", "Out of Memory", "Not implemented", "Dependency")
)  # fmt: skip
"""Kinds of errors about statements and files. Any other kind may quote a value."""
_ERROR = re.compile(r"\b([A-Z][a-z]+(?: [A-Za-z]+){0,2}|IO) Error: ")
_COLUMN = re.compile(r"when casting from source column (\w+)\s*(?:LINE \d+:.*)?\Z", re.DOTALL)


def error_in(text: str) -> EngineError | None:
    """The first error in ``text``. A value may contain anything, even a quote or an empty line, so it cannot be cut
    out: of an error that may quote one, the kind is told, and the column if the engine names one."""
    found = _ERROR.search(text)
    if found is None:
        return None
    name = "".join(word.capitalize() for word in found[1].split()) + "Exception"
    column = _COLUMN.search(text)
    where = f", in the source column {column[1]}" if column else ""
    return EngineError(
        found.start(), found[1] in QUOTES_SQL_ONLY, f"{found[1]} Error{where}: {reason(name)}."
    )
