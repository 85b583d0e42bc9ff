"""``backup reencrypt``: encrypts what is in the backup stores for today's recipients, after a change of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import plural, progress, remark, say, say_error, say_json
from data_platform.errors import BackupError

if TYPE_CHECKING:
    from data_platform.backups.reencrypt import Reencrypted

SHOWN = 5


def add_to(app: typer.Typer) -> None:
    app.command("reencrypt")(reencrypt)


def reencrypt(
    yes: Annotated[
        bool, typer.Option("--yes", help="Rewrite the objects instead of only counting them.")
    ] = False,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Rewrite every object, those too that one of today's identities opens. Requires --yes.",
        ),
    ] = False,
    copy: Annotated[
        str | None,
        typer.Option(
            "--copy", metavar="NAME", help="Only this backup store. Default: all.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Encrypt again, for today's recipients, what no identity of today's opens. Then the old identity can go."""
    if every and not yes:
        raise typer.BadParameter("--all requires --yes.")
    platform = open_project(root, environment)
    from data_platform.sync.reencrypt import due
    from data_platform.sync.reencrypt import reencrypt as encrypt_again

    if yes:
        with progress("encrypting") as bars:
            found = encrypt_again(platform, copy, every=every, progress=lambda key: bars.part(key, 0, 0))
    else:
        found = due(platform, copy)
    left = [one for archive in found for one in archive.left]
    if json:
        say_json({"ok": not left, "rewritten": yes, "archives": [_fields(one) for one in found]})
    else:
        for one in found:
            _tell(one, yes)
    if left:
        raise typer.Exit(BackupError.exit_code)


def _tell(found: Reencrypted, done: bool) -> None:
    head = f"{found.archive}: {plural(found.objects, 'object')}"
    if not done:
        say(f"{head}, {len(found.due):,} of them need an identity from before or are not encrypted")
        for key in found.due[:SHOWN]:
            say(f"  {key}")
        if found.due:
            remark("  --yes encrypts them again")
        return
    say(f"{head}, {found.rewritten:,} of them encrypted again and read back")
    for one in found.left:
        say_error(f"{one.key}: {one.why}")


def _fields(found: Reencrypted) -> dict[str, Any]:
    return {
        "archive": found.archive,
        "objects": found.objects,
        "due": len(found.due),
        "rewritten": found.rewritten,
        "left": [
            {"key": one.key, "why": one.why, "until": one.until.isoformat() if one.until else None}
            for one in found.left
        ],
    }
