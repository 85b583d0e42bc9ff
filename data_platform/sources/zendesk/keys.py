"""What a table's block of a Zendesk source may say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import Field

from data_platform.sources.kind import Capabilities, CommonKeys, HasSettings
from data_platform.sources.records.keys import RecordSettings, RecordTableKeys
from data_platform.sources.zendesk.objects import CHILDREN, ID, OBJECTS, ZendeskObject

COMMENTS = "comment_events"


@dataclass(frozen=True, slots=True)
class ZendeskSettings(RecordSettings):
    """``object`` is the one that feeds the table: for a table of children their parent's. ``known`` are the types that
    are known of the table's own records."""

    object: ZendeskObject | None = None
    include: tuple[str, ...] = ()
    removes: bool = False
    known: Mapping[str, str] | None = None


class ZendeskTableKeys(RecordTableKeys):
    object: str | None = Field(
        default=None,
        description="What the table holds, where its own name is another: `tickets`, `users`, `ticket_events`, ...",
    )
    deleted: Literal["keep", "remove"] | None = Field(
        default=None,
        description="What becomes of a ticket, user or organization that is deleted in Zendesk: `keep` (the default) leaves"
        " the row as Zendesk gives it from then on (`status: deleted`, `active: false`), `remove` takes it out.",
    )
    include: tuple[Literal["comment_events"], ...] = Field(
        default=(),
        description="Of `ticket_events`: `comment_events` lands what the comments say. Default: only that there was one.",
    )

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield from super().mistakes(common, written)
        for name in ("object", "deleted", "include"):
            if self.of is not None and name in written:
                yield (name,), "has no place beside `of`: the rows are elements of the parent's records"
        if common.cursor is not None and "cursor" in written:
            yield (
                ("cursor",),
                "is not used by Zendesk: what changed is found by its incremental exports. Take the key out",
            )

    def default_key(self, blocks: Mapping[str, Any]) -> tuple[str, ...]:
        if self.of is not None:
            return super().default_key(blocks)
        named = self.object or next((name for name, block in blocks.items() if block is self), "")
        found = OBJECTS.get(named)
        return (found.key if found else ID,)

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> ZendeskSettings:
        feeding = self if self.of is None else blocks.get(self.of, self)
        found = OBJECTS.get(feeding.object or self.of or name)  # ``rewrite`` reports one that is none
        child = next(
            (one for one in CHILDREN.values() if found and one.of == found.name and (one.path,) == self.path),
            None,
        )
        known = (child.types if child else {}) if self.of else (found.types if found else {})
        return ZendeskSettings(
            found.endpoint if found else name,
            can=_abilities(found, feeding.deleted),
            **self.shared(blocks),
            object=found,
            include=feeding.include,
            removes=feeding.deleted == "remove",
            known=known,
        )


def _abilities(found: ZendeskObject | None, deleted: str | None) -> Capabilities:
    by_export = found is not None and found.walked != "list"
    return Capabilities(
        deletes="events" if by_export else "refresh", proof="none", slices=False, rejects=True
    )


def zendesk_settings(table: HasSettings) -> ZendeskSettings:
    return cast(ZendeskSettings, table.settings)


def object_of(table: HasSettings) -> ZendeskObject:
    """The object that feeds a table of this kind."""
    return cast(ZendeskObject, zendesk_settings(table).object)
