"""Checks of an environment's ``runs``: what runs elsewhere could not reach, and resources for what is not there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path as ProjectPath

from data_platform.catalog.environment import EnvironmentSettings
from data_platform.catalog.mistakes import Report, did_you_mean
from data_platform.catalog.yaml_reader import Path
from data_platform.stores import StoreConfig
from data_platform.warehouses import OnDisk


def check_reach(
    environment: EnvironmentSettings,
    stores: Sequence[tuple[str, Path, StoreConfig]],
    report: Report,
    base: Path,
) -> None:
    """A pod's own disk is gone with the pod: what lands there is lost, and nobody else ever sees it. ``stores``: what
    each is, its path in the file, and its settings; ``base`` is the environment's path."""
    runs = environment.runs
    if runs.where != "pods" and runs.steps == "apart":
        report.add((*base, "runs", "steps"), "is only for `where: pods`; take the line out")
    if runs.where == "machine":
        return
    for path, what, instead in _on_disk(environment, stores):
        report.add(
            (*base, *path), f"{what}, and `runs.where: {runs.where}` shares no disk between runs: {instead}"
        )


def _on_disk(
    environment: EnvironmentSettings, stores: Sequence[tuple[str, Path, StoreConfig]]
) -> Iterator[tuple[Path, str, str]]:
    bucket = "put it into a bucket"
    for name, path, store in stores:
        if store.files(ProjectPath()):
            yield path, f"{name} is a folder of one machine", bucket
    warehouse, iceberg = environment.warehouse, environment.iceberg
    if warehouse.traits.in_files:
        service = "use a warehouse that is a service (docs/deploy.md)"
        yield ("warehouse",), "is a file of one machine", service
    elif isinstance(warehouse, OnDisk) and warehouse.on_this_machine:
        yield ("warehouse",), "has its files in a folder of one machine", bucket
    if environment.keystore is not None and environment.keystore.files(ProjectPath()):
        yield ("keystore",), "is a file of one machine", "use a keystore of the kind postgres"
    page = environment.status_page
    if page is not None and page.path is not None:
        yield (
            ("status_page", "path"),
            "is a file of one machine",
            "write `path: null`, and let `data-platform health --page` write it where people open it",
        )
    if iceberg is not None and "://" not in iceberg.location:
        yield ("iceberg", "location"), "is a folder of one machine", bucket


def check_synced(
    environments: Mapping[str, EnvironmentSettings], sources: Collection[str], report: Report
) -> None:
    """Resources for a source that is not there would silently be those of none."""
    for name, environment in environments.items():
        for source in environment.runs.sync:
            if source not in sources:
                report.add(
                    ("environments", name, "runs", "sync", source),
                    f"is not a source of the catalog.{did_you_mean(source, sources)} It has: {', '.join(sources) or 'none'}",
                )
