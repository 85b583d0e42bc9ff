"""Evaluates observations as ok, warn or fail, and says what to do. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_platform.findings import Finding, State
from data_platform.words import plural

DISK_WARN = 5_000_000_000
DISK_FAIL = 1_000_000_000
RECORDS_MAX = 5_000_000_000
"""With a run every minute and the default retention, the records take two thirds of it."""
HEARTBEAT_MAX = timedelta(minutes=5)
"""A daemon reports every 30 s, or later while it waits for a slow source."""


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that the catalog names, and where it names it. If a ``needed``
    one is missing, something fails; without another one, a feature is off."""

    name: str
    where: str
    needed: bool


def variables(named: Collection[Variable], environ: Mapping[str, str]) -> list[Finding]:
    missing = [v for v in named if not environ.get(v.name, "").strip()]
    found = [
        Finding(
            "variables",
            "fail" if v.needed else "warn",
            f"{v.name} is not set; {v.where} names it.",
            "Set it in the environment, or in .env beside catalog/."
            if v.needed
            else "Set it if you want the feature that docs/catalog.md describes at that key; the platform runs without it.",
        )
        for v in missing
    ]
    return found or [
        Finding(
            "variables",
            "ok",
            f"{plural(len(named), 'variable')} that the catalog names {'is' if len(named) == 1 else 'are'} set.",
        )
    ]


def guesses(count: int) -> Finding:
    return Finding(
        "guesses",
        "warn",
        f"{count} treatments of columns are unconfirmed guesses of `discover`.",
        "`data-platform validate` lists them: remove each question mark, or choose another treatment.",
    )


def conditional_write(check: str, url: str, first: bool, second: bool, read_back: bool) -> Finding:
    """If a new key is written twice, the first write must win and must not be replaced."""
    if first and not second and read_back:
        return Finding(check, "ok", f"{url} keeps the first of two writes and returns its bytes.")
    what = (
        "refuses to create a new object"
        if not first
        else "lets a second write replace the first"
        if second
        else "returns other bytes than were written"
    )
    return Finding(
        check,
        "fail",
        f"{url} {what}, so two syncs at once could lose a batch.",
        "Use a store with conditional writes: a local disk, Amazon S3, Google Cloud Storage, or a compatible"
        " one. Do not sync into this one.",
    )


def disk(check: str, path: str, free: int) -> Finding:
    found = f"{free / 1e9:.1f} GB are free at {path}."
    if free >= DISK_WARN:
        return Finding(check, "ok", found)
    return Finding(
        check,
        "fail" if free < DISK_FAIL else "warn",
        found,
        "Free some space or use a larger disk. A full disk stops syncs; it damages nothing.",
    )


def hash_key(hashed: int) -> Finding:
    what = f"{hashed} columns are hashed with it." if hashed else "No column is hashed, so no key is needed."
    return Finding("hash key", "ok", what)


def dagster_home(home: str, is_folder: bool, has_settings: bool, running: bool) -> Finding | None:
    """None if DAGSTER_HOME is correct. ``running``: schedules and sensors start automatically."""
    state: State = "fail" if running else "warn"
    if not home:
        return Finding(
            "Dagster",
            state,
            "DAGSTER_HOME is not set, so Dagster does not know where to keep its records.",
            "Set it to the folder that holds dagster.yaml; `make dev` uses .dagster in the project's folder.",
        )
    if not is_folder or not has_settings:
        lack = "it holds no dagster.yaml" if is_folder else "that is not a folder"
        return Finding(
            "Dagster",
            state,
            f"DAGSTER_HOME is {home}, but {lack}.",
            "Copy deploy/dagster.yaml there; on a laptop, copy dagster.yaml.",
        )
    return None


def records(storage: str, size: int) -> Finding:
    """Dagster's own records: their storage and their size in bytes."""
    found = f"Its records are in {storage} and take {size / 1e9:.1f} GB."
    if size <= RECORDS_MAX:
        return Finding("Dagster", "ok", found)
    return Finding(
        "Dagster",
        "warn",
        found,
        "Check in the UI that the sensor tidy_records is on and its ticks succeed: it removes old runs, events and logs."
        " PostgreSQL releases freed space with `VACUUM FULL`, SQLite with `VACUUM`; stop the services first.",
    )


def daemon(last_heartbeats: Mapping[str, datetime | None], now: datetime, running: bool) -> Finding:
    """``last_heartbeats`` has the time of each part of the daemon that must run."""
    state: State = "fail" if running else "warn"
    start = "Start it: `dagster-daemon run --workspace workspace.yaml`; `make dev` does on a laptop."
    known = {name: at for name, at in last_heartbeats.items() if at is not None}
    if not known:
        return Finding("daemon", state, "It never ran: no schedule, sensor or queued run starts.", start)
    late = sorted(name for name, at in last_heartbeats.items() if at is None or now - at > HEARTBEAT_MAX)
    newest = max(known.values())
    seconds = max(0, int((now - newest).total_seconds()))
    if not late:
        return Finding("daemon", "ok", f"It last reported {seconds} s ago.")
    if len(late) == len(last_heartbeats):
        return Finding("daemon", state, f"It last reported at {newest:%Y-%m-%d %H:%M:%S} UTC.", start)
    return Finding(
        "daemon",
        state,
        f"It last reported {seconds} s ago, but these parts of it have not reported for"
        f" {HEARTBEAT_MAX.total_seconds() / 60:.0f} minutes: {', '.join(late)}.",
        "Read the reason in its log, then restart it.",
    )
