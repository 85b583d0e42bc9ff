"""A REST source's file as it is written -> in the platform's keys, before it is checked.

dlt's ``client`` is ``connection``, its list ``resources`` is ``tables``, and ``resource_defaults`` are written into every
table. What a config of dlt's may say and this platform has no place for is a mistake that says so, and so is a credential.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from data_platform.sources.kind import Rewritten
from data_platform.sources.rest.dlt_words import resource_block
from data_platform.sources.rest.secrets import credentials
from data_platform.tables import NOT_PERSONAL

Path = tuple[str | int, ...]
_REFERENCE = re.compile(r"\{resources\.([^{}.]+)")


def rewrite(data: Mapping[str, Any]) -> Rewritten:
    """``data`` is never changed; its mistakes have the paths at which they were written."""
    work = _Work(data)
    work.connection()
    work.tables()
    work.references()
    return Rewritten(work.data, work.moved, tuple(work.mistakes))


class _Work:
    def __init__(self, data: Mapping[str, Any]) -> None:
        self.written = data
        self.data: dict[str, Any] = dict(data)
        self.moved: dict[Path, Path] = {}
        self.mistakes: list[tuple[Path, str]] = []
        self.pasted: list[str] = []
        """The tables of ``resources``."""
        for path, what in credentials(data):
            self.mistakes.append((path, what))
            _take_out(self.data, path)

    def connection(self) -> None:
        client = self.data.pop("client", None)
        if client is None:
            return
        if "connection" in self.written:
            if isinstance(client, Mapping) and isinstance(self.data["connection"], Mapping):
                for key in client:
                    if key in self.data["connection"]:
                        self.mistakes.append(
                            (("client", key), "is also under `connection`; keep one of the two")
                        )
                    self.moved["connection", key] = ("client", key)
                self.data["connection"] = {**self.data["connection"], **client}
            return
        self.data["connection"] = client
        self.moved["connection",] = ("client",)
        if isinstance(client, Mapping) and "session" in client:
            self.mistakes.append(
                (("client", "session"), "is a Python object and not supported; take it away")
            )
            self.data["connection"] = {key: value for key, value in client.items() if key != "session"}

    def tables(self) -> None:
        defaults = self.data.pop("resource_defaults", None)
        resources = self.data.pop("resources", None)
        if defaults is not None and not isinstance(defaults, Mapping):
            self.mistakes.append((("resource_defaults",), "must be a block of `key: value` lines"))
            defaults = None
        if resources is not None and not isinstance(resources, list):
            self.mistakes.append((("resources",), "must be a list of names or of blocks with a `name`"))
            resources = None
        if resources is None and defaults is None:
            return
        tables = self.data.get("tables")
        blocks: dict[str, Any] = dict(tables) if isinstance(tables, Mapping) else {}
        for position, resource in enumerate(resources or ()):
            self._resource(position, resource, blocks)
        if defaults is not None:
            given, said = resource_block(defaults, single=False)
            self.mistakes += [(("resource_defaults", *path), message) for path, message in said]
            for name, block in blocks.items():
                if (block is None or isinstance(block, Mapping)) and not (block or {}).get("of"):
                    blocks[name] = self._with_defaults(name, block or {}, given)
        for name in self.pasted:
            if (
                not blocks[name].get("key") and "strategy" not in blocks[name]
            ):  # dlt would add the rows with each run
                blocks[name] = {**blocks[name], "strategy": "replace"}
        if not blocks:
            self.moved["tables",] = ("resources",)
        self.data["tables"] = blocks

    def _resource(self, position: int, resource: Any, blocks: dict[str, Any]) -> None:
        at: Path = ("resources", position)
        raw = {"name": resource, "endpoint": {"path": resource}} if isinstance(resource, str) else resource
        if not isinstance(raw, Mapping):
            self.mistakes.append((at, "must be a name, or a block with a `name`"))
            return
        name = raw.get("table_name") or raw.get("name")
        if not isinstance(name, str):
            self.mistakes.append((at, "needs a `name`, which is the table's"))
            return
        block, said = resource_block(raw, single=True)
        self.mistakes += [((*at, *path), message) for path, message in said]
        table = table_name(name)
        own = blocks.get(table)
        if own is not None and not isinstance(own, Mapping):
            return
        for key in block:
            if key not in (own or {}):
                self.moved["tables", table, key] = (*at, _WRITTEN_AS.get(key, key))
        if own is None:
            self.moved["tables", table] = at
        if table in self.pasted:
            self.mistakes.append((at, f"the table `{table}` is defined twice; give one another `name`"))
            return
        self.pasted.append(table)
        blocks[table] = {**block, **(own or {})}

    def _with_defaults(
        self, name: str, block: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> dict[str, Any]:
        """``block`` with what it does not say itself; of an endpoint, its params and headers one by one."""
        merged = dict(block)
        for key, value in defaults.items():
            if key == "endpoint":
                merged[key] = self._endpoint(name, block.get(key), value)
            elif key not in block and not (
                key == "strategy" and not (merged.get("key") or defaults.get("key"))
            ):
                merged[key] = value
                self.moved["tables", name, key] = ("resource_defaults", _WRITTEN_AS.get(key, key))
        return merged

    def _endpoint(self, name: str, own: Any, defaults: Any) -> Any:
        mine = {"path": own} if isinstance(own, str) else own
        if (mine is not None and not isinstance(mine, Mapping)) or not isinstance(defaults, Mapping):
            return own if own is not None else defaults
        merged = dict(mine or {})
        at: Path = ("tables", name, "endpoint")
        one_record = str(merged.get("path") or "").rstrip("/").endswith("}")
        for key, value in defaults.items():
            if (
                key in ("params", "headers")
                and isinstance(merged.get(key), Mapping)
                and isinstance(value, Mapping)
            ):
                for inner in value:
                    if inner not in merged[key]:
                        self.moved[(*at, key, inner)] = ("resource_defaults", "endpoint", key, inner)
                merged[key] = {**value, **merged[key]}
            elif key not in merged and not (one_record and key in ("paginator", "data_selector")):
                merged[key] = value
                self.moved[(*at, key)] = ("resource_defaults", "endpoint", key)
        return merged

    def references(self) -> None:
        """Parents that are there, whose names are those of tables, and whose values may be kept."""
        tables = self.data.get("tables")
        if not isinstance(tables, Mapping):
            return
        renamed = {
            str(r["name"]): table_name(str(r.get("table_name") or r["name"])) for r in self._named_resources()
        }
        self.data["tables"] = tables = {name: _referring(block, renamed) for name, block in tables.items()}
        parents = {name: dict(_parents(block)) for name, block in tables.items()}
        for name, block in tables.items():
            endpoint = block.get("endpoint") if isinstance(block, Mapping) else None
            cursor = (endpoint.get("incremental") or {}) if isinstance(endpoint, Mapping) else {}
            path = cursor.get("cursor_path") if isinstance(cursor, Mapping) else None
            if isinstance(path, str) and _treated(block, path):
                self.mistakes.append(
                    (
                        self._written(("tables", name, "endpoint")),
                        f"reads by `{path}`, which is personal and treated, and its greatest value is stored; name another"
                        " cursor_path",
                    )
                )
        for name, taken in parents.items():
            at = self._written(("tables", name, "endpoint"))
            for parent, field in taken.items():
                block = tables.get(parent)
                if parent not in tables:
                    self.mistakes.append(
                        (at, f"takes values of `{parent}`, which is not a table of this file")
                    )
                elif _is_below(name, parent, parents):
                    self.mistakes.append((at, f"takes values of `{parent}`, which takes values of `{name}`"))
                elif _treated(block, field) and _incremental(tables[name]):
                    self.mistakes.append(
                        (
                            at,
                            f"takes `{field}` of `{parent}`, which is personal and treated, and the position of each"
                            " parent would be stored under it. Take another field, or leave `incremental` out",
                        )
                    )

    def _written(self, path: Path) -> Path:
        for length in range(len(path), 0, -1):
            if path[:length] in self.moved:
                return (*self.moved[path[:length]], *path[length:])
        return path

    def _named_resources(self) -> Iterator[Mapping[str, Any]]:
        resources = self.written.get("resources")
        for resource in resources if isinstance(resources, list) else ():
            if isinstance(resource, Mapping) and isinstance(resource.get("name"), str):
                yield resource
            elif isinstance(resource, str):
                yield {"name": resource}


def table_name(name: str) -> str:
    """dlt's name of a resource as a table's here: ``Open-Issues`` -> ``open_issues``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub(r"[^a-z0-9]+", "_", words).strip("_") or name


_WRITTEN_AS = {"key": "primary_key", "strategy": "write_disposition", "types": "columns"}


def _take_out(data: dict[str, Any], path: Path) -> None:
    """``data`` without what is at ``path``; the mappings and lists on the way are copied."""
    here: Any = data
    for step in path[:-1]:
        inner = here[step]
        here[step] = dict(inner) if isinstance(inner, Mapping) else list(inner)
        here = here[step]
    del here[path[-1]]


def _referring(value: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: "{resources." + renamed.get(found[1], found[1]), value)
    if isinstance(value, list):
        return [_referring(inner, renamed) for inner in value]
    if not isinstance(value, Mapping):
        return value
    inner = {key: _referring(one, renamed) for key, one in value.items()}
    if inner.get("type") == "resolve" and isinstance(inner.get("resource"), str):
        inner["resource"] = renamed.get(inner["resource"], inner["resource"])
    return inner


def _parents(value: Any) -> Iterator[tuple[str, str]]:
    """The (table, field) whose values a block takes."""
    if isinstance(value, str):
        for found in re.finditer(r"\{resources\.([^{}.]+)\.([^{}]+)\}", value):
            yield found[1], found[2]
    elif isinstance(value, Mapping):
        if value.get("type") == "resolve" and isinstance(value.get("resource"), str):
            yield value["resource"], str(value.get("field"))
        for inner in value.values():
            yield from _parents(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parents(inner)


def _is_below(name: str, parent: str, parents: Mapping[str, Mapping[str, str]]) -> bool:
    seen: set[str] = set()
    left = [parent]
    while left:
        one = left.pop()
        if one == name:
            return True
        if one not in seen:
            seen.add(one)
            left += parents.get(one, {})
    return False


def _treated(block: Any, field: str) -> bool:
    personal = block.get("personal") if isinstance(block, Mapping) else None
    treatment = personal.get(field) if isinstance(personal, Mapping) else None
    return treatment is not None and str(treatment).rstrip("?") not in ("keep", NOT_PERSONAL)


def _incremental(block: Any) -> bool:
    endpoint = block.get("endpoint") if isinstance(block, Mapping) else None
    if not isinstance(endpoint, Mapping):
        return False
    params = endpoint.get("params")
    values = params.values() if isinstance(params, Mapping) else ()
    return "incremental" in endpoint or any(
        isinstance(one, Mapping) and one.get("type") == "incremental" for one in values
    )
