"""Paths into JSON texts: every value comes back as it was written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.sources.rest.json_path import find, find_one, finder, steps_of, word

TEXT = b'{"a": {"b": 1.10, "c": null, "d e": [10, {"f": 12345678901234567890}]}, "g": [{"h": "x"}, {"h": null}, 7]}'


@pytest.mark.parametrize(
    "path, found",
    [
        ("$.a.b", [b"1.10"]),
        ("a.c", [b"null"]),
        ("a['d e'][1].f", [b"12345678901234567890"]),
        ("a['d e'][7]", []),
        ("g[*].h", [b'"x"', b"null"]),
        ("g.*", [b'{"h": "x"}', b'{"h": null}', b"7"]),
        ("g.h", []),
        ("a.b.c", []),
        ("nothing", []),
        ("$", [TEXT]),
    ],
)
def test_what_is_at_a_path(path: str, found: list[bytes]) -> None:
    assert find(TEXT, steps_of(path)) == found
    assert finder(steps_of(path))(TEXT) == find_one(TEXT, steps_of(path))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
def test_the_quick_way_finds_what_the_general_one_does(value: Any, path: list[str]) -> None:
    text = json.dumps(value).encode()
    assert finder(path)(text) == find_one(text, path)


@pytest.mark.parametrize("path", ["a..b", "a[?(@.x)]", "a[1:2]", "a b", "a.", "[", "a['b"])
def test_what_is_no_path_here_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="filters, slices and"):
        steps_of(path)


def test_words() -> None:
    texts = (b'"a"', b"1.10", b"true", b"null", b"[1]", b"{}", None)
    assert [word(text) for text in texts] == ["a", "1.10", "true", None, None, None, None]
