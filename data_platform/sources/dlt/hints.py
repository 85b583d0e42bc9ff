"""What a resource says of its table: dlt's hints, as far as the platform has a use for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

from dlt.common.exceptions import DltException
from dlt.extract.incremental import Incremental, IncrementalResourceWrapper
from dlt.extract.resource import DltResource

_WORDS = {
    "text": "text",
    "double": "double",
    "bool": "bool",
    "timestamp": "timestamp",
    "bigint": "bigint",
    "json": "json",
    "date": "date",
    "time": "text",
    "binary": "text",
}


@dataclass(frozen=True, slots=True)
class Hints:
    """``key`` is empty where the resource names none or finds it row by row. ``types`` are words of ``records.types``.
    ``deleted`` are the columns that mark a row that is gone, ``unmet`` the hints that would change what lands and that the
    platform does not follow, with why."""

    key: tuple[str, ...] = ()
    disposition: str = "append"
    types: Mapping[str, str] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()


def hints_of(resource: DltResource) -> Hints:
    given: Mapping[str, Any] = resource._hints or {}
    columns = _columns(resource, given)
    disposition, strategy = _disposition(given.get("write_disposition"))
    key = _names(given.get("primary_key")) or _marked(columns, "primary_key")
    groups = _names(given.get("merge_key")) or _marked(columns, "merge_key")
    unmet = []
    if groups and set(groups) != set(key) and disposition == "merge":
        unmet.append(
            f"merge_key ({', '.join(groups)}) replaces groups of rows, which no page of a resource is sure to hold whole: let"
            " the table have a key of its own, or set strategy: replace"
        )
    if strategy == "scd2" and disposition == "merge":
        unmet.append(
            "the strategy scd2 keeps every version of a row, and a raw table the last one: take versions with a dbt snapshot"
        )
    if sorting := _marked(columns, "dedup_sort"):
        unmet.append(
            f"dedup_sort ({', '.join(sorting)}) chooses among rows of one key, and here the one that comes last holds: let the"
            " resource give them in that order"
        )
    return Hints(key, disposition, _types(columns), _marked(columns, "hard_delete"), tuple(unmet))


def _disposition(given: Any) -> tuple[str, str | None]:
    if isinstance(given, Mapping):
        return str(given.get("disposition", "append")), given.get("strategy")
    return (given, None) if isinstance(given, str) else ("append", None)


def _names(given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    return tuple(given) if isinstance(given, Sequence) and all(isinstance(n, str) for n in given) else ()


def _columns(resource: DltResource, given: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    with suppress(DltException):  # hints that only a row tells
        return dict(resource.compute_table_schema().get("columns") or {})
    columns = given.get("columns")
    return columns if isinstance(columns, Mapping) else {}


def _marked(columns: Mapping[str, Mapping[str, Any]], hint: str) -> tuple[str, ...]:
    return tuple(name for name, column in columns.items() if column.get(hint))


def _types(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    types = {}
    for name, column in columns.items():
        kind = column.get("data_type")
        if kind == "decimal":
            precision, scale = column.get("precision") or 38, column.get("scale")
            types[name] = f"decimal({precision},{min(9, precision) if scale is None else scale})"
        elif kind in _WORDS:
            types[name] = _WORDS[kind]
    return types


def incrementals(resource: DltResource) -> Iterator[Incremental[Any]]:
    """Of the resource and of those whose rows it takes: how each finds what is new, as far as that is known before it runs."""
    one: DltResource | None = resource
    while one is not None:
        found: Any = one.incremental
        if isinstance(found, IncrementalResourceWrapper):
            found = found.incremental or _given(one) or _by_default(one)
        if isinstance(found, Incremental) and found.cursor_path and found.end_value is None:
            yield found
        one = getattr(one, "_parent", None)


def _given(resource: DltResource) -> Incremental[Any] | None:
    """The one among the arguments with which the resource was made."""
    arguments = resource.explicit_args if resource.args_bound else {}
    return next((value for value in arguments.values() if isinstance(value, Incremental)), None)


def _by_default(resource: DltResource) -> Incremental[Any] | None:
    call = resource._pipe.gen if not resource._pipe.is_empty else None
    if not callable(call):
        return None
    parameter: Parameter | None = IncrementalResourceWrapper.get_incremental_arg(
        signature(getattr(call, "__GEN__", call))
    )
    return parameter.default if parameter is not None and isinstance(parameter.default, Incremental) else None
