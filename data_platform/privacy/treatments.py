"""The treatments of a value as DuckDB SQL and, for hashes, also as Python. Nothing here runs SQL.

    hash    HMAC-SHA-256 under a key from the environment, 64 hex digits: equal
            values stay equal, so it joins; e-mail addresses are trimmed and
            lower-cased first
    seal    a text that opens under a key of the person alone (``seal.py``)
    mask    a phone number keeps its country's calling code and last two digits,
            +44********12; whatever does not parse becomes ***
    redact  [redacted]
    keep    the value as it is: an explicit choice

NULL stays NULL under all of them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata

from data_platform.privacy.names import is_email
from data_platform.tables import Treatment

REDACTED = "[redacted]"
MASKED = "***"

_BLOCK = 64  # bytes, SHA-256's block: what HMAC pads its key to
_INNER, _OUTER = "hash_inner", "hash_outer"

_WHITESPACE = (
    "".join(
        # what Python's str.strip removes; DuckDB's own trim takes off spaces only
        map(chr, [*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029])
    )
    + "\u202f\u205f\u3000"
)

CALLING_CODES = (
    # ITU-T E.164, assigned and in use; no code is the beginning of another
    "1 20 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237"
    " 238 239 240 241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262"
    " 263 264 265 266 267 268 269 27 290 291 297 298 299 30 31 32 33 34 350 351 352 353 354 355 356"
    " 357 358 359 36 370 371 372 373 374 375 376 377 378 380 381 382 383 385 386 387 389 39 40 41 420"
    " 421 423 43 44 45 46 47 48 49 500 501 502 503 504 505 506 507 508 509 51 52 53 54 55 56 57 58"
    " 590 591 592 593 594 595 596 597 598 599 60 61 62 63 64 65 66 670 672 673 674 675 676 677 678 679"
    " 680 681 682 683 685 686 687 688 689 690 691 692 7 800 808 81 82 84 850 852 853 855 856 86 870"
    " 878 880 881 882 883 886 888 90 91 92 93 94 95 960 961 962 963 964 965 966 967 968 970 971 972"
    " 973 974 975 976 977 979 98 992 993 994 995 996 998"
)
_PHONE = rf"^(?:\+|00)({CALLING_CODES.replace(' ', '|')})[0-9]{{2,12}}([0-9]{{2}})$"


def expression(column: str, treatment: Treatment, column_sql: str) -> str:
    """DuckDB SQL for the treated value; ``column_sql`` is the value's text form (VARCHAR).

    A hash needs ``session_setup`` to have run in the session: without it the
    query fails, so that a forgotten key never becomes a column of NULLs.
    """
    if treatment == "keep":
        return column_sql
    if treatment == "redact":
        return f"CASE WHEN {column_sql} IS NOT NULL THEN '{REDACTED}' END"
    if treatment == "seal":
        raise ValueError("a value is sealed by a function, which needs the subject too")
    if treatment == "mask":
        # letters and digits of other scripts stay and fail the pattern: an extension is not a number's end
        plain = f"regexp_replace({column_sql}, '[^\\pL\\pN+]', '', 'g')"
        parts = f"regexp_extract({plain}, '{_PHONE}', ['code', 'end'])"
        return (
            f"CASE WHEN {column_sql} IS NULL THEN NULL WHEN regexp_matches({plain}, '{_PHONE}')"
            f" THEN '+' || {parts}.code || '********' || {parts}.end ELSE '{MASKED}' END"
        )
    text = f"lower(trim({column_sql}, '{_WHITESPACE}'))" if is_email(column) else column_sql
    inner = f"unhex(sha256(getvariable('{_INNER}')::BLOB || encode({text})))"
    return (
        f"CASE WHEN {column_sql} IS NULL THEN NULL"
        f" WHEN getvariable('{_OUTER}') IS NULL THEN error('the key of the hash treatment is not set')"
        f" ELSE sha256(getvariable('{_OUTER}')::BLOB || {inner}) END"
    )


def session_setup(key: bytes) -> list[tuple[str, list[bytes]]]:
    """Statements with bound parameters that hand the session the two pads of HMAC under
    ``key``, precomputed: the key stands in no SQL text and no query plan."""
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    return [
        (f"SET VARIABLE {_INNER} = ?::BLOB", [bytes(b ^ 0x36 for b in block)]),
        (f"SET VARIABLE {_OUTER} = ?::BLOB", [bytes(b ^ 0x5C for b in block)]),
    ]


def hash_value(column: str, value: str, key: bytes) -> str:
    """The hash of one value, as stored in the warehouse: to find a person by e-mail address."""
    text = lowered(value.strip()) if is_email(column) else value
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def masked(value: str) -> str:
    """The mask of one value, as ``expression`` makes it."""
    plain = "".join(c for c in value if c == "+" or unicodedata.category(c)[0] in "LN")
    found = re.fullmatch(_PHONE[1:-1], plain)
    return f"+{found[1]}********{found[2]}" if found else MASKED


def lowered(text: str) -> str:
    """Lower case one character at a time, like DuckDB. str.lower depends on the neighbours of a Greek
    sigma, and it turns a dotted I into two characters."""
    return text.lower() if text.isascii() else re.sub(r"[^\x00-\x7f]|[A-Z]", lambda c: c[0].lower()[:1], text)
