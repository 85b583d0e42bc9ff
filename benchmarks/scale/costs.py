"""What the simulation and the model both take as measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Seconds, measured on one machine (docs/benchmarks.md); ``run`` is what a run takes before its first message."""

    look: float = 0.05
    look_table: float = 0.0014
    records: float = 0.02
    run: float = 9.6
    read_table: float = 0.016
    load_table: float = 0.030
    commits_at_once: int = 4
