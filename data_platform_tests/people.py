"""What an operator asks for about people: that they are found, erased or held. Each is named by a lookup of their kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data_platform.privacy.erasure.requests import Request
from data_platform.sync import Platform
from data_platform.sync.erasing import freeze, steps
from data_platform.sync.erasing.derived import Derived

KIND = "customer"


def found(platform: Platform, *, kind: str = KIND, **asked: str) -> freeze.Person:
    return freeze.found(
        platform, platform.catalog.subject(kind), {lookup: [typed] for lookup, typed in asked.items()}
    )


def requested(platform: Platform, *, kind: str = KIND, **asked: str) -> Request:
    """A request that was asked for, and of which no step is done."""
    person = found(platform, kind=kind, **asked)
    return freeze.ask(platform, platform.catalog.subject(kind), person, "request 12", "the DPO")


def erased(
    platform: Platform,
    derived: Callable[[], Sequence[Derived]] = list,
    *,
    kind: str = KIND,
    **asked: str,
) -> Request:
    """A request of which every step is done."""
    return steps.carry_out(platform, requested(platform, kind=kind, **asked).id, derived)


def held(platform: Platform, name: str = "case-77", *, reason: str = "a lawsuit", **asked: str) -> None:
    person = found(platform, **asked)
    freeze.hold(platform, platform.catalog.subject(KIND), person, name, reason, "counsel")
