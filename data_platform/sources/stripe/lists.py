"""Stripe's lists: newest first, a hundred a page, each page named by the last object of the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from data_platform.errors import SourceError
from data_platform.sources.stripe.api import NoSuchObject, StripeApi, broken

PAGE = 100
_MORE = re.compile(rb'"has_more"\s*:\s*true')
_OWN_PATH = re.compile(r"/v1/[A-Za-z0-9_/]+")


class _List(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool


class _Inner(msgspec.Struct):
    object: str
    data: list[msgspec.Raw]
    has_more: bool
    url: str


class Head(msgspec.Struct):
    """What every object says of itself."""

    id: str
    created: int = 0
    deleted: bool = False


_LIST, _HEAD = msgspec.json.Decoder(_List), msgspec.json.Decoder(Head)
_INNER, _FIELDS = msgspec.json.Decoder(_Inner), msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class ListPage:
    records: Sequence[bytes]
    heads: Sequence[Head]
    more: bool
    at: int
    """When it was given, by Stripe's clock."""


@dataclass(frozen=True, slots=True)
class Place:
    """The last object of a page: its id, and when it was created."""

    id: str
    created: int


def pages(
    api: StripeApi, path: str, params: Mapping[str, Any], created: Mapping[str, int], after: Place | None
) -> Iterator[ListPage]:
    """The list's pages behind ``after``. Where that object is gone, the list is entered by the second in which it was
    created, so that its ties are read again and none is left out."""
    created = dict(created)
    while True:
        asked: dict[str, Any] = {**params, "limit": PAGE}
        if created:
            asked["created"] = created
        if after is not None and after.id:
            asked["starting_after"] = after.id
        try:
            page = one_page(api, path, asked)
        except NoSuchObject as missing:
            if after is None or not after.id or missing.param not in ("starting_after", None):
                raise broken(api.source, path) from None
            created["lte"] = min(after.created, created.get("lte", after.created))
            after = Place("", after.created)
            continue
        if page.more and not page.heads:
            raise SourceError(
                f"{api.source}: GET {path} gave an empty page and says that more follow. Run the sync again."
            )
        if page.heads and after is not None and page.heads[-1].id == after.id:
            raise SourceError(
                f"{api.source}: GET {path} gives the same page again and again. Run the sync again."
            )
        yield page
        if not page.more:
            return
        after = Place(page.heads[-1].id, page.heads[-1].created)


def one_page(api: StripeApi, path: str, params: dict[str, Any], endpoint: str | None = None) -> ListPage:
    reply = api.get(path, params, endpoint)
    try:
        found = _LIST.decode(reply.body)
        records = [bytes(one) for one in found.data]
        return ListPage(records, [_HEAD.decode(one) for one in records], found.has_more, reply.at)
    except msgspec.MsgspecError:
        raise broken(api.source, endpoint or path) from None


def head_of(api: StripeApi, record: bytes, endpoint: str) -> Head:
    try:
        return _HEAD.decode(record)
    except msgspec.MsgspecError:
        raise broken(api.source, endpoint) from None


def whole(api: StripeApi, record: bytes, endpoint: str) -> bytes:
    """``record``, whose lists are cut at ten, with all their elements. Every other byte of a field stays as it came."""
    if not _MORE.search(record):
        return record
    fields = _FIELDS.decode(record)
    for name, raw in fields.items():
        if not bytes(raw).startswith(b"{") or not _MORE.search(raw):
            continue
        try:
            inner = _INNER.decode(raw)
        except msgspec.ValidationError:
            continue  # an object that holds a list deeper
        if inner.object == "list" and inner.has_more:
            parts = _FIELDS.decode(raw)
            elements = [*inner.data, *_rest(api, inner, f"{endpoint}/.../{name}")]
            parts["data"] = msgspec.Raw(msgspec.json.encode(elements))
            parts["has_more"] = msgspec.Raw(b"false")
            fields[name] = msgspec.Raw(msgspec.json.encode(parts))
    return msgspec.json.encode(fields)


def _rest(api: StripeApi, inner: _Inner, endpoint: str) -> Iterator[msgspec.Raw]:
    """The elements behind those that are there, by the list's own endpoint."""
    url = urlsplit(inner.url)
    if url.netloc or not _OWN_PATH.fullmatch(url.path) or not inner.data:
        raise broken(api.source, endpoint)
    params: dict[str, Any] = dict(parse_qsl(url.query))
    last = head_of(api, bytes(inner.data[-1]), endpoint).id
    more = True
    while more:
        try:
            page = one_page(api, url.path, {**params, "limit": PAGE, "starting_after": last}, endpoint)
        except NoSuchObject:
            raise SourceError(
                f"{api.source}: a list at {endpoint} changed while it was read. Run the sync again."
            ) from None
        yield from map(msgspec.Raw, page.records)
        more = page.more
        if more and (not page.heads or page.heads[-1].id == last):
            raise SourceError(
                f"{api.source}: GET {endpoint} gives the same page again and again. Run the sync again."
            )
        last = page.heads[-1].id if page.heads else last
