"""What models hold of a person, as the lineage of their columns says it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from data_platform.privacy.subjects.place import Place

_WHOLE = re.compile(r"-?[1-9][0-9]*|0")


@dataclass(frozen=True, slots=True)
class Derived:
    """A column of a model, ``schema.name``, that holds the values of the key place ``key``, as they are or, where it is ``canonical``, cast
    to whole numbers or UUIDs. Without a column, the model says something of people in that table and hands on no key: only a build takes
    somebody out of it, of one that is ``lasting`` (incremental, a snapshot) a full one. One with ``sums`` says nothing of anybody: somebody stays in
    what earlier builds summed up."""

    key: Place
    schema: str
    name: str
    column: str | None
    lasting: bool = False
    sums: bool = False
    canonical: bool = False

    @property
    def match(self) -> tuple[Place, Place] | None:
        """The column and the key place, as rows are searched by them."""
        return (Place(self.key.table, self.column), self.key) if self.column is not None else None

    def finds(self, values: Iterable[str]) -> bool:
        """Whether rows are found by ``values``, which are texts: the whole number of `007` reads otherwise, and may be somebody else's `7`."""
        return self.column is not None and not (self.canonical and any(map(_written_otherwise, values)))


def _written_otherwise(value: str) -> bool:
    """Whether a cast may make a whole number or a UUID of ``value`` that is written in another way."""
    with suppress(ArithmeticError):
        if Decimal(value).is_finite() and not _WHOLE.fullmatch(value):
            return True
    with suppress(ValueError):
        return str(UUID(value)) != value
    return False
