"""Google's client of one bucket, with the credentials that a store names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from data_platform.google_accounts import service_account
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
        what = f"The environment variable {config.credentials_env} of the store at {url}"
        given["credentials"] = service_account(value, _SCOPE, what)
    elif (config.endpoint_url or "").startswith("http://"):
        given["credentials"] = AnonymousCredentials()  # a token in clear would be anyone's
    project = config.project or ("none" if "credentials" in given else None)
    return Client(project=project, **given).bucket(config.bucket)
