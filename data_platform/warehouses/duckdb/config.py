"""The YAML of a DuckDB warehouse, and its properties that are known without opening it.

The engine and the modules that speak to it are imported when a warehouse is opened, not before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from data_platform.duckdb_sql import DIALECT
from data_platform.errors import WarehouseError
from data_platform.private_files import make_private
from data_platform.warehouses import EngineError, Traits
from data_platform.warehouses.dialect import Dialect
from data_platform.warehouses.publishing import Choose, Publication

if TYPE_CHECKING:
    from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse

PATH_VARIABLE = "DATA_PLATFORM_DUCKDB_PATH"
"""What ``dbt/profiles.yml`` reads the file from."""


class DuckDBConfig(BaseModel):
    """``{kind: duckdb, path: .data/warehouse.duckdb}``; a relative path starts at the project root.

    ``memory_limit`` bounds DuckDB's own memory, beyond which it spills beside the file;
    ``threads`` is every core unless set; ``wait_seconds`` is how long to wait for another
    process that holds the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    traits: ClassVar[Traits] = Traits(writers="one", archive=True, publishes=True)
    dialect: ClassVar[Dialect] = DIALECT

    kind: Literal["duckdb"] = Field(default="duckdb", description="The engine.")
    path: Path = Field(description="The database file; a relative path starts at the project's folder.")
    memory_limit: str = Field(
        default="600MB",
        pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$",
        description="The limit of DuckDB's memory, such as 600MB or 2GB. Above it, DuckDB spills to disk next to the file.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="The number of cores that it uses. Default: all."
    )
    wait_seconds: float = Field(
        default=30, ge=0, description="Seconds to wait while another process holds the file."
    )

    @contextmanager
    def open(
        self,
        root: Path,
        read_only: bool = False,
        *,
        files: Sequence[Path] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[DuckDBWarehouse]:
        """The warehouse for one piece of work. Its statements reach no other file but those below the folders
        ``files``, and no network. ``WarehouseBusy`` when another process holds the
        file for longer than ``wait_seconds``; ``WarehouseError`` when there is nothing to read."""
        path = root / self.path
        if not read_only:
            make_private(path.parent)
        elif not path.exists():
            raise WarehouseError(f"There is no warehouse at {path} yet. Run `data-platform sync` to make it.")
        from data_platform.warehouses.duckdb.connect import connect
        from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse

        connection = connect(
            path,
            read_only=read_only,
            memory_limit=self.memory_limit,
            threads=self.threads,
            wait_seconds=self.wait_seconds,
            clock=clock,
            sleep=sleep,
            files=files,
        )
        try:
            yield DuckDBWarehouse(connection, path, read_only)
        except BaseException:
            connection.interrupt()  # Ctrl-C leaves a statement running, and closing would wait for its end
            raise
        finally:
            connection.close()

    @contextmanager
    def replace_atomically(
        self, root: Path, doing: str, *, files: Sequence[Path] = ()
    ) -> Iterator[DuckDBWarehouse]:
        from data_platform.warehouses.duckdb.atomic_file import replace_atomically

        with replace_atomically(
            root / self.path, doing, lambda path: self.elsewhere(path).open(root)
        ) as unfinished:
            new = self.elsewhere(unfinished)
            with new.open(root, files=files) as warehouse:
                yield warehouse
                warehouse.write_to_disk()
            if warehouse.removed:
                new.forget(root)

    def elsewhere(self, name: str | os.PathLike[str]) -> DuckDBConfig:
        """``name`` is a file."""
        return self.model_copy(update={"path": Path(name).absolute()})

    def trial(self, folder: Path) -> DuckDBConfig:
        return self.elsewhere(folder / "drill")

    def bounded(self, memory: str) -> DuckDBConfig:
        return self.model_copy(update={"memory_limit": memory})

    def waiting(self, seconds: float) -> DuckDBConfig:
        return self.model_copy(update={"wait_seconds": min(seconds, self.wait_seconds)})

    def exists(self, root: Path) -> bool:
        return (root / self.path).exists()

    def place(self, root: Path) -> str:
        return str(root / self.path)

    def files(self, root: Path) -> tuple[Path, ...]:
        path = root / self.path
        return path, path.with_name(f"{path.name}.wal")

    def publish(
        self,
        root: Path,
        into: Path,
        choose: Choose,
        clock: Callable[[], datetime],
        *,
        group: str | None = None,
    ) -> Publication:
        path = root / self.path
        if not path.exists():
            raise WarehouseError(f"There is no warehouse at {path} yet, so there is nothing to publish.")
        from data_platform.warehouses.duckdb.publish import publish

        return publish(
            path,
            into,
            choose,
            clock,
            group=group,
            memory_limit=self.memory_limit,
            threads=self.threads,
            wait_seconds=self.wait_seconds,
        )

    @contextmanager
    def published(self, root: Path, path: Path) -> Iterator[tuple[DuckDBWarehouse, Publication]]:
        from data_platform.warehouses.duckdb.published import opened

        with opened(path, self.elsewhere(path).open(root, read_only=True)) as found:
            yield found

    def remove(self, root: Path) -> None:
        for path in self.files(root):
            path.unlink(missing_ok=True)

    def dbt_variables(self, root: Path) -> Mapping[str, str]:
        return {PATH_VARIABLE: self.place(root)}

    def forget(self, root: Path) -> str:
        from data_platform.warehouses.duckdb.rewrite import rewrite

        rewrite(
            root / self.path,
            lambda path: self.elsewhere(path).open(root),
            memory_limit=self.memory_limit,
            threads=self.threads,
            wait_seconds=self.wait_seconds,
        )
        return "The file of the warehouse was written anew: nothing of deleted rows is left in it."

    def held_by(self, message: str) -> str | None:
        from data_platform.warehouses.duckdb.connect import holder

        return holder(message)

    def error_in(self, text: str) -> EngineError | None:
        from data_platform.warehouses.duckdb.dbt_errors import error_in

        return error_in(text)
