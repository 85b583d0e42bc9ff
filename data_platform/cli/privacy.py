"""``privacy``: what the platform knows of personal data, as a paper."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, project
from data_platform.cli.options import output as output_option
from data_platform.cli.output import plural, progress, remark, say, say_json
from data_platform.errors import ConfigurationError

app = typer.Typer(help="Papers about personal data.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """With one command alone, Typer would leave out its name."""


@app.command()
def report(
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write this file instead of printing it.")
    ] = None,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Write the record of processing activities (GDPR, Art. 30) from the catalog: Markdown, or JSON with --json.

    No source and no warehouse is asked. dbt compiles the models once for each state of the project.
    """
    folder = project(root)
    if output is not None:
        output_option(output, "--output")
    from data_platform.catalog import load_catalog
    from data_platform.defs.classes import classes_of
    from data_platform.governance.report import record
    from data_platform.governance.words import markdown

    with progress("compiling the models"):
        catalog = load_catalog(folder)
        chosen = catalog.environment(environment or os.environ.get("DATA_PLATFORM_ENV") or "local")
        made = record(catalog, chosen, classes_of(catalog), datetime.now(UTC))
    if output is None:
        if json:
            say_json({"ok": True, **made})
        else:
            typer.echo(markdown(made), nl=False)
        return
    import json as encoder

    text = encoder.dumps(made, indent=2, ensure_ascii=False) + "\n" if json else markdown(made)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written: {error.strerror}.") from None
    say(f"wrote {output}")
    if made["gaps"]:
        remark(f"{plural(len(made['gaps']), 'gap')}: see the end of it.")
