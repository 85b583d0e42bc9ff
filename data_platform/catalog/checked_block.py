"""What a block of the catalog says of the rows, whether it is of a source's table or of a dbt model: rules, and checks that are no rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import Field

from data_platform.catalog.rule_line import RuleLine
from data_platform.catalog.yaml_reader import Path
from data_platform.quality import kinds
from data_platform.quality.checking import CheckKind
from data_platform.quality.kinds import names, wanted
from data_platform.yaml_fields import FrozenDict, Model


class Ruled(Model):
    """Has rules."""

    rules: tuple[RuleLine, ...] = Field(
        default=(), description="Rules that the rows must satisfy, one on each line. Each becomes a check."
    )


class CheckedColumn(NamedTuple):
    """A column that a check reads, and the key of the block that names it. ``why_clear`` says why it must land in clear, ``time``
    whether it must hold times or days."""

    key: Path
    column: str
    why_clear: str
    time: bool


class CheckedBlock(Ruled):
    """Has a block for each check that is no rule, under the name of its kind: ``check_fields`` are its fields."""

    @property
    def checks(self) -> Mapping[str, Any]:
        """The settings of each check that is no rule, by its kind's name."""
        found = {name: getattr(self, name, None) for name in names()}
        return FrozenDict({name: settings for name, settings in found.items() if settings is not None})

    def checked_columns(self) -> Iterator[CheckedColumn]:
        for kind, settings in wanted(self.checks):
            times = kind.times(settings)
            for key, column in kind.columns(settings).items():
                path = (int(part) if part.isdecimal() else part for part in key.split("."))
                yield CheckedColumn((kind.name, *path), column, kind.why_clear, column in times)


def check_fields(fits: Callable[[CheckKind], bool] = lambda _: True) -> dict[str, Any]:
    """The fields of the kinds of checks that there are now and that ``fits``, for ``create_model``."""
    return {
        kind.name: (kind.model | None, Field(default=None, description=kind.description))
        for kind in kinds.KINDS
        if fits(kind)
    }
