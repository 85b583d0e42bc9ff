"""The types a stored column may have, as a closed grammar.

A type's name becomes part of a statement, and the manifests that hold it lie where others may be able to
write. So none is used that is not spelled exactly as one of these.
"""

from __future__ import annotations

import re

_KEPT = (
    "BOOLEAN|UUID|TINYINT|SMALLINT|INTEGER|BIGINT|UTINYINT|USMALLINT|UINTEGER|UBIGINT|FLOAT|DOUBLE|VARCHAR|BLOB|DATE"
    r"|TIMESTAMP|TIMESTAMP WITH TIME ZONE|DECIMAL\(\d{1,2},\d{1,2}\)"
)
_ENUM = r"ENUM\('(?:[^']|'')*'(?:, ?'(?:[^']|'')*')*\)"
_DIRECT = re.compile(rf"(?:{_KEPT})(?:\[\]){{0,16}}")
_AS_TEXT = re.compile(
    rf"JSON|HUGEINT|UHUGEINT|BIGNUM|VARINT|BIT|INTERVAL|TIME|TIME WITH TIME ZONE|TIMESTAMP_(?:NS|MS|S)|{_ENUM}"
)
_OTHER_SPELLINGS = re.compile(r"(?:TIMESTAMPTZ|TEXT|INT|BOOL|DECIMAL\(\d{1,2}, \d{1,2}\))(?:\[\]){0,16}")


_WIDER = ("SMALLINT", "INTEGER", "BIGINT"), ("FLOAT", "DOUBLE")
_DIGITS = {"SMALLINT": 5, "INTEGER": 10, "BIGINT": 19}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def holds(wider: str, narrower: str) -> bool:
    """Whether every value of the type ``narrower`` is exactly one of ``wider``, of the same kind."""
    if narrower == wider:
        return True
    if narrower.endswith("[]") and wider.endswith("[]"):
        return holds(wider[:-2], narrower[:-2])
    old, new = _DECIMAL.fullmatch(narrower), _DECIMAL.fullmatch(wider)
    if new and narrower in _DIGITS:
        return int(new[1]) - int(new[2]) >= _DIGITS[narrower]
    if old and new:
        precision, scale = int(new[1]) - int(old[1]), int(new[2]) - int(old[2])
        return scale >= 0 and precision >= scale
    return any(
        narrower in kinds and wider in kinds and kinds.index(narrower) < kinds.index(wider)
        for kinds in _WIDER
    )


def same_text(one: str, other: str) -> bool:
    """Whether a value that two types hold has the same text in both: a decimal shows its scale."""
    return one == other or (one in _DIGITS and other in _DIGITS)


def is_direct(name: str) -> bool:
    """Whether Arrow and Parquet hold the type's values as they are: scalars, and lists of them."""
    return _DIRECT.fullmatch(name) is not None


def is_text_form(name: str) -> bool:
    """Whether the type's values are kept in their text form, which comes back as the same value."""
    return _AS_TEXT.fullmatch(name) is not None


def is_column_type(name: object) -> bool:
    """Whether ``name`` is a type and nothing but a type."""
    return isinstance(name, str) and (
        is_direct(name) or is_text_form(name) or _OTHER_SPELLINGS.fullmatch(name) is not None
    )
