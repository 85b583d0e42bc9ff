"""A manifest survives its JSON exactly, and no damage to that JSON goes unseen."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import fields, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.errors import LedgerBroken
from data_platform.landing.manifest import Manifest, Measured, Part, Waiting
from data_platform.landing.part import canonical
from data_platform.landing.settled import Closed, Settled, runs
from data_platform.tables import Column, Fingerprint, Position, Slice, Snapshot, TableId
from data_platform_tests.contracts.batches import manifest, position
from data_platform_tests.landing.redactions import arbitrary, redaction

AT = "2026-01-01T00:00:00+00:00"

# Lone surrogates are no text: nothing that was read from a database holds one.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
name = st.text("abcdefgh_", min_size=1, max_size=8)
count = st.integers(0, 2**40)
slices = st.builds(Slice, st.sampled_from(["2026-01-01", "2026-01-02", "null", "all", "0044-03-15 BC"]))
prints = st.builds(Fingerprint, count, st.integers(0, 2**64 - 1))
optional_int = st.none() | count
columns = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
types = st.sampled_from(["BIGINT", "VARCHAR[]", "DECIMAL(38,9)", "TIMESTAMPTZ", "JSON"])
digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
instants = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | count | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(text, json_values, max_size=3)
positions = st.none() | st.builds(Position, text, json_objects, text)
part = st.builds(Part, name.map("shop/orders/batches/{}.parquet".format), count, count, digests)
data_manifests = st.builds(
    Manifest,
    table=st.just(TableId("shop", "orders")),
    sequence=st.integers(1, 10**9),
    operation=st.sampled_from(["refresh", "changes", "slice"]),
    load=st.sampled_from(["replace", "merge", "append", "slice"]),
    key=st.lists(columns, max_size=3).map(tuple),
    partition=st.none() | columns,
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "Etc/GMT+5"]),
    slices=st.lists(slices, max_size=3).map(tuple),
    snapshot=st.builds(Snapshot, text, text, instants),
    position_before=positions,
    position_after=positions,
    columns=st.lists(st.builds(Column, columns, types, text, st.booleans()), max_size=3).map(tuple),
    parts=st.lists(part, max_size=3).map(tuple),
    rows=count,
    touched=st.dictionaries(slices, count, max_size=3),
    fingerprints=st.dictionaries(slices, prints, max_size=3),
    measured_whole=st.booleans(),
    committed_at=instants,
    nonce=name,
    previous=st.none() | digests,
    kind=st.sampled_from(["data", "checkpoint", "compact"]),
    supersedes=st.lists(count, max_size=2).map(tuple),
    checkpoint=st.none() | st.dictionaries(slices, st.builds(Measured, prints, count), max_size=3),
    checkpoint_whole_at=optional_int,
    notes=st.lists(text, max_size=2).map(tuple),
    key_enforced=st.booleans(),
    identity=st.none() | json_objects,
    written_by=text,
    redacted_before=optional_int,
)
manifests = (
    data_manifests
    | st.builds(
        lambda made, redaction: replace(made, kind="redact", redaction=redaction), data_manifests, arbitrary
    )
    | data_manifests.map(lambda made: replace(made, replaces=tuple(c.name for c in made.columns)))
    | st.builds(
        lambda made, quarantined, rows: replace(
            made,
            quarantined=quarantined,
            quarantined_before=Waiting(1, rows) if made.sequence > 1 else None,
            settled=Settled(((1, 0, rows),), "why", "who", AT) if made.sequence > 1 else None,
            settled_before=1 if made.sequence > 1 else None,
        ),
        data_manifests,
        st.none() | part,
        st.integers(1, 10**6),
    )
)

POSITION = {"system": "1@1", "value": {}, "text": ""}


@given(manifests)
@settings(max_examples=60, deadline=None)
def test_round_trip(made: Manifest) -> None:
    sealed = made.sealed()
    read = Manifest.from_json(sealed.to_json(), "here")
    assert read == sealed
    assert read.digest == sealed.digest
    assert read.to_json() == sealed.to_json()


@given(manifests, st.data())
@settings(max_examples=120, deadline=None)
def test_any_flipped_byte_is_refused(made: Manifest, data: st.DataObject) -> None:
    whole = made.sealed().to_json()
    at = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    damaged = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    with pytest.raises(LedgerBroken, match="somewhere"):
        Manifest.from_json(damaged, "somewhere")


@given(manifests, st.data())
@settings(max_examples=60, deadline=None)
def test_any_truncation_or_addition_is_refused(made: Manifest, data: st.DataObject) -> None:
    whole = made.sealed().to_json()
    cut = data.draw(st.integers(0, len(whole) - 1))
    for damaged in (whole[:cut], whole + b" ", whole + b"{}"):
        with pytest.raises(LedgerBroken):
            Manifest.from_json(damaged, "somewhere")


def test_another_spelling_of_the_same_values_is_refused() -> None:
    whole = manifest(1, notes=("a\x1fb",)).sealed().to_json()
    assert b"\\u001f" in whole
    with pytest.raises(LedgerBroken, match="altered"):
        Manifest.from_json(whole.replace(b"\\u001f", b"\\u001F"), "somewhere")


def test_half_a_character_is_refused_as_damage() -> None:
    whole = manifest(1, notes=("a\x1fb",)).sealed().to_json()
    with pytest.raises(LedgerBroken, match="somewhere"):
        Manifest.from_json(whole.replace(b"\\u001f", b"\\ud800"), "somewhere")


def test_the_digest_covers_every_field() -> None:
    sealed = manifest(1).sealed()
    other: dict[str, Any] = {
        "table": TableId("shop", "users"), "sequence": 2, "operation": "refresh", "load": "append", "key": (),
        "partition": None, "timezone": "Europe/Berlin", "slices": (Slice("null"),),
        "snapshot": replace(sealed.snapshot, system="2"), "position_before": position(2),
        "position_after": position(2), "columns": (), "parts": (Part("k", 1, 1, "s"),), "rows": 1,
        "touched": {Slice("null"): 1}, "fingerprints": {Slice("null"): Fingerprint(1, 1)}, "measured_whole": True,
        "committed_at": "later", "nonce": "other", "previous": "other", "kind": "redact", "supersedes": (1,),
        "checkpoint": {}, "checkpoint_whole_at": 1, "notes": ("n",), "key_enforced": True, "format": 3,
        "redaction": redaction(), "redacted_before": 1, "content": "1:2:3", "boundary": "1:2:3",
        "identity": {"oid": 1}, "version": None, "deleted": "gone", "written_by": "somebody", "replaces": ("id",),
        "quarantined": Part("k", 1, 1, "s"), "quarantined_before": Waiting(1, 1),
        "settled": Settled(((1, 0, 0),), "why", "who", AT), "settled_before": 1,
    }  # fmt: skip
    assert other.keys() == {f.name for f in fields(Manifest)} - {"digest", "signature"}
    for field, value in other.items():
        assert replace(sealed, **{field: value}).sealed().digest != sealed.digest, field


def test_a_manifest_from_before_a_field_keeps_its_bytes() -> None:
    """The very bytes that an earlier version of format 2 wrote."""
    written = (Path(__file__).parent / "format_2" / "00000003.json").read_bytes()
    read = Manifest.from_json(written, "here")
    assert (read.replaces, read.quarantined, read.last_quarantined) == ((), None, None)
    assert read.sealed().digest == read.digest
    assert read.to_json() == written
    later = replace(read, replaces=("id",)).sealed()
    assert json.loads(later.to_json())["replaces"] == ["id"]


def test_a_later_format_is_refused_with_the_version_that_wrote_it() -> None:
    with pytest.raises(LedgerBroken, match=r"somewhere is of format 3 and was written by data_platform 9\.1"):
        Manifest.from_json(_forged(("format",), 3, written_by="data_platform 9.1"), "somewhere")
    with pytest.raises(LedgerBroken, match="format 7 and was written by a later version"):
        Manifest.from_json(_forged(("format",), 7, written_by=["x" * 9]), "somewhere")


@pytest.mark.parametrize("format_", [0, -1, "2", None, 2.5])
def test_no_format_is_not_guessed_at(format_: Any) -> None:
    with pytest.raises(LedgerBroken, match="somewhere cannot be read"):
        Manifest.from_json(_forged(("format",), format_), "somewhere")


def test_the_version_that_writes_is_the_packages_own() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert manifest(1).written_by == f"data_platform {project['version']}"


def test_rows_are_told_apart_by_landed_columns() -> None:
    whole = manifest(1, columns=(*manifest(1).columns, Column("gone", "BOOLEAN", "")), deleted="gone")
    read = Manifest.from_json(whole.sealed().to_json(), "here")
    assert (read.version, read.deleted, read.layout.version) == ("_source_xmin", "gone", "_source_xmin")


def test_an_unsealed_manifest_is_not_written() -> None:
    with pytest.raises(ValueError, match="sealed"):
        manifest(1).to_json()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("columns", 0, 1), "BIGINT; COPY (SELECT 1) TO '/tmp/x.pth'"),
        (("columns", 0, 1), 7),
        (("columns", 0, 0), "a\0b"),
        (("columns", 0, 0), ""),
        (("columns", 0, 0), "x" * 300),
        (("columns", 0, 3), "yes"),
        (("table",), "../orders"),
        (("table",), "shop/../orders"),
        (("table",), "shop/a/b"),
        (("table",), "shop"),
        (("load",), "merge; DROP TABLE x"),
        (("operation",), "anything"),
        (("kind",), "anything"),
        (("key",), [["id"]]),
        (("key",), 7),
        (("partition",), 7),
        (("timezone",), "UTC' || (SELECT 1) || '"),
        (("slices",), ["2026-01-01' OR true --"]),
        (("slices",), [7]),
        (("parts",), [["other/table/batches/x.parquet", 1, 1, "0" * 64]]),
        (("parts",), [["shop/orders/batches/../../../x", 1, 1, "0" * 64]]),
        (("parts",), [["shop/orders/batches/x'.parquet", 1, 1, "0" * 64]]),
        (("parts",), [["shop/orders/batches/x", -1, 1, "0" * 64]]),
        (("parts",), [["shop/orders/batches/x", 1, 1.5, "0" * 64]]),
        (("parts",), [["shop/orders/batches/x", 1, 1, "0" * 63]]),
        (("rows",), True),
        (("rows",), 2**63),
        (("rows",), 1e300),
        (("sequence",), 0),
        (("sequence",), "1"),
        (("committed_at",), "2026-01-01T00:00:00"),
        (("committed_at",), "yesterday"),
        (("nonce",), "../x"),
        (("previous",), "abc"),
        (("touched",), {"x": 1}),
        (("touched",), {"all": "1"}),
        (("fingerprints",), {"all": [1, -1]}),
        (("checkpoint",), {"all": [1, 2, "3"]}),
        (("measured_whole",), 1),
        (("notes",), [1]),
        (("redacted_before",), "1"),
        (("snapshot",), None),
        (("snapshot", "taken_at"), "x"),
        (("snapshot", "system"), 7),
        (("snapshot", "system"), "x" * 1_001),
        (("snapshot",), {"taken_at": "2026-01-01T00:00:00+00:00", "system": "", "text": "", "os": "system"}),
        (("position_after",), {**POSITION, "value": "x"}),
        (("position_after",), {**POSITION, "value": None}),
        (("position_after",), {**POSITION, "text": "x" * 1_001}),
        (("position_before",), {**POSITION, "system": None}),
        (("position_after",), {**POSITION, "os": "system"}),
        (("position_after",), {"xmin": 1}),
        (("identity",), [1]),
        (("identity",), "x"),
        (("version",), "no_such_column"),
        (("deleted",), "no_such_column"),
        (("version",), 7),
        (("written_by",), None),
        (("replaces",), ["no_such_column"]),
        (("replaces",), "id"),
        (("replaces",), []),
        (("replaces",), [["id"]]),
        (("quarantined",), ["other/table/batches/x.parquet", 1, 1, "0" * 64]),
        (("quarantined",), None),
        (("quarantined_before",), [1, 1]),
        (("quarantined_before",), [0, 0]),
        (("quarantined_before",), 7),
        (("settled",), {"records": [], "why": "w", "by": "b", "at": "2026-01-01T00:00:00+00:00"}),
        (("settled",), {"records": [[1, 2, 1]], "why": "w", "by": "b", "at": "2026-01-01T00:00:00+00:00"}),
        (("settled",), {"records": [[99, 0, 1]], "why": "w", "by": "b", "at": "2026-01-01T00:00:00+00:00"}),
        (("settled",), {"records": [[1, 0, 1]], "why": 1, "by": "b", "at": "2026-01-01T00:00:00+00:00"}),
        (("settled",), {"records": [[1, 0, 1]], "why": "w", "by": "b", "at": "soon"}),
        (("settled",), {"why": "w", "by": "b", "at": "2026-01-01T00:00:00+00:00"}),
        (("settled_before",), 0),
    ],
)
def test_a_forged_field_is_refused_by_name_though_the_digest_is_right(
    path: tuple[Any, ...], value: Any
) -> None:
    with pytest.raises(LedgerBroken, match="the/forged/one cannot be read"):
        Manifest.from_json(_forged(path, value), "the/forged/one")


def test_json_made_to_hurt_is_refused() -> None:
    whole = manifest(1).sealed().to_json()
    bombs = [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"9" * 100_000,
        b'{"digest":"' + b"0" * 64 + b'"}',
        b"null",
        b'"' + b"a" * 1_000_000,
        whole.replace(b'"sequence":1', b'"sequence":' + b"1" * 5000),
        whole.replace(b'"rows":0', b'"rows":NaN'),
        whole.replace(b'"rows":0', b'"rows":1e400'),
        whole.replace(b'"rows":0', b'"rows":0,"rows":0'),
        b"\xff\xfe" + whole,
    ]
    for bomb in bombs:
        with pytest.raises(LedgerBroken, match="somewhere"):
            Manifest.from_json(bomb, "somewhere")


def _forged(path: tuple[Any, ...], value: Any, **more: Any) -> bytes:
    """A manifest with one field altered, or ``more``, and its digest made anew."""
    raw = json.loads(manifest(1, parts=(Part("shop/orders/batches/x", 1, 1, "0" * 64),)).sealed().to_json())
    del raw["digest"]
    place = raw
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    raw |= more
    return canonical({**raw, "digest": hashlib.sha256(canonical(raw)).hexdigest()})


@given(st.sets(st.integers(0, 60)), st.integers(0, 70))
def test_runs_hold_the_numbers_they_are_made_of(numbers: set[int], rows: int) -> None:
    made = runs(sorted(numbers))
    assert Settled(tuple((1, *run) for run in made), "", "", "").count == len(numbers)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(made))
    assert Closed(made[::-1]).open_of(rows) == [n for n in range(rows) if n not in numbers]
