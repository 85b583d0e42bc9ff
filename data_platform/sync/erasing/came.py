"""The keys of new rows of people who were erased.

Such a row never lands, so nothing would say any more whose the rows are that hang on it: the items of a new order, the events of a new
ticket. Its key is written into the log of erasures before the batch without it is committed. From then on it is one of the person's keys.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from data_platform.sources.reading import LandedFunction
from data_platform.tables import TableId


class Came:
    """Those that one sync has seen. Any number of threads may note some."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._noted: dict[TableId, set[str]] = {}
        self._written: dict[TableId, frozenset[str]] = {}

    def noting(self, table: TableId) -> LandedFunction:
        """Gives the texts that it gets, and notes those that are not NULL as keys of ``table``."""
        return LandedFunction(f"came_{table.table}", partial(self._note, table), 1)

    def unwritten(self, table: TableId) -> frozenset[str]:
        """The keys that were noted and are not known to be in the log."""
        with self._turn:
            return frozenset(self._noted.get(table, ())) - self._written.get(table, frozenset())

    def wrote(self, table: TableId, keys: frozenset[str]) -> None:
        """They are in the log."""
        with self._turn:
            self._written[table] = self._written.get(table, frozenset()) | keys

    def _note(self, table: TableId, keys: Any) -> Any:
        # DuckDB evaluates the types of the signature, so Arrow's are not named there: they would be imported with this module
        if keys.null_count < len(keys):
            with self._turn:
                self._noted.setdefault(table, set()).update(key for key in keys.to_pylist() if key)
        return keys
