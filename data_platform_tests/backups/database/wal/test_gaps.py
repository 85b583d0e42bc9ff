"""How far WAL reaches, with made-up names."""

from __future__ import annotations

import random

import pytest

from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.wal.gaps import Branch, Stored, contiguous, reach, switches, way

SIZE = 1 << 20


def lsn(number: int, offset: int = 0) -> Lsn:
    return Lsn(number * SIZE + offset)


def test_complete_segments_reach_to_the_end_of_the_last() -> None:
    found = reach(lsn(2, 100), [Branch(1)], {1: Stored(SIZE, frozenset({1, 2, 3}))}, SIZE)
    assert (found.end, found.gap) == (lsn(4), "")
    assert [segment.number for segment in found.whole] == [2, 3]


def test_a_missing_segment_is_named() -> None:
    found = reach(lsn(1), [Branch(1)], {1: Stored(SIZE, frozenset({1, 2, 4, 5}))}, SIZE)
    assert (found.end, found.gap) == (lsn(3), Segment(1, 3, SIZE).name)


def test_pieces_behind_a_missing_segment_show_the_gap_too() -> None:
    found = reach(lsn(1), [Branch(1)], {1: Stored(SIZE, frozenset({1}), {3: [(0, 10)]})}, SIZE)
    assert (found.end, found.gap) == (lsn(2), Segment(1, 2, SIZE).name)


def test_a_missing_piece_is_a_gap() -> None:
    found = reach(lsn(1), [Branch(1)], {1: Stored(SIZE, frozenset({1}), {2: [(0, 10), (20, 30)]})}, SIZE)
    assert (found.end, found.gap, found.tail) == (lsn(2, 10), Segment(1, 2, SIZE).name, ((0, 10),))


def test_a_start_of_which_there_is_nothing_reaches_nowhere() -> None:
    assert reach(lsn(7, 5), [Branch(1)], {}, SIZE).end == lsn(7, 5)
    assert reach(lsn(7), [Branch(1)], {1: Stored(SIZE, frozenset({8}))}, SIZE).gap == Segment(1, 7, SIZE).name


def test_pieces_that_overlap_are_read_as_few_as_possible() -> None:
    assert contiguous([(0, 5), (5, 9), (0, 9), (9, 12), (3, 7)]) == ((0, 9), (9, 12))
    assert contiguous([(1, 5)]) == ()


def test_any_set_of_pieces_reaches_as_far_as_a_count_of_bytes_says() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        pieces = [(start := dice.randrange(30), start + dice.randrange(1, 9)) for _ in range(8)]
        there = {byte for piece in pieces for byte in range(*piece)}
        end = next(byte for byte in range(40) if byte not in there)
        found = contiguous(pieces)
        assert (found[-1][1] if found else 0) == end, pieces


HISTORY = "1\t0/300100\tno recovery target specified\n\n2\t0/500000\tbefore 2026\n"


def test_a_history_names_each_timeline_with_where_it_was_left() -> None:
    assert switches(HISTORY) == [(1, Lsn.parse("0/300100")), (2, Lsn.parse("0/500000"))]
    with pytest.raises(ValueError, match="history"):
        switches("1 nonsense")


def test_the_way_follows_the_newest_timeline_that_descends() -> None:
    histories = {2: "1\t0/300100\tx\n", 3: HISTORY}
    assert way(1, lsn(1), histories) == [Branch(1, lsn(3, 256)), Branch(2, lsn(5)), Branch(3)]
    assert way(2, lsn(4), histories) == [Branch(2, lsn(5)), Branch(3)]
    assert way(3, lsn(5), histories) == [Branch(3)]


def test_a_timeline_that_left_before_the_start_is_another_branch() -> None:
    assert way(1, lsn(4), {2: "1\t0/300100\tx\n"}) == [Branch(1)]


def test_the_segment_of_a_switch_is_read_from_the_new_timeline() -> None:
    branches = [Branch(1, lsn(3, 256)), Branch(2)]
    stored = {1: Stored(SIZE, frozenset({1, 2}), {3: [(0, 256)]}), 2: Stored(SIZE, frozenset({3, 4}))}
    found = reach(lsn(1), branches, stored, SIZE)
    assert [segment.name for segment in found.whole] == [
        Segment(timeline, number, SIZE).name for timeline, number in ((1, 1), (1, 2), (2, 3), (2, 4))
    ]
    assert (found.end, found.timeline, found.gap) == (lsn(5), 2, "")


def test_a_segment_that_is_missing_before_a_switch_is_a_gap() -> None:
    stored = {1: Stored(SIZE, frozenset({1})), 2: Stored(SIZE, frozenset({3}))}
    found = reach(lsn(1), [Branch(1, lsn(3, 256)), Branch(2)], stored, SIZE)
    assert (found.end, found.timeline, found.gap) == (lsn(2), 1, Segment(1, 2, SIZE).name)
