"""``validate`` checks the catalog; ``discover`` drafts the file of a source from what the source says."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from data_platform.cli.options import EnvironmentOption, JsonOption, RootOption, open_project, project
from data_platform.cli.options import output as output_option
from data_platform.cli.output import plural, progress, remark, say, say_error, say_json
from data_platform.errors import CatalogError, ConfigurationError

MISTAKES_EXIT_CODE = CatalogError.exit_code
SCHEMA_BYTES_MAX = 63
"""PostgreSQL's limit for a name."""
LEFT_OUT = re.compile(r"^  # (.+?) is left out: ", re.MULTILINE)
NAMED_MAX = 10
HOW_TO_CONFIRM = (
    "remove the question mark, or write another treatment: hash, mask, redact, or keep if the values may land"
    " unchanged. Until then, each guess is applied."
)


def validate(
    named: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE]...", help="With --connect, check only these sources. Default: all."),
    ] = None,
    connect: Annotated[
        bool,
        typer.Option("--connect", help="Also check each source: tables, columns, keys, types, rights."),
    ] = False,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Write the files generated from the catalog: dbt sources and the JSON Schemas."
        ),
    ] = False,
    check_generated: Annotated[
        bool,
        typer.Option(
            "--check-generated", help="Report an outdated or missing generated file as a mistake (for CI)."
        ),
    ] = False,
    models: Annotated[
        bool,
        typer.Option(
            "--models",
            help="Also compile the dbt models, which takes seconds, and report each column that is made of personal columns and does"
            " not declare its class, each model that declares a purpose and does not ask for consent, and each personal column of which"
            " `publish:` or `iceberg:` does not say that it may leave.",
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Report an unconfirmed guess as a mistake (for CI)."),
    ] = False,
    json: JsonOption = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Check the catalog. Every mistake is reported at once, with its file, its path and what to do.

    Without --connect, no source is contacted and no secret is read. All files of the catalog are always checked
    together.
    """
    if named and not connect:
        raise typer.BadParameter(
            "SOURCE requires --connect: the catalog's files are always checked together."
        )
    from data_platform.catalog import load_catalog
    from data_platform.cli.generated import differences, write_all

    folder = project(root)
    mistakes: list[str] = []
    notes: list[str] = []
    questions: list[str] = []
    written: list[str] = []
    outdated: list[str] = []
    sources = tables = 0
    try:
        catalog = load_catalog(folder)
    except CatalogError as error:
        mistakes += error.mistakes
    else:
        for name in named or ():
            catalog.source(name)
        sources, tables = len(catalog.sources), len(catalog.table_ids())
        if write:
            written = write_all(catalog)
        outdated = differences(catalog)
        questions += catalog.questions
        if strict:
            mistakes += catalog.questions
        if check_generated:
            mistakes += outdated
        if models:
            from data_platform.defs.classes import classes_of
            from data_platform.defs.purposes import misdeclared, not_said_in

            with progress("compiling the models"):
                mistakes += [fault.text for fault in (*classes_of(catalog).faults, *misdeclared(catalog))]
                mistakes += not_said_in(catalog)
        if connect:
            from data_platform.sync.sources import check_sources

            with progress("checking the sources"):
                found = check_sources(open_project(folder, environment), named)
            mistakes += found.mistakes
            notes += found.notes

    if json:
        say_json(
            {
                "ok": not mistakes,
                "sources": sources,
                "tables": tables,
                "connected": connect,
                "mistakes": mistakes,
                "questions": questions,
                "notes": notes,
                "outdated": outdated,
                "written": written,
            }
        )
    else:
        for path in written:
            say(f"wrote {path}")
        for question in () if strict else questions:
            remark(f"question: {question}")
        for note in notes:
            remark(f"note: {note}")
        for mistake in mistakes:  # last, after the less urgent lines
            say_error(mistake)
        if questions:
            remark(f"{plural(len(questions), 'guess')} to confirm: {HOW_TO_CONFIRM}")
        if mistakes:
            remark(f"{plural(len(mistakes), 'mistake')} in the catalog.", style="bold")
        else:
            seen = f" and agrees with {the_sources(named)}" if connect else ""
            say(f"The catalog is valid{seen}: {plural(sources, 'source')}, {plural(tables, 'table')}.")
            for difference in outdated:
                remark(difference)
    if mistakes:
        raise typer.Exit(MISTAKES_EXIT_CODE)


def the_sources(named: Collection[str] | None) -> str:
    return f"the {plural(len(named), 'source').split()[1]} {', '.join(named)}" if named else "the sources"


def discover(
    source: Annotated[
        str, typer.Option("--source", metavar="NAME", help="Name of the new source in the catalog.")
    ],
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="Kind of the source. Default: postgres."),
    ] = None,
    url_env: Annotated[
        str | None,
        typer.Option(
            "--url-env",
            metavar="VARIABLE",
            help="Environment variable that holds the URL of a database (postgresql://...).",
        ),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema", metavar="NAME", help="Schema of a database whose tables are drafted. Default: public."
        ),
    ] = None,
    rest: Annotated[
        str | None,
        typer.Option(
            "--rest",
            metavar="URL",
            help="URL of a REST API's endpoint or OpenAPI document; short for --kind rest --set base_url=URL.",
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A key of the source's connection or file, as the catalog names it. Repeatable.",
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write catalog/sources/<source>.yaml instead of printing it.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write this file instead of printing it."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    root: RootOption = None,
) -> None:
    """Draft the catalog file of a source: keys, cursors, partitions, personal columns.

    A comment marks each guess. Only metadata is read, never a row.
    """
    if write and output is not None:
        raise typer.BadParameter("--write and --output both name the file; give only one of them.")
    folder = project(root)
    check_names(source, url_env, schema)
    keys = keys_given(given or ())
    if rest is not None:
        if kind not in (None, "rest"):
            raise typer.BadParameter(f"--rest drafts a source of the kind rest, and --kind says {kind}.")
        kind, keys["base_url"] = "rest", rest
    keys |= {key: value for key, value in (("url_env", url_env), ("schema", schema)) if value is not None}
    target = new_file(folder, source, overwrite) if write else output
    if target is not None:
        output_option(target, "--write" if write else "--output")
        if os.path.lexists(target) and not overwrite:
            raise ConfigurationError(f"{target} already exists: give --overwrite to replace it.")
    from data_platform.sync.sources import discover as draft

    with progress(f"drafting {source}"):
        text = draft(os.environ, source=source, kind=kind, root=folder, **keys)
    if target is None:
        print(text, end="" if text.endswith("\n") else "\n")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("w" if overwrite else "x", encoding="utf-8") as file:
            os.fchmod(
                file.fileno(), 0o644
            )  # it holds no secret, and a container image reads it as another account
            file.write(text)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}.") from None
    say(f"wrote {target}")
    tell_draft(text, source)


def tell_draft(text: str, source: str) -> None:
    """Summarize the new draft and say what to do next."""
    from data_platform.catalog.yaml_reader import read_yaml

    drafted = read_yaml(text).data
    tables = drafted.get("tables") or {} if isinstance(drafted, Mapping) else {}
    left_out = LEFT_OUT.findall(text)
    guesses = sum(
        str(treatment).endswith("?")
        for block in tables.values()
        for treatment in block.get("personal", {}).values()
    )
    if left_out:
        more = f" and {len(left_out) - NAMED_MAX} more" if len(left_out) > NAMED_MAX else ""
        remark(
            f"{plural(len(tables), 'table')} taken, {len(left_out)} left out, each with the reason:"
            f" {', '.join(left_out[:NAMED_MAX])}{more}."
        )
    else:
        remark(f"{plural(len(tables), 'table')} taken, none left out.")
    if guesses:
        remark(f"{plural(guesses, 'guess')} about personal data to confirm: {HOW_TO_CONFIRM}")
    remark(f"Read its comments, then: data-platform validate {source} --connect --write")


def keys_given(given: Sequence[str]) -> dict[str, str]:
    """``token_env=CRM_TOKEN`` as a key and its value. A text without ``=`` may be a secret, so it is not repeated."""
    keys = {}
    for text in given:
        key, equals, value = text.partition("=")
        if (
            not equals
            or not re.fullmatch(r"[a-z][a-z0-9_]*", key)
            or key in ("source", "kind", "environ", "root")
        ):
            raise typer.BadParameter("--set must be KEY=VALUE, such as --set token_env=CRM_TOKEN.")
        keys[key] = value
    return keys


def check_names(source: str, url_env: str | None, schema: str | None) -> None:
    """Refuse names that the catalog would not accept, before the source is contacted."""
    from data_platform.catalog.checks import RESERVED_SOURCES
    from data_platform.catalog.fields import NAME, NAME_LENGTH_MAX
    from data_platform.yaml_fields import VARIABLE

    if not re.fullmatch(NAME, source) or len(source) > NAME_LENGTH_MAX or source in RESERVED_SOURCES:
        raise ConfigurationError(
            f"--source must be a name of at most {NAME_LENGTH_MAX} lower-case letters, digits and single underscores that"
            f" starts with a letter, such as web_shop. It must not be any of {', '.join(RESERVED_SOURCES)}. The name becomes part of"
            " file, schema and asset names."
        )
    if url_env is not None and not re.fullmatch(VARIABLE, url_env):
        raise ConfigurationError(
            "--url-env must be the name of an environment variable: letters, digits and underscores, such as"
            " SHOP_DATABASE_URL. The URL itself stays in the environment."
        )
    if schema is not None and not (schema.isprintable() and 0 < len(schema.encode()) <= SCHEMA_BYTES_MAX):
        raise ConfigurationError(
            f"--schema must be the name of a schema in the database, of at most {SCHEMA_BYTES_MAX} bytes, spelled as in the"
            " database and without quotes."
        )


def new_file(folder: Path, source: str, overwrite: bool) -> Path:
    """The file of ``source``; ConfigurationError if another file already describes a source of that name."""
    from data_platform.catalog.yaml_reader import read_yaml

    target = folder / "catalog" / "sources" / f"{source}.yaml"
    for path in sorted(target.parent.glob("*.yaml")):
        try:
            data = read_yaml(path.read_text(encoding="utf-8-sig")).data
        except (OSError, UnicodeDecodeError):  # `validate` reports it
            continue
        if path != target and isinstance(data, Mapping) and data.get("source") == source:
            raise ConfigurationError(
                f"The source {source} is already described in {path}: choose another name with --source."
            )
    if overwrite and target.is_symlink():
        raise ConfigurationError(f"{target} is a symbolic link: remove it, or write elsewhere with --output.")
    return target
