"""How the pieces of a stream are compressed: by the end of their names, so that `zstd -d` or `xz -d` reads them without this code."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FAST, DENSE = ".zst", ".xz"
"""Pages of a database that changed here and there take a third of the room in ``DENSE``, which is written at a tenth of the
speed: 80 to 160 MB/s in place of 800 to 1,600."""
BLOCK = 1 << 20


def writing(path: Path) -> Any:
    """A file to write plain bytes to and to close."""
    if path.suffix == DENSE:
        return lzma.open(path, "wb", preset=0)
    import pyarrow as pa

    return pa.CompressedOutputStream(str(path), "zstd")


def plain(path: Path, name: str) -> Iterator[bytes]:
    """What ``path``, a copy of the object ``name``, holds. ``ValueError`` if it is not compressed as its name says."""
    import pyarrow as pa

    try:
        with (
            lzma.open(path)
            if name.endswith(DENSE)
            else pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        ) as file:
            while block := file.read(BLOCK):
                yield block
    except (OSError, EOFError, lzma.LZMAError, pa.ArrowException) as error:
        raise ValueError(f"{name} is not compressed as it should be") from error
