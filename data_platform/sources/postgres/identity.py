"""Which relation a batch was read from, in PostgreSQL's own numbers, and its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_platform.errors import PositionLost
from data_platform.tables import Json, TableId


@dataclass(frozen=True, slots=True)
class Identity:
    """The numbers of a relation.

    They tell apart what names, types and row versions cannot: a table made anew under an old
    name, a column dropped and added again, a partition attached with rows of its own.
    ``storage`` is the number of the table's file (0 where it has none), ``leaves`` are the
    partitions below it, ``columns`` each column's number. ``meanings`` is what else a
    column's values hang on, as digests: an enum's labels, a composite's attributes, a virtual
    column's expression; under ``""`` a view's text.
    """

    oid: int
    storage: int
    leaves: tuple[int, ...]
    columns: Mapping[str, int]
    meanings: Mapping[str, tuple[str, ...]]

    def to_json(self) -> dict[str, Json]:
        return {
            "oid": self.oid,
            "storage": self.storage,
            "leaves": list(self.leaves),
            "columns": dict(self.columns),
            "meanings": {name: list(pieces) for name, pieces in self.meanings.items()},
        }


def identity(table: TableId, raw: Mapping[str, Any] | None) -> Identity | None:
    """What ``to_json`` made of an identity. Its numbers go into questions: PositionLost where they are none."""
    if raw is None:
        return None
    try:
        known = Identity(
            raw["oid"],
            raw["storage"],
            tuple(raw["leaves"]),
            raw["columns"],
            {name: tuple(pieces) for name, pieces in raw["meanings"].items()},
        )
        for number in (known.oid, known.storage, *known.leaves, *known.columns.values()):
            if type(number) is not int or not 0 <= number < 2**63:
                raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PositionLost(
            f"{table}: what its last batch says of the table it was read from is none of PostgreSQL's. Nothing was read,"
            f" and what has landed stays as it is. Read it anew with `data-platform sync --refresh {table}`."
        ) from None
    return known
