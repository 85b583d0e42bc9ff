"""A master key in Google Cloud KMS, by its REST API: a symmetric key, which never leaves the service.

Each request and each answer carries the CRC32C of its bytes, as Google asks of every client.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from data_platform.errors import ConfigurationError
from data_platform.keystore.masters import Master

ENDPOINT = "https://cloudkms.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloudkms"
_TIMEOUT_SECONDS = 20
_ATTEMPTS = 4
_AGAIN = (429, 500, 502, 503, 504)


class GcpKmsMasterConfig(BaseModel):
    """``{kind: gcp_kms, key: projects/P/locations/L/keyRings/R/cryptoKeys/K}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["gcp_kms"] = Field(
        description="What holds the master key: `environment`, `aws_kms` or `gcp_kms`."
    )
    key: str = Field(
        pattern=r"^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$",
        description="The symmetric key in Google Cloud KMS:"
        " `projects/P/locations/L/keyRings/R/cryptoKeys/K`. Needs the role roles/cloudkms.cryptoKeyEncrypterDecrypter.",
    )
    endpoint_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Address of the service if it is a private endpoint. No credentials are sent over http://.",
    )

    def open(self, environ: Mapping[str, str]) -> Master:
        return GcpKmsMaster(self)


class GcpKmsMaster:
    """``purpose`` is the additional authenticated data."""

    def __init__(self, config: GcpKmsMasterConfig) -> None:
        self._config = config
        self._session: Any = None
        self._endpoint = (config.endpoint_url or ENDPOINT).rstrip("/")
        self.label = f"Google Cloud KMS key {config.key}"

    @property
    def name(self) -> str:
        return f"gcp_kms:{self._config.key}"

    def wrap(self, key: bytes, purpose: str) -> bytes:
        body = {
            **_with_checksum("plaintext", key),
            **_with_checksum("additionalAuthenticatedData", purpose.encode()),
        }
        answer = self._asked("encrypt", body)
        if not (
            answer.get("verifiedPlaintextCrc32c") and answer.get("verifiedAdditionalAuthenticatedDataCrc32c")
        ):
            raise ConfigurationError(
                f"{self.label}: the request was damaged on its way. Run the command again."
            )
        return self._bytes(answer, "ciphertext")

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        body = {
            **_with_checksum("ciphertext", wrapped),
            **_with_checksum("additionalAuthenticatedData", purpose.encode()),
        }
        return self._bytes(self._asked("decrypt", body), "plaintext")

    def _bytes(self, answer: Mapping[str, Any], field: str) -> bytes:
        found = b64decode(answer.get(field, ""))
        if not found or str(answer.get(f"{field}Crc32c")) != _crc32c(found):
            raise ConfigurationError(
                f"{self.label}: the answer was damaged on its way. Run the command again."
            )
        return found

    def _asked(self, what: str, body: Mapping[str, str]) -> Mapping[str, Any]:
        import requests
        from google.auth.exceptions import GoogleAuthError
        from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential_jitter

        url = f"{self._endpoint}/v1/{self._config.key}:{what}"
        attempts = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential_jitter(initial=0.2, max=3),
            retry=retry_if_result(lambda answer: answer.status_code in _AGAIN),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        try:
            answer = attempts(self._opened().post, url, json=body, timeout=_TIMEOUT_SECONDS)
            if answer.status_code == 200:
                found = answer.json()
                return found if isinstance(found, dict) else {}
        except (requests.RequestException, GoogleAuthError, json.JSONDecodeError) as error:
            raise ConfigurationError(
                f"{self.label} could not be asked to {what} ({type(error).__name__}). Check the credentials"
                " (GOOGLE_APPLICATION_CREDENTIALS, or the machine's account) and the network."
            ) from None
        raise ConfigurationError(
            f"{self.label} refused to {what} (HTTP {answer.status_code}). Check the key's name, that it is enabled, and that"
            " this account may use it; a key that another master wrapped does not open."
        )

    def _opened(self) -> Any:
        if self._session is None:
            import requests

            if self._endpoint.startswith("http://"):
                self._session = requests.Session()
            else:
                import google.auth
                from google.auth.transport.requests import AuthorizedSession

                credentials, _ = google.auth.default(scopes=[_SCOPE])
                self._session = AuthorizedSession(credentials)
        return self._session


def _with_checksum(field: str, value: bytes) -> dict[str, str]:
    return {field: b64encode(value).decode(), f"{field}Crc32c": _crc32c(value)}


def _crc32c(value: bytes) -> str:
    import google_crc32c

    return str(google_crc32c.value(value))
