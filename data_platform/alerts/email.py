"""E-mail, by an SMTP server: an incident is one conversation, which mail programs recognise by the messages' ids."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field

from data_platform.alerts.channels import Post
from data_platform.alerts.problem import clip
from data_platform.errors import AlertRefused
from data_platform.printable import printable_line
from data_platform.yaml_fields import VARIABLE, Model

if TYPE_CHECKING:
    from email.message import EmailMessage

ADDRESS = r"^[^\s@<>,;:\"]+@[^\s@<>,;:\"]+$"
SUBJECT_CHARACTERS = 200
ANSWER_SECONDS = 10.0
PORTS = {"smtp": 587, "smtps": 465}


class EmailConfig(Model):
    """Mail to a few addresses. The server's URL may hold a password, so the catalog holds only the variable's name."""

    kind: Literal["email"] = Field(description="E-mail, by an SMTP server.")
    url_env: str = Field(
        default="SMTP_URL",
        pattern=VARIABLE,
        description="Environment variable that holds the mail server's URL: `smtp://user:password@host:587`, which is"
        " encrypted by STARTTLS where the server offers it, or `smtps://...`. If it is not set, messages go to the fallback or"
        " are printed.",
    )
    to: tuple[str, ...] = Field(
        default=(), description="The addresses. Default: those of the variable in `to_env`."
    )
    to_env: str = Field(
        default="ALERTS_MAIL_TO",
        pattern=VARIABLE,
        description="Environment variable that holds the addresses, separated by commas, where `to` names none.",
    )
    sender: str | None = Field(
        default=None,
        alias="from",
        pattern=ADDRESS,
        description="The sender's address. Default: the user of the server's URL if it is an address, otherwise the first"
        " recipient.",
    )

    def unset(self, environ: Mapping[str, str]) -> str | None:
        needed = [self.url_env, *([] if self.to else [self.to_env])]
        return next((name for name in needed if not environ.get(name, "").strip()), None)

    def open(self, environ: Mapping[str, str], **options: Any) -> EmailChannel:
        """``options`` are those of ``EmailChannel``."""
        listed = self.to or tuple(
            one.strip() for one in environ.get(self.to_env, "").split(",") if one.strip()
        )
        return EmailChannel(
            environ.get(self.url_env, "").strip(), self.url_env, listed, self.sender, **options
        )


@dataclass(frozen=True)
class EmailChannel:
    url: str = field(repr=False)
    variable: str
    to: tuple[str, ...]
    sender: str | None = None
    sleep: Callable[[float], None] = time.sleep
    threads = True

    def send(self, post: Post) -> str:
        from data_platform.alerts.delivery import attempted

        server = Server.of(self.url, self.variable)
        sender = self.sender or (server.user if "@" in server.user else self.to[0])
        made = message(post, sender, self.to)
        attempted(
            lambda: server.deliver(made, sender, self.to), f"the mail server in {self.variable}", self.sleep
        )
        return post.reference or _root(post, sender)


def message(post: Post, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """``post`` as a mail. Its id follows from what it says, so that one that is sent twice is shown once."""
    from email.message import EmailMessage
    from email.utils import localtime

    made = EmailMessage()
    root = post.reference or _root(post, sender)
    made["Subject"] = clip(" ".join(printable_line(post.subject).split()), SUBJECT_CHARACTERS)
    made["From"] = sender
    made["To"] = ", ".join(to)
    made["Date"] = localtime()
    made["Auto-Submitted"] = "auto-generated"
    if post.event == "opened" and not post.reference:
        made["Message-ID"] = root
    else:
        digest = hashlib.sha256(post.text.encode()).hexdigest()[:12]
        made["Message-ID"] = root.replace("@", f".{post.event}.{digest}@", 1)
        made["In-Reply-To"] = root
        made["References"] = root
    made.set_content(post.text + "\n")
    return made


def _root(post: Post, sender: str) -> str:
    return f"<alert.{post.thread or 'test'}@{sender.rpartition('@')[2]}>"


@dataclass(frozen=True)
class Server:
    scheme: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    variable: str

    @classmethod
    def of(cls, url: str, variable: str) -> Server:
        wrong = AlertRefused(
            f"The value of {variable} is not the URL of a mail server: set it to smtp://user:password@host:587 or"
            " smtps://user:password@host:465. Characters such as @ and / in a password are written as %40 and %2F."
        )
        try:
            parts = urlsplit(url)
            port = parts.port or PORTS.get(parts.scheme, 0)
        except ValueError:
            parts, port = urlsplit(""), 0
        if parts.scheme not in PORTS or not parts.hostname:
            raise wrong
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.scheme, parts.hostname, port, user, password, variable)

    def deliver(self, made: EmailMessage, sender: str, to: tuple[str, ...]) -> None:
        """Hand ``made`` to the server for all of ``to``; ``TryAgain`` for what may pass, ``AlertRefused`` for the rest."""
        import smtplib

        from data_platform.alerts.delivery import TryAgain

        reason, refused = "", False
        try:
            self._deliver(made, sender, to)
            return
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            reason, refused = f"no recipient is accepted: {max(codes)}", all(code >= 500 for code in codes)
        except smtplib.SMTPResponseException as error:
            reason, refused = f"{type(error).__name__} {error.smtp_code}", error.smtp_code >= 500
        except smtplib.SMTPNotSupportedError:
            reason, refused = "the server has no such login", True
        except smtplib.SMTPException as error:
            reason = type(error).__name__
        except TimeoutError:
            reason = f"no answer within {ANSWER_SECONDS:g} s"
        except OSError as error:
            reason = (
                "no connection" if type(error) in (ConnectionRefusedError, OSError) else type(error).__name__
            )
        if refused:
            raise AlertRefused(
                f"A message was refused by the mail server in {self.variable}: {reason}. Check the user and password in the"
                " URL, the sender and the recipients."
            )
        raise TryAgain(reason)

    def _deliver(self, made: EmailMessage, sender: str, to: tuple[str, ...]) -> None:
        import smtplib
        import ssl

        encrypted = self.scheme == "smtps"
        context = ssl.create_default_context()
        if encrypted:
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, timeout=ANSWER_SECONDS, context=context
            )
        else:
            client = smtplib.SMTP(self.host, self.port, timeout=ANSWER_SECONDS)
        with client:
            client.ehlo_or_helo_if_needed()
            if not encrypted and client.has_extn("starttls"):
                client.starttls(context=context)
                client.ehlo()
                encrypted = True
            if self.user:
                if not encrypted and not _loopback(self.host):
                    raise AlertRefused(
                        f"The mail server in {self.variable} offers no encryption, so the password is not sent to it. Use"
                        " smtps:// or a server with STARTTLS."
                    )
                client.login(self.user, self.password)
            client.send_message(made, from_addr=sender, to_addrs=list(to))


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
