"""What can be changed of the stand-in while it runs, by ``/_sandbox/settings``; a restart forgets it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

MOST_LISTED = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """``lag_seconds``: lists show nothing younger. ``sublist_limit``: lists inside objects are cut there.

    ``denied``: permissions that the restricted key lacks. ``requests_per_second``: more are answered with 429, 0 for no
    limit. Of webhooks: the share of deliveries that are sent twice, whether order is kept, and the waits between
    attempts before a delivery is given up.
    """

    lag_seconds: float = 0.0
    sublist_limit: int = MOST_LISTED
    requests_per_second: int = 0
    denied: tuple[str, ...] = ("rak_payout_read",)
    duplicate_share: float = 0.02
    in_order: bool = False
    retry_seconds: tuple[float, ...] = field(default=(1.0, 5.0, 25.0))

    def changed(self, text: bytes) -> Settings:
        """ValueError with a sentence for what is no setting."""
        known = {one.name for one in fields(self)}
        given: Any = json.loads(text)
        if not isinstance(given, dict) or given.keys() - known:
            raise ValueError(f"Settings are a JSON object with keys of {', '.join(sorted(known))}.")
        taken: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        return replace(self, **taken)

    def told(self) -> dict[str, Any]:
        return asdict(self)
