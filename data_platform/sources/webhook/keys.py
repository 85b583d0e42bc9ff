"""What a table's block of a source of webhooks may say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from data_platform.sources.kind import CommonKeys, HasSettings
from data_platform.sources.records.keys import RecordSettings, RecordTableKeys, keys_of
from data_platform.sources.webhook.event import EVENT_ID, KNOWN, PAYLOAD

WHOLE = "$"


def _list(value: Any) -> Any:
    return tuple([value] if isinstance(value, str) else value) if isinstance(value, (str, list)) else value


def _record(text: str | None) -> str | None:
    if text not in (None, WHOLE):
        keys_of(str(text))
    return text


EventType = Annotated[str, StringConstraints(pattern=r"^[^\s*]*\*?$", min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class WebhookSettings(RecordSettings):
    """``events``: what the types match of the events that land, all where it is None. ``record`` is the path of the record in the
    body, None where the whole delivery is one."""

    events: re.Pattern[str] | None = None
    record: tuple[str, ...] | None = None


class WebhookTableKeys(RecordTableKeys):
    events: Annotated[
        tuple[EventType, ...],
        BeforeValidator(_list),
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
        ),
    ] = Field(
        default=(),
        description="The types of events that the table holds; `order.*` is every type that begins so. Default: all, which one table of"
        " the source must hold.",
    )
    record: Annotated[str | None, AfterValidator(_record)] = Field(
        default=None,
        description="Where the record is in the body, such as `data.object`; `$` is the whole body. Its fields become columns beside"
        f" `{EVENT_ID}`. Default: the body lands as it is, in the column `{PAYLOAD}`.",
    )

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield from super().mistakes(common, written)
        if getattr(self, "strategy", "append") == "replace":
            yield ("strategy",), "cannot be `replace`: what was delivered is not delivered again"
        if self.of is not None and (self.events or self.record):
            yield ("of",), "takes `events` and `record` from the parent's block: leave them out here"
        for column in common.times:
            if column not in KNOWN and column not in self.types:
                yield (
                    ("types", column),
                    "is missing: declare the type of the column of `partition`, `retention` or `newest_data`",
                )

    def default_key(self, blocks: Mapping[str, Any]) -> tuple[str, ...]:
        return super().default_key(blocks) or (EVENT_ID,)

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> WebhookSettings:
        feeding = self if self.of is None else blocks.get(self.of, self)
        record = feeding.record
        return WebhookSettings(
            f"/webhooks/{source.source}",
            **self.shared(blocks),
            events=_matching(feeding.events),
            record=None if record is None else () if record == WHOLE else keys_of(record),
        )


def _matching(types: Collection[str]) -> re.Pattern[str] | None:
    if not types:
        return None
    return re.compile(
        "|".join(re.escape(one.removesuffix("*")) + (".*" if one.endswith("*") else "") for one in types)
    )


def settings_of(table: HasSettings) -> WebhookSettings:
    """The settings of a table of this kind."""
    return cast(WebhookSettings, table.settings)
