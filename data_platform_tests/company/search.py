"""Which people are in a heap of bytes. It knows file formats and nothing of the platform, so that it cannot share its mistakes."""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from data_platform_tests.company.oracle import MARK, NUMBER, SECRET, Person

LANDED, IN_CLEAR = -1, -2
"""In the place of a person: something that landed of one of them, and what is sealed in clear, whosever it is."""
SEALED = re.compile(rb"sealed:1:[0-9a-f]{32}:[a-z0-9_-]{22,}")


@dataclass
class Wanted:
    """Who is looked for, and what landed of them: ``hashes`` in the place of addresses, ``sealed`` in the place of what is sealed, with
    what that is in clear."""

    people: Collection[Person]
    hashes: Collection[str] = ()
    sealed: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[bytes, int] = field(init=False)
    marks: Mapping[bytes, int] = field(init=False)
    texts: Collection[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.marks = {one.mark.encode(): one.id for one in self.people}
        self.numbers = {str(number).encode(): one.id for one in self.people for number in (one.id, one.desk)}
        self.texts = {text.lower().encode() for text in self.sealed}

    def within(self, data: bytes) -> set[int]:
        """The people who are in ``data`` as it is, in small letters or capitals, as a mark, a key or as they landed."""
        low = data.lower()
        found = {self.marks[mark] for mark in set(MARK.findall(low)) & self.marks.keys()}
        found |= {self.numbers[number] for number in set(NUMBER.findall(low)) & self.numbers.keys()}
        found |= {LANDED for text in SEALED.findall(low) if text in self.texts}
        found |= {LANDED for hash_ in self.hashes if hash_.encode() in low}
        return found | ({IN_CLEAR} if SECRET.search(low) else set())


@dataclass
class Found:
    """``where`` is who is left in which object; ``objects`` and ``bytes`` are how much was read, unpacked."""

    where: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    objects: int = 0
    bytes: int = 0


def search(wanted: Wanted, objects: Iterable[tuple[str, bytes]]) -> Found:
    found = Found()
    for name, data in objects:
        found.objects += 1
        for layer in layers(data):
            found.bytes += len(layer)
            if held := wanted.within(layer):
                found.where[name] |= held
    return found


def layers(data: bytes) -> Iterator[bytes]:
    """``data`` itself, and what it says once it is unpacked or decoded, as far as that goes."""
    yield data
    inner = b""
    if data[:4] == b"PAR1":
        yield decoded(data)
    elif data[:4] == b"\x28\xb5\x2f\xfd":
        inner = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    elif data[:2] == b"\x1f\x8b":
        inner = zlib.decompress(data, wbits=31)
    elif data[:6] == b"\xfd7zXZ\x00":
        inner = lzma.decompress(data)
    elif data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                if (file := tar.extractfile(member)) is not None:
                    yield from layers(file.read())
    elif data[8:12] == b"DUCK":
        yield from tables(data)
    if inner:
        yield from layers(inner)


def decoded(data: bytes) -> bytes:
    """Every value of a Parquet file as text, a line each."""
    return _texts(pq.read_table(io.BytesIO(data)))


def _texts(table: pa.Table) -> bytes:
    lines = []
    for column in table.columns:
        for chunk in column.chunks:
            values = (
                chunk.to_pylist()
                if pa.types.is_nested(chunk.type) or pa.types.is_binary(chunk.type)
                else None
            )
            if values is None:
                values = chunk.cast(pa.string()).to_pylist()
            lines.append("\n".join(_text(value) for value in values if value is not None))
    return "\n".join(lines).encode()


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def tables(data: bytes) -> Iterator[bytes]:
    """All tables of a DuckDB file, as text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "looked.duckdb"
        path.write_bytes(data)
        with duckdb.connect(str(path), read_only=True) as connection:
            names = connection.execute(
                "select schema_name, table_name from duckdb_tables() where not internal"
            ).fetchall()
            for schema, name in names:
                columns = connection.execute(
                    "select column_name from duckdb_columns() where schema_name = ? and table_name = ?",
                    [schema, name],
                ).fetchall()
                listed = ", ".join(f'cast("{column}" as varchar) as "{column}"' for (column,) in columns)
                yield _texts(connection.execute(f'select {listed} from "{schema}"."{name}"').to_arrow_table())


def files(folder: Path, *, without: Collection[str] = ()) -> Iterator[tuple[str, bytes]]:
    """All files below ``folder`` but those in the subfolders ``without``, hidden ones too."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).parts[0] not in without:
            yield str(path.relative_to(folder)), path.read_bytes()


def versions(client: Any, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
    """All objects of a bucket of S3, those versions too that a delete or another put has hidden."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for one in page.get("Versions", ()):
            got = client.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
            yield f"s3 {one['Key']} {one['VersionId']}", got["Body"].read()
