"""A master key in AWS KMS: a symmetric key, which never leaves the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from data_platform.errors import ConfigurationError
from data_platform.keystore.masters import Master

_ATTEMPTS = 4


class AwsKmsMasterConfig(BaseModel):
    """``{kind: aws_kms, key: alias/data-platform, region: eu-central-1}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["aws_kms"] = Field(
        description="What holds the master key: `environment`, `aws_kms` or `gcp_kms`."
    )
    key: str = Field(
        min_length=1,
        max_length=2048,
        description="The symmetric key in AWS KMS: its id, ARN or alias. Needs the permissions kms:Encrypt and kms:Decrypt.",
    )
    region: str | None = Field(
        default=None,
        description="The key's region. Default: the one that the SDK finds (AWS_REGION, a profile).",
    )
    endpoint_url: str | None = Field(
        default=None, pattern=r"^https?://", description="Address of the service if it is a private endpoint."
    )

    def open(self, environ: Mapping[str, str]) -> Master:
        return AwsKmsMaster(self)


class AwsKmsMaster:
    """``purpose`` is the encryption context, which CloudTrail shows."""

    def __init__(self, config: AwsKmsMasterConfig) -> None:
        self._config = config
        self._client: Any = None
        self.label = f"AWS KMS key {config.key}"

    @property
    def name(self) -> str:
        return f"aws_kms:{self._config.key}"

    def wrap(self, key: bytes, purpose: str) -> bytes:
        answer = self._asked(
            "Encrypt",
            lambda c: c.encrypt(KeyId=self._config.key, Plaintext=key, EncryptionContext=_context(purpose)),
        )
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        answer = self._asked(
            "Decrypt",
            lambda c: c.decrypt(
                KeyId=self._config.key, CiphertextBlob=wrapped, EncryptionContext=_context(purpose)
            ),
        )
        return bytes(answer["Plaintext"])

    def _asked(self, what: str, request: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._client is None:
                import boto3
                from botocore.config import Config

                retries: Any = {"max_attempts": _ATTEMPTS, "mode": "standard"}
                self._client = boto3.client(
                    "kms",
                    region_name=self._config.region,
                    endpoint_url=self._config.endpoint_url,
                    config=Config(retries=retries, connect_timeout=10, read_timeout=20),
                )
            return request(self._client)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            raise ConfigurationError(
                f"{self.label} refused {what} ({code}). Check the key's name and region, that it is enabled, and that this"
                " account may use it; a key that another master wrapped does not open."
            ) from None
        except BotoCoreError as error:
            raise ConfigurationError(
                f"{self.label} could not be asked for {what} ({type(error).__name__}). Check the region, the credentials and"
                " the network."
            ) from None


def _context(purpose: str) -> dict[str, str]:
    return {"purpose": purpose}
