"""What of people may leave the warehouse, by a publication or an export: the classes and the columns that its block names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from data_platform.privacy.classes import NONE, UNKNOWN
from data_platform.tables import PersonalClass

Name = tuple[str, str]
"""A relation's schema and name in the warehouse, in lower case."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a column holds of a person: its class, which may be `none` or `unknown`, and the columns through which it came, from this one
    to the source's."""

    class_: str
    way: str

    @property
    def personal(self) -> bool:
        return self.class_ != NONE


class Says(Protocol):
    """The block of a publication or an export."""

    @property
    def classes(self) -> tuple[PersonalClass, ...] | None: ...
    @property
    def personal(self) -> tuple[str, ...]: ...


def names(said: Says, place: Name, column: str) -> bool:
    """Whether the block names this column."""
    wanted = ".".join((*place, column)).lower()
    return any(one.lower() == wanted for one in said.personal)


def not_said(
    said: Says, place: Name, columns: Iterable[str], carried: Mapping[str, Carried]
) -> dict[str, Carried]:
    """Of ``columns`` of a relation, those that hold something of a person and that the block does not let go. ``carried`` is by column in
    lower case."""
    found = {}
    for column in columns:
        one = carried.get(column.lower())
        allowed = one is None or not one.personal or one.class_ in (said.classes or ())
        if one is not None and not allowed and not names(said, place, column):
            found[column] = one
    return found


def sentence(where: str, place: Name, column: str, one: Carried) -> str:
    """``where`` is the block: publish or iceberg."""
    at = ".".join((*place, column))
    if one.class_ == UNKNOWN:
        return (
            f"{at} is made by SQL that cannot be followed, of columns with a class: {one.way}. Declare its class in the model's YAML, or"
            f" name {at} under `{where}: personal:`."
        )
    return (
        f"{at} holds {one.class_} values, and `{where}:` does not say that they may leave: {one.way}. Write `classes: [{one.class_}]` there, or"
        f" name {at} under `{where}: personal:`."
    )
