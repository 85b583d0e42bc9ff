"""What the pydantic models of the YAML share, whichever folder they stand in: a base and a few field types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

K = TypeVar("K")
V = TypeVar("V")

VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""Of environment variables."""


class FrozenDict(dict[K, V]):
    """A dict nobody changes: a Catalog is shared by everything that runs."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("the catalog is frozen")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)


def _freeze(value: Mapping[K, V]) -> Mapping[K, V]:
    return FrozenDict(value)


Frozen = AfterValidator(_freeze)


class OrText:
    """In the JSON Schema of an annotated type: a text may be written instead of the block."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(core)]}


ColumnName = Annotated[str, Field(min_length=1, max_length=63)]
"""As the source spells it, capitals included. 63 bytes is PostgreSQL's limit."""


class Model(BaseModel):
    """Frozen, and a key that it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
