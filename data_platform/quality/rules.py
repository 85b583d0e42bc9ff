"""Parses one line of YAML as a rule. ``rule_sql.py`` makes its SQL, ``evaluate.py`` runs it.

    revenue >= 0                    a column and a number, a date, a 'text', true, today, now
    paid_at >= created_at           or another column
    user_id not null
    email contains "@"
    age between 0 and 150           both ends included
    status in [paid, 'on hold']
    sku matches "^[A-Z]{3}-"        a regular expression (RE2), found anywhere in the text
    null_rate(coupon_code) <= 0.05  the share of rows where it is NULL

A NULL passes every rule except ``not null``. A value that cannot be compared fails: text
that is not a number fails ``>= 0``. Numbers are compared as double precision, dates
as days in UTC.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from data_platform.duckdb_sql import DIALECT
from data_platform.tables import RULE_PREFIX, Treatment

Kind = Literal["row", "rate"]
Severity = Literal["error", "warn"]
OperandKind = Literal["number", "date", "text", "boolean", "today", "now", "column"]
Form = Literal["compare", "not_null", "contains", "between", "in", "matches", "null_rate"]

FORMS = (
    '`revenue >= 0`, `user_id not null`, `email contains "@"`, `age between 0 and 150`,'
    ' `status in [paid, shipped]`, `sku matches "^[A-Z]"`, `order_date <= today` or'
    " `null_rate(coupon_code) <= 0.05`"
)
_NAME_LENGTH_MAX = 60  # a name is part of a column, a check and a file name
_TEXT_LENGTH_MAX, _PATTERN_LENGTH_MAX = 10_000, 1_000


@dataclass(frozen=True, slots=True)
class Operand:
    """The right-hand side: ``value`` is the text as written, without its quotes."""

    kind: OperandKind
    value: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule on the rows of one table.

    ``name`` is a slug, unique within its table. ``blocking`` keeps a failure from
    flowing downstream. ``threshold`` is the share (0 to 1) of bad rows that a
    rule of kind ``rate`` allows; a rule of kind ``row`` allows none.
    """

    text: str
    name: str
    columns: tuple[str, ...]
    kind: Kind
    form: Form
    operator: str = ""
    operands: tuple[Operand, ...] = ()
    blocking: bool = False
    severity: Severity = "error"
    threshold: float | None = None

    @property
    def landed_column(self) -> str:
        """The boolean column with the result, if ``lands`` is true."""
        return RULE_PREFIX + self.name

    def lands(self, personal: Mapping[str, Treatment]) -> bool:
        """Whether it is evaluated during extraction, because it needs a clear value that must
        not leave the source. Every treatment preserves NULLs, so a rate rule never needs this."""
        return self.kind == "row" and any(personal.get(c, "keep") != "keep" for c in self.columns)


def parse_rule(rule: str | Mapping[str, Any]) -> Rule:
    """A rule from its YAML: a line of text, or a mapping with ``rule`` and, optionally,
    ``name``, ``blocking`` and ``severity``.

    Raises ValueError with what to write instead; values are never part of the message.
    """
    if isinstance(rule, Rule):
        return rule
    if isinstance(rule, str):
        return _parse_text(rule)
    if not isinstance(rule, Mapping):
        raise ValueError(f"a rule is a line of text such as {FORMS}, or a mapping with the key `rule`")
    unknown = sorted(str(key) for key in rule if key not in ("rule", "name", "blocking", "severity"))
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}; a rule has: rule, name, blocking, severity")
    text = rule.get("rule")
    if not isinstance(text, str):
        raise ValueError("the key `rule` must hold the rule's text, such as `revenue >= 0`")
    blocking, severity, name = rule.get("blocking", False), rule.get("severity", "error"), rule.get("name")
    if not isinstance(blocking, bool):
        raise ValueError("`blocking` must be true or false")
    if severity not in ("error", "warn"):
        raise ValueError("`severity` must be error or warn")
    if blocking and severity == "warn":
        raise ValueError("a blocking rule must have severity error; a warning stops nothing")
    parsed = replace(_parse_text(text), blocking=blocking, severity=severity)
    if name is None:
        return parsed
    if not isinstance(name, str) or not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{_NAME_LENGTH_MAX - 1}}}", name):
        raise ValueError(
            "`name` must be lower-case letters, digits and underscores, start with a letter and"
            f" have at most {_NAME_LENGTH_MAX} characters"
        )
    return replace(parsed, name=name)


_COLUMN = r"""(?P<column>[^\W\d]\w*|"(?:[^"]|"")+")"""
_STRING = r"""(?:'(?:[^']|'')*'|"(?:[^"]|"")*")"""
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_RATE = re.compile(rf"null_rate\s*\(\s*{_COLUMN}\s*\)\s*(?P<operator>\S+?)\s*(?P<share>[\d.]+)", re.I)
_REST = re.compile(rf"{_COLUMN}\s*(?P<rest>.*)", re.S)
_COMPARE = re.compile(r"(?P<operator>>=|<=|!=|<>|==|=|>|<)\s*(?P<operand>.+)", re.S)
_BETWEEN = re.compile(rf"between\s+(?P<low>{_STRING}|\S+)\s+and\s+(?P<high>{_STRING}|\S+)", re.I)
_TEXT = re.compile(rf"(?P<word>contains|matches)\s+(?P<text>{_STRING})", re.I | re.S)
_IN = re.compile(r"in\s*[\[(](?P<items>.*)[\])]", re.I | re.S)
_ITEM = re.compile(rf"\s*(?P<item>{_STRING}|[^,'\"]+?)\s*(?:,|$)", re.S)
_OPERATOR_NAMES = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "=": "eq", "!=": "ne"}
_NOT_IN_RE2 = re.compile(r"\(\?(?:[=!]|<[=!]|>|\()|\\[1-9]|\\k<|[*+?}]\+")
_CHARACTER_NAMES = {"@": " at ", "%": " percent ", "+": " plus ", "-": " ", ".": " "}


def _parse_text(text: str) -> Rule:
    stripped = text.strip()
    if len(stripped) > _TEXT_LENGTH_MAX:
        raise ValueError(
            f"the rule has {len(stripped):,} characters, more than {_TEXT_LENGTH_MAX:,}; write several rules"
        )
    if not stripped:
        raise ValueError(f"the rule is empty; write one such as {FORMS}")
    if found := _RATE.fullmatch(stripped):
        return _rate(text, found)
    found = _REST.fullmatch(stripped)
    if found is None:
        raise ValueError(f"cannot be read; a rule begins with a column's name, as in {FORMS}")
    column, rest = _unquote(found["column"]), found["rest"].strip()
    lowered = " ".join(rest.lower().split())
    if lowered in ("not null", "is not null"):
        return _rule(text, (column,), "not_null")
    if lowered in ("!= null", "<> null"):
        raise ValueError(f"comparing with null is never true; write `{column} not null`")
    if match := _TEXT.fullmatch(rest):
        value = _unquote(match["text"])
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
        low, high = _operand(match["low"]), _operand(match["high"])
        _check_between(low, high)
        return _rule(text, (column,), "between", "between", (low, high))
    if match := _IN.fullmatch(rest):
        return _rule(text, (column,), "in", "in", _items(match["items"]))
    if match := _COMPARE.fullmatch(rest):
        operator = {"<>": "!=", "==": "="}.get(match["operator"], match["operator"])
        operand = _operand(match["operand"].strip())
        if operand.kind == "boolean" and operator not in ("=", "!="):
            raise ValueError("true and false can only be compared with = or !=")
        columns = (column, operand.value) if operand.kind == "column" else (column,)
        return _rule(text, columns, "compare", operator, (operand,))
    raise ValueError(f"cannot be read after the column `{column}`; write a rule such as {FORMS}")


def _rate(text: str, found: re.Match[str]) -> Rule:
    if found["operator"] != "<=":
        raise ValueError("null_rate needs an upper bound: `null_rate(column) <= 0.05`")
    try:
        share = float(found["share"])
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError("the share after null_rate must be a number from 0 to 1: 0.05 is five in a hundred")
    operands = (Operand("number", found["share"]),)
    return replace(
        _rule(text, (_unquote(found["column"]),), "null_rate", "<=", operands), kind="rate", threshold=share
    )


def _rule(
    text: str, columns: tuple[str, ...], form: Form, operator: str = "", operands: tuple[Operand, ...] = ()
) -> Rule:
    name = _slug(columns[0], form, operator, operands)
    return Rule(text.strip(), name, columns, "row", form, operator, operands)


def _slug(column: str, form: Form, operator: str, operands: tuple[Operand, ...]) -> str:
    """A readable name; a digest is appended if letters alone could not distinguish two rules."""
    words = [column]
    if form == "null_rate":
        words = ["null_rate", column]
    elif form != "compare":
        words.append(form)
    if operator in _OPERATOR_NAMES:
        words.append(_OPERATOR_NAMES[operator])
    lossy = not re.fullmatch(r"\w+", column, re.A)
    for number, operand in enumerate(operands):
        if form == "between" and number:
            words.append("and")
        value = operand.value
        if operand.kind == "number":
            value = value.replace("-", "minus ", 1) if value.startswith("-") else value.lstrip("+")
            value = value.replace("e-", " e minus ").replace(".", " ")
        elif operand.kind == "text":
            lossy = lossy or not re.fullmatch(r"[\w@%+ -]*", value, re.A) or value != value.lower()
            for character, word in _CHARACTER_NAMES.items():
                value = value.replace(character, word)
        words.append(value)
    slug = re.sub(r"[^a-z0-9]+", "_", " ".join(words).lower()).strip("_")
    if lossy or len(slug) > _NAME_LENGTH_MAX or not slug[:1].isalpha():
        whole = "\x1f".join([column, form, operator, *(f"{o.kind}:{o.value}" for o in operands)])
        digest = hashlib.sha256(whole.encode()).hexdigest()[:6]
        head = slug if slug[:1].isalpha() else f"rule_{slug}"
        slug = f"{head[: _NAME_LENGTH_MAX - 7].strip('_')}_{digest}"
    return slug


def _operand(text: str) -> Operand:
    lowered = text.lower()
    if re.fullmatch(_STRING, text, re.S):
        value = _unquote(text)
        return _date(value) if _DATE.fullmatch(value) else Operand("text", value)
    if _NUMBER.fullmatch(text):
        return Operand("number", text)
    if _DATE.fullmatch(text):
        return _date(text)
    if lowered in ("today", "now"):
        return Operand("today" if lowered == "today" else "now", lowered)
    if lowered in ("true", "false"):
        return Operand("boolean", lowered)
    if lowered == "null":
        raise ValueError("comparing with null is never true; write `<column> not null`")
    if re.fullmatch(r"[^\W\d]\w*", text):
        return Operand("column", text)
    raise ValueError(
        "the right-hand side must be a number, a 'text' in quotes, a date such as 2024-01-31,"
        " true, false, today, now or a column's name"
    )


def _date(text: str) -> Operand:
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("the date does not exist; write it as 2024-01-31") from None
    return Operand("date", text)


def _items(text: str) -> tuple[Operand, ...]:
    items: list[str] = []
    position = 0
    while position < len(text):
        match = _ITEM.match(text, position)
        if match is None:
            raise ValueError("the list after `in` cannot be read; write it as [paid, shipped, 'on hold']")
        items.append(match["item"])
        position = match.end()
    if not items:
        raise ValueError("the list after `in` is empty")
    if all(_NUMBER.fullmatch(item) for item in items):
        return tuple(Operand("number", item) for item in items)
    return tuple(
        Operand("text", _unquote(item) if re.fullmatch(_STRING, item, re.S) else item) for item in items
    )


def _check_between(low: Operand, high: Operand) -> None:
    groups = {"number": "number", "date": "date", "today": "date", "now": "now", "text": "text"}
    if low.kind not in groups or high.kind not in groups or groups[low.kind] != groups[high.kind]:
        raise ValueError("`between` needs two numbers, two dates or two texts")
    if low.kind == high.kind == "number" and float(low.value) > float(high.value):
        raise ValueError("`between` has its greater value first: no row could pass")
    if low.kind == high.kind == "date" and low.value > high.value:
        raise ValueError("`between` has its later date first: no row could pass")


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


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace(text[0] * 2, text[0])
    return text
