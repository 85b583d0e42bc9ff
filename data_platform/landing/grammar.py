"""The allowed values of a manifest's fields: a closed grammar, checked before they are used.

Anybody who can write to the landing store can write a manifest with a correct digest. Its strings go into
statements, keys and paths, so a manifest with an invalid field is refused. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, get_args

from data_platform.column_types import is_column_type
from data_platform.tables import NULL_SLICE, WHOLE_TABLE, Load, Operation

NAME = re.compile(r"[a-z0-9_]{1,63}")
"""Of a source and of a table: wider than the catalog's own rule, and safe in every key and path."""
COLUMN_LONGEST = 255
WORD_LONGEST = 1_000
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NONCE = re.compile(r"[0-9A-Za-z_-]{1,64}")
_DAY = re.compile(r"-?infinity|\d{4,6}-\d\d-\d\d( BC)?")
_ZONE = re.compile(r"[A-Za-z0-9_+:./-]{1,64}")
_LARGEST = 2**63


def check(raw: Mapping[str, Any], kinds: Iterable[str]) -> None:
    """ValueError, KeyError, TypeError or AttributeError where ``raw`` is no manifest's fields."""
    for name in ("key", "slices", "columns", "parts", "notes", "supersedes"):
        must(isinstance(raw[name], list), f"its {name} are not a list")
    source, _, table = raw["table"].partition("/")
    must(NAME.fullmatch(source) and NAME.fullmatch(table), "its table is invalid")
    must(is_number(raw["sequence"], 1), "its number is invalid")
    must(raw["kind"] in kinds, "its kind is invalid")
    must(
        raw["operation"] in get_args(Operation) and raw["load"] in get_args(Load),
        "its way of loading is unknown",
    )
    must(raw["partition"] is None or _is_name(raw["partition"]), "its partition is not a column")
    must(all(map(_is_name, raw["key"])), "its key is not a list of columns")
    must(isinstance(raw["timezone"], str) and _ZONE.fullmatch(raw["timezone"]), "its time zone is invalid")
    must(all(map(is_slice, raw["slices"])), "one of its slices is invalid")
    for name, type_, source_type, nullable in raw["columns"]:
        must(
            _is_name(name) and isinstance(source_type, str) and isinstance(nullable, bool),
            "a column is invalid",
        )
        must(is_column_type(type_), "a column's type is invalid")
    for part in raw["parts"]:
        check_part(part, raw["table"])
    must(is_number(raw["rows"]), "its row count is not a number")
    must(is_instant(raw["committed_at"]), "its instant is invalid or has no time zone")
    must(isinstance(raw["nonce"], str) and _NONCE.fullmatch(raw["nonce"]), "its nonce is invalid")
    must(raw["previous"] is None or is_digest(raw["previous"]), "its `previous` is not a digest")
    for counted in (raw["touched"], raw["fingerprints"], raw["checkpoint"] or {}):
        must(all(map(is_slice, counted)), "one of its slices is invalid")
    must(all(map(is_number, raw["touched"].values())), "its counts are not numbers")
    for prints in (raw["fingerprints"], raw["checkpoint"] or {}):
        must(
            all(is_number(n, 0, 2**64) for numbers in prints.values() for n in numbers),
            "a fingerprint is invalid",
        )
    for name in ("measured_whole", "key_enforced"):
        must(isinstance(raw[name], bool), f"{name} is neither true nor false")
    must(all(isinstance(note, str) for note in raw["notes"]), "a note is not text")
    _check_reads(raw)
    if "quarantined" in raw:
        check_part(raw["quarantined"], raw["table"])
    if "quarantined_before" in raw:
        sequence, rows = raw["quarantined_before"]
        must(is_number(sequence, 1, raw["sequence"]) and is_number(rows, 1), "what waits before it is none")
    if "settled_before" in raw:
        must(is_number(raw["settled_before"], 1, raw["sequence"]), "settled_before is not a number")
    for name in ("checkpoint_whole_at", "redacted_before"):
        must(raw[name] is None or is_number(raw[name]), f"{name} is not a number")


def _check_reads(raw: Mapping[str, Any]) -> None:
    """Check the fields that the next read of the source uses. The source itself checks the content of a position and
    of an identity, because it knows what it puts into its queries."""
    snapshot = raw["snapshot"]
    must(is_word(snapshot["system"]) and isinstance(snapshot["text"], str), "its snapshot is invalid")
    must(is_instant(snapshot["taken_at"]), "its snapshot is invalid")
    for position in (raw["position_before"], raw["position_after"]):
        if position is None:
            continue
        must(is_word(position["system"]) and is_word(position["text"]), "its position is invalid")
        must(isinstance(position["value"], dict), "its position is invalid")
    must(raw["identity"] is None or isinstance(raw["identity"], dict), "its table's identity is invalid")
    columns = [name for name, *_ in raw["columns"]]
    for name in ("version", "deleted"):
        must(raw[name] is None or raw[name] in columns, f"the column of its rows' {name} is invalid")
    if "replaces" in raw:
        together = raw["replaces"]
        must(isinstance(together, list) and together, "its `replaces` are not columns")
        must(all(name in columns for name in together), "its `replaces` are not columns")
    must(is_word(raw["written_by"]), "what wrote it has no name")


def check_part(part: Any, table: str) -> None:
    key, rows, size, sha256 = part
    names = key.split("/")
    in_folder = key.startswith(f"{table}/batches/") and not any(n in ("", ".", "..") for n in names)
    must(in_folder and re.fullmatch(r"[A-Za-z0-9_./-]{1,400}", key), "a part lies outside its table's folder")
    must(is_number(rows) and is_number(size) and is_digest(sha256), "the description of a part is invalid")


def is_slice(text: Any) -> bool:
    return isinstance(text, str) and (text in (NULL_SLICE, WHOLE_TABLE) or _DAY.fullmatch(text) is not None)


def is_number(value: Any, least: int = 0, below: int = _LARGEST) -> bool:
    return type(value) is int and least <= value < below


def is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def is_word(text: Any) -> bool:
    """A text that people see on a line."""
    return isinstance(text, str) and len(text) <= WORD_LONGEST


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= COLUMN_LONGEST and "\0" not in name


def is_instant(text: Any) -> bool:
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def must(holds: Any, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
