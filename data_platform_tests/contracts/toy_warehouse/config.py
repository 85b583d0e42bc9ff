"""A folder of SQLite files, one a schema."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from data_platform.errors import WarehouseError
from data_platform.warehouses import EngineError, Traits
from data_platform.warehouses.dialect import Dialect
from data_platform_tests.contracts.toy_warehouse.dialect import SQLiteDialect

if TYPE_CHECKING:
    from data_platform_tests.contracts.toy_warehouse.warehouse import ToyWarehouse


class ToyConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    traits: ClassVar[Traits] = Traits(writers="one", archive=False)
    dialect: ClassVar[Dialect] = SQLiteDialect()

    kind: Literal["toy"] = "toy"
    folder: Path

    @contextmanager
    def open(
        self, root: Path, read_only: bool = False, *, files: Sequence[Path] = ()
    ) -> Iterator[ToyWarehouse]:
        from data_platform_tests.contracts.toy_warehouse.warehouse import ToyWarehouse

        folder = root / self.folder
        if read_only and not folder.exists():
            raise WarehouseError(f"There is no warehouse in {folder} yet.")
        folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(folder / "toy.db", isolation_level=None)) as connection:
            yield ToyWarehouse(connection, folder)

    @contextmanager
    def replace_atomically(
        self, root: Path, doing: str, *, files: Sequence[Path] = ()
    ) -> Iterator[ToyWarehouse]:
        new = self.elsewhere(root / f".{doing}")
        new.remove(root)
        try:
            with new.open(root) as warehouse:
                yield warehouse
            self.remove(root)
            (root / new.folder).rename(root / self.folder)
        finally:
            new.remove(root)

    def elsewhere(self, name: str | os.PathLike[str]) -> ToyConfig:
        return self.model_copy(update={"folder": Path(name).absolute()})

    def waiting(self, seconds: float) -> ToyConfig:
        return self

    def exists(self, root: Path) -> bool:
        return (root / self.folder).exists()

    def place(self, root: Path) -> str:
        return str(root / self.folder)

    def files(self, root: Path) -> Sequence[Path]:
        return sorted((root / self.folder).glob("*.db"))

    def remove(self, root: Path) -> None:
        shutil.rmtree(root / self.folder, ignore_errors=True)

    def dbt_variables(self, root: Path) -> Mapping[str, str]:
        return {}

    def forget(self, root: Path) -> str:
        return "The toy keeps what it has deleted."

    def held_by(self, message: str) -> str | None:
        return "another process" if "database is locked" in message else None

    def error_in(self, text: str) -> EngineError | None:
        found = re.search(r"\bsqlite3\.(\w+)Error: ", text)
        if found is None:
            return None
        return EngineError(found.start(), found[1] == "Operational", f"SQLite's {found[1]}Error.")
