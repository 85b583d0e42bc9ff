"""The keys ``status_page`` and ``figures`` of ``catalog/platform.yaml``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from data_platform.yaml_fields import ColumnName, Model

DEFAULT_PATH = Path(".data/status/index.html")


class StatusPageConfig(Model):
    """``{path: .data/status/index.html}``."""

    path: Path | None = Field(
        default=DEFAULT_PATH,
        description="The file of the page; a relative path starts at the project's folder. It needs nothing else: open it in a"
        " browser, or let any web server serve it. null: the graph only records what `data-platform health` needs.",
    )
    stale_hours: float = Field(
        default=3,
        gt=0,
        le=24 * 366,
        description="The age in hours at which the page says of itself that it is old and that nothing in it is known any more. It is"
        " written after each build and each hour.",
    )


class FigureConfig(Model):
    """A business figure of the status page, one value a day: ``{name: Revenue, relation: marts.daily_revenue, day: date, sum:
    net_revenue}``."""

    name: str = Field(min_length=1, max_length=60, description="What people call it, such as `Revenue`.")
    relation: str = Field(
        pattern=r"^[^.\s][^.]*\.[^.\s][^.]*$",
        max_length=400,
        description="The table or model that it is computed from, as `schema.relation`.",
    )
    day: ColumnName = Field(description="The date column of `relation` that says which day a row belongs to.")
    sum: ColumnName | None = Field(
        default=None,
        description="The number column that is added up for each day. Default: rows are counted.",
    )
    unit: str = Field(
        default="",
        max_length=12,
        description="What is shown with its values, such as `EUR`. Default: nothing.",
    )
    description: str = Field(
        default="",
        max_length=300,
        description="What the figure counts, in one sentence, shown below its name.",
    )
