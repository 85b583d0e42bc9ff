"""``Reading`` over an inbox: that of all records, but for a read of everything, which there is none of."""

from __future__ import annotations

from contextlib import AbstractContextManager

from data_platform.sources.inbox.whole import not_again
from data_platform.sources.reading import Ask, Described, Drift, Opening, Plan, Prior, SourceTable
from data_platform.sources.records.reading import RecordsReading, reading_of
from data_platform.sources.webhook.feed import WebhookFeed


def open_reading(opening: Opening) -> AbstractContextManager[RecordsReading]:
    return reading_of(WebhookFeed(opening), WebhookReading)


class WebhookReading(RecordsReading):
    def plan(self, table: SourceTable, prior: Prior, now: Described, drift: Drift, ask: Ask) -> Plan:
        plan = super().plan(table, prior, now, drift, ask)
        not_again(plan)
        return plan
