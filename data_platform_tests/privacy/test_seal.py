"""Sealing one value: what comes back is what went in, and nothing opens where it does not belong."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_platform.privacy.seal import SEALED, NotOpened, Place, SubjectKey, subject_of, subject_text

KEY = SubjectKey("0" * 32, os.urandom(32))
OTHER = SubjectKey("1" * 32, os.urandom(32))
PLACE = Place("shop/users", "email")
values = st.text()  # lone surrogates and NULs too: documents may hold them


@settings(deadline=None)
@given(values)
@example("")
@example("\0")
@example("\ud800")
@example("sealed:1:" + "0" * 32 + ":AAAA")
@example("x" * 100_000)
def test_what_was_sealed_opens(value: str) -> None:
    text = KEY.seal(PLACE, value)
    assert SEALED.fullmatch(text) and text.isascii()
    assert subject_of(text) == KEY.id
    assert KEY.open(PLACE, text) == value
    if len(value) > 3 and not value.startswith("sealed"):
        assert value not in text


@settings(deadline=None)
@given(values, values)
def test_equality_shows_within_one_person_and_place_only(one: str, two: str) -> None:
    assert (KEY.seal(PLACE, one) == KEY.seal(PLACE, two)) == (one == two)
    elsewhere = [
        Place("shop/users", "phone"),
        Place("shop/orders", "email"),
        Place("shop/users", "email", ("a",)),
    ]
    texts = [KEY.seal(PLACE, one), OTHER.seal(PLACE, one), *(KEY.seal(place, one) for place in elsewhere)]
    assert len({text.rpartition(":")[2] for text in texts}) == len(texts)


@settings(deadline=None)
@given(values, st.data())
def test_a_changed_text_does_not_open(value: str, data: st.DataObject) -> None:
    text = KEY.seal(PLACE, value)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("AZaz09-_:=\n é"))
    changed = text[:at] + letter + text[at + 1 :]
    if changed != text:
        with pytest.raises(NotOpened) as caught:
            KEY.open(PLACE, changed)
        assert len(value) < 4 or value not in str(caught.value)
    for broken in (text[:at], text[at + 1 :], text + letter):
        with pytest.raises(NotOpened):
            KEY.open(PLACE, broken)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_junk_does_not_open(text: str) -> None:
    with pytest.raises(NotOpened):
        KEY.open(PLACE, text)
    assert subject_of(text) is None


@pytest.mark.parametrize(
    "place",
    [Place("shop/users", "phone"), Place("shop/orders", "email"), Place("shop/users", "email", ("email",))],
)
def test_it_opens_at_its_own_place_only(place: Place) -> None:
    with pytest.raises(NotOpened):
        KEY.open(place, KEY.seal(PLACE, "ada@example.com"))


def test_another_persons_key_does_not_open_it_even_under_the_same_id() -> None:
    text = KEY.seal(PLACE, "ada@example.com")
    with pytest.raises(NotOpened):
        OTHER.open(PLACE, text)
    with pytest.raises(NotOpened):
        SubjectKey(KEY.id, os.urandom(32)).open(PLACE, text)
    with pytest.raises(NotOpened):
        OTHER.open(PLACE, text.replace(KEY.id, OTHER.id))


def test_a_known_text_stays_what_it_is() -> None:
    """Landed values are compared with what is read again, so the form may not change unseen."""
    key = SubjectKey("ab" * 16, bytes(range(32)))
    text = "sealed:1:abababababababababababababababab:VPb2OIjQ0cSNFFftqaCDEfePKsPD4VAlciCI3yFVIBI"
    assert key.seal(Place("shop/users", "email", ("a", "b")), "ada@example.com") == text


def test_places_are_told_apart_however_their_names_are_cut() -> None:
    assert Place("a/b", "c", ("d", "e")).data != Place("a/b", "c", ("d.e",)).data
    assert Place("a/b", "c.d").data != Place("a/b", "c", ("d",)).data


def test_an_address_names_one_subject_in_any_case() -> None:
    assert subject_text("email", " Ada@Example.com\n") == "ada@example.com"
    assert subject_text("user_id", "A1 ") == "A1 "
