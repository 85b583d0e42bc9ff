"""What text of a source looks like in the UI: as it is, and nothing in it acts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.defs import shown

DEFS = Path(shown.__file__).parent
HOSTILE = "![k](http://evil.example/x)"


def test_rows_are_a_table_of_text_whatever_they_hold() -> None:
    made = shown.table(["id", HOSTILE], [[1, HOSTILE], [2**70, None], [3, "a\n\x1b[2J b"], [4, "x" * 500]])
    rows = [dict(record.data) for record in made.records]
    assert rows[0] == {"id": "1", HOSTILE: HOSTILE}
    assert rows[1] == {"id": str(2**70), HOSTILE: ""}
    assert rows[2][HOSTILE] == "a \\x1b[2J b"
    assert len(str(rows[3][HOSTILE])) == shown.CELL_CHARACTERS
    assert [column.name for column in made.schema.columns] == ["id", HOSTILE]
    assert shown.table(["a"], []).schema.columns[0].name == "a"


def test_lines_are_a_table_of_one_column() -> None:
    made = shown.lines("note", [HOSTILE, "two"])
    assert [record.data for record in made.records] == [{"note": HOSTILE}, {"note": "two"}]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (HOSTILE, r"!\[k\](http://evil.example/x)"),
        ("<img src=x>", r"\<img src=x>"),
        (r"\[a](b)", r"\\\[a\](b)"),
        ("`a` order_id", r"\`a\` order_id"),
        ("nothing in it, *really*", "nothing in it, *really*"),
    ],
)
def test_a_description_has_no_link_no_image_and_no_html(text: str, escaped: str) -> None:
    assert shown.description(text) == escaped
    assert shown.plain(escaped) == text


@given(st.text(alphabet=r"\`[]<>!(a) "))
def test_no_character_that_begins_something_stands_unescaped_and_nothing_is_lost(text: str) -> None:
    made = shown.description(text)
    assert made is not None and shown.plain(made) == text
    # what is left when every escape, read from the left as Markdown reads them, is taken away
    assert not re.search(r"[\\`\[\]<]", re.sub(r"\\[\\`\[\]<]", "", made))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("status in [a, b]", "`status in [a, b]`"),
        ("a`b", "`` a`b ``"),
        ("``a", "``` ``a ```"),
        ("a\nb", "`a\\nb`"),
    ],
)
def test_code_ends_where_it_should(text: str, code: str) -> None:
    assert shown.code(text) == code


def test_nobody_else_makes_markdown() -> None:
    """Whoever shows text asks this module how. Lineage links to other models, and every name in it is code."""
    makers = [path.name for path in DEFS.glob("*.py") if "MetadataValue.md(" in path.read_text()]
    assert sorted(makers) == ["dbt_lineage.py", "shown.py"]


def test_a_plot_is_an_image_with_its_own_data_and_its_sentence_renders_nothing() -> None:
    made = shown.plot(
        "sum of [x](http://a.example) ![y](http://b.example) <b>", "<svg>)](http://c.example)</svg>"
    )
    text = made.value
    assert (
        text is not None and len(re.findall(r"(?<!\\)\]\(", text)) == 1 and "<" not in text.replace("\\<", "")
    )
    assert "data:image/svg+xml;base64," in text and "c.example" not in text
