"""The texts in ``catalog/subjects.yaml`` that name a column."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from data_platform.privacy.subjects.place import FORM, Place

_PLACE = r"^[^/\s]+/[^/.\s]+\..+$"


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _place(text: Any) -> Any:
    if not isinstance(text, str):
        raise ValueError(f"must be of the form {FORM}")
    Place.parse(text)
    return text


PlaceText = Annotated[str, BeforeValidator(_place), WithJsonSchema({"type": "string", "pattern": _PLACE})]
Places = Annotated[
    tuple[PlaceText, ...],
    BeforeValidator(_one_or_more),
    Field(min_length=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _PLACE},
                {"type": "array", "items": {"type": "string", "pattern": _PLACE}, "minItems": 1},
            ]
        }
    ),
]
