"""The record of processing as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data_platform.printable import printable_line

MISSING = "*not said*"


def markdown(record: Mapping[str, Any]) -> str:
    return "\n".join(_lines(record)) + "\n"


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    yield "# Record of processing activities"
    yield ""
    yield f"Art. 30(1) GDPR. Environment {_cell(record['environment'])}, written at {record['written_at']} from the catalog."
    yield from _heading("Controller (a)")
    for role, name in (("Controller", "controller"), ("Data protection officer", "officer")):
        party = record[name]
        yield (
            f"- {role}: {_cell(party['name'])}, {_cell(party['contact'])}"
            if party
            else f"- {role}: {MISSING}"
        )
    yield from _heading("Purposes, people and data (b, c)")
    for one in record["activities"]:
        yield from _activity(one)
    yield from _heading("What people are asked to agree to")
    yield from _table(
        record["consents"], ("people", "purpose", "description", "versions", "otherwise", "answers")
    )
    yield from _heading("Personal columns that people read")
    yield from _table(record["read_by_people"], ("table", "column", "class", "sources"))
    yield from _heading("Recipients (d)")
    yield from _table(record["recipients"], ("what", "to", "data", "note"))
    yield from _heading("Where data is, and transfers (e)")
    yield from _table(record["places"], ("what", "kind", "place", "region"))
    yield from _heading("Time limits (f)")
    yield from _table(record["retention"], ("what", "kept"))
    yield from _heading("Safeguards (g)")
    yield from (f"- {one}" for one in record["safeguards"])
    yield from _heading("What is missing")
    yield from (
        f"- {printable_line(one)}" for one in record["gaps"] or ["Nothing that the catalog could say."]
    )


def _activity(one: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {_cell(one['source'])}: {_cell(one['system'])}"
    yield ""
    if one["description"]:
        yield _cell(one["description"])
        yield ""
    yield f"- Purpose: {_cell(one['purpose'] or MISSING)}"
    yield f"- People: {_cell(', '.join(one['people']) or MISSING)}"
    yield f"- Legal basis: {_cell(one['basis'] or MISSING)}"
    if one["retention"]:
        yield f"- Kept: {_cell(one['retention'])}"
    if one["owner"]:
        yield f"- Owner: {_cell(one['owner'])}"
    yield ""
    rows = [{"table": table["table"], **column} for table in one["tables"] for column in table["data"]]
    yield from _table(rows, ("table", "column", "meaning", "treatment", "class"))
    yield ""


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield f"## {text}"
    yield ""


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    if not rows:
        yield "None."
        return
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        values = [", ".join(v) if isinstance(v := row[name], list) else str(v or "") for name in columns]
        yield f"| {' | '.join(map(_cell, values))} |"


def _cell(text: str) -> str:
    """Text of the catalog on one line, in which nothing is rendered as a link, an image, HTML or a cell's end."""
    if text == MISSING:
        return text
    plain = printable_line(" ".join(text.split()))
    for mark in ("\\", "|", "<", "[", "]", "`", "*"):
        plain = plain.replace(mark, "\\" + mark)
    return plain
