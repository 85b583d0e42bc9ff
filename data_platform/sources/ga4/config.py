"""How a property is reached, and which of its days are read again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, cast
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from data_platform.errors import ConfigurationError
from data_platform.sources.kind import Connection, SourceKeys
from data_platform.yaml_fields import VARIABLE

Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]
API = "https://analyticsdata.googleapis.com"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Ga4Connection(Connection):
    """A property of Google Analytics 4."""

    property: str | None = Field(
        default=None,
        pattern=r"^\d+$",
        description="The number of the property, digits alone: not the measurement ID (`G-...`).",
    )
    property_env: Variable | None = Field(
        default=None, description="Environment variable that holds the property's number."
    )
    credentials_file_env: Variable | None = Field(
        default=None,
        description="Environment variable that holds the path of a service account's key file (JSON). The account needs"
        " the role Viewer in the property. Default: the credentials of the machine (application default credentials).",
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#]+/?$",
        description="Another server that speaks the Data API, such as the sandbox's. Over plain HTTP, which only this"
        " machine may serve, no credentials are sent.",
    )
    url_env: Variable | None = Field(
        default=None,
        description="Environment variable that holds the `url`. Where it is not set, Google's API is asked.",
    )
    timeout_seconds: float = Field(default=120, gt=0, le=600, description="How long to wait for one report.")
    quota_reserve: int = Field(
        default=500,
        ge=1,
        description="How many of the property's quota tokens are left to others: a read stops before fewer remain, and"
        " the next sync goes on there.",
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> Ga4Connection:
        if (self.property is None) == (self.property_env is None):
            raise ValueError("needs one of `property` and `property_env`")
        if self.url is not None and self.url_env is not None:
            raise ValueError("takes one of `url` and `url_env`")
        return self

    def variables(self, environ: Mapping[str, str]) -> Mapping[str, bool]:
        local = self.address(environ).startswith("http://")
        return {
            key: key == "property_env" or (key == "credentials_file_env" and not local)
            for key in super().variables(environ)
        }

    def address(self, environ: Mapping[str, str]) -> str:
        """The server's URL, without a slash at its end."""
        given = environ.get(self.url_env, "").strip() if self.url_env else self.url
        return (given or API).rstrip("/")


class Ga4SourceKeys(SourceKeys):
    reread_days: int = Field(
        default=4,
        ge=1,
        le=400,
        description="How many days before today every sync reads again, in the property's time zone: Google changes"
        " them while events arrive late.",
    )
    wide_reread_days: int = Field(
        default=40,
        ge=0,
        le=800,
        description="How many days before today are read again from time to time, since attribution changes for weeks."
        " 0: never.",
    )
    wide_reread_every_days: int = Field(
        default=30, ge=1, le=400, description="After how many days the wide reread is repeated."
    )


def connection_of(connection: Connection) -> Ga4Connection:
    """The connection of a source of this kind."""
    return cast(Ga4Connection, connection)


def property_of(source: str, connection: Ga4Connection, environ: Mapping[str, str]) -> str:
    """The property's number. ConfigurationError where the variable has none."""
    if connection.property is not None:
        return connection.property
    name = connection.property_env or ""
    value = environ.get(name, "").strip().removeprefix("properties/")
    if not re.fullmatch(r"\d+", value):
        found = "is not set" if not value else "does not hold the number of a property"
        raise ConfigurationError(
            f"{source}: the environment variable {name} {found}. Google Analytics shows it under Admin, Property details,"
            " PROPERTY ID: digits alone. A measurement ID (G-...) is another thing."
        )
    return value


def checked_address(source: str, address: str) -> str:
    """``address``; ConfigurationError for plain HTTP to another machine."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigurationError(f"{source}: the URL does not begin with http:// or https://. Correct it.")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(
            f"{source}: {address} is plain HTTP to another machine, which would show the reports to the network. Use"
            " https://."
        )
    return address
