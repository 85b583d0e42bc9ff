"""What a table's block of a source with Spark jobs says: its inputs, its columns, what it needs to run."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, StringConstraints

from data_platform.sources.kind import Capabilities, CommonKeys, HasSettings, KindSettings, TableKeys
from data_platform.tables import TableId
from data_platform.yaml_fields import ColumnName, Frozen, FrozenDict, Model

CAN = Capabilities(deletes="refresh", proof="none", slices=True)
Word = Annotated[
    str,
    StringConstraints(
        pattern=r"^(text|bigint|double|bool|json|date|timestamp|decimal\(([1-9]|[12]\d|3[0-8]), ?\d{1,2}\))$"
    ),
]
View = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Memory = Annotated[str, StringConstraints(pattern=r"^[1-9]\d{0,5}[mg]$")]


def _table(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+/[a-z0-9_]+", text):
        raise ValueError("is not of the form source/table, such as shop/events")
    return text


class Resources(Model):
    """What a job needs."""

    memory: Memory = Field(
        default="1g", description="Memory of Spark on this machine, such as `2g`. A cluster has its own."
    )
    conf: Annotated[Mapping[str, str | int | float | bool], Frozen] = Field(
        default_factory=FrozenDict,
        description="Settings of Spark for this job alone, such as `spark.sql.shuffle.partitions: 64`.",
    )


@dataclass(frozen=True, slots=True)
class SparkSettings(KindSettings):
    """``inputs`` are the landed tables by the names under which the job sees them, ``types`` its columns in order."""

    inputs: Mapping[str, TableId] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)


class SparkTableKeys(TableKeys):
    """The keys of a block."""

    inputs: Annotated[Mapping[View, Annotated[str, AfterValidator(_table)]], Frozen] = Field(
        default_factory=FrozenDict,
        description="The tables that the job reads, as they have landed: the name under which it sees one, and the table as"
        " `source/table`.",
    )
    types: Annotated[Mapping[ColumnName, Word], Frozen] = Field(
        default_factory=FrozenDict,
        description="All columns that the job gives, with their types: `text`, `bigint`, `double`, `bool`, `json` (a text),"
        " `decimal(p,s)`, `date`, `timestamp` (an instant).",
    )
    resources: Resources = Field(default=Resources(), description="What the job needs.")

    def named_columns(self) -> Mapping[str, Collection[str]]:
        return {"types": self.types}

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        if not self.inputs:
            yield (
                ("inputs",),
                "is missing: say which tables the job reads, such as inputs: {events: shop/events}",
            )
        if not self.types:
            yield (
                ("types",),
                "is missing: list every column that the job gives with its type, such as id: bigint",
            )
        if getattr(self, "strategy", "merge") == "append":
            yield (
                ("strategy",),
                "cannot be `append`: a job computes its rows anew, and they replace those before",
            )
        if common.cursor is not None:
            yield (
                ("cursor",),
                "has no use here: a job runs again when its inputs have moved. Take the key out",
            )
        if self.types:
            named = {"key": getattr(self, "key", ()), "partition": (getattr(self, "partition", None),)}
            for key, columns in named.items():
                for column in columns:
                    if column is not None and column not in self.types:
                        yield (key,), f"names `{column}`, which is not among the columns of `types`"

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> SparkSettings:
        inputs = {view: TableId.parse(text) for view, text in self.inputs.items()}
        return SparkSettings(
            f"{source.connection.folder}/{name}",
            reads=tuple(dict.fromkeys(inputs.values())),
            inputs=inputs,
            types=dict(self.types),
            resources=self.resources,
        )


def settings_of(table: HasSettings) -> SparkSettings:
    """The settings of a table that a job computes."""
    return cast(SparkSettings, table.settings)
