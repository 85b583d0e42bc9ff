"""Where receiving goes on, by made-up stores and histories."""

from __future__ import annotations

import pytest

from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.wal.resume import start

SLOT = Lsn(9_000)
THIRD = f"1\t{Lsn(1_000)}\tx\n2\t{Lsn(2_000)}\tx\n"
"""Of timeline 3: it left 1 at 1000 by way of 2, and 2 at 2000."""


@pytest.mark.parametrize(
    ("ends", "timeline", "history", "expected"),
    [
        pytest.param([], 1, "", (1, SLOT), id="empty stores: where the slot is"),
        pytest.param([(1, Lsn(70))], 1, "", (1, Lsn(70)), id="the same timeline"),
        pytest.param([(1, Lsn(70)), (1, Lsn(90))], 1, "", (1, Lsn(90)), id="the furthest store"),
        pytest.param([(1, Lsn(99)), (2, Lsn(5))], 2, "1\t0/5\tx\n", (2, Lsn(5)), id="the newest timeline"),
        pytest.param([(1, Lsn(900))], 3, THIRD, (1, Lsn(900)), id="before it was left"),
        pytest.param([(1, Lsn(1_000))], 3, THIRD, (1, Lsn(1_000)), id="where it was left"),
        pytest.param(
            [(1, Lsn(1_001))], 3, THIRD, (2, Lsn(1_000)), id="behind: a standby that lagged was promoted"
        ),
        pytest.param([(2, Lsn(2_500))], 3, THIRD, (3, Lsn(2_000)), id="behind, on the last but one"),
        pytest.param([(2, Lsn(1_500))], 3, THIRD, (2, Lsn(1_500)), id="a timeline in between"),
    ],
)
def test_it_goes_on_where_the_stores_end(
    ends: list[tuple[int, Lsn]], timeline: int, history: str, expected: tuple[int, Lsn]
) -> None:
    found = start(ends, timeline, history, SLOT)
    assert (found.timeline, found.lsn, found.lost) == (*expected, "")


@pytest.mark.parametrize(("timeline", "history"), [(1, ""), (3, f"1\t{Lsn(1_000)}\tx\n")])
def test_a_server_that_does_not_descend_begins_at_its_slot_and_says_so(timeline: int, history: str) -> None:
    found = start([(2, Lsn(50))], timeline, history, SLOT)
    assert (found.timeline, found.lsn) == (timeline, SLOT)
    assert "does not descend from timeline 2" in found.lost
