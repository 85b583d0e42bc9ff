"""A contract of relations: their columns, keys and rules, in the standard's own model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_platform.quality.contract.rules import of_rule
from data_platform.quality.rules import Rule

if TYPE_CHECKING:
    from open_data_contract_standard.model import OpenDataContractStandard

API_VERSION = "v3.1.0"
_LOGICAL = (
    (("TINYINT", "SMALLINT", "INT", "BIGINT", "HUGEINT"), "integer"),
    (("DECIMAL", "NUMERIC", "DOUBLE", "FLOAT", "REAL", "NUMBER"), "number"),
    (("BOOL",), "boolean"),
    (("TIMESTAMP", "DATETIME"), "timestamp"),
    (("DATE",), "date"),
    (("TIME",), "time"),
    (("VARCHAR", "TEXT", "STRING", "CHAR", "UUID"), "string"),
)


@dataclass(frozen=True, slots=True)
class Promised:
    """A relation with what the catalog promises of it. ``columns`` are the known ones with their meaning, ``types`` those of the
    warehouse, ``treated`` those that land masked."""

    schema: str
    name: str
    description: str = ""
    owner: str | None = None
    key: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    treated: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    partition: str | None = None


def contract(name: str, version: str, relations: Sequence[Promised]) -> OpenDataContractStandard:
    from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject

    return OpenDataContractStandard(
        kind="DataContract",
        apiVersion=API_VERSION,
        id=f"urn:datacontract:{name}",
        name=name,
        version=version,
        status="active",
        schema=[SchemaObject(**_object(one)) for one in relations],
    )


def _object(relation: Promised) -> dict[str, Any]:
    entries = [of_rule(rule) for rule in relation.rules]
    named = dict.fromkeys(
        [*relation.types, *relation.key, *relation.columns, *relation.treated]
        + [column for rule in relation.rules for column in rule.columns]
    )
    made: dict[str, Any] = {
        "name": relation.name,
        "physicalName": f"{relation.schema}.{relation.name}",
        "physicalType": "table",
        "logicalType": "object",
        "properties": [
            _property(relation, name, [quality for column, quality in entries if column == name])
            for name in named
        ],
    }
    if relation.description:
        made["description"] = relation.description
    if relation.owner:
        made["customProperties"] = [{"property": "owner", "value": relation.owner}]
    if whole := [quality for column, quality in entries if column is None]:
        made["quality"] = whole
    return made


def _property(relation: Promised, name: str, quality: Sequence[dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name}
    if type_ := relation.types.get(name):
        made["physicalType"] = type_
        if logical := logical_type(type_):
            made["logicalType"] = logical
    if text := relation.columns.get(name):
        made["description"] = text
    if name in relation.key:
        made |= {"primaryKey": True, "primaryKeyPosition": relation.key.index(name) + 1}
    if name == relation.partition:
        made |= {"partitioned": True, "partitionKeyPosition": 1}
    if treatment := relation.treated.get(name):
        made |= {"classification": "confidential", "transformDescription": f"personal: {treatment}"}
    if quality:
        made["quality"] = list(quality)
    return made


def logical_type(type_: str) -> str | None:
    """ODCS's word for an engine's type; None for one that it has no word for."""
    upper = type_.upper()
    if upper.endswith("]"):
        return "array"
    return next((word for beginnings, word in _LOGICAL if upper.startswith(beginnings)), None)
