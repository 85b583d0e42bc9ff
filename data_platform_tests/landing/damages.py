"""What can happen to the objects of a ledger: kind of object x what is done to it x where in it.

``STRATA`` are all of them, and ``damage`` makes one, with what must be said of it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from data_platform.landing.keys import manifest_key, part_key
from data_platform.landing.manifest import Manifest
from data_platform.landing.state import TableState
from data_platform.tables import TableId

ORDERS, USERS = TableId("shop", "orders"), TableId("shop", "users")
BATCHES, REPLACED_AT, VERIFIED_AT, FORKED_AT = 20, 5, 12, 14
REDACTIONS = {11: 9, 18: 7}
"""Which batch redacts the first part of which."""
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LOOKED_AT = "2026-02-21T00:00:00+00:00"
Files = dict[str, bytes]


@dataclass(frozen=True)
class Truth:
    """The ledger as it was: its objects, those of another life that shares its first batches, those
    of an older day, and what whole readers read in it."""

    files: Files
    former: Files
    older: Files
    state: TableState
    rebuilt: tuple[tuple[Manifest, tuple[bytes, ...]], ...]


@dataclass(frozen=True)
class Damage:
    """``said`` is a pattern of what must be said; None where it is harmless by design. ``only_warehouse``:
    whatever else knew of it was lost with it, and the warehouse's record is what tells. ``orphan`` is an
    object that nobody reads and the collector finds."""

    said: str | None
    only_warehouse: bool = False
    orphan: str | None = None


def batch(*sequences: int) -> str:
    return rf"\b[Bb]atch (?:{'|'.join(map(str, sequences))})\b"


def pick(random: Random, kind: str, table: TableId = ORDERS) -> tuple[str, int]:
    """An object of ``kind`` and its batch."""
    sequence = {
        "manifest": random.choice([2, 3, 6, 10, 13, 15, 19]),
        "head": BATCHES,
        "checkpoint": random.choice([8, 16]),
        "replacement": random.choice([1, REPLACED_AT]),
        "redaction": random.choice([*REDACTIONS]),
        "part": random.choice([5, 6, 8, 10, 12, 13, 15, 19, 20]),
        "part of the past": random.choice([1, 2, 3, 4]),
        "rewritten part": random.choice([*REDACTIONS]),
    }[kind]
    if "part" not in kind:
        return manifest_key(table, sequence), sequence
    index = 0 if kind == "rewritten part" else random.randrange(2)
    return part_key(table, sequence, f"{sequence:08d}" * 4, index), sequence


def named(kind: str, key: str, sequence: int) -> Damage:
    """By its key or its batch; a manifest also by the link of the one after, and a part that a redaction
    wrote by the batch whose rows it holds."""
    also = (sequence + 1,) if "part" not in kind else (REDACTIONS.get(sequence, sequence),)
    return Damage(rf"{re.escape(key)}|{batch(sequence, *also)}")


MANIFESTS = ("manifest", "head", "checkpoint", "replacement", "redaction")
PARTS = ("part", "part of the past", "rewritten part")
HINTS = ("looked", "verified", "orphans", "tail")
OF_JSON = ("head", "middle", "tail")
OF_PARQUET = ("magic", "first pages", "middle pages", "last pages", "footer", "footer length", "last magic")


def within(random: Random, data: bytes, region: str) -> int:
    """An offset in a region of an object."""
    size = len(data)
    if region in OF_JSON:
        third = max(1, size // 3)
        start, end = {"head": (0, third), "middle": (third, 2 * third), "tail": (2 * third, size)}[region]
    else:
        footer = size - 8 - int(struct.unpack("<I", data[-8:-4])[0])
        third = (footer - 4) // 3
        start, end = {
            "magic": (0, 4),
            "first pages": (4, 4 + third),
            "middle pages": (4 + third, 4 + 2 * third),
            "last pages": (4 + 2 * third, footer),
            "footer": (footer, size - 8),
            "footer length": (size - 8, size - 4),
            "last magic": (size - 4, size),
        }[region]
    return random.randrange(start, end)


def alter(random: Random, data: bytes, action: str, at: int) -> bytes:
    if action == "cut":
        return data[:at]
    if action == "grow":
        return data[:at] + random.randbytes(1) + data[at:]
    if action == "lose":
        return data[:at] + data[at + 1 :]
    changed = bytearray(data)
    if action == "flip":
        changed[at] ^= 1 << random.randrange(8)
    else:
        length = 1 if action == "write" else 16
        piece = bytes(length) if action == "zero" else random.randbytes(length)
        changed[at : at + length] = piece[: len(data) - at]
        if changed == data:
            changed[at] ^= 1
    return bytes(changed)


ALTERING = ("flip", "cut", "grow", "lose", "write", "zero", "overwrite")
WHOLE = ("empty", "remove", "append", "swap", "swap tables", "copy over", "other table's")
CHAIN = (
    "lost tail", "lost tail and verified", "lost tail and hints", "all lost", "older copy", "older tail",
    "former manifest", "former part", "former chain", "former chain and hints", "former tail",
    "copied as next", "copied far ahead", "stranger first", "stranger last", "stranger beside",
)  # fmt: skip
EXTRA = ("part twice", "part of another batch", "part ahead", "part that was erased", "no part")

Stratum = tuple[str, str, str]
STRATA: list[Stratum] = [
    *((kind, action, region) for kind in MANIFESTS for action in ALTERING for region in OF_JSON),
    *((kind, action, region) for kind in PARTS for action in ALTERING for region in OF_PARQUET),
    *((kind, action, region) for kind in HINTS for action in ALTERING for region in OF_JSON),
    *((kind, action, "") for kind in (*MANIFESTS, *PARTS, *HINTS) for action in WHOLE),
    *(("chain", action, "") for action in CHAIN for _ in range(4)),
    *(("extra", action, "") for action in EXTRA for _ in range(3)),
]
Random(1).shuffle(STRATA)  # so that the few of CI are of every kind


def damage(random: Random, stratum: Stratum, truth: Truth, files: Files) -> Damage:
    """Change ``files`` as ``stratum`` says."""
    kind, action, region = stratum
    if kind == "chain":
        return of_the_chain(random, action, truth, files)
    if kind == "extra":
        return extra(random, action, files)
    if kind in HINTS:
        key, result = f"{ORDERS}/{kind}.json", Damage(None)
        other = f"{ORDERS}/{random.choice([name for name in HINTS if name != kind])}.json"
    else:
        key, sequence = pick(random, kind)
        result = named(kind, key, sequence)
        others = [pick(random, name)[0] for name in (PARTS if "part" in kind else MANIFESTS)]
        other = random.choice([name for name in others if name != key])
    if action in ("swap tables", "other table's"):
        other = key.replace(str(ORDERS), str(USERS))
    data = files[key]
    if region:
        files[key] = alter(random, data, action, within(random, data, region))
    elif action == "empty":
        files[key] = b""
    elif action == "remove":
        del files[key]
    elif action == "append":
        files[key] = data + random.choice([b"\n", b"\0", data])
    else:
        files[key] = files[other]
        if "swap" in action:
            files[other] = data
    assert files.get(key) != data, f"{stratum} changed nothing"
    return result


def of_the_chain(random: Random, action: str, truth: Truth, files: Files) -> Damage:
    """What happens to more than one object, or to an older version of one."""
    tail, verified = f"{ORDERS}/tail.json", f"{ORDERS}/verified.json"
    fork = [n for n in range(FORKED_AT + 1, BATCHES + 1) if n not in REDACTIONS]
    mine = [key for key in files if key.startswith(f"{ORDERS}/")]
    if "lost" in action:
        kept = 0 if action == "all lost" else random.randrange(FORKED_AT, BATCHES)
        for sequence in range(kept + 1, BATCHES + 1):
            del files[manifest_key(ORDERS, sequence)]
        if "verified" in action or "hints" in action:
            del files[verified]
        if "hints" in action:
            del files[tail]
        return Damage(f"ends at batch {kept}, though|ends at batch {kept}: its newest", "hints" in action)
    if action == "older copy":
        for key in mine:
            files.pop(key)
        files.update({key: data for key, data in truth.older.items() if key.startswith(f"{ORDERS}/")})
        return Damage(f"ends at batch {FORKED_AT}", only_warehouse=True)
    if action == "older tail":
        files[tail] = truth.older[tail]
        return Damage(None)
    if action.startswith("former"):
        sequence = random.choice(fork)
        part = part_key(ORDERS, sequence, f"{sequence:08d}" * 4, random.randrange(2))
        keys = {
            "former manifest": [manifest_key(ORDERS, sequence)],
            "former part": [part],
            "former chain": [key for key in mine if "/manifests/" in key or "/batches/" in key],
            "former chain and hints": mine,
            "former tail": [tail],
        }[action]
        for key in keys:
            files[key] = truth.former[key]
        if len(keys) > 1 or keys == [tail]:
            return Damage(batch(BATCHES), only_warehouse="hints" in action)
        return named(action, keys[0], sequence)
    copied = manifest_key(ORDERS, random.randint(1, BATCHES))
    key = {
        "copied as next": manifest_key(ORDERS, BATCHES + 1),
        "copied far ahead": manifest_key(ORDERS, BATCHES + random.randint(2, 10**6)),
        "stranger first": f"{ORDERS}/manifests/000.json",
        "stranger last": f"{ORDERS}/manifests/zzz.json",
        "stranger beside": f"{copied}.bak",
    }[action]
    files[key] = files[copied]
    return Damage(re.escape(key))


def extra(random: Random, action: str, files: Files) -> Damage:
    """Objects that nobody put there: what no manifest names is read by nobody."""
    data = files[pick(random, "part")[0]]
    key = {
        "part twice": part_key(ORDERS, 10, "00000010" * 4, 7),
        "part of another batch": part_key(ORDERS, 10, "other" * 8, 0),
        "part ahead": part_key(ORDERS, BATCHES + 5, "ahead" * 8, 0),
        "part that was erased": part_key(ORDERS, 9, "00000009" * 4, 0),
        "no part": f"{ORDERS}/batches/readme.txt",
    }[action]
    assert key not in files
    files[key] = data
    return Damage(None, orphan=None if action == "no part" else key)
