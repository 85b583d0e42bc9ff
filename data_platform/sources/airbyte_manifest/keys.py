"""What a table's block of a source with an Airbyte manifest may say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import Field

from data_platform.sources.kind import CommonKeys, HasSettings
from data_platform.sources.records.keys import RecordSettings, RecordTableKeys


@dataclass(frozen=True, slots=True)
class AirbyteSettings(RecordSettings):
    """``stream`` feeds the table: for a table of children their parent's."""

    stream: str = ""


class AirbyteTableKeys(RecordTableKeys):
    stream: str | None = Field(
        default=None, description="The manifest's stream that gives the rows. Default: the table's name."
    )

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield from super().mistakes(common, written)
        if self.of is not None and "stream" in written:
            yield ("stream",), "has no place beside `of`: the rows are elements of the parent's records"
        if common.cursor is not None and "cursor" in written:
            yield (
                ("cursor",),
                "is not used here: the manifest's own `incremental_sync` finds what changed. Take the key out",
            )

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> AirbyteSettings:
        feeding = self if self.of is None else blocks.get(self.of, self)
        stream = feeding.stream or self.of or name
        return AirbyteSettings(stream, **self.shared(blocks), stream=stream)


def airbyte_settings(table: HasSettings) -> AirbyteSettings:
    return cast(AirbyteSettings, table.settings)
