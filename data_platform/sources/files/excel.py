"""A sheet of an Excel workbook as a CSV file of texts: each cell's value as the workbook stores it.

A number has the digits that it is stored with, a date or time is ISO 8601, an empty cell is NULL. Of a formula it is the
value that was computed when the workbook was saved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from data_platform.errors import ConfigurationError, SourceError
from data_platform.sources.files.config import ExcelKeys

RANGE = re.compile(r"([A-Z]{1,3})([1-9]\d{0,6}):([A-Z]{1,3})([1-9]\d{0,6})?")
_MIDNIGHT = time()


class Area(NamedTuple):
    """The cells of a range; ``None`` is as far as there are any."""

    first_row: int = 1
    last_row: int | None = None
    first_column: int = 1
    last_column: int | None = None


def area(text: str | None) -> Area:
    """Of ``B3:F200``, or ``B3:F`` for all rows from the third. ValueError where it is no range."""
    if text is None:
        return Area()
    found = RANGE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no range: write such as B3:F200, or B3:F for all rows from the third")
    left, top, right, bottom = found.groups()
    made = Area(int(top), int(bottom) if bottom else None, _number(left), _number(right))
    if made.first_column > (made.last_column or 0) or (made.last_row or made.first_row) < made.first_row:
        raise ValueError(f"{text!r} is no range: its end is before its beginning")
    return made


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def as_csv(path: Path, file: str, keys: ExcelKeys, into: Path) -> tuple[str, ...]:
    """Write the rows of ``file``, whose bytes are at ``path``, to the CSV file ``into`` without a header. Gives the names of
    its columns, none where the range is empty. SourceError where the sheet is missing."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with _rows(path, file, keys) as rows, into.open("w", encoding="utf-8", newline="") as target:
        names = keys.header if isinstance(keys.header, tuple) else _header(rows)
        for row in rows:
            cells = _trimmed(row)
            if cells:
                cells += [None] * (len(names) - len(cells))
                target.write(",".join(map(_field, cells)) + "\n")
    return names


def sheets(path: Path, file: str) -> list[str]:
    with _workbook(path, file) as book:
        return [sheet.title for sheet in book.worksheets]


def _header(rows: Iterator[Sequence[Any]]) -> tuple[str, ...]:
    return tuple("" if cell is None else _text(cell) for cell in _trimmed(next(rows, ())))


def _trimmed(row: Iterable[Any]) -> list[Any]:
    """Without the empty cells at its end."""
    cells = list(row)
    while cells and cells[-1] is None:
        cells.pop()
    return cells


def _field(cell: Any) -> str:
    return "" if cell is None else '"' + _text(cell).replace('"', '""') + '"'


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else format(Decimal(repr(cell)), "f")
    if isinstance(cell, datetime):
        return (cell.date() if cell.time() == _MIDNIGHT else cell).isoformat()
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    return str(cell)


@contextmanager
def _rows(path: Path, file: str, keys: ExcelKeys) -> Iterator[Iterator[Sequence[Any]]]:
    with _workbook(path, file) as book:
        known = [sheet.title for sheet in book.worksheets]
        wanted = keys.sheet if keys.sheet is not None else known[0]
        if wanted not in known:
            raise SourceError(
                f"{file}: it has no sheet {wanted!r}. It has: {', '.join(map(repr, known))}. Correct `excel: {{sheet: ...}}`."
            )
        sheet, cells = book[wanted], area(keys.range)
        sheet.reset_dimensions()  # what a workbook says of its size is often wrong
        yield sheet.iter_rows(
            cells.first_row, cells.last_row, cells.first_column, cells.last_column, values_only=True
        )


@contextmanager
def _workbook(path: Path, file: str) -> Iterator[Any]:
    try:
        import openpyxl
    except ImportError:
        raise ConfigurationError(
            f"{file}: Excel files need the extra: pip install 'data-platform[files]'."
        ) from None
    import warnings
    from zipfile import BadZipFile

    warnings.filterwarnings("ignore", module="openpyxl")  # about styles, which no table has
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with path.open("rb") as stream:
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
            try:
                yield book
            finally:
                book.close()
    except (BadZipFile, InvalidFileException, KeyError, ValueError, SyntaxError) as error:
        raise SourceError(
            f"{file}: it is no .xlsx workbook that can be read ({type(error).__name__}). One with a password, or an old .xls,"
            " must be saved as .xlsx without one."
        ) from None
