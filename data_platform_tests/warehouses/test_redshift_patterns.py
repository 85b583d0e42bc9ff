"""A pattern of a rule in Redshift's words: the same texts match, or it is refused."""

from __future__ import annotations

import duckdb
import psycopg
import pytest

from data_platform.errors import UnsupportedExpression
from data_platform.posix_patterns import posix

TEXTS = (
    "",
    "a",
    "A",
    "abc",
    "a\nb",
    "x-1",
    "k\u212a",
    "\u017f",
    "é",
    "a.b",
    "\\",
    "^",
    "12",
    " ",
    "_",
    "a]b",
    "{2}",
)
KEPT = (
    "^a",
    "[a-c]+$",
    "a.b",
    r"a\.b",
    r"\d{2}",
    r"^\w$",
    r"\s",
    r"\S",
    r"[^\d]",
    r"[\w-]",
    "(?:a|x)-?",
    "(?i)^K",
    "(?i)s",
    "(?i)[a-z]",
    r"\\",
    r"\]",
    r"\{2\}",
    "é",
)
REFUSED = (
    r"\bword",
    r"\pL",
    "a*?",
    "(?s).",
    "(?P<n>a)",
    r"[\\]",
    r"\^",
    "(?i)é",
    "(?i)[a-f]",
    "[[:alpha:]]",
    "*a",
    "x{2}+",
)


@pytest.mark.parametrize("pattern", KEPT)
def test_the_same_texts_match(pattern: str, database: str) -> None:
    """By PostgreSQL's reading of the POSIX pattern, and RE2's of the rule's own."""
    with psycopg.connect(database) as connection, duckdb.connect() as engine:
        for text in TEXTS:
            ours = connection.execute("select %s ~ %s", [text, posix(pattern)]).fetchone()
            theirs = engine.execute("SELECT regexp_matches(?, ?)", [text, pattern]).fetchone()
            assert ours == theirs, (pattern, text)


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_may_be_read_in_another_way_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedExpression, match="may read in another way"):
        posix(pattern)
