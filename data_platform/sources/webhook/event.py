"""What a delivery says: its event's id and type, and the record that lands of it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from data_platform.sources.inbox.delivery import Delivery
from data_platform.sources.inbox.schemes import Scheme
from data_platform.sources.inbox.walk import time_of
from data_platform.sources.records.keys import keys_of

EVENT_ID, EVENT_TYPE, RECEIVED_AT, PAYLOAD = "_event_id", "_event_type", "_received_at", "payload"
KNOWN: Mapping[str, str] = {EVENT_ID: "text", EVENT_TYPE: "text", RECEIVED_AT: "timestamp"}
"""The types of the columns that every table has."""

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SCALAR = msgspec.json.Decoder(str | int)


NO_JSON = "it is no JSON"


class Unreadable(Exception):
    """Why a delivery has no record, in words without a value of it."""


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    type: str
    at: int
    body: bytes

    def head(self) -> bytes:
        """The fields that every record begins with, as the JSON text before the rest of its object."""
        encode = msgspec.json.encode
        return b'{"%s":%b,"%s":%b,"%s":"%b"' % (
            EVENT_ID.encode(), encode(self.id), EVENT_TYPE.encode(), encode(self.type),
            RECEIVED_AT.encode(), time_of(self.at).encode(),
        )  # fmt: skip

    def whole(self) -> bytes:
        """The delivery as a record, with its body as it came."""
        return b'%b,"%b":%b}' % (self.head(), PAYLOAD.encode(), self.body.strip())

    def record(self, path: Sequence[str]) -> bytes:
        """The object at ``path`` of the body as a record, as it came. Unreadable where there is none."""
        found = within(self.body, path)
        text = b"" if found is None else found.strip()
        if not text.startswith(b"{"):
            raise Unreadable(f"it has no object at {'.'.join(path) or 'its top'}")
        rest = text[1:].lstrip()
        return b"%b%b%b" % (self.head(), b"" if rest.startswith(b"}") else b",", rest)


def event_of(delivery: Delivery, scheme: Scheme) -> Event:
    """Unreadable where the body is no JSON."""
    body = delivery.body
    try:
        body.decode()
        if body.lstrip().startswith(b"{"):
            _FIELDS.decode(body)
        else:
            msgspec.json.decode(body)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        raise Unreadable(NO_JSON) from None
    id_ = _told(delivery, scheme.id, scheme.id_header)
    return Event(
        id_ or f"sha256:{hashlib.sha256(body).hexdigest()}",
        _told(delivery, scheme.type, scheme.type_header),
        delivery.at,
        body,
    )


def _told(delivery: Delivery, path: str | None, header: str | None) -> str:
    """The text or integer at ``path`` or in ``header``; empty where there is none."""
    if header is not None:
        return delivery.headers.get(header.lower(), "")
    found = within(delivery.body, keys_of(path)) if path else None
    try:
        return "" if found is None else str(_SCALAR.decode(found))
    except ValueError:
        return ""


def within(body: bytes, path: Sequence[str]) -> bytes | None:
    """The JSON text at ``path``; None where there is none."""
    text = body
    for key in path:
        if not text.lstrip().startswith(b"{"):
            return None
        raw = _FIELDS.decode(text).get(key)
        if raw is None:
            return None
        text = bytes(raw)
    return text
