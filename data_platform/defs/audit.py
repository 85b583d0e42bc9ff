"""The audit trail as an asset: what is new is verified, its head signed, head and trail copied to a second store, a day."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from data_platform.audit.config import AuditConfig
from data_platform.defs import shown
from data_platform.defs.judged import judged, specs
from data_platform.defs.names import AUDIT_HEAD
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.sync.auditing import Headed, note_configuration, sign_and_copy

CHAIN = dg.AssetCheckKey(AUDIT_HEAD, "audit_chain")


def audit_definitions(config: AuditConfig, *, running: bool) -> dg.Definitions:
    """The asset `audit/head`, its check and its schedule."""

    @dg.asset(
        key=AUDIT_HEAD,
        group_name="audit",
        description="The signed head of the audit trail: how many events there are, and the digest of the newest block. It lies in a second"
        " store, with a copy of the trail, so that nobody can shorten the trail or write it again unnoticed.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=2)),
        check_specs=specs(
            {
                CHAIN: "No entry of the audit trail was removed, reordered, edited, put in between or back-dated, and a second"
                " store has its head.",
            }
        ),
    )
    def head(platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        note_configuration(opened)
        done = sign_and_copy(opened)
        found = done.found
        yield dg.MaterializeResult(
            metadata={
                "events": found.entries,
                "blocks": found.last,
                "blocks_read": found.blocks,
                "blocks_copied": done.copied,
                "signed": found.signed_from is not None,
                "second_stores": ", ".join(done.stores) or "none",
                **({"damage": shown.lines("damage", found.problems)} if found.problems else {}),
            }
        )
        yield _result(done)

    daily = scheduled(
        "audit_head",
        dg.AssetSelection.assets(AUDIT_HEAD),
        config.schedule,
        "Verifies the audit trail, signs its head and copies both to a second store.",
        running=running,
    )
    return dg.Definitions(assets=[head], schedules=[daily])


def _result(done: Headed) -> dg.AssetCheckResult:
    problems = list(done.found.problems)
    problems += [f"{url} did not get the head: {error}" for url, error in done.failed.items()]
    alone = not problems and not done.stores
    text = (
        "; ".join(problems)
        if problems
        else "No other store holds the head: name one by `audit.second` or `backups` in catalog/platform.yaml."
        if alone
        else f"{done.found.entries:,} event(s), each as it was recorded; the head is in {', '.join(done.stores)}."
    )
    return judged(CHAIN, not problems and not alone, text, warn=alone, count=len(problems))
