"""The columns of a table of files: those of each file by name, what each lands as, and those that are in no file.

The word of a column is one of ``records/types.py`` where it is read from text, and DuckDB's type, in capitals, where
the file has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from data_platform.column_types import holds, is_direct
from data_platform.errors import SchemaDrift
from data_platform.sources.files.config import DATE, FILE, GONE, ROW, FileSettings
from data_platform.sources.reading import ClearColumn, Described, SourceTable
from data_platform.sources.records.types import base_type, column_type
from data_platform.sql import quoted
from data_platform.tables import RULE_PREFIX, Column

MARK = Column(GONE, "BOOLEAN", "bool")
_HELD: Mapping[str, str] = {
    "TINYINT": "SMALLINT",
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(20,0)",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
}
_BASES: Mapping[str, str] = {
    "BOOLEAN": "bool", "SMALLINT": "int2", "INTEGER": "int4", "BIGINT": "int8", "FLOAT": "float4", "DOUBLE": "float8",
    "DATE": "date", "TIMESTAMP": "timestamp", "TIMESTAMPTZ": "timestamptz", "UUID": "uuid", "BLOB": "bytea",
}  # fmt: skip


def held_as(type_: str) -> str:
    """The word of a column that a file has as DuckDB's ``type_``: what holds its values exactly, or their text."""
    held = _HELD.get(type_, type_)
    if held == "JSON" or type_.startswith(("STRUCT", "MAP", "UNION")) or type_.endswith("]"):
        return "JSON"
    return held if held == "TIMESTAMPTZ" or is_direct(held) else "VARCHAR"


def type_of(word: str) -> str:
    return word if word.isupper() else column_type(word)


def _base(word: str) -> str:
    if word in ("json", "JSON"):
        return "json"
    if not word.isupper():
        return base_type(word)
    return _BASES.get(word, "numeric" if word.startswith("DECIMAL") else "text")


def merged(table: SourceTable, files: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """The word of each column of several files. SchemaDrift where a column is of two kinds in them."""
    words: dict[str, str] = {}
    for file, has in files:
        for name, word in has.items():
            known = words.setdefault(name, word)
            if known == word or holds(type_of(known), type_of(word)):
                continue
            if not holds(type_of(word), type_of(known)):
                raise SchemaDrift(
                    f"{table.id}: {name} is {word} in {file} and {known} in the files before it. Have the file written"
                    " as the others are, or make it a table of its own (`files`). Nothing of this step was landed."
                )
            words[name] = word
    return words


def landed_words(columns: Iterable[Column]) -> dict[str, str]:
    """By name, the word of each column of the files that landed."""
    return {
        column.name: column.source_type.partition(" [")[0]
        for column in columns
        if column.name not in (FILE, ROW, DATE, GONE) and not column.name.startswith(RULE_PREFIX)
    }


def described(table: SourceTable, settings: FileSettings, words: Mapping[str, str], url: str) -> Described:
    """The table with the columns of ``words``; none of its own before the first file is known."""
    beside = {FILE: "text", ROW: "bigint"} | ({DATE: "date"} if settings.pattern.dated else {})
    wanted = {name: word for name, word in words.items() if not table.only or name in table.only}
    columns = tuple(_column(name, word) for name, word in {**wanted, **beside}.items()) if words else ()
    return Described(
        name=table.id.table,
        place=settings.pattern.text,
        changes="log",
        columns=columns,
        column_names=(*words, *beside),
        identity={"place": url, "read_as": settings.read_as},
        own=(MARK,),
        deleted=GONE,
        replaces=(FILE,),
        from_rows=True,
        enforced_keys=(frozenset((FILE, ROW)),),
    )


def _column(name: str, word: str) -> ClearColumn:
    return ClearColumn(
        name=name,
        type=type_of(word),
        source_type=word,
        nullable=name not in (FILE, ROW),
        value=quoted(name),
        text=f"CAST({quoted(name)} AS VARCHAR)",
        base=_base(word),
        one_text=type_of(word) not in ("DOUBLE", "FLOAT", "JSON", "BLOB"),
    )
