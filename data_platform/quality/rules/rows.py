"""The forms of a rule that one row answers by itself, and the share of NULLs."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

from data_platform.duckdb_sql import DIALECT
from data_platform.quality.rules.model import FORMS, Form, Operand, Rule
from data_platform.quality.rules.values import (
    COLUMN,
    STRING,
    check_between,
    items,
    operand,
    share,
    slug,
    unquote,
)

_PATTERN_LENGTH_MAX = 1_000
_RATE = re.compile(
    rf"null_rate\s*\(\s*{COLUMN}\s*\)(?:\s*(?P<operator>\S+?)\s*(?P<share>[\d.]+\s*%?))?", re.I
)
NULL_RATE_MAX = "0.05"
"""What a rule allows that writes no bound."""
_REST = re.compile(rf"{COLUMN}\s*(?P<rest>.*)", re.S)
_COMPARE = re.compile(r"(?P<operator>>=|<=|!=|<>|==|=|>|<)\s*(?P<operand>.+)", re.S)
_BETWEEN = re.compile(rf"between\s+(?P<low>{STRING}|\S+)\s+and\s+(?P<high>{STRING}|\S+)", re.I)
_TEXT = re.compile(rf"(?P<word>contains|matches)\s+(?P<text>{STRING})", re.I | re.S)
_IN = re.compile(r"(?P<not>not\s+)?in\s*[\[(](?P<items>.*)[\])]", re.I | re.S)
_NOT_IN_RE2 = re.compile(r"\(\?(?:[=!]|<[=!]|>|\()|\\[1-9]|\\k<|[*+?}]\+")
_WORDS = ("contains", "matches", "between", "in", "not null", "unique", "references", "increases", "has")


def parse_row(text: str) -> Rule:
    """``text`` is a line without spaces around it. Raises ValueError with what to write instead."""
    if found := _RATE.fullmatch(text):
        return _rate(text, found)
    found = _REST.fullmatch(text)
    if found is None:
        raise ValueError(f"cannot be read; a rule begins with a column's name, as in {FORMS}")
    column, rest = unquote(found["column"]), found["rest"].strip()
    lowered = " ".join(rest.lower().split())
    if lowered in ("not null", "is not null"):
        return _rule(text, (column,), "not_null")
    if lowered in ("!= null", "<> null"):
        raise ValueError(f"comparing with null is never true; write `{column} not null`")
    if match := _TEXT.fullmatch(rest):
        value = unquote(match["text"])
        if match["word"].lower() == "contains":
            if not value:
                raise ValueError("`contains` needs a text that is not empty")
            return _rule(text, (column,), "contains", "contains", (Operand("text", value),))
        _check_pattern(value)
        return _rule(text, (column,), "matches", "matches", (Operand("text", value),))
    if re.match(r"(contains|matches)\b", rest, re.I):
        raise ValueError(
            f'the text after `{lowered.split()[0]}` must be in quotes, as in `email contains "@"`'
        )
    if match := _BETWEEN.fullmatch(rest):
        low, high = operand(match["low"]), operand(match["high"])
        check_between(low, high)
        return _rule(text, (column,), "between", "between", (low, high))
    if match := _IN.fullmatch(rest):
        form: Form = "not_in" if match["not"] else "in"
        return _rule(text, (column,), form, form, items(match["items"]))
    if match := _COMPARE.fullmatch(rest):
        operator = {"<>": "!=", "==": "="}.get(match["operator"], match["operator"])
        right = operand(match["operand"].strip())
        if right.kind == "boolean" and operator not in ("=", "!="):
            raise ValueError("true and false can only be compared with = or !=")
        columns = (column, right.value) if right.kind == "column" else (column,)
        return _rule(text, columns, "compare", operator, (right,))
    raise ValueError(
        f"cannot be read after the column `{column}`{_near(lowered)}; write a rule such as {FORMS}"
    )


def _near(rest: str) -> str:
    """The known word that the text after the column probably means."""
    from difflib import get_close_matches

    words = rest.split()
    tried = [" ".join(words[:2]), words[0]] if words else []
    found = [one for word in tried for one in get_close_matches(word, _WORDS, 1, 0.7)]
    return f": did you mean `{found[0]}`?" if found and found[0] not in tried else ""


def _rate(text: str, found: re.Match[str]) -> Rule:
    if found["operator"] not in (None, "<="):
        raise ValueError("null_rate needs an upper bound: `null_rate(column) <= 0.05`")
    try:
        limit = share(found["share"] or NULL_RATE_MAX)
    except ValueError:
        limit = None
    if limit is None or not 0 <= limit <= 1:
        raise ValueError("the share after null_rate must be a number from 0 to 1: 0.05 is five in a hundred")
    said = (found["share"] or NULL_RATE_MAX).strip()
    operands = (Operand("number", f"{limit:.12g}" if "%" in said else said),)
    return replace(
        _rule(text, (unquote(found["column"]),), "null_rate", "<=", operands), kind="rate", threshold=limit
    )


def _rule(
    text: str, columns: tuple[str, ...], form: Form, operator: str = "", operands: tuple[Operand, ...] = ()
) -> Rule:
    name = slug(columns[0], form, operator, operands)
    return Rule(text.strip(), name, columns, "row", form, operator, operands)


def _check_pattern(pattern: str) -> None:
    """RE2 runs in linear time. Therefore it has no look-around and no back-references."""
    if _NOT_IN_RE2.search(pattern):
        raise ValueError(
            "the regular expression uses look-around, a back-reference or a possessive quantifier,"
            " which RE2, the engine's syntax, does not support"
        )
    if len(pattern) > _PATTERN_LENGTH_MAX:
        raise ValueError(
            f"the regular expression has {len(pattern):,} characters, more than {_PATTERN_LENGTH_MAX:,}"
        )
    if problem := _pattern_problem(pattern):
        raise ValueError(f"the regular expression is not valid: {problem}")


@cache
def _pattern_problem(pattern: str) -> str | None:
    """The engine's error about ``pattern``; None if it compiles."""
    import duckdb

    with duckdb.connect(":memory:", config={"threads": 1}) as engine:
        try:
            engine.execute(f"SELECT {DIALECT.matches(DIALECT.literal(''), pattern)}")
        except duckdb.Error as error:
            return str(error).splitlines()[0].removeprefix("Invalid Input Error: ")
    return None
