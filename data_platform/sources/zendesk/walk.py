"""The pages of one object, walked from a state on. States, by how the object is walked::

cursor  {"cursor": text}                     kept for ever: after it comes what changed since
time    {"start_time": int, "edge": [text]}  seconds since 1970; digests of the records that the next page repeats
list    {"after": text}                      within one read only
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from data_platform.errors import SourceError
from data_platform.sources.records.feed import State
from data_platform.sources.zendesk.api import Api, Body
from data_platform.sources.zendesk.objects import ZendeskObject

PER_PAGE, PAGE_SIZE = 1_000, 100
EDGE = 100
"""More records of one second than these land again with the next read, which changes nothing."""
_EARLY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page. ``records`` are those that the page before did not hold in the same bytes."""

    body: Body
    records: Sequence[bytes]
    state: State
    text: str
    origin: str
    more: bool


class Walk:
    """``table`` is its name, for messages; ``start`` the time (seconds since 1970) that a first read begins with."""

    def __init__(
        self, api: Api, table: str, found: ZendeskObject, params: Mapping[str, str], start: int
    ) -> None:
        self._api, self._table, self._object = api, table, found
        self._params, self._start = {**found.params, **params}, start

    def pages(self, state: State | None, per_page: int | None = None) -> Iterator[Fetched]:
        walked = {"cursor": self._by_cursor, "time": self._by_time, "list": self._listed}
        return walked[self._object.walked](state or {}, per_page or PER_PAGE)

    def _first(self) -> int:
        """The start, which Zendesk wants to be older than a minute."""
        return max(0, min(self._start, int(self._api.clock.now().timestamp()) - _EARLY_SECONDS))

    def _get(self, params: Mapping[str, str], *, went_on: bool) -> Body:
        return self._api.get(self._object.endpoint, {**self._params, **params}, went_on=went_on)

    def _by_cursor(self, state: State, per_page: int) -> Iterator[Fetched]:
        held = state.get("cursor")
        cursor = held if isinstance(held, str) else None
        number, more = 0, True
        while more:
            number += 1
            asked = {"start_time": str(self._first())} if cursor is None else {"cursor": cursor}
            body = self._get({**asked, "per_page": str(per_page)}, went_on=cursor is not None)
            records = self._records(body)
            more = body.value("end_of_stream") is not True
            after = body.value("after_cursor")
            if more and (not isinstance(after, str) or after == cursor):
                raise SourceError(
                    f"{self._table}: {body.where} says that there is more, and its `after_cursor` does not move on from the page"
                    " before. The next sync tries again from there; report it to Zendesk if it stays so."
                )
            cursor = after if isinstance(after, str) else cursor
            yield Fetched(
                body,
                records,
                {} if cursor is None else {"cursor": cursor},
                _moment_of(cursor),
                f"{self._object.endpoint}, page {number}",
                more,
            )

    def _records(self, body: Body) -> list[bytes]:
        """The records of a page. A side-load comes in a list of its own or within the records that it belongs to: public
        clients of Zendesk's know both forms."""
        if self._object.beside is None or body.has(self._object.records):
            return body.records(self._object.records)
        name, field = self._object.beside
        return [bytes(found) for found in body.within(name, field) if bytes(found) != b"null"]

    def _by_time(self, state: State, per_page: int) -> Iterator[Fetched]:
        held: Any = state.get("start_time")
        went_on = isinstance(held, int)
        start: int = held if went_on else self._first()
        edge: Any = state.get("edge")
        known: list[str] = list(edge) if isinstance(edge, list) else []
        number, more = 0, True
        while more:
            number += 1
            asked = {"start_time": str(start), "per_page": str(per_page)}
            body = self._get(asked, went_on=went_on)
            records = body.records(self._object.records)
            ended, end_time = body.value("end_of_stream"), body.value("end_time")
            # ticket_metric_events have no end_of_stream: a page that is not full is the last
            more = len(records) >= per_page if not isinstance(ended, bool) else not ended
            if more and (not isinstance(end_time, int) or end_time <= start):
                raise SourceError(self._stuck(body, len(records), start))
            digests = [self._digest(record) for record in records]
            before = set(known)
            new = [record for record, digest in zip(records, digests, strict=True) if digest not in before]
            if records:
                known = digests[-EDGE:]
            start, went_on = (end_time if isinstance(end_time, int) else start), True
            kept = {"edge": [*known]} if known else {}
            origin = f"{self._object.endpoint}, page {number}"
            yield Fetched(body, new, {"start_time": start, **kept}, f"until {_moment(start)}", origin, more)

    def _stuck(self, body: Body, count: int, start: int) -> str:
        return (
            f"{self._table}: {body.where} gave a full page of {count:,} records that all carry the time {_moment(start)}"
            f" ({start}), and this export goes on by time alone, so that no request leads beyond them. Nothing"
            " of this page is skipped or landed. Ask Zendesk's support to spread these records, or begin after them: set"
            " `start` under `connection` to a later day and read the table whole with `data-platform sync --refresh`."
        )

    def _listed(self, state: State, per_page: int) -> Iterator[Fetched]:
        held = state.get("after")
        after, number, more = held if isinstance(held, str) else None, 0, True
        while more:
            number += 1
            asked = {"page[size]": str(min(per_page, PAGE_SIZE)), **({"page[after]": after} if after else {})}
            body = self._get(asked, went_on=after is not None)
            records = body.records(self._object.records)
            more = body.value("meta", "has_more") is True
            before, after = after, body.value("meta", "after_cursor")
            if more and (not isinstance(after, str) or after == before):
                raise SourceError(
                    f"{self._table}: {body.where} says that there is more, and its `meta.after_cursor` does not move on from the"
                    " page before. Report it to Zendesk if it stays so."
                )
            if not more and body.value("meta", "has_more") is None and body.value("next_page"):
                raise SourceError(
                    f"{self._table}: {body.where} gives pages by number only, which end after 10,000 records; this kind reads"
                    " lists by cursor. Read the endpoint with a source of `kind: rest`."
                )
            origin = f"{self._object.endpoint}, page {number}"
            yield Fetched(body, records, {"after": after} if more else {}, "all there was", origin, more)

    def _digest(self, record: bytes) -> str:
        key = hashlib.blake2b(self._api.secret, digest_size=32).digest()
        return hashlib.blake2b(record, digest_size=8, key=key).hexdigest()


def _moment(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _moment_of(cursor: str | None) -> str:
    """Where a cursor stands, as far as it can be read: Zendesk's are ``<seconds>.0||<id>`` in Base64 so far."""
    if cursor is None:
        return "nothing yet"
    try:
        return f"until {_moment(int(b64decode(cursor, validate=True).partition(b'.')[0]))}"
    except ValueError:
        return "up to the cursor that Zendesk gave"
