"""What a table's block of a dlt source may say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import Field

from data_platform.sources.kind import CommonKeys, HasSettings
from data_platform.sources.records.keys import RecordSettings, RecordTableKeys

Keeps = Literal["none", "read", "page"]


@dataclass(frozen=True, slots=True)
class DltSettings(RecordSettings):
    """``resource`` feeds the table: for a table of children their parent's. ``of_table``: of its rows, those that it
    puts into this table of dlt's."""

    resource: str = ""
    of_table: str | None = None
    state: Keeps | None = None


class DltTableKeys(RecordTableKeys):
    resource: str | None = Field(
        default=None, description="The dlt resource that gives the rows. Default: the table's name."
    )
    table: str | None = Field(
        default=None,
        description="The name of dlt's table whose rows land here, if the resource names the table of each row"
        " (`dlt.mark.with_table_name`, a `table_name` that is a function).",
    )
    state: Keeps | None = Field(
        default=None,
        description="When the state that the resource keeps in dlt is right. `read`: once it has given all its rows."
        " `page`: after each page that it yields, so that a read that was cut goes on there. `none`: every read begins"
        " without state and replaces the table. Default: `read` for a resource with `dlt.sources.incremental`, `page`"
        ' where that says `row_order="asc"`, else `none`.',
    )

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield from super().mistakes(common, written)
        for name in ("resource", "table", "state"):
            if self.of is not None and name in written:
                yield (name,), "has no place beside `of`: the rows are elements of the parent's records"
        if common.cursor is not None and "cursor" in written:
            yield (
                ("cursor",),
                "is not used for dlt: the resource's own `dlt.sources.incremental` finds what changed. Take the key out",
            )

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> DltSettings:
        feeding = self if self.of is None else blocks.get(self.of, self)
        resource = feeding.resource or self.of or name
        return DltSettings(
            resource if feeding.table is None else f"{resource}, table {feeding.table}",
            **self.shared(blocks),
            resource=resource,
            of_table=feeding.table,
            state=feeding.state,
        )


def dlt_settings(table: HasSettings) -> DltSettings:
    return cast(DltSettings, table.settings)
