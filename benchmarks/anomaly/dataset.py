"""The labelled series: a shape, its values with incidents in them, and where these are. Deterministic by seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from benchmarks.anomaly.incidents import KINDS, Incident, inject
from benchmarks.anomaly.shapes import FIRST, SHAPES, Shape
from data_platform.quality.anomaly.series import Kind

START = 120
"""The first day that is judged: every detector has seen that many days before it."""
INCIDENTS = 4
APART = 60
"""Days between the starts of two incidents, at least."""


@dataclass(frozen=True)
class Labelled:
    """``split`` is ``tuned``, ``held out`` or ``real``."""

    shape: str
    split: str
    kind: Kind
    values: np.ndarray
    incidents: tuple[Incident, ...]
    first: date = FIRST


def synthetic(per_shape: int, seed: int, shapes: tuple[Shape, ...] = SHAPES) -> list[Labelled]:
    """``per_shape`` series of each shape, with four incidents each whose kinds take turns."""
    return [_series(shape, number, seed) for shape in shapes for number in range(per_shape)]


def _series(shape: Shape, number: int, seed: int) -> Labelled:
    rng = np.random.default_rng([seed, number, *shape.name.encode()])
    return labelled(shape.name, shape.split, shape.kind, shape.make(rng), FIRST, number, rng)


def labelled(
    name: str,
    split: str,
    kind: Kind,
    values: np.ndarray,
    first: date,
    number: int,
    rng: np.random.Generator,
    start: int = START,
    incidents: int = INCIDENTS,
) -> Labelled:
    """Incidents are injected into ``values``, in the order of their days."""
    found = []
    slack = len(values) - 20 - start - APART * (incidents - 1)
    offsets = np.sort(rng.integers(0, max(1, slack), incidents))
    for turn in range(incidents):
        at = start + APART * turn + int(offsets[turn])
        kind_of_incident = KINDS[(number * incidents + turn + number // len(KINDS)) % len(KINDS)]
        for shift in range(3):
            incident = inject(kind_of_incident, kind, values, at + shift, rng)
            if incident is not None:
                found.append(incident)
                break
    return Labelled(name, split, kind, values, tuple(found), first)
