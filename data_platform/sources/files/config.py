"""What the catalog says of files: where they lie, which are a table's, and how they are written."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from data_platform.sources.files.pattern import Pattern
from data_platform.sources.kind import CommonKeys, Connection, HasSettings, KindSettings, TableKeys
from data_platform.sources.records.keys import Word
from data_platform.sources.records.types import TIMES
from data_platform.yaml_fields import VARIABLE, ColumnName, Frozen, FrozenDict, Model

FILE, ROW, DATE, GONE = "_file", "_row", "_date", "_deleted"
"""The columns that are in no file: its path, the row's number in it from 1, the day that the path names, and the mark of
a file that has no rows any more."""
OWN = (FILE, ROW, DATE, GONE)
Format = Literal["csv", "parquet"]
ENDINGS: Mapping[str, Format] = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet"}
PACKED = (".gz", ".zst", ".zip")


class FilesConnection(Connection):
    """Exactly one of ``path`` and ``path_env`` says where the files are."""

    path: str | None = Field(
        default=None,
        min_length=1,
        description="The folder that holds the files. A relative path starts at the folder in which the platform runs.",
    )
    path_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="The environment variable that holds the folder, in place of `path`.",
    )
    settle_seconds: float = Field(
        default=5,
        ge=0,
        le=86_400,
        description="How long a file's size and time must have held still before it is read. A file that is still being"
        " written is left for a later sync. Default 5.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.path_env is None):
            raise ValueError("write either `path` or `path_env`")
        return self


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


@dataclass(frozen=True, slots=True)
class FileSettings(KindSettings):
    pattern: Pattern = field(kw_only=True)
    format: Format | None = None
    csv: CsvKeys = field(default_factory=CsvKeys)
    types: Mapping[str, str] = field(default_factory=dict)
    on_delete: Literal["keep", "delete"] = "keep"

    @property
    def read_as(self) -> str:
        """All that decides which rows a file's bytes are: with another one, every file is read anew."""
        return json.dumps([self.pattern.text, self.format, self.csv.model_dump(mode="json")], sort_keys=True)


def settings_of(table: HasSettings) -> FileSettings:
    """The settings of a table of files."""
    return cast(FileSettings, table.settings)


class FilesTableKeys(TableKeys):
    """The keys of a block."""

    files: Annotated[str, AfterValidator(_pattern)] = Field(
        description="Which files are the table's, relative to `path`: `*` is any text within a name, `**/` any folders, and"
        " `{date}` or `{yyyy}`, `{mm}` and `{dd}` the day of a file, which lands as the column `_date`. Example:"
        " `orders/{date}/*.csv.gz`.",
    )
    format: Format | None = Field(
        default=None,
        description="How the files are written: `csv` or `parquet`. Default: as each file's name ends."
        " A file may be packed (`.gz`, `.zst`, `.zip` with one file in it).",
    )
    csv: CsvKeys = Field(default=CsvKeys(), description="The dialect of CSV files.")
    types: Annotated[Mapping[ColumnName, Word], Frozen] = Field(
        default_factory=FrozenDict,
        description="The types of columns of CSV files: `bigint`, `double`, `bool`, `json`, `decimal(p,s)`, `date`,"
        " `timestamp`, `epoch`, `epoch_ms`. Default: `text`, as it is written. Parquet files have their own types.",
    )
    on_delete: Literal["keep", "delete"] = Field(
        default="keep",
        description="What becomes of the rows of a file that is gone: they stay (`keep`, the default), or they go too"
        " (`delete`).",
    )

    def named_columns(self) -> Mapping[str, Collection[str]]:
        return {"types": self.types}

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if getattr(self, "strategy", "merge") == "append":
            yield ("strategy",), "cannot be `append`: a file that changed replaces its own rows"
        if "files" not in written:
            return
        dated = Pattern(self.files).dated
        for column in common.times:
            if column == DATE and not dated:
                yield (
                    ("files",),
                    "names no day: `_date` needs `{date}`, or `{yyyy}`, `{mm}` and `{dd}`, in the pattern",
                )
            elif column != DATE and self.types.get(column, TIMES[0]) not in TIMES:
                yield (
                    ("types", column),
                    f"must be one of {', '.join(TIMES)}: it is the column of `partition` or `newest_data`",
                )

    def default_key(self, blocks: Mapping[str, Any]) -> tuple[str, ...]:
        return (FILE, ROW)

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> FileSettings:
        return FileSettings(
            name,
            pattern=Pattern(self.files),
            format=self.format,
            csv=self.csv,
            types=dict(self.types),
            on_delete=self.on_delete,
        )
