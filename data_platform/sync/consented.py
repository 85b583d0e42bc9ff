"""Rows of models under a purpose whose person does not agree to it: counted, and taken out of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from data_platform.errors import WarehouseError
from data_platform.privacy.consent.config import Otherwise
from data_platform.privacy.leaving import Name
from data_platform.privacy.purposes import Purposed, without_consent
from data_platform.warehouses import Relation, Warehouse
from data_platform.warehouses.counted import count_rows


@dataclass(frozen=True, slots=True)
class Lacking:
    """Rows of ``model`` whose person does not agree to ``purpose``; ``conditions`` together select them in ``held``."""

    model: Purposed
    purpose: str
    held: Relation
    conditions: tuple[str, ...]
    rows: int


def lacking(
    warehouse: Warehouse, models: Iterable[Purposed], consents: Name, known: Mapping[str, Otherwise]
) -> Iterator[Lacking]:
    """One for each purpose of each of ``models`` that is in the warehouse and has a column of consent keys, also where no row lacks consent.
    WarehouseError where the mart of consents or such a column is not there."""
    there = {(one.schema.lower(), one.name.lower()): one for one in warehouse.describe()}
    for model in models:
        held = there.get(model.place)
        if held is None:
            continue
        spelled = {name.lower(): name for name, _ in held.columns}
        for purpose, column in model.checked.items():
            mart = there.get(consents)
            if mart is None or purpose not in known or column.lower() not in spelled:
                what = ".".join(consents) if mart is None else f"{model.label}.{column}"
                raise WarehouseError(
                    f"Whether the people in {model.label} agree to {purpose} cannot be found out: {what} is not there. Build the models,"
                    " and run `data-platform validate --models`."
                )
            tests = without_consent(
                warehouse.dialect,
                (mart.schema, mart.name),
                purpose,
                known[purpose],
                spelled[column.lower()],
            )
            rows = sum(count_rows(warehouse, held.schema, held.name, test) for test in tests)
            yield Lacking(model, purpose, held, tuple(tests), rows)


def take_out(
    warehouse: Warehouse, models: Iterable[Purposed], consents: Name, known: Mapping[str, Otherwise]
) -> Mapping[Name, int]:
    """Delete the rows of tables whose person does not agree to the model's purpose; how many, by the model's place. A view follows what it
    reads."""
    gone: dict[Name, int] = {}
    for one in list(lacking(warehouse, models, consents, known)):
        if one.rows and one.held.kind == "table":
            warehouse.remove_rows(one.held.schema, one.held.name, one.conditions)
            gone[one.model.place] = gone.get(one.model.place, 0) + one.rows
    return gone
