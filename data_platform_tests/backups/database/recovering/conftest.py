from __future__ import annotations

from pathlib import Path

import pytest

from data_platform_tests.backups.database.conftest import Company
from data_platform_tests.backups.database.recovering.shop import Shop


@pytest.fixture
def shop(company: Company, server_folder: Path) -> Shop:
    folder = server_folder / f"recovered-{company.database}"
    folder.mkdir(mode=0o711)
    return Shop(company, folder)
