"""``subject``: the people that the data is about. Where their rows are, and all of them as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data_platform.cli import subject_consent, subject_erase
from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project, output
from data_platform.cli.output import plural, remark, say, say_json, say_table
from data_platform.cli.subject_options import ByOption, EmailOption, KindOption, whom

app = typer.Typer(name="subject", help="The people that the data is about.", no_args_is_help=True)


@app.command("list")
def list_(json: JsonOption = False, environment: EnvironmentOption = None, root: RootOption = None) -> None:
    """List the kinds of people, by what they are found, and which tables hold their rows."""
    platform = open_project(root, environment, whole=False)
    subjects = platform.catalog.subjects
    unreached = [str(table) for table in platform.catalog.without_subject()]
    if json:
        kinds = [
            {
                "kind": one.name,
                "description": one.description,
                "lookups": {name: list(map(str, places)) for name, places in one.lookups.items()},
                "links": [{"child": str(link.child), "parent": str(link.parent)} for link in one.links],
                "tables": list(map(str, one.tables)),
            }
            for one in subjects.values()
        ]
        say_json({"kinds": kinds, "unreached": unreached})
        return
    if not subjects:
        say(
            "catalog/subjects.yaml is not there: nobody can be found yet. docs/subjects.md says how to write it."
        )
    for one in subjects.values():
        say(f"{one.name}: {one.description}" if one.description else one.name, style="bold")
        for name, places in one.lookups.items():
            say(f"  found by {name}: {', '.join(map(str, places))}")
        say_table(
            ["table", "its rows are a person's by"],
            [[str(table), ", ".join(map(str, one.links_of(table))) or "a lookup"] for table in one.tables],
        )

    if subjects and unreached:
        remark(
            f"Tables that declare personal columns and are reached by no link: {', '.join(unreached)}.",
            style="yellow",
        )


@app.command("find")
def find(
    email: EmailOption = None,
    by: ByOption = None,
    kind: KindOption = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Show in which tables a person's rows are, and how many. Values are never shown."""
    platform, subject, asked = whom(root, environment, kind, email, by)
    from data_platform.sync import subjects

    found = subjects.find(platform, subject, asked)
    if json:
        say_json(
            {
                "kind": subject.name,
                "rows": found.rows,
                "tables": [
                    {"table": str(one.table), "rows": one.rows, "by": list(one.by)} for one in found.tables
                ],
                "absent": list(map(str, found.absent)),
                "untagged": found.untagged,
            }
        )
        return
    say_table(
        ["table", "rows", "by"],
        [[str(one.table), f"{one.rows:,}", ", ".join(one.by)] for one in found.tables],
        right=["rows"],
    )
    if found.absent:
        remark(f"Nothing has been loaded yet of {', '.join(map(str, found.absent))}.")
    if found.untagged:
        remark(
            f"{plural(found.untagged, 'more row')} are found under the address without what is behind its plus sign. Add --email with"
            " that address if it is the same person's.",
            style="yellow",
        )
    remark(
        f"{plural(found.rows, 'row')} found." if found.rows else f"No row of such a {subject.name} was found."
    )


@app.command("export")
def export(
    into: Annotated[
        Path, typer.Option("--into", metavar="FOLDER", help="Folder that is made, with JSON and CSV a table.")
    ],
    email: EmailOption = None,
    by: ByOption = None,
    kind: KindOption = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Write all that is held of a person into a new folder, for a request of access.

    The files hold personal data. Only this account may read them: delete them once they were handed over.
    """
    platform, subject, asked = whom(root, environment, kind, email, by)
    output(into, "--into", folder=True)
    from data_platform.sync.subject_export import export as write

    done = write(platform, subject, asked, into)
    if json:
        say_json(
            {
                "kind": subject.name,
                "into": str(done.into),
                "rows": done.rows,
                "tables": {str(one.table): one.rows for one in done.tables},
            }
        )
        return
    say_table(
        ["table", "rows"],
        [[str(one.table), f"{one.rows:,}"] for one in done.tables if one.rows],
        right=["rows"],
    )
    remark(f"{plural(done.rows, 'row')} written into {done.into}. Delete the folder once it was handed over.")


subject_consent.add_to(app)
subject_erase.add_to(app)
