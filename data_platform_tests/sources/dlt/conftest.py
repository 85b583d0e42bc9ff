"""A project over dlt sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from data_platform_tests.sources.http.server import Asked, Reply
from data_platform_tests.sources.project import SourceProject

MODULE = "data_platform_tests.sources.dlt.company"


@dataclass
class Orders:
    """Three orders a page, those changed since ``since``, in the order of their changes."""

    records: dict[int, int] = field(default_factory=dict)
    broken_at: int | None = None
    reverse: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, asked: Asked) -> Reply:
        since, page = int(asked.query["since"]), int(asked.query["page"])
        self.asked.append(f"{since}, page {page}")
        if asked.headers.get("Authorization") != "Bearer s3cr3t-token":
            return Reply(status=401)
        if self.broken_at == page:
            return Reply(status=500)
        found = sorted(
            ((changed, id_) for id_, changed in self.records.items() if changed >= since),
            reverse=self.reverse,
        )
        records = [{"id": id_, "changed": changed} for changed, id_ in found[page * 3 : page * 3 + 3]]
        return Reply({"records": records, "next": page + 1 if page * 3 + 3 < len(found) else None})


class Project(SourceProject):
    def write(self, function: str, tables: Mapping[str, Any], **connection: Any) -> Project:
        reached = {"function": f"{MODULE}:{function}" if ":" not in function else function, **connection}
        self.catalog(kind="dlt", connection=reached, tables=dict(tables))
        return self

    def shop(self, url: str, tables: Mapping[str, Any]) -> Project:
        return self.write("shop", tables, arguments={"url": url, "token_env": "SHOP_TOKEN"})

    def quarantined(self, table: str) -> list[bytes]:
        return [record.bytes for record in self.set_aside(table)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
