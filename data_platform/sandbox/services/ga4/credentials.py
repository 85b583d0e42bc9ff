"""A service account of the local Google Analytics: its key file, and the exchange of a signed claim for a token.

A client uses the file as it would use one from Google: the token address in it is this server's.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOKEN_SECONDS = 3600
CLAIM_SECONDS_MAX = 3660
SCOPES = {
    "https://www.googleapis.com/auth/analytics.readonly",
    "https://www.googleapis.com/auth/analytics",
    "https://www.googleapis.com/auth/cloud-platform",
}
AUDIENCE = "https://oauth2.googleapis.com/token"
"""Google's own clients name it whatever the key file's token address is."""
EMAIL = "sandbox@sandbox.iam.gserviceaccount.com"


def make_key_file(path: Path, token_url: str) -> None:
    """Write a service account's key file for its owner alone, unless there is one for this address."""
    try:
        if json.loads(path.read_text())["token_uri"] == token_url:
            return
    except (OSError, ValueError, KeyError):
        pass
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "project_id": "sandbox", "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(), "client_email": EMAIL, "client_id": "1", "token_uri": token_url,
        "universe_domain": "googleapis.com",
    }  # fmt: skip
    partial = path.with_suffix(".new")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(account, indent=1))
    partial.replace(path)


class Tokens:
    """Gives a token for a claim that the key file's key signed, and knows the tokens it gave."""

    def __init__(self, key_file: Path, clock: Callable[[], float]) -> None:
        self._key_file, self._clock = key_file, clock
        self._expires: dict[str, float] = {}
        self._lock = threading.Lock()

    def exchange(self, assertion: str) -> dict[str, Any] | str:
        """The token's answer, or why there is none (RFC 7523, section 3)."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa

        account = json.loads(self._key_file.read_text())
        key = serialization.load_pem_private_key(account["private_key"].encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        try:
            head, body, signature = assertion.split(".")
            key.public_key().verify(
                _decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            claims = json.loads(_decoded(body))
            issued, expires = float(claims["iat"]), float(claims["exp"])
        except (ValueError, KeyError, TypeError, InvalidSignature):
            return "Invalid JWT Signature."
        now = self._clock()
        if claims.get("iss") != account["client_email"] or claims.get("aud") not in (
            AUDIENCE,
            account["token_uri"],
        ):
            return "Invalid grant: account not found"
        if not issued - 60 <= now < expires or expires - issued > CLAIM_SECONDS_MAX:
            return (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
            )
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            return "Invalid OAuth scope or ID token audience provided."
        token = secrets.token_urlsafe(40)
        with self._lock:
            self._expires = {old: end for old, end in self._expires.items() if end > now}
            self._expires[token] = now + TOKEN_SECONDS
        return {"access_token": token, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"}

    def valid(self, authorization: str) -> bool:
        kind, _, token = authorization.partition(" ")
        with self._lock:
            return kind.lower() == "bearer" and self._expires.get(token, 0) > self._clock()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
