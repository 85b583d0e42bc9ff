"""What a table's block of a Stripe source may say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import Field

from data_platform.sources.kind import CommonKeys, HasSettings
from data_platform.sources.records.keys import RecordSettings, RecordTableKeys
from data_platform.sources.stripe.objects import CHILDREN, DELIVERIES, OBJECTS, StripeObject

ID = "id"


@dataclass(frozen=True, slots=True)
class StripeSettings(RecordSettings):
    """``object`` is the one that feeds the table: for a table of children their parent's."""

    object: StripeObject | None = None
    reread_days: int = 0
    known: Mapping[str, str] | None = None
    """The types that are known of the table's own records."""


class StripeTableKeys(RecordTableKeys):
    object: str | None = Field(
        default=None,
        description="The objects that the table holds, where its own name is another: `charges`, `customers`, ...",
    )
    reread_days: int | None = Field(
        default=None,
        ge=0,
        le=3_650,
        description="Once a day the objects created in the last so many days are reread, where no event tells of their"
        " changes. Default 31 for `balance_transactions`, 0 for `events`.",
    )

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield from super().mistakes(common, written)
        if self.of is not None and self.object is not None:
            yield ("object",), "has no place beside `of`: the rows are elements of the parent's records"
        if common.cursor is not None and "cursor" in written:
            yield ("cursor",), "is not used by Stripe: what changed is found by events"

    def default_key(self, blocks: Mapping[str, Any]) -> tuple[str, ...]:
        return super().default_key(blocks) or (ID,)

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> StripeSettings:
        feeding = self if self.of is None else blocks.get(self.of, self)
        wanted = feeding.object or self.of or name  # ``rewrite`` reports one that is none
        found = DELIVERIES if wanted == DELIVERIES.name else OBJECTS.get(wanted)
        child = next(
            (one for one in CHILDREN.values() if found and (one.of, one.path) == (found.name, self.path)),
            None,
        )
        known = (child.types if child else {}) if self.of else (found.types if found else {})
        days = feeding.reread_days
        return StripeSettings(
            f"/webhooks/{source.source}" if found is DELIVERIES else found.path if found else name,
            **self.shared(blocks),
            object=found,
            reread_days=(found.reread_days if found else 0) if days is None else days,
            known=known,
        )


def stripe_settings(table: HasSettings) -> StripeSettings:
    return cast(StripeSettings, table.settings)


def object_of(table: HasSettings) -> StripeObject:
    """The object that feeds a table of this kind."""
    return cast(StripeObject, stripe_settings(table).object)
