"""New columns that appeared at a source and flow. A sync notes them in the landing store, whoever started it, and the sensor
``alerts`` reports each note once.

A note is an object a batch. It is written before the batch is committed, so that a crash loses none, and goes after a week.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from data_platform.alerts.book import FOLDER
from data_platform.alerts.problem import Problem
from data_platform.errors import DataPlatformError
from data_platform.landing import hint
from data_platform.landing.signing import Signer
from data_platform.stores import Store
from data_platform.tables import RULE_PREFIX, Column, TableId

NOTES = f"{FOLDER}/changes"
REPORTED_FOR = timedelta(days=1)
"""So long a channel that is down may take to come back."""
KEPT_FOR = timedelta(days=7)
NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Change:
    """Columns that the batch ``sequence`` of ``table`` is the first to have."""

    table: TableId
    sequence: int
    columns: tuple[str, ...]
    at: datetime

    @property
    def key(self) -> str:
        return f"{NOTES}/{self.table.source}.{self.table.table}.{self.sequence}.json"

    def problem(self, link: str) -> Problem:
        named = ", ".join(self.columns[:NAMED_MAX])
        more = len(self.columns) - NAMED_MAX
        several = len(self.columns) > 1
        summary = (
            f"{'New columns appeared' if several else 'A new column appeared'} at the source and"
            f" {'are' if several else 'is'} synced from now on: {named}{f' and {more} more' if more > 0 else ''}."
            " Describe what it holds in the catalog, or list the columns to read under `only`."
        )
        return Problem(
            kind="schema",
            object=f"{self.table}: new columns in batch {self.sequence}",
            where=self.table.raw_name,
            summary=summary,
            numbers={"new columns": len(self.columns)},
            since=self.at,
            link=link,
            severity="warn",
            assets=(f"raw/{self.table}",),
            once=True,
        )


def appeared(before: Sequence[Column], now: Sequence[Column]) -> tuple[str, ...]:
    """The columns of ``now`` that ``before``, the batch before, lacks."""
    known = {column.name for column in before}
    return tuple(c.name for c in now if c.name not in known and not c.name.startswith(RULE_PREFIX))


def note(store: Store, signer: Signer, change: Change) -> None:
    """Written again, it is the same note. A store that refuses it keeps nothing from being synced."""
    fields = {
        "source": change.table.source,
        "table": change.table.table,
        "sequence": change.sequence,
        "columns": list(change.columns),
        "at": change.at.astimezone(UTC).isoformat(),
    }
    with suppress(DataPlatformError, OSError):
        hint.write(store, change.key, fields, signer)


@dataclass(slots=True)
class Notes:
    """The notes of a landing store, each read once."""

    known: dict[str, Change] = field(default_factory=dict)

    def current(self, store: Store, signer: Signer, now: datetime) -> list[Change]:
        """Those that are still to be reported. Old ones go."""
        keys = store.list(NOTES)
        self.known = {key: change for key, change in self.known.items() if key in set(keys)}
        for key in keys:
            if key not in self.known and (change := _read(store, signer, key)) is not None:
                self.known[key] = change
        for key, change in list(self.known.items()):
            if now - change.at > KEPT_FOR:
                store.delete(key)
                del self.known[key]
        return [change for change in self.known.values() if now - change.at <= REPORTED_FOR]


def _read(store: Store, signer: Signer, key: str) -> Change | None:
    """None for what no sync of ours wrote."""
    fields = hint.read(store, key, signer)
    try:
        table = TableId(fields["source"], fields["table"])
        at = datetime.fromisoformat(fields["at"])
        return Change(table, int(fields["sequence"]), tuple(map(str, fields["columns"])), at)
    except (KeyError, ValueError, TypeError):
        return None
