"""The result of each model and test of one dbt invocation, and the failure that a run ends with."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from data_platform.defs.dbt_words import FAILED, Engine, error_sentence, test_sentence
from data_platform.defs.names import TOLD_BY_CHECKS
from data_platform.words import plural

MODELS_NAMED = 5


@dataclass(frozen=True)
class Results:
    """Maps the id of each model that was not built, and of each test that failed or warns, to the reason.
    ``failed`` are those that fail the run, ``skipped`` counts the models that were left out. ``queries`` has the compiled SQL of
    the tests that failed or warn."""

    sentences: Mapping[str, str] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    skipped: int = 0
    queries: Mapping[str, str] = field(default_factory=dict)

    def failure(
        self, names: Mapping[str, str], checks: Collection[str], apart: Collection[str], said: Sequence[str]
    ) -> dg.Failure | None:
        """The failure of the run. Its metadata has a sentence for each model, so that each is reported separately.
        Tests that are asset checks of this run (their ids are ``checks``) are reported as these. ``apart``
        are the tests that are checks of no run. dbt also runs tests of models that were not selected: the
        runs of those models report them. ``names`` maps ids to assets. ``said`` are sentences about the errors that
        dbt printed, used if it reached no model at all."""
        models = {names[id_]: self.sentences[id_] for id_ in self.failed if id_ in names}
        others = {f"test {id_.split('.')[2]}": self.sentences[id_] for id_ in self.failed & set(apart)}
        tests = self.failed & (set(apart) | set(checks))
        if not self.failed:
            why = said[0] if said else "see the output of the step."
            return dg.Failure(f"dbt ended before it built anything: {why}")
        if not models and not tests:
            return None
        parts = []
        if models:
            named = ", ".join(sorted(models)[:MODELS_NAMED])
            more = f" and {len(models) - MODELS_NAMED} more" if len(models) > MODELS_NAMED else ""
            parts.append(f"{plural(len(models), 'model')} could not be built: {named}{more}.")
        if tests:
            parts.append(f"{plural(len(tests), 'test')} failed.")
        if self.skipped:
            parts.append(f"{plural(self.skipped, 'model')} downstream of these were not built.")
        return dg.Failure(
            " ".join(parts), metadata={**models, **others, TOLD_BY_CHECKS: len(tests) - len(others)}
        )


def read_results(folder: Path, manifest: Mapping[str, Any], engine: Engine) -> Results:
    """The results in dbt's ``folder``; nothing where it wrote none. ``engine``: see ``error_sentence``."""
    try:
        found = json.loads((folder / "run_results.json").read_bytes())["results"]
    except (OSError, ValueError, KeyError):
        return Results()
    nodes = manifest["nodes"]
    relations = {id_: f"{node['schema']}.{node['alias']}" for id_, node in nodes.items() if is_model(node)}
    sentences: dict[str, str] = {}
    queries: dict[str, str] = {}
    failed: set[str] = set()
    skipped = 0
    for one in found:
        id_, status = one["unique_id"], str(one["status"]).lower()
        node = nodes.get(id_, {})
        skipped += status == "skipped" and is_model(node)
        if status in FAILED:
            failed.add(id_)
        if status in ("fail", "warn") and node.get("resource_type") == "test":
            queries[id_] = str(one.get("compiled_code") or "")
            sentences[id_] = test_sentence(node, relations, int(one.get("failures") or 0))
        elif status in FAILED:
            sentences[id_] = error_sentence(str(one.get("message") or ""), engine)
    return Results(sentences, frozenset(failed), skipped, queries)


def is_model(node: Mapping[str, Any]) -> bool:
    return node.get("resource_type") in ("model", "snapshot", "seed")


def owned(test: Mapping[str, Any]) -> bool:
    """Whether dagster-dbt makes ``test`` a check of a model: the one that it is defined on, its only one, or
    the one that it names."""
    attached = test.get("attached_node") or ""
    named = (test.get("config", {}).get("meta") or test.get("meta") or {}).get("dagster", {}).get("ref")
    only = test["depends_on"]["nodes"]
    model = attached or (only[0] if len(only) == 1 else "")
    return bool(named) or (bool(model) and not model.startswith("source."))
