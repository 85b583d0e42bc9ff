"""The records of a file of JSON as they are written, some at a time and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from data_platform.errors import SourceError
from data_platform.sources.files.config import FileSettings
from data_platform.sources.files.json_array import LONGEST, PIECE, elements
from data_platform.sources.files.opened import format_of
from data_platform.sources.files.unpack import opened

_UTF_8_MARK = b"\xef\xbb\xbf"


class Some(NamedTuple):
    """``origins`` say for people where each record is."""

    records: list[bytes]
    origins: list[str]


def documents(path: Path, file: str, settings: FileSettings) -> Iterator[Some]:
    """The records of ``file``, whose bytes are at ``path``. SourceError where it is not what it is said to be."""
    with opened(path, file) as stream:
        if format_of(file, settings) == "ndjson":
            yield from _lines(stream, file)
        else:
            number = 1
            for records in elements(stream, file, settings.array):
                yield Some(records, [f"{file}, record {number + n}" for n in range(len(records))])
                number += len(records)


def _lines(stream: IO[bytes], file: str) -> Iterator[Some]:
    rest, number = b"", 1
    while piece := stream.read(PIECE):
        if number == 1 and not rest:
            piece = piece.removeprefix(_UTF_8_MARK)
            if piece[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise SourceError(f"{file}: it is UTF-16, and JSON is UTF-8. Have it written again.")
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        if len(rest) > LONGEST:
            raise SourceError(
                f"{file}, line {number + len(lines)}: it is longer than {LONGEST >> 20} MB. Correct `format` of the table,"
                " or have the file written again."
            )
        if lines:
            yield _numbered(lines, file, number)
            number += len(lines)
    if rest:
        yield _numbered([rest], file, number)


def _numbered(lines: list[bytes], file: str, first: int) -> Some:
    """The ``lines`` that are not blank."""
    records = list(map(bytes.strip, lines))
    kept = [(record, f"{file}, line {first + n}") for n, record in enumerate(records) if record]
    return Some([record for record, _ in kept], [origin for _, origin in kept])
