"""What a treatment leaves of a person, by column and by path."""

from __future__ import annotations

from typing import get_args

import pytest

from data_platform.privacy.classes import CLASSES, LEAVES, classed_columns, joined, within
from data_platform.tables import Declared


def test_each_treatment_says_what_it_leaves() -> None:
    assert set(get_args(Declared)) == LEAVES.keys()
    assert {one for one in LEAVES.values() if one is not None} == set(CLASSES)
    assert LEAVES["redact"] is None and LEAVES["not_personal"] is None


def test_values_in_clear_outweigh_what_became_of_others() -> None:
    assert joined(["masked", "pseudonymous"]) == "pseudonymous"
    assert joined(["masked", "personal", "sealed"]) == "personal"
    assert joined([]) is None


def test_columns_and_values_within_documents() -> None:
    personal: dict[str, Declared] = {
        "email": "hash", "name": "redact", "a.dotted": "keep", "payload.customer.email": "hash", "payload.note": "redact", "reason": "not_personal",
        'payload."a.b"': "mask",
    }  # fmt: skip
    assert classed_columns(personal, ["email", "name", "a.dotted", "payload", "reason"]) == {
        "email": {(): "pseudonymous"},
        "a.dotted": {(): "personal"},
        "payload": {("customer", "email"): "pseudonymous", ("a.b",): "masked"},
    }


@pytest.mark.parametrize(
    "keys, expected",
    [
        ((), {("customer", "email"): "pseudonymous", ("note",): "personal"}),
        (("customer",), {("email",): "pseudonymous"}),
        (("customer", "email"), {(): "pseudonymous"}),
        (("note", "first"), {(): "personal"}),
        (("status",), {}),
    ],
)
def test_a_part_of_a_document_has_the_classes_that_lie_under_it(
    keys: tuple[str, ...], expected: dict[tuple[str, ...], str]
) -> None:
    assert within({("customer", "email"): "pseudonymous", ("note",): "personal"}, keys) == expected


def test_what_several_paths_lead_to_has_the_strongest_of_them() -> None:
    assert within({(): "masked", ("a",): "personal"}, ("a",)) == {(): "personal"}
