"""How an API is reached: the keys of ``connection``, which dlt calls ``client``. Secrets come only from the environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from data_platform.sources.environment import value_of
from data_platform.sources.http import auth as http_auth
from data_platform.sources.kind import Connection
from data_platform.sources.rest.paginators import AnyPaginator
from data_platform.yaml_fields import VARIABLE, Frozen, FrozenDict, Model

Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]
Get = Callable[[str], str]
"""The value of a variable; ConfigurationError where it has none."""


_TYPE = "`bearer`, `api_key`, `http_basic` or `oauth2_client_credentials`."


class Bearer(Model):
    type: Literal["bearer"] = Field(description=_TYPE)
    token_env: Variable = Field(description="`bearer`: environment variable that holds the token.")

    def made(self, get: Get) -> http_auth.Auth:
        return http_auth.bearer(f"the token in {self.token_env}", get(self.token_env))


class ApiKey(Model):
    type: Literal["api_key"] = Field(description=_TYPE)
    name: str = Field(
        default="Authorization", description="`api_key`: the header, parameter or cookie that takes the key."
    )
    api_key_env: Variable = Field(description="`api_key`: environment variable that holds the key.")
    location: Literal["header", "query", "param", "cookie"] = Field(
        default="header", description="`api_key`: where it is sent. `param` is `query`."
    )

    def made(self, get: Get) -> http_auth.Auth:
        place = "query" if self.location == "param" else self.location
        return http_auth.ApiKey(f"the key in {self.api_key_env}", self.name, get(self.api_key_env), place)


class HttpBasic(Model):
    type: Literal["http_basic"] = Field(description=_TYPE)
    username: str | None = Field(default=None, description="`http_basic`: the user's name.")
    username_env: Variable | None = Field(
        default=None, description="`http_basic`: environment variable that holds the user's name."
    )
    password_env: Variable | None = Field(
        default=None,
        description="`http_basic`: environment variable that holds the password. Without it the password is empty.",
    )

    @model_validator(mode="after")
    def _one_name(self) -> HttpBasic:
        if (self.username is None) == (self.username_env is None):
            raise ValueError("needs one of `username` and `username_env`")
        return self

    def made(self, get: Get) -> http_auth.Auth:
        named = [name for name in (self.username_env, self.password_env) if name]
        user = self.username if self.username_env is None else get(self.username_env)
        password = get(self.password_env) if self.password_env else ""
        return http_auth.basic(
            f"the user and password in {', '.join(named) or 'the catalog'}", user or "", password
        )


class OAuth2(Model):
    type: Literal["oauth2_client_credentials"] = Field(description=_TYPE)
    access_token_url: str = Field(
        pattern=r"^https?://[^\s?#]+$",
        description="`oauth2_client_credentials`: the URL that gives tokens.",
    )
    client_id: str | None = Field(default=None, description="`oauth2_client_credentials`: the client's id.")
    client_id_env: Variable | None = Field(
        default=None,
        description="`oauth2_client_credentials`: environment variable that holds the client's id.",
    )
    client_secret_env: Variable = Field(
        description="`oauth2_client_credentials`: environment variable that holds the client's secret."
    )
    access_token_request_data: Annotated[Mapping[str, str | int | bool], Frozen] = Field(
        default_factory=FrozenDict,
        description="`oauth2_client_credentials`: what else is sent for a token, such as a `scope`.",
    )
    default_token_expiration: int = Field(
        default=3600,
        ge=60,
        description="`oauth2_client_credentials`: how many seconds a token holds that does not say so itself.",
    )

    @model_validator(mode="after")
    def _one_id(self) -> OAuth2:
        if (self.client_id is None) == (self.client_id_env is None):
            raise ValueError("needs one of `client_id` and `client_id_env`")
        return self

    def made(self, get: Get) -> http_auth.Auth:
        named = [name for name in (self.client_id_env, self.client_secret_env) if name]
        return http_auth.OAuth2ClientCredentials(
            f"the client in {', '.join(named)}",
            self.access_token_url,
            self.client_id if self.client_id_env is None else get(self.client_id_env),  # type: ignore[arg-type]
            get(self.client_secret_env),
            self.access_token_request_data,
            self.default_token_expiration,
        )


def _shorthand(value: Any) -> Any:
    """``bearer`` is ``{type: bearer}``, and so is a block without a type, as in dlt."""
    if isinstance(value, str) and value.startswith("{"):  # of a command line
        value = yaml.safe_load(value)
    if isinstance(value, str):
        raise ValueError("is the name alone: write a block, such as {type: bearer, token_env: SHOP_TOKEN}")
    return {"type": "bearer", **value} if isinstance(value, Mapping) else value


AnyAuth = Annotated[
    Annotated[Bearer | ApiKey | HttpBasic | OAuth2, Field(discriminator="type")], BeforeValidator(_shorthand)
]


class RestConnection(Connection):
    """A REST API. Its keys are those of dlt's ``client``, with times and limits."""

    base_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="The URL that every endpoint's `path` is joined to, such as https://api.example.com/v2.",
    )
    base_url_env: Variable | None = Field(
        default=None, description="Environment variable that holds the `base_url`, where environments differ."
    )
    auth: AnyAuth | None = Field(default=None, description="The credentials of every request.")
    headers: Annotated[Mapping[str, str], Frozen] = Field(
        default_factory=FrozenDict, description="Headers of every request. None of them is a secret."
    )
    headers_env: Annotated[Mapping[str, Variable], Frozen] = Field(
        default_factory=FrozenDict,
        description="Headers whose values are secrets: by name, the environment variable that holds it.",
    )
    paginator: AnyPaginator | None = Field(
        default=None,
        description="How the endpoints give pages, unless one says otherwise. Default: `auto`, which looks at the first"
        " answer.",
    )
    requests_per_second: float | None = Field(
        default=None,
        gt=0,
        le=10_000,
        description="How many requests may be sent in a second, by all tables together. Default: no limit.",
    )
    attempts: int = Field(
        default=6, ge=1, le=100, description="How often a request is sent that fails in a way that may pass."
    )
    connect_timeout_seconds: float = Field(
        default=10, gt=0, le=600, description="How long to wait for a connection."
    )
    read_timeout_seconds: float = Field(
        default=60, gt=0, le=3600, description="How long to wait for the next byte of an answer."
    )
    total_timeout_seconds: float = Field(
        default=600, gt=0, le=86_400, description="How long one answer may take to arrive."
    )
    wait_seconds_max: float = Field(
        default=900,
        ge=0,
        le=86_400,
        description="How long the API may let one request wait (`Retry-After`), all its waits together.",
    )

    @model_validator(mode="after")
    def _one_url(self) -> RestConnection:
        if (self.base_url is None) == (self.base_url_env is None):
            raise ValueError("needs one of `base_url` and `base_url_env`")
        return self

    def variables(self, environ: Mapping[str, str]) -> Mapping[str, bool]:
        return dict.fromkeys(self._variables(), True)

    def variable(self, key: str) -> str:
        return self._variables()[key]

    def secrets(self) -> list[str]:
        """The variables that hold credentials."""
        return [name for key, name in self._variables().items() if key != "base_url_env"]

    def _variables(self) -> dict[str, str]:
        return dict(_named(self, ""))

    def url(self, get: Get) -> str:
        """The base URL, which ends in a slash."""
        url = self.base_url if self.base_url_env is None else get(self.base_url_env)
        return (url or "").rstrip("/") + "/"


def _named(model: Model, prefix: str) -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name == "headers_env":
            yield from ((f"{prefix}{name}.{header}", variable) for header, variable in value.items())
        elif name.endswith("_env") and isinstance(value, str):
            yield prefix + name, value
        elif name == "auth" and isinstance(value, Model):
            yield from _named(value, f"{name}.")


def connection_of(connection: Connection) -> RestConnection:
    """The connection of a source of this kind."""
    return cast(RestConnection, connection)


def reader(source: str, environ: Mapping[str, str]) -> Get:
    """How the variables of ``source`` are read."""
    return lambda name: value_of(source, name, environ)
