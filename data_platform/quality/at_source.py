"""What is different for the rules of a table that is asked at its source: clear personal values stay there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from data_platform.quality.rules import Rule


@dataclass(frozen=True, slots=True)
class AtSource:
    """``label`` is the table's name in ``quality.failures`` and ``place`` what the source calls it. ``hidden`` are the columns whose values do not
    leave the source, ``withheld`` those that this user may not read. ``relations`` are (schema, name) of the source's tables by
    their names in the catalog."""

    label: str
    place: str
    hidden: frozenset[str]
    withheld: frozenset[str] = frozenset()
    relations: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def hides(self, rule: Rule) -> bool:
        """Whether a figure of the rule may hold a hidden value. Nobody knows what a query reads."""
        return _queries(rule) or not self.hidden.isdisjoint(rule.columns)

    def keeps_no_row(self, rule: Rule) -> bool:
        return _queries(rule)

    def hidden_of(self, rule: Rule, names: Sequence[str]) -> Collection[str]:
        """Which of the columns ``names`` of what is shown of failing rows are NULL instead."""
        return self.hidden | {"figure"} if self.hides(rule) and "figure" in names else self.hidden

    def missing(self, rule: Rule, missing: Sequence[str]) -> str:
        denied = [name for name in missing if name in self.withheld]
        if denied:
            return (
                f"`{rule.text}` cannot be evaluated: the sync's user may not read the column {', '.join(denied)} of {self.place}."
                f" GRANT SELECT on it at the source, or correct the rule in the catalog."
            )
        return (
            f"`{rule.text}` cannot be evaluated: {self.place} has no column {', '.join(missing)} at the source. Correct the rule in"
            " the catalog."
        )


def _queries(rule: Rule) -> bool:
    return rule.form == "query" or rule.operator == "equals"
