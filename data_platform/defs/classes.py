"""The classes of all columns (``governance/classes.py``) of a project, computed once for each state of its files.

The result is kept beside dbt's manifest with a digest of what it was made of: the dbt project, and what the catalog
declares. dbt compiles the models for it, which takes seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.defs.dbt_compiled import compiled_models, keep, kept
from data_platform.defs.dbt_manifest import dbt_folder, digest_of_files, manifest_path
from data_platform.defs.names import CLASS_TAG
from data_platform.governance.classes import ClassedColumn, Classes, Fault, classes
from data_platform.impact.build import build
from data_platform.privacy.classes import NONE

VERSION = 3
"""Of what is kept: another one is computed again."""
_newest: dict[str, Classes] = {}


def classes_of(catalog: Catalog) -> Classes:
    """``ConfigurationError`` with dbt's words where a model does not compile."""
    digest = _digest(catalog)
    known = _newest.get(digest) or _read(catalog.root, digest)
    if known is not None:
        return _remembered(digest, known)
    compiled = compiled_models(catalog.root)
    graph = build(catalog, next(iter(catalog.environments)), compiled.manifest, compiled.sql)
    found = classes(graph, catalog)
    keep(_place(catalog.root), digest, asdict(found))
    return _remembered(digest, found)


def known_classes(catalog: Catalog) -> Classes:
    """Those that were computed already for these files; nothing is compiled. Empty if they were not."""
    digest = _digest(catalog)
    return _newest.get(digest) or _read(catalog.root, digest) or Classes()


def _remembered(digest: str, found: Classes) -> Classes:
    """Processes that see other sources of the catalog overwrite each other's file."""
    _newest.clear()
    _newest[digest] = found
    return found


def column_tags(found: Classes, schema: str, table: str) -> Mapping[str, dict[str, str]]:
    """Tags of a model's columns in the graph, by name in lower case. Dagster's own page does not show them."""
    held = found.of(schema, table)
    return {name: {CLASS_TAG: one.class_} for name, one in held.items() if one.class_ != NONE}


def described_as(description: str, tags: Mapping[str, str]) -> str | None:
    """A column's description with its class, as the page of an asset shows it."""
    words = [description.strip(), f"Class: {tags[CLASS_TAG]}." if CLASS_TAG in tags else ""]
    return " ".join(filter(None, words)) or None


def undeclared(found: Iterable[Fault], relations: set[tuple[str, str]]) -> dg.Failure | None:
    """The failure of a run that would build models whose columns do not declare their class, or which declare a purpose wrongly."""
    faults = [one.text for one in found if (one.schema, one.table) in relations]
    if not faults:
        return None
    return dg.Failure(
        "Nothing was built: " + " ".join(faults), metadata={"faults": dg.MetadataValue.json(faults)}
    )


def _digest(catalog: Catalog) -> str:
    said = {
        str(table.id): table.model_dump(
            mode="json", include={"key", "only", "cursor", "partition", "personal"}
        )
        | {"columns": list(table.columns)}
        for source in catalog.sources.values()
        for table in source.tables.values()
    }
    text = json.dumps([VERSION, digest_of_files(dbt_folder(catalog.root)), catalog.privacy.declared_in, said])
    return hashlib.sha256(text.encode()).hexdigest()


def _place(root: Path) -> Path:
    return manifest_path(root).with_name("manifest.classes.json")


def _read(root: Path, digest: str) -> Classes | None:
    held = kept(_place(root), digest)
    if held is None:
        return None
    columns = [
        ClassedColumn(**{**one, "path": tuple(one["path"]), "sources": tuple(one["sources"])})
        for one in held["columns"]
    ]
    return Classes(tuple(columns), tuple(Fault(**one) for one in held["faults"]))
