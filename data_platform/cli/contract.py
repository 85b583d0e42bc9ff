"""``contract``: what the catalog promises as a data contract of the Open Data Contract Standard (ODCS v3), and one as YAML of the catalog."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_platform.cli.options import EnvironmentOption, RootOption, open_project
from data_platform.cli.output import remark, say
from data_platform.errors import ConfigurationError, DataPlatformError

if TYPE_CHECKING:
    from data_platform.quality.contract.read import Imported
    from data_platform.quality.contract.write import Promised
    from data_platform.sync import Platform

app = typer.Typer(name="contract", help="Data contracts (ODCS v3): written and read.", no_args_is_help=True)
RAW = "raw_"


@app.command("export")
def export(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE[/TABLE]|MODEL]...",
            help="Sources, tables, and models that have a block in catalog/models. Default: all of them.",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="The contract's name, which its id is made of.")
    ] = "data-platform",
    version: Annotated[str, typer.Option("--version", help="The contract's version.")] = "1.0.0",
    offline: Annotated[
        bool, typer.Option("--offline", help="Without the columns' types, which only the warehouse knows.")
    ] = False,
    environment: EnvironmentOption = None,
    root: RootOption = None,
) -> None:
    """Print a data contract: columns, keys, owners and rules."""
    _check_installed()
    platform = open_project(root, environment)
    from data_platform.quality.contract.write import contract

    found = list(_promised(platform, targets))
    if not offline:
        found = _typed(platform, found)
    say(contract(name, version, found).to_yaml().rstrip())


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A data contract of ODCS v3, in YAML.")],
    schema: Annotated[
        str | None,
        typer.Option("--schema", help="The schema of relations whose `physicalName` names none."),
    ] = None,
) -> None:
    """Print a data contract as YAML of the catalog: blocks of tables of a source, or of dbt models.

    What became no rule is said on standard error.
    """
    _check_installed()
    from data_platform.quality.contract.read import read_contract

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}."
        ) from None
    by_schema: dict[str, list[Imported]] = {}
    for one in read_contract(text):
        by_schema.setdefault(one.schema or schema or "marts", []).append(one)
        for why in one.left_out:
            remark(f"{one.name}: {why}", style="yellow")
    say("\n".join(_rendered(name, found) for name, found in by_schema.items()).rstrip())


def _check_installed() -> None:
    if importlib.util.find_spec("open_data_contract_standard") is None:
        raise ConfigurationError(
            "The library of the standard is not installed. Install this package with its extra `odcs`: pip install"
            " 'data-platform[odcs]'."
        )


def _promised(platform: Platform, targets: Sequence[str] | None) -> Iterable[Promised]:
    from data_platform.quality.contract.write import Promised

    wanted, met = set(targets or ()), set()
    for table in (one for source in platform.catalog.sources.values() for one in source.tables.values()):
        names = {table.id.source, str(table.id)}
        met |= names & wanted
        if not wanted or names & wanted:
            yield Promised(
                table.id.raw_schema,
                table.id.table,
                table.description,
                table.owner,
                table.key,
                table.columns,
                {},
                {column: table.personal[column] for column in table.treated},
                table.rules,
                table.partition,
            )
    for model in platform.catalog.models.values():
        names = {model.name, f"{model.schema_}.{model.name}"}
        met |= names & wanted
        if not wanted or names & wanted:
            yield Promised(
                model.schema_,
                model.name,
                owner=model.owner,
                key=model.key,
                rules=model.rules,
                partition=model.partition,
            )
    if unknown := sorted(wanted - met):
        raise ConfigurationError(
            f"The catalog has no source, table or model {', '.join(unknown)}. A model needs a block in catalog/models."
        )


def _typed(platform: Platform, found: Sequence[Promised]) -> list[Promised]:
    """With the types of those that the warehouse holds."""
    try:
        with platform.warehouse(read_only=True) as warehouse:
            held = {(one.schema, one.name): dict(one.columns) for one in warehouse.describe()}
    except DataPlatformError as error:
        remark(f"The columns have no types: {error}")
        return list(found)
    return [replace(one, types=held.get((one.schema, one.name), {})) for one in found]


def _rendered(schema: str, found: Sequence[Imported]) -> str:
    import yaml

    blocks: dict[str, Any] = {}
    body: dict[str, Any]
    for one in found:
        block = dict(one.block)
        if not schema.startswith(RAW):
            block = {key: value for key, value in block.items() if key in ("key", "partition", "rules")}
        blocks[one.name] = block
    if schema.startswith(RAW):
        head, body = f"# catalog/sources/{schema.removeprefix(RAW)}.yaml", {"tables": blocks}
    else:
        head, body = f"# catalog/models/{schema}.yaml", {"schema": schema, "models": blocks}
    return f"{head}\n{yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120)}"
