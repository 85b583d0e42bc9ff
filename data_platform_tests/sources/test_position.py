"""What a manifest holds of a PostgreSQL source comes back as it was, and nothing else goes into a question."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.errors import PositionLost
from data_platform.sources.postgres.identity import Identity, identity
from data_platform.sources.postgres.position import Watermark, watermark
from data_platform.tables import Position, TableId

TABLE = TableId("shop", "orders")
number = st.integers(0, 2**63 - 1)
text = st.text(max_size=20)
watermarks = st.builds(
    Watermark,
    text,
    st.integers(0, 2**31),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.just("2026-01-31T12:00:00.000000+00:00"),
    st.none() | text,
)
identities = st.builds(
    Identity,
    number,
    number,
    st.lists(number, max_size=3).map(tuple),
    st.dictionaries(text, number, max_size=3),
    st.dictionaries(text, st.lists(text, max_size=2).map(tuple), max_size=2),
)


@given(watermarks)
def test_a_watermark_survives_its_json(mark: Watermark) -> None:
    made = mark.to_position()
    stored = Position(made.system, json.loads(json.dumps(made.value)), made.text)
    assert watermark(TABLE, stored) == mark
    assert len(made.text) <= 200


@given(identities)
def test_an_identity_survives_its_json(relation: Identity) -> None:
    assert identity(TABLE, json.loads(json.dumps(relation.to_json()))) == relation


@pytest.mark.parametrize(
    ("system", "value"),
    [
        ("1@1", {"xmin": "%s'::xid) or true --"}),
        ("1@1", {"xmin": -1}),
        ("1@1", {"xmin": 2**64}),
        ("1@1", {"xmin": True}),
        ("1@1", {"horizon": "x"}),
        ("1@1", {"horizon": 7}),
        ("1@1", {"horizon": "2026-01-31T12:00:00"}),
        ("1@1", {"cursor": 7}),
        ("1", {"xmin": 7}),
        ("1@x", {"xmin": 7}),
    ],
)
def test_a_position_of_another_kind_names_the_table_and_the_way_out(
    system: str, value: dict[str, Any]
) -> None:
    with pytest.raises(PositionLost, match=r"shop/orders: .*sync --refresh shop/orders"):
        watermark(TABLE, Position(system, value, ""))


@pytest.mark.parametrize(
    "altered",
    [{"oid": "1"}, {"oid": True}, {"storage": -1}, {"leaves": ["1"]}, {"leaves": 1}, {"columns": {"a": None}},
     {"columns": [1]}, {"meanings": {"a": 1}}, {"oid": 2**63}],
)  # fmt: skip
def test_an_identity_of_another_kind_names_the_table_and_the_way_out(altered: dict[str, Any]) -> None:
    whole = {"oid": 1, "storage": 1, "leaves": [], "columns": {}, "meanings": {}}
    with pytest.raises(PositionLost, match=r"shop/orders: .*sync --refresh shop/orders"):
        identity(TABLE, {**whole, **altered})
    with pytest.raises(PositionLost):
        identity(TABLE, {name: value for name, value in whole.items() if name not in altered})
