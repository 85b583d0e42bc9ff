"""What a REST source's file may say beside the connection: a table's ``endpoint``, and dlt's three blocks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ConfigDict, Field

from data_platform.sources.kind import Capabilities, CommonKeys, HasSettings, SourceKeys
from data_platform.sources.records.keys import RecordSettings, RecordTableKeys
from data_platform.sources.records.types import TIMES
from data_platform.sources.rest.endpoint import AnyEndpoint, Endpoint
from data_platform.yaml_fields import ColumnName


@dataclass(frozen=True, slots=True)
class Level:
    """An endpoint and, where it takes values from another's records, that one: read in turn, the outermost first.
    ``include`` are the fields of the parent's record that each record gets."""

    name: str
    endpoint: Endpoint
    include: tuple[str, ...] = ()
    parent: Level | None = None

    @property
    def path(self) -> str:
        """The endpoint's path as written: what people call it, without a value of a record."""
        return self.endpoint.path or self.name

    @property
    def single(self) -> bool:
        """Whether one request gives one record, since its path ends in a value."""
        return self.path.rstrip("/").endswith("}")


@dataclass(frozen=True, slots=True)
class RestSettings(RecordSettings):
    """``level`` is the endpoint whose records the table, or its parent (``of``), is made of."""

    level: Level | None = None


def level_of(table: HasSettings) -> Level:
    """The endpoint that feeds a table of this kind."""
    return cast(Level, cast(RestSettings, table.settings).level)


def _without_requirements(schema: dict[str, Any]) -> None:
    """A file in dlt's words has neither ``connection`` nor ``tables``."""
    schema["required"] = [name for name in schema.get("required", ()) if name not in ("connection", "tables")]


class RestSourceKeys(SourceKeys):
    """``rewrite.py`` turns these keys into others before the file is validated; they are here for the schema."""

    model_config = ConfigDict(json_schema_extra=_without_requirements)

    client: dict[str, Any] | None = Field(
        default=None,
        description="dlt's name of `connection`, so that a config of its `rest_api` can be pasted.",
    )
    resource_defaults: dict[str, Any] | None = Field(
        default=None, description="Keys of every table's block (or resource) that does not have them itself."
    )
    resources: tuple[Any, ...] | None = Field(
        default=None, description="dlt's form of `tables`: a list of names or blocks with a `name`."
    )


class RestTableKeys(RecordTableKeys):
    endpoint: AnyEndpoint | None = Field(
        default=None,
        description="Where its records come from. A text is the path. Default: the table's name is the path.",
    )
    include_from_parent: tuple[ColumnName, ...] = Field(
        default=(),
        description="Fields of the parent's record that each record gets, as `_<parent>_<field>`. The parent is the table"
        " of which the endpoint takes values (`{resources.posts.id}`).",
    )

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield from super().mistakes(common, written)
        if self.of is not None and (self.endpoint is not None or self.include_from_parent):
            yield (
                ("endpoint" if self.endpoint is not None else "include_from_parent",),
                "has no place beside `of`: the rows are elements of the parent's records",
            )
        if self.include_from_parent and (self.endpoint is None or self.endpoint.parent is None):
            yield (
                ("include_from_parent",),
                "needs an endpoint that takes a value of its parent, as {resources.posts.id} in its path",
            )
        if common.cursor is not None and "cursor" in written:
            yield (
                ("cursor",),
                "is not used by a REST source: what changed is asked for by `endpoint.incremental`, with its cursor_path",
            )

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> RestSettings:
        own = self.of or name
        return RestSettings(
            _level(own, blocks).path,
            can=self._abilities(blocks.get(own, self)),
            **self.shared(blocks),
            level=_level(own, blocks),
        )

    def _abilities(self, feeding: Any) -> Capabilities:
        days = self.of is None and _by_day(feeding)
        return Capabilities(deletes="slices" if days else "refresh", proof="none", slices=days, rejects=True)


def _by_day(block: Any) -> bool:
    """Whether a day of the table's partition can be asked for."""
    endpoint: Endpoint | None = block.endpoint
    partition: str | None = block.partition
    if endpoint is None or endpoint.incremental is None or partition is None:
        return False
    ends = endpoint.incremental.end_param is not None or "incremental.end_value" in set(endpoint.places())
    return ends and endpoint.incremental.cursor_path == (partition,) and block.types.get(partition) in TIMES


def _level(name: str, blocks: Mapping[str, Any], above: tuple[str, ...] = ()) -> Level:
    block = blocks.get(name)
    endpoint: Endpoint = (block.endpoint if block is not None else None) or Endpoint()
    include = block.include_from_parent if block is not None else ()
    parent = endpoint.parent
    if parent is None or parent in above or parent not in blocks:  # ``rewrite`` reports each as a mistake
        return Level(name, endpoint, include)
    return Level(name, endpoint, include, _level(parent, blocks, (*above, name)))
