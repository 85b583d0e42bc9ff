"""A disk that is full when a step of a recovery of everything begins is said as one, and the archives stay as they were."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from data_platform.errors import DataPlatformError
from data_platform.sync.everything import recover_everything
from data_platform_tests.backups.database.faults.prepared import Prepared
from data_platform_tests.backups.database.recovering.shop import small_disk

pytestmark = pytest.mark.slow
ENOUGH = 300
"""Megabytes."""


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("step", ["database shop", "landing store", "warehouse", "comparison"])
def test_a_full_disk_is_said(original: Prepared, fresh: Callable[[], Prepared], step: str) -> None:
    company, begun = fresh(), list[str]()
    with small_disk(company.root / "disk", ENOUGH) as disk:

        def fill(name: str) -> None:
            begun.append(name)
            if name == step:
                filled(disk / "fill")

        try:
            problems = recover_everything(company.platform, company.at, disk / "all", step=fill).problems
        except DataPlatformError as error:
            problems = (str(error),)
        assert re.search("no space|is full", str(problems), re.IGNORECASE), problems
        assert begun[-1] == step
    assert not company.lost(original)


def filled(path: Path) -> None:
    with path.open("wb") as file, pytest.raises(OSError):
        while True:
            os.write(file.fileno(), bytes(1 << 16))
