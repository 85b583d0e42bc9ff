"""The check ``consent`` of models under a purpose: whether each row is of a person who agrees, by the mart of consents.

It is a step of its own, as the rules of models are. A run that builds such a model evaluates it after dbt and after people without
consent were taken out.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterator

import dagster as dg

from data_platform.catalog.runs import RunsConfig
from data_platform.defs import shown
from data_platform.defs.check_results import CheckResult
from data_platform.defs.dbt_run import Models
from data_platform.defs.names import NOT_EVALUATED, pool
from data_platform.defs.purposes import consents_in, known_purposes, models_in
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_resources import step_tags
from data_platform.errors import DataPlatformError
from data_platform.privacy.purposes import Purposed
from data_platform.sync.consented import Lacking, lacking
from data_platform.warehouses import WarehouseConfig
from data_platform.words import plural

STEP, CHECK = "consent", "consent"


def purposed_models(models: Models) -> dict[dg.AssetKey, Purposed]:
    """The models under purposes by asset key."""
    found = models_in(models.manifest)
    return {key: found[place] for key in models.nodes if (place := models.place(key)) in found}


def consent_checks(
    models: Models, warehouse: WarehouseConfig, runs: RunsConfig
) -> list[dg.AssetChecksDefinition]:
    """One op for the check ``consent`` of all models under a purpose with a column of consent keys; none if there is no such model."""
    held = {key: one for key, one in purposed_models(models).items() if one.checked}
    consents, known = consents_in(models.manifest), known_purposes(models.manifest)
    if not held or consents is None:
        return []
    specs = [
        dg.AssetCheckSpec(
            CHECK,
            asset=key,
            description=f"Every row is of a person who agrees to the purpose {' and '.join(sorted(one.checked))}, by what has landed now.",
        )
        for key, one in sorted(held.items())
    ]

    @dg.multi_asset_check(
        name=STEP, specs=specs, can_subset=True, pool=pool(warehouse), op_tags=step_tags(runs, runs.dbt)
    )
    def consent(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.AssetCheckResult]:
        opened = platform.open()
        with opened.warehouse(read_only=True) as reading:
            for key in sorted(one.asset_key for one in context.selected_asset_check_keys):
                try:
                    found = list(lacking(reading, [held[key]], consents, known))
                except DataPlatformError as error:
                    yield CheckResult(
                        passed=False,
                        asset_key=key,
                        check_name=CHECK,
                        description=shown.description(str(error)),
                        metadata={NOT_EVALUATED: True},
                    )
                else:
                    yield _result(key, found)

    return [consent]


def _result(key: dg.AssetKey, found: list[Lacking]) -> CheckResult:
    rows = {one.purpose: one.rows for one in found}
    without = {purpose: count for purpose, count in rows.items() if count}
    said = " and ".join(
        f"{plural(count, 'row')} of people who do not agree to {purpose}"
        for purpose, count in without.items()
    )
    return CheckResult(
        passed=not without,
        asset_key=key,
        check_name=CHECK,
        description=shown.description(
            f"It has {said}. The next build takes them out."
            if without
            else f"Every row is of a person who agrees to {' and '.join(sorted(rows)) or 'its purpose'}."
        ),
        metadata={f"rows_without_consent_to_{purpose}": count for purpose, count in rows.items()},
    )
