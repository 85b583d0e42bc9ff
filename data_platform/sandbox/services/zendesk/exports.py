"""Incremental exports and plain pages as Zendesk gives them, read from the desk's records."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

PER_PAGE_MAX, PAGE_SIZE_MAX, OFFSET_ITEMS_MAX = 1_000, 100, 10_000
CURSOR_KINDS = ("tickets", "users")
TIME_KINDS = ("tickets", "users", "organizations", "ticket_events", "ticket_metric_events")
PLAIN_KINDS = ("satisfaction_ratings", "macros", "views", "users", "organizations", "ticket_metrics")
SIDE_LOADS = {
    "users": ("users", ("requester_id", "submitter_id", "assignee_id")),
    "organizations": ("organizations", ("organization_id",)),
    "metric_sets": ("ticket_metrics", ("id",)),
}
"""By its name in ``include``: the kind, and the ticket's fields that hold its ids."""

Query = Mapping[str, str]


class Refused(Exception):
    """An answer with Zendesk's error body."""

    def __init__(self, status: int, error: Any, description: str = "") -> None:
        super().__init__(description or str(error))
        self.status = status
        self.body = {"error": error, **({"description": description} if description else {})}


def invalid_attribute(message: str) -> Refused:
    return Refused(400, {"title": "Invalid attribute", "message": message})


class Exports:
    """``url`` is the service's own; what was generated after ``until`` (seconds since 1970) is withheld."""

    def __init__(self, connection: Connection, url: str, now: float, withheld_seconds: float) -> None:
        self.connection, self.url, self.now = connection, url, now
        self.until = int(now - withheld_seconds)
        self.withheld_seconds = withheld_seconds

    # ------------------------------------------------------------ incremental

    def by_cursor(self, kind: str, query: Query) -> dict[str, Any]:
        if kind not in CURSOR_KINDS:
            raise Refused(404, "InvalidEndpoint", "Not found")
        cursor = query.get("cursor")
        start = decode(cursor) if cursor else (self._start_time(query), 0)
        size = self._per_page(query)
        rows = self._after(kind, start, size, inclusive=not cursor)
        end = len(rows) < size or not self._after(kind, rows[-1][:2], 1)
        after = encode(*rows[-1][:2]) if rows else cursor
        kept = {key: value for key, value in query.items() if key not in ("start_time", "cursor")}
        path = f"{self.url}/api/v2/incremental/{kind}/cursor.json"
        return {
            kind: self._shown(kind, rows, query),
            **self._side_loaded(kind, rows, query),
            "after_url": f"{path}?{urlencode({**kept, 'cursor': after})}" if after else None,
            "after_cursor": after,
            "before_url": None,
            "before_cursor": None,
            "end_of_stream": end,
        }

    def by_time(self, kind: str, query: Query, most: int = PER_PAGE_MAX) -> dict[str, Any]:
        """From ``start_time`` on, that second included: the next page begins with this one's last second."""
        if kind not in TIME_KINDS:
            raise Refused(404, "InvalidEndpoint", "Not found")
        size = min(self._per_page(query), most)
        rows = self._after(kind, (self._start_time(query), 0), size, inclusive=True)
        end_time = rows[-1][0] if rows else None
        following = {**query, "start_time": end_time}
        page = f"{self.url}/api/v2/incremental/{kind}.json?{urlencode(following)}"
        answer = {
            kind: self._shown(kind, rows, query),
            **self._side_loaded(kind, rows, query),
            "next_page": page if rows else None,
            "count": len(rows),
            "end_time": end_time,
        }
        if kind != "ticket_metric_events":
            answer["end_of_stream"] = len(rows) < size
        return answer

    def _after(
        self, kind: str, place: tuple[int, int], size: int, *, inclusive: bool = False
    ) -> list[tuple[Any, ...]]:
        sign = ">=" if inclusive else ">"
        query = (
            f"SELECT generated, id, body FROM services.zendesk_records WHERE kind = %s AND (generated, id) {sign} (%s, %s) "
            "AND generated <= %s ORDER BY generated, id LIMIT %s"
        )
        return self.connection.execute(query.encode(), (kind, *place, self.until, size)).fetchall()

    def _start_time(self, query: Query) -> int:
        if "start_time" not in query:
            raise invalid_attribute("You did not pass a start_time. Parameter start_time must be an integer")
        try:
            start = int(query["start_time"])
        except ValueError:
            raise invalid_attribute(
                "You passed an invalid value for the start_time attribute. Invalid parameter: start_time must be an integer"
            ) from None
        if start > self.now - self.withheld_seconds:
            raise Refused(422, "InvalidValue", f"Too recent start_time. Use a start_time older than {self.withheld_seconds:g} seconds")  # fmt: skip
        return max(0, start)

    def _per_page(self, query: Query) -> int:
        text = query.get("per_page", str(PER_PAGE_MAX))
        if not text.isdigit() or int(text) < 1:
            raise invalid_attribute(f"You passed an invalid value for the per_page attribute: {text}")
        return min(int(text), PER_PAGE_MAX)

    def _shown(self, kind: str, rows: list[tuple[Any, ...]], query: Query) -> list[dict[str, Any]]:
        bodies = [row[2] for row in rows]
        if kind == "tickets" and query.get("exclude_deleted") == "true":
            return [body for body in bodies if body["status"] != "deleted"]
        if kind == "ticket_events":
            with_comments = "comment_events" in query.get("include", "").split(",")
            return [{**body, "child_events": [_child(one, with_comments) for one in body["child_events"]]} for body in bodies]  # fmt: skip
        return bodies

    def _side_loaded(self, kind: str, rows: list[tuple[Any, ...]], query: Query) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in query.get("include", "").split(",") if kind == "tickets" else ():
            if name not in SIDE_LOADS:
                continue
            source, keys = SIDE_LOADS[name]
            ids = {row[2][key] for row in rows for key in keys if row[2][key] is not None}
            found[name] = self._records(source, sorted(ids))
        return found

    def _records(self, kind: str, ids: list[int]) -> list[dict[str, Any]]:
        query = "SELECT body FROM services.zendesk_records WHERE kind = %s AND id = ANY(%s) ORDER BY id"
        return [row[0] for row in self.connection.execute(query, (kind, ids)).fetchall()]

    # ------------------------------------------------------------ plain lists

    def page(self, kind: str, query: Query) -> dict[str, Any]:
        """A page by cursor where ``page[size]`` or ``page[after]`` is sent, else by number."""
        if kind not in (*PLAIN_KINDS, "deleted_users"):
            raise Refused(404, "InvalidEndpoint", "Not found")
        if "page[size]" in query or "page[after]" in query:
            return self._cursor_page(kind, query)
        return self._numbered_page(kind, query)

    def one(self, kind: str, id_: str) -> dict[str, Any]:
        found = self._records(kind, [int(id_)]) if id_.isdigit() else []
        if not found:
            raise Refused(404, "RecordNotFound", "Not found")
        return {kind[:-1]: found[0]}

    def _list(self, kind: str) -> tuple[str, str]:
        if kind == "deleted_users":
            return "users", "AND NOT (body ->> 'active')::boolean"
        return kind, "AND (body ->> 'active')::boolean" if kind == "users" else ""

    def _cursor_page(self, kind: str, query: Query) -> dict[str, Any]:
        text = query.get("page[size]", str(PAGE_SIZE_MAX))
        if not text.isdigit() or not 1 <= int(text) <= PAGE_SIZE_MAX:
            raise invalid_attribute(f"page[size] must be between 1 and {PAGE_SIZE_MAX}")
        size, after = int(text), decode(query["page[after]"])[1] if query.get("page[after]") else 0
        source, only = self._list(kind)
        select = f"SELECT id, body FROM services.zendesk_records WHERE kind = %s AND id > %s {only} ORDER BY id LIMIT %s"
        rows = self.connection.execute(select.encode(), (source, after, size + 1)).fetchall()
        more, rows = len(rows) > size, rows[:size]
        cursor = encode(0, rows[-1][0]) if rows else None
        following = urlencode({**query, "page[size]": size, "page[after]": cursor or ""})
        return {
            kind: [body for _, body in rows],
            "meta": {
                "has_more": more,
                "after_cursor": cursor,
                "before_cursor": encode(0, rows[0][0]) if rows else None,
            },
            "links": {"prev": None, "next": f"{self.url}/api/v2/{kind}.json?{following}" if more else None},
        }

    def _numbered_page(self, kind: str, query: Query) -> dict[str, Any]:
        page, size = query.get("page", "1"), query.get("per_page", str(PAGE_SIZE_MAX))
        if not (page.isdigit() and size.isdigit() and int(page) and int(size)):
            raise invalid_attribute("page and per_page must be positive integers")
        number, size_ = int(page), min(int(size), PAGE_SIZE_MAX)
        if number * size_ > OFFSET_ITEMS_MAX:
            raise Refused(400, "InvalidPaginationDepth", "Pagination limit reached for offset model, use cursor pagination")  # fmt: skip
        source, only = self._list(kind)
        select = f"SELECT body, count(*) OVER () FROM services.zendesk_records WHERE kind = %s {only} ORDER BY id LIMIT %s OFFSET %s"
        rows = self.connection.execute(select.encode(), (source, size_, (number - 1) * size_)).fetchall()
        total = rows[0][1] if rows else 0

        def address(other: int) -> str:
            return f"{self.url}/api/v2/{kind}.json?{urlencode({**query, 'page': other, 'per_page': size_})}"

        return {
            kind: [row[0] for row in rows],
            "next_page": address(number + 1) if number * size_ < total else None,
            "previous_page": address(number - 1) if number > 1 else None,
            "count": total,
        }


def _child(event: Mapping[str, Any], with_comments: bool) -> dict[str, Any]:
    """A comment is told of; what it says comes only with the side-load ``comment_events``."""
    shown = {key: value for key, value in event.items() if key != "comment"}
    if with_comments and "comment" in event:
        shown = {**{k: v for k, v in shown.items() if not k.startswith("comment_")}, **event["comment"]}
    return shown


def encode(generated: int, id_: int) -> str:
    """The form of Zendesk's own cursors."""
    return base64.b64encode(f"{generated}.0||{id_}".encode()).decode()


def decode(cursor: str) -> tuple[int, int]:
    try:
        generated, id_ = base64.b64decode(cursor.encode(), validate=True).decode().split(".0||")
        return int(generated), int(id_)
    except (ValueError, binascii.Error):
        raise invalid_attribute("You passed an invalid value for the cursor attribute.") from None
