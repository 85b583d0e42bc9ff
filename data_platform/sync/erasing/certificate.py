"""What is told of an erasure: what was done where, what still holds the person and until when, under the ledger's signature."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from data_platform.keystore.copies import copies
from data_platform.landing.part import canonical
from data_platform.privacy.erasure.requests import Request
from data_platform.sync.platform import Platform
from data_platform.sync.remains import Remains, in_backups, made_before

PURPOSE = "erasure certificate"
_HELD_IN = {"landing": "locked copies", "keystore": "copies of the keystore"}
"""What still holds a person, by the class of the remains; any other class is a backup's."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """``open``: a step is left, a model was not built since, or something still holds the person."""

    request: Request
    remains: tuple[Remains, ...]
    at: datetime
    signature: str

    @property
    def open(self) -> bool:
        return self.request.next_step is not None or any(self.request.unbuilt) or bool(self.remains)

    @property
    def waits_for(self) -> str:
        """In words, what closes it: a step, a build, or the day on which the last copy goes. Empty where nothing is left."""
        built, refreshed = self.request.unbuilt
        ends = [one.until for one in self.remains]
        if self.request.next_step:
            return f"the step {self.request.next_step}"
        if names := (*built, *refreshed):
            return f"a build of {', '.join(names)}"
        if None in ends:
            return "somebody who removes a backup"
        held = dict.fromkeys(_HELD_IN.get(one.name, "backups") for one in self.remains)
        return f"{', '.join(held)} until {max(end for end in ends if end):%Y-%m-%d}" if ends else ""

    @property
    def fields(self) -> dict[str, Any]:
        return {**_fields(self.request, self.remains, self.at), "signature": self.signature}


def certify(platform: Platform, request: Request) -> Certificate:
    """The certificate as of now. Asked again after the last date, it is closed by itself."""
    (one,) = certificates(platform, [request])
    return one


def certificates(platform: Platform, requests: Iterable[Request]) -> list[Certificate]:
    """One for each of ``requests``; the backups are asked once."""
    backups = in_backups(platform)
    return [_certified(platform, request, backups) for request in requests]


def _certified(platform: Platform, request: Request, backups: Iterable[Remains]) -> Certificate:
    at = platform.clock()
    remains = (*_keys(platform, request), *_locked(request, at), *made_before(backups, request.gone_at))
    digest = hashlib.sha256(canonical(_fields(request, remains, at))).hexdigest()
    return Certificate(request, remains, at, platform.signer.sign(PURPOSE, digest))


def _locked(request: Request, now: datetime) -> Iterator[Remains]:
    for place, end in request.locked.items():
        if end > now and request.asked_at is not None:
            yield Remains("landing", place, request.asked_at, (place.removeprefix("copy "),), end)


def _keys(platform: Platform, request: Request) -> Iterator[Remains]:
    """Copies of the keystore that were made before the keys were destroyed: with the master they open what is sealed in old backups."""
    config, catalog = platform.environment.keystore, platform.catalog
    subject = catalog.subjects.get(request.subject)
    if config is None or config.backups is None or subject is None:
        return
    if not any(catalog.table(table).seals for table in subject.tables):
        return
    done = request.done.get("keys")
    for one in copies(catalog.root / config.backups.path):
        if done is None or one.made_at <= datetime.fromisoformat(done["at"]):
            until = one.made_at + timedelta(days=config.backups.keep_days)
            yield Remains("keystore", one.path.name, one.made_at, (str(config.backups.path),), until)


def _fields(request: Request, remains: tuple[Remains, ...], at: datetime) -> dict[str, Any]:
    return {
        "request": request.id,
        "subject": request.subject,
        "reason": request.reason,
        "authorised_by": request.authorised_by,
        "people": request.people,
        "asked_at": request.asked_at.isoformat() if request.asked_at else None,
        "rows": dict(request.rows),
        "steps": {step: dict(said) for step, said in request.done.items()},
        "next_step": request.next_step,
        "until_built": request.unbuilt[0],
        "until_refreshed": request.unbuilt[1],
        "totals": request.totals,
        "remains": [
            {
                "class": one.name,
                "backup": one.id,
                "made_at": one.made_at.isoformat(),
                "stored": list(one.stored),
                "until": one.until.isoformat() if one.until else None,
            }
            for one in remains
        ],
        "at": at.isoformat(timespec="seconds"),
    }
