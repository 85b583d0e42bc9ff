"""A table of records as the sync is told of it."""

from __future__ import annotations

from collections.abc import Mapping

from data_platform.sources.reading import Described, SourceTable
from data_platform.sources.records.feed import Feed
from data_platform.sources.records.fields import UNSEEN, clear_columns, marks_gone, names_of, own_columns
from data_platform.sources.records.keys import GONE, settings_of


def declared_words(feed: Feed, table: SourceTable) -> dict[str, str]:
    """The word of each field that the catalog or the kind declares; the catalog is asked first."""
    return {**feed.known(table).types, **settings_of(table).types}


def described(
    feed: Feed,
    table: SourceTable,
    words: Mapping[str, str],
    paths: Mapping[str, str | None] | None = None,
) -> Described:
    """With the fields of ``words`` and what was found within its documents."""
    settings, known = settings_of(table), feed.known(table)
    return Described(
        name=table.id.table,
        place=known.place,
        changes="log" if feed.incremental(table) and UNSEEN not in words.values() else "none",
        columns=clear_columns(table, settings, words),
        column_names=tuple(names_of(table, settings, words)),
        identity=known.identity,
        own=own_columns(table),
        from_rows=True,
        deleted=GONE if marks_gone(table) else None,
        replaces=(settings.parent_columns or settings.replaces) if marks_gone(table) else (),
        paths=paths or {},
    )
