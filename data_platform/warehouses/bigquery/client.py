"""Google's client, with the credentials that the settings name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_platform.errors import ConfigurationError
from data_platform.google_accounts import service_account

if TYPE_CHECKING:
    from data_platform.warehouses.bigquery.config import BigQueryConfig

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def open_client(config: BigQueryConfig, environ: Mapping[str, str] | None = None) -> Any:
    """Nothing is asked of the service yet. ``ConfigurationError`` for a variable that is not set or holds no key, and for
    a machine without credentials."""
    try:
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud import bigquery
    except ImportError:
        raise ConfigurationError(
            "A warehouse of the kind bigquery needs Google's client, which is not installed. Install the extra:"
            " `pip install data-platform[bigquery]`."
        ) from None

    given: dict[str, Any] = {}
    if config.endpoint_url is not None:
        given["client_options"] = {"api_endpoint": config.endpoint_url.rstrip("/")}
    try:
        credentials = _credentials(config, os.environ if environ is None else environ)
        return bigquery.Client(
            project=config.execution_project or config.project,
            credentials=credentials,
            location=config.location,
            **given,
        )
    except DefaultCredentialsError:
        raise ConfigurationError(
            "This machine has no credentials of its own for Google. Run `gcloud auth application-default login`, give the machine"
            " a service account, or name an environment variable under `credentials_env` of the warehouse."
        ) from None


def open_storage(config: BigQueryConfig, environ: Mapping[str, str] | None = None) -> Any:
    """Google's client of Cloud Storage, with the same credentials."""
    from google.cloud import storage

    credentials = _credentials(config, os.environ if environ is None else environ)
    return storage.Client(project=config.execution_project or config.project, credentials=credentials)


def _credentials(config: BigQueryConfig, environ: Mapping[str, str]) -> Any:
    """None: the client looks for the machine's own."""
    if (config.endpoint_url or "").startswith("http://"):
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials()  # a token in clear would be anyone's
    credentials = None
    if config.credentials_env is not None:
        credentials = _service_account(config.credentials_env, environ.get(config.credentials_env, ""))
    if config.impersonate is None:
        return credentials
    import google.auth
    from google.auth import impersonated_credentials

    source = credentials or google.auth.default(scopes=[_SCOPE])[0]
    return impersonated_credentials.Credentials(source, config.impersonate, [_SCOPE])


def _service_account(variable: str, value: str) -> Any:
    if not value:
        raise ConfigurationError(
            f"The environment variable {variable} is not set. The warehouse names it under `credentials_env`: set it to a service"
            " account's key, or to the path of its file."
        )
    return service_account(value, _SCOPE, f"The environment variable {variable} of the warehouse")
