"""How a source is looked at without being read: for the sensor, for ``validate --connect`` and for ``doctor``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from data_platform.errors import DataPlatformError
from data_platform.findings import Finding
from data_platform.sources.reading import Ask, Described, Prior, SourceTable
from data_platform.tables import Fingerprint, Layout, Slice, Snapshot, TableId

Accept = Callable[[SourceTable, Described], Layout]
"""What the sync has against a table as it is described: raised. Where it has nothing, how its rows are told apart."""


@dataclass(frozen=True, slots=True)
class LookAt:
    """A table, what the ledger says of it, and what a sync would ask. With ``measured``, what its slices held when
    they were measured last, a table that did not move is measured again."""

    table: SourceTable
    prior: Prior
    ask: Ask
    measured: Mapping[Slice, Fingerprint] | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """``moved``: True when a sync would find something, None when only reading tells. ``differing`` are slices that
    hold something else than when they were measured, though nothing moved."""

    moved: bool | None
    differing: tuple[Slice, ...] = ()


@dataclass
class Checked:
    """What a source says of the catalog: ``mistakes`` keep tables from being synced, ``notes`` are worth knowing
    before the first sync."""

    mistakes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Looking(Protocol):
    """``with kinds.open_looking(kind, opening) as looking``: nothing is held for long, no lock is waited for."""

    def snapshot(self) -> Snapshot:
        """The present one. It is not kept."""

    def look(self, looks: Sequence[LookAt], accept: Accept) -> Mapping[TableId, Looked | DataPlatformError]:
        """What each table is found to be. Raises what hits the whole source."""

    def check(self, accept: Accept) -> Checked:
        """What the tables of the opening would meet in a sync."""

    def findings(self, head: str, accept: Accept, now: Callable[[], datetime]) -> Iterator[Finding]:
        """All that is worth knowing of the source; each finding's name begins with ``head``. ``now`` is this
        machine's clock."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """What a first draft of a source's file must know of personal data, which is above this layer.

    ``looks``: why a column looks personal, by its name, its table's, its base type (None: any) and the table and
    column it refers to. ``by_name``: so, where no type is known. ``treatment``: the one to begin with, for a column, a
    reason and whether others may join on it.
    """

    looks: Callable[[str, str, str | None, tuple[str, str] | None], str | None]
    by_name: Callable[[str, str], str | None]
    treatment: Callable[[str, str, bool], str]
