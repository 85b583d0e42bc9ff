"""Columns, numbers, texts and dates in a rule's line, and the name that is made of it."""

from __future__ import annotations

import hashlib
import re

from data_platform.quality.rules.model import Operand

NAME_LENGTH_MAX = 60  # a name is part of a column, a check and a file name
COLUMN = r"""(?P<column>[^\W\d]\w*|"(?:[^"]|"")+")"""
ANY_COLUMN = r"""(?:[^\W\d]\w*|"(?:[^"]|"")+")"""
STRING = r"""(?:'(?:[^']|'')*'|"(?:[^"]|"")*")"""
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_PERCENT = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*%")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ITEM = re.compile(rf"\s*(?P<item>{STRING}|[^,'\"]+?)\s*(?:,|$)", re.S)
_OPERATOR_NAMES = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "=": "eq", "!=": "ne"}
_CHARACTER_NAMES = {"@": " at ", "%": " percent ", "+": " plus ", "-": " ", ".": " "}


def operand(text: str) -> Operand:
    lowered = text.lower()
    if re.fullmatch(STRING, text, re.S):
        value = unquote(text)
        return _date(value) if _DATE.fullmatch(value) else Operand("text", value)
    if NUMBER.fullmatch(text):
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


def share(text: str) -> float | None:
    """``5%`` or ``0.05`` as 0.05; None for what is neither."""
    if found := _PERCENT.fullmatch(text.strip()):
        return float(found[1]) / 100
    return float(text) if NUMBER.fullmatch(text.strip()) else None


def _date(text: str) -> Operand:
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("the date does not exist; write it as 2024-01-31") from None
    return Operand("date", text)


def items(text: str) -> tuple[Operand, ...]:
    found: list[str] = []
    position = 0
    while position < len(text):
        match = _ITEM.match(text, position)
        if match is None:
            raise ValueError("the list after `in` cannot be read; write it as [paid, shipped, 'on hold']")
        found.append(match["item"])
        position = match.end()
    if not found:
        raise ValueError("the list after `in` is empty")
    if all(NUMBER.fullmatch(item) for item in found):
        return tuple(Operand("number", item) for item in found)
    return tuple(
        Operand("text", unquote(item) if re.fullmatch(STRING, item, re.S) else item) for item in found
    )


def columns(text: str) -> tuple[str, ...]:
    """Columns with commas between them."""
    found = tuple(unquote(one) for one in re.findall(ANY_COLUMN, text))
    if not re.fullmatch(rf"\s*{ANY_COLUMN}(?:\s*,\s*{ANY_COLUMN})*\s*", text):
        raise ValueError("must name columns with commas between them, such as `user_id, day`")
    if len(set(found)) < len(found):
        raise ValueError("names a column twice")
    return found


def check_between(low: Operand, high: Operand) -> None:
    groups = {"number": "number", "date": "date", "today": "date", "now": "now", "text": "text"}
    if low.kind not in groups or high.kind not in groups or groups[low.kind] != groups[high.kind]:
        raise ValueError("`between` needs two numbers, two dates or two texts")
    if low.kind == high.kind == "number" and float(low.value) > float(high.value):
        raise ValueError("`between` has its greater value first: no row could pass")
    if low.kind == high.kind == "date" and low.value > high.value:
        raise ValueError("`between` has its later date first: no row could pass")


def slug(column: str, form: str, operator: str, operands: tuple[Operand, ...]) -> str:
    """A readable name; a digest is appended if letters alone could not distinguish two rules."""
    words = [column]
    if form == "null_rate":
        words = ["null_rate", column]
    elif form != "compare":
        words.append(form)
    if operator in _OPERATOR_NAMES:
        words.append(_OPERATOR_NAMES[operator])
    lossy = not re.fullmatch(r"\w+", column, re.A)
    for number, one in enumerate(operands):
        if form == "between" and number:
            words.append("and")
        value = one.value
        if one.kind == "number":
            value = value.replace("-", "minus ", 1) if value.startswith("-") else value.lstrip("+")
            value = value.replace("e-", " e minus ").replace(".", " ")
        elif one.kind == "text":
            lossy = lossy or not re.fullmatch(r"[\w@%+ -]*", value, re.A) or value != value.lower()
            for character, word in _CHARACTER_NAMES.items():
                value = value.replace(character, word)
        words.append(value)
    whole = "\x1f".join([column, form, operator, *(f"{o.kind}:{o.value}" for o in operands)])
    return _named(" ".join(words), whole, lossy)


def slug_of_text(text: str) -> str:
    """The same for a whole line, of which only words, numbers and comparisons can be told apart by letters."""
    lossy = not re.fullmatch(r"[a-z0-9_ ().,%<>=!/]*", text)
    words = text
    for sign, name in _OPERATOR_NAMES.items():
        words = re.sub(rf"(?<![<>=!]){re.escape(sign)}(?!=)", f" {name} ", words)
    words = re.sub(r"(?<=\d)\.(?=\d)", " ", words.replace("%", " percent "))
    return _named(words, text, lossy)


def _named(words: str, whole: str, lossy: bool) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    if lossy or len(name) > NAME_LENGTH_MAX or not name[:1].isalpha():
        digest = hashlib.sha256(whole.encode()).hexdigest()[:6]
        head = name if name[:1].isalpha() else f"rule_{name}"
        name = f"{head[: NAME_LENGTH_MAX - 7].strip('_')}_{digest}"
    return name


def unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace(text[0] * 2, text[0])
    return text
