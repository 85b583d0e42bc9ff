"""Where a relation that is read whole is cut: every row in one unit, and no unit with more than fits."""

from __future__ import annotations

import re
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.sources.postgres import units
from data_platform.sources.postgres.introspect import Leaf, Relation, SourceColumn, read_relations
from data_platform.sources.postgres.units import NOTHING_KNOWN, Sample, sample_question, whole_table_units

MB = 2**20


def relation(*leaves: Leaf) -> Relation:
    return Relation(1, "public", "t", "r", (), (), (), frozenset(), leaves, 0)


def leaf(pages: int, rows: int = 0, toast_bytes: int = 0) -> Leaf:
    return Leaf("public", "t", "r", pages, rows, toast_bytes)


def cuts(of: Leaf, sample: Sample = NOTHING_KNOWN) -> list[tuple[int, int]]:
    """Where the units of ``of`` begin, after checking that each begins where the one before ends."""
    predicates = [u.predicate for u in whole_table_units(relation(of), split=True, sample=sample)]
    if predicates == ["true"]:
        return []
    edges = [
        [(int(block), int(line)) for block, line in re.findall(r"'\((\d+),(\d+)\)'::tid", predicate)]
        for predicate in predicates
    ]
    assert predicates[0].startswith("ctid < ") and predicates[-1].startswith("ctid >= ")
    assert len(edges[0]) == len(edges[-1]) == 1
    assert all(len(edge) == 2 for edge in edges[1:-1])
    for before, after in pairwise(edges):
        assert before[-1] == after[0]
    starts = [edge[0] for edge in edges[1:]]
    assert starts == sorted(set(starts))
    return starts


def test_rows_that_are_stored_in_the_heap_are_cut_by_its_pages() -> None:
    assert cuts(leaf(2_048)) == []
    assert cuts(leaf(2_049)) == [(1_025, 0)]
    assert cuts(leaf(40_000, 1_000_000)) == [(13_334, 0), (26_668, 0)]
    assert cuts(leaf(0)) == []


def test_what_is_stored_beside_the_heap_counts() -> None:
    """As many bytes of short values, and of values that fit a reader 2,048 at a time."""
    sample = Sample(32, 32 * 6_000, 32 * 3_000)
    assert cuts(leaf(1_000, 100_000, 300 * MB), sample) == [(334, 0), (668, 0)]
    assert cuts(leaf(100, 5_000, 10 * MB), Sample(0, 0, 0)) == []


def test_long_rows_are_cut_into_units_that_fit() -> None:
    """50,000 documents of 20 kB, which are 8 kB each as stored: seven pages of them are 14 MB."""
    starts = cuts(leaf(468, 50_000, 400 * MB), Sample(32, 32 * 20_000, 32 * 8_000))
    assert starts[:2] == [(7, 0), (14, 0)] and len(starts) == 66


def test_rows_of_a_megabyte_are_cut_within_pages() -> None:
    starts = cuts(leaf(2, 200, 100 * MB), Sample(8, 8 * MB, 4 * MB))
    # 100 of a page's rows are 100 MB: seven units of it
    assert starts == [
        (0, 15),
        (0, 29),
        (0, 43),
        (0, 57),
        (0, 71),
        (0, 85),
        *((1, n) for n in (0, 15, 29, 43, 57, 71, 85)),
    ]


def test_a_few_long_rows_among_short_ones_leave_the_units_large() -> None:
    """One row in a thousand has 5 MB: no sample finds one, and on average 2,048 rows fit."""
    assert len(cuts(leaf(2_000, 100_000, 400 * MB), Sample(32, 32 * 100, 32 * 100))) == 3


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 30),
    st.integers(0, 500_000),
    st.integers(0, 2**40),
    st.builds(Sample, st.integers(0, 32), st.integers(0, 2**30), st.integers(0, 2**30)),
)
def test_whatever_is_known_of_a_table_its_units_share_all_rows(
    pages: int, rows: int, toast_bytes: int, sample: Sample
) -> None:
    starts = cuts(leaf(pages, rows, toast_bytes), sample)
    assert all((0, 0) < start < (max(pages, 1), 0) for start in starts)


def test_a_sample_is_asked_for_only_where_values_are_long() -> None:
    document = SourceColumn("doc", "jsonb", "jsonb", "pg_catalog", "b", -1, True)
    number = SourceColumn("id", "bigint", "int8", "pg_catalog", "b", -1, True)
    assert sample_question(relation(leaf(1_000, 10_000, 8 * MB)), [document]) is None
    assert sample_question(relation(leaf(1_000, 10_000, 80 * MB)), [number]) is None
    asked = sample_question(relation(leaf(1_000, 10_000, 80 * MB)), [number, document])
    assert asked is not None and '"doc"' in asked and '"id"' not in asked
    assert sample_question(relation(), [document]) is None


def test_the_units_of_a_real_table_share_its_rows(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 100 kB and 20 bytes, some of them dead, with the limits a hundred times lower."""
    for name in ("ASKED_FROM_BYTES", "ENGINE_BYTES_MAX", "LONG_UNIT_BYTES"):
        monkeypatch.setattr(units, name, getattr(units, name) // 100)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "create table t (id int primary key, doc jsonb, note text);"
            "insert into t select n, case when n % 3 > 0 then (select jsonb_agg(md5(n || '-' || k))"
            " from generate_series(1, 2700) k) end, 'x' from generate_series(1, 120) n;"
            "delete from t where id % 7 = 0; update t set note = 'y' where id % 5 = 0"
        )
        for analyzed in (False, True):
            if analyzed:
                connection.execute("analyze t")
            (found,) = read_relations(connection, [("public", "t")])
            assert found.leaves[0].toast_bytes > 5 * MB and bool(found.leaves[0].rows) == analyzed
            question = sample_question(found, found.columns)
            assert question is not None
            sample = Sample(*connection.execute(question.encode()).fetchall()[0])  # type: ignore[arg-type]
            made = whole_table_units(found, split=True, sample=sample)
            assert len(made) > 4
            ids = [
                row
                for unit in made
                for (row,) in connection.execute(
                    f"select id from {unit.relation} where {unit.predicate}".encode()
                )
            ]
            assert sorted(ids) == [n for n in range(1, 121) if n % 7]
