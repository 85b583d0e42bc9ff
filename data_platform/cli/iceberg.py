"""``iceberg``: exports what has changed of the chosen tables for the engines of others."""

from __future__ import annotations

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project
from data_platform.cli.output import error_fields, plural, progress, remark, say, say_error, say_json
from data_platform.errors import ExportFailed


def iceberg(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """Export what has changed of the tables that `iceberg:` names, and read it back."""
    platform = open_project(root, environment)
    from data_platform.sync.iceberg import export, withheld

    with progress("exporting") as bars:
        found = []
        for one in export(platform):
            found.append(one)
            if not isinstance(one, ExportFailed):
                bars.part(f"{one.schema}.{one.table}", one.rows, 0)
    done = [one for one in found if not isinstance(one, ExportFailed)]
    failed = [one for one in found if isinstance(one, ExportFailed)]
    apart = withheld(platform)
    if json:
        say_json(
            {
                "ok": not failed,
                "withheld": apart,
                "tables": [
                    {
                        "table": f"{one.schema}.{one.table}",
                        "rows": one.rows,
                        "changed": one.changed,
                        "snapshot": str(one.snapshot),
                    }
                    for one in done
                ],
                "failed": [error_fields(error) for error in failed],
            }
        )
    else:
        for one in done:
            what = "exported and read back" if one.changed else "unchanged"
            say(f"{one.schema}.{one.table}: {plural(one.rows, 'row')}, {what}, snapshot {one.snapshot}")
        if apart:
            remark(f"Not exported, since they are made for another purpose: {', '.join(apart)}.")
        for error in failed:
            say_error(str(error))
    if failed:
        raise typer.Exit(ExportFailed.exit_code)
