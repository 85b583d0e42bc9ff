"""``backup cold`` and ``backup tiers``: what is kept in cheaper storage classes. And waiting for what is frozen there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import plural, progress, remark, say, say_error, say_json, say_table, size
from data_platform.errors import BackupDamaged, ConfigurationError

if TYPE_CHECKING:
    from data_platform.backups.archive import Archive
    from data_platform.backups.manifest import BackupManifest
    from data_platform.backups.thaw import Frozen
    from data_platform.sync.tiers import Move

SpeedOption = Annotated[
    str | None,
    typer.Option(
        "--speed",
        metavar="SPEED",
        help="How fast a cold object is asked for: expedited, standard or bulk. Default: standard.",
        show_default=False,
    ),
]
PayOption = Annotated[
    bool, typer.Option("--yes", help="Ask for cold objects, wait and pay without being asked.")
]


def add_to(app: typer.Typer) -> None:
    app.command("cold")(cold)
    app.command("tiers")(tiers)


def cold(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """Copy the newest archive to the cold store, read every byte back, then move it to the coldest storage class."""
    platform = open_project(root, environment)
    from data_platform.backups.config import COLD
    from data_platform.backups.shelf import ARCHIVE
    from data_platform.sync.backup import archive
    from data_platform.sync.cold import copy_to_cold

    with progress("copying") as bars:
        report = copy_to_cold(platform, lambda what, count: bars.part(what, 0, count))
    if json:
        say_json(
            {
                "ok": True,
                "id": report.id,
                "source": report.source,
                "copied": report.copied,
                "tables": report.tables,
                "rows": report.rows,
                "bytes": report.bytes,
                "moved": report.moved,
                "storage_class": report.storage_class or None,
            }
        )
        return
    where = archive(platform, COLD, ARCHIVE)
    done = "verified in" if report.copied else "was already in"
    say(f"{report.id}: {plural(report.tables, 'table')}, {size(report.bytes)}, {done} {where}")
    if report.storage_class:
        say(f"{plural(report.moved, 'object')} moved to the storage class {report.storage_class}.")


def tiers(
    yes: Annotated[bool, typer.Option("--yes", help="Move them. Without it, only list them.")] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Move old objects to cheaper storage classes, once every copy of them was read and hashed."""
    platform = open_project(root, environment)
    from data_platform.sync.tiers import due, move_due

    with progress("verifying and moving" if yes else "listing"):
        moves = move_due(platform) if yes else due(platform)
    problems = [move.problem for move in moves if move.problem]
    if json:
        say_json({"ok": not problems, "moved": yes, "moves": [_described(move) for move in moves]})
    elif not moves:
        say("Every object is in the storage class that the rule names.")
    else:
        say_table(
            ["store", "what", "to", "objects", "bytes"],
            [[m.store, m.what, m.to.name, f"{len(m.keys):,}", size(m.bytes)] for m in moves if m.keys],
            right=("objects", "bytes"),
        )
        for problem in problems:
            say_error(f"Not moved: {problem}")
        if not yes:
            remark("They would be moved once every copy of them verifies. Give --yes to move them.")
    if problems:
        raise typer.Exit(BackupDamaged.exit_code)


def wait_until_readable(archive: Archive, manifest: BackupManifest, speed: str | None, yes: bool) -> None:
    """Ask before anything cold is asked for, with the time and the price; then wait until all of it can be read."""
    from data_platform.backups.thaw import frozen, must_offer, offers, thaw

    left = frozen(archive, manifest)
    if left is None:
        return
    wanted = speed or ("standard" if "standard" in left.speeds else left.speeds[0])
    must_offer(left, wanted)
    kinds = ", ".join(one.name for one in left.classes)
    asked = f"; {len(left.asked)} of them were asked for before" if left.asked else ""
    remark(
        f"{plural(len(left.objects), 'object')} of {manifest.id} ({size(left.bytes)}) in {archive} cannot be read now: they are in the"
        f" storage class {kinds}{asked}.",
        style=None,
    )
    for name, hours, dollars in offers(left):
        mark = "*" if name == wanted else " "
        remark(f" {mark} {name}: readable within {_hours(hours)}, about ${dollars:,.2f}", style=None)
    remark("   by the service's list prices of its first region, without what leaves its network", style=None)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigurationError("Nothing was asked for: give --yes to ask for the objects and wait.")
        typer.confirm(f"Ask for them ({wanted}) and wait?", abort=True, err=True)
    thaw(archive, manifest, wanted, progress=_still)


def _still(left: Frozen) -> None:
    remark(f"{plural(len(left.objects), 'object')} ({size(left.bytes)}) still cannot be read. Waiting.")


def _hours(hours: float) -> str:
    return f"{hours:g} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _described(move: Move) -> dict[str, object]:
    return {
        "store": move.store,
        "what": move.what,
        "to": move.to.name,
        "objects": len(move.keys),
        "bytes": move.bytes,
        "problem": move.problem or None,
    }
