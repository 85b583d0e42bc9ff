"""The columns of a table of records: those that landed before, those that are declared, those that a step brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from data_platform.errors import SchemaDrift
from data_platform.sources.reading import ClearColumn, SourceTable
from data_platform.sources.records.keys import GONE, RECORD, RecordSettings
from data_platform.sources.records.types import Values, base_type, column_type, found, widened
from data_platform.sql import quoted
from data_platform.tables import RULE_PREFIX, Column

MAX_COLUMNS = 1_000
UNSEEN = "text?"
"""The word of a field that a table needs and no record had yet: an empty table is read whole until one has it."""
MARK = Column(GONE, "BOOLEAN", "bool")


def landed_words(columns: Iterable[Column]) -> dict[str, str]:
    """By name, the word that each landed field had; its treatment stands behind it in the manifest."""
    return {
        column.name: column.source_type.partition(" [")[0]
        for column in columns
        if column.name not in (RECORD, GONE) and not column.name.startswith(RULE_PREFIX)
    }


def words_of(
    table: SourceTable,
    declared: Mapping[str, str],
    landed: Mapping[str, str],
    values: Mapping[str, Values],
    *,
    afresh: bool,
) -> dict[str, str]:
    """The word of each field once ``values`` came. ``afresh``: the table is read whole, so that what was found before
    binds nobody. Raises SchemaDrift where values are not what landed."""
    words = {**landed, **declared}
    for name, seen in values.items():
        if name in declared:
            continue
        new = afresh or landed.get(name, UNSEEN) == UNSEEN
        now = found(seen) if new else widened(landed[name], seen)
        if now is None and seen != Values.NONE:
            raise SchemaDrift(
                f"{table.id} changed at the source and waits for you: {name} was {landed[name]} and holds"
                f" {_said(seen)} now. Declare its type in the catalog (`types: {{{name}: json}}` holds any value), or let"
                f" it be found again; then run `data-platform sync --refresh {table.id}`. Until then nothing of the table"
                " is read, and what has landed stays as it is."
            )
        if now is not None:
            words[name] = now
    if len(words) > MAX_COLUMNS:
        raise SchemaDrift(
            f"{table.id}: its records have {len(words):,} different fields, and a table holds {MAX_COLUMNS:,} columns"
            " at most: their names are most likely data. Name the fields that you want with `only`."
        )
    return {name: word for name, word in words.items() if not table.only or name in table.only}


def _said(seen: Values) -> str:
    return " and ".join(sorted({str(flag.name).lower().replace("small", "bigint") for flag in seen}))


def with_needed(table: SourceTable, settings: RecordSettings, words: Mapping[str, str]) -> dict[str, str]:
    """``words`` with those of fields without which no row can be loaded."""
    needed = (*settings.parent_columns, *table.key, *((table.partition,) if table.partition else ()))
    return {**{name: UNSEEN for name in needed if name not in words}, **words}


def clear_columns(
    table: SourceTable, settings: RecordSettings, words: Mapping[str, str]
) -> tuple[ClearColumn, ...]:
    """The columns as the sync is told of them; none before the first record. With ``only`` without the record itself."""
    columns = [_column(name, word, settings) for name, word in words.items()]
    if columns and not table.only:
        columns.append(
            ClearColumn(RECORD, "JSON", "record", False, quoted(RECORD), _text(RECORD), whole=True)
        )
    return tuple(columns)


def _column(name: str, word: str, settings: RecordSettings) -> ClearColumn:
    path = settings.fields.get(name)
    return ClearColumn(
        name=name,
        type=column_type(word),
        source_type=word,
        nullable=True,
        value=quoted(name),
        text=_text(name),
        base=base_type(word),
        one_text=word not in ("double", "json"),
        path=".".join(path) if path else None,
    )


def _text(name: str) -> str:
    return f"CAST({quoted(name)} AS VARCHAR)"


def own_columns(table: SourceTable) -> tuple[Column, ...]:
    """A table with a key has the mark of keys that are gone."""
    return (MARK,) if marks_gone(table) else ()


def marks_gone(table: SourceTable) -> bool:
    return bool(table.key) and table.strategy != "append"


def names_of(table: SourceTable, settings: RecordSettings, words: Mapping[str, str]) -> Sequence[str]:
    """What the table may be said to have: fields that are in few records are not missing."""
    return (*words, *(() if table.only else (RECORD,)), *settings.fields)
