"""Files in an S3 bucket: AWS, or a service that speaks the same. An object is whole as soon as it is listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_platform.errors import SourceError, SourceUnreachable
from data_platform.sources.environment import value_of
from data_platform.sources.files.known import Listed
from data_platform.sources.files.pattern import Pattern
from data_platform.sources.files.places import remote
from data_platform.sources.files.places.remote import (
    CHANGED,
    Bucket,
    is_enough,
    is_visible,
    scratch_of,
    whole,
)

ATTEMPTS, CONNECT_SECONDS, ANSWER_SECONDS = 5, 10, 60
PIECE = 1 << 20
_REFUSALS = (
    ({"NoSuchBucket"}, "there is no such bucket. Create it, or correct `location`"),
    (
        {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"},
        "the credentials are wrong. Check the values of `access_key_env` and `secret_key_env`, or of the SDK's own"
        " variables",
    ),
    ({"ExpiredToken", "RequestExpired", "TokenRefreshRequired"}, "the credentials have expired. Renew them"),
    (
        {"AccessDenied", "403"},
        "the credentials lack the permission. They need s3:ListBucket on the bucket and s3:GetObject on its objects",
    ),
    ({"PermanentRedirect", "AuthorizationHeaderMalformed", "301"}, "the bucket is in another region: set `region`"),
    ({"RequestTimeTooSkewed"}, "this machine's clock differs from the service's: set it"),
)  # fmt: skip


class S3Place(Bucket):
    """``Place``."""

    scheme = "s3"

    @property
    def _client(self) -> Any:
        if self._opened is None:
            from boto3.session import Session
            from botocore.config import Config

            said = self._connection
            variables = {
                "aws_access_key_id": said.access_key_env,
                "aws_secret_access_key": said.secret_key_env,
                "aws_session_token": said.session_token_env,
            }
            given = {
                argument: value_of(self._source, variable, self._environ)
                for argument, variable in variables.items()
                if variable is not None
            }
            with self._errors():
                self._opened = Session(region_name=said.region, **given).client(
                    "s3",
                    endpoint_url=said.endpoint_url,
                    config=Config(
                        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                        connect_timeout=CONNECT_SECONDS,
                        read_timeout=ANSWER_SECONDS,
                        response_checksum_validation="when_required",
                        s3={"addressing_style": "path"} if said.endpoint_url else None,
                    ),
                )
        return self._opened

    def list(self, pattern: Pattern) -> Mapping[str, Listed]:
        found: dict[str, Listed] = {}
        looked_at = 0
        with self._errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._at.host,
                Prefix=self._at.folder + pattern.folder,
                PaginationConfig={"PageSize": remote.PAGE},
            )
            for page in pages:
                for one in page.get("Contents", ()):
                    path = one["Key"][len(self._at.folder) :]
                    if is_visible(path) and pattern.matches(path):
                        found[path] = Listed(path, int(one["Size"]), str(one["ETag"]))
                looked_at += len(page.get("Contents", ()))
                if is_enough(len(found), looked_at, self.url):
                    break
        return found

    def fetch(self, listed: Listed, into: Path) -> Path:
        file = scratch_of(into, listed.path)
        with self._errors(listed.path):
            answer = self._client.get_object(
                Bucket=self._at.host, Key=self._at.folder + listed.path, IfMatch=listed.stamp
            )
            with file.open("wb") as target:
                for piece in answer["Body"].iter_chunks(PIECE):
                    target.write(piece)
        return whole(file, listed)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    @contextmanager
    def _errors(self, path: str = "") -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as NoConnection

        where = f"{self.url}: {path}: " if path else f"{self.url}: "
        try:
            yield
        except ClientError as error:
            raise self._answered(error, where, path) from None
        except (HTTPClientError, NoConnection) as error:
            raise SourceUnreachable(
                f"{where}no answer ({type(error).__name__}) through {ATTEMPTS} attempts. Check the network, `endpoint_url`"
                " and `region`, then sync again."
            ) from None
        except BotoCoreError as error:
            raise SourceError(
                f"{where}no usable credentials or region ({type(error).__name__}). Name environment variables under"
                " `access_key_env` and `secret_key_env`, log in, or set `region`."
            ) from None

    def _answered(self, error: Any, where: str, path: str) -> SourceError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if path and (code in ("PreconditionFailed", "NoSuchKey") or status in (404, 412)):
            return SourceError(f"{path}: {CHANGED}.")
        for codes, words in _REFUSALS:
            if code in codes:
                return SourceError(f"{where}{words}.")
        if status >= 500 or status in (408, 429):
            return SourceUnreachable(f"{where}the service answered {code} ({status}). Sync again later.")
        return SourceError(
            f"{where}the service answered {code} ({status}). Check `location`, `region` and `endpoint_url`."
        )
