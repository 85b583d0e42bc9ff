"""Which records of quarantine wait no more, and why: a field of the manifest that says so. Pure.

Nothing is taken out of the objects. A record is named by the batch that could not take it and its place in that
batch's object, from 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_platform.landing.grammar import is_instant, is_number, is_word, must

Run = tuple[int, int]
"""The first and the last of some records that lie side by side."""


@dataclass(frozen=True, slots=True)
class Settled:
    """``records`` are (batch, first, last). ``why`` and ``by`` are for people, and name no person whose data it is."""

    records: tuple[tuple[int, int, int], ...]
    why: str
    by: str
    at: str

    @property
    def count(self) -> int:
        return sum(last - first + 1 for _, first, last in self.records)


def settled(records: Mapping[int, Iterable[Run]], why: str, by: str, at: str) -> Settled:
    """``records`` are runs by batch."""
    listed = ((batch, *run) for batch, runs in sorted(records.items()) for run in runs)
    return Settled(tuple(listed), why, by, at)


def to_fields(one: Settled) -> dict[str, Any]:
    return {"records": [list(run) for run in one.records], "why": one.why, "by": one.by, "at": one.at}


def from_fields(raw: Mapping[str, Any]) -> Settled:
    return Settled(
        tuple((n, first, last) for n, first, last in raw["records"]), raw["why"], raw["by"], raw["at"]
    )


def check(raw: Mapping[str, Any], sequence: int) -> None:
    """ValueError, KeyError or TypeError where ``raw`` is nothing that batch ``sequence`` may settle."""
    must(isinstance(raw["records"], list) and raw["records"], "it settles no record")
    for batch, first, last in raw["records"]:
        must(is_number(batch, 1, sequence) and is_number(first), "a record that it settles is none")
        must(is_number(last, first), "a record that it settles is none")
    must(
        is_word(raw["why"]) and is_word(raw["by"]) and is_instant(raw["at"]),
        "why it settles records is not said",
    )


def runs(numbers: Iterable[int]) -> list[Run]:
    """Ascending ``numbers`` as runs."""
    found: list[Run] = []
    for n in numbers:
        if found and found[-1][1] == n - 1:
            found[-1] = (found[-1][0], n)
        else:
            found.append((n, n))
    return found


class Closed:
    """The records of one batch that wait no more."""

    def __init__(self, closed: Sequence[Run] = ()) -> None:
        self._runs = sorted(closed)
        self._firsts = [first for first, _ in self._runs]

    def __contains__(self, n: int) -> bool:
        at = bisect_right(self._firsts, n) - 1
        return at >= 0 and n <= self._runs[at][1]

    def open_of(self, rows: int) -> list[int]:
        """The others of ``rows`` records."""
        return [n for n in range(rows) if n not in self]
