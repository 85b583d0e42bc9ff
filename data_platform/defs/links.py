"""The paths in the UI that messages link to. A browser test opens each of them."""

from __future__ import annotations

from urllib.parse import quote

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorType

LOCATIONS = "/deployment/locations"


def asset(key: dg.AssetKey) -> str:
    return "/assets/" + "/".join(quote(part, safe="") for part in key.path)


def check(key: dg.AssetCheckKey) -> str:
    return f"{asset(key.asset_key)}?view=checks&checkDetail={quote(key.name, safe='')}"


def run(run_id: str) -> str:
    return f"/runs/{run_id}"


def instigator(state: InstigatorState) -> str:
    """A sensor or a schedule. The UI wants its repository's name with a plain @."""
    repository = state.origin.repository_origin
    location = repository.code_location_origin.location_name
    folder = "schedules" if state.instigator_type == InstigatorType.SCHEDULE else "sensors"
    return f"/locations/{repository.repository_name}@{location}/{folder}/{state.name}"
