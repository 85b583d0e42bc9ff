"""Redshift's errors in what dbt prints: the fields of a server's error, as the client writes them."""

from __future__ import annotations

import re

from data_platform.warehouses import EngineError

_FIELDS = re.compile(r"\{'S': '(?:ERROR|FATAL)', 'C': '(\w{5})'")


def error_in(text: str) -> EngineError | None:
    found = _FIELDS.search(text)
    if found is None:
        return None
    state = found[1]
    return EngineError(
        found.start(), state.startswith("42"), f"Redshift's error {state}; its text may hold a value."
    )
