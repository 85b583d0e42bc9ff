"""The block ``consent:`` of a kind of people in ``catalog/subjects.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from data_platform.privacy.subjects.place import Place
from data_platform.privacy.subjects.texts import PlaceText
from data_platform.tables import TableId
from data_platform.yaml_fields import ColumnName, Frozen, Model

PURPOSE = r"^[a-z][a-z0-9_]{0,62}$"
TEXT = r"^[^'\\{}\x00-\x1f]+$"
"""What every engine and dbt take as a text within quotes."""
BY_HAND = "by hand"
"""What an answer that is in no table was said by."""
Otherwise = Literal["denied", "granted"]


class Purpose(Model):
    """What data is used for."""

    description: str = Field(default="", description="What the data is used for, in words for people.")
    versions: tuple[Annotated[str, Field(pattern=TEXT)], ...] = Field(
        default=(),
        description="Versions of the policy to which consent counts. Default: consent to any version does.",
    )
    otherwise: Otherwise = Field(
        default="denied",
        description="What holds for a person who never answered: `denied` (consent) or `granted` (the person may object).",
    )


class FixedPurpose(Model):
    """One purpose for all answers of a table."""

    value: str = Field(pattern=PURPOSE, description="The purpose that all rows of the table are about.")


class Answers(Model):
    """A table of a source in which people's answers are."""

    table: Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")] = Field(
        description="The table, as `source/table`, with a row for each answer, or for each person's newest one."
    )
    subject: ColumnName = Field(
        description="The column that says whose answer it is: the consent key, or a column that `links` links to it."
    )
    purpose: ColumnName | FixedPurpose = Field(
        description="The column that names the purpose, or `{value: marketing}` where all rows are about one."
    )
    state: ColumnName = Field(description="The column that says yes or no.")
    granted: bool | Annotated[tuple[Annotated[str, Field(pattern=TEXT)], ...], Field(min_length=1)] = Field(
        default=("granted",),
        description="The values of `state` that mean yes, in any case; every other value means no. `true` where the column is a boolean.",
    )
    version: ColumnName | None = Field(
        default=None, description="The column with the version of the policy that the person answered to."
    )
    at: ColumnName = Field(
        description="The column that says when the person answered: the newest answer holds."
    )

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if self.granted is False:
            raise ValueError(
                "`granted: false` means nothing: write `true` for a boolean column, or the texts that mean yes"
            )
        return self

    @property
    def id(self) -> TableId:
        return TableId.parse(self.table)

    @property
    def place(self) -> Place:
        """The column with the person's key."""
        return Place(self.id, self.subject)


class ConsentBlock(Model):
    """To what these people agree, and where their answers are."""

    key: PlaceText = Field(
        description="The column whose values tell the people apart in answers and in models, such as shop/users.user_id: one that"
        " lands in clear, or as hash."
    )
    purposes: Annotated[Mapping[Annotated[str, Field(pattern=PURPOSE)], Purpose], Frozen] = Field(
        min_length=1, description="For what data is used, each a block under its name, such as `marketing`."
    )
    from_: tuple[Answers, ...] = Field(
        alias="from", default=(), description="The tables with people's answers."
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        for one in self.from_:
            fixed = one.purpose.value if isinstance(one.purpose, FixedPurpose) else None
            if fixed is not None and fixed not in self.purposes:
                raise ValueError(f"{one.table} is about the purpose {fixed}, which `purposes` does not have")
        if "none" in self.purposes:
            raise ValueError("`none` is no name of a purpose: models say by it that they have none")
        return self

    @property
    def place(self) -> Place:
        """The consent key."""
        return Place.parse(self.key)

    def within(self, tables: frozenset[TableId]) -> ConsentBlock | None:
        """What is left of it where only ``tables`` are there; None where the key is not."""
        if self.place.table not in tables:
            return None
        return self.model_copy(update={"from_": tuple(one for one in self.from_ if one.id in tables)})
