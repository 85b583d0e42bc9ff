"""The parameters of a request, spelled as Stripe spells them: ``created[gte]=1``, ``types[]=a``, ``types[0]=a``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from data_platform.sandbox.services.stripe.errors import StripeFault

COMPARISONS = ("gt", "gte", "lt", "lte")
MOST = 100


@dataclass(slots=True)
class Params:
    """``limit`` is 1 to 100. ``created`` maps a comparison to seconds."""

    limit: int = 10
    starting_after: str | None = None
    ending_before: str | None = None
    created: dict[str, int] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


def parse(
    pairs: Iterable[tuple[str, str]], known: Iterable[str], lists: Iterable[str] = ("expand",)
) -> Params:
    """StripeFault for a parameter that is not known or makes no sense."""
    params, allowed, repeated = Params(), set(known), set(lists)
    for name, value in pairs:
        base, _, inner = name.partition("[")
        inner = inner.rstrip("]")
        if base in repeated and re.fullmatch(r"\d*", inner):
            params.lists.setdefault(base, []).append(value)
        elif base == "created" and "created" in allowed and inner in ("", *COMPARISONS):
            params.created |= {one: integer(name, value) for one in ([inner] if inner else ["gte", "lte"])}
        elif name == "limit" and "limit" in allowed:
            params.limit = integer(name, value)
        elif name in ("starting_after", "ending_before") and name in allowed:
            setattr(params, name, value)
        elif name in allowed:
            params.others[name] = value
        else:
            raise StripeFault(
                400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )
    if not 1 <= params.limit <= MOST:
        edge = "greater than or equal to 1" if params.limit < 1 else f"less than or equal to {MOST}"
        raise StripeFault(400, f"This value must be {edge}.", code="parameter_invalid_integer", param="limit")
    if params.starting_after and params.ending_before:
        raise StripeFault(400, "You cannot parameterize both starting_after and ending_before.")
    return params


def integer(name: str, value: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", value):
        raise StripeFault(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
    return int(value)
