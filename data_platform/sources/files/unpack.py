"""A file's bytes as they were before they were packed, and text in UTF-8. In bounded memory."""

from __future__ import annotations

import codecs
import gzip
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, cast

from data_platform.errors import SourceError

PIECE = 1 << 20


def packing(path: str) -> str:
    """``.gz``, ``.zst``, ``.zip`` or nothing."""
    return next((end for end in (".gz", ".zst", ".zip") if path.lower().endswith(end)), "")


def ending(path: str) -> str:
    """Of the name without what says that the file is packed: ``.csv`` of ``a.csv.gz``."""
    name = path.lower()
    return Path(name[: len(name) - len(packing(name))]).suffix


@contextmanager
def opened(path: Path, file: str) -> Iterator[IO[bytes]]:
    """The unpacked bytes of ``file``, which are at ``path``. SourceError where it is not what its name says."""
    packed = packing(file)
    try:
        if packed == ".zip":
            with zipfile.ZipFile(path) as archive, archive.open(_only_member(archive, file)) as stream:
                yield stream
        elif packed == ".gz":
            with gzip.open(path) as unpacked:
                yield cast(IO[bytes], unpacked)
        elif packed == ".zst":
            import pyarrow as pa

            with pa.input_stream(str(path), compression="zstd") as zst:
                yield cast(IO[bytes], zst)
        else:
            with path.open("rb") as plain:
                yield plain
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError(_damaged(file, packed, error)) from None
    except OSError as error:
        if packed == ".zst" and error.errno is None:
            raise SourceError(_damaged(file, packed, error)) from None
        raise


def _damaged(file: str, packed: str, error: Exception) -> str:
    return (
        f"{file}: it is cut off, or no {packed} file ({error}). Nothing of it landed. Have it written again."
    )


def _only_member(archive: zipfile.ZipFile, file: str) -> zipfile.ZipInfo:
    members = [one for one in archive.infolist() if not one.is_dir()]
    if len(members) != 1:
        raise SourceError(
            f"{file}: it holds {len(members)} files, and must hold one. Unpack it, or pack each file by itself."
        )
    if members[0].flag_bits & 1:
        raise SourceError(f"{file}: it is encrypted. Have it written without a password, or unpack it first.")
    return members[0]


def as_utf_8(path: Path, file: str, encoding: str, into: Path) -> Path:
    """A plain file in UTF-8: the one at ``path`` where it is one, otherwise ``into``, which is written. A packed file is
    unpacked here, since DuckDB reads one that is cut off as if it were whole."""
    plain = codecs.lookup(encoding).name == "utf-8"
    if plain and not packing(file):
        return path
    into.parent.mkdir(parents=True, exist_ok=True)
    with opened(path, file) as source, into.open("wb") as target:
        if plain:
            shutil.copyfileobj(source, target, PIECE)
        else:
            _transcode(source, target, encoding, file)
    return into


def _transcode(source: IO[bytes], target: IO[bytes], encoding: str, file: str) -> None:
    decoder: Any = codecs.getincrementaldecoder(encoding)()
    lines = 1
    while True:
        piece = source.read(PIECE)
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            lines += error.object[: error.start].decode(encoding, "replace").count("\n")
            raise SourceError(
                f"{file}, line {lines}: its bytes are no {encoding}. Correct `csv: {{encoding: ...}}`, or have the file"
                " written again. Nothing of it landed."
            ) from None
        lines += text.count("\n")
        target.write(text.encode())
        if not piece:
            return


def digest(path: Path) -> bytes:
    """Of the bytes as they lie there: 12 bytes of their SHA-256, which many processors compute by themselves."""
    found = sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            found.update(piece)
    return found.digest()[:12]
