"""Mail, by a real SMTP server on loopback: conversations, encryption, logins, refusals."""

from __future__ import annotations

import datetime as dt
import email
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from pydantic import ValidationError

from data_platform.alerts.email import EmailChannel, EmailConfig
from data_platform.errors import AlertError, AlertRefused
from data_platform_tests.alerts.ticks import Ticker, problem

PASSWORD = "hunter2-hunter2"


@dataclass
class Mailbox:
    """What an SMTP server took. ``answers`` are given to the next messages in place of taking them."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.unknown:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        mail = email.message_from_bytes(envelope.content, policy=default)
        mail["X-Envelope-To"] = ", ".join(envelope.rcpt_tos)
        self.mails.append(mail)  # type: ignore[arg-type]
        self.encrypted.append(session.ssl is not None)
        return "250 Message accepted for delivery"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        if good:
            self.users.append(data.login.decode())
        return AuthResult(success=good, handled=good)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "cert.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


class OnAnyPort(Controller):
    """Its own check that it answers asks for the port that was wished for, which is any."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()


def served(box: Mailbox, **options: Any) -> Iterator[Mailbox]:
    controller = OnAnyPort(box, hostname="127.0.0.1", port=0, authenticator=box.authenticate, **options)
    controller.start()
    try:
        box.port = controller.port
        yield box
    finally:
        controller.stop()


@pytest.fixture
def plain() -> Iterator[Mailbox]:
    yield from served(Mailbox())


@pytest.fixture
def starttls(certificate: Path) -> Iterator[Mailbox]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    yield from served(Mailbox(), tls_context=context, require_starttls=True, auth_required=True)


def channel(box: Mailbox, user: str = "", **options: Any) -> EmailChannel:
    config = EmailConfig.model_validate(
        {"kind": "email", "to": ["ada@example.test", "bob@example.test"], "from": "alerts@example.test"}
    )
    return config.open({"SMTP_URL": f"smtp://{user}127.0.0.1:{box.port}"}, sleep=lambda _: None, **options)


def test_an_incident_is_one_conversation(plain: Mailbox) -> None:
    ticker = Ticker({"mail": channel(plain)})
    ticker.tick(problem("marts/order_facts", kind="freshness", summary="Ünder\nway"))
    ticker.tick()
    opened, over = plain.mails
    assert opened["Subject"] == "[local] Stale: marts/order_facts"
    assert opened["From"] == "alerts@example.test" and opened["Auto-Submitted"] == "auto-generated"
    assert opened["X-Envelope-To"] == "ada@example.test, bob@example.test"
    assert "since: 2026-11-22 12:00 UTC" in opened.get_content() and "Ünder" in opened.get_content()
    assert over["Subject"] == "[local] Fresh again: marts/order_facts"
    assert over["In-Reply-To"] == over["References"] == opened["Message-ID"] != over["Message-ID"]
    assert opened["Message-ID"].endswith("@example.test>")


def test_what_is_sent_twice_is_one_mail(plain: Mailbox) -> None:
    """A tick that sent and was not kept: mail programs recognise the id."""
    for _ in range(2):
        Ticker({"mail": channel(plain)}).tick(problem())
    first, second = plain.mails
    assert first["Message-ID"] == second["Message-ID"]


def test_a_thousand_are_one_mail(plain: Mailbox) -> None:
    ticker = Ticker({"mail": channel(plain)})
    ticker.tick(*(problem(f"table {n}") for n in range(1_000)))
    [mail] = plain.mails
    assert mail["Subject"] == "[local] 1,000 × Check failed" and "… and 960 more" in mail.get_content()


def test_encrypted_and_logged_in(
    starttls: Mailbox, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    channel(starttls, user="alerts:hunter2%2Dhunter2@").send(post())
    assert starttls.encrypted == [True] and starttls.users == ["alerts"]


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(starttls: Mailbox) -> None:
    with pytest.raises(AlertError, match="SSLCertVerificationError") as caught:
        channel(starttls, user=f"alerts:{PASSWORD}@").send(post())
    assert starttls.users == [] and PASSWORD not in str(caught.value)


def test_a_wrong_password_is_a_refusal_that_does_not_show_it(
    starttls: Mailbox, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(AlertRefused, match="SMTPAuthenticationError 535") as caught:
        channel(starttls, user="alerts:wrong-secret@").send(post())
    assert "wrong-secret" not in str(caught.value) + repr(caught.value.__context__)
    assert "wrong-secret" not in repr(channel(starttls, user="alerts:wrong-secret@"))


def test_a_password_never_goes_unencrypted_over_a_network(
    plain: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **named: real("127.0.0.1" if host == "mail.test" else host, *rest, **named),
    )
    config = EmailConfig.model_validate({"kind": "email", "to": ["ada@example.test"]})
    url = f"smtp://alerts:{PASSWORD}@mail.test:{plain.port}"
    with pytest.raises(AlertRefused, match="offers no encryption"):
        config.open({"SMTP_URL": url}, sleep=lambda _: None).send(post())
    assert plain.users == []


def test_what_may_pass_is_tried_again(plain: Mailbox) -> None:
    plain.answers = ["451 try again later", "452 no space"]
    channel(plain).send(post())
    assert len(plain.mails) == 1
    plain.answers = ["451 try again later"] * 4
    with pytest.raises(AlertError, match=r"SMTPDataError 451, 4 attempts") as caught:
        channel(plain).send(post())
    assert not isinstance(caught.value, AlertRefused)


def test_refusals(plain: Mailbox) -> None:
    plain.answers = ["554 spam"]
    with pytest.raises(AlertRefused, match="SMTPDataError 554"):
        channel(plain).send(post())
    plain.unknown = {"ada@example.test"}
    channel(plain).send(post())  # one of the two is there
    assert plain.mails[0]["X-Envelope-To"] == "bob@example.test"
    plain.unknown = {"ada@example.test", "bob@example.test"}
    with pytest.raises(AlertRefused, match="no recipient is accepted: 550"):
        channel(plain).send(post())


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        box = Mailbox(taken.getsockname()[1])
        with pytest.raises(AlertError, match=r"mail server in SMTP_URL \(no connection, 4 attempts\)"):
            channel(box).send(post())


@pytest.mark.parametrize("url", ["mail.example.test:587", "http://mail.test", "smtp://", "smtp://host:port"])
def test_a_value_that_is_no_server(url: str) -> None:
    config = EmailConfig.model_validate({"kind": "email", "to": ["ada@example.test"]})
    with pytest.raises(AlertRefused, match="SMTP_URL is not the URL of a mail server"):
        config.open({"SMTP_URL": url}).send(post())


def test_where_the_addresses_come_from(plain: Mailbox) -> None:
    config = EmailConfig.model_validate({"kind": "email"})
    assert config.unset({}) == "SMTP_URL"
    environ = {"SMTP_URL": f"smtp://127.0.0.1:{plain.port}"}
    assert config.unset(environ) == "ALERTS_MAIL_TO"
    environ["ALERTS_MAIL_TO"] = "ada@example.test, bob@example.test"
    assert config.unset(environ) is None
    config.open(environ).send(post())
    assert plain.mails[0]["To"] == "ada@example.test, bob@example.test"
    assert plain.mails[0]["From"] == "ada@example.test"
    with pytest.raises(ValidationError):
        EmailConfig.model_validate({"kind": "email", "from": "a@b\nBcc: x@y"})


def test_no_line_of_a_name_becomes_a_header(plain: Mailbox) -> None:
    ticker = Ticker({"mail": channel(plain)})
    ticker.tick(problem("a\r\nBcc: eve@example.test\r\n\r\nhello"))
    [mail] = plain.mails
    assert mail["Bcc"] is None and mail["X-Envelope-To"] == "ada@example.test, bob@example.test"


def post() -> Any:
    from data_platform.alerts.channels import Notice, Post

    return Post("local", (Notice("check:a", "opened", "Check failed", "a", "1 < 2", (), "http://ui/"),), "t1")
