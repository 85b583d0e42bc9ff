"""Drafting a REST source's file: from an API's OpenAPI document, or from one answer of one endpoint.

Names and types are written; a value is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import yaml

from data_platform.errors import SourceError
from data_platform.printable import yaml_scalar
from data_platform.sources.http.client import Answer, Request
from data_platform.sources.http.words import host_of
from data_platform.sources.looking import Privacy
from data_platform.sources.rest.config import RestConnection, reader
from data_platform.sources.rest.connect import open_client
from data_platform.sources.rest.cursor import moment
from data_platform.sources.rest.draft import Found, block
from data_platform.sources.rest.keys import RestSourceKeys
from data_platform.sources.rest.openapi import base_url, endpoints, is_openapi
from data_platform.sources.rest.paginate import detect
from data_platform.sources.rest.records import choose, select
from data_platform.sources.rest.rewrite import table_name

_SEEN = 1000
_DEPTH = 5
_OTHERS = 30


def discover(
    *,
    source: str,
    connection: RestConnection,
    keys: RestSourceKeys,
    environ: Mapping[str, str],
    today: date,
    privacy: Privacy,
) -> str:
    """The YAML for what the connection's ``base_url`` gives: every list of an OpenAPI document, or the one table of an
    endpoint's answer."""
    get = reader(source, environ)
    url = connection.url(get).rstrip("/")
    client = open_client(source, connection, get)
    try:
        answer = client.send(Request(urlsplit(url).path or "/", url, json=False))
    finally:
        client.close()
    document = _document(answer, source, url)
    if is_openapi(document):
        found, others = endpoints(document)
        if not found:
            raise SourceError(
                f"{source}: the OpenAPI document names no endpoint that gives a list of objects."
            )
        head = _head(source, connection, base_url(document, url), "an OpenAPI document")
        tail = [
            f"  # {yaml_scalar(path)} is left out: it gives no list, or takes more than one value"
            for path in others
        ]
        if len(tail) > _OTHERS:
            tail = [*tail[:_OTHERS], f"  # ... and {len(tail) - _OTHERS} more"]
        return _text(head, found, tail, privacy)
    base, _, last = url.rpartition("/")
    if not last or urlsplit(base).netloc != urlsplit(url).netloc:
        raise SourceError(
            f"{source}: {host_of(url)} gave JSON that is no OpenAPI document. Give the URL of one endpoint, such as"
            " https://api.example.com/v2/posts."
        )
    head = _head(source, connection, base, "one answer")
    return _text(head, [_of_answer(answer, last, source)], [], privacy)


def _document(answer: Answer, source: str, url: str) -> Any:
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        document = yaml.load(answer.body.decode(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        document = None
    if not is_openapi(document):
        raise SourceError(
            f"{source}: {host_of(url)} gave neither JSON nor an OpenAPI document. Give the URL of an endpoint or of the"
            " document."
        )
    return document


def _head(source: str, connection: RestConnection, base: str, made_of: str) -> list[str]:
    lines = [
        "# yaml-language-server: $schema=../schema/source.schema.json",
        f"# Written by `data-platform discover` from {made_of}. Lines with `guess` or a question mark want a look;",
        "# `data-platform validate` lists the question marks.",
        f"source: {source}",
        "kind: rest",
        "connection:",
        f"  base_url: {yaml_scalar(base)}",
    ]
    if connection.auth is not None:
        shown = ", ".join(
            f"{name}: {yaml_scalar(str(value))}"
            for name, value in connection.auth.model_dump(exclude_defaults=True).items()
        )
        lines.append(f"  auth: {{{shown}}}")
    else:
        lines.append("  # auth: {type: bearer, token_env: " + f"{source.upper()}_TOKEN" + "}")
    return lines


def _text(head: Sequence[str], found: Sequence[Found], tail: Sequence[str], privacy: Privacy) -> str:
    lines = [*head, "tables:"]
    for one in found:
        lines += block(one, privacy)
    return "\n".join([*lines, *tail]) + "\n"


def _of_answer(answer: Answer, last: str, source: str) -> Found:
    body = answer.body.strip()
    selector = choose(body)
    texts = select(body, selector) or []
    records = [r for r in map(msgspec.json.decode, texts[:_SEEN]) if isinstance(r, dict)]
    if not records:
        raise SourceError(
            f"{source}: the answer holds no record to draft a table from. Give an endpoint that has some."
        )
    fields = dict.fromkeys(name for record in records for name in record)
    path = last.partition("?")[0]
    notes = [
        f"the parameter `{name}` was sent too: add it to `params`"
        for name, _ in parse_qsl(urlsplit(last).query)
    ]
    paginator: dict[str, Any] | None
    try:
        paginator = detect(answer, len(texts)).model_dump(mode="json", exclude_unset=True)
    except ValueError:
        paginator = None
        notes.append(
            "the answer says that there is more, and nothing shows how to ask for it: name the paginator"
        )
    if paginator == {"type": "json_link"}:
        paginator = None
        notes.append("nothing in the answer leads to another page: name the paginator where there are more")
    return Found(
        table_name(path),
        path,
        {name: _time(records, name) for name in fields},
        list(dict.fromkeys(leaf for record in records for leaf in _leaves(record, ""))),
        [name for name in fields if _unique(records, name)],
        str(selector[0]) if selector else None,
        paginator,
        children={name: table_name(f"{path}_{name}") for name in fields if _is_list(records, name)},
        notes=notes,
    )


def _time(records: Sequence[dict[str, Any]], name: str) -> str:
    values = [record[name] for record in records if record.get(name) is not None]
    if not values or not all(isinstance(value, str) and 10 <= len(value) <= 40 for value in values):
        return ""
    found = [moment(f'"{value}"') if '"' not in value else None for value in values]
    if not all(found):
        return ""
    return "date" if all(len(value) == 10 for value in values) else "timestamp"


def _unique(records: Sequence[dict[str, Any]], name: str) -> bool:
    values = [record.get(name) for record in records]
    return all(isinstance(value, (str, int)) for value in values) and len(set(values)) == len(values)


def _is_list(records: Sequence[dict[str, Any]], name: str) -> bool:
    return any(isinstance(r.get(name), list) and r[name] and isinstance(r[name][0], dict) for r in records)


def _leaves(value: Mapping[str, Any], prefix: str, depth: int = 0) -> Iterator[str]:
    for name, inner in value.items():
        if isinstance(inner, list):
            inner = next((one for one in inner if isinstance(one, dict)), inner)
        if isinstance(inner, dict) and depth < _DEPTH and "." not in name:
            yield from _leaves(inner, f"{prefix}{name}.", depth + 1)
        elif "." not in name or not prefix:
            yield prefix + name
