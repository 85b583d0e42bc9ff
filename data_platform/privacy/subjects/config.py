"""``catalog/subjects.yaml``: who the people are that the data is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from data_platform.privacy.consent.config import ConsentBlock
from data_platform.privacy.subjects.texts import Places, PlaceText
from data_platform.yaml_fields import Frozen, Model

_NAME = r"^[a-z][a-z0-9_]{0,62}$"


class SubjectBlock(Model):
    """People of one kind."""

    description: str = Field(default="", description="Who these people are.")
    lookups: Annotated[Mapping[Annotated[str, Field(pattern=_NAME)], Places], Frozen] = Field(
        min_length=1,
        description="By what a person is found, such as `email`: a name, and the column or columns that hold the value. A value that"
        " somebody types is treated as the column is.",
    )
    links: Annotated[Mapping[PlaceText, Places], Frozen] = Field(
        default_factory=dict,
        validate_default=True,
        description="Which rows belong to a person: a column, and the column or columns of a person's rows whose values it holds.",
    )
    consent: ConsentBlock | None = Field(
        default=None, description="To what these people agree, and where their answers are."
    )


class SubjectsFile(Model):
    """The file of people."""

    subjects: Annotated[Mapping[Annotated[str, Field(pattern=_NAME)], SubjectBlock], Frozen] = Field(
        min_length=1, description="The kinds of people, each a block under its name, such as `customer`."
    )
