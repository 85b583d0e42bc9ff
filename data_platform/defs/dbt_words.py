"""Describes dbt's results in sentences without a value of a row. Pure.

The sentence about a test is made from the manifest. The sentence about a model is dbt's own, without
anything that may quote a row. If a model failed because another process holds the warehouse's file,
the sentence names that process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from data_platform.printable import printable
from data_platform.warehouses import EngineError
from data_platform.words import plural

FAILED = ("error", "fail", "runtime error")
DBTS_OWN = ("Dependency Error", "Compilation Error")
"""Kinds of errors that dbt raises about models. Any other kind is the engine's, which may quote a value."""
_HEAD = re.compile(r"^(Runtime|Database|Compilation|Dependency|Unhandled) Error( in .*)?$")
_END = re.compile(r"^(LINE \d+:|compiled code at|> in macro|Candidate bindings|\s*\^)")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Engine(Protocol):
    """What is asked of a ``WarehouseConfig``."""

    def held_by(self, message: str) -> str | None: ...
    def error_in(self, text: str) -> EngineError | None: ...


def error_sentence(message: str, engine: Engine) -> str:
    """The useful part of dbt's ``message`` about a model that failed."""
    text = printable(_ESCAPES.sub("", message))
    held = engine.held_by(text)
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
    if dbts_own or said.startswith(DBTS_OWN):
        return said
    error = engine.error_in(said)
    if error is not None and error.names_only and error.start == 0:
        return said
    return _without_values(engine.error_in(text))


def output(text: str, engine: Engine) -> str:
    """A line that dbt prints, for the run's output. If an engine's error may quote a row, only its kind is kept."""
    text = printable(_ESCAPES.sub("", text))
    error = engine.error_in(text)
    if error is None or error.names_only or text[error.start :].startswith(DBTS_OWN):
        return text
    return f"{text[: error.start]}{_without_values(error)}\n"


def _without_values(error: EngineError | None) -> str:
    if error is None:
        return "dbt failed with an error whose text may quote a row. See the log in its folder under `dbt/target`."
    return f"{error.summary} Its text is not shown because it may hold a value."


def test_sentence(test: Mapping[str, Any], relations: Mapping[str, str], rows: int) -> str:
    """A sentence about the failing ``test``, a node of the manifest, that found ``rows``. ``relations`` maps the
    ids of models to their names. A test that counts something else than rows names it in its ``meta``: ``counts: cent``."""
    about = test.get("test_metadata") or {}
    arguments = about.get("kwargs") or {}
    owner = test.get("attached_node") or next(iter(reversed(test["depends_on"]["nodes"])), "")
    table = relations.get(owner, owner.rsplit(".", 1)[-1])
    column = test.get("column_name") or arguments.get("column_name") or ""
    meta = (test.get("config") or {}).get("meta") or test.get("meta") or {}
    counted = plural(rows, str(meta.get("counts") or "row"))
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
