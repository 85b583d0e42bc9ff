"""Takes out of dbt's manifest what is made of sources that the graph's catalog does not have.

The manifest is of the project's files, which name every source that a company may have. A source that is not
configured has no assets and no checks, and dbt's runs leave its models out (``excluded``). Models that several sources
share stay; they ask the warehouse whether the source has landed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from data_platform.catalog import Catalog
from data_platform.dbt_sources import of_source

RAW = "raw"


def absent(manifest: Mapping[str, Any], catalog: Catalog) -> frozenset[str]:
    """The sources of the manifest that ``catalog`` does not have. One whose file has a mistake may be among those left
    out, and keeps its models: then only those count that are known to be not configured."""
    names = frozenset(
        source["source_name"] for source in manifest["sources"].values() if _key(source)[:1] == [RAW]
    )
    return (
        names & frozenset(catalog.not_configured) if catalog.left_out else names - frozenset(catalog.sources)
    )


def without(manifest: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """``manifest`` without these sources, the models in their folders, and the tests of both."""
    if not names:
        return dict(manifest)
    gone = {id_ for id_, source in manifest["sources"].items() if source["source_name"] in names}
    gone |= {id_ for id_, node in manifest["nodes"].items() if of_source(node, names)}
    gone |= {id_ for id_, node in manifest["nodes"].items() if _tests(node) & gone}
    gone |= {id_ for id_, test in manifest["unit_tests"].items() if set(test["depends_on"]["nodes"]) & gone}
    kept: dict[str, Any] = {
        part: {id_: _trimmed(one, gone) for id_, one in manifest[part].items() if id_ not in gone}
        for part in ("sources", "nodes", "unit_tests")
    }
    for part in ("parent_map", "child_map"):
        kept[part] = {
            id_: [other for other in others if other not in gone]
            for id_, others in manifest[part].items()
            if id_ not in gone
        }
    return {**manifest, **kept}


def excluded(manifest: Mapping[str, Any], names: Collection[str]) -> tuple[str, ...]:
    """Arguments by which dbt leaves out what ``without`` takes out."""
    folders = {
        f"{str(node['original_file_path']).partition('/')[0]}/**/{name}"
        for name in names
        for node in manifest["nodes"].values()
        if of_source(node, [name])
    }
    paths = [f"path:{folder}" for folder in sorted(folders)]
    return ("--exclude", " ".join(paths)) if paths else ()


def _key(source: Mapping[str, Any]) -> list[str]:
    meta = source.get("meta") or source.get("config", {}).get("meta") or {}
    return list(meta.get("dagster", {}).get("asset_key") or ())


def _tests(node: Mapping[str, Any]) -> set[str]:
    """What a test is of; nothing for a model."""
    if node["resource_type"] != "test":
        return set()
    return {*node["depends_on"]["nodes"], node.get("attached_node") or ""}


def _trimmed(one: Mapping[str, Any], gone: Collection[str]) -> Mapping[str, Any]:
    nodes = (one.get("depends_on") or {}).get("nodes") or ()
    if not any(node in gone for node in nodes):
        return one
    return {**one, "depends_on": {**one["depends_on"], "nodes": [node for node in nodes if node not in gone]}}
