"""Regular expressions that mean the same in RE2 and in the POSIX patterns of PostgreSQL and Redshift: a subset, spelled with plain ranges.

What is outside it is refused: a pattern that a machine reads in another way would be a rule that tests something else.
"""

from __future__ import annotations

import re

from data_platform.errors import UnsupportedExpression

_CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": " \t\n\f\r"}
_OTHER_CASES = {"k": "\u212a", "s": "\u017f"}
"""Letters that RE2 takes for these when case does not count."""
_PLAIN = re.compile(r"[A-Za-z0-9 _\-@#%&~`'\"/:;<>=,!\u0080-\U0010ffff]")
_REPEAT = re.compile(r"[*+?]|\{\d{1,3}(?:,\d{0,3})?\}")
_SET = re.compile(r"\[(\^?)((?:[^\]\[\\^]|\\.)+)\]")
_SET_PIECE = re.compile(r"\\(.)|(a-z|A-Z|[^\\])")


def posix(pattern: str) -> str:
    """``pattern`` (RE2) as a POSIX extended one. ``UnsupportedExpression`` for what is outside the subset."""
    any_case = pattern.startswith("(?i)")
    made, at, repeatable = [], 4 if any_case else 0, False
    while at < len(pattern):
        rest = pattern[at:]
        if found := _SET.match(rest):
            piece, repeatable = _set(found[1], found[2], any_case, pattern), True
            at += found.end()
        elif (found := _REPEAT.match(rest)) and repeatable:
            piece, repeatable = found[0], False
            at += found.end()
        elif rest[0] == "\\" and len(rest) > 1:
            piece, repeatable = _escaped(rest[1], pattern), True
            at += 2
        elif rest.startswith("(?:") or (rest[0] == "(" and not rest.startswith("(?")):
            piece, repeatable = "(", False
            at += 3 if rest.startswith("(?:") else 1
        elif rest[0] in ")|^$":
            piece, repeatable = rest[0], rest[0] == ")"
            at += 1
        elif rest[0] == ".":
            piece, repeatable = "[^\n]", True
            at += 1
        elif _PLAIN.match(rest):
            piece, repeatable = _letter(rest[0], any_case, pattern), True
            at += 1
        else:
            raise _refused(pattern)
        made.append(piece)
    return "".join(made)


def _letter(letter: str, any_case: bool, pattern: str) -> str:
    if not any_case or (letter.isascii() and not letter.isalpha()):
        return letter
    if not letter.isascii():
        raise _refused(pattern)
    return f"[{letter.lower()}{letter.upper()}{_OTHER_CASES.get(letter.lower(), '')}]"


def _set(negated: str, body: str, any_case: bool, pattern: str) -> str:
    inner, last = "", ""
    for escaped, plain in _SET_PIECE.findall(body):
        if escaped in _CLASSES and not any_case:
            inner += _CLASSES[escaped]
        elif escaped == "-" or (plain == "-" and not inner):
            last = "-"
        elif escaped and (escaped.isalnum() or escaped in "\\]["):
            raise _refused(pattern)
        elif not any_case:
            inner += escaped or plain
        elif plain in ("a-z", "A-Z"):
            inner += "a-zA-Z" + "".join(_OTHER_CASES.values())
        elif plain == "-" and not inner[-1:].isdigit():
            raise _refused(pattern)  # a range of letters whose other cases are no range
        else:
            inner += escaped or _letter(plain, any_case, pattern).strip("[]")
    return f"[{negated}{inner}{last}]"


def _escaped(letter: str, pattern: str) -> str:
    if letter in _CLASSES:
        return f"[{_CLASSES[letter]}]"
    if letter in "DWS":
        return f"[^{_CLASSES[letter.lower()]}]"
    if letter == "\\":
        return "\\\\"
    if letter.isalnum() or letter == "^":
        raise _refused(pattern)
    return f"[{letter}]"


def _refused(pattern: str) -> UnsupportedExpression:
    return UnsupportedExpression(
        f"The pattern {pattern!r} has a part that this engine may read in another way. It may use letters, digits, ., [...],"
        r" \d, \w, \s, ^, $, groups, | and repetitions, and (?i) at its beginning; test the rest in dbt."
    )
