"""What every kind of source must do, tried on PostgreSQL and on a toy that is a folder of the tests and one line here.

The toy is a log with offsets: it reads in steps of five lines, marks deleted keys, and lets go of what it is told was
committed.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_platform.errors import PositionLost, SchemaDrift
from data_platform.landing.ledger import Ledger
from data_platform.landing.verify import verify
from data_platform.sources import kinds
from data_platform.sources.files import reading as files
from data_platform.sources.files.looking import FilesLooking
from data_platform.sources.files.reading import FilesReading
from data_platform.sources.ga4 import feed as ga4_feed
from data_platform.sources.looking import Looking
from data_platform.sources.postgres.looking import PostgresLooking
from data_platform.sources.postgres.reading import PostgresReading
from data_platform.sources.reading import Reading
from data_platform.sources.records import fetch
from data_platform.sources.records.looking import RecordsLooking
from data_platform.sources.records.reading import RecordsReading
from data_platform.sync import check_sources
from data_platform.sync import finish as finish_module
from data_platform.sync.reveal import Request, reveal
from data_platform_tests.contracts.api_worlds import API_PARAMS, APIS, Analytics, serving_world
from data_platform_tests.contracts.connector_worlds import AirbyteItems, DltItems
from data_platform_tests.contracts.toy_source.looking import LogLooking
from data_platform_tests.contracts.toy_source.reading import LogReading
from data_platform_tests.contracts.worlds import (
    ITEMS,
    PERSONAL,
    Documents,
    Exports,
    Postgres,
    ToyLog,
    ToyPages,
    World,
    filled,
)

PLANTED = {
    "email": "Eve.Planted@example.com",
    "phone": "+49 170 5550199",
    "iban": "DE89370400440532013000",
    "profile": '{"contact": {"email": "Eve.Planted@example.com", "size": 1.10}, "phones": ["+49 170 5550199", null]}',
}
PROFILE = """{"contact": {"size": 1.10, "email": "%s"}, "phones": ["+49********99", null]}"""
READINGS = {
    "postgres": PostgresReading,
    "log": LogReading,
    "pages": RecordsReading,
    "dlt": RecordsReading,
    "airbyte_manifest": RecordsReading,
    "rest": RecordsReading,
    "zendesk": RecordsReading,
    "stripe": RecordsReading,
    "ga4": RecordsReading,
    "files": FilesReading,
}
LOOKINGS = {
    "postgres": PostgresLooking,
    "log": LogLooking,
    "pages": RecordsLooking,
    "dlt": RecordsLooking,
    "airbyte_manifest": RecordsLooking,
    "rest": RecordsLooking,
    "zendesk": RecordsLooking,
    "stripe": RecordsLooking,
    "ga4": RecordsLooking,
    "files": FilesLooking,
}


class Killed(BaseException):
    """As if the process had ended there."""


SERVED = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("postgres", "airbyte_manifest", "dlt")]
"""Kinds that need a server, start a program each time, or import another tool."""


@pytest.fixture(params=[*SERVED, "log", "pages", "files", "documents", *API_PARAMS])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setitem(kinds.MODULES, "log", "data_platform_tests.contracts.toy_source.kind")  # type: ignore[arg-type]
    monkeypatch.setitem(kinds.MODULES, "pages", "data_platform_tests.contracts.toy_pages.kind")  # type: ignore[arg-type]
    monkeypatch.setattr(fetch, "STEP_RECORDS", 5)
    monkeypatch.setattr(files, "STEP_FILES", 5)
    monkeypatch.setattr(ga4_feed, "now", lambda: Analytics.NOW)
    if request.param in APIS:
        with serving_world(tmp_path, request.param) as (made, _):
            yield made
        return
    if request.param == "postgres":
        made = World(tmp_path, Postgres(request.getfixturevalue("database")))
    elif request.param == "files":
        made = World(tmp_path, Exports(tmp_path / "exports"))
    elif request.param == "documents":
        made = World(tmp_path, Documents(tmp_path / "exports"))
    elif request.param == "airbyte_manifest":
        made = World(tmp_path, AirbyteItems(tmp_path / "items"))
    elif request.param == "dlt":
        made = World(tmp_path, DltItems(tmp_path / "items"))
    elif request.param == "log":
        made = World(tmp_path, ToyLog(tmp_path / "logs"))
    else:
        made = World(tmp_path, ToyPages(tmp_path / "piles"))
    made.items.make()
    yield made.catalog()


def until_deletes_are_seen(world: World) -> None:
    world.good(verify=world.can.capabilities.deletes != "events")


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [*((Reading, kind) for kind in READINGS.values()), *((Looking, kind) for kind in LOOKINGS.values())],
)
def test_each_kind_has_every_method_with_its_parameters(protocol: type, kind: type) -> None:
    for name, method in vars(protocol).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            assert list(inspect.signature(getattr(kind, name)).parameters) == list(
                inspect.signature(method).parameters
            ), name


def test_what_is_there_lands_and_then_what_changes(world: World) -> None:
    wanted = filled(world, 12)
    world.good()
    assert world.notes() == wanted
    world.items.put(3, "second 3")
    world.items.put(13, "new")
    world.items.delete(5)
    until_deletes_are_seen(world)
    assert world.notes() == {n: note for n, note in wanted.items() if n != 5} | {3: "second 3", 13: "new"}
    assert verify(world.platform().ledger, ITEMS, world.platform().clock()).problems == ()


def test_a_key_that_is_gone_and_comes_back_is_there_once(world: World) -> None:
    filled(world, 2)
    world.good()
    world.items.delete(1)
    world.items.put(1, "again")
    world.good()
    assert world.notes() == {1: "again", 2: "first 2"}


def test_nothing_is_no_batch_and_an_empty_table_is_one(world: World) -> None:
    assert world.good().manifest is not None
    unmoved, moved = (None, None) if world.items.moves_by_reading else (False, True)
    assert world.items.found_by_reading or world.notes() == {}
    assert world.look().moved is unmoved
    if world.items.rereads:
        pytest.skip("every sync lands again what may have changed")
    assert world.good().manifest is None
    world.items.put(1, "one")
    assert world.look().moved is moved
    world.good()
    assert world.look().moved is unmoved
    assert world.good().manifest is None
    assert [m.rows for m in world.batches()] == [0, 1]


def test_each_position_goes_on_from_the_one_before(world: World) -> None:
    filled(world, 12)
    world.good()
    filled(world, 4)
    world.good()
    batches = world.batches()
    assert [b.position_before for b in batches[1:]] == [a.position_after for a in batches[:-1]]
    assert all(b.position_after is not None and b.position_after.system == b.snapshot.system for b in batches)


def test_a_position_is_acknowledged_strictly_after_its_manifest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = READINGS[world.items.kind]
    seen: list[Any] = []
    acknowledge = kind.acknowledge

    def recorded(self: Any, plan: Any, position: Any) -> None:
        head = world.platform().ledger.head(ITEMS)
        assert head is not None and head.position_after == position
        seen.append(position)
        acknowledge(self, plan, position)

    monkeypatch.setattr(kind, "acknowledge", recorded)
    filled(world, 12)
    world.good()
    assert seen == [b.position_after for b in world.batches()]


def test_an_acknowledgement_that_fails_costs_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PositionLost("the source would not listen")

    monkeypatch.setattr(READINGS[world.items.kind], "acknowledge", refused)
    wanted = filled(world, 12)
    world.good()
    assert world.notes() == wanted


@pytest.mark.parametrize("point", ["before the manifest", "after the manifest", "before loading"])
def test_a_kill_between_steps_loses_and_doubles_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    wanted = filled(world, 12)
    commit, load = Ledger.commit, finish_module.load_pending

    def killed(self: Ledger, manifest: Any) -> Any:
        made = commit(self, manifest) if point == "after the manifest" or manifest.sequence != 2 else None
        if made is None or (point == "after the manifest" and manifest.sequence == 1):
            raise Killed
        return made

    def not_loaded(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        if point == "before loading":
            patch.setattr(finish_module, "load_pending", not_loaded)
        else:
            patch.setattr(Ledger, "commit", killed)
        if point == "before the manifest" and world.items.kind == "postgres":
            world.good()  # it has one step
        else:
            with pytest.raises(Killed):
                world.sync()
    assert load is finish_module.load_pending
    world.good()
    assert world.notes() == wanted
    batches = world.batches()
    assert [b.position_before for b in batches[1:]] == [a.position_after for a in batches[:-1]]
    assert world.items.rereads or sum(b.rows for b in batches) == 12, "no row was read twice"
    assert verify(world.platform().ledger, ITEMS, world.platform().clock()).problems == ()


def test_a_new_column_flows_and_a_lost_one_waits_for_somebody(world: World) -> None:
    if not world.items.documents:
        pytest.skip("a report has the columns that its block names")
    filled(world, 2)
    world.good()
    world.items.add_column("extra")
    world.items.put(3, "third", extra="more")
    assert "new column extra" in " ".join(world.good().notes)
    assert world.notes()[3] == "third"
    if world.items.found_by_reading:
        return
    world.items.drop_column("status")
    error = world.sync().error
    assert isinstance(error, SchemaDrift)
    assert "shop/items" in str(error) and "sync --refresh shop/items" in str(error) and "status" in str(error)


def test_a_field_of_another_type_stops_the_table_until_somebody_confirms_it(world: World) -> None:
    if not (world.items.found_by_reading and world.items.moves_by_reading):
        pytest.skip("its types are declared")
    world.items.put(1, "first", size="large")
    world.good()
    world.items.put(2, "second", size=[1, 2])  # type: ignore[arg-type]
    error = world.sync().error
    assert isinstance(error, SchemaDrift)
    assert "size" in str(error) and "sync --refresh shop/items" in str(error)
    assert world.notes() == {1: "first"} and len(world.batches()) == 1
    world.good(refresh=["items"])
    assert world.notes() == {1: "first", 2: "second"}


def test_two_syncs_at_once_land_everything_once(world: World) -> None:
    wanted = filled(world, 7)
    with ThreadPoolExecutor(2) as threads:
        reports = [one.result() for one in [threads.submit(world.sync) for _ in range(2)]]
    assert [report.error for report in reports] == [None, None]
    world.good()
    assert world.notes() == wanted
    batches = world.batches()
    assert [b.position_before for b in batches[1:]] == [a.position_after for a in batches[:-1]]
    assert verify(world.platform().ledger, ITEMS, world.platform().clock()).problems == ()


def test_another_table_of_the_name_is_read_anew(world: World) -> None:
    filled(world, 7)
    world.good()
    world.items.make_anew()
    world.items.put(100, "of the other")
    world.catalog()
    assert world.items.moves_by_reading or world.look().moved is True
    report = world.good()
    assert report.operation == "refresh" and "has the table's name" in " ".join(report.notes)
    assert world.notes() == {100: "of the other"}


def test_no_clear_value_of_a_treated_column_is_in_any_byte(world: World) -> None:
    world.items.put(1, "first", **PLANTED)
    world.good()
    world.items.put(2, "second", **PLANTED)
    world.good()
    needles = ["de89370400440532013000", "5550199", "eve.planted"]
    parts = list((world.root / "landing").rglob("*.parquet"))
    assert len(parts) == 2
    texts = [repr(pq.read_table(part).to_pylist()) for part in parts]
    files = [p for p in (world.root / "landing").rglob("*") if p.is_file()]
    texts += [file.read_bytes().decode("latin-1") for file in files]
    with world.platform().warehouse(read_only=True) as warehouse:
        profile = "profile" if world.items.documents else "NULL"
        rows = warehouse.query(f"SELECT email, phone, iban, {profile} FROM raw_shop.items").rows
    texts.append(repr(rows))
    for text in texts:
        assert not [needle for needle in needles if needle in text.lower()]
    assert len(rows) == 2 and len(set(rows)) == 1, "a value has one treated form"
    assert all(len(str(email)) == 64 for email, *_ in rows)
    for email, *_, profile in rows if world.items.documents else ():
        assert json.loads(str(profile), parse_float=str) == json.loads(PROFILE % email, parse_float=str)


def test_what_is_sealed_is_clear_in_no_byte_and_opens_under_its_persons_key(world: World) -> None:
    paths = {"profile.contact.email": "seal", "profile.phones": "seal"} if world.items.documents else {}
    world.catalog(subject="id", personal={"email": "seal", "phone": "seal", "iban": "seal", **paths})
    world.items.put(1, "first", **PLANTED)
    world.good()
    world.items.put(2, "second", **PLANTED)
    world.good()
    texts = [repr(pq.read_table(part).to_pylist()) for part in (world.root / "landing").rglob("*.parquet")]
    kept = [
        *(world.root / "landing").rglob("*"),
        *(world.root / "keys").iterdir(),
        *world.root.glob("*.duckdb*"),
    ]
    texts += [file.read_bytes().decode("latin-1") for file in kept if file.is_file()]
    needles = ("de89370400440532013000", "5550199", "eve.planted")
    assert not [needle for text in texts for needle in needles if needle in text.lower()]
    columns = ("email", "phone", "iban", *(("profile",) if paths else ()))
    found = reveal(world.platform(), Request(ITEMS, columns, "a test"))
    clear = {name: PLANTED[name] for name in columns[:3]}
    assert [dict(zip(columns[:3], row[:3], strict=True)) for row in found.rows] == [clear, clear]
    assert len(found.subjects) == 2 and (found.erased, found.unopened) == (0, 0)
    for row in found.rows if paths else ():
        assert json.loads(str(row[3])) == json.loads(PLANTED["profile"])
    with world.platform().warehouse(read_only=True) as warehouse:
        landed = warehouse.query("SELECT email FROM raw_shop.items").rows
    assert len(set(landed)) == 2, "equal values of two people are not seen to be equal"


def test_what_is_within_a_document_is_decided_too(world: World) -> None:
    if not world.items.documents:
        pytest.skip("it holds none")
    world.items.put(1, "first", **PLANTED)
    for personal, words in (
        ({"profile": "hash"}, "Remove one of the two"),
        ({"status.x": "hash"}, "JSON"),
        ({"nothing.x": "hash"}, "has no column nothing"),
    ):
        if world.items.found_by_reading and "no column" in words:
            continue  # a later record may have it
        world.catalog(personal={**PERSONAL, **personal})
        (mistake,) = check_sources(world.platform()).mistakes
        assert words in mistake
    world.catalog(personal={key: value for key, value in PERSONAL.items() if "profile" not in key})
    (mistake,) = check_sources(world.platform()).mistakes
    assert "profile" in mistake and "(looks like" in mistake


def test_another_path_reads_the_table_anew(world: World) -> None:
    if not world.items.documents:
        pytest.skip("it holds none")
    world.items.put(1, "first", **PLANTED)
    world.good()
    world.catalog(personal={**PERSONAL, "profile.contact": "redact"})
    report = world.good()
    assert report.operation == "refresh" and "treatment of profile" in " ".join(report.notes)
    with world.platform().warehouse(read_only=True) as warehouse:
        ((profile,),) = warehouse.query("SELECT profile ->> '$.contact' FROM raw_shop.items").rows
    assert profile == "[redacted]"


def test_what_may_not_be_said_of_a_column_stops_the_table(world: World) -> None:
    world.items.put(1, "first", **PLANTED)
    world.catalog(personal={"email": "hash", "phone": "mask"})
    (mistake,) = check_sources(world.platform()).mistakes
    assert "iban" in mistake
    error = world.sync().error
    assert error is not None and "iban" in str(error)


def test_a_read_is_of_its_snapshot_and_the_evidence_names_it(world: World) -> None:
    filled(world, 3)
    (batch,) = (world.good(), *world.batches())[1:]
    assert batch.snapshot.system and batch.snapshot.taken_at
    assert batch.written_by.startswith("data_platform ")
    assert (
        world.items.moves_by_reading
        or world.items.found_by_reading
        or batch.version in {column.name for column in batch.columns}
    )
