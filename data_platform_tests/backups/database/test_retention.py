"""Which database backups may go: never the last good one, nor one that a kept one is built on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from data_platform.backups.database.manifest import DatabaseBackup
from data_platform.backups.database.retention import expired, succeeded_at
from data_platform.backups.manifest import BackupObject, backup_id

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def backups(ages_hours: list[float], full_every: int = 24) -> list[DatabaseBackup]:
    """Made so many hours ago, the oldest first; each one whose number is a multiple of ``full_every`` is full."""
    made: list[DatabaseBackup] = []
    for number, age in enumerate(ages_hours):
        at = NOW - timedelta(hours=age)
        id_ = backup_id(at, f"{number:08x}")
        full = number % full_every == 0
        key = f"database/shop/objects/{id_}/base-00000.zst"
        made.append(
            DatabaseBackup(
                *(id_, "shop", "local", "native", "full" if full else "incremental"),
                *(
                    "" if full else made[-1].id,
                    "1",
                    180006,
                    at,
                    at,
                    (BackupObject(key, 1, "0" * 64),),
                    1,
                    "shop",
                ),
            )
        )
    return made


def gone(all_: list[DatabaseBackup], days: float, bad: set[str] = frozenset()) -> list[int]:  # type: ignore[assignment]
    ids = [one.id for one in all_]
    return [ids.index(id_) for id_ in expired(all_, NOW, days, lambda id_: id_ not in bad)]


def test_what_is_old_goes_but_the_base_of_the_oldest_second_stays() -> None:
    assert gone(backups([80, 70, 60, 50, 30, 10], full_every=1), days=1) == [0, 1, 2, 3]


def test_what_a_kept_one_is_built_on_stays() -> None:
    assert gone(backups([80, 70, 60, 50, 30, 10], full_every=3), days=1) == [0, 1, 2]


def test_the_newest_good_one_stays_however_old_it_is() -> None:
    all_ = backups([800, 700, 600], full_every=1)
    assert gone(all_, days=7) == [0, 1]
    assert gone(all_, days=7, bad={all_[2].id}) == [0, 2]


def test_if_none_is_good_nothing_goes() -> None:
    all_ = backups([800, 700, 600], full_every=1)
    assert gone(all_, days=7, bad={one.id for one in all_}) == []


@pytest.mark.parametrize("full_every", [1, 3, 5])
def test_the_day_on_which_one_goes_is_known_once_a_later_one_is_not_built_on_it(full_every: int) -> None:
    all_, planned, rule = (
        backups([80, 70, 60, 50, 30, 10], full_every),
        NOW + timedelta(days=9),
        timedelta(days=2),
    )
    for one in all_:
        at = succeeded_at(one, all_, planned)
        if at == planned:
            assert one.id not in expired(all_, NOW + timedelta(days=900), 2, lambda _: True)
            continue
        assert one.id in expired(all_, at + rule, 2, lambda _: True)
        assert one.id not in expired(all_, at + rule - timedelta(seconds=1), 2, lambda _: True)


@pytest.mark.parametrize("days", [0.5, 1, 3, 7])
@pytest.mark.parametrize("full_every", [1, 5, 24])
def test_every_second_that_is_promised_can_still_be_had(days: float, full_every: int) -> None:
    """Each instant of the last ``days`` has the same nearest backup before it as it had, and its whole chain."""
    all_ = backups([float(age) for age in range(240, 0, -1)], full_every)
    left = [one for number, one in enumerate(all_) if number not in gone(all_, days)]
    ids = {one.id for one in left}
    assert all(one.parent in ids for one in left if one.parent)
    for hour in range(int(days * 24)):
        at = NOW - timedelta(hours=hour)
        before = [one.id for one in all_ if one.ended_at <= at]
        assert not before or before[-1] in ids
    assert [one.id for one in left] == sorted(ids) and all(a.id < b.id for a, b in pairwise(left))
