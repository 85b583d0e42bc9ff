from __future__ import annotations

import pytest

from data_platform_tests.sync.conftest import Project
from data_platform_tests.sync.erasing.people import SQL, SUBJECTS, TABLES


@pytest.fixture
def shop(project: Project, redaction_key: str) -> Project:
    """Forty people, loaded; the catalog has a copy of the landing store."""
    return project.people(SQL, TABLES, SUBJECTS)
