"""Makes text from sources and other places safe to show in the UI. No other module decides this.

Dagster renders descriptions and Markdown metadata. An image in them would make a reader's browser fetch an
address that a row's value or a table's comment has chosen. Rows and lines are therefore shown as tables, in
which nothing is rendered. In descriptions, the characters that form a link, an image or HTML are escaped.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from data_platform.printable import printable, printable_line

CELL_CHARACTERS = 60
LINE_CHARACTERS = 500
ESCAPED = r"\\`\[\]<"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> dg.TableMetadataValue:
    """Rows as a table: every value is text, NULL is empty."""
    names = [printable_line(name) for name in columns]
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {name: _text(value, CELL_CHARACTERS) for name, value in zip(names, row, strict=True)}
            )
            for row in rows
        ],
        schema=dg.TableSchema([dg.TableColumn(name) for name in names]),
    )


def records(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Rows that name their columns; all have the same columns."""
    columns = list(rows[0]) if rows else []
    return table(columns, [[row[column] for column in columns] for row in rows])


def lines(heading: str, texts: Iterable[object]) -> dg.TableMetadataValue:
    """A list of sentences under ``heading``."""
    return dg.MetadataValue.table(
        records=[dg.TableRecord({heading: _text(text, LINE_CHARACTERS)}) for text in texts],
        schema=dg.TableSchema([dg.TableColumn(heading)]),
    )


def plot(sentence: str, svg: str) -> dg.MarkdownMetadataValue:
    """A sentence, and an image that holds its own data: no reader's browser fetches anything."""
    data = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"{description(sentence)}\n\n![plot](data:image/svg+xml;base64,{data})")


def description(text: str | None) -> str | None:
    """Text for a description. Emphasis and lists are rendered; links, images, HTML and code are not. In code,
    the escapes would be visible, and its end would be ambiguous."""
    return None if text is None else re.sub(f"[{ESCAPED}]", r"\\\g<0>", printable(text))


def plain(described: str) -> str:
    """The text that ``description`` was made from, for places where nothing is rendered."""
    return re.sub(rf"\\([{ESCAPED}])", r"\1", described)


def code(text: str) -> str:
    """Text inside a description in which nothing is rendered: a code span that its own backticks cannot end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{pad}{printable_line(text)}{pad}{fence}"


def code_in_cell(text: str) -> str:
    """``code`` in a cell of a Markdown table."""
    return code(" ".join(text.split())).replace("|", "\\|")


def _text(value: object, most: int) -> str:
    text = "" if value is None else printable_line(" ".join(str(value).split()))
    return text if len(text) <= most else text[: most - 1] + "…"
