"""Any sequence of batches against a naive model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_platform.tables import Slice
from data_platform_tests.contracts.batches import GONE, MARKED, TABLE, Chain
from data_platform_tests.contracts.engines import Engine, Row, rows

days = st.sampled_from([None, "2026-01-01", "2026-01-02", "2026-01-03"])
batch_rows = st.dictionaries(st.integers(1, 6), st.tuples(days, st.sampled_from("abc")), max_size=5)
operations = st.lists(
    st.tuples(
        st.sampled_from(["replace", "merge", "append", "slice"]),
        batch_rows,
        st.sets(days, min_size=1, max_size=2),
        st.none() | st.sets(st.integers(1, 6), max_size=3),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def model(
    held: dict[int, tuple[str | None, str]],
    load: str,
    rows: dict[int, Any],
    asked: set[str | None],
    deleted: Collection[int],
) -> dict[int, tuple[str | None, str]]:
    if load == "replace":
        return dict(rows)
    if load == "append":
        return rows | held
    kept = {k: v for k, v in held.items() if not (load == "slice" and v[0] in asked) and k not in deleted}
    return kept | rows


@pytest.mark.slow
@given(operations)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_batches_equals_the_naive_model(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    chain = Chain(folder / "parts")
    held: dict[int, tuple[str | None, str]] = {}
    with engine.fresh(folder) as warehouse:
        for load, wanted, asked, gone, twice in steps:
            batch = {k: v for k, v in wanted.items() if load != "slice" or v[0] in asked}
            landed: list[Row] = [(k, day, note, chain.sequence) for k, (day, note) in batch.items()]
            marks: dict[str, Any] = {}
            deleted = set() if gone is None or load == "append" else gone - batch.keys()
            if gone is not None and load != "append":
                landed = [(*row, "false") for row in landed]
                landed += [(k, None, None, chain.sequence, "true") for k in deleted]
                marks = {"columns": GONE, "deleted": "gone"}
            made, parts = chain.next(load, landed, slices=[day or "null" for day in asked], **marks)
            before = held
            held = model(held, load, batch, asked, deleted)
            done = warehouse.load(made, parts)
            if twice:
                warehouse.load(made, parts)
            assert rows(warehouse) == sorted((k, day, note) for k, (day, note) in held.items())
            changed = {
                day or "null"
                for key in before.keys() | held.keys()
                if before.get(key) != held.get(key)
                for day in {v[0] for v in (before.get(key), held.get(key)) if v is not None}
            }
            assert changed <= set(done.touched), "every slice that changed is said to be touched"
            assert all(warehouse.changed_since(TABLE)[Slice(s)] == made.sequence for s in changed)


groups = st.dictionaries(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from("abcd"), days), max_size=3, unique_by=lambda line: line[0]),
)
"""Whole documents by number: the lines of each with their days; none for one that has become empty."""
grouped = st.lists(
    st.tuples(st.sampled_from(["replace", "merge", "slice"]), groups, st.sets(days, min_size=1, max_size=2)),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@given(grouped, st.booleans())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_groups_equals_the_naive_model(
    engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[Any, ...]],
    by_line: bool,
) -> None:
    """``by_line``: the key is the line alone, so that a line may come in another document."""
    folder = tmp_path_factory.mktemp("groups")
    key = ("note",) if by_line else ("id", "note")
    chain = Chain(folder / "parts", key=key, replaces=("id",), **MARKED)
    held: set[Row] = set()
    with engine.fresh(folder) as warehouse:
        for load, documents, asked in steps:
            brought: dict[Any, Row] = {}
            for number, lines in documents.items():
                for note, day in lines:
                    if load != "slice" or day in asked:
                        brought[note if by_line else (number, note)] = (number, day, note)
            landed: list[Row] = [(*row, 1, "false") for row in brought.values()]
            landed += [(number, None, None, 1, "true") for number in documents if load != "replace"]
            made, parts = chain.next(load, landed, slices=[day or "null" for day in asked])
            before = held
            taken = {row[0] for row in landed}
            held = set() if load == "replace" else {row for row in held if row[0] not in taken}
            held = {row for row in held if (row[2] if by_line else (row[0], row[2])) not in brought}
            if load == "slice":
                held = {row for row in held if row[1] not in asked}
            held |= set(brought.values())
            done = warehouse.load(made, parts)
            found = rows(warehouse)
            assert sorted(found, key=str) == sorted(held, key=str)
            assert {day or "null" for _, day, _ in before ^ held} <= set(done.touched)
            assert done.rows_deleted == len(before) - len(held) + done.rows_inserted
