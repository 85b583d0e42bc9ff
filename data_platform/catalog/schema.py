"""The JSON Schemas of the catalog's files. Editors use them to complete and check keys as one types.

Also finds the part of a schema that describes a key, for messages about mistakes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from data_platform.catalog.files import PlatformFile, source_file
from data_platform.catalog.model_files import models_file
from data_platform.catalog.yaml_reader import Path
from data_platform.privacy.subjects.config import SubjectsFile
from data_platform.quality.kinds import names
from data_platform.sources.kinds import MODULES

SCHEMA_FOLDER = "catalog/schema"


def json_schemas() -> dict[str, dict[str, Any]]:
    """File name under ``catalog/schema/`` -> JSON Schema (draft 2020-12)."""
    return _json_schemas(tuple(MODULES), names())


@cache
def _json_schemas(kinds: tuple[str, ...], checks: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """``kinds`` of sources and of ``checks`` are those that there are now: tests add one."""
    return {
        "platform.schema.json": {**_DIALECT, **_schema_of(PlatformFile), "title": "catalog/platform.yaml"},
        "source.schema.json": {**_DIALECT, **_any_source(), "title": "catalog/sources/*.yaml"},
        "subjects.schema.json": {**_DIALECT, **_schema_of(SubjectsFile), "title": "catalog/subjects.yaml"},
        "models.schema.json": {**_DIALECT, **_schema_of(models_file()), "title": "catalog/models/*.yaml"},
    }


def source_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a source file of ``kind``."""
    return _source_schema(kind, names())


@cache
def _source_schema(kind: str, checks: tuple[str, ...]) -> dict[str, Any]:
    return _schema_of(source_file(kind))


def _any_source() -> dict[str, Any]:
    """The schemas of all kinds as one, with ``kind`` as the discriminator."""
    if len(MODULES) == 1:
        return source_schema(next(iter(MODULES)))
    definitions: dict[str, Any] = {}
    mapping: dict[str, str] = {}
    for kind in MODULES:
        whole = dict(source_schema(kind))
        definitions |= whole.pop("$defs", {})
        definitions[name := f"{kind.title()}SourceFile"] = whole
        mapping[kind] = f"#/$defs/{name}"
    return {
        "discriminator": {"propertyName": "kind", "mapping": mapping},
        "oneOf": [{"$ref": reference} for reference in mapping.values()],
        "$defs": definitions,
    }


def render_json_schemas() -> dict[str, str]:
    """Path relative to the project root -> text of each published schema file."""
    return {
        f"{SCHEMA_FOLDER}/{name}": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in json_schemas().items()
    }


def node_at(schema: Mapping[str, Any], path: Path, data: Any = None) -> Mapping[str, Any]:
    """The part of ``schema`` that describes ``path``; empty if nothing does. If a block may be of several
    kinds, ``data`` (the whole file) says which one; otherwise all of them are combined."""
    node = _resolved(schema, schema, data)
    for step in path:
        if isinstance(data, Mapping):
            data = data.get(step)
        else:
            data = data[step] if isinstance(data, list) and isinstance(step, int) else None
        node = _child(schema, node, step, data)
    return node


_DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def _schema_of(model: Any) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema(by_alias=True)
    _drop_titles(schema)
    return schema


def _drop_titles(node: Any) -> None:
    """Remove pydantic's title of every field, which only repeats its name."""
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        for value in node.values():
            _drop_titles(value)
    elif isinstance(node, list):
        for value in node:
            _drop_titles(value)


def _resolved(root: Mapping[str, Any], node: Mapping[str, Any], data: Any = None) -> Mapping[str, Any]:
    if "$ref" in node:
        target: Any = root
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        own = {key: value for key, value in node.items() if key != "$ref"}
        return {**_resolved(root, target, data), **own}
    if "discriminator" in node:
        key, kinds = node["discriminator"]["propertyName"], node["discriminator"]["mapping"]
        named = data.get(key) if isinstance(data, Mapping) else None
        chosen = [named] if isinstance(named, str) and named in kinds else list(kinds)
        properties: dict[str, Any] = {}
        for kind in chosen:
            for name, child in _resolved(root, {"$ref": kinds[kind]})["properties"].items():
                properties.setdefault(name, child)
        own = {name: value for name, value in node.items() if name == "description"}
        return {"type": "object", "properties": properties, **own}
    for choice in ("anyOf", "oneOf"):
        for option in node.get(choice, ()):
            resolved = _resolved(root, option, data)
            if resolved.get("type") in ("object", "array"):
                return {**resolved, **{k: v for k, v in node.items() if k == "description"}}
    return node


def _child(root: Mapping[str, Any], node: Mapping[str, Any], step: str | int, data: Any) -> Mapping[str, Any]:
    if isinstance(step, int):
        return _resolved(root, node.get("items") or {}, data)
    known = node.get("properties", {}).get(step)
    if known is None:
        known = _any_key(node) or {}
    return _resolved(root, known, data)


def _any_key(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of the values of a mapping with free keys."""
    for pattern in node.get("patternProperties", {}).values():
        return pattern
    additional = node.get("additionalProperties")
    return additional if isinstance(additional, Mapping) else None
