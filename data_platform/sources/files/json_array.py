"""The elements of an array in a JSON file as they are written, in bounded memory.

No library gives the text of single elements while it reads. So their ends are found here: the bytes that are outside of
strings, and how deep each of them is. Whether an element is JSON is asked of whoever decodes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from data_platform.errors import SourceError

if TYPE_CHECKING:
    import numpy as np

PIECE = 1 << 18
LONGEST = 64 * 2**20
"""Bytes of one record."""
_TOKEN = re.compile(rb'\s*(?:"((?:[^"\\]|\\.)*)"|([{}\[\]:,])|[^\s"{}\[\]:,]+)', re.DOTALL)
_ESCAPED = re.compile(rb"\\.", re.DOTALL)


def elements(stream: IO[bytes], file: str, path: Sequence[str]) -> Iterator[list[bytes]]:
    """Some elements at a time. SourceError where there is no array at ``path``, or it is cut off."""
    rest, depth = _begin(stream, file, path)
    scan, held, size, first = _Scan(), list[bytes](), 0, True
    while True:
        piece, at, ends, closed = scan(rest)
        found = []
        for end in ends:
            found.append(b"".join((*held, piece[at:end])).strip())
            held, size, at = [], 0, end + 1
        if closed and first and found == [b""]:
            found = []
        first = first and not found
        if found:
            yield found
        if closed:
            _check_end(stream, file, piece[at:], depth)
            return
        held.append(piece[at:])
        size += len(held[-1])
        if size > LONGEST:
            raise SourceError(f"{file}: a record of its array is longer than {LONGEST >> 20} MB.")
        rest = stream.read(PIECE)
        if not rest:
            raise SourceError(
                f"{file}: it is cut off, for its array has no end. Nothing of it landed. Have it written again."
            )


class _Scan:
    """Finds where elements end, across pieces."""

    def __init__(self) -> None:
        self._inside = self._depth = 0
        self._kept = b""

    def __call__(self, piece: bytes) -> tuple[bytes, int, list[int], bool]:
        """The bytes that were looked at, where their first element goes on, where elements end in them, and
        whether the array does with the last of these."""
        import numpy as np

        piece, self._kept = self._kept + piece, b""
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            piece, self._kept = piece[:-1], b"\\"
        inside, depth = structure(piece, self._inside, self._depth)
        codes = np.frombuffer(piece, np.uint8)
        last = np.flatnonzero(depth < 0)[:1]
        until = int(last[0]) if len(last) else len(piece)
        ends = np.flatnonzero((codes[:until] == 0x2C) & (depth[:until] == 0) & (inside[:until] == 0))
        found: list[int] = ends.tolist()
        if len(last):
            return piece, 0, [*found, until], True
        if len(piece):
            self._inside, self._depth = int(inside[-1]), int(depth[-1])
        return piece, 0, found, False


def structure(piece: bytes, inside: int, depth: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Of each byte, whether it is within a string and how deep behind it one is. ``inside`` and ``depth`` are those
    before the first; no escape goes beyond the last."""
    import numpy as np

    plain = _ESCAPED.sub(b"__", piece) if b"\\" in piece else piece
    codes = np.frombuffer(plain, np.uint8)
    strings = (np.cumsum(codes == 0x22, dtype=np.int32) + inside) & 1
    folded = codes & 0xDF  # { and [ differ in this bit alone, and so do } and ]
    steps = (folded == 0x5B).astype(np.int8) - (folded == 0x5D).astype(np.int8)
    steps[strings == 1] = 0
    return strings, np.cumsum(steps, dtype=np.int32) + depth


def _begin(stream: IO[bytes], file: str, path: Sequence[str]) -> tuple[bytes, int]:
    """What was read behind the bracket that opens the array, and how many are open around it."""
    finder, buffer, at = _Finder(path), b"", 0
    while piece := stream.read(PIECE):
        buffer, at = buffer[at:] + (piece if finder.begun else piece.removeprefix(b"\xef\xbb\xbf")), 0
        finder.begun = True
        while match := _TOKEN.match(buffer, at):
            at = match.end()
            found = finder(match[1], match[2])
            if found is False:
                raise SourceError(_no_array(file, path, buffer))
            if found:
                return buffer[at:], finder.depth - 1
        if len(buffer) - at > LONGEST:
            break
    raise SourceError(_no_array(file, path, buffer))


class _Finder:
    """Follows the tokens of a document to the array at ``path``."""

    def __init__(self, path: Sequence[str]) -> None:
        self._path = [key.encode() for key in path]
        self._open: list[bytes | None] = []
        self._keys: list[bytes | None] = []
        self.begun = False

    @property
    def depth(self) -> int:
        return len(self._open)

    def __call__(self, text: bytes | None, mark: bytes | None) -> bool | None:
        """True with the array's bracket, False where something else is at the path."""
        if self._keys == self._path and mark not in (b":", b",", b"}", b"]"):
            self._open.append(mark)
            return mark == b"["
        if mark in (b"{", b"["):
            self._open.append(mark)
            self._keys.append(None)
        elif mark in (b"}", b"]"):
            if not self._open:
                return False
            self._open.pop()
            self._keys.pop()
        elif self._open and self._open[-1] == b"{":
            if mark == b",":
                self._keys[-1] = None
            elif text is not None and self._keys[-1] is None:
                self._keys[-1] = text
        return None


def _no_array(file: str, path: Sequence[str], buffer: bytes) -> str:
    if path:
        return f"{file}: there is no array at {'.'.join(path)}. Correct `json: {{path: ...}}` of the table."
    if buffer.lstrip()[:1] == b"{":
        return (
            f"{file}: it is an object and no array. Say where its records are with `json: {{path: ...}}`, or set `format:"
            " ndjson` where each line is one."
        )
    return f"{file}: it is no JSON array. Correct `format` of the table, or have the file written again."


def _check_end(stream: IO[bytes], file: str, rest: bytes, depth: int) -> None:
    """What stands behind the array closes what is open around it, and nothing more."""
    inside = 0
    while True:
        if depth == 0 and inside == 0 and rest.strip():
            raise SourceError(f"{file}: something stands behind its array. Have the file written again.")
        if (len(rest) - len(rest.rstrip(b"\\"))) % 2:
            rest += stream.read(1)
        if rest and depth:
            strings, depths = structure(rest, inside, depth)
            inside, depth = int(strings[-1]), int(depths[-1])
        rest = stream.read(PIECE)
        if not rest:
            break
    if depth:
        raise SourceError(
            f"{file}: it is cut off, for its brackets do not close. Nothing of it landed. Have it written again."
        )
