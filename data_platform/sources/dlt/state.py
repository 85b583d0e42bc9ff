"""dlt's state of one source as the JSON that a position keeps.

dlt's own text of a state marks times, decimals and bytes by a character before them, so that they come back as what they were.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dlt.common.json import custom_pua_remove
from dlt.common.json import json as dlt_json

from data_platform.errors import PositionLost
from data_platform.sources.reading import SourceTable
from data_platform.sources.records.feed import State

INCREMENTAL = "incremental"


def restored(table: SourceTable, state: State | None) -> dict[str, Any]:
    """The state that dlt is given. PositionLost where the ledger's is none."""
    held: Any = (state or {}).get("dlt", {})
    try:
        found = dlt_json.typed_loads(json.dumps(held))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise PositionLost(
            f"{table.id}: the state of its last batch cannot be read by dlt. Read it anew with `data-platform sync"
            f" --refresh {table.id}`."
        )
    return found


def kept(state: Mapping[str, Any]) -> State:
    """The state as a position keeps it: what is empty is left out, and what has no order has one."""
    return {"dlt": _tidy(json.loads(dlt_json.typed_dumps(state)))}


def _tidy(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    tidied = {
        key: sorted(inner) if key == "unique_hashes" and isinstance(inner, list) else _tidy(inner)
        for key, inner in sorted(value.items())
    }
    return {key: inner for key, inner in tidied.items() if inner != {}}


def cursors(state: Mapping[str, Any]) -> Iterator[Any]:
    """The last value of each ``dlt.sources.incremental`` that has one, in words."""
    for held in state.get("resources", {}).values():
        for cursor in held.get(INCREMENTAL, {}).values():
            if cursor.get("last_value") is not None:
                yield custom_pua_remove(cursor["last_value"])


def without_cursors(state: Mapping[str, Any]) -> dict[str, Any]:
    """What resources keep beside their cursors."""
    resources = {
        name: {key: value for key, value in held.items() if key != INCREMENTAL}
        for name, held in state.get("resources", {}).items()
    }
    return {**state, "resources": {name: held for name, held in resources.items() if held}}
