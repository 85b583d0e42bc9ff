"""Any receiver of JSON: a service of one's own, or one that turns a webhook into pages, tickets and mails.

With a secret, messages are signed as Standard Webhooks (https://www.standardwebhooks.com) describes it, so that a receiver
can tell them from anybody else's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from data_platform.alerts.channels import Post
from data_platform.errors import AlertRefused
from data_platform.yaml_fields import VARIABLE, Model

if TYPE_CHECKING:
    from data_platform.alerts.delivery import Delivery

SECRET_PREFIX = "whsec_"


class WebhookConfig(Model):
    """A URL that takes JSON. The URL, the token and the secret are secrets, so the catalog holds only the variables' names."""

    kind: Literal["webhook"] = Field(description="Any URL that takes JSON.")
    url_env: str = Field(
        pattern=VARIABLE,
        description="Environment variable that holds the URL, read when a message is sent. If it is not set, messages go to the"
        " fallback or are printed.",
    )
    token_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds a token, which is sent as `Authorization: Bearer`.",
    )
    secret_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds a secret (`whsec_` and Base64), under which messages are signed as"
        " Standard Webhooks describes it.",
    )

    @property
    def name_before(self) -> str:
        """The channel in the cursors of earlier versions."""
        return f"webhook {self.url_env}"

    def unset(self, environ: Mapping[str, str]) -> str | None:
        named = [name for name in (self.url_env, self.token_env, self.secret_env) if name]
        return next((name for name in named if not environ.get(name, "").strip()), None)

    def open(self, environ: Mapping[str, str], **options: Any) -> WebhookChannel:
        """``options`` are those of ``Delivery``."""
        from data_platform.alerts.delivery import Delivery

        token = environ.get(self.token_env, "").strip() if self.token_env else ""
        headers = {"Authorization": f"Bearer {token}"} if token else None
        refused = f"See what the receiver expects, and check {self.url_env} and its token."
        url = environ.get(self.url_env, "").strip()
        sign = None
        if self.secret_env:
            sign = signer(environ.get(self.secret_env, "").strip(), self.secret_env)
        return WebhookChannel(
            Delivery(url, "the webhook", self.url_env, refused, headers=headers, sign=sign, **options)
        )


class WebhookChannel:
    threads = True
    """The receiver finds the ``thread`` in each message."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def send(self, post: Post) -> str:
        self._delivery.post(payload(post))
        return ""


def signer(
    secret: str, variable: str, clock: Callable[[], float] = time.time
) -> Callable[[bytes], dict[str, str]]:
    """The headers that sign a body. The same body has the same id, so that a receiver recognises what comes twice."""

    def sign(body: bytes) -> dict[str, str]:
        try:
            key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) < 16:
            raise AlertRefused(
                f"The value of {variable} is not a secret: `{SECRET_PREFIX}` and Base64 of at least 16 bytes. Make one with"
                f" `echo {SECRET_PREFIX}$(openssl rand -base64 32)`, for the receiver too."
            )
        id_ = f"msg_{hashlib.sha256(body).hexdigest()[:32]}"
        stamp = str(int(clock()))
        code = hmac.new(key, f"{id_}.{stamp}.".encode() + body, hashlib.sha256).digest()
        return {
            "webhook-id": id_,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(code).decode()}",
        }

    return sign


def payload(post: Post) -> dict[str, Any]:
    """``post`` as docs/alerts.md describes it."""
    return {
        "environment": post.environment,
        "thread": post.thread,
        "event": post.event,
        "text": post.text,
        "incidents": [
            {
                "key": notice.key,
                "kind": notice.kind,
                "severity": notice.severity,
                "state": "recovered" if notice.recovered else "open",
                "title": notice.title,
                "object": notice.name,
                "summary": notice.summary,
                "facts": dict(notice.pairs),
                "url": notice.url,
            }
            for notice in post.notices
        ],
    }
