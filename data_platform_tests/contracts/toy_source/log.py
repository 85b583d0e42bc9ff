"""The log itself: who writes it, and what is left of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Log:
    """``name.jsonl`` holds the lines, ``name.json`` the log's id and its columns with their types."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.jsonl"

    @property
    def acknowledged(self) -> int:
        """Up to where a reader said that it needs nothing any more."""
        path = self.folder / f"{self.name}.acknowledged"
        return int(path.read_text()) if path.exists() else 0

    def acknowledge(self, offset: int) -> None:
        (self.folder / f"{self.name}.acknowledged").write_text(str(offset))

    def make(self, id_: str, columns: Mapping[str, str], first: int = 0) -> None:
        about = {"id": id_, "columns": dict(columns), "first": first}
        (self.folder / f"{self.name}.json").write_text(json.dumps(about))
        self.path.touch()

    @property
    def about(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / f"{self.name}.json").read_text())
        return found

    def lines(self) -> Iterator[dict[str, Any]]:
        with self.path.open() as file:
            yield from map(json.loads, file)

    @property
    def end(self) -> int:
        return max((line["offset"] + 1 for line in self.lines()), default=self.about["first"])

    def append(
        self, row: Mapping[str, Any], *, gone: bool = False, offset: int | None = None, broken: str = ""
    ) -> None:
        """Write a line; one that is written ``offset`` again is a page that came twice, one that is ``broken``
        cannot be taken."""
        line = {"offset": self.end if offset is None else offset, "gone": gone, "row": dict(row)}
        if broken:
            line["broken"] = broken
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def truncate(self, before: int) -> None:
        """Forget the lines before an offset, as logs do after some days."""
        kept = [line for line in self.lines() if line["offset"] >= before]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self.make(self.about["id"], self.about["columns"], first=before)


def system(folder: Path) -> str:
    return (folder / "system").read_text()
