"""``keystore``: the keys of sealed values: what is there, copied, brought back, wrapped under another master."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import ago, plural, progress, remark, say, say_json

if TYPE_CHECKING:
    from data_platform.keystore.config import KeystoreBackups
    from data_platform.sync import Platform

app = typer.Typer(no_args_is_help=True, help="The keys of sealed values.")


@app.command("status")
def status(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """Show how many keys there are, which master wraps them, and the copies. No key and no name of a person is printed."""
    platform = open_project(root, environment, whole=False)
    from data_platform.keystore.copies import copies

    found = platform.keystore().status()
    rule = _rule(platform)
    there = copies(platform.catalog.root / rule.path) if rule else []
    if json:
        say_json(
            {
                "place": found.place,
                "subjects": found.subjects,
                "destroyed": found.destroyed,
                "nobody": list(found.nobody),
                "master": found.master,
                "wrapping_key": found.number,
                "wrapped_at": found.made_at or None,
                "copies": [{"path": str(one.path), "made_at": one.made_at.isoformat()} for one in there],
            }
        )
        return
    say(f"{found.place}: {plural(found.subjects, 'subject')}, {plural(found.destroyed, 'destroyed key')}.")
    say(f"Master: {found.master}." if found.number else f"Nothing was sealed yet. Master: {found.master}.")
    if found.nobody:
        remark(
            f"Rows that name no subject were sealed in {', '.join(found.nobody)}: no erasure reaches them, for they have one key"
            " together."
        )
    if there:
        say(f"Copies: {len(there)}, the newest {ago(there[-1].made_at, platform.clock())}.")
    else:
        remark("There is no copy. `data-platform keystore backup` makes one.")


@app.command("backup")
def backup(environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """Copy the keystore, and remove copies older than `keep_days`. The keys in a copy stay wrapped by the master."""
    platform = open_project(root, environment, whole=False)
    from data_platform.sync.keys_kept import copy

    with progress("copying the keystore"):
        made = copy(platform)
    say(f"{made.copy.path}: {plural(made.subjects, 'key')}.")
    if made.removed and (rule := _rule(platform)):
        say(f"{plural(len(made.removed), 'copy')} older than {plural(rule.keep_days, 'day')} removed.")


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A copy that `keystore backup` made.")],
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Add the keys of a copy that the keystore lacks. A key that was destroyed in the keystore stays destroyed."""
    platform = open_project(root, environment, whole=False)
    from data_platform.keystore.copies import restore as restored
    from data_platform.sync.keys_kept import record

    count = restored(platform.keystore(), file)
    record(platform, "restored", count)
    say(f"{plural(count, 'key')} added to {platform.keystore().place}.")


@app.command("rotate")
def rotate(environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """Wrap every key under a new wrapping key of the present master. Syncs may go on meanwhile.

    To change the master, name the one before as `previous_master`; take it out once this command is done. Copies made before
    open under the master of then only.
    """
    platform = open_project(root, environment, whole=False)
    from data_platform.sync.keys_kept import record

    with progress("wrapping keys"):
        count = platform.keystore().rotate()
    record(platform, "rotated", count)
    say(f"{plural(count, 'key')} wrapped by {platform.keystore().status().master}.")
    remark("Make a copy now: `data-platform keystore backup`. Copies made before need the master of then.")


def _rule(platform: Platform) -> KeystoreBackups | None:
    config = platform.environment.keystore
    return config.backups if config is not None else None
