"""Keeps pandas out of the process: DuckDB imports it whenever a value is bound, and pyarrow with its first array (1.3 s)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

REFUSED = "pandas"


class _Refusing:
    """A finder of modules that finds none, and says of pandas that there is none.

    None in ``sys.modules`` would say it too, but compiled modules such as pyarrow's take that None for pandas.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == REFUSED:
            raise ModuleNotFoundError(f"{REFUSED} is kept out of this process", name=name)
        return None


def keep_out() -> None:
    """From now on, importing pandas fails as if it were not installed; one that was imported before stays."""
    if not any(isinstance(finder, _Refusing) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Refusing())
