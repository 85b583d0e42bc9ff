"""What is read next: no state may be read narrower than it can be proven, and a shape drifts loudly."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.errors import SchemaDrift
from data_platform.sources.kind import Capabilities
from data_platform.sources.postgres.changes import MAX_XID_DISTANCE, Decision, Moment, decide_changes, whole
from data_platform.sources.postgres.clock import Observation
from data_platform.sources.postgres.config import PostgresTable
from data_platform.sources.postgres.introspect import Leaf, Relation, SourceColumn
from data_platform.sources.postgres.position import Seen, Watermark
from data_platform.sources.postgres.server import Server
from data_platform.sources.reading import Ask, Drift, Prior
from data_platform.sync.decide import ask_for, ask_for_slices, unless_changed
from data_platform.sync.shape import compare_shapes, treated, treatment
from data_platform.tables import RULE_PREFIX, Column, Shape, Slice, Strategy, TableId

CURSOR = SourceColumn("updated_at", "timestamp with time zone", "timestamptz", "pg_catalog", "b", -1, True)
TABLE = Relation(
    1, "public", "t", "r", (CURSOR,), (), (), frozenset({"updated_at"}), (Leaf("public", "t", "r", 1),), 0
)
VIEW = replace(TABLE, kind="v", leaves=())
SERVER = Server(18, "cluster/1", 1, standby=False)
SNAPSHOT = Seen("cluster/1", 1, 5000, "5000:5000:", "2026-01-31T12:00:00.000000+00:00")
BEFORE = Watermark("cluster/1", 1, 4000, "2026-01-31T11:00:00.000000+00:00")
SEEN = Observation(datetime(2026, 1, 31, 12, tzinfo=UTC), None, False, False, True, False)


T = TableId("shop", "t")


@dataclass(frozen=True)
class Block:
    """A table's block in the catalog, as far as a source sees it."""

    cursor: str | None
    strategy: Strategy
    settings: PostgresTable
    id: TableId = T
    key: tuple[str, ...] = ("id",)
    partition: str | None = None
    timezone: str = "UTC"
    only: tuple[str, ...] = ()


def decide(**changed: Any) -> Decision:
    """What is asked, and then how the source meets it."""
    asked: dict[str, Any] = {
        "relation": TABLE,
        "strategy": "merge",
        "cursor": "updated_at",
        "cursor_clock": "database",
        "server": SERVER,
        "snapshot": SNAPSHOT,
        "before": BEFORE,
        "previous_snapshot": replace(SNAPSHOT, xmin=4000, taken_at="2026-01-31T11:00:00.000000+00:00"),
        "observation": SEEN,
        "refresh": False,
        "thorough": False,
    } | changed
    server, snapshot, before = asked["server"], asked["snapshot"], asked["before"]
    seen = replace(snapshot, system_identifier=server.system_identifier, timeline=server.timeline)
    prior = Prior(before.to_position() if before else None, snapshot=asked["previous_snapshot"].to_snapshot())
    ask = ask_for(
        asked["strategy"], prior, seen.to_snapshot(), refresh=asked["refresh"], thorough=asked["thorough"]
    )
    if ask.what == "whole":
        return whole(*ask.reasons)
    block = Block(asked["cursor"], asked["strategy"], PostgresTable("", cursor_clock=asked["cursor_clock"]))
    moment = Moment(server, seen, asked["observation"])
    return decide_changes(block, asked["relation"], moment, prior, thorough=ask.thorough)


def test_the_clock_path_reads_by_the_index_and_by_xmin() -> None:
    decision = decide()
    assert (decision.path, decision.load, decision.reasons) == ("clock", "merge", ())
    assert decision.predicate == (
        "\"updated_at\" >= timestamptz '2026-01-31T11:00:00.000000+00:00' and age(xmin) <= age('4000'::xid)"
    )
    assert decide(strategy="append").load == "append"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"refresh": True}, "refresh was asked for"),
        ({"before": None}, "first read"),
        ({"server": replace(SERVER, system_identifier="cluster/2")}, "another database"),
        ({"server": replace(SERVER, timeline=2)}, "after a failover or a restore"),
        ({"before": replace(BEFORE, xmin=None)}, "has transaction numbers now"),
        ({"before": replace(BEFORE, xmin=5001)}, "too many transactions behind"),
        ({"snapshot": replace(SNAPSHOT, xmin=4000 + MAX_XID_DISTANCE)}, "too many transactions behind"),
        ({"relation": VIEW, "cursor": None}, "no cursor is declared"),
        ({"relation": VIEW}, "no cursor value is known"),
    ],
)
def test_what_cannot_be_compared_is_read_whole(changed: dict[str, Any], why: str) -> None:
    decision = decide(**changed)
    assert (decision.operation, decision.load, decision.path, decision.predicate) == (
        "refresh", "replace", "whole", "true",
    )  # fmt: skip
    assert why in decision.reasons[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"cursor": None},
        {"cursor_clock": "application"},
        {"before": replace(BEFORE, horizon=None)},
        {"observation": None},
        {"observation": replace(SEEN, standby=True)},
        {"thorough": True},
        {"relation": replace(TABLE, indexed=frozenset())},
        {"relation": replace(TABLE, columns=(replace(CURSOR, not_null=False),))},
        {"relation": replace(TABLE, columns=(replace(CURSOR, base="timestamp"),))},
    ],
)
def test_without_a_safe_clock_the_xmin_scan_serves(changed: dict[str, Any]) -> None:
    decision = decide(**changed)
    assert (decision.path, decision.predicate) == ("xmin", "age(xmin) <= age('4000'::xid)")


def test_a_clock_that_stepped_back_is_not_trusted_and_every_slice_is_measured() -> None:
    decision = decide(previous_snapshot=replace(SNAPSHOT, taken_at="2026-01-31T12:00:01.000000+00:00"))
    assert (decision.path, decision.measure_whole) == ("xmin", True)
    assert "stepped back" in decision.reasons[0]


def test_a_view_is_read_by_its_cursor_and_says_what_that_misses() -> None:
    decision = decide(relation=VIEW, before=replace(BEFORE, cursor="2026-01-30 10:00:00+00"))
    assert decision.path == "cursor"
    assert decision.predicate == "\"updated_at\" >= '2026-01-30 10:00:00+00'::timestamp with time zone"
    assert "weaker promise" in decision.reasons[0]
    assert decide(relation=VIEW, strategy="replace").path == "whole"


@given(
    before=st.integers(2**31, 2**40),
    distance=st.integers(0, MAX_XID_DISTANCE - 1),
    share=st.fractions(0, 1),
    older=st.integers(1, 2**31 - 1),
    cursor=st.sampled_from([None, "updated_at"]),
)
def test_no_row_version_since_the_watermark_is_left_out(
    before: int, distance: int, share: Fraction, older: int, cursor: str | None
) -> None:
    """The predicate evaluated as PostgreSQL's age() does, in 32 bits, wherever the counter stands."""
    now = before + distance
    decision = decide(
        before=replace(BEFORE, xmin=before), snapshot=replace(SNAPSHOT, xmin=now), cursor=cursor
    )
    found = re.search(r"age\(xmin\) <= age\('(\d+)'::xid\)$", decision.predicate)
    assert found is not None
    limit = int(found[1])

    def age(xid: int) -> int:
        return (now - xid + 2**31) % 2**32 - 2**31

    assert age(before + int(share * distance)) <= age(limit), "written since"
    if older + distance < 2**31:
        assert age(before - older) > age(limit), "read before"


@given(
    refresh=st.booleans(),
    strategy=st.sampled_from(["merge", "append", "replace"]),
    before=st.none() | st.builds(replace, st.just(BEFORE), xmin=st.none() | st.integers(0, 9000)),
    system=st.sampled_from(["cluster/1", "cluster/2"]),
    has_xmin=st.booleans(),
    clock=st.sampled_from(["database", "application"]),
)
def test_a_replace_is_always_of_everything_and_nothing_else_is_a_refresh(
    refresh: bool,
    strategy: str,
    before: Watermark | None,
    system: str,
    has_xmin: bool,
    clock: str,
) -> None:
    decision = decide(
        refresh=refresh,
        strategy=strategy,
        before=before,
        server=replace(SERVER, system_identifier=system),
        relation=TABLE if has_xmin else VIEW,
        cursor_clock=clock,
    )
    whole = decision.predicate == "true"
    assert (
        whole
        == (decision.load == "replace")
        == (decision.operation == "refresh")
        == (decision.path == "whole")
    )
    if refresh or strategy == "replace" or before is None or system != "cluster/1":
        assert whole
    if not whole:
        assert not decision.measure_whole
        assert has_xmin or decision.path == "cursor"


SHAPE = Shape(
    (Column("id", "INTEGER", "integer", False), Column("note", "VARCHAR", "text")), ("id",), None, "UTC"
)
ORDERS = TableId("shop", "orders")


def with_columns(*columns: Column, **more: Any) -> Shape:
    return replace(SHAPE, columns=columns, **more)


def test_the_same_shape_needs_nothing() -> None:
    assert compare_shapes(ORDERS, SHAPE, SHAPE, Drift(), ()) == ((), ())
    assert compare_shapes(ORDERS, SHAPE, replace(SHAPE, columns=SHAPE.columns[::-1]), Drift(), ()) == ((), ())


def test_a_new_column_flows_unless_it_came_filled() -> None:
    now = with_columns(*SHAPE.columns, Column("extra", "INTEGER", "integer"))
    notes, refresh = compare_shapes(ORDERS, SHAPE, now, Drift(), ())
    assert "extra" in notes[0] and refresh == ()
    notes, refresh = compare_shapes(ORDERS, SHAPE, now, Drift(), ["extra"])
    assert notes == () and "extra" in refresh[0]


@pytest.mark.parametrize(
    "columns",
    [
        SHAPE.columns[:1],
        (SHAPE.columns[0], replace(SHAPE.columns[1], name="Note")),
        (SHAPE.columns[0], replace(SHAPE.columns[1], type="INTEGER", source_type="integer")),
    ],
    ids=["gone", "renamed", "another type"],
)
def test_any_other_drift_stops_the_table_and_names_the_column(columns: tuple[Column, ...]) -> None:
    with pytest.raises(SchemaDrift, match=r"--refresh shop/orders.* note "):
        compare_shapes(ORDERS, SHAPE, with_columns(*columns), Drift(), ())


@pytest.mark.parametrize(
    "now",
    [
        replace(SHAPE, key=("id", "note")),
        replace(SHAPE, partition="note"),
        replace(SHAPE, timezone="Europe/Berlin"),
        with_columns(SHAPE.columns[0], replace(SHAPE.columns[1], source_type=treated("text", "hash"))),
        with_columns(*SHAPE.columns, Column(f"{RULE_PREFIX}note_not_null", "BOOLEAN", "rule: note not null")),
    ],
    ids=["key", "partition", "timezone", "treatment", "rule"],
)
def test_what_the_catalog_says_otherwise_is_read_anew(now: Shape) -> None:
    _, refresh = compare_shapes(ORDERS, SHAPE, now, Drift(), ())
    assert len(refresh) == 1
    if now.columns != SHAPE.columns and len(now.columns) == 2:
        assert len(compare_shapes(ORDERS, now, SHAPE, Drift(), ())[1]) == 1, "taken away again too"


@given(st.sampled_from(["text", "integer[]", "character varying(20)", "numeric(10,2)"]),
       st.sampled_from(["hash", "mask", "redact"]))  # fmt: skip
def test_a_source_type_carries_its_treatment(source_type: str, how: str) -> None:
    assert treatment(Column("x", "VARCHAR", treated(source_type, how))) == how
    assert treatment(Column("x", "VARCHAR", source_type)) == ""


@pytest.mark.parametrize(
    ("before", "now", "exact"),
    [
        ("BIGINT", "DECIMAL(38,18)", True),
        ("BIGINT", "DECIMAL(38,19)", True),
        ("BIGINT", "DECIMAL(38,20)", False),
        ("SMALLINT", "DECIMAL(5,0)", True),
        ("INTEGER", "DECIMAL(9,0)", False),
        ("INTEGER[]", "BIGINT[]", True),
        ("DECIMAL(10,2)", "DECIMAL(12,4)", True),
        ("DECIMAL(10,2)", "DECIMAL(12,5)", False),
        ("FLOAT", "DOUBLE", True),
        ("BIGINT", "DOUBLE", False),
        ("DECIMAL(10,2)", "BIGINT", False),
        ("JSON", "VARCHAR", False),
    ],
)
def test_a_wider_type_of_columns_from_rows_is_told(before: str, now: str, exact: bool) -> None:
    shapes = [with_columns(SHAPE.columns[0], Column("note", kind, kind.lower())) for kind in (before, now)]
    if not exact:
        with pytest.raises(SchemaDrift, match="note was"):
            compare_shapes(ORDERS, *shapes, Drift(), (), from_rows=True)
        return
    told = f"the column note was {before} and is {now}: it is widened"
    assert compare_shapes(ORDERS, *shapes, Drift(), (), from_rows=True) == ((told,), ())
    assert len(compare_shapes(ORDERS, *shapes, Drift(), ())[1]) == 1, "another source's table is read anew"
    keyed = [replace(shape, key=("note",)) for shape in shapes]
    _, reasons = compare_shapes(ORDERS, *keyed, Drift(), (), from_rows=True)
    assert reasons, "a key's text is another"


def test_a_wider_integer_of_a_key_has_the_same_text() -> None:
    shapes = [
        replace(with_columns(Column("note", kind, kind)), key=("note",)) for kind in ("INTEGER", "BIGINT")
    ]
    assert compare_shapes(ORDERS, *shapes, Drift(), (), from_rows=True)[1] == ()


def test_what_became_of_the_table_itself_stops_it_or_is_read_anew() -> None:
    gone = Drift(columns={"note": "the column note was dropped and another one of that name added"})
    with pytest.raises(SchemaDrift, match="another one of that name"):
        compare_shapes(ORDERS, SHAPE, SHAPE, gone, ())
    left_out = with_columns(SHAPE.columns[0])
    assert (
        "omits the column note"
        in compare_shapes(ORDERS, SHAPE, left_out, Drift(same=frozenset({"note"})), ())[1][0]
    )
    otherwise = Drift(reinterpreted={"note": "note reads otherwise", "x": "did not land", "": "another view"})
    assert compare_shapes(ORDERS, SHAPE, SHAPE, otherwise, ())[1] == ("note reads otherwise", "another view")


def test_a_table_that_was_replaced_is_read_anew_unless_rows_are_only_added() -> None:
    changes, reasons = Ask("changes"), ("the column x is new; everything was reread",)
    assert unless_changed(changes, "merge", (), ()) == changes
    assert unless_changed(changes, "append", (), ("made anew",)) == changes
    assert unless_changed(changes, "merge", (), ("made anew",)).reasons == (
        "made anew; everything was reread",
    )
    assert unless_changed(changes, "append", reasons, ("made anew",)).reasons == (
        *reasons, "made anew; everything was reread",
    )  # fmt: skip


def test_slices_are_asked_for_where_there_are_any() -> None:
    can = Capabilities(deletes="slices", proof="counted", slices=True)
    days = (Slice("2026-01-01"),)
    assert ask_for_slices("at", days, can) == Ask("slices", slices=days)
    assert ask_for_slices(None, days, can).what == "whole"
    assert ask_for_slices("at", (Slice("all"),), can).what == "whole"
    assert "cannot read single slices" in ask_for_slices("at", days, replace(can, slices=False)).reasons[0]
