"""Where the real data sets are: the folder DATA_PLATFORM_TEST_DATA names, or ../shared/data beside the checkout.

They are not part of the repository; a test that wants one that is absent is skipped and says so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "DATA_PLATFORM_TEST_DATA"


def shared_data(*parts: str) -> Path:
    """The file or folder ``parts`` of the shared data."""
    named = os.environ.get(VARIABLE)
    root = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    found = root.joinpath(*parts)
    if not found.exists():
        pytest.skip(
            f"the real data {'/'.join(parts)} is not there; set {VARIABLE} to the folder that holds it"
        )
    return found
