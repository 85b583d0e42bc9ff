"""Which slices agree, which differ, and about which nothing can be said."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.landing.manifest import Measured
from data_platform.quality.completeness import (
    EMPTY,
    ROTATION_DAYS,
    CompletenessReport,
    Difference,
    compare,
    due,
)
from data_platform.tables import Fingerprint, Slice, TableId

MON, TUE, WED = Slice("2026-01-05"), Slice("2026-01-06"), Slice("2026-01-07")
TWO, OTHER_TWO, THREE = Fingerprint(2, 77), Fingerprint(2, 78), Fingerprint(3, 99)


def test_nothing_agrees_with_nothing() -> None:
    assert compare({}, {}, {}) == CompletenessReport(0, (), ())
    assert compare({}, {}, {}).passed


def test_equal_slices_match() -> None:
    report = compare({MON: Measured(TWO, 4), TUE: Measured(EMPTY, 4)}, {MON: TWO}, {MON: 4, TUE: 3})
    assert (report.matching, report.passed) == (2, True)


def test_counts_and_checksums_that_differ_are_told_apart() -> None:
    measured = {MON: Measured(TWO, 4), TUE: Measured(THREE, 4), WED: Measured(EMPTY, 4)}
    report = compare(measured, {MON: OTHER_TWO, WED: TWO}, {})
    assert report.differing == (
        Difference(MON, TWO, OTHER_TWO),
        Difference(TUE, THREE, EMPTY),
        Difference(WED, EMPTY, TWO),
    )
    assert report.differing_slices == (MON, TUE, WED)
    assert not report.passed
    assert "not the same keys" in str(report.differing[0])
    assert str(report.differing[1]) == "2026-01-06: 0 rows in the warehouse, 3 at the source"


def test_a_slice_loaded_into_since_is_not_judged() -> None:
    report = compare({MON: Measured(TWO, 4)}, {MON: THREE}, {MON: 5})
    assert (report.matching, report.differing, report.unmeasured) == (0, (), (MON,))
    assert report.passed


def test_a_slice_that_was_never_measured_differs_only_from_a_whole_measurement() -> None:
    assert compare({}, {MON: TWO}, {MON: 3}).unmeasured == (MON,)
    assert compare({}, {MON: TWO}, {MON: 3}, measured_whole_at=4).differing_slices == (MON,)
    assert compare({}, {MON: TWO}, {MON: 5}, measured_whole_at=4).unmeasured == (MON,)


prints = st.sampled_from([EMPTY, TWO, OTHER_TWO, THREE])
slices = st.sampled_from([MON, TUE, WED])


@given(
    st.dictionaries(slices, st.builds(Measured, prints, st.integers(1, 5))),
    st.dictionaries(slices, prints.filter(lambda p: p != EMPTY)),
    st.dictionaries(slices, st.integers(1, 5)),
    st.none() | st.integers(1, 5),
)
@settings(max_examples=100, deadline=None)
def test_every_slice_is_counted_once_and_no_stale_one_is_judged(
    measured: dict[Slice, Measured],
    actual: dict[Slice, Fingerprint],
    changed: dict[Slice, int],
    whole_at: int | None,
) -> None:
    report = compare(measured, actual, changed, whole_at)
    assert report.matching + len(report.differing) + len(report.unmeasured) == len(
        measured.keys() | actual.keys()
    )
    for difference in report.differing:
        known = measured[difference.slice].sequence if difference.slice in measured else whole_at
        assert known is not None
        assert changed.get(difference.slice, 0) <= known
        assert difference.expected != difference.actual


def test_every_slice_is_due_once_a_week() -> None:
    table = TableId("shop", "orders")
    known = [Slice(f"2026-01-{n:02d}") for n in range(1, 32)] + [Slice("null"), Slice("all")]
    week = [due(table, known, date(2026, 2, 1) + timedelta(days=n)) for n in range(ROTATION_DAYS)]
    assert sorted(s for day in week for s in day) == sorted(known)
    assert max(len(day) for day in week) < len(known) / 2
    assert due(table, [Slice("infinity"), Slice("0044-03-15 BC")], date(2026, 2, 1)) == ()
