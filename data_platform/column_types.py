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
