"""Finds credentials written into a file, where only the names of environment variables belong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]

_AUTH_KEYS = ("token", "api_key", "password", "client_secret", "access_token", "private_key")
_SECRET_HEADER = re.compile(
    r"authorization|cookie|token|secret|api[-_]?key|password|credential", re.IGNORECASE
)
_SECRET_PARAM = re.compile(
    r"(^|[-_])(api[-_]?key|apikey|access[-_]?token|auth[-_]?token|token|secret|client[-_]?secret|password|signature)$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"(page|next|continuation|cursor|sync)[-_]?token$", re.IGNORECASE)
_CHANGE = "; a secret that was in a file should be changed"


def credentials(data: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Each credential of a source's file: its path and what to do instead."""
    for top in ("connection", "client"):
        block = data.get(top)
        if isinstance(block, Mapping):
            yield from _auth(block.get("auth"), (top, "auth"))
            yield from _headers(block.get("headers"), (top, "headers"))
    for path, endpoint in _endpoints(data):
        yield from _headers(endpoint.get("headers"), (*path, "headers"))
        yield from _values(endpoint.get("params"), (*path, "params"))
        yield from _values(endpoint.get("json"), (*path, "json"))
        yield from _auth(endpoint.get("auth"), (*path, "auth"))


def _auth(auth: Any, path: Path) -> Iterator[tuple[Path, str]]:
    for key in auth if isinstance(auth, Mapping) else ():
        if key in _AUTH_KEYS and key != "access_token":
            yield (
                (*path, key),
                f"is a credential, and none is kept in a file. Put its value into the environment, for example in .env, and"
                f" the variable's name under `{key}_env`{_CHANGE}",
            )
        elif key == "access_token":
            yield (*path, key), f"is a credential, and it is fetched with the client's; take it away{_CHANGE}"


def _headers(headers: Any, path: Path) -> Iterator[tuple[Path, str]]:
    for name in headers if isinstance(headers, Mapping) else ():
        if isinstance(name, str) and _SECRET_HEADER.search(name):
            yield (
                (*path, name),
                "holds a credential. Write an `auth` block, or put the value into the environment and its variable's name"
                f" under `headers_env` of the connection (headers_env: {{{name}: VARIABLE}}){_CHANGE}",
            )


def _values(values: Any, path: Path) -> Iterator[tuple[Path, str]]:
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if isinstance(value, Mapping):
            yield from (
                _values(value, (*path, name)) if value.get("type") not in ("resolve", "incremental") else ()
            )
        elif (
            isinstance(value, (str, int))
            and "{" not in str(value)
            and _SECRET_PARAM.search(name)
            and not _NO_SECRET.search(name)
        ):
            yield (
                (*path, name),
                f"looks like a credential by its name. Write it under `connection`: auth: {{type: api_key, name: {name},"
                f" location: query, api_key_env: VARIABLE}}{_CHANGE}",
            )


def _endpoints(data: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    places: list[tuple[Path, Any]] = [(("resource_defaults",), data.get("resource_defaults"))]
    tables, resources = data.get("tables"), data.get("resources")
    if isinstance(tables, Mapping):
        places += [(("tables", name), block) for name, block in tables.items()]
    if isinstance(resources, list):
        places += [(("resources", n), block) for n, block in enumerate(resources)]
    for path, block in places:
        endpoint = block.get("endpoint") if isinstance(block, Mapping) else None
        if isinstance(endpoint, Mapping):
            yield (*path, "endpoint"), endpoint
