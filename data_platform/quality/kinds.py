"""Every kind of check that is no rule: one line a kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data_platform.quality.anomalies import Anomalies
from data_platform.quality.arrives import Arrives
from data_platform.quality.checking import CheckKind
from data_platform.quality.delivered import Delivered
from data_platform.quality.newest import NewestData

KINDS: tuple[CheckKind, ...] = (NewestData(), Arrives(), Anomalies(), Delivered())


def names() -> tuple[str, ...]:
    return tuple(kind.name for kind in KINDS)


def wanted(checks: Mapping[str, Any]) -> Iterator[tuple[CheckKind, Any]]:
    """Each kind that ``checks``, settings by name, asks for."""
    for kind in KINDS:
        if kind.name in checks:
            yield kind, checks[kind.name]
