"""What a recovery of everything brought back, and what of it does not agree. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from data_platform.backups.landing import RestoredLedger
from data_platform.sync.agreement import Agreement, disagreements


@dataclass(frozen=True)
class Recovered:
    """``databases`` has, by source, the command that starts its recovered server. ``read`` are the rows that each source held beyond its last batch. ``agreed`` compares every table of a recovered
    database with the warehouse. ``apart`` says of what could not be brought to the instant, why. ``erased_since`` are the requests to erase somebody that were made
    after the instant: the recovered databases have these people."""

    at: datetime
    archive: str
    backup: str | None
    databases: Mapping[str, str]
    landing: RestoredLedger
    read: Mapping[str, int]
    agreed: tuple[Agreement, ...]
    apart: tuple[str, ...]
    erased_since: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """What the warehouse was made from."""
        return (
            f"the backup {self.backup} and what landed since"
            if self.backup
            else "what had landed, batch by batch"
        )

    @property
    def rows(self) -> int:
        """Of the tables that were compared, at their sources."""
        return sum(one.rows for one in self.agreed)

    @property
    def problems(self) -> list[str]:
        """A line for everything that is not as it was at the instant, or not known to be."""
        return [*self.landing.damaged, *self.apart, *disagreements(self.agreed)]

    @property
    def proven(self) -> bool:
        """Whether there was something to compare, and all of it was equal."""
        return not self.problems and bool(self.agreed)

    def evidence(self) -> dict[str, Any]:
        """What was found, as one JSON object; ``seal`` is the SHA-256 of the other fields."""
        found: dict[str, Any] = {
            "at": self.at.isoformat(),
            "archive": self.archive,
            "backup": self.backup,
            "databases": dict(self.databases),
            "manifests": self.landing.manifests,
            "parts": self.landing.parts,
            "deliveries": self.landing.deliveries,
            "bytes": self.landing.bytes,
            "read": dict(self.read),
            "erased_since": list(self.erased_since),
            "compared": {str(one.table.id): one.rows for one in self.agreed if one.compared},
            "problems": self.problems,
            "seconds": {step: round(took, 3) for step, took in self.seconds.items()},
        }
        canonical = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return {**found, "seal": hashlib.sha256(canonical.encode()).hexdigest()}
