"""The comparison as one Markdown table and as JSON, and read back from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.exactness.run import Cell


@dataclass
class Column:
    """One tool: its versions once it is installed, else the reason why it is not, and its cells."""

    name: str
    title: str
    setup: str
    at: str
    postgres: str
    versions: str | None = None
    error: str | None = None
    cells: list[Cell] = field(default_factory=list)

    def cell(self, case: str) -> Cell | None:
        return next((cell for cell in self.cells if cell.case == case), None)


def table(columns: Sequence[Column], titles: Mapping[str, str]) -> str:
    """What ran, then cases down and tools across."""
    lines = [f"{', '.join(sorted({f'{column.postgres}, {column.at}' for column in columns}))}:", ""]
    lines += [f"- {column.title}: {column.setup}; {column.error or column.versions}" for column in columns]
    lines += ["", _line(["case", *(column.title for column in columns)])]
    lines.append(_line(["---"] * (len(columns) + 1)))
    for name, title in titles.items():
        cells = [column.cell(name) for column in columns]
        if any(cells):
            lines.append(_line([title, *(cell.words() if cell else "not run" for cell in cells)]))
    return "\n".join(lines)


def document(columns: Sequence[Column]) -> dict[str, Any]:
    return {"tools": [asdict(column) for column in columns]}


def columns_of(documents: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns of several runs; where two ran the same tool and case, the later one counts."""
    columns: dict[str, Column] = {}
    for column in (column for written in documents for column in written["tools"]):
        earlier = columns.get(column["name"])
        cells = {cell.case: cell for cell in earlier.cells} if earlier else {}
        cells |= {cell["case"]: Cell(**cell) for cell in column["cells"]}
        columns[column["name"]] = Column(**{**column, "cells": list(cells.values())})
    return list(columns.values())


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
