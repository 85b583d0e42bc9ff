"""The YAML that is read, and what is refused."""

from __future__ import annotations

import tracemalloc

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.catalog.yaml_reader import Document, _read_any, _read_plain, read_yaml
from data_platform_tests.catalog.conftest import ROOT


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\na: 2\n", 2, "appears twice here, first on line 1"),
        ("a:\n  b: !python/object:os.system x\n", 2, "tags"),
        ("base: &b {x: 1}\nmore:\n  <<: *b\n", 3, "merge keys"),
        ("a: &a [*a]\n", 1, "refers to a block that contains it"),
        ("? [a, b]\n: 1\n", 1, "plain text"),
        ("a: [1, 2\nb: 3\n", 2, "cannot be read"),
        ("a: *nowhere\n", 1, "cannot be read"),
        ("a: \0\n", 1, "cannot be read"),
    ],
)
def test_what_cannot_be_read(text: str, line: int, words: str) -> None:
    ((found, _, message),) = read_yaml(text).mistakes
    assert found == line
    assert words in message


ALIASES = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (ALIASES, 1, "write fewer aliases"),
        ("a: 1\nb: " + "[" * 3000 + "]" * 3000, 2, "write it flatter"),
        ("- " * 100_000 + "1", 1, "write it flatter"),
        ("a:\n " + "{a: " * 100_000 + "1" + "}" * 100_000, 2, "write it flatter"),
    ],
    ids=["aliases", "brackets", "dashes", "braces"],
)
def test_a_small_file_takes_neither_memory_nor_the_stack(text: str, line: int, words: str) -> None:
    tracemalloc.start()
    try:
        ((found, _, message),) = read_yaml(text).mistakes
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert found == line
    assert words in message


def test_anchors_are_read() -> None:
    assert read_yaml("a: &a {x: [1]}\nb: *a\n").data == {"a": {"x": [1]}, "b": {"x": [1]}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)


@settings(deadline=None, max_examples=40)
@given(json_values)
def test_what_is_written_is_read(value: object) -> None:
    document = read_yaml(yaml.safe_dump(value))
    assert document.mistakes == []
    assert document.data == value


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_document_or_a_mistake(text: str) -> None:
    read_yaml(text)


def assert_read_alike(text: str) -> Document | None:
    """What one pass reads, where it reads anything, is what the way of everything else reads, line by line."""
    plain = _read_plain(text)
    if plain is not None:
        other = _read_any(text)
        assert (plain.lines, plain.mistakes) == (other.lines, other.mistakes)
        assert repr(plain.data) == repr(other.data)  # a not-a-number is not equal to itself
    return plain


@settings(deadline=None, max_examples=60)
@given(json_values, st.booleans())
def test_one_pass_reads_what_is_written(value: object, flow: bool) -> None:
    assert_read_alike(yaml.safe_dump(value, default_flow_style=flow))


@settings(deadline=None, max_examples=400)
@given(
    st.lists(
        st.sampled_from(
            [*"ab:-[]{}&*!?|>#,0.~'\"<\n", "  ", ": ", "- ", "\n  ", "---\n", "<<: ", "1_0", "yes"]
        )
    )
)
def test_one_pass_reads_no_more_than_it_can(parts: list[str]) -> None:
    assert_read_alike("".join(parts))


def test_one_pass_reads_the_catalog() -> None:
    for path in (ROOT / "catalog").rglob("*.yaml"):
        assert assert_read_alike(path.read_text()) is not None
    assert assert_read_alike("a: &a 1\nb: *a\n") is None
