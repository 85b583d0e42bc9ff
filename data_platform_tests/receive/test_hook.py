"""Signatures: those of the senders that are known by name, and of any other."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from data_platform.sources.inbox.hook import Signature, Unsigned, check, keys_of
from data_platform.sources.inbox.schemes import SCHEMES

NOW = 1_790_000_000.0
BODY = b'{"id": "e1"}'


def code(key: bytes, message: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(key, message, algorithm).digest()


def signed(
    scheme: str, secret: str = "whsec_c2VjcmV0LW9uZQ==", at: int = int(NOW), body: bytes = BODY
) -> dict[str, str]:
    """Headers as the sender's own documentation says, written out for each."""
    if scheme == "standard":
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = base64.b64encode(code(key, f"msg_1.{at}.".encode() + body)).decode()
        return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": f"v1a,zz v1,{text}"}
    if scheme == "github":
        return {"x-hub-signature-256": f"sha256={code(secret.encode(), body).hex()}"}
    if scheme == "shopify":
        return {"x-shopify-hmac-sha256": base64.b64encode(code(secret.encode(), body)).decode()}
    hexed = code(secret.encode(), f"{at}.".encode() + body).hex()
    return {"stripe-signature": f"t={at},v1={'0' * 64},v1={hexed},v0=zz"}


def taken(
    signature: Signature, secrets: str, headers: dict[str, str], body: bytes = BODY, now: float = NOW
) -> None:
    check(signature, keys_of(signature, secrets), headers, body, now)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_takes_its_own_and_nothing_else(scheme: str) -> None:
    known, secret, other = SCHEMES[scheme].signature, "whsec_c2VjcmV0LW9uZQ==", "whsec_b3RoZXI="
    headers = signed(scheme, secret)
    taken(known, secret, headers)
    taken(known, f"{other} {secret}", headers)  # one takes the place of another
    for wrong in (lambda: taken(known, other, headers), lambda: taken(known, secret, headers, BODY + b" ")):
        with pytest.raises(Unsigned) as refused:
            wrong()
        assert not refused.value.malformed
    with pytest.raises(Unsigned) as refused:
        taken(known, secret, {})
    assert refused.value.malformed


@pytest.mark.parametrize("scheme", ["standard", "stripe"])
@pytest.mark.parametrize(("late", "good"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_the_time_is_signed_and_must_be_near(scheme: str, late: int, good: bool) -> None:
    known, secret = SCHEMES[scheme].signature, "whsec_c2VjcmV0LW9uZQ=="
    headers = signed(scheme, secret, int(NOW) - late)
    if good:
        taken(known, secret, headers)
    else:
        with pytest.raises(Unsigned, match="300 seconds"):
            taken(known, secret, headers)
    moved = {name: value.replace(str(int(NOW) - late), str(int(NOW))) for name, value in headers.items()}
    with pytest.raises(Unsigned, match="none of this body's"):
        taken(known, secret, moved)


def test_any_other_sender_is_described() -> None:
    slack = Signature(
        "X-Slack-Signature",
        prefix="v0=",
        signed="v0:{timestamp}:{body}",
        timestamp_header="X-Slack-Request-Timestamp",
    )
    hexed = code(b"k1", b"v0:%d:%b" % (NOW, BODY)).hex()
    taken(slack, "k1", {"x-slack-signature": f"v0={hexed}", "x-slack-request-timestamp": str(int(NOW))})
    sha1 = Signature("X-Sign", algorithm="sha1", encoding="base64", signed="{body}{X-Url}")
    text = base64.b64encode(hmac.new(b"k1", BODY + b"/hook", hashlib.sha1).digest()).decode()
    taken(sha1, "k1", {"x-sign": text, "x-url": "/hook"})
    with pytest.raises(Unsigned, match="X-Url"):
        taken(sha1, "k1", {"x-sign": text})


@pytest.mark.parametrize(
    "header", ["t=1,t=2,v1=00", "v1=00", "t=,v1=00", "t=-5,v1=00", "t=1e9,v1=00", "\u00e9", ""]
)
def test_headers_that_are_none_are_malformed(header: str) -> None:
    with pytest.raises(Unsigned) as refused:
        taken(SCHEMES["stripe"].signature, "k1", {"stripe-signature": header})
    assert refused.value.malformed


def test_a_secret_that_is_no_base64_is_refused_without_its_text() -> None:
    with pytest.raises(ValueError, match="is no Base64") as refused:
        keys_of(SCHEMES["standard"].signature, "whsec_!!needle")
    assert "needle" not in str(refused.value)
