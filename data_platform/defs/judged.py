"""Checks that the run of their own asset evaluates, with what they counted."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from data_platform.defs import shown


def specs(checks: Mapping[dg.AssetCheckKey, str]) -> list[dg.AssetCheckSpec]:
    """The checks of one asset, each with the sentence that is true while it passes."""
    return [
        dg.AssetCheckSpec(check.name, asset=check.asset_key, description=text)
        for check, text in checks.items()
    ]


def judged(
    check: dg.AssetCheckKey, passed: bool, text: str, *, warn: bool = False, **counts: int
) -> dg.AssetCheckResult:
    """``warn``: a failure is a warning. ``counts`` are shown as metadata."""
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=shown.description(text),
        metadata=counts,
    )
