"""Answers by hand as an asset, from which the mart of consents is made; and whether the answers in tables are understood."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from data_platform.catalog import Catalog
from data_platform.defs.judged import judged, specs
from data_platform.defs.names import CONSENT_DECISIONS, pool, raw_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.sync.consent.table import write_decisions
from data_platform.sync.consent.watch import Odd, odd_answers
from data_platform.tables import TableId
from data_platform.warehouses import WarehouseConfig
from data_platform.words import plural

DAILY = "45 4 * * *"
UNDERSTOOD = dg.AssetCheckKey(CONSENT_DECISIONS, "answers_are_understood")


def consent_definitions(catalog: Catalog, warehouse: WarehouseConfig, *, running: bool) -> dg.Definitions:
    """The asset `privacy/consent_decisions`, its check and its schedule, where the catalog says to what people are asked to agree."""
    blocks = [subject.consent for subject in catalog.subjects.values() if subject.consent is not None]
    if not blocks:
        return dg.Definitions()
    known = set(catalog.table_ids())
    tables = dict.fromkeys(one.id for block in blocks for one in block.from_ if one.id in known)

    @dg.asset(
        key=CONSENT_DECISIONS,
        group_name="privacy",
        pool=pool(warehouse),
        deps=[raw_key(table) for table in tables],
        description="Answers of people that were written down by hand (`data-platform subject consent --set`), as rows for the mart of consents.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=2)),
        check_specs=specs(
            {
                UNDERSTOOD: "Every answer in a table is a person's, to a purpose of catalog/subjects.yaml, and says yes or no.",
            }
        ),
    )
    def consent_decisions(platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        rows, odd = write_decisions(opened), odd_answers(opened)
        yield dg.MaterializeResult(metadata={"dagster/row_count": rows, "tables_with_answers": len(odd)})
        yield _result(odd)

    daily = scheduled(
        "consent_decisions",
        dg.AssetSelection.assets(CONSENT_DECISIONS),
        DAILY,
        "Writes the answers by hand into the warehouse.",
        running=running,
    )
    return dg.Definitions(assets=[consent_decisions], schedules=[daily])


def _result(odd: Mapping[TableId, Odd]) -> dg.AssetCheckResult:
    found = {table: one for table, one in odd.items() if one.rows}
    said = ", ".join(
        f"{table.raw_name} has {plural(one.unknown, 'answer')} to purposes that the catalog does not have, {one.nobody:,} of nobody and"
        f" {one.empty:,} that say nothing"
        for table, one in found.items()
    )
    return judged(
        UNDERSTOOD,
        not found,
        f"{said}. The first two count for nothing, and what says nothing is a no. Correct catalog/subjects.yaml, or the source."
        if found
        else f"All answers in {plural(len(odd), 'table')} are understood.",
        warn=True,
        unknown_purposes=sum(one.unknown for one in found.values()),
        of_nobody=sum(one.nobody for one in found.values()),
        without_an_answer=sum(one.empty for one in found.values()),
    )
