"""A contract of somebody else's as blocks of the catalog."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from data_platform.errors import ConfigurationError
from data_platform.quality.contract.rules import to_entry
from data_platform.quality.rules import parse_rule
from data_platform.quality.rules.rows import parse_row
from data_platform.sql import literal, quoted


@dataclass(frozen=True, slots=True)
class Imported:
    """A relation of a contract: ``block`` is YAML of the catalog, ``left_out`` says of each promise that became no rule why."""

    schema: str | None
    name: str
    block: dict[str, Any]
    left_out: list[str] = field(default_factory=list)


def read_contract(text: str) -> list[Imported]:
    """``ConfigurationError`` for what is no contract of ODCS v3."""
    import yaml
    from open_data_contract_standard.model import OpenDataContractStandard
    from pydantic import ValidationError

    try:
        found = OpenDataContractStandard(**(yaml.safe_load(text) or {}))
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        where = "; ".join(
            ".".join(map(str, one["loc"])) + f": {one['msg']}"
            for one in (
                error.errors(include_input=False, include_url=False)[:3]
                if isinstance(error, ValidationError)
                else ()
            )
        )
        raise ConfigurationError(
            f"This is no data contract of ODCS v3{f': {where}' if where else ''}."
        ) from None
    if not (found.apiVersion or "").startswith("v3."):
        raise ConfigurationError(
            "This is no data contract of ODCS v3: its `apiVersion` must be v3.0.0 or later."
        )
    whole = found.model_dump(by_alias=True, exclude_none=True)
    return [_imported(one) for one in whole.get("schema") or ()]


def _imported(relation: dict[str, Any]) -> Imported:
    physical = str(relation.get("physicalName") or relation.get("name") or "")
    schema, dot, name = physical.rpartition(".")
    properties = relation.get("properties") or []
    rules: list[Any] = []
    left_out: list[str] = []

    def take(where: str, made: Any) -> None:
        try:
            entry = made()
            if parse_rule(entry).name not in {parse_rule(one).name for one in rules}:
                rules.append(entry)
        except (ValueError, TypeError, KeyError) as error:
            left_out.append(f"{where}: {error}")

    for one in properties:
        column = str(one.get("physicalName") or one.get("name"))
        for entry in _of_property(one, column):
            take(column, lambda entry=entry: entry)
        for quality in one.get("quality") or ():
            take(
                f"{column}, {quality.get('name') or quality.get('metric') or 'quality'}",
                lambda q=quality, c=column: to_entry(q, c),
            )
    for quality in relation.get("quality") or ():
        take(
            str(quality.get("name") or quality.get("metric") or "quality"),
            lambda q=quality: to_entry(q, None),
        )
    block: dict[str, Any] = {}
    if relation.get("description"):
        block["description"] = " ".join(str(relation["description"]).split())
    keyed = sorted(
        (one.get("primaryKeyPosition") or 0, str(one.get("name")))
        for one in properties
        if one.get("primaryKey")
    )
    if keyed:
        block["key"] = [name for _, name in keyed] if len(keyed) > 1 else keyed[0][1]
    parted = [str(one.get("name")) for one in properties if one.get("partitioned")]
    if parted:
        block["partition"] = parted[0]
    described = {
        str(one["name"]): " ".join(str(one["description"]).split())
        for one in properties
        if one.get("description")
    }
    if described:
        block["columns"] = described
    if rules:
        block["rules"] = rules
    return Imported(schema if dot else None, name or physical, block, left_out)


def _of_property(one: dict[str, Any], column: str) -> list[str]:
    """Rules of what a property says of itself. A key is unique already."""
    try:
        parse_row(f"{column} not null")
        name = column
    except ValueError:
        name = quoted(column)
    options = one.get("logicalTypeOptions") or {}
    made = [f"{name} not null"] if one.get("required") and not one.get("primaryKey") else []
    made += [f"{name} is unique"] if one.get("unique") and not one.get("primaryKey") else []
    for key, operator in (
        ("minimum", ">="),
        ("maximum", "<="),
        ("exclusiveMinimum", ">"),
        ("exclusiveMaximum", "<"),
    ):
        value = options.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            made.append(f"{name} {operator} {value:g}")
    if isinstance(options.get("pattern"), str):
        made.append(f"{name} matches {literal(options['pattern'])}")
    listed = [entry.get("value") for entry in one.get("enum") or ()]
    if listed and all(isinstance(value, str) for value in listed):
        made.append(f"{name} in [{', '.join(literal(value) for value in listed)}]")
    return made
