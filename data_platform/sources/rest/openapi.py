"""The endpoints that an OpenAPI document (2.0, 3.0, 3.1) says give lists, as drafts of tables. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from data_platform.sources.rest.draft import Found, key_of
from data_platform.sources.rest.records import NAMES
from data_platform.sources.rest.rewrite import table_name

_DEPTH = 5
_TIMES = {"date-time": "timestamp", "date": "date"}
_START = re.compile(
    r"^(since|from|after|start|start_date|start_time|(updated|modified|created)([_.-]?(since|after|from|at_min|gte?|min))"
    r"|(updated|modified|created)(_at)?\[(gte?|after|min)\])$",
    re.IGNORECASE,
)


def is_openapi(document: Any) -> bool:
    return (
        isinstance(document, Mapping)
        and isinstance(document.get("paths"), Mapping)
        and ("openapi" in document or "swagger" in document)
    )


def base_url(document: Mapping[str, Any], fetched_from: str) -> str:
    """The API's address; that of the document where it names none."""
    servers = document.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], Mapping):
        return urljoin(fetched_from, re.sub(r"\{[^{}]*\}", "x", str(servers[0].get("url", "/"))))
    parts = urlsplit(fetched_from)
    host = document.get("host") or parts.netloc
    schemes = document.get("schemes") or [parts.scheme]
    return f"{schemes[0]}://{host}{document.get('basePath', '')}"


def endpoints(document: Mapping[str, Any]) -> tuple[list[Found], list[str]]:
    """The endpoints that give lists of objects, and the paths of all others that can be read."""
    lists: dict[str, Found] = {}
    others: list[str] = []
    for path, item in document["paths"].items():
        operation = item.get("get") if isinstance(item, Mapping) else None
        if not isinstance(operation, Mapping):
            continue
        found = _list(document, str(path), item, operation)
        if found is None:
            others.append(str(path))
        else:
            lists[str(path)] = found
    return _with_parents(lists, others), others


def _list(
    document: Mapping[str, Any], path: str, item: Mapping[str, Any], operation: Mapping[str, Any]
) -> Found | None:
    selector, record = _records(document, _answer(document, operation))
    if record is None:
        return None
    fields = _properties(document, record)
    if not fields:
        return None
    required = record.get("required")
    shapes = {name: _resolve(document, shape) for name, shape in fields.items()}
    params = [
        _resolve(document, one)
        for one in (*(item.get("parameters") or ()), *(operation.get("parameters") or ()))
        if isinstance(one, Mapping)
    ]
    queries = [str(one.get("name")) for one in params if one.get("in") == "query"]
    needed = [str(one.get("name")) for one in params if one.get("in") == "query" and one.get("required")]
    notes = [f"needs the parameter(s) {', '.join(needed)}: add `params`"] if needed else []
    parts = [part for part in path.split("/") if part and not part.startswith("{")]
    return Found(
        table_name(parts[-1] if parts else "root"),
        path.lstrip("/"),
        {name: _TIMES.get(str(shape.get("format")), "") for name, shape in shapes.items()},
        list(_leaves(document, fields, "")),
        [name for name in fields if not required or name in required or name == "id"],
        selector,
        _paginator(queries, params),
        [name for name in queries if _START.match(name)],
        {},
        str(operation.get("summary") or ""),
        notes,
    )


def _with_parents(lists: Mapping[str, Found], others: list[str]) -> list[Found]:
    """Those whose path takes values, with the endpoint before it as their parent; names that are each one's own."""
    taken: dict[str, int] = {}
    for found in lists.values():
        n = taken[found.name] = taken.get(found.name, 0) + 1
        found.name = found.name if n == 1 else f"{found.name}_{n}"
    kept = []
    for path, found in lists.items():
        places = re.findall(r"\{([^{}]+)\}", path)
        if not places:
            kept.append(found)
            continue
        parent = lists.get(path.partition("/{")[0])
        if len(places) > 1 or parent is None:
            others.append(path)
            continue
        field = key_of(parent) or "id"
        found.path = found.path.replace(f"{{{places[0]}}}", f"{{resources.{parent.name}.{field}}}")
        found.notes = [*found.notes, f"guess: the path's {places[0]} is `{field}` of {parent.name}"]
        kept.append(found)
    return kept


def _answer(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    responses = operation.get("responses")
    for status in ("200", 200, "2XX", "default"):
        response = _resolve(document, responses.get(status)) if isinstance(responses, Mapping) else {}
        if "schema" in response:
            return _resolve(document, response["schema"])
        for kind, content in (response.get("content") or {}).items():
            if "json" in kind and isinstance(content, Mapping):
                return _resolve(document, content.get("schema"))
    return {}


def _records(
    document: Mapping[str, Any], answer: Mapping[str, Any]
) -> tuple[str | None, Mapping[str, Any] | None]:
    """Where the records are in an answer, and what one is."""
    if "items" in answer:
        return None, _resolve(document, answer["items"])
    fields = {name: _resolve(document, shape) for name, shape in _properties(document, answer).items()}
    lists = {
        name: record
        for name, shape in fields.items()
        if "items" in shape and _properties(document, record := _resolve(document, shape["items"]))
    }
    named = [name for name in NAMES if name in lists]
    if named or (len(lists) == 1 and len(fields) <= 8):
        name = named[0] if named else next(iter(lists))
        return name, lists[name]
    return None, None


def _properties(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if depth < _DEPTH:
        for part in schema.get("allOf") or ():
            fields |= _properties(document, _resolve(document, part), depth + 1)
    own = schema.get("properties")
    return {**fields, **own} if isinstance(own, Mapping) else fields


def _leaves(
    document: Mapping[str, Any], fields: Mapping[str, Any], prefix: str, depth: int = 0
) -> Iterator[str]:
    for name, shape in fields.items():
        resolved = _resolve(document, shape)
        inner = _properties(document, resolved)
        if inner and depth < _DEPTH and "." not in name:
            yield from _leaves(document, inner, f"{prefix}{name}.", depth + 1)
        elif "." not in name or not prefix:
            yield prefix + name


def _paginator(queries: list[str], params: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    for offset, limit in (("offset", "limit"), ("skip", "limit"), ("start", "limit"), ("skip", "take")):
        if offset in queries and limit in queries:
            return {"type": "offset", "limit": 100, "offset_param": offset, "limit_param": limit}
    for name in ("page", "page_number", "pageNumber"):
        if name in queries:
            schema = next((one.get("schema") or one for one in params if one.get("name") == name), {})
            first = schema.get("default", schema.get("minimum", 1)) if isinstance(schema, Mapping) else 1
            return {"type": "page_number", "base_page": first if first in (0, 1) else 1, "page_param": name}
    return None


def _resolve(document: Mapping[str, Any], node: Any) -> Mapping[str, Any]:
    """``node``, or what its local ``$ref`` names; empty for anything else."""
    for _ in range(_DEPTH):
        if not isinstance(node, Mapping):
            return {}
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        if not reference.startswith("#/"):
            return {}
        node = document
        for step in reference[2:].split("/"):
            node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
    return {}
