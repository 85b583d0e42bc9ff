"""Writing a source's YAML from its files: which belong together, their dialect, and the types that their texts have.

Names and types are written, never a value. Of each table the last file is looked at.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.errors import SourceError
from data_platform.printable import yaml_quoted, yaml_scalar
from data_platform.sources.files import csv, excel
from data_platform.sources.files.config import ENDINGS, RECORDS, CsvKeys, FileSettings
from data_platform.sources.files.connection import FilesConnection
from data_platform.sources.files.draft_json import draft
from data_platform.sources.files.engine import engine_in
from data_platform.sources.files.known import Identity, Listed
from data_platform.sources.files.opened import Opened, open_file
from data_platform.sources.files.pattern import Pattern
from data_platform.sources.files.places import Place, place_of
from data_platform.sources.files.unpack import PIECE, ending, opened
from data_platform.sources.kind import SourceKeys
from data_platform.sources.looking import Privacy
from data_platform.sources.records.types import base_type
from data_platform.sql import literal, quoted

if TYPE_CHECKING:
    import duckdb

ROWS_LOOKED_AT = 20_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WORDS = (
    ("bigint", r"-?(0|[1-9]\d{0,17})"),  # no 007: what begins with zeros is a name
    ("decimal(18,2)", r"-?(0|[1-9]\d{0,14})\.\d{1,2}"),
    ("decimal(38,9)", r"-?(0|[1-9]\d{0,27})(\.\d{1,9})?"),
    ("date", r"\d{4}-\d{2}-\d{2}"),
    ("timestamp", r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}(:?\d{2})?)?"),
    ("bool", "true|false"),
)


def discover(
    *,
    source: str,
    connection: FilesConnection,
    keys: SourceKeys,
    environ: Mapping[str, str],
    today: date,
    privacy: Privacy,
) -> str:
    """The YAML of ``catalog/sources/<source>.yaml``. SourceError where no file is one that can be read."""
    with place_of(connection, environ, source) as place:
        return _draft(place, connection, source, privacy)


def _draft(place: Place, connection: FilesConnection, source: str, privacy: Privacy) -> str:
    tables: dict[str, list[Listed]] = {}
    for path, listed in sorted(place.list(Pattern("**/*")).items()):
        if ending(path) in ENDINGS:
            tables.setdefault(_pattern(path), []).append(listed)
    if not tables:
        raise SourceError(
            f"Below {place.url} no file ends in {', '.join(sorted(ENDINGS))} (or one of these and .gz, .zst, .zip)."
        )
    where = [
        f"  {key}: {yaml_scalar(str(value))}"
        for key, value in connection.model_dump(exclude_unset=True).items()
        if value is not None
    ]
    lines = [
        "# yaml-language-server: $schema=../schema/source.schema.json",
        "# Written by `data-platform discover` from the last file of each table. Lines with `guess:` or a question mark",
        "# want a look; `data-platform validate` lists the question marks.",
        f"source: {source}",
        "kind: files",
        "connection:",
        *where,
        "tables:",
    ]
    names: set[str] = set()
    for pattern, files in tables.items():
        name = _name(pattern, names)
        names.add(name)
        lines += _block(place, name, pattern, files[-1], privacy)
    return "\n".join(lines) + "\n"


def _pattern(path: str) -> str:
    """The path with its day as ``{date}`` and other numbers as ``*``."""
    before, day, after = path, "", ""
    if found := _DAY.search(path):
        before, day, after = path[: found.start()], "{date}", path[found.end() :]
    starred = [re.sub(r"\d+", "*", part) for part in (before, after)]
    pattern = starred[0] + day + starred[1]
    try:
        Pattern(pattern)
    except ValueError:
        return path
    return pattern


def _name(pattern: str, taken: set[str]) -> str:
    folder, _, file = pattern.rpartition("/")
    stem = file.partition(".")[0]
    for text in (stem.replace("{date}", ""), folder.replace("{date}", ""), f"{folder}_{stem}", "files"):
        name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40].strip("_")
        if name and not name[0].isdigit() and name not in taken:
            return name
    return next(f"files_{n}" for n in range(2, 100_000) if f"files_{n}" not in taken)


def _block(place: Place, name: str, pattern: str, listed: Listed, privacy: Privacy) -> list[str]:
    lines = [f"  {name}:", f"    files: {yaml_quoted(pattern)}"]
    with tempfile.TemporaryDirectory() as folder, engine_in(Path(folder)) as engine:
        scratch = Path(folder)
        try:
            path = place.fetch(listed, scratch)
            if ENDINGS[ending(listed.path)] in RECORDS:
                return [*lines, *draft(path, listed.path, name, pattern, privacy)]
            dialect = _dialect(path, listed.path) if ENDINGS[ending(listed.path)] == "csv" else CsvKeys()
            settings = FileSettings(name, pattern=Pattern(pattern), csv=dialect)
            one = open_file(engine, listed, Identity("", ""), path, settings, scratch)
            lines += _of_workbook(path, listed.path)
            words = _words(engine, one) if one.format == "csv" and one.rows else dict(one.words)
        except SourceError as error:
            return [*lines, f"    # {' '.join(str(error).split())}"]
    if written := dialect.model_dump(exclude_unset=True):
        said = ", ".join(f"{key}: {yaml_quoted(str(value))}" for key, value in written.items())
        lines.append(f"    csv: {{{said}}}  # guess: by the first lines of {yaml_quoted(listed.path)}")
    typed = {column: word for column, word in words.items() if one.format == "csv" and word != "text"}
    if typed:
        lines.append("    types:  # guess: what all texts of the file are")
        lines += [f"      {yaml_scalar(column)}: {word}" for column, word in typed.items()]
    lines += _personal(name, words, privacy)
    return lines


def _of_workbook(path: Path, file: str) -> list[str]:
    if ENDINGS[ending(file)] != "excel":
        return []
    first, *others = (yaml_quoted(name) for name in excel.sheets(path, file))
    beside = f"  # guess: the first; there are also {', '.join(others)}" if others else ""
    return [f"    excel: {{sheet: {first}}}{beside}"]


def _personal(table: str, words: Mapping[str, str], privacy: Privacy) -> list[str]:
    found = []
    for column, word in words.items():
        if why := privacy.looks(column, table, None if word.isupper() else base_type(word), None):
            found.append(
                f"      {yaml_scalar(column)}: {privacy.treatment(column, why, False)}?  # looks like {why}"
            )
    return ["    personal:", *found] if found else []


def _dialect(path: Path, file: str) -> CsvKeys:
    """As the first lines show it."""
    with opened(path, file) as stream:
        head = stream.read(PIECE)
    given: dict[str, str] = {}
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        given["encoding"] = "utf-16"
    else:
        try:
            head[: head.rfind(b"\n") + 1].decode("utf-8")
        except UnicodeDecodeError:
            given["encoding"] = "cp1252"
    first = head.decode(given.get("encoding", "utf-8"), "replace").partition("\n")[0]
    mark = max(",;\t|", key=first.count)
    if first.count(mark) and mark != csv.delimiter(file, CsvKeys()):
        given["delimiter"] = mark
    return CsvKeys.model_validate(given)


def _words(engine: duckdb.DuckDBPyConnection, one: Opened) -> dict[str, str]:
    """The first word that all texts of a column are."""
    names = list(one.words)
    checks = [
        f"count({quoted(name)}) > 0 AND bool_and(regexp_full_match({quoted(name)}, {literal(pattern)}))"
        for name in names
        for _, pattern in _WORDS
    ]
    found = engine.execute(
        f"SELECT {', '.join(checks)} FROM (SELECT * FROM {one.rows} LIMIT {ROWS_LOOKED_AT})"
    ).fetchall()[0]
    fits = iter(found)
    return {
        name: next((word for (word, _), yes in [(w, next(fits)) for w in _WORDS] if yes), "text")
        for name in names
    }
