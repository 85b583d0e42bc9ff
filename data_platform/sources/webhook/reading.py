"""``Reading`` over an inbox: that of all records, but for a read of everything, which there is none of."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from data_platform.errors import PositionLost
from data_platform.sources.reading import Ask, Described, Drift, Opening, Plan, Prior, SourceTable
from data_platform.sources.records.reading import STREAMS_AT_ONCE, RecordsReading
from data_platform.sources.webhook.feed import WebhookFeed


@contextmanager
def open_reading(opening: Opening) -> Iterator[WebhookReading]:
    with (
        WebhookFeed(opening) as feed,
        ThreadPoolExecutor(STREAMS_AT_ONCE, thread_name_prefix="fetch") as threads,
    ):
        reading = WebhookReading(feed, threads)
        try:
            yield reading
        finally:
            reading.interrupt()


class WebhookReading(RecordsReading):
    def plan(self, table: SourceTable, prior: Prior, now: Described, drift: Drift, ask: Ask) -> Plan:
        """PositionLost where what has landed would be replaced by the little that waits."""
        plan = super().plan(table, prior, now, drift, ask)
        if plan.load == "replace" and prior.position is not None:
            why = "; ".join(plan.reasons) or "it was asked for"
            raise PositionLost(
                f"{table.id} would have to be read whole ({why}), and what was delivered is not delivered again. Nothing was"
                " changed. Undo what calls for it, or give the table another name in the catalog: that table begins with"
                " the next delivery, and this one's rows stay where they are. `data-platform rebuild` makes the raw table"
                " anew from what has landed."
            )
        return plan
