"""What rules are asked of, whether it is a warehouse or a source that knows SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from data_platform.expressions import Expressions


class AskedRows(Protocol):
    @property
    def rows(self) -> Sequence[tuple[Any, ...]]: ...
    @property
    def columns(self) -> Sequence[str]: ...


class AskedRelation(Protocol):
    @property
    def columns(self) -> Sequence[tuple[str, str]]: ...


class Asked(Protocol):
    @property
    def dialect(self) -> Expressions: ...
    def describe(self, schema: str, name: str) -> Sequence[AskedRelation]: ...
    def query(self, sql: str) -> AskedRows:
        """``QueryFailed`` where the statement does not run."""
