"""Which backups may go."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.backups.manifest import backup_id, made_at
from data_platform.backups.retention import expired
from data_platform_tests.backups.conftest import NOW, Box


def of_age(*days: float) -> list[str]:
    return [backup_id(NOW - timedelta(days=n), f"{number:08d}") for number, n in enumerate(days)]


def test_only_what_is_older_goes() -> None:
    new, edge, old = of_age(1, 29.9, 30.1)
    assert expired([old, edge, new], NOW, 30, lambda _: True) == [old]


def test_the_last_good_one_stays_however_old() -> None:
    older, old = of_age(90, 60)
    assert expired([older, old], NOW, 30, lambda _: True) == [older]
    assert expired([older, old], NOW, 30, lambda id_: id_ == older) == [old]
    assert expired([older, old], NOW, 30, lambda _: False) == [], (
        "none is good: each may be the best there is"
    )


@given(st.lists(st.floats(0, 400), unique=True, max_size=12), st.integers(1, 100), st.data())
def test_always_one_good_one_is_left_and_nothing_young_goes(
    ages: list[float], days: int, data: st.DataObject
) -> None:
    ids = of_age(*ages)
    good = set(data.draw(st.lists(st.sampled_from(ids), unique=True))) if ids else set()
    gone = expired(ids, NOW, days, good.__contains__)
    assert all(made_at(id_) < NOW - timedelta(days=days) for id_ in gone)
    assert not good or good - set(gone)


def test_removing_takes_the_manifest_first_and_all_objects(box: Box) -> None:
    archive = box.archive()
    first = box.back_up(archive, nonce="00000001").manifest
    second = box.back_up(archive, nonce="00000002", at=NOW + timedelta(days=1)).manifest
    removed: list[str] = []
    delete = archive.store.delete
    archive.store.delete = lambda key: (removed.append(key), delete(key))[1]  # type: ignore[method-assign]
    archive.remove(first.id)
    assert removed[0] == f"warehouse/manifests/{first.id}.json"
    assert archive.ids() == [second.id]
    assert {key.split("/")[2] for key in archive.store.list("warehouse/objects")} == {second.id}
    assert archive.damage(second, deep=True) == []


def test_what_is_left_of_a_backup_cut_short_is_found_once_it_is_old(box: Box) -> None:
    archive = box.archive()
    kept = box.back_up(archive).manifest
    left = backup_id(NOW - timedelta(days=3), "11111111")
    archive.store.put_new(f"warehouse/objects/{left}/t/part-00000.parquet", b"x")
    archive.store.put_new("warehouse/objects/notes/readme", b"somebody's own")
    assert archive.abandoned(NOW - timedelta(days=4)) == []
    assert archive.abandoned(NOW - timedelta(days=2)) == [left]
    assert archive.remove(left) == 1
    assert archive.ids() == [kept.id] and archive.damage(kept, deep=True) == []


@pytest.mark.parametrize("which", ["2026-11-22", "latest"])
def test_a_day_means_its_last_backup(box: Box, which: str) -> None:
    archive = box.archive()
    box.back_up(archive, nonce="00000001", at=NOW)
    late = box.back_up(archive, nonce="00000002", at=NOW + timedelta(hours=20)).manifest
    assert archive.chosen(which).id == late.id
