"""The dimensions and metrics that the local Google Analytics knows, each with its SQL.

Names, meanings and types follow the API schema of the Data API v1beta
(https://developers.google.com/analytics/devguides/reporting/data/v1/api-schema);
it is a part of it. The SQL is over the relation ``told`` or ``items`` of ``sql.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

EVENT, SESSION, ITEM, TIME = "event", "session", "item", "time"

INTEGER, FLOAT, SECONDS, CURRENCY = "TYPE_INTEGER", "TYPE_FLOAT", "TYPE_SECONDS", "TYPE_CURRENCY"


@dataclass(frozen=True, slots=True)
class Field:
    """``scope`` decides what may be asked together; ``additive`` whether a sample's value is scaled up."""

    name: str
    title: str
    category: str
    scope: str
    sql: str
    type: str = ""
    deprecated: tuple[str, ...] = ()
    additive: bool = False
    many_values: bool = False


def _dimension(name: str, title: str, category: str, scope: str, sql: str, many: bool = False) -> Field:
    return Field(name, title, category, scope, sql, many_values=many)


_LOCAL = "local"
_WEEK = f"lpad(((extract(doy FROM {_LOCAL})::int - 1 + extract(dow FROM date_trunc('year', {_LOCAL}))::int) / 7 + 1)::text, 2, '0')"

DIMENSIONS = {
    field.name: field
    for field in (
        _dimension("date", "Date", "Time", TIME, f"to_char({_LOCAL}, 'YYYYMMDD')"),
        _dimension("dateHour", "Date + hour (YYYYMMDDHH)", "Time", TIME, f"to_char({_LOCAL}, 'YYYYMMDDHH24')"),
        _dimension("year", "Year", "Time", TIME, f"to_char({_LOCAL}, 'YYYY')"),
        _dimension("month", "Month", "Time", TIME, f"to_char({_LOCAL}, 'MM')"),
        _dimension("yearMonth", "Year month", "Time", TIME, f"to_char({_LOCAL}, 'YYYYMM')"),
        _dimension("week", "Week", "Time", TIME, _WEEK),
        _dimension("day", "Day", "Time", TIME, f"to_char({_LOCAL}, 'DD')"),
        _dimension("hour", "Hour", "Time", TIME, f"to_char({_LOCAL}, 'HH24')"),
        _dimension("dayOfWeek", "Day of week", "Time", TIME, f"extract(dow FROM {_LOCAL})::int::text"),
        _dimension("sessionSource", "Session source", "Traffic source", SESSION, "source"),
        _dimension("sessionMedium", "Session medium", "Traffic source", SESSION, "medium"),
        _dimension("sessionSourceMedium", "Session source / medium", "Traffic source", SESSION, "source || ' / ' || medium"),
        _dimension("sessionCampaignName", "Session campaign", "Traffic source", SESSION, "campaign"),
        _dimension("sessionDefaultChannelGroup", "Session default channel group", "Traffic source", SESSION, "channel"),
        _dimension("country", "Country", "Geography", SESSION, "country"),
        _dimension("countryId", "Country ID", "Geography", SESSION, "country_code"),
        _dimension("deviceCategory", "Device category", "Platform / device", SESSION, "device"),
        _dimension("platform", "Platform", "Platform / device", SESSION, "'web'::text"),
        _dimension("newVsReturning", "New / returning", "User", SESSION, "CASE WHEN new THEN 'new' ELSE 'returning' END"),
        _dimension("landingPage", "Landing page", "Page / screen", SESSION, "landing_page", many=True),
        _dimension("hostName", "Hostname", "Page / screen", EVENT, "'shop.example'::text"),
        _dimension("pagePath", "Page path and screen class", "Page / screen", EVENT, "page", many=True),
        _dimension("pageTitle", "Page title", "Page / screen", EVENT, "page_title", many=True),
        _dimension("eventName", "Event name", "Event", EVENT, "name"),
        _dimension("isKeyEvent", "Is key event", "Event", EVENT, "key_event::text"),
        _dimension("transactionId", "Transaction ID", "E-commerce", EVENT, "transaction_id", many=True),
        _dimension("itemId", "Item ID", "E-commerce", ITEM, "coalesce(sku, '(not set)')", many=True),
        _dimension("itemName", "Item name", "E-commerce", ITEM, "coalesce(product_name, '(not set)')", many=True),
        _dimension("itemCategory", "Item category", "E-commerce", ITEM, "coalesce(category, '(not set)')"),
    )
}  # fmt: skip

_SESSIONS = "count(DISTINCT session_id)"
_USERS = "count(DISTINCT visitor)"
_ENGAGED = "count(DISTINCT session_id) FILTER (WHERE engaged)"
_SECONDS = "coalesce(sum(seconds) FILTER (WHERE name = 'session_start'), 0)"
_KEY_EVENTS = "count(*) FILTER (WHERE key_event)"
_REVENUE = "coalesce(sum(revenue) FILTER (WHERE name = 'purchase'), 0)"
_PURCHASES = "count(*) FILTER (WHERE name = 'purchase')"


def _share(of: str, whole: str) -> str:
    return f"coalesce(({of})::float8 / nullif({whole}, 0), 0)"


def _metric(name: str, title: str, category: str, type_: str, sql: str, *deprecated: str, scope: str = EVENT, additive: bool = True) -> Field:  # fmt: skip
    return Field(name, title, category, scope, sql, type_, deprecated, additive)


METRICS = {
    field.name: field
    for field in (
        _metric("sessions", "Sessions", "Session", INTEGER, _SESSIONS),
        _metric("engagedSessions", "Engaged sessions", "Session", INTEGER, _ENGAGED),
        _metric("engagementRate", "Engagement rate", "Session", FLOAT, _share(_ENGAGED, _SESSIONS), additive=False),
        _metric("bounceRate", "Bounce rate", "Session", FLOAT, f"CASE WHEN {_SESSIONS} = 0 THEN 0 ELSE 1 - {_share(_ENGAGED, _SESSIONS)} END", additive=False),
        _metric("averageSessionDuration", "Average session duration", "Session", SECONDS, _share(_SECONDS, _SESSIONS), additive=False),
        _metric("sessionsPerUser", "Sessions per user", "Session", FLOAT, _share(_SESSIONS, _USERS), additive=False),
        _metric("totalUsers", "Total users", "User", INTEGER, _USERS),
        _metric("activeUsers", "Active users", "User", INTEGER, "count(DISTINCT visitor) FILTER (WHERE engaged OR new)"),
        _metric("newUsers", "New users", "User", INTEGER, "count(*) FILTER (WHERE name = 'first_visit')"),
        _metric("userEngagementDuration", "User engagement", "User", SECONDS, _SECONDS),
        _metric("screenPageViews", "Views", "Page / screen", INTEGER, "count(*) FILTER (WHERE name = 'page_view')"),
        _metric("screenPageViewsPerSession", "Views per session", "Page / screen", FLOAT, _share("count(*) FILTER (WHERE name = 'page_view')", _SESSIONS), additive=False),
        _metric("eventCount", "Event count", "Event", INTEGER, "count(*)"),
        _metric("eventValue", "Event value", "Event", FLOAT, _REVENUE),
        _metric("keyEvents", "Key events", "Event", FLOAT, _KEY_EVENTS, "conversions"),
        _metric("sessionKeyEventRate", "Session key event rate", "Session", FLOAT, _share(f"{_SESSIONS} FILTER (WHERE key_event)", _SESSIONS), additive=False),
        _metric("addToCarts", "Add to carts", "E-commerce", INTEGER, "count(*) FILTER (WHERE name = 'add_to_cart')"),
        _metric("checkouts", "Checkouts", "E-commerce", INTEGER, "count(*) FILTER (WHERE name = 'begin_checkout')"),
        _metric("ecommercePurchases", "E-commerce purchases", "E-commerce", INTEGER, _PURCHASES),
        _metric("transactions", "Transactions", "E-commerce", INTEGER, "count(DISTINCT transaction_id) FILTER (WHERE name = 'purchase')"),
        _metric("purchaseRevenue", "Purchase revenue", "E-commerce", CURRENCY, _REVENUE),
        _metric("totalRevenue", "Total revenue", "E-commerce", CURRENCY, _REVENUE),
        _metric("averagePurchaseRevenue", "Average purchase revenue", "E-commerce", CURRENCY, _share(_REVENUE, _PURCHASES), additive=False),
        _metric("totalPurchasers", "Total purchasers", "E-commerce", INTEGER, "count(DISTINCT visitor) FILTER (WHERE name = 'purchase')"),
        _metric("itemsViewed", "Items viewed", "E-commerce", INTEGER, "coalesce(sum(viewed), 0)", scope=ITEM),
        _metric("itemsAddedToCart", "Items added to cart", "E-commerce", INTEGER, "coalesce(sum(carted), 0)", scope=ITEM),
        _metric("itemsPurchased", "Items purchased", "E-commerce", INTEGER, "coalesce(sum(bought), 0)", scope=ITEM),
        _metric("itemRevenue", "Item revenue", "E-commerce", CURRENCY, "coalesce(sum(revenue), 0)", scope=ITEM),
    )
}  # fmt: skip

DEPRECATED = {old: field for field in METRICS.values() for old in field.deprecated}


def dimension(name: str) -> Field | None:
    return DIMENSIONS.get(name)


def metric(name: str) -> Field | None:
    """The metric of that name, by an older name too: Google still answers to those."""
    return METRICS.get(name) or DEPRECATED.get(name)


def clashes(dimensions: list[Field], metrics: list[Field]) -> list[str]:
    """Names that stand in the way of asking these together; empty when they may be.

    What is told of an item goes with its session and its time, not with one event.
    """
    items = any(field.scope == ITEM for field in (*dimensions, *metrics))
    return [field.name for field in (*metrics, *dimensions) if items and field.scope == EVENT]
