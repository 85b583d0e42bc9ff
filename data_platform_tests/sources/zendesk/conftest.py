"""A project over the sandbox's Zendesk, which runs in the test's process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from data_platform.sandbox.services.zendesk.service import EMAIL
from data_platform.sources.zendesk.objects import OBJECTS
from data_platform.sync import Platform, TableReport, open_platform, sync_changes
from data_platform_tests.sandbox.services.test_zendesk import Zendesk, zendesk
from data_platform_tests.sources.rest.test_rewrite import PLATFORM

HASH_KEY = "a test's key, long enough to be taken"
CONNECTION = {
    "url_env": "ZENDESK_URL",
    "email_env": "ZENDESK_EMAIL",
    "api_token_env": "ZENDESK_API_TOKEN",
    "exports_per_minute": 1000,
    "requests_per_minute": 10000,
}
TICKETS: dict[str, Any] = {"personal": dict(OBJECTS["tickets"].personal)}
USERS: dict[str, Any] = {"personal": dict(OBJECTS["users"].personal)}


class Desk:
    """A project's folder, and the account that it reads."""

    def __init__(self, root: Path, account: Zendesk) -> None:
        self.root, self.account = root, account
        self.environ = {
            "ZENDESK_URL": account.place.url,
            "ZENDESK_EMAIL": EMAIL,
            "ZENDESK_API_TOKEN": account.place.secrets["token"],
            "DATA_PLATFORM_HASH_KEY": HASH_KEY,
        }

    def write(self, tables: dict[str, Any] | str, **connection: Any) -> Desk:
        (self.root / "catalog" / "sources").mkdir(parents=True, exist_ok=True)
        (self.root / "catalog" / "platform.yaml").write_text(PLATFORM)
        file = {"source": "help", "kind": "zendesk", "connection": CONNECTION | connection, "tables": tables}
        text = tables if isinstance(tables, str) else yaml.safe_dump(file)
        (self.root / "catalog" / "sources" / "help.yaml").write_text(text)
        return self

    @property
    def platform(self) -> Platform:
        return open_platform(self.root, "local", self.environ)

    def sync(self, **options: Any) -> dict[str, TableReport]:
        return {report.table.table: report for report in sync_changes(self.platform, "help", **options)}

    def good(self, **options: Any) -> dict[str, TableReport]:
        reports = self.sync(**options)
        assert not [str(report.error) for report in reports.values() if report.error]
        return reports

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.platform.warehouse(read_only=True) as warehouse:
            return [tuple(row) for row in warehouse.query(sql).rows]

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
