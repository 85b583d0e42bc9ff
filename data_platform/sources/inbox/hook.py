"""How a sender signs what it delivers, and whether a delivery is signed so. Pure.

Nearly every sender signs alike: an HMAC over the body's bytes, often with a time before them, written in a header behind a
short mark. So one rule with a few settings covers them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]
BODY, TIMESTAMP = "body", "timestamp"
_NAMED = re.compile(r"\{([A-Za-z0-9-]+)\}")


class Unsigned(Exception):
    """Why a delivery is not taken, in words without a value of it. ``malformed``: it is not signed at all."""

    def __init__(self, reason: str, *, malformed: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.malformed = reason, malformed


@dataclass(frozen=True, slots=True)
class Signature:
    """``header`` holds one or more signatures, each behind ``prefix`` at its start or behind a space or a comma.

    ``signed`` is what the sender signs: ``{body}``, ``{timestamp}`` and the names of headers in braces stand for their
    bytes. The timestamp is seconds since 1970 in ``timestamp_header``, behind ``timestamp_prefix``. ``secret_prefix`` is cut
    from a secret; what follows is Base64 where ``secret_encoding`` says so.
    """

    header: str
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    signed: str = "{body}"
    timestamp_header: str | None = None
    timestamp_prefix: str = ""
    tolerance_seconds: int = 300
    secret_prefix: str = ""
    secret_encoding: Literal["text", "base64"] = "text"

    def named(self) -> list[str]:
        """What stands in braces in ``signed``."""
        return _NAMED.findall(self.signed)


@dataclass(frozen=True, slots=True)
class Hook:
    """What a receiver must know of a source. ``secret_env`` names the variable that holds its secrets, separated by spaces:
    more than one while a new one takes the place of another. ``keep`` are headers that a delivery keeps."""

    secret_env: str
    signature: Signature
    keep: tuple[str, ...] = ()
    max_bytes: int = 1_000_000


def keys_of(signature: Signature, secrets: str) -> list[bytes]:
    """The keys that the text of a variable holds. ValueError, without any of it, where one is no key."""
    keys = []
    for secret in secrets.split():
        text = secret.removeprefix(signature.secret_prefix)
        if signature.secret_encoding == "base64":
            try:
                key = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError("is no Base64") from None
        else:
            key = text.encode()
        if not key:
            raise ValueError("holds an empty secret")
        keys.append(key)
    return keys


def check(
    signature: Signature, keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: float
) -> None:
    """Raise ``Unsigned`` unless the delivery is signed with one of ``keys`` and, where it says when, about ``now``. The names of
    ``headers`` are in lower case."""
    given = _behind(headers.get(signature.header.lower(), ""), signature.prefix)
    if not given:
        raise Unsigned(f"the header {signature.header} holds no signature", malformed=True)
    stamp = _timestamp(signature, headers)
    message = _message(signature, headers, body, stamp)
    codes = [_code(signature, key, message) for key in keys]
    # every pair is compared, so that the time tells nothing of which one matched
    good = [hmac.compare_digest(code, one.encode()) for code in codes for one in given]
    if not any(good):
        raise Unsigned("the signature is none of this body's")
    if stamp and abs(now - int(stamp)) > signature.tolerance_seconds:
        raise Unsigned(f"it was signed more than {signature.tolerance_seconds} seconds away from now")


def _behind(value: str, prefix: str) -> list[str]:
    """The words of a header's value that follow ``prefix``."""
    if not prefix:
        return [value.strip()] if value.strip() else []
    return re.findall(rf"(?:^|[\s,]){re.escape(prefix)}([^\s,]+)", value)


def _timestamp(signature: Signature, headers: Mapping[str, str]) -> str:
    """Seconds as they are written; empty where none are signed."""
    if signature.timestamp_header is None:
        return ""
    found = _behind(headers.get(signature.timestamp_header.lower(), ""), signature.timestamp_prefix)
    if len(found) != 1 or not re.fullmatch(r"[0-9]{1,12}", found[0]):
        raise Unsigned(f"the header {signature.timestamp_header} holds no time", malformed=True)
    return found[0]


def _message(signature: Signature, headers: Mapping[str, str], body: bytes, stamp: str) -> bytes:
    pieces = _NAMED.split(signature.signed)  # text, name, text, name, ..., text
    message = pieces[0].encode()
    for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
        if name == BODY:
            message += body
        elif name == TIMESTAMP:
            message += stamp.encode()
        else:
            value = headers.get(name.lower())
            if value is None:
                raise Unsigned(f"the header {name}, which is signed, is missing", malformed=True)
            message += value.encode("latin-1", "replace")
        message += text.encode()
    return message


def _code(signature: Signature, key: bytes, message: bytes) -> bytes:
    digest = hmac.digest(key, message, signature.algorithm)
    return digest.hex().encode() if signature.encoding == "hex" else base64.b64encode(digest)
