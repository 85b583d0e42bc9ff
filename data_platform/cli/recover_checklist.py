"""``recover --checklist``: every secret that a restore needs, tried before it is needed."""

from __future__ import annotations

from pathlib import Path

import typer

from data_platform.cli.options import open_project
from data_platform.cli.output import plural, remark, say_error, say_json, say_table
from data_platform.errors import BackupError


def tell(*, json: bool, environment: str | None, root: Path | None) -> None:
    """Print each secret and whether it works, never its value; exit code 8 if one does not."""
    platform = open_project(root, environment)
    from data_platform.sync.checklist import checklist as look

    found = look(platform)
    bad = [one for one in found if not one.good]
    if json:
        say_json(
            {
                "ok": not bad,
                "secrets": [
                    {
                        "name": one.name,
                        "variables": dict(one.variables),
                        "state": one.state,
                        "detail": one.detail,
                    }
                    for one in found
                ],
            }
        )
    else:
        say_table(
            ["what", "state", "variables"],
            [
                (
                    one.name,
                    one.state,
                    ", ".join(
                        f"{name} ({'set' if there else 'NOT SET'})" for name, there in one.variables.items()
                    ),
                )
                for one in found
            ],
        )
        for one in bad:
            say_error(f"{one.name}: {one.detail}")
        remark(
            f"{plural(len(found) - len(bad), 'item')} in order, {len(bad)} not. Keep a copy of every secret where it survives the"
            " loss of this machine."
        )
    if bad:
        raise typer.Exit(BackupError.exit_code)
