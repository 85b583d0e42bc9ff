"""``status``: per table, how far it was landed and loaded, and whether it is fresh.

Reads the ledger and the warehouse, never a source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project, tell_absences
from data_platform.cli.output import ago, plural, progress, remark, say, say_error, say_json, say_table
from data_platform.cli.publish import fields, sentence
from data_platform.cli.sync import choose, position_fields
from data_platform.errors import DataPlatformError, LandingError
from data_platform.sync.status import TableStatus, ask_warehouse, look
from data_platform.tables import TableId

if TYPE_CHECKING:
    from data_platform.landing.manifest import Manifest
    from data_platform.sync import Platform


def status(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE[/TABLE]]...", help="What to show. Default: every table."),
    ] = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Show each table's last batch, rows, watermark, waiting batches and freshness.

    No source is contacted: freshness is the time since the last sync that checked the table.
    """
    platform = open_project(root, environment, whole=False)
    chosen = choose(platform.catalog, targets or ())
    tables = [TableId(source, name) for source, names in chosen.items() for name in names]
    now = datetime.now(UTC)
    with progress("reading the ledger"):
        loaded, trouble = ask_warehouse(platform, tables)
        looks = platform.ledger.looks()
        found = platform.store.together(
            [partial(look, platform, table, loaded, now, looks) for table in tables]
        )
        publication = look_at_publication(platform, now)
    if json:
        say_json(
            {
                "ok": trouble is None and all(one.error is None for one in found),
                "environment": platform.environment.name,
                "at": now.isoformat(timespec="seconds"),
                "warehouse_error": str(trouble) if trouble else None,
                "tables": [status_fields(one) for one in found],
                "publication": publication.fields,
                "not_configured": sorted(platform.catalog.not_configured),
            }
        )
    else:
        tell(found, now)
        if publication.line:
            say(publication.line)
        if not targets:
            tell_absences(platform)
        if trouble is not None:
            say_error(str(trouble))
    codes = [LandingError.exit_code for one in found if one.error] + ([trouble.exit_code] if trouble else [])
    if codes:
        raise typer.Exit(codes[0])


@dataclass(frozen=True, slots=True)
class PublicationStatus:
    """What is shown of the copy for readers; nothing where the environment makes none."""

    line: str | None = None
    fields: Mapping[str, Any] | None = None


def look_at_publication(platform: Platform, now: datetime) -> PublicationStatus:
    if platform.environment.publish is None:
        return PublicationStatus()
    from data_platform.sync import publish as publishing

    where = publishing.place(platform)
    try:
        made = publishing.newest(platform)
    except DataPlatformError as error:
        return PublicationStatus(f"Publication: {error}", {"path": str(where), "error": str(error)})
    if made is None:
        return PublicationStatus("Publication: none yet. Make one: data-platform publish")
    return PublicationStatus(sentence(made, where, now), fields(made, where))


def status_fields(one: TableStatus) -> dict[str, Any]:
    """A table of ``status --json``, as docs/cli.md describes it."""
    head = one.head
    return {
        "table": str(one.table),
        "batch_id": head.batch_id if head else None,
        "sequence": head.sequence if head else None,
        "operation": head.operation if head else None,
        "committed_at": head.committed_at if head else None,
        "batch_rows": head.rows if head else None,
        "batch_bytes": head.bytes if head else None,
        "watermark": position_fields(head.position_after) if head else None,
        "rows": one.loaded.rows if one.loaded else None,
        "loaded_sequence": one.loaded.sequence if one.loaded else None,
        "behind": one.behind,
        "looked_at": one.looked_at.isoformat() if one.looked_at else None,
        "reconciled_at": one.reconciled_at.isoformat() if one.reconciled_at else None,
        "freshness_hours": one.freshness.total_seconds() / 3600,
        "freshness": one.freshness_state,
        "failure": one.failure,
        "error": one.error,
    }


HEADINGS: tuple[tuple[str, Callable[[TableStatus, datetime], str]], ...] = (
    ("table", lambda one, now: str(one.table)),
    ("rows", lambda one, now: f"{one.loaded.rows:,}" if one.loaded else "-"),
    ("last batch", lambda one, now: last_batch(one.head)),
    ("batch rows", lambda one, now: f"{one.head.rows:,}" if one.head else "-"),
    ("watermark", lambda one, now: position_text(one.head)),
    ("loaded", lambda one, now: loaded_text(one)),
    ("last look", lambda one, now: ago(one.looked_at, now)),
    ("reconciled", lambda one, now: ago(one.reconciled_at, now)),
    ("freshness", lambda one, now: one.freshness_state),
)


def tell(found: Sequence[TableStatus], now: datetime) -> None:
    if not found:
        say("The catalog has no tables.")
        return
    say_table(
        [name for name, _ in HEADINGS],
        [[render(one, now) for _, render in HEADINGS] for one in found],
        right=("rows", "batch rows"),
    )
    for one in found:
        if one.error:
            say_error(f"{one.table}: {one.error}")
        if one.failure:
            say(f"{one.table} cannot be read: {one.failure}")
    waiting = [one for one in found if one.behind]
    if waiting:
        remark(
            f"{plural(len(waiting), 'table')} with batches that are not loaded yet. Load them: data-platform sync"
        )


def last_batch(head: Manifest | None) -> str:
    return f"{head.sequence} {head.operation}" if head else "-"


def position_text(head: Manifest | None) -> str:
    return "-" if head is None or head.position_after is None else head.position_after.text


def loaded_text(one: TableStatus) -> str:
    if one.behind is None:
        return "?"
    if one.loaded is None and one.head is None:
        return "-"
    sequence = one.loaded.sequence if one.loaded else 0
    return f"{sequence}, {one.behind} behind" if one.behind else str(sequence)
