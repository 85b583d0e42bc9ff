"""What a client may send: the bodies of the Data API v1beta, refused as Google refuses them.

Names and forms are those of the API's discovery document. Enumerations come as
names or, from the official client, as numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from data_platform.sandbox.services.ga4 import fields

SCHEMA_PAGE = "https://developers.google.com/analytics/devguides/reporting/data/v1/api-schema"
LIMIT_DEFAULT, LIMIT_MAX = 10_000, 250_000
DIMENSIONS_MAX, METRICS_MAX, DATE_RANGES_MAX, REPORTS_MAX = 9, 10, 4, 5
AGGREGATIONS = {"TOTAL": 1, "MINIMUM": 5, "MAXIMUM": 6, "COUNT": 4}
ORDER_TYPES = {"ORDER_TYPE_UNSPECIFIED": 0, "ALPHANUMERIC": 1, "CASE_INSENSITIVE_ALPHANUMERIC": 2, "NUMERIC": 3}  # fmt: skip
FIRST_DATE = date(2015, 8, 14)

_KNOWN = {
    "property", "dimensions", "metrics", "dateRanges", "dimensionFilter", "metricFilter", "offset", "limit",
    "metricAggregations", "orderBys", "currencyCode", "cohortSpec", "keepEmptyRows", "returnPropertyQuota", "comparisons",
}  # fmt: skip


class Refused(Exception):
    """An answer with Google's error body: ``code`` is HTTP's, ``status`` Google's word for it."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code, self.status, self.message = code, status, message

    def body(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "status": self.status}}


def invalid(message: str) -> Refused:
    return Refused(400, "INVALID_ARGUMENT", message)


@dataclass(frozen=True, slots=True)
class DateRange:
    name: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Order:
    """``name`` is the dimension's or metric's; ``how`` is of ORDER_TYPES."""

    name: str
    metric: bool
    descending: bool = False
    how: str = "ALPHANUMERIC"


@dataclass(frozen=True, slots=True)
class Report:
    dimensions: tuple[fields.Field, ...]
    metrics: tuple[fields.Field, ...]
    metric_names: tuple[str, ...]
    ranges: tuple[DateRange, ...]
    dimension_filter: Mapping[str, Any] | None = None
    metric_filter: Mapping[str, Any] | None = None
    orders: tuple[Order, ...] = ()
    offset: int = 0
    limit: int = LIMIT_DEFAULT
    keep_empty: bool = False
    quota: bool = False
    currency: str = ""
    aggregations: tuple[str, ...] = field(default=())

    @property
    def dimension_names(self) -> tuple[str, ...]:
        several = ("dateRange",) if len(self.ranges) > 1 else ()
        return tuple(d.name for d in self.dimensions) + several


def parse(body: Mapping[str, Any], today: date) -> Report:
    """The report that a runReport body asks for; ``today`` is the property's."""
    unknown = sorted(set(body) - _KNOWN)
    if unknown:
        raise invalid(f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.')
    for unsupported in ("cohortSpec", "comparisons"):
        if body.get(unsupported):
            raise Refused(501, "UNIMPLEMENTED", f"The sandbox's Google Analytics has no {unsupported}.")
    dimensions, metrics, names = requested(body)
    if not metrics and not dimensions:
        raise invalid("At least one dimension or metric is required.")
    if clash := fields.clashes(list(dimensions), list(metrics)):
        raise incompatible(clash)
    ranges = _ranges(body.get("dateRanges") or [], today)
    return Report(
        dimensions,
        metrics,
        names,
        ranges,
        body.get("dimensionFilter") or None,
        body.get("metricFilter") or None,
        tuple(_order(item, dimensions, names, len(ranges) > 1) for item in body.get("orderBys") or ()),
        _whole(body, "offset", 0, None),
        _whole(body, "limit", LIMIT_DEFAULT, LIMIT_MAX) or LIMIT_DEFAULT,
        bool(body.get("keepEmptyRows")),
        bool(body.get("returnPropertyQuota")),
        str(body.get("currencyCode") or ""),
        tuple(
            named(item, AGGREGATIONS, "metricAggregations") for item in body.get("metricAggregations") or ()
        ),
    )


def requested(
    body: Mapping[str, Any],
) -> tuple[tuple[fields.Field, ...], tuple[fields.Field, ...], tuple[str, ...]]:
    """Dimensions, metrics, and the names that the metrics were asked by."""
    dimensions, metrics, names = [], [], []
    for item in body.get("dimensions") or ():
        if item.get("dimensionExpression"):
            raise Refused(501, "UNIMPLEMENTED", "The sandbox's Google Analytics has no dimensionExpression.")
        found = fields.dimension(item.get("name", ""))
        if found is None:
            raise not_a(item.get("name", ""), "dimension")
        dimensions.append(found)
    for item in body.get("metrics") or ():
        if item.get("expression"):
            raise Refused(501, "UNIMPLEMENTED", "The sandbox's Google Analytics has no metric expressions.")
        found = fields.metric(item.get("name", ""))
        if found is None:
            raise not_a(item.get("name", ""), "metric")
        metrics.append(found)
        names.append(item["name"])
    for kind, asked, most in (("dimensions", dimensions, DIMENSIONS_MAX), ("metrics", metrics, METRICS_MAX)):
        if len(asked) > most:
            raise invalid(f"Requests are limited to {most} {kind}. This request is for {len(asked)} {kind}.")
        twice = [f.name for n, f in enumerate(asked) if f in asked[:n]]
        if twice:
            raise invalid(f"Duplicate {kind[:-1]} found in request: {twice[0]}")
    return tuple(dimensions), tuple(metrics), tuple(names)


def not_a(name: str, kind: str) -> Refused:
    near = f"Did you mean {hint}? " if (hint := _near(name, kind)) else ""
    return invalid(
        f"{near}Field {name} is not a valid {kind}. For a list of valid dimensions and metrics, see {SCHEMA_PAGE} "
    )


def incompatible(names: list[str]) -> Refused:
    return invalid(
        f"Please remove {', '.join(names)} to make the request compatible. The request's dimensions & metrics are "
        "incompatible. To learn more, see https://ga-dev-tools.web.app/ga4/dimensions-metrics-explorer/"
    )


def named(value: Any, words: Mapping[str, int], where: str) -> str:
    """The enumeration's word, which the official client sends as its number."""
    if isinstance(value, str) and value in words:
        return value
    for word, number in words.items():
        if value == number:
            return word
    raise invalid(f"Invalid value at '{where}', \"{value}\"")


def _near(name: str, kind: str) -> str:
    import difflib

    known = fields.DIMENSIONS if kind == "dimension" else fields.METRICS
    return next(iter(difflib.get_close_matches(name, known, 1, 0.85)), "")


def _whole(body: Mapping[str, Any], name: str, default: int, most: int | None) -> int:
    try:
        value = int(body.get(name) or default)
    except (TypeError, ValueError):
        raise invalid(f"Invalid value at '{name}' (TYPE_INT64), \"{body.get(name)}\"") from None
    if value < 0 or (most is not None and value > most):
        raise invalid(
            f"The {name} must be between 0 and {most}." if most else f"The {name} must not be negative."
        )
    return value


def _ranges(asked: list[Mapping[str, Any]], today: date) -> tuple[DateRange, ...]:
    if not asked:
        raise invalid("A dateRange is required.")
    if len(asked) > DATE_RANGES_MAX:
        raise invalid(f"Requests are limited to {DATE_RANGES_MAX} dateRanges.")
    ranges = []
    for number, item in enumerate(asked):
        first, last = _day(item.get("startDate", ""), today), _day(item.get("endDate", ""), today)
        if first > last:
            raise invalid(f"Invalid dateRange: startDate {first} is after endDate {last}.")
        ranges.append(DateRange(item.get("name") or f"date_range_{number}", first, last))
    return tuple(ranges)


def _day(text: str, today: date) -> date:
    if text in ("today", "yesterday"):
        return today - timedelta(days=text == "yesterday")
    if ago := re.fullmatch(r"(\d{1,5})daysAgo", text):
        return today - timedelta(days=int(ago[1]))
    try:
        day = date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        day = None
    if day is None or day < FIRST_DATE:
        raise invalid(
            f"Invalid date: {text}. Dates are YYYY-MM-DD from {FIRST_DATE} on, NdaysAgo, yesterday or today."
        )
    return day


def _order(
    item: Mapping[str, Any], dimensions: tuple[fields.Field, ...], metrics: tuple[str, ...], several: bool
) -> Order:
    descending = bool(item.get("desc"))
    if "metric" in item:
        name = item["metric"].get("metricName", "")
        if name not in metrics:
            raise invalid(f"Cannot order by {name}: it is not one of the request's metrics.")
        return Order(name, True, descending)
    if "dimension" not in item:
        raise invalid("An orderBy needs a metric or a dimension.")
    name = item["dimension"].get("dimensionName", "")
    if name not in [d.name for d in dimensions] and not (several and name == "dateRange"):
        raise invalid(f"Cannot order by {name}: it is not one of the request's dimensions.")
    how = named(
        item["dimension"].get("orderType", "ALPHANUMERIC") or "ALPHANUMERIC", ORDER_TYPES, "orderType"
    )
    return Order(name, False, descending, how)
