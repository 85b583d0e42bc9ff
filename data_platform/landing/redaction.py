"""A redaction: which parts were rewritten to remove somebody's rows, and why, with a signature. Pure.

A manifest of the kind ``redact`` contains it. The chain stays unchanged: the old manifests still
name the old parts, and a reader finds the new ones through later redactions. The eraser
rewrites the parts; ``ledger.py`` places a redaction in the chain.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from data_platform.errors import ConfigurationError, LedgerBroken
from data_platform.landing.part import Part, canonical
from data_platform.tables import TableId

ALGORITHM = "HMAC-SHA-256"
KEY_VARIABLE = "DATA_PLATFORM_REDACTION_KEY"
MIN_KEY_LENGTH = 32
QUARANTINE = -1
"""The index of the object with the records that a batch could not take, which is beside its parts."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Part ``index`` of batch ``sequence``, or its object of ``QUARANTINE``: ``old`` is gone, ``new`` stands in its place."""

    sequence: int
    index: int
    old: Part
    new: Part


@dataclass(frozen=True, slots=True)
class Redaction:
    """Signed over all its fields and its place in the chain, so that it holds nowhere else.

    ``reason`` and ``authorised_by`` are for people; they name a request, never the person erased.
    """

    parts: tuple[Rewritten, ...]
    reason: str
    authorised_by: str
    at: str
    algorithm: str = ALGORITHM
    signature: str = ""

    def mistakes(self) -> list[str]:
        """The reasons why this is not a valid redaction, even if its signature is right."""
        found = []
        if not self.parts:
            found.append("it names no part")
        if not self.reason.strip() or not self.authorised_by.strip():
            found.append("it does not say why, or who authorised it")
        if not _is_instant(self.at):
            found.append("its instant is invalid or has no time zone")
        if self.algorithm != ALGORITHM or not isinstance(self.signature, str):
            found.append(f"its signature is not {ALGORITHM}")
        old, new = [r.old.key for r in self.parts], [r.new.key for r in self.parts]
        if len({*old, *new}) != 2 * len(self.parts):
            found.append("it names an object twice")
        for part in self.parts:
            if (
                part.sequence < 1
                or part.index < QUARANTINE
                or not (_is_part(part.old) and _is_part(part.new))
            ):
                found.append(f"part {part.index} of batch {part.sequence} is not described as a part is")
            elif part.new.rows > part.old.rows:
                found.append(f"part {part.index} of batch {part.sequence} gains rows")
        return found

    def signed(self, table: TableId, sequence: int, previous: str | None, key: bytes) -> Redaction:
        """This redaction, signed for batch ``sequence`` of ``table`` that follows ``previous``."""
        return replace(self, signature=self._signature(table, sequence, previous, key))

    def is_signed(self, table: TableId, sequence: int, previous: str | None, key: bytes) -> bool:
        expected = self._signature(table, sequence, previous, key)
        return hmac.compare_digest(expected.encode(), self.signature.encode())

    def _signature(self, table: TableId, sequence: int, previous: str | None, key: bytes) -> str:
        fields = to_fields(self)
        del fields["signature"]
        place = {"table": str(table), "sequence": sequence, "previous": previous}
        return hmac.new(key, canonical({**fields, **place}), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Rewrites:
    """Which part stands in the place of which, after any number of redactions, oldest first."""

    by_old_key: Mapping[str, Rewritten] = field(default_factory=dict)

    @classmethod
    def of(cls, table: TableId, redactions: Iterable[tuple[int, Redaction]]) -> Rewrites:
        """``redactions`` are (batch, redaction). LedgerBroken where one names a part that another
        has replaced already, or brings a replaced one back."""
        rewritten: dict[str, Rewritten] = {}
        for sequence, redaction in redactions:
            for part in redaction.parts:
                if part.sequence >= sequence or {part.old.key, part.new.key} & rewritten.keys():
                    raise LedgerBroken(
                        f"The redaction in batch {sequence} of {table} names part {part.index} of batch"
                        f" {part.sequence}, which cannot be replaced by it: it is later or was replaced"
                        " before. Restore the manifests of this table from a copy of the landing store."
                    )
                rewritten[part.old.key] = part
        return cls(rewritten)

    def current(self, table: TableId, sequence: int, index: int, part: Part) -> Part:
        """What stands in the place of part ``index`` of batch ``sequence`` now. LedgerBroken where a
        redaction knows it otherwise than the batch does."""
        while (step := self.by_old_key.get(part.key)) is not None:
            if (step.sequence, step.index, step.old) != (sequence, index, part):
                raise LedgerBroken(
                    f"A redaction of {table} names {part.key} otherwise than batch {sequence} does, so"
                    " neither can be trusted. Restore the manifests of this table from a copy of the"
                    " landing store."
                )
            part = step.new
        return part

    def parts(self, table: TableId, sequence: int, parts: Sequence[Part]) -> tuple[Part, ...]:
        return tuple(self.current(table, sequence, index, part) for index, part in enumerate(parts))


def redaction_key(environ: Mapping[str, str]) -> bytes:
    """The secret that redactions are signed under; ConfigurationError without one."""
    key = environ.get(KEY_VARIABLE, "")
    if len(key) < MIN_KEY_LENGTH:
        state = "is not set" if not key else f"is shorter than {MIN_KEY_LENGTH} characters"
        raise ConfigurationError(
            f"The environment variable {KEY_VARIABLE} {state}; the redactions in the ledger are signed under"
            " it, and nothing is read through one whose signature cannot be checked. Set it to the secret"
            " they were signed with (for the first one: `openssl rand -hex 32`), and never change it."
        )
    return key.encode()


def to_fields(redaction: Redaction) -> dict[str, Any]:
    def part(p: Part) -> list[Any]:
        return [p.key, p.rows, p.bytes, p.sha256]

    return {
        "parts": [[r.sequence, r.index, part(r.old), part(r.new)] for r in redaction.parts],
        "reason": redaction.reason,
        "authorised_by": redaction.authorised_by,
        "at": redaction.at,
        "algorithm": redaction.algorithm,
        "signature": redaction.signature,
    }


def from_fields(raw: Mapping[str, Any]) -> Redaction:
    """ValueError, TypeError, KeyError or AttributeError when ``raw`` is none."""
    parts = tuple(
        Rewritten(sequence, index, Part(*old), Part(*new)) for sequence, index, old, new in raw["parts"]
    )
    redaction = Redaction(**{**raw, "parts": parts})
    if mistakes := redaction.mistakes():
        raise ValueError("; ".join(mistakes))
    return redaction


def _is_part(part: Part) -> bool:
    numbers = all(isinstance(n, int) and n >= 0 for n in (part.rows, part.bytes))
    return bool(part.key) and numbers and re.fullmatch(r"[0-9a-f]{64}", part.sha256) is not None


def _is_instant(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
