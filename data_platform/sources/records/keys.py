"""What a table's block says where its source gives records: types, values from within, and whose children its rows are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, StringConstraints

from data_platform.sources.kind import CommonKeys, HasSettings, KindSettings, TableKeys
from data_platform.sources.records.types import PATTERN, TIMES
from data_platform.yaml_fields import ColumnName, Frozen, FrozenDict

RECORD, INDEX, PARENT, GONE, VALUE = "_record", "_index", "_parent_", "_deleted", "value"
"""The columns that are no fields: the record itself, an element's position in its array, the parent's key (with the name
of the key's column behind it), the mark of a key that is gone; and the one field of an element that is no object."""

Word = Annotated[str, StringConstraints(pattern=PATTERN)]


def keys_of(path: str) -> tuple[str, ...]:
    """The keys of a path joined by dots; ``$.`` before it is allowed. ValueError where there is none."""
    keys = tuple(path.removeprefix("$.").split("."))
    if not all(keys) or any(mark in path for mark in "[]*"):
        raise ValueError(f"{path!r} is no path: write keys joined by dots, such as lines.data")
    return keys


def _path(text: str | None) -> str | None:
    if text is not None:
        keys_of(text)
    return text


Path = Annotated[str, AfterValidator(_path)]


@dataclass(frozen=True, slots=True)
class RecordSettings(KindSettings):
    """``parent`` is the block whose records hold this table's in the array at ``path``, and ``parent_key`` its key.
    ``replaces`` are columns whose rows a kind always reads together; its feed gives them within one page."""

    types: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parent: str | None = None
    parent_key: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()

    def read_of(self, only: Collection[str]) -> set[str]:
        """The fields of a record of which something lands, where the catalog names the columns that do."""
        return {self.fields[name][0] if name in self.fields else name for name in only}

    @property
    def parent_columns(self) -> tuple[str, ...]:
        return tuple(PARENT + name for name in self.parent_key)


def settings_of(table: HasSettings) -> RecordSettings:
    """The settings of a table whose source gives records."""
    return cast(RecordSettings, table.settings)


class RecordTableKeys(TableKeys):
    """The keys of a block; a kind adds its own."""

    types: Annotated[Mapping[ColumnName, Word], Frozen] = Field(
        default_factory=FrozenDict,
        description="The types of columns: `text`, `bigint`, `double`, `bool`, `json`, `decimal(p,s)`, `date`, `timestamp`"
        " (ISO 8601 text), `epoch` and `epoch_ms` (seconds and milliseconds since 1970). By default as the values show."
        " A record whose value is not of its column's type goes to quarantine.",
    )
    fields: Annotated[Mapping[ColumnName, Path], Frozen] = Field(
        default_factory=FrozenDict,
        description="Columns that take their value from within the record, by its path: `billing_email:"
        " billing_details.email`. Every field at the top of a record is a column without this.",
    )
    of: str | None = Field(
        default=None,
        description="The block whose records hold the rows of this table, as the elements of an array. Its columns"
        " `_parent_<key>` name the parent's row and `_index` the position in the array.",
    )
    path: Path | None = Field(
        default=None,
        description="With `of`: where the array is in the parent's record, such as `lines.data`.",
    )

    def named_columns(self) -> Mapping[str, Collection[str]]:
        return {"types": self.types, "fields": self.fields}

    def path_of(self, column: str) -> str:
        return self.fields.get(column, column)

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if (self.of is None) != (self.path is None):
            yield (
                ("of" if self.path is None else "path",),
                "`of` names the parent's block and `path` the array in its records; write both or neither",
            )
        for column in common.times:
            if self.types.get(column, "text" if column in self.types else TIMES[0]) not in TIMES:
                yield (
                    ("types", column),
                    f"must be one of {', '.join(TIMES)}: it is the column of `partition`, `retention` or `newest_data`",
                )

    def default_key(self, blocks: Mapping[str, Any]) -> tuple[str, ...]:
        return (*(PARENT + name for name in _key_of(self.of, blocks)), INDEX) if self.of else ()

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> RecordSettings:
        return RecordSettings(name, **self.shared(blocks))

    def shared(self, blocks: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of ``RecordSettings`` that every kind fills alike."""
        return {
            "types": dict(self.types),
            "fields": {column: keys_of(path) for column, path in self.fields.items()},
            "parent": self.of,
            "parent_key": _key_of(self.of, blocks),
            "path": keys_of(self.path) if self.path else (),
        }


def _key_of(parent: str | None, blocks: Mapping[str, Any]) -> tuple[str, ...]:
    block = blocks.get(parent) if parent else None
    return () if block is None else (block.key or block.default_key(blocks))
