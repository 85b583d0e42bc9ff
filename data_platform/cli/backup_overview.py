"""``backup plan`` and ``backup list``: what runs when and takes how much, and what there is, of every class."""

from __future__ import annotations

from datetime import datetime

import typer

from data_platform.cli.options import CopyOption, EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import ago, remark, say, say_json, say_table, size

_MOMENT = "%Y-%m-%d %H:%M"


def add_to(app: typer.Typer) -> None:
    app.command("plan")(plan)
    app.command("list")(list_)


def plan(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """Show what is backed up when, how long it is kept and how many bytes it takes."""
    platform = open_project(root, environment)
    from data_platform.sync import backup_classes

    now = platform.clock()
    rows = backup_classes.plan(platform)
    if json:
        say_json(
            [
                {
                    "class": row.name,
                    "act": row.act,
                    "schedule": row.schedule,
                    "next": row.next(now).isoformat(),
                    "stores": list(row.stores),
                    "kept_days": row.kept_days,
                    "kept_until": _iso(row.kept_until(now)),
                    "count": row.count(now),
                    "bytes": row.bytes,
                    "bytes_in_all": row.bytes_in_all(now),
                    "note": row.note or None,
                }
                for row in rows
            ]
        )
        return
    say_table(
        ["what", "runs (UTC)", "next", "in", "kept until", "copies", "each", "in all"],
        [
            [
                f"{row.name} {row.act}",
                row.schedule,
                row.next(now).strftime(_MOMENT),
                ", ".join(row.stores),
                until.strftime("%Y-%m-%d") if (until := row.kept_until(now)) else "-",
                f"{row.count(now)} x {len(row.stores)}" if row.kept_days else "-",
                _bytes(row.bytes, kept=row.kept_days is not None),
                _bytes(row.bytes_in_all(now), kept=row.kept_days is not None),
            ]
            for row in rows
        ],
        right=("each", "in all"),
    )
    for row in rows:
        if row.note:
            remark(row.note)
    if any(row.bytes is None and row.kept_days is not None for row in rows):
        remark(
            "Of what was never made, the size is not known yet. The others are the mean of the last three."
        )
    else:
        remark(
            "The size is the mean of the last three backups. `in all` is what they take once the oldest go."
        )


def list_(
    copy: CopyOption = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """List every backup of every class and where it is stored, the newest first."""
    platform = open_project(root, environment)
    from data_platform.sync import backup, backup_classes

    if copy is not None:
        backup.archive(platform, copy)  # refuses a name that there is not
    rows = backup_classes.held(platform, copy)
    if json:
        say_json(
            [
                {
                    "class": row.name,
                    "id": row.id,
                    "made_at": row.made_at.isoformat(),
                    "stored": list(row.stored),
                    "bytes": row.bytes,
                }
                for row in rows
            ]
        )
    elif not rows:
        say("There is no backup yet. Make one: data-platform backup run")
    else:
        now = platform.clock()
        say_table(
            ["class", "backup", "made", "age", "size", "stored in"],
            [
                [
                    row.name,
                    row.id,
                    f"{row.made_at.strftime(_MOMENT)} UTC",
                    ago(row.made_at, now),
                    _bytes(row.bytes, kept=True),
                    ", ".join(row.stored),
                ]
                for row in rows
            ],
            right=("size",),
        )


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _bytes(count: int | None, *, kept: bool) -> str:
    return "-" if not kept else "not known" if count is None else size(count)
