"""A project over the sandbox's Zendesk, which runs in the test's process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from data_platform.sandbox.services.zendesk.service import EMAIL
from data_platform.sources.zendesk.objects import OBJECTS
from data_platform_tests.sandbox.services.test_zendesk import Zendesk, zendesk
from data_platform_tests.sources.one_source import PLAIN, OneSource

CONNECTION = {
    "url_env": "ZENDESK_URL",
    "email_env": "ZENDESK_EMAIL",
    "api_token_env": "ZENDESK_API_TOKEN",
    "exports_per_minute": 1000,
    "requests_per_minute": 10000,
}
TICKETS: dict[str, Any] = {"personal": dict(OBJECTS["tickets"].personal)}
USERS: dict[str, Any] = {"personal": dict(OBJECTS["users"].personal)}


class Desk(OneSource):
    """A project's folder, and the account that it reads."""

    source = "help"

    def __init__(self, root: Path, account: Zendesk) -> None:
        self.root, self.account = root, account
        self.environ = {
            **PLAIN,
            "ZENDESK_URL": account.place.url,
            "ZENDESK_EMAIL": EMAIL,
            "ZENDESK_API_TOKEN": account.place.secrets["token"],
        }

    def write(self, tables: dict[str, Any] | str, **connection: Any) -> Desk:
        file = {"kind": "zendesk", "connection": CONNECTION | connection, "tables": tables}
        self.put(tables if isinstance(tables, str) else file)
        return self

    def control(self, path: str, body: dict[str, Any], method: str = "POST") -> None:
        url = f"{self.account.place.url}/_sandbox/{path}"
        headers = {"Sandbox-Control": "1"}
        requests.request(method, url, json=body, headers=headers, timeout=30).raise_for_status()


@pytest.fixture
def desk(shop_copy: str, tmp_path: Path) -> Iterator[Desk]:
    """Of its own, to change at will."""
    (tmp_path / "service").mkdir()
    with zendesk(shop_copy, tmp_path / "service") as account:
        yield Desk(tmp_path, account)
