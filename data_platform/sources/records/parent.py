"""A parent's record, as far as its children need it: its key, and the array that they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from data_platform.errors import SourceError
from data_platform.sources.reading import SourceTable

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw] | None)


def key_values(table: SourceTable, record: bytes, key: Sequence[str], origin: str) -> list[Any]:
    """The values of a parent's key. SourceError where one is missing: its children would be nobody's."""
    try:
        fields = _FIELDS.decode(record)
        values = [msgspec.json.decode(fields[name]) for name in key]
    except (KeyError, msgspec.DecodeError):
        values = [None]
    if any(value is None or isinstance(value, (dict, list)) for value in values):
        raise SourceError(
            f"{table.id}: a record of {origin} lacks its key ({', '.join(key)}), by which its children are known. Correct"
            " `key` of the parent's block."
        )
    return values


def elements(table: SourceTable, record: bytes, path: Sequence[str], origin: str) -> list[bytes]:
    """The JSON texts of the elements of the array at ``path``, which may be absent or null. SourceError where
    something else is there."""
    raw: Any = record
    try:
        for name in path:
            raw = _FIELDS.decode(raw).get(name)
            if raw is None or bytes(raw).strip() == b"null":
                return []
        return [bytes(element) for element in _ELEMENTS.decode(raw) or ()]
    except msgspec.MsgspecError:
        raise SourceError(
            f"{table.id}: {'.'.join(path)} is no array in a record of {origin}. Correct `path` of this block."
        ) from None
