"""What the blocks of the catalog's files share: names, texts, owners, columns."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from data_platform.yaml_fields import ColumnName

NAME = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
"""Names of sources, tables and environments: safe in schema names, asset keys and paths. With two underscores
in a row, the end of the source in ``stg_<source>__<table>`` would be ambiguous."""
NAME_LENGTH_MAX = 48


def one_or_more(value: Any) -> Any:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _one_line(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_one_line)]
Owner = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}|team:[A-Za-z0-9_.-]+)$")
]
Hours = Annotated[float, Field(gt=0, le=24 * 366)]
ColumnOrColumns = Annotated[
    tuple[ColumnName, ...],
    BeforeValidator(one_or_more),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
ColumnOrPath = Annotated[str, Field(min_length=1, max_length=1000)]
