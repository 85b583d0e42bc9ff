"""What a table's block says of a report: its dimensions and metrics, or a preset's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import Field, StringConstraints

from data_platform.sources.kind import Capabilities, CommonKeys, HasSettings
from data_platform.sources.records.keys import RecordSettings, RecordTableKeys

DATE = "date"
DIMENSIONS_MAX, METRICS_MAX = 9, 10
"""Of one request, the date among the dimensions."""
PARTIAL, SAMPLED, READ, SPACE = "_partial", "_sampled", "_samples_read", "_samples_space"
WITHHELD, OTHER, TRUNCATED, RESTRICTED, CURRENCY = (
    "_thresholded",
    "_other_row",
    "_truncated",
    "_restricted",
    "_currency",
)
"""Columns that say how good the numbers of a day are."""
OWN_TYPES = {
    DATE: "date",
    **dict.fromkeys((PARTIAL, SAMPLED, WITHHELD, OTHER, TRUNCATED, RESTRICTED), "bool"),
    **dict.fromkeys((READ, SPACE), "bigint"),
    CURRENCY: "text",
}
CAN = Capabilities(deletes="slices", proof="none", slices=True, rejects=True)

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_:\[\]]*$")]


@dataclass(frozen=True, slots=True)
class Report:
    """Names of the API's schema; ``dimensions`` without the date, which every report has first."""

    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (DATE, *map(column_of, (*self.dimensions, *self.metrics)))


PRESETS: Mapping[str, Report] = {
    "traffic": Report(
        ("sessionDefaultChannelGroup", "sessionSource", "sessionMedium", "sessionCampaignName"),
        (
            "sessions",
            "engagedSessions",
            "totalUsers",
            "newUsers",
            "screenPageViews",
            "keyEvents",
            "totalRevenue",
        ),
    ),
    "pages": Report(
        ("pagePath", "pageTitle"),
        ("screenPageViews", "totalUsers", "userEngagementDuration", "eventCount", "keyEvents"),
    ),
    "events": Report(("eventName",), ("eventCount", "totalUsers", "eventValue")),
    "conversions": Report(
        ("eventName", "sessionDefaultChannelGroup", "sessionSource", "sessionMedium"),
        ("keyEvents", "totalUsers", "totalRevenue"),
    ),
    "ecommerce": Report(
        ("itemId", "itemName", "itemCategory"),
        ("itemsViewed", "itemsAddedToCart", "itemsPurchased", "itemRevenue"),
    ),
}


def column_of(name: str) -> str:
    """The column of a dimension or metric: ``customEvent:plan`` is ``customEvent_plan``."""
    return name.replace(":", "_").replace("[", "_").replace("]", "")


@dataclass(frozen=True, slots=True)
class Ga4Settings(RecordSettings):
    """``start`` is the first day that is read, as ISO text; the others are the days that are read again."""

    report: Report = Report((), ())
    start: str | None = None
    reread_days: int = 4
    wide_reread_days: int = 40
    wide_reread_every_days: int = 30


def ga4_settings(table: HasSettings) -> Ga4Settings:
    """The settings of a table of this kind."""
    return cast(Ga4Settings, table.settings)


class Ga4TableKeys(RecordTableKeys):
    preset: Literal["traffic", "pages", "events", "conversions", "ecommerce"] | None = Field(
        default=None,
        description="A ready-made report: `traffic`, `pages`, `events`, `conversions` or `ecommerce`. Without it the"
        " block names `metrics`.",
    )
    dimensions: tuple[Name, ...] | None = Field(
        default=None,
        description="The report's dimensions beside `date`, which every report has, by their API names. Default: the"
        " preset's, else none. The key is the date with them.",
    )
    metrics: tuple[Name, ...] | None = Field(
        default=None, description="The report's metrics by their API names. Default: the preset's."
    )

    def report(self) -> Report:
        preset = PRESETS[self.preset] if self.preset else Report((), ())
        dimensions = preset.dimensions if self.dimensions is None else self.dimensions
        return Report(
            tuple(name for name in dimensions if name != DATE),
            preset.metrics if self.metrics is None else self.metrics,
        )

    def mistakes(
        self, common: CommonKeys, written: Collection[str]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        yield from super().mistakes(common, written)
        report = self.report()
        if not report.metrics:
            yield ("metrics",), "name at least one metric, such as [sessions], or write a `preset`"
        for key, names, most in (
            ("dimensions", (DATE, *report.dimensions), DIMENSIONS_MAX),
            ("metrics", report.metrics, METRICS_MAX),
        ):
            if len(names) > most:
                yield (
                    (key,),
                    f"has {len(names)} (the date counted), and a report takes {most} at most; make two tables",
                )
        columns = [name.lower() for name in report.columns]
        if twice := sorted({name for name in columns if columns.count(name) > 1}):
            yield ("dimensions",), f"{', '.join(twice)} is named twice"
        if self.of is not None:
            yield ("of",), "is not used by Google Analytics: the rows of a report hold no lists"
        if "cursor" in written:
            yield ("cursor",), "is not used by Google Analytics: whole days are read again"
        if any(column != DATE for column in common.times if column not in self.types):
            yield ("partition",), "is the column `date`: it is the only day of a report"

    def default_key(self, blocks: Mapping[str, Any]) -> tuple[str, ...]:
        return (DATE, *map(column_of, self.report().dimensions))

    def settings(self, name: str, source: Any, blocks: Mapping[str, Any]) -> Ga4Settings:
        return Ga4Settings(
            f"the report {self.preset or name}",
            **self.shared(blocks),
            replaces=(DATE,),
            report=self.report(),
            start=source.start.isoformat() if source.start else None,
            reread_days=source.reread_days,
            wide_reread_days=source.wide_reread_days,
            wide_reread_every_days=source.wide_reread_every_days,
        )
