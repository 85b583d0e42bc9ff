"""What the first records of a JSON file say of a table's block: where they are, their times, and what looks personal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from data_platform.printable import yaml_scalar
from data_platform.sources.files.config import ENDINGS, FileSettings
from data_platform.sources.files.documents import documents
from data_platform.sources.files.pattern import Pattern
from data_platform.sources.files.unpack import PIECE, ending, opened
from data_platform.sources.looking import Privacy
from data_platform.sources.records.decode import Batch, make_chunk
from data_platform.sources.records.paths import Paths
from data_platform.sources.records.types import base_type, found

RECORDS_LOOKED_AT = 5_000
_TIMES = (
    ("date", re.compile(r"\d{4}-\d{2}-\d{2}")),
    (
        "timestamp",
        re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}(:?\d{2})?)?"),
    ),
)
_DEPTH = 5


def draft(path: Path, file: str, name: str, pattern: str, privacy: Privacy) -> Iterator[str]:
    """The lines of a block behind `files`. SourceError where the file is none of JSON."""
    settings = FileSettings(name, pattern=Pattern(pattern), format=ENDINGS[ending(file)])
    if settings.format == "json":
        settings, lines = _where(path, file, settings)
        yield from lines
    records = next((some.records for some in documents(path, file, settings)), [])[:RECORDS_LOOKED_AT]
    batch, paths = Batch(), Paths()
    batch.add(records, file, range(len(records)), [False] * len(records))
    chunk, _ = make_chunk(batch, settings, {}, paths)
    if chunk is None:
        return
    words = {field: word for field, seen in chunk.values.items() if (word := found(seen)) is not None}
    for field, column in chunk.names.items():
        texts = [text for text in chunk.table[column].to_pylist() if text is not None]
        if words.get(field) == "text" and (time := _time_of(texts)):
            words[field] = time
    times = {field: word for field, word in words.items() if word in ("date", "timestamp")}
    if times:
        yield "    types:  # guess: what all texts of the first records are"
        yield from (f"      {yaml_scalar(field)}: {word}" for field, word in times.items())
    yield from _personal(name, words, paths, privacy)


def _time_of(texts: list[Any]) -> str | None:
    return next((word for word, pattern in _TIMES if texts and all(map(pattern.fullmatch, texts))), None)


def _where(path: Path, file: str, settings: FileSettings) -> tuple[FileSettings, list[str]]:
    """``settings`` that find the records, and the lines that say so."""
    with opened(path, file) as stream:
        head = stream.read(PIECE).removeprefix(b"\xef\xbb\xbf").lstrip()
        whole = not stream.read(1)
    if not head.startswith(b"{"):
        return settings, []
    if head.split(b"\n", 1)[0].rstrip().endswith(b"}") and (head.count(b"\n") > 1 or not whole):
        return replace(settings, format="ndjson"), ["    format: ndjson  # guess: each line is a document"]
    try:
        at = next(_lists(json.loads(head), ()), None) if whole else None
    except ValueError:
        at = None
    if at is None:
        return settings, []  # who reads it says what is missing
    return replace(settings, array=at), [f"    json: {{path: {'.'.join(at)}}}  # guess: the first list"]


def _lists(value: Any, at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of lists of objects, the nearest first."""
    if not isinstance(value, dict) or len(at) > _DEPTH:
        return
    yield from ((*at, key) for key, inner in value.items() if _is_list(inner))
    for key, inner in islice(value.items(), 100):
        yield from _lists(inner, (*at, key))


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _personal(table: str, words: Mapping[str, str], paths: Paths, privacy: Privacy) -> Iterator[str]:
    bases = {field: base_type(word) for field, word in words.items()} | dict(paths.found())
    lines = [
        f"      {yaml_scalar(path)}: {privacy.treatment(path, why, False)}?  # looks like {why}"
        for path, base in bases.items()
        if (why := privacy.looks(path.rpartition(".")[2], table, base, None))
    ]
    if lines:
        yield from ("    personal:", *lines)
