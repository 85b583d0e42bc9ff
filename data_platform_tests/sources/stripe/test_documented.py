"""The file that the documentation shows reads a whole company, and no name in it is left undeclared."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import yaml

import data_platform
from data_platform.sources.stripe.objects import CHILDREN, OBJECTS
from data_platform_tests.sandbox.services.conftest import World
from data_platform_tests.sources.stripe.conftest import Project

TEXT = (Path(data_platform.__file__).parent.parent / "docs" / "sources" / "stripe.md").read_text()


def test_the_documented_file_syncs_as_it_is(stripe_read: World, project: Callable[[World], Project]) -> None:
    shown = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert shown is not None
    tables = yaml.safe_load(shown[1])["tables"]
    assert set(tables) == {*OBJECTS, *CHILDREN} - {"events"}
    reports = project(stripe_read).write(tables).good()
    assert all(report.manifest and report.manifest.rows for report in reports.values())


def test_every_object_is_documented() -> None:
    for name in (*OBJECTS, *CHILDREN):
        assert f"`{name}`" in TEXT


def test_the_pinned_version_is_that_of_the_official_client() -> None:
    import stripe

    from data_platform.sources.stripe.config import API_VERSION

    assert stripe.api_version == API_VERSION
