"""What the catalog says of files: where they lie, which are a table's, and how they are written."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from data_platform.sources.files.pattern import Pattern
from data_platform.sources.files.unpack import ending
from data_platform.sources.kind import Capabilities, CommonKeys, HasSettings
from data_platform.sources.records.keys import INDEX, Path, RecordSettings, RecordTableKeys, Word, keys_of
from data_platform.yaml_fields import ColumnName, Frozen, FrozenDict, Model

FILE, ROW, DATE, GONE = "_file", "_row", "_date", "_deleted"
"""The columns that are in no file: its path, the row's number in it from 1, the day that the path names, and the mark of
a file that has no rows any more."""
OWN = (FILE, ROW, DATE, GONE)
CAN = Capabilities(deletes="events", proof="none", slices=False, rejects=True)
Format = Literal["csv", "parquet", "ndjson", "json", "excel"]
ENDINGS: Mapping[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json",
    ".xlsx": "excel", ".xlsm": "excel",
}  # fmt: skip
RECORDS = ("ndjson", "json")
"""The formats whose rows are documents."""
PACKED = (".gz", ".zst", ".zip")


def _pattern(text: str) -> str:
    Pattern(text)
    return text


def _encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"{name!r} is no encoding: write a name such as utf-8, latin-1 or utf-16") from None
    return name


def _names(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class CsvKeys(Model):
    """The dialect of a table's CSV files. It is declared and never guessed."""

    delimiter: str = Field(
        default=",",
        min_length=1,
        max_length=4,
        description="What stands between two fields. Default: a comma; of `.tsv` files a tab.",
    )
    quote: str = Field(
        default='"', max_length=1, description='What stands around a field. Default `"`; empty: nothing does.'
    )
    escape: str | None = Field(
        default=None, min_length=1, max_length=1,
        description="What stands before a quote within a field. Default: the quote itself, written twice.",
    )  # fmt: skip
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(
        default="utf-8",
        description="The files' encoding, such as `latin-1` or `utf-16`. Default `utf-8`; a byte order mark is skipped.",
    )
    header: Annotated[
        bool | tuple[ColumnName, ...],
        BeforeValidator(_names),
        WithJsonSchema(
            {"anyOf": [{"const": True}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
        ),
    ] = Field(
        default=True,
        description="`true` (default): the first line names the columns. A list of names: the files have no such line.",
    )
    skip: int = Field(
        default=0, ge=0, description="Lines before the header or the first row that are no part of the table."
    )
    nulls: tuple[str, ...] = Field(
        default=("",),
        description="The unquoted texts that stand for no value. Default: the empty field. A quoted one is a text.",
    )
    decimal: Literal[".", ","] = Field(
        default=".", description="The decimal separator of numbers. Default `.`."
    )
    thousands: Literal[".", ",", " ", "'"] | None = Field(
        default=None, description="What stands between thousands in numbers. Default: nothing may."
    )
    date_format: str | None = Field(
        default=None, description="How dates are written, such as `%d.%m.%Y`. Default: ISO 8601."
    )
    timestamp_format: str | None = Field(
        default=None,
        description="How times are written, such as `%d.%m.%Y %H:%M:%S`. Default: ISO 8601. Without an offset they are UTC.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.header is False:
            raise ValueError("files without a header need the names of their columns: header: [id, name]")
        if self.decimal == self.thousands:
            raise ValueError("`decimal` and `thousands` are the same character")
        if isinstance(self.header, tuple) and len(set(self.header)) < len(self.header):
            raise ValueError("`header` names a column twice")
        return self


class JsonKeys(Model):
    """Where the records of a JSON file are."""

    path: Path | None = Field(
        default=None,
        description="Where the array of records is in a JSON file, such as `result.items`. Default: the file is the array.",
    )


def _range(text: str | None) -> str | None:
    from data_platform.sources.files.excel import area

    area(text)
    return text


class ExcelKeys(Model):
    """Which cells of a workbook are the table."""

    sheet: str | None = Field(default=None, min_length=1, description="The sheet's name. Default: the first.")
    range: Annotated[str | None, AfterValidator(_range)] = Field(
        default=None,
        description="The cells, such as `B3:F200`, or `B3:F` for all rows from the third. Default: the whole sheet.",
    )
    header: Annotated[
        Literal[True] | tuple[ColumnName, ...],
        BeforeValidator(_names),
        WithJsonSchema(
            {"anyOf": [{"const": True}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
        ),
    ] = Field(
        default=True,
        description="`true` (default): the first row names the columns. A list of names: there is no such row.",
    )


@dataclass(frozen=True, slots=True)
class FileSettings(RecordSettings):
    """``array`` is the path to the array of records in a JSON file."""

    pattern: Pattern = field(kw_only=True)
    format: Format | None = None
    csv: CsvKeys = field(default_factory=CsvKeys)
    excel: ExcelKeys = field(default_factory=ExcelKeys)
    array: tuple[str, ...] = ()
    on_delete: Literal["keep", "delete"] = "keep"

    @property
    def of_records(self) -> bool:
        """Whether the rows are documents."""
        return (self.format or ENDINGS.get(ending(self.pattern.text))) in RECORDS

    @property
    def read_as(self) -> str:
        """All that decides which rows a file's bytes are: with another one, every file is read anew."""
        said: list[Any] = [self.pattern.text, self.format, self.csv.model_dump(mode="json")]
        if self.of_records:
            said[2] = [self.array, self.path]
        if self.excel != ExcelKeys():
            said.append(self.excel.model_dump(mode="json"))
        return json.dumps(said, sort_keys=True)


def settings_of(table: HasSettings) -> FileSettings:
    """The settings of a table of files."""
    return cast(FileSettings, table.settings)


class FilesTableKeys(RecordTableKeys):
    """The keys of a block."""

    files: Annotated[str, AfterValidator(_pattern)] | None = Field(
        default=None,
        description="Which files are the table's, relative to `path`: `*` is any text within a name, `**/` any folders, and"
        " `{date}` or `{yyyy}`, `{mm}` and `{dd}` the day of a file, which lands as the column `_date`. Example:"
        " `orders/{date}/*.csv.gz`.",
    )
    format: Format | None = Field(
        default=None,
        description="How the files are written: `csv`, `parquet`, `ndjson` (a JSON document a line), `json` (one"
        " array) or `excel`. Default: as each file's name ends. A file may be packed (`.gz`, `.zst`, `.zip` with one file in it).",
    )
    csv: CsvKeys = Field(default=CsvKeys(), description="The dialect of CSV files.")
    json_: JsonKeys = Field(
        default=JsonKeys(), alias="json", description="Where the records of JSON files are."
    )
    excel: ExcelKeys = Field(default=ExcelKeys(), description="Which cells of Excel workbooks are the table.")
    types: Annotated[Mapping[ColumnName, Word], Frozen] = Field(
        default_factory=FrozenDict,
        description="The types of columns of CSV, Excel and JSON files: `text`, `bigint`, `double`, `bool`, `json`, `decimal(p,s)`,"
        " `date`, `timestamp`, `epoch`, `epoch_ms`. Default: of CSV and Excel files `text`, as it is written; of JSON files as the"
        " values show. Parquet files have their own types.",
    )
    on_delete: Literal["keep", "delete"] | None = Field(
        default=None,
        description="What becomes of the rows of a file that is gone: they stay (`keep`, the default), or they go too"
        " (`delete`).",
    )

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield from super().mistakes(common, written)
        if getattr(self, "strategy", "merge") == "append":
            yield ("strategy",), "cannot be `append`: a file that changed replaces its own rows"
        if self.of is not None:
            for key in ("files", "format", "csv", "excel", "json", "on_delete"):
                if key in written:
                    yield (key,), "has no place beside `of`: the rows are in the parent's files"
            return
        if self.files is None:
            if "files" not in written:
                yield ("files",), "is missing: say which files are the table's, such as files: orders/*.csv"
            return
        yield from self._mistakes_of_format(written)
        dated = Pattern(self.files).dated
        for column in common.times:
            if column == DATE and not dated:
                yield (
                    ("files",),
                    "names no day: `_date` needs `{date}`, or `{yyyy}`, `{mm}` and `{dd}`, in the pattern",
                )

    def _mistakes_of_format(self, written: Collection[str]) -> Iterator[tuple[tuple[str | int, ...], str]]:
        assert self.files is not None
        found = self.format or ENDINGS.get(ending(self.files))
        for key, formats in (
            ("csv", ("csv",)),
            ("excel", ("excel",)),
            ("json", ("json",)),
            ("fields", RECORDS),
        ):
            if key in written and found is not None and found not in formats:
                yield (key,), f"is for {' and '.join(formats)} files, and these are {found}"

    def default_key(self, blocks: Mapping[str, Any]) -> tuple[str, ...]:
        return (FILE, ROW, INDEX) if self.of else (FILE, ROW)

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> FileSettings:
        parent = blocks.get(self.of) if self.of else None
        if isinstance(parent, FilesTableKeys) and parent.of is None:
            of = parent.settings(name, source, {})
            return replace(
                of,
                can=self._abilities(of.pattern),
                types=dict(self.types),
                fields={column: keys_of(path) for column, path in self.fields.items()},
                parent=self.of,
                path=keys_of(self.path or "value"),
            )
        pattern = Pattern(self.files or "*")
        return FileSettings(
            name,
            can=self._abilities(pattern),
            pattern=pattern,
            format=self.format,
            csv=self.csv,
            excel=self.excel,
            array=keys_of(self.json_.path) if self.json_.path else (),
            types=dict(self.types),
            fields={column: keys_of(path) for column, path in self.fields.items()},
            on_delete=self.on_delete or "keep",
        )

    def _abilities(self, pattern: Pattern) -> Capabilities | None:
        """The day of a path is one that can be read by itself."""
        by_day = pattern.dated and getattr(self, "partition", None) == DATE
        return replace(CAN, slices=True) if by_day else None
