"""A service account of Google, by the key that an environment variable holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_platform.errors import ConfigurationError


def service_account(value: str, scope: str, what: str) -> Any:
    """Credentials from ``value``: the key's JSON, or the path of its file. ConfigurationError, which begins with ``what``, the name of the
    variable, where it holds none."""
    from google.oauth2.service_account import Credentials

    try:
        text = value if value.startswith("{") else Path(value).read_text(encoding="utf-8")
        return Credentials.from_service_account_info(json.loads(text), scopes=[scope])
    except (OSError, ValueError):  # neither says more than that, and both may quote the key
        pass
    raise ConfigurationError(
        f"{what} holds no service account's key. Set it to the JSON that Google made for the account, or to the path of that file."
    )
