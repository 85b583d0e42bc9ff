"""The shop's web events as Google Analytics tells them: two relations that reports group.

``told`` has a row an event, with the attributes of its session; ``items`` a row a
product that was looked at, put into a cart or bought. Numbers of a day move until
the day is settled: a share of the events is processed late, and a share of the
sessions gets its source late. Which, and how late, is decided by the hash of the
event or session, so that a day's numbers depend on nothing but its age.
"""

from __future__ import annotations

LATE_EVENTS, LATE_SOURCES = 0.15, 0.06
"""Shares of the events that are processed late and of the sessions whose source is."""

CHANNELS = (
    ("Organic Search", "google", "organic", "(organic)", 30),
    ("Direct", "(direct)", "(none)", "(direct)", 22),
    ("Paid Search", "google", "cpc", "brand", 8),
    ("Paid Search", "google", "cpc", "kitchen", 8),
    ("Paid Social", "facebook", "paid_social", "retargeting", 7),
    ("Paid Social", "instagram", "paid_social", "autumn", 5),
    ("Email", "newsletter", "email", "weekly", 8),
    ("Organic Social", "instagram", "social", "(referral)", 4),
    ("Referral", "blog.example", "referral", "(referral)", 5),
    ("Organic Search", "bing", "organic", "(organic)", 3),
)
"""Channel group, source, medium, campaign, and its share of the sessions in 100."""

COUNTRIES = (
    ("United States", "US", 52), ("United Kingdom", "GB", 13), ("Germany", "DE", 10), ("France", "FR", 7),
    ("Canada", "CA", 6), ("India", "IN", 5), ("Brazil", "BR", 4), ("Australia", "AU", 3),
)  # fmt: skip


def _ranges(rows: tuple[tuple[object, ...], ...]) -> str:
    """The rows as SQL VALUES, the share at their end replaced by the range it stands for."""
    lines, at = [], 0
    for *words, share in rows:
        assert isinstance(share, int)
        lines.append("(" + ", ".join(f"'{word}'" for word in words) + f", {at}, {at + share})")
        at += share
    return ", ".join(lines)


def _luck(column: str, stream: int) -> str:
    """A number from 0 to 1 that the UUID decides, a different one for each stream."""
    return f"((uuid_hash_extended({column}, {stream}) & 1048575) / 1048576.0::float8)"


def _late(luck: str, share: float, most: str) -> str:
    """How late something is: not at all but for ``share``, of which few are nearly ``most`` late."""
    return f"(CASE WHEN {luck} < {1 - share} THEN 0 ELSE (({luck} - {1 - share}) / {share}) ^ 2 END * {most})"


_PAGE = (
    "CASE event_type WHEN 'checkout' THEN '/checkout' WHEN 'purchase' THEN '/order-confirmation' "
    "WHEN 'signup' THEN '/welcome' ELSE '/products/' || coalesce(properties ->> 'product_id', '') END"
)

CHANNEL_OF_SESSION = (
    f"(VALUES {_ranges(CHANNELS)}) AS channels (channel, source, medium, campaign, low, high)"
)
SOURCE_LUCK = f"(100 * {_luck('session_id', 2)})"

SEEN = f"""
seen AS MATERIALIZED (
  SELECT event_id, session_id, user_id, event_type, properties, occurred_at, {_PAGE} AS page
  FROM events
  WHERE occurred_at >= %(begin)s::timestamptz - interval '1 day' AND occurred_at < %(end)s::timestamptz + interval '1 day'
    AND occurred_at + {_late(_luck("event_id", 1), LATE_EVENTS, "%(settles)s::interval")} <= %(now)s::timestamptz
    AND {_luck("session_id", 5)} < %(sample)s
)"""

VISITS = f"""
visits AS MATERIALIZED (
  SELECT v.*, known,
    CASE WHEN known THEN channel ELSE 'Unassigned' END AS channel,
    CASE WHEN known THEN source ELSE '(not set)' END AS source,
    CASE WHEN known THEN medium ELSE '(not set)' END AS medium,
    CASE WHEN known THEN campaign ELSE '(not set)' END AS campaign,
    country, country_code, (signed_up OR (user_id IS NULL AND {_luck("session_id", 4)} < 0.65)) AS new,
    (views > 1 OR signed_up OR purchased OR seconds > 10) AS engaged,
    coalesce(user_id::text, session_id::text) AS visitor
  FROM (
    SELECT session_id, min(occurred_at) AS began, max(user_id) AS user_id,
      (array_agg(page ORDER BY occurred_at, event_id))[1] AS landing_page,
      coalesce(max(properties ->> 'device'), (ARRAY['mobile', 'mobile', 'desktop', 'desktop', 'tablet'])[1 + floor(5 * {_luck("session_id", 6)})::int]) AS device,
      count(*) FILTER (WHERE event_type = 'page_view') AS views, bool_or(event_type = 'signup') AS signed_up,
      bool_or(event_type = 'purchase') AS purchased, extract(epoch FROM max(occurred_at) - min(occurred_at)) AS seconds
    FROM seen GROUP BY session_id
  ) AS v,
  LATERAL (SELECT began + {_late(_luck("session_id", 3), LATE_SOURCES, "%(attributed)s::interval")} <= %(now)s::timestamptz AS known) AS k,
  {CHANNEL_OF_SESSION},
  (VALUES {_ranges(COUNTRIES)}) AS countries (country, country_code, from_share, to_share)
  WHERE low <= {SOURCE_LUCK} AND {SOURCE_LUCK} < high
    AND from_share <= 100 * (hashtextextended(coalesce(user_id::text, session_id::text), 7) & 1048575) / 1048576.0
    AND 100 * (hashtextextended(coalesce(user_id::text, session_id::text), 7) & 1048575) / 1048576.0 < to_share
)"""

_OUTLINE = """
  SELECT session_id, event_type AS name, occurred_at, page, properties FROM seen
  UNION ALL SELECT session_id, 'session_start', began, landing_page, NULL FROM visits
  UNION ALL SELECT session_id, 'first_visit', began, landing_page, NULL FROM visits WHERE new"""

# The first payment's amount, which later corrections of the order leave as it was.
TOLD = f"""
told AS (
  SELECT v.*, occurred_at AT TIME ZONE %(zone)s AS local, page, renamed AS name, renamed IN ('purchase', 'sign_up') AS key_event,
    CASE WHEN page LIKE '/products/%%' THEN coalesce(product_name, 'Product') ELSE initcap(translate(ltrim(page, '/'), '-', ' ')) END AS page_title,
    coalesce(e.properties ->> 'order_id', '(not set)') AS transaction_id,
    coalesce((SELECT amount FROM payments WHERE payments.order_id = o.order_id AND amount > 0 ORDER BY created_at LIMIT 1), o.revenue) AS revenue
  FROM ({_OUTLINE}) AS e JOIN visits AS v USING (session_id)
  CROSS JOIN LATERAL (SELECT CASE e.name WHEN 'checkout' THEN 'begin_checkout' WHEN 'signup' THEN 'sign_up' ELSE e.name END AS renamed) AS r
  LEFT JOIN products AS p ON p.product_id = substring(page FROM '^/products/([0-9]+)$')::int
  LEFT JOIN orders AS o ON o.order_id = (e.properties ->> 'order_id')::bigint
  WHERE occurred_at >= %(begin)s::timestamptz AND occurred_at < %(end)s::timestamptz
)"""

ITEMS = """
items AS (
  SELECT v.*, sku, product_name, category, occurred_at AT TIME ZONE %(zone)s AS local, viewed, carted, quantity AS bought, revenue
  FROM (
    SELECT session_id, occurred_at, (properties ->> 'product_id')::int AS product_id, (event_type = 'page_view')::int AS viewed,
      (event_type = 'add_to_cart')::int AS carted, 0 AS quantity, 0::numeric AS revenue
    FROM seen WHERE event_type IN ('page_view', 'add_to_cart')
    UNION ALL
    SELECT session_id, occurred_at, product_id, 0, 0, quantity, quantity * unit_price
    FROM seen JOIN order_items ON order_id = (properties ->> 'order_id')::bigint WHERE event_type = 'purchase'
  ) AS e JOIN visits AS v USING (session_id) LEFT JOIN products USING (product_id)
  WHERE occurred_at >= %(begin)s::timestamptz AND occurred_at < %(end)s::timestamptz
)"""
