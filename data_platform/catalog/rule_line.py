"""One entry of ``rules``: a line, or a mapping; with its JSON Schema, from which editors complete."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf, WithJsonSchema

from data_platform.quality.rules import FORMS, Rule, parse_rule
from data_platform.quality.rules.parse import OWNER

_SHARE = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^\d+(\.\d+)?%$"},
    ]
}
PROPERTIES: dict[str, Any] = {
    "rule": {"type": "string", "description": f"The rule: {FORMS}."},
    "sql": {
        "type": "string",
        "description": "A condition in SQL that is true of every good row, such as `revenue >= cost * 1.1`. A row for which it is"
        " NULL passes.",
    },
    "query": {
        "type": "string",
        "description": "A SELECT that finds the failing rows; `{table}` is the rule's table.",
    },
    "where": {
        "type": "string",
        "description": "A condition in SQL: the rule looks only at the rows that meet it.",
    },
    "blocking": {
        "type": "boolean",
        "default": False,
        "description": "Whether a failure keeps new data of the table from flowing downstream.",
    },
    "severity": {"enum": ["error", "warn"], "default": "error", "description": "The severity of a failure."},
    "owner": {
        "type": "string",
        "pattern": OWNER,
        "description": "Who answers for the rule: an e-mail address or team:name. Default: the table's owner.",
    },
    "allow": {**_SHARE, "description": "The share of rows that may fail, such as 1%."},
    "allow_subquery": {
        "type": "boolean",
        "default": False,
        "description": "Whether `sql` and `where` may hold a subquery.",
    },
    "name": {
        "type": "string",
        "pattern": "^[a-z][a-z0-9_]{0,59}$",
        "description": "Name of the check; by default it is made from the rule (`revenue_gte_0`).",
    },
}
RuleLine = Annotated[
    InstanceOf[Rule],
    BeforeValidator(parse_rule),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "oneOf": [{"required": ["rule"]}, {"required": ["sql"]}, {"required": ["query"]}],
                    "additionalProperties": False,
                    "properties": PROPERTIES,
                },
            ]
        }
    ),
]
