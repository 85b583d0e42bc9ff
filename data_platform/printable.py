"""Text that a terminal, a log or a page may show: what would act on them is shown as an escape.

A source's names, comments and values reach errors and tables. An escape sequence in
one of them could move the cursor, rename the window or hide what follows; a
bidirectional control could show text in another order than it is stored in.
"""

from __future__ import annotations

import re

_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff"  # direction, line breaks, byte order
    "\ud800-\udfff"  # lone surrogates, which no stream takes
    "\U000e0000-\U000e007f]"  # invisible tags
)
_ACTING_IN_A_LINE = re.compile(_ACTING.pattern[:-1] + "\t\n]")
_NO_TEXT_IN_YAML = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def printable(text: str) -> str:
    """``text`` with every character that acts on a terminal or turns text around as ``\\x1b`` or
    ``\\u202e``. Newlines and tabs stay."""
    return _ACTING.sub(_escape, text) if _ACTING.search(text) else text


def printable_line(text: str) -> str:
    """``printable`` text that stays on one line: a name or a value inside of something else."""
    return _ACTING_IN_A_LINE.sub(_escape, text) if _ACTING_IN_A_LINE.search(text) else text


def printable_json(text: str) -> str:
    """JSON with those characters as JSON's own escapes: the same document, safe to look at."""
    return _ACTING.sub(_json_escape, text) if _ACTING.search(text) else text


def yaml_scalar(text: str) -> str:
    """``text`` as YAML, in quotes unless every reader takes the bare word for that text."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", text) and text.lower() not in _NO_TEXT_IN_YAML
    return text if plain else yaml_quoted(text)


def yaml_quoted(text: str) -> str:
    """``text`` as a double-quoted scalar of YAML, on one line and of characters that one can see. JSON's own
    escapes do not do: YAML takes a line separator for a line's end, refuses control characters, and knows no
    pairs of surrogates."""
    return '"' + "".join(map(_yaml_escape, text)) + '"'


def _yaml_escape(character: str) -> str:
    if character in '\\"':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
