"""Which files of a table were read, and what became of them since. Pure.

A file's identity is its path, a *stamp* (all that listing tells: size and times, or a bucket's tag) and a digest of its
bytes. A stamp that is the same says that nothing changed; one that is another is asked for the bytes, since a file that
was copied or touched has the same ones.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from data_platform.tables import Json

FILES_MAX = 50_000
"""Files of one table: its position is then 2 MB of each manifest."""


class Listed(NamedTuple):
    """A file as it is listed. ``settled``: it has held still for as long as is asked."""

    path: str
    size: int
    stamp: str
    settled: bool = True


class Identity(NamedTuple):
    stamp: str
    content: str


def stamp_of(listed: Listed) -> str:
    return _short(blake2b(f"{listed.size}:{listed.stamp}".encode(), digest_size=8).digest())


def content_of(digest: bytes) -> str:
    return _short(digest)


def _short(digest: bytes) -> str:
    return base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True)
class Moves:
    """``fresh`` were never read, ``touched`` have another stamp, ``gone`` were read and are not there. ``moving`` are
    still being written."""

    fresh: tuple[Listed, ...]
    touched: tuple[Listed, ...]
    gone: tuple[str, ...]
    moving: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.fresh or self.touched or self.gone)


def moves(listing: Mapping[str, Listed], known: Mapping[str, Identity]) -> Moves:
    """What a read since ``known`` has to look at, in the order of the paths."""
    fresh, touched, moving = [], [], []
    for path, listed in sorted(listing.items()):
        before = known.get(path)
        if before is not None and before.stamp == stamp_of(listed):
            continue
        if not listed.settled:
            moving.append(path)
        elif before is None:
            fresh.append(listed)
        else:
            touched.append(listed)
    gone = tuple(sorted(known.keys() - listing.keys()))
    return Moves(tuple(fresh), tuple(touched), gone, tuple(moving))


def packed(known: Mapping[str, Identity]) -> Mapping[str, Json]:
    """``known`` as the value of a position: some 40 bytes a file."""
    text = json.dumps([[path, *known[path]] for path in sorted(known)], separators=(",", ":"))
    return {"files": base64.b64encode(zlib.compress(text.encode(), 9)).decode(), "count": len(known)}


def unpacked(value: Mapping[str, Json]) -> dict[str, Identity]:
    """ValueError where ``packed`` made no such thing."""
    text = value.get("files")
    if not isinstance(text, str):
        raise ValueError("no files")
    try:
        rows = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
        return {str(path): Identity(str(stamp), str(content)) for path, stamp, content in rows}
    except (ValueError, TypeError, zlib.error):
        raise ValueError("no files") from None
