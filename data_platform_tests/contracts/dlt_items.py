"""A dlt source of the contract: a folder's items in the order of their changes, three at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt


@dlt.source
def items(folder: str, named: str = "first") -> Any:
    """``named`` is the table of that name there."""

    @dlt.resource(primary_key="id", write_disposition="merge")
    def items(changed: Any = dlt.sources.incremental("change", row_order="asc")) -> Iterator[Any]:
        path = Path(folder) / f"{named}.json"
        found = json.loads(path.read_text()) if path.exists() else {}
        since = changed.last_value or 0
        rows = sorted(
            (row for row in found.values() if row["change"] >= since), key=lambda row: row["change"]
        )
        for row in rows:
            if "profile" in row:
                row["profile"] = json.loads(row["profile"], parse_float=Decimal)
        for at in range(0, len(rows), 3):
            yield rows[at : at + 3]

    return items
