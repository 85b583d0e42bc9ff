"""How a sender of webhooks is known: the keys of ``connection``. Secrets come only from the environment."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from data_platform.sources.inbox.hook import BODY, TIMESTAMP, Algorithm, Encoding, Hook, Signature
from data_platform.sources.inbox.schemes import SCHEMES, Scheme
from data_platform.sources.kind import Connection
from data_platform.sources.records.keys import keys_of
from data_platform.yaml_fields import VARIABLE, Model

Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]


def _path(text: str) -> str:
    keys_of(text)
    return text


Path = Annotated[str, AfterValidator(_path)]


class SignatureKeys(Model):
    """How the sender signs, where it has no `scheme`."""

    header: Header = Field(description="The header that holds the signature.")
    algorithm: Algorithm = Field(
        default="sha256", description="The hash of the HMAC: `sha256` (default), `sha512` or `sha1`."
    )
    encoding: Encoding = Field(
        default="hex", description="How the signature is written: `hex` (default) or `base64`."
    )
    prefix: str = Field(
        default="",
        max_length=20,
        description="What stands before a signature in its header, such as `sha256=`. A header may hold several signatures, each"
        " behind a space or a comma.",
    )
    signed: str = Field(
        default="{body}",
        max_length=200,
        description="What is signed: `{body}` (default), `{timestamp}` and the names of headers in braces, with any text between"
        " them, such as `{timestamp}.{body}`.",
    )
    timestamp_header: Header | None = Field(
        default=None,
        description="The header that holds the time of the signature, in seconds since 1970. Without it, an old delivery that somebody"
        " recorded is taken again.",
    )
    timestamp_prefix: str = Field(
        default="", max_length=20, description="What stands before the time in its header, such as `t=`."
    )
    secret_prefix: str = Field(
        default="",
        max_length=20,
        description="What the sender writes before a secret and does not sign with, such as `whsec_`.",
    )
    secret_encoding: Literal["text", "base64"] = Field(
        default="text",
        description="Whether a secret is used as it is written (`text`, the default) or is `base64`.",
    )

    @model_validator(mode="after")
    def _whole(self) -> SignatureKeys:
        named = Signature(self.header, signed=self.signed).named()
        if named.count(BODY) != 1:
            raise ValueError("`signed` must hold {body} once")
        if (TIMESTAMP in named) != (self.timestamp_header is not None):
            raise ValueError(
                "`signed` must hold {timestamp} where there is a `timestamp_header`, and only there"
            )
        return self


class WebhookConnection(Connection):
    """A sender of webhooks."""

    secret_env: Annotated[str, StringConstraints(pattern=VARIABLE)] = Field(
        description="Environment variable that holds the secret under which the sender signs. While one secret takes the place of"
        " another, it holds both, separated by a space."
    )
    scheme: Literal["standard", "github", "shopify", "stripe"] | None = Field(
        default=None,
        description="How the sender signs, and where its ids and types are: `standard` (standardwebhooks.com), `github`, `shopify` or"
        " `stripe`. Any other sender is described by `signature`.",
    )
    signature: SignatureKeys | None = Field(
        default=None, description="How the sender signs, in place of `scheme`."
    )
    tolerance_seconds: int = Field(
        default=300,
        ge=1,
        le=86_400,
        description="How far the time of a signature may be from this machine's clock.",
    )
    id: Path | None = Field(
        default=None,
        description="Where an event's id is in the body, as a path such as `event.id`. Deliveries with one id are one event. Default: as"
        " the scheme says, else `id`. An event without an id has the hash of its body as one.",
    )
    id_header: Header | None = Field(
        default=None, description="The header that holds an event's id, in place of `id`."
    )
    type: Path | None = Field(
        default=None,
        description="Where an event's type is in the body. Default: as the scheme says, else `type`.",
    )
    type_header: Header | None = Field(
        default=None, description="The header that holds an event's type, in place of `type`."
    )
    max_bytes: int = Field(
        default=1_000_000,
        ge=1_000,
        le=20_000_000,
        description="The longest body that is taken; a longer one is refused with 413.",
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> WebhookConnection:
        if (self.scheme is None) == (self.signature is None):
            raise ValueError("needs one of `scheme` and `signature`")
        for path in ("id", "type"):
            if getattr(self, path) and getattr(self, f"{path}_header"):
                raise ValueError(f"needs one of `{path}` and `{path}_header`")
        return self

    def scheme_of(self) -> Scheme:
        """All of it, resolved."""
        if self.scheme is not None:
            base = SCHEMES[self.scheme]
        else:
            assert self.signature is not None
            base = Scheme(Signature(**self.signature.model_dump()))
        signed = {field: getattr(base.signature, field) for field in Signature.__dataclass_fields__}
        own = Signature(**{**signed, "tolerance_seconds": self.tolerance_seconds})
        return Scheme(own, *self._where("id", base), *self._where("type", base))

    def _where(self, name: str, base: Scheme) -> tuple[Any, Any]:
        path, header = getattr(self, name), getattr(self, f"{name}_header")
        if path is None and header is None:
            return getattr(base, name), getattr(base, f"{name}_header")
        return path, header


def connection_of(connection: Connection) -> WebhookConnection:
    """The connection of a source of this kind."""
    return cast(WebhookConnection, connection)


def hook(connection: Connection) -> Hook:
    """By what a receiver knows this sender."""
    known = connection_of(connection)
    scheme = known.scheme_of()
    keep = tuple(header.lower() for header in (scheme.id_header, scheme.type_header) if header)
    return Hook(known.secret_env, scheme.signature, keep, known.max_bytes)
