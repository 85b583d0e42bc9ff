"""dbt on a warehouse file of raw tables. It runs in this process, because starting it costs seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from data_platform_tests.dbt import raw_company, raw_shop
from data_platform_tests.dbt.raw_shop import Row
from data_platform_tests.defs.parsed import copy_parsed

PROJECT = Path(__file__).parents[2] / "dbt"


class Dbt:
    """dbt on one warehouse file; ``warnings`` are all it said at level warn or above."""

    target = "duckdb"

    def __init__(self, folder: Path, project: Path = PROJECT) -> None:
        self.project = project
        self.path = folder / "warehouse.duckdb"
        self.folder = folder
        self.warnings: list[str] = []
        self.manifest: Any = None

    def __call__(self, command: str, *arguments: str) -> None:
        from dbt.cli.main import dbtRunner

        runner = dbtRunner(manifest=self.manifest, callbacks=[self._hear])
        result = runner.invoke([command, *arguments, *self.options, "--quiet"])
        assert result.success, "\n".join(self.warnings) or result.exception
        if command == "parse":
            self.manifest = result.result

    def parse(self) -> None:
        """Reads the project: what has changed since `make manifest` read it, or all of it."""
        self.take_over_what_is_parsed()
        self("parse")

    def take_over_what_is_parsed(self) -> None:
        if self.target == "duckdb" and self.project == PROJECT:
            copy_parsed(PROJECT.parent, self.folder / "target", self.path)

    @property
    def options(self) -> list[str]:
        return [
            "--project-dir", str(self.project), "--profiles-dir", str(self.project), "--target", self.target,
            "--target-path", str(self.folder / "target"), "--log-path", str(self.folder / "logs"), "--no-write-json",
        ]  # fmt: skip

    def _hear(self, event: Any) -> None:
        if event.info.level in ("warn", "error"):
            self.warnings.append(event.info.msg)

    def rows(self, sql: str) -> list[Row]:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            cursor = connection.execute(sql)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def built(folder: Path) -> Iterator[Dbt]:
    """``raw_shop.shop()`` and the systems beside it in a new warehouse, with everything built over them."""
    dbt = Dbt(folder)
    before = dict(os.environ)
    os.environ["DATA_PLATFORM_DUCKDB_PATH"] = str(dbt.path)
    os.environ.pop("DATA_PLATFORM_DBT_TARGET", None)
    try:
        shop = raw_shop.shop()
        raw_shop.write(dbt.path, shop, dict.fromkeys(raw_shop.DDL, 1))
        raw_company.company(shop).write(dbt.path)
        dbt.parse()
        dbt("build")
        yield dbt
    finally:
        os.environ.clear()
        os.environ.update(before)
