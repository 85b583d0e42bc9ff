"""How an account of Stripe's is reached: the keys of ``connection``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, cast

from pydantic import Field, StringConstraints

from data_platform.errors import ConfigurationError
from data_platform.sources.environment import value_of
from data_platform.sources.kind import Connection
from data_platform.yaml_fields import VARIABLE

Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]
STRIPE = "https://api.stripe.com"
API_VERSION = "2026-10-28.endive"
"""The one that the official client of this release is made for."""


class StripeConnection(Connection):
    """An account of Stripe's."""

    api_key_env: Variable = Field(
        description="Environment variable that holds the API key. A restricted key with read permissions is enough."
    )
    api_base_env: Variable | None = Field(
        default=None,
        description="Environment variable that holds another base URL than Stripe's, such as the sandbox's. Where it is not"
        " set, Stripe is asked.",
    )
    webhook_secret_env: Variable | None = Field(
        default=None,
        description="Environment variable that holds the signing secret of the endpoint to which Stripe delivers events: `data-platform"
        " receive` takes them, and the table `deliveries` holds them. While one secret takes the place of another, it holds both,"
        " separated by a space.",
    )
    api_version: str = Field(
        default=API_VERSION,
        pattern=r"^20\d\d-\d\d-\d\d(\.[a-z]+)?$",
        description="The version of the API in which every object is read. With another version every table is reread.",
    )
    account: str | None = Field(
        default=None,
        pattern=r"^acct_[A-Za-z0-9]+$",
        description="The connected account to read, through the platform account's key. Default: the key's own account.",
    )
    start: date | None = Field(
        default=None,
        description="Objects that were created before this day (UTC) are not read. Default: all are.",
    )
    look_back_seconds: int = Field(
        default=300,
        ge=0,
        le=86_400,
        description="How far before the end of the last read the next one begins, for what Stripe shows late.",
    )
    requests_per_second: float = Field(
        default=20,
        gt=0,
        le=1_000,
        description="How many requests may be sent in a second, by all tables together. Stripe allows 25 to one endpoint.",
    )

    def variables(self, environ: Mapping[str, str]) -> Mapping[str, bool]:
        return {key: key != "api_base_env" for key in super().variables(environ)}


def base_of(source: str, connection: StripeConnection, environ: Mapping[str, str]) -> str:
    """The base URL, without a slash at its end. ConfigurationError where the variable holds none."""
    variable = connection.api_base_env
    if variable is None or not environ.get(variable, "").strip():
        return STRIPE
    base = value_of(source, variable, environ)
    if not base.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{source}: the URL in {variable} does not begin with https:// or http://. Correct it."
        )
    return base.rstrip("/")


def connection_of(connection: Connection) -> StripeConnection:
    """The connection of a source of this kind."""
    return cast(StripeConnection, connection)
