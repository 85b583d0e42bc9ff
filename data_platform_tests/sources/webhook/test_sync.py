"""An inbox read as a log through whole syncs: what lands, what is let go of, and when."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from data_platform.catalog import load_catalog
from data_platform.errors import CatalogError
from data_platform.landing.inbox import StoredInbox
from data_platform.sync import check_sources, probe
from data_platform.sync.quarantine import shown
from data_platform.sync.replay import replay
from data_platform.tables import TableId
from data_platform_tests.sources.webhook.conftest import AT, TABLES, Hooks, event

Made = Callable[..., Hooks]


def test_events_and_their_records_land_and_the_inbox_is_empty_afterwards(hooks: Made) -> None:
    shop = hooks()
    shop.deliver(event("e1", total=5), event("e2", "user.created"))
    shop.deliver(event("e3", "order.paid", total=7), event("e1", total=5))  # sent again
    shop.deliver(event("e4", total=9), receiver="r2")
    shop.good()
    assert shop.rows("SELECT _event_id, _event_type FROM raw_hooks.events ORDER BY 1") == [
        ("e1", "order.created"),
        ("e2", "user.created"),
        ("e3", "order.paid"),
        ("e4", "order.created"),
    ]
    assert shop.rows("SELECT _event_id, id, total FROM raw_hooks.orders ORDER BY 1") == [
        ("e1", "1", 5),
        ("e3", "3", 7),
        ("e4", "4", 9),
    ]
    ((payload, at),) = shop.rows(
        "SELECT payload, epoch_ms(_received_at) FROM raw_hooks.events WHERE _event_id = 'e2'"
    )
    assert json.loads(payload) == event("e2", "user.created") and at == AT + 1
    assert shop.waiting() == []


def test_nothing_new_is_no_batch(hooks: Made) -> None:
    shop = hooks()
    shop.deliver(event("e1"))
    shop.good()
    assert not any(report.manifest for report in shop.good().values())


def test_any_order_and_doubles_give_the_same_rows(hooks: Made) -> None:
    shop = hooks()
    events = [event(f"e{n}", ("order.created", "user.created")[n % 2], total=n) for n in range(60)]
    chance = random.Random(7)
    sent = [*events, *chance.choices(events, k=40)]
    chance.shuffle(sent)
    while sent:
        for _ in range(chance.randint(1, 4)):
            some, sent = sent[: chance.randint(1, 6)], sent[6:]
            if some:
                shop.deliver(*some, receiver=chance.choice(["r1", "r2", "r3"]))
        # those that ``some`` left out come again in the end, as their sender was not answered
        shop.good(chance.choice([None, ["events"], ["orders"]]))
    shop.deliver(*events, receiver="r4")
    shop.good()
    assert shop.rows("SELECT count(*), count(DISTINCT _event_id) FROM raw_hooks.events") == [(60, 60)]
    assert shop.rows("SELECT count(*), sum(total) FROM raw_hooks.orders") == [(30, sum(range(0, 60, 2)))]
    assert shop.waiting() == []


def test_an_object_stays_until_every_table_has_committed_it(hooks: Made) -> None:
    shop = hooks()
    one = shop.deliver(event("e1", total=1))
    shop.good(["events"])
    assert shop.waiting() == [one]
    two = shop.deliver(event("e2", total=2))
    assert shop.good(["events"])["events"].manifest
    assert shop.waiting() == [one, two]
    shop.good(["orders"])
    assert shop.waiting() == []
    assert shop.rows("SELECT count(*) FROM raw_hooks.events") == [(2,)]
    assert shop.rows("SELECT count(*) FROM raw_hooks.orders") == [(2,)]


def test_a_table_that_stops_keeps_what_it_has_not_taken(hooks: Made) -> None:
    shop = hooks()
    shop.deliver(event("e1", total=1))
    shop.good()
    late = shop.deliver(event("e2", total="many"))  # no bigint any more
    reports = shop.sync()
    assert reports["events"].error is None and "total" in str(reports["orders"].error)
    shop.deliver(event("e3", "user.created"))
    assert late in shop.waiting()
    assert shop.rows("SELECT count(*) FROM raw_hooks.events") == [(2,)]
    # declared as it landed, it stops nothing any more
    shop.write({"events": {}, "orders": {**TABLES["orders"], "types": {"total": "bigint"}}})
    shop.good()
    assert shop.rows("SELECT _event_id FROM raw_hooks.orders") == [("e1",)] and shop.waiting() == []
    (kept,) = [one.record for _, one in shown(shop.platform, TableId("hooks", "orders"), None, 10)]
    assert kept.reason == "total is no bigint"


def test_a_sync_that_ends_between_manifest_and_acknowledgement_takes_nothing_twice(
    hooks: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = hooks({"events": {"strategy": "merge"}})
    shop.deliver(event("e1"), event("e2"))
    with monkeypatch.context() as killed:
        killed.setattr(StoredInbox, "release", lambda *_: None)
        shop.good()
    assert len(shop.waiting()) == 1
    platform = shop.platform
    assert [one.moved for one in probe(platform, "hooks")] == [False]
    assert not shop.good()["events"].manifest  # what waits was committed
    assert shop.waiting() == []
    shop.deliver(event("e3"))
    assert shop.good()["events"].manifest.rows == 1  # type: ignore[union-attr]


def test_a_table_with_a_key_of_its_own_has_what_came_last(hooks: Made) -> None:
    orders = {"events": "order.*", "record": "data.order", "key": "id", "strategy": "merge"}
    shop = hooks({"events": {}, "orders": orders})
    for n, receiver in enumerate(
        ["r2", "r1", "r2", "r1"]
    ):  # objects are read by their numbers, whoever wrote them
        shop.numbers[receiver] = n
        shop.deliver(
            {"id": f"e{n}", "type": "order.paid", "data": {"order": {"id": 7, "total": n}}}, receiver=receiver
        )
    shop.good()
    assert shop.rows("SELECT id, total FROM raw_hooks.orders") == [(7, 3)]
    shop.deliver(event("e9", id=7, total=9))
    shop.good()
    assert shop.rows("SELECT total, _event_id FROM raw_hooks.orders WHERE id = 7") == [(9, "e9")]


def test_what_is_no_json_waits_in_quarantine_once(hooks: Made) -> None:
    shop = hooks()
    shop.deliver(event("e1"), b"a=1&b=2", b'1,"_event_id":"forged"', b'{"id": "e2", "data": "\xff"}')
    shop.deliver({"id": "e3", "type": "order.created", "data": {}})  # has no order
    shop.deliver([1, 2])
    shop.good()
    platform = shop.platform
    seen = [kept.record for _, kept in shown(platform, TableId("hooks", "events"), None, 10)]
    assert [record.bytes for record in seen] == [
        b"a=1&b=2",
        b'1,"_event_id":"forged"',
        b'{"id": "e2", "data": "\xff"}',
    ]
    assert {record.reason for record in seen} == {"it is no JSON"}
    (lacks,) = [kept.record for _, kept in shown(platform, TableId("hooks", "orders"), None, 10)]
    assert lacks.reason == "it has no object at data.order"
    ids = [id_ for (id_,) in shop.rows("SELECT _event_id FROM raw_hooks.events ORDER BY 1")]
    assert ids[:2] == ["e1", "e3"] and ids[2].startswith("sha256:")  # it has no id


def test_a_record_whose_type_was_declared_wrongly_is_taken_again(hooks: Made) -> None:
    orders = {"events": "order.*", "record": "data.order", "types": {"total": "bigint"}}
    shop = hooks({"events": {}, "orders": orders})
    shop.deliver(
        event("e1", total=1), event("e2", total="2.5"), {"id": "e3", "type": "order.created", "data": 1}
    )
    shop.good()
    assert shop.rows("SELECT _event_id FROM raw_hooks.orders") == [("e1",)]
    shop.write({"events": {}, "orders": {**orders, "types": {"total": "decimal(38,2)"}}})
    found = replay(shop.platform, TableId("hooks", "orders"))
    assert (found.landed, found.left) == (1, 1)  # what has no order still waits
    shop.deliver(event("e4", total="3.25"))
    shop.good()
    assert shop.rows("SELECT count(*) FROM raw_hooks.orders") == [(3,)]
    assert shop.rows("SELECT _event_id, CAST(total AS VARCHAR) FROM raw_hooks.orders ORDER BY 1") == [
        ("e1", "1.00"),
        ("e2", "2.50"),
        ("e4", "3.25"),
    ]


def test_ids_and_types_come_from_headers_too(hooks: Made) -> None:
    shop = hooks({"events": {}, "pushes": {"events": ["push"], "record": "$"}}, scheme="github")
    shop.deliver({"ref": "main"}, headers={"x-github-delivery": "d1", "x-github-event": "push"})
    shop.deliver({"zen": "."}, headers={"x-github-delivery": "d2", "x-github-event": "ping"})
    shop.good()
    assert shop.rows("SELECT _event_id, ref FROM raw_hooks.pushes") == [("d1", "main")]
    assert shop.rows("SELECT count(*) FROM raw_hooks.events") == [(2,)]


def test_lists_within_become_child_tables(hooks: Made) -> None:
    lines = {"of": "orders", "path": "lines", "types": {"sku": "text"}}
    shop = hooks({**{"events": {}, "orders": {"events": "order.*", "record": "data.order"}}, "lines": lines})
    shop.deliver(event("e1", lines=[{"sku": "a"}, {"sku": "b"}]), event("e2", lines=[]))
    shop.deliver(event("e1", lines=[{"sku": "a"}, {"sku": "b"}]))
    shop.good()
    assert shop.rows("SELECT _parent__event_id, _index, sku FROM raw_hooks.lines ORDER BY 2") == [
        ("e1", 0, "a"),
        ("e1", 1, "b"),
    ]
    assert shop.waiting() == []


def test_nothing_personal_is_in_any_byte_before_and_after(hooks: Made) -> None:
    personal = {"personal": {"payload.data.order.email": "hash"}}
    shop = hooks(
        {
            "events": personal,
            "orders": {"events": "order.*", "record": "data.order", "personal": {"email": "hash"}},
        }
    )
    shop.deliver(event("e1", email="ann.needle@example.com"))
    assert b"needle" not in shop.left()
    shop.good()
    assert b"needle" not in shop.left()
    assert len(shop.rows("SELECT email FROM raw_hooks.orders")[0][0]) > 20


def test_a_path_that_looks_personal_stops_the_table_and_loses_nothing(hooks: Made) -> None:
    shop = hooks({"events": {}})
    shop.deliver(event("e1", email="ann@example.com"))
    assert "email" in str(shop.sync()["events"].error)
    shop.write({"events": {"personal": {"payload.data.order.email": "redact"}}})
    shop.good()
    assert shop.rows("SELECT count(*) FROM raw_hooks.events") == [(1,)]


def test_a_whole_read_is_refused_and_changes_nothing(hooks: Made) -> None:
    shop = hooks()
    shop.deliver(event("e1"))
    shop.good()
    shop.deliver(event("e2"))
    said = str(shop.sync(["events"], refresh=["events"])["events"].error)
    assert "not delivered again" in said and "another name" in said
    shop.good()
    assert shop.rows("SELECT count(*) FROM raw_hooks.events") == [(2,)]


def test_an_object_that_no_receiver_wrote_is_named(hooks: Made) -> None:
    shop = hooks({"events": {}})
    place = shop.deliver(event("e1"))
    path = shop.root / "landing" / "_inbox" / "hooks" / "objects" / "r1" / f"{place.number:015d}"
    whole = path.read_bytes()
    path.write_bytes(b"\x93\xc3\xa0\xc4\x01a")
    assert "does not open" in str(shop.sync()["events"].error)
    path.write_bytes(b"rows")
    assert "000000000000001 in the landing store is not what a receiver writes" in str(
        shop.sync()["events"].error
    )
    path.write_bytes(whole)
    shop.good()
    assert shop.rows("SELECT count(*) FROM raw_hooks.events") == [(1,)]


def test_where_manifests_are_signed_so_are_deliveries(hooks: Made) -> None:
    shop = hooks({"events": {}})
    del shop.environ["DATA_PLATFORM_HASH_KEY"]  # so that they are not sealed
    shop.deliver(event("e1"))
    shop.environ["DATA_PLATFORM_LEDGER_KEY"] = "k" * 40
    assert "not written by a receiver that has the key" in str(shop.sync()["events"].error)
    for path in (shop.root / "landing" / "_inbox").rglob("0*"):
        path.unlink()
    shop.deliver(event("e2"))
    shop.good()
    assert shop.rows("SELECT _event_id FROM raw_hooks.events") == [("e2",)]


def test_the_sensor_sees_what_waits_for_which_table(hooks: Made) -> None:
    shop = hooks()
    shop.deliver(event("e1", total=1))
    assert [one.moved for one in probe(shop.platform, "hooks")] == [True, True]
    shop.good(["events"])
    assert [one.moved for one in probe(shop.platform, "hooks")] == [False, True]
    shop.good()
    assert [one.moved for one in probe(shop.platform, "hooks")] == [False, False]


def test_a_secret_that_is_missing_is_said_before_the_first_sync(hooks: Made) -> None:
    shop = hooks({"events": {}})
    del shop.environ["HOOKS_SECRET"]
    (said,) = check_sources(shop.platform).mistakes
    assert "HOOKS_SECRET is not set" in said


@pytest.mark.parametrize(
    ("tables", "connection", "said"),
    [
        ({"orders": {"events": "order.*"}}, {}, "must hold one table of all events"),
        ({"events": {"strategy": "replace"}}, {}, "cannot be `replace`"),
        ({"events": {"partition": "day"}}, {}, "declare the type of the column of `partition`"),
        ({"events": {}}, {"scheme": None}, "needs one of `scheme` and `signature`"),
        (
            {"events": {}},
            {"scheme": None, "signature": {"header": "X-S", "signed": "{timestamp}"}},
            "must hold {body} once",
        ),
        (
            {"events": {}},
            {"scheme": None, "signature": {"header": "X-S", "timestamp_header": "X-T"}},
            "must hold {timestamp}",
        ),
        ({"events": {}}, {"id": "a", "id_header": "X-Id"}, "needs one of `id` and `id_header`"),
    ],
)
def test_mistakes_are_named(hooks: Made, tables: Any, connection: Any, said: str) -> None:
    shop = hooks(tables, **connection)
    with pytest.raises(CatalogError, match=said.replace("{", r"\{").replace("$", r"\$")):
        load_catalog(shop.root)
