"""A request of an endpoint, made of what its block says and of values from elsewhere: a parent's record, the value from
which only what changed is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from data_platform.errors import SourceError
from data_platform.sources.http.client import Request
from data_platform.sources.rest.cursor import Value, plain
from data_platform.sources.rest.endpoint import PLACE, Endpoint, Resolve
from data_platform.sources.rest.json_path import Step, find_one, steps_of
from data_platform.sources.rest.keys import Level
from data_platform.sources.rest.paginate import Draft


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is asked for between: None is not sent."""

    start: Value | None = None
    end: Value | None = None


def taken(level: Level, record: bytes) -> dict[str, Value]:
    """Of the parent's ``record``, the JSON texts of the fields that requests of ``level`` take, by their paths.

    SourceError where one of them is missing, null or a document.
    """
    found: dict[str, Value] = {}
    for resource, path in level.endpoint.taken():
        text = find_one(record, steps_of(path))
        if text is None or text[:1] in (b"{", b"["):
            raise SourceError(
                f"{level.name}: a record of `{resource}` has no value at `{path}`, which the endpoint {level.path} takes."
                f" Name a field that each record of `{resource}` has."
            )
        found[path] = text.decode()
    return found


class Binding:
    """The values of ``{resources...}`` and ``{incremental...}`` in one request."""

    def __init__(
        self, level: Level, parent: Mapping[str, Value], bounds: Bounds, initial: Value | None
    ) -> None:
        self._level, self._parent = level, parent
        start = bounds.start
        self._incremental = {
            "start_value": start,
            "last_value": start,
            "initial_value": initial,
            "end_value": bounds.end,
        }
        self._bounds = bounds

    def draft(self, base_url: str) -> Draft:
        endpoint = self._level.endpoint
        params = {name: self._param(value) for name, value in endpoint.params.items()}
        incremental = endpoint.incremental
        if incremental is not None:
            if incremental.start_param and self._bounds.start is not None:
                params[incremental.start_param] = plain(self._bounds.start)
            if incremental.end_param and self._bounds.end is not None:
                params[incremental.end_param] = plain(self._bounds.end)
        path = self._path(endpoint, params)
        return Draft(
            base_url.rstrip("/") + "/" + path.lstrip("/") if path else base_url,
            {name: value for name, value in params.items() if value is not None},
            self._filled(endpoint.json_),
        )

    def headers(self) -> dict[str, str]:
        return {name: self._text(value) for name, value in self._level.endpoint.headers.items()}

    def _param(self, value: Any) -> Any:
        if isinstance(value, Resolve):
            return plain(self._parent[value.field.written])
        return self._filled(value)

    def _path(self, endpoint: Endpoint, params: dict[str, Any]) -> str:
        """The path with its values, each one segment of it; the parameters that it takes are sent no second time."""
        path = PLACE.sub(lambda found: self._segment(self._value(found[1])), self._level.path)
        for name, value in endpoint.params.items():
            if isinstance(value, Resolve) and f"{{{name}}}" in path:
                path = path.replace(f"{{{name}}}", self._segment(self._parent[value.field.written]))
                del params[name]
        return path

    def _segment(self, value: Value | None) -> str:
        text = plain(value) if value is not None else ""
        if text in ("", ".", ".."):
            raise SourceError(
                f"{self._level.name}: a value for the path {self._level.path} is empty or made of dots; it would lead"
                " elsewhere. Name a field whose values identify a record."
            )
        return quote(text, safe="")

    def _value(self, place: str) -> Value | None:
        kind, _, rest = place.partition(".")
        return self._incremental[rest] if kind == "incremental" else self._parent[rest.partition(".")[2]]

    def _filled(self, value: Any) -> Any:
        """``value`` with every place filled; a text that is one place alone becomes its value, a number included."""
        if isinstance(value, str):
            alone = PLACE.fullmatch(value)
            if alone:
                found = self._value(alone[1])
                return None if found is None else _literal(found)
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: self._filled(inner) for key, inner in value.items()}
        return [self._filled(inner) for inner in value] if isinstance(value, list) else value

    def _text(self, text: str) -> str:
        return PLACE.sub(lambda found: plain(self._value(found[1]) or '""'), text)


def request_of(level: Level, draft: Draft, headers: Mapping[str, str], accept: frozenset[int]) -> Request:
    """The request that ``draft`` is, to be sent."""
    method = level.endpoint.method
    body = _json(draft.body if draft.body is not None else {}) if method == "POST" else None
    return Request(
        endpoint=level.path,
        url=draft.url,
        method=method,
        params=tuple(_pairs(draft.params)),
        headers={**({"Content-Type": "application/json"} if body else {}), **headers},
        body=body,
        accept=accept,
    )


def with_parent(record: bytes, fields: Mapping[str, bytes]) -> bytes:
    """``record``, an object, with ``fields`` at its end; its own text stays as it is."""
    if not fields or record[:1] != b"{":
        return record
    added = b", ".join(json.dumps(name).encode() + b": " + value for name, value in fields.items())
    inner = record.rstrip()[1:-1].rstrip()
    return b"{" + inner + (b", " if inner else b"") + added + b"}"


def included(level: Level, parent: bytes) -> dict[str, bytes]:
    """The fields of the parent's record that each record of ``level`` gets, by the names they get."""
    name = level.parent.name if level.parent else ""
    return {f"_{name}_{field}": find_one(parent, _steps(field)) or b"null" for field in level.include}


def _steps(field: str) -> tuple[Step, ...]:
    return steps_of(field)


def _literal(value: Value) -> Any:
    """A string or an integer; another number as text, since none may be rounded."""
    text = plain(value)
    return int(text) if value[:1] != '"' and text.lstrip("-").isdigit() else text


def _json(body: Any) -> bytes:
    return msgspec.json.encode(body)


def _pairs(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = []
    for name, value in params.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                pairs.append((name, str(one).lower() if isinstance(one, bool) else str(one)))
    return pairs
