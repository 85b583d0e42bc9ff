"""What the fields of a manifest may be: a closed grammar, asked before anything is made of them.

Whoever may write to the landing store can write a manifest whose digest is right. Its strings go into
statements, keys and paths, so each is what its field says, or the manifest is none. Pure.
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
        must(isinstance(raw[name], list), f"its {name} are no list")
    source, _, table = raw["table"].partition("/")
    must(NAME.fullmatch(source) and NAME.fullmatch(table), "it names no table")
    must(is_number(raw["sequence"], 1), "its number is none")
    must(raw["kind"] in kinds, "its kind is none")
    must(
        raw["operation"] in get_args(Operation) and raw["load"] in get_args(Load), "it loads in no known way"
    )
    must(raw["partition"] is None or _is_name(raw["partition"]), "its partition is no column")
    must(all(map(_is_name, raw["key"])), "its key is no list of columns")
    must(isinstance(raw["timezone"], str) and _ZONE.fullmatch(raw["timezone"]), "its time zone is none")
    must(all(map(is_slice, raw["slices"])), "a slice of it is none")
    for name, type_, source_type, nullable in raw["columns"]:
        must(
            _is_name(name) and isinstance(source_type, str) and isinstance(nullable, bool), "a column is none"
        )
        must(is_column_type(type_), "a column's type is none")
    for part in raw["parts"]:
        check_part(part, raw["table"])
    must(is_number(raw["rows"]), "its rows are no number")
    must(is_instant(raw["committed_at"]), "its instant is none with a time zone")
    must(isinstance(raw["nonce"], str) and _NONCE.fullmatch(raw["nonce"]), "its nonce is none")
    must(raw["previous"] is None or is_digest(raw["previous"]), "what it follows is no digest")
    for counted in (raw["touched"], raw["fingerprints"], raw["checkpoint"] or {}):
        must(all(map(is_slice, counted)), "a slice of it is none")
    must(all(map(is_number, raw["touched"].values())), "its counts are no numbers")
    for prints in (raw["fingerprints"], raw["checkpoint"] or {}):
        must(
            all(is_number(n, 0, 2**64) for numbers in prints.values() for n in numbers),
            "a fingerprint is none",
        )
    for name in ("measured_whole", "key_enforced"):
        must(isinstance(raw[name], bool), f"{name} is neither true nor false")
    must(all(isinstance(note, str) for note in raw["notes"]), "a note is no text")
    _check_reads(raw)
    if "quarantined" in raw:
        check_part(raw["quarantined"], raw["table"])
    if "quarantined_before" in raw:
        sequence, rows = raw["quarantined_before"]
        must(is_number(sequence, 1, raw["sequence"]) and is_number(rows, 1), "what waits before it is none")
    for name in ("checkpoint_whole_at", "redacted_before"):
        must(raw[name] is None or is_number(raw[name]), f"{name} is no number")


def _check_reads(raw: Mapping[str, Any]) -> None:
    """What the next read of the source is made of. What a position's value and an identity say is the source's to
    ask: it knows what may go into its questions."""
    snapshot = raw["snapshot"]
    must(is_word(snapshot["system"]) and isinstance(snapshot["text"], str), "its snapshot is none")
    must(is_instant(snapshot["taken_at"]), "its snapshot is none")
    for position in (raw["position_before"], raw["position_after"]):
        if position is None:
            continue
        must(is_word(position["system"]) and is_word(position["text"]), "its position is none")
        must(isinstance(position["value"], dict), "its position is none")
    must(raw["identity"] is None or isinstance(raw["identity"], dict), "its table's identity is none")
    columns = [name for name, *_ in raw["columns"]]
    for name in ("version", "deleted"):
        must(raw[name] is None or raw[name] in columns, f"the column of its rows' {name} is none")
    if "replaces" in raw:
        together = raw["replaces"]
        must(isinstance(together, list) and together, "what its rows replace are no columns")
        must(all(name in columns for name in together), "what its rows replace are no columns")
    must(is_word(raw["written_by"]), "what wrote it has no name")


def check_part(part: Any, table: str) -> None:
    key, rows, size, sha256 = part
    names = key.split("/")
    in_folder = key.startswith(f"{table}/batches/") and not any(n in ("", ".", "..") for n in names)
    must(in_folder and re.fullmatch(r"[A-Za-z0-9_./-]{1,400}", key), "a part lies outside its table's folder")
    must(is_number(rows) and is_number(size) and is_digest(sha256), "a part is not described as a part is")


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
