"""What the errors of Google Cloud Storage mean, which of them to retry, and what to do about the others."""

from __future__ import annotations

from typing import Any

from data_platform.errors import LandingError, StoreFull, StoreRefused, StoreUnreachable
from data_platform.stores._remote import Transfer

_WRONG_CREDENTIALS = (
    "the credentials are wrong or have expired. Renew them (`gcloud auth application-default login`), or"
    " check the service account's key that `credentials_env` names, then run again."
)
_OF_THE_MOMENT = {408, 429, 500, 502, 503, 504}


def answered(status: int, what: str, where: str, attempts: int) -> LandingError:
    """The service refused ``what``: why, and what to do."""
    if status == 401:
        return StoreRefused(f"{what}: {_WRONG_CREDENTIALS}")
    if status == 403:
        return StoreRefused(
            f"{what}: the credentials lack the permission, or a retention policy holds the object. They need the"
            " role Storage Object User on the bucket (storage.objects.list, get, create and delete)."
        )
    if status == 507:
        return StoreFull(f"{what}: no space is left there. Free some, then run again.")
    if status in _OF_THE_MOMENT:
        return StoreUnreachable(
            f"{what}: {where} answered {status} through {attempts} attempts. Run again"
            " later; if it lasts, see the service's status page."
        )
    return LandingError(
        f"{what}: {where} answered {status}. Check `bucket` and `endpoint_url` in catalog/platform.yaml; the"
        " service's documentation says what the number means."
    )


def unanswered(error: Exception, what: str, where: str, attempts: int) -> LandingError:
    """The request was never answered: no credentials, no connection, no response."""
    from google.auth.exceptions import (
        DefaultCredentialsError,
        GoogleAuthError,
        InvalidOperation,
        TransportError,
    )

    # An anonymous request that is refused is an InvalidOperation: nothing is there to renew.
    if isinstance(error, DefaultCredentialsError) and not isinstance(error, InvalidOperation):
        return StoreRefused(
            f"{what}: no usable credentials were found. Log in (`gcloud auth application-default login`), give the"
            " machine a service account, or name an environment variable under `credentials_env` in"
            " catalog/platform.yaml."
        )
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return StoreRefused(f"{what}: {_WRONG_CREDENTIALS}")
    return StoreUnreachable(
        f"{what}: no answer from {where} ({type(error).__name__}) through"
        f" {attempts} attempts. Check the network, and `endpoint_url` in"
        " catalog/platform.yaml, then run again."
    )


class Patience:
    """How often one call may be retried, and how often it was. After a lost answer, the answer to the retry is
    ambiguous."""

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self.failures = 0

    def retry(self) -> Any:
        from google.api_core.retry import Retry

        longest = self.transfer.connect_seconds + self.transfer.answer_seconds
        return Retry(
            predicate=self._again,
            initial=min(1.0, self.transfer.pause_seconds_max),
            maximum=self.transfer.pause_seconds_max,
            multiplier=2,
            timeout=self.transfer.attempts * (longest + self.transfer.pause_seconds_max),
        )

    def of_the_moment(self, error: Exception) -> bool:
        """Whether the service failed instead of refusing: the same request may succeed later, or already has."""
        from google.api_core.exceptions import RetryError
        from google.auth.exceptions import TransportError
        from requests import ConnectionError as RequestsConnectionError
        from requests import Timeout
        from requests.exceptions import ChunkedEncodingError, ContentDecodingError
        from urllib3.exceptions import ProtocolError, TimeoutError

        if isinstance(error, RetryError):
            return True
        lost = RequestsConnectionError | Timeout | ChunkedEncodingError | ContentDecodingError | ProtocolError
        if isinstance(error, lost | TransportError | TimeoutError | ConnectionError):
            return True
        return status_of(error) in _OF_THE_MOMENT

    def _again(self, error: Exception) -> bool:
        if not self.of_the_moment(error):
            return False
        self.failures += 1
        return self.failures < self.transfer.attempts


def status_of(error: Exception) -> int:
    """The HTTP status in ``error``; 0 if it has none."""
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return int(code)
    return int(getattr(getattr(error, "response", None), "status_code", 0) or 0)
