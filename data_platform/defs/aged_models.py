"""Which models hand on the columns by which rows grow old. dbt compiles the models for it, once for each state of the project."""

from __future__ import annotations

from collections.abc import Sequence

from data_platform.defs.dbt_compiled import compiled_models
from data_platform.defs.dbt_manifest import dbt_folder
from data_platform.impact.aged import aged
from data_platform.impact.build import build
from data_platform.privacy.retention.rule import AgedModel
from data_platform.sync import Platform
from data_platform.sync.retention.limits import rules_of


def aged_models(platform: Platform) -> Sequence[AgedModel]:
    """Of all tables that have a rule. None without a dbt project; ``ConfigurationError`` with dbt's words where a model does not
    compile."""
    catalog = platform.catalog
    if not (dbt_folder(catalog.root) / "dbt_project.yml").is_file():
        return []
    compiled = compiled_models(catalog.root)
    graph = build(catalog, platform.environment.name, compiled.manifest, compiled.sql)
    return aged(graph, rules_of(catalog))
