"""The generic webhook: what it is sent, and how that is signed."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest

from data_platform.alerts.webhook import WebhookChannel, WebhookConfig, signer
from data_platform.errors import AlertRefused
from data_platform.sources.inbox.hook import Signature, Unsigned, check, keys_of
from data_platform_tests.alerts.servers import Answer, Receiver, receiver
from data_platform_tests.alerts.test_email import post
from data_platform_tests.alerts.ticks import Ticker, problem

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD = Signature(
    header="webhook-signature",
    encoding="base64",
    prefix="v1,",
    signed="{webhook-id}.{timestamp}.{body}",
    timestamp_header="webhook-timestamp",
    secret_prefix="whsec_",
    secret_encoding="base64",
)
"""How this platform itself verifies a Standard Webhook that it receives."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with receiver() as state:
        yield state


def channel(state: Receiver, secret: str = SECRET) -> WebhookChannel:
    config = WebhookConfig(kind="webhook", url_env="HOOK", secret_env="HOOK_SECRET")
    return config.open({"HOOK": state.url, "HOOK_SECRET": secret}, sleep=lambda _: None)


def test_a_message_is_signed_and_a_change_of_it_is_seen(hook: Receiver) -> None:
    Ticker({"hook": channel(hook)}).tick(problem("ü"))
    headers, body = hook.headers[0], hook.raw[0]
    keys = keys_of(STANDARD, SECRET)
    check(STANDARD, keys, headers, body, time.time())
    for wrong in (body + b" ", body.replace(b"open", b"over")):
        with pytest.raises(Unsigned):
            check(STANDARD, keys, headers, wrong, time.time())
    with pytest.raises(Unsigned):
        check(
            STANDARD,
            keys_of(STANDARD, "whsec_" + base64.b64encode(b"x" * 24).decode()),
            headers,
            body,
            time.time(),
        )
    with pytest.raises(Unsigned):
        check(STANDARD, keys, headers, body, time.time() + 3_600)


def test_the_signature_of_the_specification() -> None:
    """The example of the Standard Webhooks specification: id, time and body are given, so is the signature."""
    body = b'{"test": 2432232314}'
    import hashlib
    import hmac

    headers = signer(SECRET, "X", lambda: 1614265330.0)(body)
    id_ = headers["webhook-id"]
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = hmac.new(key, f"{id_}.1614265330.".encode() + body, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    given = hmac.new(key, b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body, hashlib.sha256).digest()
    assert base64.b64encode(given) == b"g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", (
        "the key is read as it says"
    )


def test_what_is_sent_again_has_the_same_id(hook: Receiver) -> None:
    hook.answers = [Answer(500)]
    channel(hook).send(post())
    assert hook.headers[0]["webhook-id"] == hook.headers[1]["webhook-id"]
    channel(hook).send(post())
    assert hook.headers[2]["webhook-id"] == hook.headers[0]["webhook-id"]


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!!", "whsec_c2hvcnQ=", "hunter2"])
def test_a_value_that_is_no_secret(hook: Receiver, secret: str) -> None:
    with pytest.raises(AlertRefused, match="The value of HOOK_SECRET is not a secret") as caught:
        channel(hook, secret).send(post())
    assert "hunter2" not in str(caught.value) and hook.received == []


def test_its_messages_name_their_thread(hook: Receiver) -> None:
    ticker = Ticker({"hook": channel(hook)})
    ticker.tick(problem("a"), problem("b"))
    ticker.tick(problem("b"))
    first, second, third = hook.received
    assert first["thread"] != second["thread"] == second["thread"] and third["thread"] == first["thread"]
    assert [message["event"] for message in hook.received] == ["opened", "opened", "recovered"]
    assert third["incidents"][0]["state"] == "recovered" and third["incidents"][0]["kind"] == "check"


def test_a_secret_that_is_not_set_leaves_it_to_the_fallback() -> None:
    config = WebhookConfig(kind="webhook", url_env="HOOK", secret_env="HOOK_SECRET")
    assert config.unset({"HOOK": "http://x"}) == "HOOK_SECRET"
