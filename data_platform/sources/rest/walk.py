"""One table's pages, in order: those of each parent's record in turn, each with a paginator of its own.

A *trail* is the position of a read. It holds the place of the current page for each endpoint, from the outermost
parent to the table's own; a parent's entry also names the record in progress. Resuming costs one request per endpoint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_platform.errors import SourceError, TableMissing
from data_platform.sources.http.client import Answer, HttpClient
from data_platform.sources.http.words import RequestRefused, refusal
from data_platform.sources.rest.bind import Binding, Bounds, included, request_of, taken, with_parent
from data_platform.sources.rest.cursor import Value, value_of
from data_platform.sources.rest.json_path import Step
from data_platform.sources.rest.keys import Level
from data_platform.sources.rest.paginate import Next, Place, contradiction, fits, following, placed
from data_platform.sources.rest.paginators import Auto, SinglePage
from data_platform.sources.rest.records import choose, select

Trail = tuple[Mapping[str, Any], ...]
EMPTY_PAGES_MAX = 1000
"""So many pages without a record behind each other are taken for a read that never ends."""
_NOT_KNOWN = (400, 404, 410, 422)
"""What an API answers to a cursor that it has forgotten."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page. ``here`` is the trail to it and ``after`` the one behind it, None at the end of all. ``parent`` tells the
    parent's record from others of its table ("" without one)."""

    records: Sequence[bytes]
    here: Trail
    after: Trail | None
    parent: str
    origin: str
    answer: Answer
    notes: tuple[str, ...] = ()
    last_of_parent: bool = True


class Forgotten(Exception):
    """The API does not know the place any more at which the last read was cut."""


class Walk:
    """Asks ``client``. ``paginator`` is the connection's; ``bounds`` says for each parent what is asked of the table
    itself, while parents are asked for all they have."""

    def __init__(self, client: HttpClient, base_url: str, paginator: Any) -> None:
        self._client, self._base, self._paginator = client, base_url, paginator

    def pages(self, level: Level, trail: Trail, bounds: BoundsOf) -> Iterator[Fetched]:
        """Forgotten where the first request of a ``trail`` is refused; errors name the endpoint."""
        if level.parent is None:
            place = trail[0].get("page") if trail else None
            for page, after, n in self._paged(level, {}, place, bounds(""), "", bool(trail)):
                yield self._fetched(page, level, (), (), after, "", n)
            return
        for outer in self.pages(level.parent, trail[:-1], _everything(level.parent)):
            first, place = _resumed(level, outer.records, trail)
            trail = ()
            for i in range(first, len(outer.records)):
                yield from self._of_parent(level, outer, i, place, bounds)
                place = None

    def _of_parent(
        self, level: Level, outer: Fetched, i: int, place: Place, bounds: BoundsOf
    ) -> Iterator[Fetched]:
        record = outer.records[i]
        values = taken(level, record)
        parent = _mark(record_key(values))
        beside = included(level, record)
        here = (*outer.here[:-1], {**outer.here[-1], "at": [i, parent[:8]]})
        if i + 1 < len(outer.records):
            follows = _mark(record_key(taken(level, outer.records[i + 1])))
            then: Trail | None = (
                *outer.here[:-1],
                {**outer.here[-1], "at": [i + 1, follows[:8]]},
                {"page": None},
            )
        else:
            then = None if outer.after is None else (*outer.after, {"page": None})
        for page, after, n in self._paged(level, values, place, bounds(parent), parent, place is not None):
            if beside:
                page.records = [with_parent(one, beside) for one in page.records]
            yield self._fetched(page, level, here, then, after, parent, n)

    def _fetched(
        self, page: _Page, level: Level, here: Trail, then: Trail | None, after: Place, parent: str, n: int
    ) -> Fetched:
        behind: Trail | None = (*here, {"page": after}) if after is not None else (then or None)
        return Fetched(
            page.records,
            (*here, {"page": page.place}),
            behind,
            parent,
            f"{level.path}, page {n}",
            page.answer,
            page.notes,
            after is None,
        )

    def _paged(
        self,
        level: Level,
        values: Mapping[str, Value],
        place: Place,
        bounds: Bounds,
        parent: str,
        resumed: bool,
    ) -> Iterator[tuple[_Page, Place, int]]:
        """The pages of one parent's record, each with the place of the next and its number in this read."""
        paginator = self._paginator_of(level)
        place = place if fits(paginator, place) else None
        selector: tuple[Step, ...] | None = level.endpoint.data_selector
        if selector is None and level.single:
            selector = ()
        seen, empty, n = {_place_mark(place)}, 0, 0
        last = b""
        while True:
            n += 1
            answer = self._ask(level, values, paginator, place, bounds, resumed and n == 1)
            where = self._where(level, n)
            ignored = self._ignored(level, answer, where)
            records: list[bytes] = []
            if not ignored:
                selector = choose(answer.body) if selector is None else selector
                records = self._records(level, answer, selector, where, n)
            digest = _digest(b"\0".join(records)) if records else b""
            if digest and digest == last:
                raise SourceError(
                    f"{where} has the same records as the page before: the API ignores which page is requested."
                    " Check the names in the endpoint's `paginator`."
                )
            last, empty = digest, 0 if records else empty + 1
            found = Next(None)
            if not ignored:
                try:
                    found = following(paginator, place, answer, len(records), selector)
                except ValueError as error:
                    raise contradiction(where, error) from None
                self._check_next(level, answer, found.place, where)
            yield _Page(records, place, answer, found.notes), found.place, n
            if found.place is None:
                return
            mark = _place_mark(found.place)
            if mark in seen:
                raise SourceError(
                    f"{where} leads back to a page that was read before, so that the read would never end. Check the"
                    " endpoint's `paginator`."
                )
            if n >= level.endpoint.pages_max or empty >= EMPTY_PAGES_MAX:
                raise SourceError(
                    f"{where}: the read does not end ({n:,} pages, the last {empty:,} without a record). Check the"
                    " endpoint's `paginator`, or raise its `pages_max`."
                )
            seen.add(mark)
            place = found.place

    def _ask(
        self,
        level: Level,
        values: Mapping[str, Value],
        paginator: Any,
        place: Place,
        bounds: Bounds,
        resumed: bool,
    ) -> Answer:
        incremental = level.endpoint.incremental
        initial = incremental.initial_value if incremental else None
        binding = Binding(level, values, bounds, None if initial is None else value_of(initial))
        draft = placed(paginator, place, binding.draft(self._base))
        accept = frozenset().union(*(action.statuses() for action in level.endpoint.response_actions))
        request = request_of(level, draft, binding.headers(), accept)
        if place and "url" in place:
            self._client.check_origin(self._client.where(request), self._base, draft.url)
        try:
            return self._client.send(request)
        except (RequestRefused, TableMissing) as error:
            status = error.status if isinstance(error, RequestRefused) else 404
            if resumed and place is not None and status in _NOT_KNOWN:
                raise Forgotten from None
            if isinstance(error, TableMissing) and level.parent is not None:
                raise TableMissing(
                    f"{error} Where a record of `{level.parent.name}` may have none, write response_actions:"
                    " [{status_code: 404, action: ignore}]."
                ) from None
            raise

    def _ignored(self, level: Level, answer: Answer, where: str) -> bool:
        """Whether a ``response_actions`` says that there is nothing here."""
        failed = answer.status >= 300
        for action in level.endpoint.response_actions:
            statuses = action.statuses()
            if statuses and answer.status not in statuses:
                continue
            if action.content is None or action.content.encode() in answer.body:
                return True
        if failed:
            raise refusal(answer.status, where, self._client.auth.words)
        return False

    def _records(
        self, level: Level, answer: Answer, selector: tuple[Step, ...], where: str, n: int
    ) -> list[bytes]:
        if answer.body == b"null":
            return []
        records = select(answer.body, selector)
        if records is not None:
            return records
        if level.endpoint.data_may_be_missing or n > 1:
            return []
        named = getattr(level.endpoint.data_selector, "written", "")
        raise SourceError(
            f"{where}: the answer has nothing at `{named}`, which `data_selector` names. Correct it; where an answer"
            " without records leaves it out, write data_may_be_missing: true."
        )

    def _check_next(self, level: Level, answer: Answer, place: Place, where: str) -> None:
        if place and "url" in place:
            self._client.check_origin(where, self._base, place["url"])

    def _paginator_of(self, level: Level) -> Any:
        if level.endpoint.paginator is not None:
            return level.endpoint.paginator
        if level.single:
            return SinglePage(type="single_page")
        return self._paginator or Auto(type="auto")

    def _where(self, level: Level, n: int) -> str:
        return f"{self._client.title}: {level.path}, page {n:,}"


BoundsOf = Callable[[str], Bounds]
"""What is asked of one parent's records: by its mark, "" where there is no parent."""


@dataclass
class _Page:
    records: list[bytes]
    place: Place
    answer: Answer
    notes: tuple[str, ...]


def _everything(level: Level) -> BoundsOf:
    """A parent is asked for all it has: what its records lead to may have changed though they did not."""
    incremental = level.endpoint.incremental
    initial = incremental.initial_value if incremental else None
    return lambda _: Bounds(None if initial is None else value_of(initial))


def _resumed(level: Level, records: Sequence[bytes], trail: Trail) -> tuple[int, Place]:
    """The record of a parent's page with which a read goes on, and the place in it. Where the page holds other records by
    now, it goes on with the first of them."""
    at = trail[-2].get("at") if len(trail) > 1 else None
    if not at:
        return 0, None
    known, mark = int(at[0]), str(at[1])
    order = [known, *range(len(records))]
    for i in order:
        if i < len(records) and _mark(record_key(taken(level, records[i])))[:8] == mark:
            return i, trail[-1].get("page")
    return 0, None


def record_key(values: Mapping[str, Value]) -> bytes:
    return "\0".join(f"{path}\0{value}" for path, value in sorted(values.items())).encode()


def _mark(key: bytes) -> str:
    """Of a parent's record: its values are not kept."""
    return hashlib.blake2b(key, digest_size=8).hexdigest()


def _place_mark(place: Place) -> bytes:
    return _digest(json.dumps(place, sort_keys=True).encode())


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
