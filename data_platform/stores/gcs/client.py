"""Google's client of one bucket, with the credentials that a store names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_platform.errors import ConfigurationError
from data_platform.stores.gcs.config import GCSStoreConfig

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


def open_bucket(config: GCSStoreConfig, url: str, secret: Callable[[str, str], str]) -> Any:
    """The bucket; ``secret`` gives the value of the environment variable that a setting names, ``url``
    is what the store is called."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    given: dict[str, Any] = {}
    if config.endpoint_url is not None:
        given["client_options"] = {"api_endpoint": config.endpoint_url.rstrip("/")}
    if config.credentials_env is not None:
        value = secret("credentials_env", config.credentials_env)
        given["credentials"] = _service_account(config.credentials_env, value, url)
    elif (config.endpoint_url or "").startswith("http://"):
        given["credentials"] = AnonymousCredentials()  # a token in clear would be anyone's
    project = config.project or ("none" if "credentials" in given else None)
    return Client(project=project, **given).bucket(config.bucket)


def _service_account(variable: str, value: str, url: str) -> Any:
    from google.oauth2.service_account import Credentials

    try:
        text = value if value.startswith("{") else Path(value).read_text(encoding="utf-8")
        return Credentials.from_service_account_info(json.loads(text), scopes=[_SCOPE])
    except (OSError, ValueError):  # neither says more than that, and both may quote the key
        pass
    raise ConfigurationError(
        f"The environment variable {variable} of the store at {url} holds no service account's key. Set"
        " it to the JSON that Google made for the account, or to the path of that file."
    )
