"""The sandbox's Stripe over a shop of today, and a project that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from data_platform_tests.sandbox.services.conftest import (
    World,
    shop_of_today,  # noqa: F401
    stripe_own,  # noqa: F401
    stripe_read,  # noqa: F401
)
from data_platform_tests.sources.one_source import PLAIN, OneSource

PERSONAL: dict[str, dict[str, str]] = {}


@dataclass
class Project(OneSource):
    source: ClassVar[str] = "pay"
    root: Path
    base: str
    key: str
    webhook_secret: str = ""

    def write(self, tables: dict[str, Any], **connection: Any) -> Project:
        reached = {
            "api_key_env": "STRIPE_API_KEY",
            "api_base_env": "STRIPE_API_BASE",
            "requests_per_second": 1000,
            **connection,
        }
        self.put({"kind": "stripe", "connection": reached, "tables": tables})
        return self

    @property
    def environ(self) -> Mapping[str, str]:  # type: ignore[override]
        return {
            **PLAIN,
            "STRIPE_API_KEY": self.key,
            "STRIPE_API_BASE": self.base,
            "STRIPE_WEBHOOK_SECRET": self.webhook_secret,
        }


@pytest.fixture
def project(tmp_path: Path) -> Callable[[World], Project]:
    """A project over one world."""
    return lambda world: Project(
        tmp_path / "project",
        world.place.url,
        world.place.secrets["api_key"],
        world.place.secrets["webhook_secret"],
    )
