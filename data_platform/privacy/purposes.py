"""For which purposes a model is made, and whose rows may be in it. Pure.

A model's YAML names its purposes with ``config: {meta: {purpose: {marketing: user_id}}}``: the column holds the consent key of the
person whom a row is about, or ``~`` where no column does. ``purpose: {none: REASON}`` says that a model which reads others under a purpose
is under none. The mart ``consents`` has who agreed to what (``privacy/consent/``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from data_platform.printable import printable
from data_platform.privacy.consent.config import Otherwise
from data_platform.privacy.leaving import Carried, Name
from data_platform.warehouses.dialect import Dialect, relation

META = "purpose"
NONE = "none"
CONSENTS = "consents"
"""The name of the mart."""
LASTING = ("incremental", "snapshot")
"""How dbt makes tables whose rows outlive a build."""
NOT_UNDER = (
    "`{where}: purpose:` in catalog/platform.yaml is {purpose}, and these hold columns of people without being made for it: {tables}. Declare"
    " the purpose in the YAML of each, or name only models under it."
)


@dataclass(frozen=True, slots=True)
class Purposed:
    """A model, its column of consent keys by purpose (None where it has none), and how dbt makes it (``table``, ``incremental``,
    ``snapshot``, ``view`` ...)."""

    place: Name
    columns: Mapping[str, str | None]
    made_as: str = "table"
    name: str = ""
    """What dbt calls it."""

    @property
    def label(self) -> str:
        return ".".join(self.place)

    @property
    def totals(self) -> tuple[str, ...]:
        """The purposes for which it sums people up and keeps what earlier builds summed up: people who withdrew since are in that."""
        lasting = self.made_as in LASTING
        return tuple(purpose for purpose, column in self.columns.items() if column is None and lasting)

    @property
    def summed_again(self) -> str:
        """How such a model sums up again, in a sentence."""
        if self.made_as == "snapshot":
            return f"dbt builds no snapshot in full: drop {self.label}, and the next build begins it again."
        return f"`dbt build --full-refresh --select {self.name}` sums it up again."

    @property
    def checked(self) -> Mapping[str, str]:
        """By purpose, the columns by which its rows can be judged."""
        return {purpose: column for purpose, column in self.columns.items() if column is not None}


@dataclass(frozen=True, slots=True)
class Exportable:
    """What an export must know of the models: those under purposes, and what of persons the columns hold, by relation and column in lower
    case. To know that, models may have to be compiled."""

    models: Mapping[Name, Purposed] = field(default_factory=dict)
    carried: Callable[[], Mapping[Name, Mapping[str, Carried]]] = dict

    def withheld(self, purpose: str | None, places: Collection[Name], named: Collection[Name]) -> set[Name]:
        """Of ``places``, the models of other purposes than the export's. Those that it names by themselves (``named``) are not withheld."""
        return {
            place
            for place in places
            if (one := self.models.get(place)) is not None
            and purpose not in one.columns
            and place not in named
        }

    def refused(self, purpose: str | None, columns: Mapping[Name, Collection[str]]) -> list[str]:
        """Relations that an export with ``purpose`` may not take, each with its columns that hold something of a person. ``columns``
        are those that would be exported."""
        if purpose is None:
            return []
        carried = self.carried()
        found = []
        for place, names in sorted(columns.items()):
            one = self.models.get(place)
            known = carried.get(place, {})
            held = [name for name in names if (at := known.get(name.lower())) is not None and at.personal]
            if held and (one is None or purpose not in one.columns):
                found.append(f"{'.'.join(place)} ({', '.join(held)})")
        return found


def purposed(node: Mapping[str, Any]) -> Purposed | None:
    """What the YAML of a node of dbt's manifest says; None for one that is under no purpose. ValueError, with a sentence, for what it must
    not say."""
    said = said_of(node)
    if said is None or NONE in said:
        return None
    return Purposed(place_of(node), said, node["config"].get("materialized") or "table", node["name"])


def said_of(node: Mapping[str, Any]) -> dict[str, str | None] | None:
    """The block ``purpose`` of a node; None where there is none."""
    meta = (node.get("config") or {}).get("meta") or node.get("meta") or {}
    if META not in meta:
        return None
    said = meta[META]
    if not isinstance(said, Mapping) or not said:
        raise ValueError(f"{META} must be a mapping such as {{marketing: user_id}}, or {{{NONE}: REASON}}.")
    found: dict[str, str | None] = {}
    for purpose, column in said.items():
        if not isinstance(purpose, str) or not (
            column is None or (isinstance(column, str) and column.strip())
        ):
            raise ValueError(
                f"{META}: {printable(str(purpose))} must name a column, or be ~ where no column holds the person."
            )
        found[purpose] = column
    if NONE in found and (len(found) > 1 or found[NONE] is None):
        raise ValueError(
            f"{META}: {NONE} is alone and has a reason, such as {{{NONE}: Counts of people alone.}}."
        )
    return found


def place_of(node: Mapping[str, Any]) -> Name:
    return node["schema"].lower(), node["alias"].lower()


def without_consent(
    dialect: Dialect, consents: Name, purpose: str, otherwise: Otherwise, column: str
) -> list[str]:
    """Conditions, of which one is true for each row of a model whose person does not agree to ``purpose``: a row of nobody, and one whose
    ``column`` is the key of such a person. ``consents`` and ``column`` are as the warehouse spells them."""
    name, text = dialect.quote, dialect.literal
    key = dialect.try_cast(name(column), "text")
    chosen = name("counts") if otherwise == "denied" else f"{name('state')} = {text('withdrawn')}"
    people = (
        f"SELECT {name('subject_key')} FROM {relation(dialect, *consents)} WHERE {name('purpose')} = {text(purpose)} AND {chosen}"
        f" AND {name('subject_key')} IS NOT NULL"
    )
    return [f"{key} IS NULL", f"{key} {'NOT IN' if otherwise == 'denied' else 'IN'} ({people})"]
