"""dagster-dbt as it is where dbt-core is not installed, for dbt runs in a process of its own.

Where dagster-dbt finds dbt it imports it, to evaluate selections of models: more than half of the CPU
time that a process takes to load the definitions. Without it the models are read off the manifest, all of
them, which is what we ask for. Everybody imports dagster-dbt's names from here.
"""

from __future__ import annotations

import sys

_hidden = "dbt" not in sys.modules
if _hidden:
    sys.modules["dbt"] = None  # type: ignore[assignment]  # to import it then fails as if it were not there
try:
    from dagster_dbt import (
        DagsterDbtCliRuntimeError,
        DagsterDbtTranslator,
        DagsterDbtTranslatorSettings,
        DbtCliInvocation,
        DbtCliResource,
        DbtProject,
        dbt_assets,
    )
finally:
    if _hidden:
        del sys.modules["dbt"]

__all__ = [
    "DagsterDbtCliRuntimeError",
    "DagsterDbtTranslator",
    "DagsterDbtTranslatorSettings",
    "DbtCliInvocation",
    "DbtCliResource",
    "DbtProject",
    "dbt_assets",
]
