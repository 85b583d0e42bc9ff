"""How an account of Stripe's is reached: the keys of ``connection``."""

from __future__ import annotations

from datetime import date
from typing import Annotated, cast

from pydantic import Field, StringConstraints

from data_platform.sources.kind import Connection
from data_platform.yaml_fields import VARIABLE

Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]
API_VERSION = "2026-10-28.endive"
"""The one that the official client of this release is made for."""


class StripeConnection(Connection):
    """An account of Stripe's."""

    api_key_env: Variable = Field(
        description="Environment variable that holds the API key. A restricted key with read permissions is enough."
    )
    api_base_env: Variable | None = Field(
        default=None,
        description="Environment variable that holds another base URL than Stripe's, such as the sandbox's.",
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


def connection_of(connection: Connection) -> StripeConnection:
    """The connection of a source of this kind."""
    return cast(StripeConnection, connection)
