"""What one invocation of dbt said of each model and test, and the failure that a run ends with."""

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
    """By a node's id: what is wrong with each model that was not built, and with each test that failed
    or warns. ``failed`` are those of them that fail the run, ``skipped`` counts the models left out."""

    sentences: Mapping[str, str] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    skipped: int = 0

    def failure(
        self, names: Mapping[str, str], checks: Collection[str], apart: Collection[str], said: Sequence[str]
    ) -> dg.Failure | None:
        """How the run fails. A sentence a model stands in its metadata, so that each is told by itself;
        tests that are asset checks of this run (their ids are ``checks``) are told by these. ``apart``
        are the tests that are checks of no run. dbt runs tests of models that nobody selected too: these
        are left to their own models' runs. ``names`` are the assets by id; ``said`` are the sentences for what dbt
        printed as errors, for when it got to no model at all."""
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
            parts.append(f"{plural(self.skipped, 'model')} made of these were left as they were.")
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
    failed: set[str] = set()
    skipped = 0
    for one in found:
        id_, status = one["unique_id"], str(one["status"]).lower()
        node = nodes.get(id_, {})
        skipped += status == "skipped" and is_model(node)
        if status in FAILED:
            failed.add(id_)
        if status in ("fail", "warn") and node.get("resource_type") == "test":
            sentences[id_] = test_sentence(node, relations, int(one.get("failures") or 0))
        elif status in FAILED:
            sentences[id_] = error_sentence(str(one.get("message") or ""), engine)
    return Results(sentences, frozenset(failed), skipped)


def is_model(node: Mapping[str, Any]) -> bool:
    return node.get("resource_type") in ("model", "snapshot", "seed")


def owned(test: Mapping[str, Any]) -> bool:
    """Whether dagster-dbt makes ``test`` a check of a model: the one it is written on, its only one, or
    the one it names."""
    attached = test.get("attached_node") or ""
    named = (test.get("config", {}).get("meta") or test.get("meta") or {}).get("dagster", {}).get("ref")
    only = test["depends_on"]["nodes"]
    model = attached or (only[0] if len(only) == 1 else "")
    return bool(named) or (bool(model) and not model.startswith("source."))
