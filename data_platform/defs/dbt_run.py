"""One run of dbt against the environment's warehouse, and the metadata of its tables.

``dbt.py`` defines the models, ``automation.py`` decides when they run.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import dagster as dg
from packaging.version import Version

from data_platform.defs.check_results import days_facts
from data_platform.defs.classes import classes_of, column_tags, described_as, known_classes, undeclared
from data_platform.defs.dbt_days import days_of, partitioned
from data_platform.defs.dbt_environment import only, passed_on
from data_platform.defs.dbt_folders import folder_of, sweep
from data_platform.defs.dbt_library import (
    DagsterDbtCliRuntimeError,
    DagsterDbtTranslator,
    DbtCliInvocation,
    DbtCliResource,
)
from data_platform.defs.dbt_lineage import ColumnLineage
from data_platform.defs.dbt_manifest import parsed
from data_platform.defs.dbt_results import Results, owned, read_results
from data_platform.defs.dbt_words import Engine, error_sentence, output
from data_platform.defs.purposes import earlier_totals, misdeclared, take_out_after
from data_platform.errors import DataPlatformError
from data_platform.governance.classes import Classes
from data_platform.quality.evaluated import days_named
from data_platform.sync import Platform
from data_platform.sync.consent.table import write_decisions
from data_platform.warehouses import Relation, Warehouse
from data_platform.warehouses.counted import count_rows

WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")


class DbtCli(DbtCliResource):
    """dbt as a child process and nothing of it in this one.

    Dagster's own resource asks the executable for its version (3 CPU-s) and builds an adapter
    here (5 CPU-s) to read row counts with, which spins on a core until dbt is done and keeps the
    warehouse's file open afterwards. ``described`` reads them over one connection instead.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def cli(
        self, *args: Any, variables: Mapping[str, str] | None = None, **arguments: Any
    ) -> DbtCliInvocation:
        """Like the base class, but dbt's process gets only ``variables`` and those that the project names."""
        given = {**passed_on(parsed(Path(self.project_dir)), os.environ), **(variables or {})}
        with only(given):
            return super().cli(*args, **arguments)

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        return None


@dataclass(frozen=True, slots=True)
class ModelRelation:
    """The place of a model in the warehouse; ``descriptions`` are those of its documented columns."""

    schema: str
    name: str
    is_view: bool
    descriptions: Mapping[str, str]


class Models:
    """The manifest's models by asset key."""

    def __init__(self, manifest: Mapping[str, Any], translator: DagsterDbtTranslator) -> None:
        self.manifest, self.translator = manifest, translator
        self.nodes = {
            translator.get_asset_key(node): node
            for node in manifest["nodes"].values()
            if node["resource_type"] in ("model", "snapshot", "seed")
        }

    @cached_property
    def by_relation(self) -> Mapping[tuple[str, str], dg.AssetKey]:
        """The models' and the sources' keys by schema and name in the warehouse, in lower case."""
        sources = {
            (source["schema"].lower(), source["identifier"].lower()): self.translator.get_asset_key(source)
            for source in self.manifest["sources"].values()
        }
        return sources | {
            (node["schema"].lower(), node["alias"].lower()): key for key, node in self.nodes.items()
        }

    @cached_property
    def tests_apart(self) -> frozenset[str]:
        """The ids of tests that belong to no model, so that no asset check reports them."""
        nodes = self.manifest["nodes"].items()
        return frozenset(id_ for id_, node in nodes if node["resource_type"] == "test" and not owned(node))

    def relation(self, key: dg.AssetKey) -> ModelRelation | None:
        node = self.nodes.get(key)
        return node and ModelRelation(
            node["schema"],
            node["alias"],
            node["config"]["materialized"] == "view",
            {name: column.get("description") or "" for name, column in node["columns"].items()},
        )

    def place(self, key: dg.AssetKey) -> tuple[str, str] | None:
        """Its schema and name in the warehouse, in lower case."""
        node = self.nodes.get(key)
        return (node["schema"].lower(), node["alias"].lower()) if node else None

    def above(self, keys: Collection[dg.AssetKey]) -> set[dg.AssetKey]:
        """The models upstream of ``keys``, at any distance, without ``keys``."""
        by_id = {node["unique_id"]: key for key, node in self.nodes.items()}
        seen = set(keys)
        waiting = [self.nodes[key]["unique_id"] for key in keys if key in self.nodes]
        while waiting:
            for parent in self.manifest["parent_map"].get(waiting.pop(), ()):
                key = by_id.get(parent)
                if key is not None and key not in seen:
                    seen.add(key)
                    waiting.append(parent)
        return seen - set(keys)


def build(
    context: dg.AssetExecutionContext,
    dbt: DbtCli,
    platform: Platform,
    models: Models,
    excluded: Sequence[str],
) -> Iterator[Any]:
    """Build and test the selected models, but first build their upstream models that do not exist yet: a
    model only follows its own tables, and a new warehouse does not have all of them. ``excluded`` are arguments that
    leave out models that are in the project and not in the graph."""
    variables = platform.environment.warehouse.dbt_variables(platform.catalog.root)
    if platform.catalog.asks_consent():
        write_decisions(platform)  # a new warehouse, or one from a backup, has not all of them
    wanted = {one for key in context.selected_asset_keys if (one := models.place(key)) is not None}
    if (stopped := undeclared(classes_of(platform.catalog).faults, wanted)) is not None:
        raise stopped
    sweep(context.instance, Path(dbt.project_dir) / "target")
    missing = not_there(platform, models, models.above(context.selected_asset_keys))
    wanted |= {one for key in missing if (one := models.place(key)) is not None}
    if (stopped := undeclared(misdeclared(platform.catalog), wanted)) is not None:
        raise stopped
    if missing:
        names = [models.nodes[key]["name"] for key in missing]
        context.log.info(f"building first the upstream models that do not exist yet: {', '.join(names)}")
        first = dbt.cli(
            ["build", *WITHOUT_TESTS, "--select", " ".join(names)],
            variables=variables,
            manifest=models.manifest,
            target_path=folder_of(context.run.run_id, "first"),
        )
        try:
            with output_without_values(platform.environment.warehouse):
                first.wait()
        except DagsterDbtCliRuntimeError:
            raise failure_of(first, platform, models, checks=()) or dg.Failure(
                "dbt failed: see its output."
            ) from None
        lineage = ColumnLineage(models, first.target_path)
        classes = known_classes(platform.catalog)
        with platform.warehouse(read_only=True) as warehouse:
            there = relations(warehouse)
            for key in missing:
                yield dg.AssetMaterialization(
                    key,
                    metadata=relation_metadata(warehouse, models.relation(key), there, classes)
                    | lineage.metadata(warehouse, key),
                )
    invocation = dbt.cli(["build", *excluded], variables=variables, context=context)
    yield from described(context, invocation, platform, models)


def not_there(platform: Platform, models: Models, keys: Collection[dg.AssetKey]) -> list[dg.AssetKey]:
    if not keys:
        return []
    with platform.warehouse(read_only=True) as warehouse:
        there = {(relation.schema, relation.name) for relation in warehouse.describe()}
    wanted = {key: models.relation(key) for key in sorted(keys)}
    return [key for key, r in wanted.items() if r and (r.schema, r.name) not in there]


def described(
    context: dg.AssetExecutionContext,
    invocation: DbtCliInvocation,
    platform: Platform,
    models: Models,
) -> Iterator[Any]:
    """dbt's events, after dbt has ended and closed the file and people without consent were taken out, with added rows, columns, column lineage, and our
    own sentence about each failing test. If dbt failed, its events are reported before the failure is
    raised. The failure does not contain dbt's output, which may quote rows."""
    done: list[Any] = []
    failed = False
    try:
        with output_without_values(platform.environment.warehouse):
            done.extend(invocation.stream())
    except DagsterDbtCliRuntimeError:
        failed = True
    built = {one for key in context.selected_asset_keys if (one := models.place(key)) is not None}
    gone: Mapping[tuple[str, str], int] = {}
    with suppress(*[DataPlatformError] * failed):  # what dbt says is the reason then
        gone = take_out_after(platform, models.manifest, built)
    lineage = ColumnLineage(models, invocation.target_path)
    engine, classes = platform.environment.warehouse, known_classes(platform.catalog)
    results = read_results(invocation.target_path, models.manifest, engine)
    checks = {test_id(event) for event in done if isinstance(event, dg.AssetCheckResult)}
    by_day = partitioned(results.queries.keys() & checks, models.manifest, platform.catalog.models)
    if by_day or any(isinstance(event, dg.Output) for event in done):
        with platform.warehouse(read_only=True) as warehouse:
            there = relations(warehouse)
            days = {
                id_: days_of(warehouse, held, models.manifest, id_, results.queries[id_])
                for id_, held in by_day.items()
            }
            for event in done:
                metadata: dict[str, Any] = {}
                if isinstance(event, dg.AssetCheckResult):
                    yield in_words(event, results, days.get(test_id(event)))
                    continue
                if isinstance(event, dg.Output):
                    key = context.asset_key_for_output(event.output_name)
                    metadata = relation_metadata(warehouse, models.relation(key), there, classes)
                    metadata |= lineage.metadata(warehouse, key)
                    if rows := gone.get(models.place(key) or ("", "")):
                        metadata["rows_without_consent_removed"] = rows
                    metadata |= earlier_totals(models.nodes[key])
                yield event.with_metadata({**event.metadata, **metadata}) if metadata else event
    else:
        for event in done:
            yield in_words(event, results) if isinstance(event, dg.AssetCheckResult) else event
    if failed and (failure := failure_of(invocation, platform, models, checks)) is not None:
        raise failure


def failure_of(
    invocation: DbtCliInvocation, platform: Platform, models: Models, checks: Collection[str]
) -> dg.Failure | None:
    """``checks`` are the ids of the tests that are reported as asset checks."""
    names = {node["unique_id"]: key.to_user_string() for key, node in models.nodes.items()}
    engine = platform.environment.warehouse
    results = read_results(invocation.target_path, models.manifest, engine)
    said = [error_sentence(message, engine) for message in invocation._error_messages]
    return results.failure(names, checks, models.tests_apart, said)


def test_id(result: dg.AssetCheckResult) -> str:
    """The id of the dbt test behind a check."""
    value = (result.metadata or {})["unique_id"]
    return str(value.value if isinstance(value, dg.MetadataValue) else value)


def in_words(
    result: dg.AssetCheckResult, results: Results, days: Mapping[str, int] | None = None
) -> dg.AssetCheckResult:
    """``days``: how much fails on each day, if that is known."""
    said = results.sentences.get(test_id(result))
    if result.passed or said is None:
        return result
    more = days_facts(days) if days else {}
    return dg.AssetCheckResult(
        passed=False,
        asset_key=result.asset_key,
        check_name=result.check_name,
        metadata={**result.metadata, **more},
        severity=result.severity,
        description=f"{said} {days_named(days).removeprefix(', ').capitalize()}." if days else said,
    )


def relations(warehouse: Warehouse) -> Mapping[tuple[str, str], Relation]:
    """Relations by schema and name, in lower case. The engine takes as long to describe one as to describe all."""
    return {(found.schema.lower(), found.name.lower()): found for found in warehouse.describe()}


def relation_metadata(
    warehouse: Warehouse,
    relation: ModelRelation | None,
    there: Mapping[tuple[str, str], Relation],
    classes: Classes,
) -> dict[str, Any]:
    """The columns with their classes, and the row count unless it is a view; nothing if the model does not exist."""
    found = there.get((relation.schema.lower(), relation.name.lower())) if relation else None
    if relation is None or found is None:
        return {}
    tags = column_tags(classes, relation.schema, relation.name)
    columns = [
        dg.TableColumn(name, type_, described_as(relation.descriptions.get(name, ""), held), tags=held)
        for name, type_ in found.columns
        for held in [tags.get(name.lower(), {})]
    ]
    metadata: dict[str, Any] = {
        "dagster/table_name": f"{relation.schema}.{relation.name}",
        "dagster/column_schema": dg.TableSchema(columns=columns),
    }
    if not relation.is_view:
        metadata["dagster/row_count"] = count_rows(warehouse, relation.schema, relation.name)
    return metadata


@contextmanager
def output_without_values(engine: Engine) -> Iterator[None]:
    """Copies dbt's output into the run's output, without text that may quote a row. dagster-dbt writes one event at a
    time."""
    with redirect_stdout(_Output(sys.stdout, engine)):
        yield


class _Output(io.TextIOBase):
    def __init__(self, stream: TextIO, engine: Engine) -> None:
        self._stream, self._engine = stream, engine

    def write(self, text: str) -> int:
        self._stream.write(output(text, self._engine))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()
