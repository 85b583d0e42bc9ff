"""What the block `privacy` of the catalog says for the record of processing: who answers for it, and why each source is read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from data_platform.yaml_fields import Model

Words = Annotated[str, Field(min_length=1, max_length=1000)]
Basis = Literal[
    "consent", "contract", "legal obligation", "vital interests", "public task", "legitimate interests"
]
"""The legal bases of Art. 6(1) of the GDPR."""


class Party(Model):
    name: Words = Field(description="The name of the company or the person.")
    contact: Words = Field(description="How they are reached, such as an address for mail.")


class Processing(Model):
    """Why a source is read, and whose data it holds."""

    purpose: Words = Field(description="The use of the data, such as analysis of sales.")
    people: Annotated[
        tuple[Words, ...],
        BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
        ),
    ] = Field(
        default=(),
        description="Whose data it is, a text or a list: customers, employees, visitors of the web site.",
    )
    basis: Basis | None = Field(
        default=None,
        description="The legal basis: `consent`, `contract`, `legal obligation`, `vital interests`, `public task` or `legitimate"
        " interests`.",
    )
    retention: Words | None = Field(
        default=None,
        description="How long the data is kept, in words, where another system or a person decides it.",
    )
