"""A project over a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from data_platform_tests.sources.http.server import Asked, Reply
from data_platform_tests.sources.project import SourceProject

MANIFEST = Path(__file__).parent / "manifest.yaml"
AIRBYTE = Path(__file__).parents[3] / ".airbyte"


@dataclass
class Items:
    """An API of items with the day of their change: two a page by offset, number or cursor."""

    days: dict[int, str] = field(default_factory=dict)
    status: int = 200
    asked: list[str] = field(default_factory=list)

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked.path)
        if asked.headers.get("Authorization") != "Bearer s3cr3t-token":
            return Reply(status=401)
        if self.status != 200:
            return Reply(status=self.status)
        if asked.path.endswith("/subs"):
            return Reply({"data": [{"sub": f"{asked.path.split('/')[2]}-{n}"} for n in range(2)]})
        since, at = asked.query.get("since", ""), int(asked.query.get("at") or 0)
        at = at * 2 if asked.path == "/numbered" else at
        found = [(day, id_) for id_, day in self.days.items() if day >= since]
        page = [
            f'{{"id": {id_}, "updated": "{day}", "price": 1.10, "long": 12345678901234567890}}'
            for day, id_ in sorted(found)[at : at + 2]
        ]
        after = at + 2 if at + 2 < len(found) else "null"
        return Reply(f'{{"data": [{", ".join(page)}], "next": {after}}}'.encode())


class Project(SourceProject):
    def write(self, tables: Mapping[str, Any], manifest: Path = MANIFEST, **connection: Any) -> Project:
        reached = {"manifest": str(manifest), "environment": str(AIRBYTE), **connection}
        self.catalog(kind="airbyte_manifest", connection=reached, tables=dict(tables))
        return self


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def airbyte(project: Project) -> Project:
    if not (AIRBYTE / "bin" / "python").exists():
        pytest.skip("Airbyte's program is not installed: make airbyte")
    return project
