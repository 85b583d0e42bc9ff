"""Sources that another tool extracts, which the contract is tried on too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_platform_tests.contracts.airbyte_program import environment


@dataclass
class DltItems:
    """A dlt resource over a file of rows, which says nothing of what is gone."""

    folder: Path
    kind: str = "dlt"
    environ: Mapping[str, str] = field(default_factory=dict)
    found_by_reading: bool = True
    moves_by_reading: bool = True
    rereads: bool = False
    documents: bool = True
    named: str = "first"
    changes: int = 0

    @property
    def connection(self) -> Mapping[str, Any]:
        arguments = {"folder": str(self.folder), "named": self.named}
        return {"function": "data_platform_tests.contracts.dlt_items:items", "arguments": arguments}

    @property
    def path(self) -> Path:
        return self.folder / f"{self.named}.json"

    def _rows(self) -> dict[str, Any]:
        rows: dict[str, Any] = json.loads(self.path.read_text())
        return rows

    def make(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.path.write_text("{}")

    def put(self, id_: int, note: str, **personal: str) -> None:
        self.changes += 1
        row = {"id": id_, "status": note, "change": self.changes, **personal}
        self.path.write_text(json.dumps({**self._rows(), str(id_): row}))

    def delete(self, id_: int) -> None:
        self.path.write_text(json.dumps({key: row for key, row in self._rows().items() if key != str(id_)}))

    def add_column(self, name: str) -> None:
        """It is there with the first row that has it."""

    def drop_column(self, name: str) -> None:
        raise AssertionError("a field that no row has any more is no change")

    def make_anew(self) -> None:
        """The function is asked for another thing."""
        self.named = "second"
        self.make()


@dataclass
class AirbyteItems(DltItems):
    """The same file through a program that speaks Airbyte's protocol."""

    kind: str = "airbyte_manifest"

    @property
    def connection(self) -> Mapping[str, Any]:
        return {
            "manifest": str(self.folder / "manifest.yaml"),
            "environment": str(environment(self.folder / "environment")),
            "config": {"folder": str(self.folder), "named": self.named},
        }

    def make(self) -> None:
        super().make()
        (self.folder / "manifest.yaml").write_text("type: DeclarativeSource")
