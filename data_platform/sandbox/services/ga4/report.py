"""Runs a report over the shop's events and answers as the Data API does."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from data_platform.sandbox.services.ga4 import fields, sql
from data_platform.sandbox.services.ga4.filters import Conditions
from data_platform.sandbox.services.ga4.requests import DateRange, Order, Refused, Report, invalid, not_a

Rows = Callable[[str, Mapping[str, Any]], list[tuple[Any, ...]]]
"""Reads the shop: a query and its values to rows."""

OTHER, TOTAL = "(other)", "RESERVED_TOTAL"


@dataclass(slots=True)
class Behaviour:
    """The property's settings, and what it does to reports on demand.

    ``sampling`` is the share of sessions that is read (1: all). ``threshold`` withholds
    rows of fewer users. ``other_after`` folds all but so many values of a dimension with
    many values into ``(other)``. Nothing before ``retained_from`` is reported.
    ``restricted`` metrics are zero, as for a user who may not see revenue. After
    ``settle_hours`` all events of a day are in its numbers; after ``attribution_days``
    each session has its source. ``anonymous``: a request without credentials is served too,
    so that a client need not ask Google's own addresses for anything about a service account.
    """

    time_zone: str = "America/New_York"
    currency: str = "USD"
    sampling: float = 1.0
    threshold: int = 0
    other_after: int = 0
    retained_from: date | None = None
    restricted: tuple[str, ...] = ()
    settle_hours: float = 72
    attribution_days: float = 12
    anonymous: bool = True
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def today(self, now: float) -> date:
        return datetime.fromtimestamp(now, self.zone).date()


class Runner:
    """One request's way from a parsed report to the answer's JSON."""

    def __init__(self, rows: Rows, behaviour: Behaviour, now: float, report: Report) -> None:
        self.rows, self.behaviour, self.now, self.report = rows, behaviour, now, report
        self.items = any(f.scope == fields.ITEM for f in (*report.dimensions, *report.metrics))
        self.lost_to_other = self.withheld = False

    def answer(self) -> dict[str, Any]:
        report = self.report
        if report.currency and report.currency != self.behaviour.currency:
            raise invalid(f"The sandbox's property reports in {self.behaviour.currency} only.")
        grouped: list[tuple[Any, ...]] = []
        for range_ in report.ranges:
            grouped += self._grouped(range_)
        kept = [row for row in grouped if report.keep_empty or not self._empty(row)]
        page = self._sorted(kept)[report.offset : report.offset + report.limit]
        answer: dict[str, Any] = {
            "dimensionHeaders": [{"name": name} for name in report.dimension_names],
            "metricHeaders": [
                {"name": name, "type": metric.type}
                for name, metric in zip(report.metric_names, report.metrics, strict=True)
            ],
            "rows": [self._row(row) for row in page],
            "rowCount": len(kept),
            "metadata": self._metadata(),
            "kind": "analyticsData#runReport",
        }
        for word, key in (("TOTAL", "totals"), ("MINIMUM", "minimums"), ("MAXIMUM", "maximums")):
            if word in report.aggregations:
                answer[key] = [self._row(row) for row in self._aggregated(word, kept)]
        return {key: value for key, value in answer.items() if value != []}

    # ------------------------------------------------------------ reading

    def _values(self, range_: DateRange) -> dict[str, Any]:
        zone = self.behaviour.zone
        first = max(range_.first, self.behaviour.retained_from or range_.first)
        return {
            "begin": datetime.combine(first, time(), zone).astimezone(UTC),
            "end": datetime.combine(range_.last + timedelta(days=1), time(), zone).astimezone(UTC),
            "zone": self.behaviour.time_zone,
            "now": datetime.fromtimestamp(self.now, UTC),
            "settles": f"{self.behaviour.settle_hours} hours",
            "attributed": f"{self.behaviour.attribution_days} days",
            "sample": self.behaviour.sampling,
        }

    def _with(self) -> tuple[str, str]:
        relation, name = (sql.ITEMS, "items") if self.items else (sql.TOLD, "told")
        return f"WITH {sql.SEEN}, {sql.VISITS}, {relation}", name

    def _grouped(self, range_: DateRange) -> list[tuple[Any, ...]]:
        """A row a combination of dimension values (and the range's name last, if there are several)."""
        report, values = self.report, self._values(range_)
        conditions = Conditions("f", values)
        head, relation = self._with()
        dimensions = [self._dimension(d, head, relation, values) for d in report.dimensions]
        metrics = [self._metric(m) for m in report.metrics]
        where = having = ""
        if report.dimension_filter:
            where = f"WHERE {conditions.of(report.dimension_filter, self._filtered_dimension)}"
        if report.metric_filter:
            having = f"WHERE {conditions.of(report.metric_filter, self._filtered_metric)}"
        users = "count(DISTINCT visitor)"
        chosen = [f"{text} AS d{n}" for n, text in enumerate(dimensions)]
        chosen += [f"{text} AS m{n}" for n, text in enumerate(metrics)] + [f"{users} AS users"]
        group = f"GROUP BY {', '.join(str(n + 1) for n in range(len(dimensions)))}" if dimensions else ""
        query = (
            f"{head} SELECT * FROM (SELECT {', '.join(chosen)} FROM {relation} {where} {group}) AS g {having}"
        )
        found = self.rows(query, values)
        if self.behaviour.threshold:
            self.withheld = True
            found = [row for row in found if row[-1] >= self.behaviour.threshold]
        count = len(dimensions)
        label = (range_.name,) if len(report.ranges) > 1 else ()
        return [(*row[:count], *label, *self._scaled(row[count:-1])) for row in found]

    def _dimension(self, dimension: fields.Field, head: str, relation: str, values: dict[str, Any]) -> str:
        most = self.behaviour.other_after
        if not most or not dimension.many_values:
            return dimension.sql
        top = self.rows(f"{head} SELECT {dimension.sql}, count(*) FROM {relation} GROUP BY 1 ORDER BY 2 DESC, 1", values)  # fmt: skip
        if len(top) <= most:
            return dimension.sql
        self.lost_to_other = True
        name = f"top_{dimension.name}"
        values[name] = [value for value, _ in top[:most]]
        return f"CASE WHEN {dimension.sql} = ANY(%({name})s::text[]) THEN {dimension.sql} ELSE '{OTHER}' END"

    def _metric(self, metric: fields.Field) -> str:
        return "0" if metric.name in self.behaviour.restricted else f"({metric.sql})"

    def _filtered_dimension(self, name: str) -> str:
        found = fields.dimension(name)
        if found is None:
            raise not_a(name, "dimension")
        if fields.clashes([found, *self.report.dimensions], list(self.report.metrics)):
            raise invalid(
                f"The dimensionFilter's {name} is incompatible with the request's dimensions & metrics."
            )
        return found.sql

    def _filtered_metric(self, name: str) -> str:
        if name not in self.report.metric_names:
            raise invalid(f"The metricFilter's {name} is not one of the request's metrics.")
        return f"m{self.report.metric_names.index(name)}"

    def _scaled(self, row: Sequence[Any]) -> list[Any]:
        share = self.behaviour.sampling
        if share >= 1:
            return list(row)
        return [
            type(value)(round(value / type(value)(share), 2 if metric.type == fields.CURRENCY else 0))
            if metric.additive and not isinstance(value, int)
            else round(value / share) if metric.additive else value
            for value, metric in zip(row, self.report.metrics, strict=True)
        ]  # fmt: skip

    # ------------------------------------------------------------ arranging

    def _empty(self, row: tuple[Any, ...]) -> bool:
        metrics = row[len(self.report.dimension_names) :]
        return bool(metrics) and not any(metrics)

    def _sorted(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """As asked, else by the first metric, greatest first. What the order leaves open differs from
        page to page, so that a client which pages without a complete order meets rows twice."""
        report = self.report
        rows = sorted(rows, key=lambda row: zlib.crc32(repr((report.offset, row)).encode()))
        orders = report.orders or ((Order(report.metric_names[0], True, True),) if report.metrics else ())
        for order in reversed(orders):
            rows.sort(key=self._key(order), reverse=order.descending)
        return rows

    def _key(self, order: Order) -> Callable[[tuple[Any, ...]], Any]:
        dimensions = self.report.dimension_names
        if order.metric:
            at = len(dimensions) + self.report.metric_names.index(order.name)
            return lambda row: float(row[at])
        at = dimensions.index(order.name)
        if order.how == "NUMERIC":
            return lambda row: float(row[at]) if str(row[at]).lstrip("-").isdigit() else math.inf
        if order.how == "CASE_INSENSITIVE_ALPHANUMERIC":
            return lambda row: str(row[at]).lower()
        return lambda row: str(row[at])

    def _aggregated(self, word: str, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """One row a date range. A total is read anew without dimensions: users do not add up."""
        dimensions = len(self.report.dimension_names)
        found = []
        for range_ in self.report.ranges:
            several = len(self.report.ranges) > 1
            mine = [row for row in rows if not several or row[dimensions - 1] == range_.name]
            labels = [f"RESERVED_{word}"] * (dimensions - several) + [range_.name] * several
            if word == "TOTAL":
                whole = Report((), self.report.metrics, self.report.metric_names, (range_,), self.report.dimension_filter)  # fmt: skip
                found += [(*labels, *row) for row in Runner(self.rows, self.behaviour, self.now, whole)._grouped(range_)]  # fmt: skip
            elif mine:
                pick = min if word == "MINIMUM" else max
                found.append((*labels, *(pick(column) for column in zip(*(row[dimensions:] for row in mine), strict=True))))  # fmt: skip
        return found

    def _row(self, row: tuple[Any, ...]) -> dict[str, Any]:
        count = len(self.report.dimension_names)
        found = {
            "dimensionValues": [{"value": str(value)} for value in row[:count]],
            "metricValues": [{"value": number(value)} for value in row[count:]],
        }
        return {key: value for key, value in found.items() if value}

    def _metadata(self) -> dict[str, Any]:
        behaviour = self.behaviour
        metadata: dict[str, Any] = {"currencyCode": behaviour.currency, "timeZone": behaviour.time_zone}
        if behaviour.sampling < 1:
            metadata["samplingMetadatas"] = [self._sampling(range_) for range_ in self.report.ranges]
        if self.withheld:
            metadata["subjectToThresholding"] = True
        if self.lost_to_other:
            metadata["dataLossFromOtherRow"] = True
        if behaviour.retained_from and any(r.first < behaviour.retained_from for r in self.report.ranges):
            metadata["dataTruncationReasons"] = [
                {
                    "dataTruncationType": "DATA_TRUNCATION_TYPE_PROPERTY",
                    "dataTruncationDate": behaviour.retained_from.isoformat(),
                    "dataTruncationMessage": "Data is truncated to the property's event data retention.",
                }
            ]
        restricted = [m.name for m in self.report.metrics if m.name in behaviour.restricted]
        if restricted:
            metadata["schemaRestrictionResponse"] = {
                "activeMetricRestrictions": [
                    {"metricName": name, "restrictedMetricTypes": ["REVENUE_DATA"]} for name in restricted
                ]
            }
        return {**metadata, **behaviour.notes}

    def _sampling(self, range_: DateRange) -> dict[str, str]:
        values = self._values(range_)
        count = "SELECT count(*) FROM events WHERE occurred_at >= %(begin)s AND occurred_at < %(end)s"
        space = self.rows(count, values)[0][0]
        return {
            "samplesReadCount": str(round(space * self.behaviour.sampling)),
            "samplingSpaceSize": str(space),
        }


def number(value: Any) -> str:
    """As Google writes metric values: no trailing zeros, no exponent."""
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value)


__all__ = ["Behaviour", "Refused", "Rows", "Runner", "number"]
