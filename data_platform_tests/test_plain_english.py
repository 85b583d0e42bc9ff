"""The documents keep to plain word order and the field's words. A rule of thumb: it finds habits, not bad sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOT_YET = {"benchmarks.md"}
DOCUMENTS = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in NOT_YET),
    *sorted((ROOT / "docs/sources").glob("*.md")),
]

CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]*`|^#[^\n]*$", re.M | re.S)
WORDS = re.compile(r"\bis none\b|\banew\b|\bstands?\b(?!-)|\btold\b|\bwho(?:so)?ever\b", re.I)
INVERTED = re.compile(
    r"(?:(?<=[.:;!] )|(?<=[.:;!]\n)|(?<=\n\n)|(?<=^- )|(?<=^\d\. )|(?<=\| )|\A)(?:Of|What|Who)\b[^.?|]*(?:[.|]|\Z)",
    re.M,
)


def habits(text: str) -> Iterator[str]:
    """Line and words of each habit; code and headings, which are no sentences, are left out."""
    prose = CODE.sub(lambda code: "\n" * code[0].count("\n") + "`", text)
    for pattern in (WORDS, INVERTED):
        for match in pattern.finditer(prose):
            yield f"line {prose.count(chr(10), 0, match.start()) + 1}: {match[0]}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_are_in_plain_english(path: Path) -> None:
    assert list(habits(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "A damaged hint is none.",
        "The table is read anew.",
        "Secrets stand in the environment.",
        "Each incident is told once.",
        "Whoever can connect is a visitor.",
        "It stops. Of these, the first counts.",
        "A list:\n\n- What cannot be read is left out.",
        "# A heading\n\nOne line.\nThe next.\nWho needs it takes it.",
        "```\ncode\n```\nIt says `this` and stands.",
        "| key | What it says. |",
    ],
)
def test_each_habit_is_found(text: str) -> None:
    assert len(list(habits(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "## What happens when",
        "```\nit stands anew\n```",
        "The message is `told anew`.",
        "A stand-alone server, a standby and an understanding.",
        "What does it cost? Little.",
        "It says what to do, and of what it is made.",
    ],
)
def test_what_is_plain_or_no_sentence_passes(text: str) -> None:
    assert list(habits(text)) == []
