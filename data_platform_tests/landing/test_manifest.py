"""A manifest survives its JSON exactly, and no damage to that JSON goes unseen."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.errors import LedgerBroken
from data_platform.landing.manifest import Manifest, Measured, Part
from data_platform.tables import Column, Fingerprint, Identity, Slice, Snapshot, TableId, Watermark
from data_platform_tests.contracts.batches import manifest
from data_platform_tests.landing.redactions import arbitrary, redaction

# Lone surrogates are no text: nothing that was read from a database holds one.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
name = st.text("abcdefgh_", min_size=1, max_size=8)
count = st.integers(0, 2**40)
slices = st.builds(Slice, st.sampled_from(["2026-01-01", "2026-01-02", "null", "all", "0044-03-15 BC"]))
prints = st.builds(Fingerprint, count, st.integers(0, 2**64 - 1))
optional_int = st.none() | count
watermarks = st.none() | st.builds(
    Watermark, text, st.integers(1, 99), optional_int, st.none() | text, st.none() | text
)
data_manifests = st.builds(
    Manifest,
    table=st.builds(TableId, name, name),
    sequence=st.integers(1, 10**9),
    operation=st.sampled_from(["refresh", "changes", "slice"]),
    load=st.sampled_from(["replace", "merge", "append", "slice"]),
    key=st.lists(text, max_size=3).map(tuple),
    partition=st.none() | text,
    timezone=text,
    slices=st.lists(slices, max_size=3).map(tuple),
    snapshot=st.builds(Snapshot, text, st.integers(1, 9), optional_int, text, text),
    watermark_before=watermarks,
    watermark_after=watermarks,
    columns=st.lists(st.builds(Column, text, text, text, st.booleans()), max_size=3).map(tuple),
    parts=st.lists(st.builds(Part, text, count, count, text), max_size=3).map(tuple),
    rows=count,
    touched=st.dictionaries(slices, count, max_size=3),
    fingerprints=st.dictionaries(slices, prints, max_size=3),
    measured_whole=st.booleans(),
    committed_at=text,
    nonce=text,
    previous=st.none() | text,
    kind=st.sampled_from(["data", "checkpoint", "compact"]),
    supersedes=st.lists(count, max_size=2).map(tuple),
    checkpoint=st.none() | st.dictionaries(slices, st.builds(Measured, prints, count), max_size=3),
    checkpoint_whole_at=optional_int,
    notes=st.lists(text, max_size=2).map(tuple),
    key_enforced=st.booleans(),
    relation=st.none()
    | st.builds(
        Identity,
        count,
        count,
        st.lists(count, max_size=3).map(tuple),
        st.dictionaries(text, count, max_size=3),
        st.dictionaries(text, st.lists(text, max_size=2).map(tuple), max_size=2),
    ),
    redacted_before=optional_int,
)
manifests = data_manifests | st.builds(
    lambda made, redaction: replace(made, kind="redact", redaction=redaction), data_manifests, arbitrary
)


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
        "snapshot": replace(sealed.snapshot, timeline=2), "watermark_before": Watermark("1", 1, 2),
        "watermark_after": Watermark("1", 1, 2), "columns": (), "parts": (Part("k", 1, 1, "s"),), "rows": 1,
        "touched": {Slice("null"): 1}, "fingerprints": {Slice("null"): Fingerprint(1, 1)}, "measured_whole": True,
        "committed_at": "later", "nonce": "other", "previous": "other", "kind": "redact", "supersedes": (1,),
        "checkpoint": {}, "checkpoint_whole_at": 1, "notes": ("n",), "key_enforced": True, "format": 2,
        "redaction": redaction(), "redacted_before": 1,
        "relation": Identity(1, 2, (3,), {"id": 1}, {"mood": ("a", "b")}),
    }  # fmt: skip
    assert other.keys() == {f.name for f in fields(Manifest)} - {"digest"}
    for field, value in other.items():
        assert replace(sealed, **{field: value}).sealed().digest != sealed.digest, field


def test_a_manifest_of_another_format_is_not_guessed_at() -> None:
    with pytest.raises(LedgerBroken):
        Manifest.from_json(replace(manifest(1), format=2).sealed().to_json(), "somewhere")


def test_an_unsealed_manifest_is_not_written() -> None:
    with pytest.raises(ValueError, match="sealed"):
        manifest(1).to_json()
