"""The part of ``Reading`` that a source has no use for which counts nothing (``Capabilities.proof`` is ``none``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_platform.errors import SourceError
from data_platform.sources.reading import Plan
from data_platform.tables import Fingerprint, Layout, Slice, Tally


class Uncounted:
    """The sync asks for none of this where a kind says that it proves nothing; who asks all the same is told."""

    def count(self, plan: Plan) -> int:
        raise _no_count(plan)

    def explain_miscount(self, plan: Plan, read: int, counted: int) -> str:
        raise _no_count(plan)

    def measure(self, plan: Plan, layout: Layout, slices: Sequence[Slice]) -> Mapping[Slice, Fingerprint]:
        raise _no_count(plan)

    def tally(self, plan: Plan, layout: Layout) -> Mapping[Slice, Tally]:
        raise _no_count(plan)


def _no_count(plan: Plan) -> SourceError:
    return SourceError(
        f"{plan.table.id}: its source counts nothing, so that no read can be compared with it."
    )
