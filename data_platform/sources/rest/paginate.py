"""From one answer to the next page. Pure: a *place* says which page to request. It is a small JSON value that starts as None
for each parent, so parents never share a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

from pydantic import TypeAdapter
from requests.utils import parse_header_links

from data_platform.errors import SourceError
from data_platform.sources.http.client import Answer
from data_platform.sources.rest.json_path import EVERY, Step, find_one, steps_of, word
from data_platform.sources.rest.paginators import (
    Auto,
    Cursor,
    HeaderCursor,
    HeaderLink,
    JsonLink,
    Offset,
    PageNumber,
    Paginator,
    SinglePage,
)

Place = Mapping[str, Any] | None
"""None is the first page."""
_ANY: TypeAdapter[Any] = TypeAdapter(Paginator)
_LIKELY_SIZES = (10, 20, 25, 30, 50, 100, 200, 250, 500, 1000, 5000, 10_000)
"""A first and only page of so many records may be a page of several."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that is not sent yet. ``body`` is the JSON document of a POST."""

    url: str
    params: Mapping[str, Any]
    body: Any = None


@dataclass(frozen=True, slots=True)
class Next:
    """``place`` is that of the page after, None where there is none; ``notes`` are for the batch."""

    place: Place
    notes: tuple[str, ...] = ()


_END = Next(None)


def placed(paginator: Any, place: Place, draft: Draft) -> Draft:
    """``draft`` for the page at ``place``."""
    paginator = _actual(paginator, place)
    match paginator:
        case Offset():
            at = place["at"] if place else paginator.offset
            draft = _put(draft, paginator.offset_param, paginator.offset_body_path, at)
            return _put(draft, paginator.limit_param, paginator.limit_body_path, paginator.limit)
        case PageNumber():
            at = place["at"] if place else _first_page(paginator)
            return _put(draft, paginator.page_param, paginator.page_body_path, at)
        case Cursor() if place:
            param = paginator.cursor_param or (None if paginator.cursor_body_path else "cursor")
            return _put(draft, param, paginator.cursor_body_path, place["cursor"])
        case HeaderCursor() if place:
            return _put(draft, paginator.cursor_param, None, place["cursor"])
        case JsonLink() | HeaderLink() if place:
            url = place["url"]
            return replace(draft, url=url, params={} if urlsplit(url).query else draft.params)
    return draft


def following(
    paginator: Any, place: Place, answer: Answer, count: int, selector: tuple[Step, ...] | None
) -> Next:
    """What comes after ``answer`` of the page at ``place``, in which ``count`` records were found by ``selector``.

    ValueError, in words, where the answer contradicts itself or the paginator.
    """
    if isinstance(paginator, Auto):
        if place and "as" in place:
            actual = _ANY.validate_python(place["as"])
        else:
            actual = detect(answer, count)
        found = following(actual, place, answer, count, selector)
        if found.place is None:
            return found
        return replace(found, place={**found.place, "as": actual.model_dump(mode="json", exclude_unset=True)})
    match paginator:
        case SinglePage():
            return _END
        case Cursor() | HeaderCursor():
            return _by_cursor(paginator, place, answer, count)
        case JsonLink() | HeaderLink():
            return _by_link(paginator, place, answer, count)
        case Offset():
            at = place["at"] if place else paginator.offset
            by_record = not (selector and EVERY in selector)
            after = at + ((count if by_record else 0) or paginator.limit)
            held = at + count - paginator.offset if by_record else after - paginator.offset
            return _counted(
                paginator, answer, count, after, held + paginator.offset, paginator.maximum_offset
            )
        case PageNumber():
            at = place["at"] if place else _first_page(paginator)
            read = at + 1 - paginator.base_page
            return _counted(paginator, answer, count, at + 1, read, paginator.maximum_page)
    raise AssertionError(paginator)


def fits(paginator: Any, place: Place) -> bool:
    """Whether ``place`` is one of ``paginator``, which may be written otherwise since."""
    keys: dict[type, str] = {
        Auto: "as",
        Offset: "at",
        PageNumber: "at",
        Cursor: "cursor",
        HeaderCursor: "cursor",
        JsonLink: "url",
        HeaderLink: "url",
    }
    return place is None or keys.get(type(paginator), "") in place


def _actual(paginator: Any, place: Place) -> Any:
    return _ANY.validate_python(place["as"]) if isinstance(paginator, Auto) and place else paginator


def _first_page(paginator: PageNumber) -> int:
    return paginator.base_page if paginator.page is None else paginator.page


def _put(draft: Draft, param: str | None, body_path: tuple[Step, ...] | None, value: Any) -> Draft:
    if body_path is not None:
        return replace(draft, body=_with(draft.body, body_path, value))
    return replace(draft, params={**draft.params, param: value}) if param else draft


def _with(body: Any, path: tuple[Step, ...], value: Any) -> Any:
    """``body`` with ``value`` at ``path``; objects on the way are made."""
    if not path:
        return value
    held = dict(body) if isinstance(body, Mapping) else {}
    return {**held, str(path[0]): _with(held.get(str(path[0])), path[1:], value)}


def _more(paginator: Any, answer: Answer) -> bool | None:
    """What the answer says itself; None where it is not asked."""
    path = getattr(paginator, "has_more_path", None)
    if path is None:
        return None
    said = word(find_one(answer.body, path))
    if said is None:
        raise ValueError(f"has no `{path.written}`, which `has_more_path` names")
    return said.lower() not in ("false", "0", "")


def _by_cursor(paginator: Cursor | HeaderCursor, place: Place, answer: Answer, count: int) -> Next:
    if isinstance(paginator, HeaderCursor):
        cursor, name = answer.headers.get(paginator.cursor_key), paginator.cursor_key
    else:
        cursor, name = word(find_one(answer.body, paginator.cursor_path)), paginator.cursor_path.written
        if count == 0 and paginator.stop_after_empty_page:
            return _END
    more = _more(paginator, answer)
    if more is False:
        return _END
    if not cursor:
        if more:
            raise ValueError(f"says that there is more, and has no cursor at `{name}`")
        return _only_page(place, count)
    if place and place["cursor"] == cursor:  # the last page of some APIs names itself
        if more:
            raise ValueError(f"says that there is more, and its cursor at `{name}` does not move")
        return _END
    return Next({"cursor": cursor})


def _by_link(paginator: JsonLink | HeaderLink, place: Place, answer: Answer, count: int) -> Next:
    if isinstance(paginator, JsonLink):
        link = word(find_one(answer.body, paginator.next_url_path))
    else:
        link = _header_link(answer, paginator.links_next_key)
    if not link:
        return _only_page(place, count)
    url = urljoin(answer.url, link)
    return _END if url == (place["url"] if place else answer.url) else Next({"url": url})


def _header_link(answer: Answer, relation: str) -> str | None:
    for link in parse_header_links(answer.headers.get("Link", "")):
        if relation.lower() in link.get("rel", "").lower().split():
            return link.get("url")
    return None


def _counted(
    paginator: Offset | PageNumber, answer: Answer, count: int, after: int, read: int, maximum: int | None
) -> Next:
    if count == 0 and paginator.stop_after_empty_page:
        return _END
    if (more := _more(paginator, answer)) is not None and not more:
        return _END
    total = _total(paginator, answer)
    if more is None and total is not None and read >= total:
        return _END
    if maximum is not None and after >= maximum:
        return Next(None, (f"the read ended at {after:,}, the maximum of its paginator",))
    return Next({"at": after})


def _total(paginator: Offset | PageNumber, answer: Answer) -> int | None:
    if paginator.total_path is None:
        return None
    said = word(find_one(answer.body, paginator.total_path))
    if said is not None and said.isdigit():
        return int(said)
    if "total_path" in paginator.model_fields_set:
        raise ValueError(f"has no number at `{paginator.total_path.written}`, which `total_path` names")
    return None


def _only_page(place: Place, count: int) -> Next:
    if place is None and count in _LIKELY_SIZES:
        return Next(
            None,
            (
                f"only one page was read, of {count:,} records, and nothing led on; if there is more, name the paginator",
            ),
        )
    return _END


_LINKS = (
    "next next_url nextUrl next_page_url nextPageUrl next_link nextLink ['@odata.nextLink'] links.next _links.next.href"
    " _links.next links.next.href paging.next pagination.next pagination.next_url meta.next info.next"
    " meta.pagination.links.next"
).split()
_CURSORS = {
    "next_cursor": "cursor",
    "nextCursor": "cursor",
    "cursors.next": "cursor",
    "cursor.next": "cursor",
    "meta.next_cursor": "cursor",
    "meta.nextCursor": "cursor",
    "pagination.next_cursor": "cursor",
    "pagination.nextCursor": "cursor",
    "paging.next_cursor": "cursor",
    "response_metadata.next_cursor": "cursor",
    "paging.cursors.after": "after",
    "paging.next.after": "after",
    "meta.after_cursor": "page[after]",
    "next_page_token": "page_token",
    "nextPageToken": "pageToken",
    "meta.next_token": "pagination_token",
    "next_token": "next_token",
    "nextToken": "nextToken",
}
_PAGES = "total_pages totalPages last_page pages meta.total_pages meta.last_page meta.totalPages pagination.total_pages pagination.totalPages pagination.pages paging.total_pages info.pages".split()
_MORES = "has_more hasMore meta.has_more meta.hasMore pagination.has_more pagination.hasMore paging.has_more".split()


def detect(answer: Answer, count: int) -> Any:
    """The paginator of an API, by the first of its answers: links first, then cursors, then numbers of pages.

    ValueError where the answer says that there is more, and nothing shows how to ask for it.
    """
    if _header_link(answer, "next"):
        return HeaderLink(type="header_link")
    body = answer.body if answer.body[:1] == b"{" else b"{}"

    def said(path: str) -> str | None:
        return word(find_one(body, steps_of(path)))

    for path in _LINKS:
        if (link := said(path)) and link.startswith(("http://", "https://", "/", "?")):
            return JsonLink(type="json_link", next_url_path=path)
    for path, param in _CURSORS.items():
        if said(path):
            return Cursor(type="cursor", cursor_path=path, cursor_param=param)
    for path in _PAGES:
        total = said(path)
        if total is not None and total.isdigit() and int(total) > 1:
            within = path.rpartition(".")[0]
            numbers = (
                said(f"{within}.{name}".lstrip(".")) for name in ("page", "current_page", "currentPage")
            )
            first = next((number for number in numbers if number is not None and number.isdigit()), "1")
            return PageNumber(type="page_number", base_page=int(first), total_path=path)
    if any(said(path) == "true" for path in _MORES):
        raise ValueError("says that there is more, and nothing in it leads on")
    return JsonLink(type="json_link")  # nothing leads on: `next` is not there


def contradiction(where: str, error: ValueError) -> SourceError:
    return SourceError(f"{where}: the answer {error}. Correct the endpoint's `paginator`.")
