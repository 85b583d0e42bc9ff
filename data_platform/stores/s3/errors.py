"""What the errors of an S3 service mean, and what to do about each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_platform.errors import LandingError, ObjectDamaged, StoreFull, StoreRefused, StoreUnreachable

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_NO_PERMISSION = (
    "the credentials lack the permission. They need s3:ListBucket on the bucket, and s3:GetObject,"
    " s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on its objects; with `lock_days` more (docs/stores.md)."
)
_REFUSALS: tuple[tuple[frozenset[str], str], ...] = (
    (
        frozenset({"NoSuchBucket"}),
        "there is no such bucket. Create it, or correct `bucket` in catalog/platform.yaml, then run again.",
    ),
    (
        frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity"}),
        "the credentials are wrong. Check the values of the environment variables that"
        " catalog/platform.yaml names, or of the SDK's own (AWS_ACCESS_KEY_ID, AWS_PROFILE).",
    ),
    (
        frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}),
        "the credentials have expired. Renew them (`aws sso login`, or a new session token), then run again.",
    ),
    (frozenset({"AccessDenied", "AllAccessDisabled", "UnauthorizedAccess"}), _NO_PERMISSION),
    (
        frozenset({"InvalidObjectState"}),
        "it is in a storage class that is read hours after it is asked for. `data-platform restore` asks for it and"
        " waits; or restore from another copy.",
    ),
    (
        frozenset({"RequestTimeTooSkewed"}),
        "this machine's clock differs from the service's by more than it allows. Set the clock, then run again.",
    ),
    (
        frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "301"}),
        "the bucket is in another region. Set `region` in catalog/platform.yaml to it.",
    ),
)
DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"}


def answered(error: ClientError, what: str, where: str, attempts: int) -> LandingError:
    """The service refused ``what``: why, and what to do."""
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _FULL or status == 507:
        return StoreFull(f"{what}: no space is left there ({code}). Free some, then run again.")
    for codes, words in _REFUSALS:
        if code in codes:
            return StoreRefused(f"{what}: {words}")
    if is_of_the_moment(error):
        return StoreUnreachable(
            f"{what}: {where} answered {code} ({status}) through {attempts} attempts."
            " Run again later; if it lasts, see the service's status page."
        )
    if status == 403:
        return StoreRefused(f"{what}: {_NO_PERMISSION}")
    return LandingError(
        f"{what}: {where} answered {code} ({status}). Check `bucket`, `region` and `endpoint_url` in"
        " catalog/platform.yaml; the service's documentation says what the code means."
    )


def unanswered(error: Exception, what: str, where: str, attempts: int) -> LandingError:
    """The request was never answered: no credentials, no connection, no response."""
    from botocore import exceptions as sdk

    if isinstance(
        error,
        sdk.NoCredentialsError
        | sdk.PartialCredentialsError
        | sdk.CredentialRetrievalError
        | sdk.ProfileNotFound
        | sdk.SSOError
        | sdk.TokenRetrievalError,
    ):
        return StoreRefused(
            f"{what}: no usable credentials were found ({type(error).__name__}). Log in (`aws sso login`), give"
            " the machine a role, or name environment variables under `access_key_env` and `secret_key_env`"
            " in catalog/platform.yaml."
        )
    if isinstance(error, sdk.FlexibleChecksumError):
        return ObjectDamaged(f"{what}: the received data does not match its checksum. Run again.")
    return StoreUnreachable(
        f"{what}: no answer from {where} ({type(error).__name__}) through"
        f" {attempts} attempts. Check the network, and `endpoint_url` and `region` in"
        " catalog/platform.yaml, then run again."
    )


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def tried_again(error: ClientError) -> bool:
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts"))


def is_of_the_moment(error: ClientError) -> bool:
    """Whether the service failed instead of refusing: the same request may succeed later, or already has."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or status in (408, 409, 429) or code_of(error) in ("SlowDown", "RequestTimeout")
