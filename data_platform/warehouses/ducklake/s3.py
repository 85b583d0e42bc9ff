"""DuckDB's secret for a bucket, from the environment as the landing store's keys are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from data_platform.errors import ConfigurationError

if TYPE_CHECKING:
    from data_platform.warehouses.ducklake.config import LakeBucket


def secret(data: str, bucket: LakeBucket, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The parameters of ``CREATE SECRET (TYPE s3, ...)`` for the address ``data``."""
    found = {"SCOPE": f"{data.rstrip('/')}/"}
    region = bucket.region
    if bucket.access_key_env is not None and bucket.secret_key_env is not None:
        found |= {
            "KEY_ID": _value(bucket.access_key_env, environ),
            "SECRET": _value(bucket.secret_key_env, environ),
        }
        if bucket.session_token_env is not None:
            found["SESSION_TOKEN"] = _value(bucket.session_token_env, environ)
    else:
        import boto3

        session = boto3.Session()
        region = region or session.region_name
        credentials = session.get_credentials()
        if credentials is None:
            raise ConfigurationError(
                f"No credentials for {data} were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, give the machine"
                " a role, or name variables with `s3: {access_key_env: ..., secret_key_env: ...}` in catalog/platform.yaml."
            )
        frozen = credentials.get_frozen_credentials()
        found |= {"KEY_ID": frozen.access_key, "SECRET": frozen.secret_key}
        if frozen.token:
            found["SESSION_TOKEN"] = frozen.token
    if region:
        found["REGION"] = region
    if bucket.endpoint_url is not None:
        address = urlsplit(bucket.endpoint_url)
        found |= {
            "ENDPOINT": address.netloc,
            "USE_SSL": str(address.scheme == "https").lower(),
            "URL_STYLE": "path",
        }
    return tuple(found.items())


def _value(variable: str, environ: Mapping[str, str]) -> str:
    value = environ.get(variable, "")
    if not value:
        raise ConfigurationError(
            f"The environment variable {variable} is not set. The lake's bucket needs it, as `s3:` in"
            " catalog/platform.yaml says."
        )
    return value
