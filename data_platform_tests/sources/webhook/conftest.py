"""A project with one source of webhooks, and deliveries that are put into its inbox as a receiver would."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from data_platform.sources.inbox.delivery import Delivery, Place
from data_platform.sync.opening import inbox_of
from data_platform_tests.sources.one_source import PLAIN, OneSource

SECRET = "whsec_a1"
AT = 1_790_000_000_000
TABLES: dict[str, Any] = {"events": {}, "orders": {"events": "order.*", "record": "data.order"}}


def event(id_: str, type_: str = "order.created", **order: Any) -> dict[str, Any]:
    return {"id": id_, "type": type_, "data": {"order": {"id": id_.removeprefix("e"), **order}}}


@dataclass
class Hooks(OneSource):
    """``root`` is the project's folder."""

    source: ClassVar[str] = "hooks"
    root: Path
    environ: dict[str, str] = field(default_factory=lambda: {**PLAIN, "HOOKS_SECRET": SECRET})
    numbers: dict[str, int] = field(default_factory=dict)

    def write(self, tables: Mapping[str, Any] | None = None, **connection: Any) -> Hooks:
        reached = {"secret_env": "HOOKS_SECRET", "scheme": "stripe", **connection}
        reached = {key: value for key, value in reached.items() if value is not None}
        self.put({"kind": "webhook", "connection": reached, "tables": dict(tables or TABLES)})
        return self

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
