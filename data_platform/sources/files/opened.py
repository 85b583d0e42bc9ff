"""A file that is ready to be read: its columns with their words, and its rows as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.errors import SourceError
from data_platform.sources.files import csv, excel
from data_platform.sources.files.columns import held_as
from data_platform.sources.files.config import ENDINGS, OWN, RECORDS, CsvKeys, FileSettings, Format
from data_platform.sources.files.known import Identity, Listed
from data_platform.sources.files.unpack import as_utf_8, ending
from data_platform.sql import literal, quoted

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Opened:
    """``path`` has its bytes in plain, ``rows`` is a table function with the columns of ``words`` (none: a file without a byte), ``number`` SQL for the row's
    number over it."""

    listed: Listed
    identity: Identity
    format: Format
    words: Mapping[str, str]
    path: Path
    rows: str
    number: str

    @property
    def file(self) -> str:
        return self.listed.path


def format_of(file: str, settings: FileSettings) -> Format:
    """SourceError where neither the catalog nor the file's name says it."""
    found = settings.format or ENDINGS.get(ending(file))
    if found is None:
        raise SourceError(
            f"{file}: its name does not say how it is written. Set `format` of the table ({', '.join(sorted(set(ENDINGS.values())))}),"
            " or narrow `files`."
        )
    return found


def open_file(
    engine: duckdb.DuckDBPyConnection,
    listed: Listed,
    identity: Identity,
    path: Path,
    settings: FileSettings,
    scratch: Path,
) -> Opened:
    """The file whose bytes are at ``path``; what must be unpacked goes into ``scratch``. SourceError with the file and
    the line where it cannot be read."""
    file, found = listed.path, format_of(listed.path, settings)
    if found in RECORDS:
        raise SourceError(
            f"{file}: it is {found}, which `files` does not say of the table: set `format: {found}`, or narrow `files`."
        )
    if found == "parquet":
        return _open_parquet(engine, listed, identity, path)
    if found == "excel":
        return _open_excel(listed, identity, path, settings, scratch)
    plain = as_utf_8(path, file, settings.csv.encoding, scratch / "plain" / file)
    names = csv.names(plain, file, settings.csv)
    if unknown := [
        name for name in settings.types if names and name not in names and settings.csv.header is not True
    ]:
        raise SourceError(
            f"{file}: `types` names {', '.join(unknown)}, which `csv: {{header: ...}}` does not."
        )
    words = {name: settings.types.get(name, "text") for name in names}
    rows = csv.scan(plain, file, names, settings.csv) if names else ""
    return Opened(listed, identity, found, words, plain, rows, "row_number() OVER ()")


def _open_excel(
    listed: Listed, identity: Identity, path: Path, settings: FileSettings, scratch: Path
) -> Opened:
    """From there on it is a CSV file."""
    file, plain = listed.path, scratch / "plain" / f"{listed.path}.csv"
    names = excel.as_csv(as_utf_8(path, file, "utf-8", scratch / "plain" / file), file, settings.excel, plain)
    csv.check_names(names, file, 0, "`excel: {header: [...], range: ...}`")
    words = {name: settings.types.get(name, "text") for name in names}
    rows = csv.scan(plain, file, names, CsvKeys(header=names)) if names else ""
    return Opened(listed, identity, "csv", words, plain, rows, "row_number() OVER ()")


def _open_parquet(
    engine: duckdb.DuckDBPyConnection, listed: Listed, identity: Identity, path: Path
) -> Opened:
    import duckdb

    rows = f"read_parquet({literal(str(path))}, file_row_number=true, hive_partitioning=false)"
    try:
        described = engine.execute(f"DESCRIBE SELECT * EXCLUDE (file_row_number) FROM {rows}").fetchall()
    except duckdb.Error as error:
        why = str(error).splitlines()[0].replace(str(path), listed.path)
        raise SourceError(
            f"{listed.path}: it is no Parquet file that can be read ({why}). Have it written again."
        ) from None
    if own := [name for name, *_ in described if name in OWN]:
        raise SourceError(
            f"{listed.path}: its column {own[0]} has a name that the platform adds. Have it renamed."
        )
    words = {name: held_as(type_) for name, type_, *_ in described}
    return Opened(listed, identity, "parquet", words, path, rows, "file_row_number + 1")


def values(opened: Opened, settings: FileSettings, name: str, type_: str) -> str:
    """The landed value of a column of the file, as ``type_``."""
    word = opened.words[name]
    if opened.format == "csv":
        return csv.value(name, word, settings.csv)
    if type_ == "JSON":
        return f"to_json({quoted(name)})"
    return f"CAST({quoted(name)} AS {type_})"
