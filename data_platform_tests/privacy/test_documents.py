"""Personal values in JSON: only they change, whatever else the document holds, against Python's own parser."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_platform.privacy.documents import Documents, NotADocument, parse_path
from data_platform.privacy.treatments import expression, hash_value, masked
from data_platform.tables import Treatment

KEY = b"a key for tests, thirty-two byte"


def treat(document: str, **paths: Treatment) -> str | None:
    return Documents({parse_path(path): t for path, t in paths.items()}, KEY).treated(document)


def by_path(document: str, paths: dict[str, Treatment]) -> str | None:
    return Documents({parse_path(path): t for path, t in paths.items()}, KEY).treated(document)


def test_only_the_values_at_the_paths_change() -> None:
    document = (
        ' {"id": 12345678901234567890123, "price": 1.10, "tiny": 0.1000000000000000055511151231257827,\n'
        '  "customer" : {"email":"Ada@Example.com", "name": "Ada", "tags": []}, "dup": 1, "dup": 2,'
        ' "lines": [{"phone": "+44 20 7946 0018", "n": 1e400}, {"phone": null}, {}], "esc": "\\u00e9\\/"} '
    )
    got = by_path(document, {"customer.email": "hash", "customer.name": "redact", "lines[].phone": "mask"})
    expected = (
        document.replace('"Ada@Example.com"', f'"{hash_value("email", "ada@example.com", KEY)}"')
        .replace('"name": "Ada"', '"name": "[redacted]"')
        .replace('"+44 20 7946 0018"', '"+44********18"')
    )
    assert got == expected


def test_what_is_no_string_is_treated_as_its_text() -> None:
    assert treat(
        '{"a": 17, "b": true, "c": null, "d": {"e": 1}}', a="redact", b="redact", c="redact", d="redact"
    ) == ('{"a": "[redacted]", "b": "[redacted]", "c": null, "d": "[redacted]"}')
    assert treat('{"a": 17}', a="hash") == json.dumps({"a": hash_value("a", "17", KEY)})


def test_arrays_at_the_end_and_on_the_way() -> None:
    assert (
        treat('{"phones": ["x", ["+1 202 555 0143"]]}', phones="mask")
        == '{"phones": ["***", ["+1********43"]]}'
    )
    assert by_path('[[{"a": [{"b": "x"}]}]]', {"a.b": "redact"}) == '[[{"a": [{"b": "[redacted]"}]}]]'


def test_repeated_and_escaped_keys_hide_nothing() -> None:
    assert treat('{"a": "x", "\\u0061": "y", "a": "z"}', a="redact") == (
        '{"a": "[redacted]", "\\u0061": "[redacted]", "a": "[redacted]"}'
    )


def test_what_is_too_deep_is_refused_and_what_is_long_is_not() -> None:
    with pytest.raises(NotADocument):
        treat("[" * 100_000 + "]" * 100_000, a="redact")
    long = json.dumps({"other": [{"x": [']}\\"', 1]}] * 20_000, "a": "x"})[:-1] + f', "n": {"7" * 5_000}}}'
    assert treat(long, a="redact") == long.replace('"a": "x"', '"a": "[redacted]"')


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a" 1}', "[1,]", "{,}", "01", "nul", '"open', "1 2", '{"a": 1,}', "[1 2]", "]", "'a'", "NaN"],
)
def test_what_is_no_json_is_refused_without_its_text(text: str) -> None:
    with pytest.raises(NotADocument) as raised:
        treat(text, a="redact")
    assert str(raised.value) == "the document is no JSON"


def test_paths() -> None:
    assert parse_path('a[]."b.c".d') == ("a", "b.c", "d")
    assert parse_path('"say ""hi"""') == ('say "hi"',)
    for wrong in ("", ".", "a.", ".a", "a..b", "a[0]", '"open'):
        with pytest.raises(ValueError, match="no path"):
            parse_path(wrong)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc") | st.text(), inner, max_size=3)
    ),
    max_leaves=12,
)


def _expected(value: Any, path: tuple[str, ...], above: bool = False) -> Any:
    """``value`` redacted at ``path``, by the meaning alone."""
    if isinstance(value, list):
        return [_expected(item, path) for item in value]
    if not path:
        return None if value is None else "[redacted]"
    if isinstance(value, dict):
        return {k: _expected(v, path[1:]) if k == path[0] else v for k, v in value.items()}
    return value


@settings(deadline=None, max_examples=300)
@given(
    _json, st.sampled_from([("a",), ("a", "b"), ("b", "a", "c")]), st.sampled_from([None, 1]), st.booleans()
)
@example({"a": {"b": "x"}}, ("a",), None, True)
def test_any_document_is_treated_as_it_means(
    value: Any, path: tuple[str, ...], indent: int | None, ascii_: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_)
    got = Documents({path: "redact"}, None).treated(text)
    assert got is not None
    assert json.loads(got) == _expected(value, path)


@settings(deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs", "Cn"], blacklist_characters="\x00")))
@example("+44 (0)20 7946 0018")
@example("0044207946-0018")
@example("+44207946001\u0668")
def test_the_mask_is_the_engines(value: str) -> None:
    engine = duckdb.execute(
        f"SELECT {expression('phone', 'mask', 'v')} FROM (SELECT ?::VARCHAR AS v)", [value]
    )
    assert engine.fetchall() == [(masked(value),)]
