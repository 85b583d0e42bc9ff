"""Describes dbt's results in sentences without a value of a row. Pure.

The sentence about a test is made from the manifest. The sentence about a model is dbt's own, without
anything that may quote a row. If a model failed because another process holds the warehouse's file,
the sentence names that process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from data_platform.engine_errors import reason
from data_platform.printable import printable
from data_platform.words import plural

FAILED = ("error", "fail", "runtime error")
QUOTES_SQL_ONLY = (
    "Binder Error", "Catalog Error", "Parser Error", "Syntax Error", "IO Error", "Permission Error",
    "Out of Memory Error", "Not implemented Error", "Dependency Error", "Compilation Error",
)  # fmt: skip
"""Kinds of errors that DuckDB and dbt raise about statements and files. Any other kind may quote a value."""
_HEAD = re.compile(r"^(Runtime|Database|Compilation|Dependency|Unhandled) Error( in .*)?$")
_END = re.compile(r"^(LINE \d+:|compiled code at|> in macro|Candidate bindings|\s*\^)")
_ENGINES = re.compile(r"\b([A-Z][a-z]+(?: [A-Za-z]+){0,2}) Error: ")
"""The beginning of the engine's messages."""
_COLUMN = re.compile(r"when casting from source column (\w+)\s*(?:LINE \d+:.*)?\Z", re.DOTALL)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


HeldBy = Callable[[str], str | None]
"""``WarehouseConfig.held_by``: who holds the warehouse, if the engine's message says that somebody does."""


def error_sentence(message: str, held_by: HeldBy) -> str:
    """The useful part of dbt's ``message`` about a model that failed."""
    text = printable(_ESCAPES.sub("", message))
    held = held_by(text)
    if held is not None:
        return f"The warehouse is held by {held}. Wait until it finishes, or end it; then run this again."
    lines: list[str] = []
    for line in text.splitlines():
        if lines and (not line.strip() or _END.match(line.strip())):
            break
        if line.strip() and not _HEAD.match(line.strip()):
            lines.append(line.strip())
    said = " ".join(lines) or "dbt gave no reason. See the run's output."
    dbts_own = not lines or text.lstrip().startswith("Compilation Error")
    return said if dbts_own or said.startswith(QUOTES_SQL_ONLY) else _without_values(text)


def output(text: str) -> str:
    """A line that dbt prints, for the run's output. If an engine's error may quote a row, only its kind is kept."""
    text = printable(_ESCAPES.sub("", text))
    found = _ENGINES.search(text)
    if found is None or f"{found[1]} Error" in QUOTES_SQL_ONLY:
        return text
    return f"{text[: found.start()]}{_without_values(text)}\n"


def _without_values(text: str) -> str:
    """The kind of an error, and the column if the engine names one. A value may contain anything, even a quote or
    an empty line, so it cannot be cut out of the text: only what is known to be a name is shown."""
    found = _ENGINES.search(text)
    if found is None:
        return "dbt failed with an error whose text may quote a row. See the log in its folder under `dbt/target`."
    name = "".join(word.capitalize() for word in found[1].split()) + "Exception"
    column = _COLUMN.search(text)
    where = f", in the source column {column[1]}" if column else ""
    return f"{found[1]} Error{where}: {reason(name)}. Its text is not shown because it may hold a value."


def test_sentence(test: Mapping[str, Any], relations: Mapping[str, str], rows: int) -> str:
    """A sentence about the failing ``test``, a node of the manifest, that found ``rows``. ``relations`` maps the
    ids of models to their names."""
    about = test.get("test_metadata") or {}
    arguments = about.get("kwargs") or {}
    owner = test.get("attached_node") or next(iter(reversed(test["depends_on"]["nodes"])), "")
    table = relations.get(owner, owner.rsplit(".", 1)[-1])
    column = test.get("column_name") or arguments.get("column_name") or ""
    counted = plural(rows, "row")
    match about.get("name"):
        case "not_null":
            return f"{table} has {counted} without {column}."
        case "unique":
            return f"{table} has {plural(rows, 'value')} of {column} in more than one row."
        case "unique_together":
            columns = ", ".join(arguments.get("columns", ()))
            return f"{table} has {plural(rows, 'combination')} of {columns} in more than one row."
        case "accepted_values":
            return f"{table} has {plural(rows, 'value')} of {column} outside the list of accepted values."
        case "relationships":
            thing = column.removesuffix("_id").replace("_", " ")
            found = re.search(r"ref\('([^']+)'\)", str(arguments.get("to", "")))
            where = next((r for r in relations.values() if found and r.endswith(f".{found[1]}")), "")
            tail = f": {column} is not in {where}" if where else ""
            return f"{table} has {counted} whose {thing} is missing{tail}."
        case _:
            said = " ".join((test.get("description") or "").split())
            return f"{table}: the test {test['name']} finds {counted}" + (f". {said}" if said else ".")
