"""A block: the object in which entries are appended together, its bytes and its digest. Pure.

The digest covers every field and, through ``previous``, every earlier block. The name of the log is one of the fields, so
that a block of one log is none of another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from data_platform.errors import LedgerBroken
from data_platform.landing.grammar import is_digest, is_instant, is_number, must
from data_platform.landing.part import canonical
from data_platform.landing.signing import Signer

FORMAT = 1
PURPOSE = "log"
ENTRY_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Entry:
    """``number`` counts the entries of a log from 1; ``at`` is when its block was made, by the writer's clock."""

    number: int
    at: datetime
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """``number`` counts blocks from 1, ``first`` is the number of its first entry, ``bodies`` are at least one."""

    log: str
    number: int
    first: int
    at: datetime
    bodies: tuple[Mapping[str, Any], ...]
    nonce: str
    previous: str | None
    digest: str = ""
    signature: str = ""

    @property
    def last(self) -> int:
        """The number of its last entry."""
        return self.first + len(self.bodies) - 1

    @property
    def entries(self) -> list[Entry]:
        return [Entry(number, self.at, body) for number, body in enumerate(self.bodies, self.first)]

    def sealed(self, signer: Signer) -> Block:
        """With its digest, and its signature where there is a key."""
        digest = hashlib.sha256(canonical(self._fields())).hexdigest()
        return replace(self, digest=digest, signature=signer.sign(PURPOSE, digest))

    def to_json(self) -> bytes:
        return canonical({**self._fields(), "digest": self.digest, "signature": self.signature})

    @classmethod
    def from_json(cls, data: bytes, key: str, signer: Signer) -> Block:
        """``LedgerBroken`` for bytes that are no block, or other than their digest or signature says."""
        try:
            block = _parsed(json.loads(data))
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            why = str(error) if type(error) is ValueError else "it is not JSON of this format"
            raise LedgerBroken(f"{key} is not a block of a log: {why}.") from None
        if hashlib.sha256(canonical(block._fields())).hexdigest() != block.digest:
            raise LedgerBroken(f"{key} does not match its digest: it was edited.")
        if block.signature and signer.signs and not signer.accepts(PURPOSE, block.digest, block.signature):
            raise LedgerBroken(
                f"{key} is not signed under the key in {signer.variable}: it was forged, or the key is another one (the"
                " one before may be named by `previous_key_env`)."
            )
        return block

    def _fields(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "log": self.log,
            "number": self.number,
            "first": self.first,
            "at": self.at.isoformat(),
            "entries": list(self.bodies),
            "nonce": self.nonce,
            "previous": self.previous,
        }


def checked_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``body`` as it reads back. ValueError for what is no JSON, or is larger than ``ENTRY_BYTES_MAX``."""
    text = json.dumps(dict(body), allow_nan=False)
    if len(text) > ENTRY_BYTES_MAX:
        raise ValueError(
            f"an entry of a log has at most {ENTRY_BYTES_MAX:,} bytes; this one has {len(text):,}"
        )
    read: dict[str, Any] = json.loads(text)
    if read != body:
        raise ValueError(
            "an entry of a log is JSON: text keys, texts, numbers, booleans, null, lists and objects"
        )
    return read


def _parsed(raw: Mapping[str, Any]) -> Block:
    must(raw["format"] == FORMAT, f"its format is not {FORMAT}; a newer version of this platform wrote it")
    must(isinstance(raw["log"], str) and isinstance(raw["nonce"], str), "its log has no name")
    must(is_number(raw["number"], 1) and is_number(raw["first"], 1), "its number is invalid")
    must(is_instant(raw["at"]), "its instant is invalid or has no time zone")
    bodies = raw["entries"]
    must(isinstance(bodies, list) and bodies, "it has no entries")
    must(all(isinstance(body, dict) for body in bodies), "an entry is not an object")
    must(raw["previous"] is None or is_digest(raw["previous"]), "its `previous` is not a digest")
    must(is_digest(raw["digest"]) and isinstance(raw["signature"], str), "it has no digest")
    return Block(
        raw["log"],
        raw["number"],
        raw["first"],
        datetime.fromisoformat(raw["at"]),
        tuple(bodies),
        raw["nonce"],
        raw["previous"],
        raw["digest"],
        raw["signature"],
    )
