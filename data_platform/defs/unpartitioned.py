"""A run without a partition of an asset with days, made of another asset with days: Dagster's step looks up the days of the
run before it begins, and fails where there are none. Ours then reads what changed across all days.

The name is one that Dagster keeps to itself, which is why its version is pinned; a test runs into it.
"""

from __future__ import annotations

from typing import Any

from dagster._core.execution.context.system import StepExecutionContext

_NAME = "has_asset_partitions_for_input"


def install() -> None:
    """Once a process; a second time changes nothing."""
    original = getattr(StepExecutionContext, _NAME)
    if original.__module__ == __name__:
        return

    def has_asset_partitions_for_input(self: Any, input_name: str) -> bool:
        if not self.has_partitions:
            return False
        found: bool = original(self, input_name)
        return found

    setattr(StepExecutionContext, _NAME, has_asset_partitions_for_input)
