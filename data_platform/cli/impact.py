"""``impact``: what depends on a column, and what a change of the project changes. No warehouse and no source is asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, project
from data_platform.cli.output import progress, say, say_json
from data_platform.errors import ConfigurationError

if TYPE_CHECKING:
    from data_platform.impact.graph import Graph
    from data_platform.impact.words import Section


def impact(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TABLE[.COLUMN]]",
            help="A table of a source or a column of it (shop.orders.revenue), a model or a column of it"
            " (marts.order_facts.revenue).",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="REVISION", help="Instead: what was added, removed and changed since this revision of git."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="REVISION", help="Up to this revision. Default: the files as they are."),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a comment on a pull request.")
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:  # fmt: skip
    """Show what depends on a column: columns, models, checks, exports and dashboards.

    With --since, show what differs between two revisions of the project, and what depends on what was
    removed or changed. dbt compiles the models for this, which takes some seconds; nothing is run.
    """
    if (target is None) == (since is None):
        raise ConfigurationError("Name a table or a column, or give --since and a revision.")
    if until is not None and since is None:
        raise ConfigurationError("--until goes with --since.")
    if json and markdown:
        raise ConfigurationError("Give either --json or --markdown.")
    folder = project(root)
    if target is not None:
        _of(folder, environment, target, json=json, markdown=markdown)
    else:
        _between(folder, environment, str(since), until, json=json, markdown=markdown)


def _of(folder: Path, environment: str | None, target: str, *, json: bool, markdown: bool) -> None:
    from data_platform.column_lineage import ColumnOf
    from data_platform.impact import words
    from data_platform.impact.downstream import downstream

    graph = graph_of(folder, environment)
    relation, column = graph.find(target)
    columns = relation.columns if column is None else (column,)
    found = downstream(graph, [ColumnOf(*relation.key, name) for name in columns])
    title = f"What depends on {relation.label}" + (f".{column}" if column else "")
    if json:
        say_json({"ok": True, **words.impact_fields(found)})
    else:
        _tell(title, words.impact_sections(found), markdown, "Nothing depends on it.")


def _between(
    folder: Path, environment: str | None, since: str, until: str | None, *, json: bool, markdown: bool
) -> None:
    from data_platform.impact import words
    from data_platform.impact.difference import difference
    from data_platform.impact.revision import checked_out

    with ExitStack() as stack:
        before = graph_of(stack.enter_context(checked_out(folder, since)), environment, f"compiling {since}")
        now = stack.enter_context(checked_out(folder, until)) if until is not None else folder
        after = graph_of(now, environment, f"compiling {until or 'the files as they are'}")
    found = difference(before, after)
    if json:
        say_json({"ok": True, "since": since, "until": until, **words.difference_fields(found)})
    else:
        title = f"What changes from {since} to {until or 'the files as they are'}"
        _tell(title, words.difference_sections(found), markdown, "Nothing changes.")


def graph_of(folder: Path, environment: str | None, doing: str = "compiling the models") -> Graph:
    """Columns and what depends on them. dbt compiles the models for it."""
    import os

    from data_platform.catalog import load_catalog
    from data_platform.defs.dbt_compiled import compile_models
    from data_platform.impact.build import build

    with progress(doing):
        catalog = load_catalog(folder)
        compiled = compile_models(folder)
        chosen = environment or os.environ.get("DATA_PLATFORM_ENV") or "local"
        return build(catalog, chosen, compiled.manifest, compiled.sql)


def _tell(title: str, sections: Sequence[Section], markdown: bool, nothing: str) -> None:
    if markdown:
        from data_platform.impact.words import markdown as rendered

        typer.echo(rendered(title, sections))
        return
    say(title, style="bold")
    for heading, lines in sections:
        say()
        say(f"{heading} ({len(lines):,})", style="bold")
        for line in lines:
            say("  " + line)
    if not sections:
        say("  " + nothing)
