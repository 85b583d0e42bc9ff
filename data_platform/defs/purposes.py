"""The purposes of all models (``governance/purposes.py``) of a project, computed once for each state of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from data_platform.catalog import Catalog
from data_platform.column_lineage import ColumnOf
from data_platform.defs.dbt_compiled import compiled_models, keep, kept
from data_platform.defs.dbt_manifest import dbt_folder, digest_of_files, fresh, load_manifest, manifest_path
from data_platform.governance.classes import Fault, classes
from data_platform.governance.exports import unsaid_exports
from data_platform.governance.purposes import MODELS, purposes
from data_platform.impact.build import build
from data_platform.privacy.consent.config import Otherwise
from data_platform.privacy.consent.mart import PURPOSES
from data_platform.privacy.leaving import Carried, Name
from data_platform.privacy.purposes import CONSENTS, Exportable, Purposed, place_of, purposed
from data_platform.sync import Platform
from data_platform.sync.consented import take_out

NO_PROJECT: Mapping[str, Any] = {"metadata": {"adapter_type": "duckdb"}, "nodes": {}, "sources": {}}
VERSION = 1
"""Of what is kept: another one is computed again."""


def known_purposes(manifest: Mapping[str, Any]) -> Mapping[str, Otherwise]:
    """The purposes by which the project's models are made, with what holds for a person who never answered: the view ``consents`` says them,
    as the catalog that it was generated from did."""
    node = next((one for one in manifest["nodes"].values() if one["name"] == CONSENTS), None)
    return ((node["config"].get("meta") or {}).get(PURPOSES) or {}) if node else {}


def misdeclared(catalog: Catalog) -> list[Fault]:
    """What is wrong with the purposes that models declare. ``ConfigurationError`` with dbt's words where a model does not compile."""
    keys = _keys(catalog)
    text = json.dumps([VERSION, digest_of_files(dbt_folder(catalog.root)), keys])
    digest = hashlib.sha256(text.encode()).hexdigest()
    place = manifest_path(catalog.root).with_name("manifest.purposes.json")
    if (held := kept(place, digest)) is not None:
        return [Fault(**one) for one in held["faults"]]
    compiled = compiled_models(catalog.root)
    graph = build(catalog, next(iter(catalog.environments)), compiled.manifest, compiled.sql)
    found = purposes(compiled.manifest, compiled.sql, graph, known_purposes(compiled.manifest), keys)
    keep(place, digest, {"faults": [asdict(one) for one in found]})
    return found


def exportable(catalog: Catalog) -> Exportable:
    """What an export must know of the raw tables and of the project's models. dbt compiles them where its manifest is not of the project's
    files as they are."""
    manifest = _manifest(catalog)
    return (
        Exportable(models_in(manifest), partial(_carried, catalog))
        if manifest
        else Exportable(carried=partial(_landed, catalog))
    )


def not_said_in(catalog: Catalog) -> list[str]:
    """A sentence for each column that a publication or an export of any environment would let go, or withholds, without its block saying so."""
    manifest = _manifest(catalog)
    views = (
        {
            place_of(one)
            for one in manifest["nodes"].values()
            if one["resource_type"] in MODELS and one["config"].get("materialized") == "view"
        }
        if manifest
        else set()
    )
    return unsaid_exports(catalog.environments, exportable(catalog), views)


def _manifest(catalog: Catalog) -> Mapping[str, Any] | None:
    """dbt's; None where there is no project."""
    if not (dbt_folder(catalog.root) / "dbt_project.yml").is_file():
        return None
    for kind in {one.warehouse.kind for one in catalog.environments.values()}:
        if fresh(catalog.root, kind):
            return load_manifest(catalog.root, kind)
    return compiled_models(catalog.root).manifest


def models_in(manifest: Mapping[str, Any]) -> dict[Name, Purposed]:
    """The models of a manifest that are under purposes. One whose YAML is wrong is left out: it is not built."""
    found = {}
    for node in manifest["nodes"].values():
        with suppress(ValueError):
            if node["resource_type"] in MODELS and (one := purposed(node)) is not None:
                found[one.place] = one
    return found


def earlier_totals(node: Mapping[str, Any]) -> dict[str, str]:
    """What the graph says of a model under a purpose whose sums outlive a build; nothing of another one."""
    with suppress(ValueError):
        if (one := purposed(node)) is not None and one.totals:
            return {
                "keeps_earlier_totals": f"Who withdrew consent to {', '.join(one.totals)} stays in what earlier builds summed up."
                f" {one.summed_again}"
            }
    return {}


def consents_in(manifest: Mapping[str, Any]) -> Name | None:
    """Where the mart of consents is."""
    return next((place_of(one) for one in manifest["nodes"].values() if one["name"] == CONSENTS), None)


def take_out_after(
    platform: Platform, manifest: Mapping[str, Any], built: Collection[Name]
) -> Mapping[Name, int]:
    """After dbt built the models ``built``: the rows of people without consent go, of all models under a purpose if one of them was built, or
    the mart of consents. How many, by model."""
    held = {place: one for place, one in models_in(manifest).items() if one.checked}
    consents = consents_in(manifest)
    if consents is None or not (consents in built or held.keys() & set(built)):
        return {}
    with platform.warehouse() as warehouse:
        return take_out(warehouse, held.values(), consents, known_purposes(manifest))


def _carried(catalog: Catalog) -> Mapping[Name, Mapping[str, Carried]]:
    from data_platform.defs.classes import classes_of

    return classes_of(catalog).carried()


def _landed(catalog: Catalog) -> Mapping[Name, Mapping[str, Carried]]:
    """Of the raw tables alone."""
    return classes(build(catalog, next(iter(catalog.environments)), NO_PROJECT, {}), catalog).carried()


def _keys(catalog: Catalog) -> dict[str, list[ColumnOf]]:
    """By purpose, the raw columns that hold the consent key of its people: the key itself, and those that are linked to it."""
    found: dict[str, list[ColumnOf]] = {}
    for subject in catalog.subjects.values():
        if subject.consent is not None:
            key = subject.consent.place
            places = {key, *(link.child for link in subject.links if link.parent == key)}
            columns = sorted(
                ColumnOf(one.table.raw_schema, one.table.table, one.column.lower()) for one in places
            )
            found |= dict.fromkeys(subject.consent.purposes, columns)
    return found
