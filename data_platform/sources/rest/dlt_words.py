"""A resource of dlt's ``rest_api`` as a table's block: the words that mean the same here, and those that cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Said = list[tuple[tuple[str | int, ...], str]]

_TAKEN_WITHOUT_EFFECT = ("parallelized", "max_table_nesting")
"""Tables are read side by side anyway, and what is nested is a JSON column whatever its depth."""
_NOT_HERE = {
    "processing_steps": "is Python code and not supported; filter and change rows in dbt, and leave columns out with `only`",
    "merge_key": "is not supported: rows are replaced by their `primary_key`",
    "schema_contract": "is not supported: a new column flows in, and what does not fit stops the table",
    "table_format": "is not supported: the warehouse's own format is used",
    "file_format": "is not supported: landed files are Parquet",
    "nested_hints": "is not supported: declare a nested list as a table of its own, with `of` and `path`",
    "references": "is not supported: say it as a relationship test in dbt",
    "parent": "is not supported: the parent is the one whose values the endpoint takes ({resources.posts.id})",
    "incremental": "belongs into `endpoint`",
}
_NOT_IN_ENDPOINT = {
    "auth": "is not supported here: a source has one `auth`, under `connection`; give other credentials a source of their own",
    "data": "is not supported: a body is sent as `json`",
}
_NOT_IN_INCREMENTAL = {
    "convert": "is Python code and not supported: the value is sent as the API wrote it",
    "primary_key": "is not supported here: what is read twice lands once by the table's `primary_key`",
    "allow_external_schedulers": "is not supported: days are read by `partition` and `end_param`",
    "range_end": "is not supported: the end is what the API makes of `end_param`",
}
_WORDS = {
    "text": "text",
    "bigint": "bigint",
    "double": "double",
    "bool": "bool",
    "json": "json",
    "complex": "json",
    "date": "date",
    "timestamp": "timestamp",
}


def resource_block(raw: Mapping[str, Any], *, single: bool) -> tuple[dict[str, Any], Said]:
    """The block, and what is wrong, by path within ``raw``. ``single``: one resource, and no defaults of all."""
    said: Said = []
    block: dict[str, Any] = {}
    for key, value in raw.items():
        if key in ("name", "table_name", *_TAKEN_WITHOUT_EFFECT):
            continue
        if key in _NOT_HERE:
            said.append(((key,), _NOT_HERE[key]))
        elif key == "primary_key":
            block["key"] = value
        elif key == "write_disposition":
            _strategy(value, block, said)
        elif key == "columns":
            _columns(value, block, said)
        elif key == "selected":
            if value is not True:
                said.append(
                    ((key,), "is not supported: each table here is landed; take this away, or the table")
                )
        elif key == "endpoint":
            block["endpoint"] = _endpoint(value, said)
        else:
            block[key] = value
    if single and "endpoint" not in block and isinstance(raw.get("name"), str):
        block["endpoint"] = {"path": raw["name"]}
    elif single and isinstance(block.get("endpoint"), Mapping) and not block["endpoint"].get("path"):
        block["endpoint"] = {**block["endpoint"], "path": raw.get("name")}
    return block, said


def _strategy(value: Any, block: dict[str, Any], said: Said) -> None:
    word = value.get("disposition") if isinstance(value, Mapping) else value
    how = value.get("strategy") if isinstance(value, Mapping) else None
    if word not in ("merge", "append", "replace"):
        said.append((("write_disposition",), "must be one of merge, append, replace"))
    elif how not in (
        None,
        "delete-insert",
        "upsert",
        "truncate-and-insert",
        "insert-from-staging",
        "staging-optimized",
    ):
        said.append(
            (
                ("write_disposition", "strategy"),
                "is not supported: rows are replaced by key; a history is kept by a snapshot of dbt's",
            )
        )
    else:
        block["strategy"] = word


def _columns(value: Any, block: dict[str, Any], said: Said) -> None:
    """dlt's hints become types and descriptions; a text is what a column means, as everywhere here."""
    if isinstance(value, list):
        named = {hint.get("name"): hint for hint in value if isinstance(hint, Mapping)}
        value = {name: hint for name, hint in named.items() if isinstance(name, str)}
    if not isinstance(value, Mapping):
        block["columns"] = value
        return
    types, texts = {}, {}
    for name, hint in value.items():
        if not isinstance(hint, Mapping):
            texts[name] = hint
            continue
        word = hint.get("data_type")
        if word == "decimal" or word == "wei":
            types[name] = (
                f"decimal({hint.get('precision', 38)},{hint.get('scale', 0 if word == 'wei' else 9)})"
            )
        elif word in _WORDS:
            types[name] = _WORDS[word]
        elif word is not None:
            said.append(
                (
                    ("columns", name),
                    f"has a data_type that is not supported; known are {', '.join(_WORDS)}, decimal",
                )
            )
        if isinstance(hint.get("description"), str):
            texts[name] = hint["description"]
    if texts:
        block["columns"] = texts
    if types:
        block["types"] = {**types, **(block.get("types") or {})}


def _endpoint(value: Any, said: Said) -> Any:
    if not isinstance(value, Mapping):
        return {"path": value} if isinstance(value, str) else value
    endpoint = dict(value)
    for key, why in _NOT_IN_ENDPOINT.items():
        if endpoint.pop(key, None) is not None:
            said.append((("endpoint", key), why))
    if isinstance(endpoint.get("incremental"), Mapping):
        endpoint["incremental"] = _incremental(endpoint["incremental"], ("endpoint", "incremental"), said)
    if isinstance(endpoint.get("params"), Mapping):
        endpoint["params"] = {
            name: _incremental(one, ("endpoint", "params", name), said)
            if isinstance(one, Mapping) and one.get("type") == "incremental"
            else one
            for name, one in endpoint["params"].items()
        }
    return endpoint


def _incremental(value: Mapping[str, Any], path: tuple[str | int, ...], said: Said) -> dict[str, Any]:
    kept = dict(value)
    for key, why in _NOT_IN_INCREMENTAL.items():
        if key in kept:
            del kept[key]
            said.append(((*path, key), why))
    return kept
