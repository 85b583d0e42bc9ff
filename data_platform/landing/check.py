"""Verifies single batches: each manifest, its link to the one before, and its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from data_platform.errors import ConfigurationError, LedgerBroken
from data_platform.landing import replaced, words
from data_platform.landing.chain import Chain, follows, with_parts
from data_platform.landing.keys import manifest_sequence
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import Part
from data_platform.landing.redaction import QUARANTINE, Rewrites
from data_platform.landing.stored_parts import damage_of
from data_platform.tables import TableId


@dataclass(frozen=True, slots=True)
class Checked:
    """One verified batch. ``manifest`` is None if it cannot be read; ``bytes`` were hashed."""

    sequence: int
    manifest: Manifest | None
    problems: tuple[str, ...] = ()
    parts: int = 0
    bytes: int = 0


def check(chain: Chain, table: TableId, sequences: Iterable[int], rewrites: Rewrites) -> Iterator[Checked]:
    """Look at the batches ``sequences``, ascending: each manifest, its link to the one before, and
    its parts, hashed, as ``rewrites`` says that they stand."""
    before: Manifest | None = None
    for sequence in sequences:
        if before is None or before.sequence != sequence - 1:
            before = _readable(chain, table, sequence - 1)
        try:
            manifest = chain.read(table, sequence)
        except LedgerBroken as error:
            before = None
            yield Checked(sequence, None, (str(error),))
            continue
        problems = []
        if (before is not None or sequence == 1) and not follows(before, manifest):
            problems.append(str(words.chain_break(manifest)))
        if before is not None and before.signature and not manifest.signature:
            problems.append(words.unsigned(manifest, "though the one before is"))
        before = manifest
        try:
            parts, damage = _looked_at(chain, manifest, rewrites)
            while any(damage) and (newer := _newer(chain, table, rewrites)) is not None:
                rewrites = newer
                parts, damage = _looked_at(chain, manifest, rewrites)
        except LedgerBroken as error:
            yield Checked(sequence, manifest, (*problems, str(error)))
            continue
        # asked where parts are missing alone, which costs a sound table nothing
        if any(damage) and sequence < replaced.kept_from(chain.store, table, chain.signer):
            yield Checked(sequence, manifest, tuple(problems))
            continue
        problems += filter(None, damage)
        hashed = sum(p.bytes for p, problem in zip(parts, damage, strict=True) if not problem)
        yield Checked(sequence, manifest, tuple(problems), len(parts), hashed)


def strangers(chain: Chain, table: TableId) -> list[str]:
    """A line for each object among the manifests of ``table`` that is not a manifest, wherever it sorts."""
    found = []
    for key in chain.store.list(f"{table}/manifests"):
        try:
            manifest_sequence(table, key)
        except LedgerBroken as error:
            found.append(str(error))
    return found


def _readable(chain: Chain, table: TableId, sequence: int) -> Manifest | None:
    try:
        return chain.read(table, sequence) if sequence else None
    except LedgerBroken:
        return None


def _looked_at(chain: Chain, manifest: Manifest, rewrites: Rewrites) -> tuple[list[Part], list[str | None]]:
    """The parts to verify, and the damage of each."""
    parts = _standing(manifest, rewrites)
    return parts, [damage_of(chain.store, manifest, part) for part in parts]


def _newer(chain: Chain, table: TableId, rewrites: Rewrites) -> Rewrites | None:
    """The redactions as of now, if there are more than ``rewrites`` knows: a part that one of these replaced is not damaged."""
    try:
        now = Chain(chain.store, chain.environ, chain.signer).rewrites(table)
    except (LedgerBroken, ConfigurationError):
        return None
    return now if len(now.by_old_key) > len(rewrites.by_old_key) else None


def _standing(manifest: Manifest, rewrites: Rewrites) -> list[Part]:
    """The parts to verify for ``manifest``: its own, what it could not take, and those that it added for older
    batches."""
    rewritten = manifest.redaction.parts if manifest.redaction else ()
    own = manifest.quarantined
    return [
        *with_parts(manifest, rewrites).parts,
        *([rewrites.current(manifest.table, manifest.sequence, QUARANTINE, own)] if own else []),
        *(rewrites.current(manifest.table, part.sequence, part.index, part.new) for part in rewritten),
    ]
