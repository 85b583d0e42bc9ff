"""``catalog/models/*.yaml``: what the company promises of its dbt models. A file a schema, a model a block.

dbt is not run and its project is not parsed. That a model exists is seen by its file, and its columns by the contract in dbt's YAML, where
each column has a ``data_type``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from pathlib import Path as ProjectPath
from typing import Annotated, Any

from pydantic import Field, create_model

from data_platform.catalog.checked_block import CheckedBlock, check_fields
from data_platform.catalog.fields import ColumnOrColumns, Owner
from data_platform.catalog.mistakes import Mistake, Report, did_you_mean, validated
from data_platform.catalog.rule_checks import check_fits, check_kinds_fit, check_names, reference_problem
from data_platform.catalog.ruled_models import RuledModel
from data_platform.catalog.source import Source
from data_platform.catalog.yaml_reader import Path
from data_platform.quality.kinds import names
from data_platform.quality.rules import Rule
from data_platform.warehouses import WarehouseConfig
from data_platform.yaml_fields import ColumnName, Frozen, Model

MODELS_FOLDER = "catalog/models"
DBT_FOLDERS = ("dbt/models", "dbt/snapshots", "dbt/seeds")
_SUFFIXES = (".sql", ".py", ".csv")


class ModelBlock(CheckedBlock):
    """A model's block."""

    owner: Owner | None = Field(default=None, description="Who answers for it. Default: the file's owner.")
    key: ColumnOrColumns = Field(
        default=(),
        description="The column, or list of columns, that tells a row: failing rows are named by it.",
    )
    partition: ColumnName | None = Field(
        default=None, description="The date or time column whose days a rule `per day` tests."
    )


class ModelsFile(Model):
    """A file of models."""

    schema_: str = Field(
        alias="schema",
        min_length=1,
        description="The schema of the models in the warehouse, such as `marts`.",
    )
    owner: Owner | None = Field(default=None, description="Who answers for the models of this file.")
    timezone: str = Field(default="UTC", description="The time zone of the days that a rule `per day` tests.")
    models: Annotated[Mapping[str, ModelBlock], Frozen] = Field(
        description="The models, each a block under its name in dbt."
    )


def models_file() -> type[ModelsFile]:
    """The model of a file of models, with the kinds of checks that there are."""
    return _models_file(names())


@cache
def _models_file(checks: tuple[str, ...]) -> type[ModelsFile]:
    """``checks`` are the kinds of checks that there are now: tests add one."""
    fields = check_fields(lambda kind: kind.of_models)
    block: Any = create_model("CheckedModelBlock", __base__=ModelBlock, __doc__=ModelBlock.__doc__, **fields)
    models = Field(description=ModelsFile.model_fields["models"].description)
    made: type[ModelsFile] = create_model(
        "CheckedModelsFile",
        __base__=ModelsFile,
        __doc__=ModelsFile.__doc__,
        models=(Annotated[Mapping[str, block], Frozen], models),
    )
    return made


def read_models(
    root: ProjectPath,
    warehouses: Mapping[str, WarehouseConfig],
    sources: Mapping[str, Source],
    read: Callable[[ProjectPath, str], Report | None],
    schema: Callable[[], Mapping[str, Any]],
    mistakes: list[Mistake],
) -> dict[str, RuledModel]:
    """The models of all files, by name. Mistakes are added to ``mistakes``."""
    folder = root / MODELS_FOLDER
    paths = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    known = _dbt_models(root) if paths else set()
    found: dict[str, RuledModel] = {}
    for path in paths:
        report = read(path, path.relative_to(root).as_posix())
        if report is None:
            continue
        file = validated(models_file(), report.document.data, schema, report)
        for name, block in (file.models if file is not None else {}).items():
            assert file is not None
            base = ("models", name)
            if name in found:
                report.add(base, "is in another file of models already; keep one of the two")
            elif name not in known:
                report.add(
                    base,
                    f"is no model of dbt: no file in {', '.join(DBT_FOLDERS)} has its name.{did_you_mean(name, known)}",
                )
            else:
                _check(block, report, base, known, warehouses, sources, _contract(root, name))
                found[name] = RuledModel(
                    schema_=file.schema_,
                    name=name,
                    owner=block.owner or file.owner,
                    key=block.key,
                    partition=block.partition,
                    timezone=file.timezone,
                    rules=block.rules,
                    checks=block.checks,
                )
        mistakes += report.mistakes.values()
    return found


def _check(
    block: ModelBlock,
    report: Report,
    base: Path,
    known: Collection[str],
    warehouses: Mapping[str, WarehouseConfig],
    sources: Mapping[str, Source],
    columns: Collection[str] | None,
) -> None:
    if report.has((*base, "rules")):
        return  # the positions of those that are right are not known
    placed = [(rule, position) for position, rule in enumerate(block.rules)]
    check_names(placed, report, base)
    check_fits(placed, warehouses, report, base)
    for rule, position in placed:
        path: Path = (*base, "rules", position)
        for problem in _problems(rule, block, known, sources):
            report.add(path, problem)
    check_kinds_fit(block, warehouses, report, base, of_model=True)
    if columns is None:
        return
    places: list[tuple[Path, tuple[str, ...]]] = [((*base, "rules", n), rule.columns) for rule, n in placed]
    places += [
        ((*base, "key"), block.key),
        ((*base, "partition"), (block.partition,) if block.partition else ()),
    ]
    places += [((*base, *one.key), (one.column,)) for one in block.checked_columns()]
    for path, named in places:
        for column in named:
            if column not in columns:
                near = did_you_mean(column, columns)
                report.add(path, f"names `{column}`, which is no column of the contract in dbt.{near}")


def _problems(
    rule: Rule, block: ModelBlock, known: Collection[str], sources: Mapping[str, Source]
) -> Iterator[str]:
    if rule.blocking:
        yield (
            "is `blocking`, which cannot hold: dbt builds a model and what follows from it in one run, before this rule is tested."
            " Take `blocking` away, or write a test of dbt, whose failure skips what follows"
        )
    if rule.form == "change":
        yield "compares a load with the one before it, and a model is built anew; test the raw table, or the rows `per day`"
    if rule.per_day and block.partition is None:
        yield "is tested `per day`, and the model has no `partition`; name one, or leave `per day` out"
    if rule.other is not None and not rule.other[0] and rule.other[1] not in known:
        near = did_you_mean(rule.other[1], known)
        yield f"references {rule.other[1]}, which is no model of dbt.{near} Write `source/table.column` for a raw table"
    if (problem := reference_problem(rule, None, {}, sources)) is not None:
        yield problem


def _dbt_models(root: ProjectPath) -> set[str]:
    files = (path for folder in DBT_FOLDERS for path in (root / folder).rglob("*"))
    return {path.stem for path in files if path.suffix in _SUFFIXES}


def _contract(root: ProjectPath, name: str) -> list[str] | None:
    """The columns of a model in dbt's YAML, if each has a type; None if there is no such contract."""
    import yaml

    mention = re.compile(rf"^\s*-?\s*name:\s*[\"']?{re.escape(name)}[\"']?\s*$", re.M)
    for path in (path for folder in DBT_FOLDERS for path in sorted((root / folder).rglob("*.y*ml"))):
        text = path.read_text(encoding="utf-8", errors="replace")
        if not mention.search(text):
            continue
        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError:
            continue  # dbt says what is wrong with it
        listed = data.get("models") if isinstance(data, dict) else None
        for model in listed if isinstance(listed, list) else ():
            if isinstance(model, dict) and model.get("name") == name:
                columns = [one for one in model.get("columns") or () if isinstance(one, dict)]
                typed = bool(columns) and all("data_type" in one for one in columns)
                return [str(one.get("name")) for one in columns] if typed else None
    return None
