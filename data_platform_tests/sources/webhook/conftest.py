"""A project with one source of webhooks, and deliveries that are put into its inbox as a receiver would."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.sources.inbox.delivery import Delivery, Place
from data_platform.sync import Platform, TableReport, open_platform, sync_changes
from data_platform.sync.opening import inbox_of

PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: landing}
    warehouse: {kind: duckdb, path: warehouse.duckdb}
"""
HASH_KEY = "a test's key, long enough to be taken"
SECRET = "whsec_a1"
AT = 1_790_000_000_000
TABLES: dict[str, Any] = {"events": {}, "orders": {"events": "order.*", "record": "data.order"}}


def event(id_: str, type_: str = "order.created", **order: Any) -> dict[str, Any]:
    return {"id": id_, "type": type_, "data": {"order": {"id": id_.removeprefix("e"), **order}}}


@dataclass
class Hooks:
    """``root`` is the project's folder."""

    root: Path
    environ: dict[str, str] = field(
        default_factory=lambda: {"DATA_PLATFORM_HASH_KEY": HASH_KEY, "HOOKS_SECRET": SECRET}
    )
    numbers: dict[str, int] = field(default_factory=dict)

    def write(self, tables: Mapping[str, Any] | None = None, **connection: Any) -> Hooks:
        (self.root / "catalog" / "sources").mkdir(parents=True, exist_ok=True)
        (self.root / "catalog" / "platform.yaml").write_text(PLATFORM)
        reached = {"secret_env": "HOOKS_SECRET", "scheme": "stripe", **connection}
        reached = {key: value for key, value in reached.items() if value is not None}
        file = {"source": "hooks", "kind": "webhook", "connection": reached, "tables": dict(tables or TABLES)}
        (self.root / "catalog" / "sources" / "hooks.yaml").write_text(yaml.safe_dump(file, sort_keys=False))
        return self

    @property
    def platform(self) -> Platform:
        return open_platform(self.root, "local", self.environ)

    def deliver(self, *bodies: Any, receiver: str = "r1", headers: Mapping[str, str] | None = None) -> Place:
        """One object of a receiver."""
        platform = self.platform
        number = self.numbers[receiver] = self.numbers.get(receiver, 0) + 1
        texts = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
        place = Place(receiver, number)
        inbox_of(platform, platform.catalog.source("hooks")).put(
            place, [Delivery(AT + n, dict(headers or {}), text) for n, text in enumerate(texts)]
        )
        return place

    def waiting(self) -> list[Place]:
        platform = self.platform
        return inbox_of(platform, platform.catalog.source("hooks")).places()

    def sync(self, tables: Sequence[str] | None = None, **options: Any) -> dict[str, TableReport]:
        found = sync_changes(self.platform, "hooks", tables, **options)
        return {report.table.table: report for report in found}

    def good(self, tables: Sequence[str] | None = None, **options: Any) -> dict[str, TableReport]:
        reports = self.sync(tables, **options)
        assert not [str(report.error) for report in reports.values() if report.error]
        return reports

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.platform.warehouse(read_only=True) as warehouse:
            return [tuple(row) for row in warehouse.query(sql).rows]

    def left(self) -> bytes:
        """Every byte of the landing store and the warehouse."""
        files = [
            path for path in sorted(self.root.rglob("*")) if path.is_file() and "catalog" not in path.parts
        ]
        return b"\n".join(path.read_bytes() for path in files)


@pytest.fixture
def hooks(tmp_path: Path) -> Callable[..., Hooks]:
    def made(tables: Mapping[str, Any] | None = None, **connection: Any) -> Hooks:
        return Hooks(tmp_path / "project").write(tables, **connection)

    return made
