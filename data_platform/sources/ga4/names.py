"""Whether a property knows the dimensions and metrics of a report, and what its columns are."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from data_platform.sources.ga4.client import Fields
from data_platform.sources.ga4.keys import OWN_TYPES, Report, column_of
from data_platform.sources.records.types import FRACTIONS

_WORDS = {"TYPE_INTEGER": "bigint", "TYPE_CURRENCY": FRACTIONS}


def types_of(fields: Fields, report: Report) -> dict[str, str]:
    """The word of each column; a metric that is neither an integer nor money is a double, as it is at Google."""
    words = dict(OWN_TYPES)
    words |= {column_of(name): "text" for name in report.dimensions}
    for name in report.metrics:
        current = fields.renamed.get(name, name)
        words[column_of(name)] = _WORDS.get(fields.metrics.get(current, ""), "double")
    return words


def unknown(fields: Fields, report: Report) -> Iterator[str]:
    """A sentence for each name that the property does not know."""
    known = {"dimension": fields.dimensions, "metric": frozenset(fields.metrics)}
    for kind, names in (("dimension", report.dimensions), ("metric", report.metrics)):
        other = "metric" if kind == "dimension" else "dimension"
        for name in names:
            if name in known[kind] or fields.renamed.get(name) in known[kind]:
                continue
            if name in known[other]:
                yield f"`{name}` is a {other}: write it under `{other}s`."
            else:
                yield f"the property has no {kind} `{name}`.{_near(name, known[kind])}"


def _near(name: str, known: Collection[str]) -> str:
    lower = {one.lower(): one for one in known}
    found = [lower[one] for one in get_close_matches(name.lower(), lower, 3, 0.6)]
    if not found:
        return " The API's schema lists all; custom ones are written customEvent:NAME."
    return f" Did you mean {' or '.join(f'`{one}`' for one in found)}?"
