"""Which relation a batch was read from, in PostgreSQL's own numbers, and its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from data_platform.errors import PositionLost
from data_platform.sources.reading import Drift
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
            f"{table}: its last batch does not describe a PostgreSQL table. Nothing was read,"
            f" and the landed data stays unchanged. Reread it with `data-platform sync --refresh {table}`."
        ) from None
    return known


@dataclass(frozen=True, slots=True)
class Replaced:
    """What became of the relation below a table's name. ``reasons`` are set when rows may have
    gone without a trace; ``attached`` partitions may hold rows older than the watermark."""

    reasons: tuple[str, ...] = ()
    attached: tuple[int, ...] = ()
    detached: int = 0


def compare_relations(before: Identity | None, now: Identity | None) -> Replaced:
    """Whether ``now`` is the relation that was read ``before``, in the same file."""
    if before is None or now is None:
        return Replaced()
    if before.oid != now.oid:
        return Replaced(("another relation now has the table's name (it was recreated or renamed)",))
    reasons: tuple[str, ...] = ()
    if before.storage and now.storage and before.storage != now.storage:
        reasons = ("the table's file was replaced (TRUNCATE, VACUUM FULL, CLUSTER or a rewrite)",)
    return Replaced(
        reasons,
        tuple(leaf for leaf in now.leaves if leaf not in before.leaves),
        sum(leaf not in now.leaves for leaf in before.leaves),
    )


def carried(before: Identity | None, now: Identity | None) -> Identity | None:
    """What a slice's batch may say of the relation: its columns as they are, and no more than was
    known of its rows, for a slice is no proof that the others were read."""
    if before is None or now is None or before.oid != now.oid:
        return before
    return replace(now, storage=before.storage, leaves=before.leaves)


def drift(before: Identity | None, now: Identity | None) -> Drift:
    """What became of the relation that was read ``before``, and of its columns."""
    replaced = compare_relations(before, now)
    if before is None or now is None or before.oid != now.oid:
        return Drift(replaced.reasons, private=replaced)
    others = {number: name for name, number in now.columns.items()}
    columns = {}
    for name, number in before.columns.items():
        if now.columns.get(name) == number:
            continue
        if number in others:
            columns[name] = f"the column {name} is gone: it is called {others[number]} now"
        elif name in now.columns:
            columns[name] = f"the column {name} was dropped and another one of that name added"
        else:
            columns[name] = f"the column {name} is gone"
    same = frozenset(name for name, number in before.columns.items() if now.columns.get(name) == number)
    return Drift(replaced.reasons, columns, same, dict(_reinterpreted(before, now)), replaced)


def _reinterpreted(before: Identity, now: Identity) -> Iterator[tuple[str, str]]:
    """Columns whose values changed though no row did."""
    for name, pieces in before.meanings.items():
        if set(pieces) <= set(now.meanings.get(name, ())):
            continue
        if not name:
            yield name, "the view is defined otherwise; everything was reread"
        else:
            yield (
                name,
                f"the values of {name} changed without a row change (its type or expression changed); everything was reread",
            )


def renamed(before: Identity | None, now: Identity | None) -> dict[str, str]:
    """What columns are called now that had another name when they were read."""
    if before is None or now is None or before.oid != now.oid:
        return {}
    called = {number: name for name, number in now.columns.items()}
    return {
        name: called[number]
        for name, number in before.columns.items()
        if number in called and called[number] != name
    }
