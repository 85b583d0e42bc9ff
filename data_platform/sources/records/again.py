"""Records that could not be taken when they came, taken again: what a read of them is, and what keeps it from being one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice

from data_platform.errors import ConfigurationError
from data_platform.sources.reading import Described, Kept, Plan, Prior, SourceTable
from data_platform.sources.records.feed import Page, State, Wanted
from data_platform.sources.records.fields import UNSEEN, landed_words
from data_platform.sources.records.keys import settings_of

PAGE_RECORDS = 1_000


def plan_again(table: SourceTable, prior: Prior, now: Described) -> Plan:
    """ConfigurationError where a record cannot be taken by itself."""
    settings = settings_of(table)
    if settings.parent is not None:
        why = f"its rows are elements of arrays of {settings.parent}, and are replaced together"
    elif settings.replaces:
        why = f"its rows are replaced together by {', '.join(settings.replaces)}"
    elif not table.key and table.strategy != "append":
        why = "it has no key, so every sync reads it whole"
    elif prior.position is None or UNSEEN in landed_words(prior.columns).values():
        why = "no record of it could be taken yet"
    else:
        load = "append" if table.strategy == "append" else "merge"
        return Plan(table, prior, now, "changes", load, (), now.identity)  # type: ignore[arg-type]
    raise ConfigurationError(
        f"{table.id}: a record cannot be taken by itself: {why}. Run `data-platform sync --refresh {table.id}`: what is"
        " right by now is in the table then, and only the rest waits."
    )


class Again:
    """Stands where a feed does: its pages are records that were kept, by the batch that could not take them."""

    def __init__(self, kept: Mapping[int, Kept], state: State) -> None:
        self._kept, self._state = kept, state
        self.ends: dict[int, int] = {}
        """Of each batch, how many records had come up to its end."""

    def pages(self, wanted: Wanted) -> Iterator[Page]:
        count = 0
        for batch, kept in self._kept.items():
            for origin, group in groupby(kept(), key=lambda record: record.origin):
                while some := [record.bytes for record in islice(group, PAGE_RECORDS)]:
                    count += len(some)
                    yield self._page(some, origin)
            self.ends[batch] = count
        yield self._page([], "", more=False)

    def _page(self, records: Sequence[bytes], origin: str, *, more: bool = True) -> Page:
        return Page(records, self._state, "what waited in quarantine", origin, more=more)
