"""How an account of Zendesk's is reached: the keys of ``connection``. Secrets come only from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, cast

from pydantic import Field, StringConstraints, model_validator

from data_platform.errors import ConfigurationError
from data_platform.sources.environment import value_of
from data_platform.sources.kind import Connection
from data_platform.yaml_fields import VARIABLE

Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]


class ZendeskConnection(Connection):
    """An account of Zendesk Support."""

    subdomain: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description="The account's name, as in https://NAME.zendesk.com.",
    )
    url_env: Variable | None = Field(
        default=None,
        description="Instead of `subdomain`: environment variable that holds the account's URL, where environments differ.",
    )
    email_env: Variable | None = Field(
        default=None,
        description="Environment variable that holds the e-mail address of the admin to whom the API token belongs.",
    )
    api_token_env: Variable | None = Field(
        default=None, description="Environment variable that holds the API token."
    )
    oauth_token_env: Variable | None = Field(
        default=None,
        description="Instead of `email_env` and `api_token_env`: environment variable that holds an OAuth access token with the"
        " scope `read`.",
    )
    start: date | None = Field(
        default=None,
        description="Incremental exports begin with what changed since this day (UTC). Default: with everything.",
    )
    exports_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=1_000,
        description="How many pages of incremental exports may be asked for in a minute, by all tables together. Default: as many as"
        " Zendesk says are left, and 10 where it says nothing. A number leaves some to others.",
    )
    requests_per_minute: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="How many pages of lists may be asked for in a minute, by all tables together. Zendesk allows 200 to"
        " 2,500, by plan.",
    )
    wait_seconds_max: float = Field(
        default=900,
        ge=0,
        le=86_400,
        description="How long Zendesk may let one request wait (`Retry-After`), all its waits together.",
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> ZendeskConnection:
        if (self.subdomain is None) == (self.url_env is None):
            raise ValueError("needs one of `subdomain` and `url_env`")
        token = self.oauth_token_env is not None
        if token == (self.api_token_env is not None) or token == (self.email_env is not None):
            raise ValueError("needs `email_env` and `api_token_env`, or `oauth_token_env` alone")
        return self

    def credentials(self) -> str:
        """The variables that hold them, for messages."""
        return self.oauth_token_env or f"{self.email_env} and {self.api_token_env}"


def connection_of(connection: Connection) -> ZendeskConnection:
    """The connection of a source of this kind."""
    return cast(ZendeskConnection, connection)


def url_of(source: str, connection: ZendeskConnection, environ: Mapping[str, str]) -> str:
    """The account's URL, without a slash at its end. ConfigurationError where it is none."""
    if connection.url_env is None:
        return f"https://{connection.subdomain}.zendesk.com"
    url = value_of(source, connection.url_env, environ).rstrip("/").removesuffix("/api/v2")
    if not url.startswith(("http://", "https://")) or "?" in url or "#" in url or "@" in url:
        raise ConfigurationError(
            f"{source}: {connection.url_env} must hold a URL such as https://NAME.zendesk.com, without user and query."
        )
    return url
