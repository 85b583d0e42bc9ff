"""What a group of cases is made of: their titles and limits, and what is wanted of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.report import Limit, Result

Say = Callable[[str], None]
Cases: TypeAlias = Mapping[str, tuple[str, tuple[Limit, ...]]]
"""By name, the title of a case and the limits of its figures."""


@dataclass(frozen=True)
class Wanted:
    """``only`` empty means every case; ``repeat`` is how often each is measured, ``rows`` how large the large
    table is, ``orders`` how large the sandbox, ``csv_mb`` how large the CSV file. ``peers`` are other tools to put beside it."""

    say: Say
    only: Collection[str] = ()
    repeat: int = 3
    rows: int = 5_000_000
    orders: int = 20_000
    peers: Collection[str] = ()
    peer_timeout: float = 1800
    csv_mb: int = 200

    def of(self, cases: Cases, on_demand: Collection[str] = ()) -> list[str]:
        """Those of ``cases`` that are wanted; one of ``on_demand`` only where it is named."""
        return [name for name in cases if name in self.only or (not self.only and name not in on_demand)]


def new_result(cases: Cases, name: str) -> Result:
    title, limits = cases[name]
    return Result(name, title, limits)
