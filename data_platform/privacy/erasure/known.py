"""Whom the log of erasures names up to one of its blocks: as much of it as a sync needs, so that it reads one object and what came since."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from data_platform.privacy.erasure.frozen import Frozen
from data_platform.privacy.subjects.place import Place

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Known:
    """``block`` is the last block of the log that it covers, with its ``digest``. ``erased`` are the keys of everybody, by kind of
    people."""

    block: int = 0
    digest: str = ""
    erased: Mapping[str, Frozen] = field(default_factory=dict)

    def to_json(self) -> bytes:
        fields = {
            "format": FORMAT,
            "block": self.block,
            "digest": self.digest,
            "erased": {kind: _values(keys) for kind, keys in self.erased.items()},
        }
        return json.dumps(fields, ensure_ascii=False).encode()


def joined(some: Iterable[tuple[str, Frozen]]) -> dict[str, Frozen]:
    """The keys of all of ``some`` people, by their kind."""
    values: dict[str, dict[Place, set[str]]] = {}
    for kind, frozen in some:
        for place, keys in frozen.values.items():
            values.setdefault(kind, {}).setdefault(place, set()).update(keys)
    return {
        kind: Frozen({place: frozenset(keys) for place, keys in places.items()})
        for kind, places in values.items()
    }


def from_json(data: bytes) -> Known:
    """An empty one for what another version wrote."""
    raw = json.loads(data)
    if raw.get("format") != FORMAT:
        return Known()
    return Known(
        raw["block"],
        raw["digest"],
        {kind: _frozen(keys) for kind, keys in raw["erased"].items()},
    )


def _values(frozen: Frozen) -> dict[str, list[str]]:
    return {str(place): sorted(keys) for place, keys in frozen.values.items()}


def _frozen(raw: Mapping[str, list[str]]) -> Frozen:
    return Frozen({Place.parse(place): frozenset(keys) for place, keys in raw.items()})
