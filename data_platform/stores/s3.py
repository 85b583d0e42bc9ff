"""A store in an S3 bucket, and the YAML that opens it: AWS, or a service that speaks the same.

boto3 does the work: it signs, cuts large files into parts, and tries again with growing
pauses. Here is what it lacks: proof that what arrived is what was sent, a second try for
an answer cut short, and errors in words. Nothing is imported or read from the
environment before the store is used.
"""

from __future__ import annotations

import base64
import hashlib
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from data_platform.errors import (
    LandingError,
    ObjectDamaged,
    StoreUnreachable,
)
from data_platform.stores._keys import visible
from data_platform.stores._remote import (
    MB,
    URL,
    VARIABLE,
    RemoteStore,
    Transfer,
    checked_prefix,
    scratch_base,
)
from data_platform.stores._s3_errors import (
    DAMAGED,
    answered,
    code_of,
    is_of_the_moment,
    tried_again,
    unanswered,
)

if TYPE_CHECKING:
    pass

T = TypeVar("T")
_PARTS_MAX = 10_000


class S3StoreConfig(BaseModel):
    """``{kind: s3, bucket: acme-landing, prefix: prod, region: eu-central-1}``; without the names of
    environment variables the SDK's own chain finds credentials (AWS_* variables, a profile, a role)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["s3"] = Field(description="The kind of store: local, s3 or gcs.")
    bucket: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="The bucket, which must exist."
    )
    prefix: Annotated[str, AfterValidator(checked_prefix)] = Field(
        default="", description="The folder in the bucket; by default all of it."
    )
    region: str | None = Field(
        default=None,
        description="The bucket's region; by default what the SDK finds (AWS_REGION, a profile).",
    )
    endpoint_url: str | None = Field(
        default=None,
        pattern=URL,
        description="Where the service is, if it is not AWS: https://minio.internal:9000.",
    )
    access_key_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds the access key's id. Without it the SDK's own chain finds"
        " credentials.",
    )
    secret_key_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Environment variable that holds the secret key."
    )
    session_token_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds the session token of temporary credentials.",
    )
    cache: Path | None = Field(
        default=None,
        description="Folder on a local disk for files on their way; a relative path starts at the project's"
        " folder. By default in this user's cache (`XDG_CACHE_HOME` or `~/.cache`), else among the system's temporary files.",
    )

    @model_validator(mode="after")
    def _keys_are_a_pair(self) -> Self:
        if (self.access_key_env is None) != (self.secret_key_env is None):
            raise ValueError("`access_key_env` and `secret_key_env` belong together; name both or neither")
        if self.session_token_env is not None and self.access_key_env is None:
            raise ValueError(
                "`session_token_env` needs `access_key_env` and `secret_key_env`, whose token it is"
            )
        return self

    def place(self) -> tuple[str, ...]:
        return ("s3", self.endpoint_url or "", self.bucket, *filter(None, self.prefix.split("/")))

    def files(self, root: Path) -> tuple[Path, ...]:
        return ()

    def open(self, root: Path, environ: Mapping[str, str] | None = None) -> S3Store:
        """The store; nothing is connected to until it is used. ``environ`` holds the variables named
        here; the process's own unless given."""
        return S3Store(self, scratch_base(root, self.cache), environ=environ)


class S3Store(RemoteStore):
    """A ``stores.Store`` in a bucket. Threads may share one."""

    def __init__(
        self,
        config: S3StoreConfig,
        scratch: Path,
        *,
        transfer: Transfer | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"s3://{config.bucket}", config.prefix, scratch, environ)
        self.config = config
        self.transfer = transfer or Transfer()
        self._opened: Any = None
        self._opening = threading.Lock()

    def put_new(self, key: str, data: bytes) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        name = self._name(key)
        with self._readable_errors("write", key):
            try:
                answer = self._client.put_object(
                    Bucket=self.config.bucket,
                    Key=name,
                    Body=data,
                    ChecksumSHA256=_base64_sha256(data),
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if code_of(error) in ("PreconditionFailed", "412"):
                    # After a second try the object that stands there may be the first one's.
                    return tried_again(error) and self._standing(name) == data
                if not is_of_the_moment(error):
                    raise
                return self._settle(name, data, error)
            except BotoCoreError as error:
                return self._settle(name, data, error)
            self._confirm(key, name, answer, hashlib.sha256(data).digest())
        return True

    def put_hint(self, key: str, data: bytes) -> None:
        name = self._name(key)
        with self._readable_errors("write", key):
            self._client.put_object(
                Bucket=self.config.bucket, Key=name, Body=data, ChecksumSHA256=_base64_sha256(data)
            )

    def read(self, key: str) -> bytes:
        name = self._name(key)
        with self._readable_errors("read", key):
            return self._get(key, name, lambda answer: bytes(answer["Body"].read()))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        from botocore.exceptions import ClientError

        name = self._name(key)
        if length <= 0:
            self.size(key)
            return b""
        with self._readable_errors("read", key):
            try:
                return self._get(
                    key,
                    name,
                    lambda answer: bytes(answer["Body"].read()),
                    Range=f"bytes={start}-{start + length - 1}",
                )
            except ClientError as error:
                if code_of(error) in ("InvalidRange", "416"):
                    return b""
                raise

    def size(self, key: str) -> int:
        return int(self._head(key)["ContentLength"])

    def written_at(self, key: str) -> datetime:
        at: datetime = self._head(key)["LastModified"]
        return at

    def _head(self, key: str) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        name = self._name(key)
        with self._readable_errors("read", key):
            try:
                head: Mapping[str, Any] = self._client.head_object(Bucket=self.config.bucket, Key=name)
                return head
            except ClientError as error:
                # The answer to HEAD has no body, so it says neither what is missing nor why it refuses.
                self._client.list_objects_v2(Bucket=self.config.bucket, MaxKeys=1)
                if code_of(error) in ("404", "NoSuchKey", "NotFound"):
                    raise KeyError(key) from None
                raise

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        start = self._folder(prefix)
        with self._readable_errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.config.bucket,
                Prefix=start,
                PaginationConfig={"PageSize": 1000 if limit is None else max(1, min(limit, 1000))},
            )
            keys = (entry["Key"][len(self._prefix) :] for page in pages for entry in page.get("Contents", ()))
            # The order is asked of the server; SeaweedFS puts m/1 before m-1, which sorting mends.
            return sorted(islice(filter(visible, keys), limit))

    def delete(self, key: str) -> None:
        name = self._name(key)
        with self._readable_errors("delete", key):
            self._client.delete_object(Bucket=self.config.bucket, Key=name)
        self._kept.pop(key, None)

    def _upload(self, key: str, name: str, path: Path, sha256: str | None) -> None:
        size = path.stat().st_size
        part_bytes = max(self.transfer.part_bytes, -(-size // _PARTS_MAX // MB) * MB)
        whole, parts = _digests(path, part_bytes)
        if sha256 is not None and whole.hex() != sha256:
            raise self._altered(key)
        if size <= self.transfer.large_bytes:
            with path.open("rb") as body:
                answer = self._client.put_object(
                    Bucket=self.config.bucket, Key=name, Body=body, ChecksumSHA256=_base64(whole)
                )
            self._confirm(key, name, answer, whole)
            return
        with self._manager(part_bytes) as manager:
            self._send(manager, name, path)
        answer = self._client.head_object(Bucket=self.config.bucket, Key=name, ChecksumMode="ENABLED")
        # S3 checks each part as it comes, and of the whole it keeps the hash of the parts' hashes.
        composite = f"{_base64(hashlib.sha256(b''.join(parts)).digest())}-{len(parts)}"
        if answer["ContentLength"] != size or answer.get("ChecksumSHA256") != composite:
            self._read_back(key, name, whole)

    def _send(self, manager: Any, name: str, path: Path) -> None:
        from botocore.exceptions import ClientError

        how = {"ChecksumAlgorithm": "SHA256"}
        try:
            manager.upload(str(path), self.config.bucket, name, extra_args=how).result()
        except ClientError as error:
            # An upload whose completion was done and its answer lost is gone at the second try.
            if code_of(error) != "NoSuchUpload" or not self._is_there(name):
                raise

    def _is_there(self, name: str) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        with suppress(BotoCoreError, ClientError):
            self._client.head_object(Bucket=self.config.bucket, Key=name)
            return True
        return False

    def _download(self, key: str, name: str, path: Path) -> int:
        large: list[Mapping[str, Any]] = []

        def save(answer: Mapping[str, Any]) -> int:
            if answer["ContentLength"] > self.transfer.large_bytes:
                large.append(answer)
            else:
                with path.open("wb") as file:
                    for chunk in answer["Body"].iter_chunks(MB):
                        file.write(chunk)
            return int(answer["ContentLength"])

        size = self._get(key, name, save)
        if large:
            path.unlink(missing_ok=True)
            with self._manager(self.transfer.part_bytes) as manager:
                manager.download(self.config.bucket, name, str(path)).result()
        return size

    def _get(self, key: str, name: str, use: Callable[[Mapping[str, Any]], T], **how: Any) -> T:
        """What ``use`` makes of the object's answer, which is asked for again where its body breaks off
        or does not match the checksum that came with it."""
        from botocore.exceptions import (
            FlexibleChecksumError,
            IncompleteReadError,
            ReadTimeoutError,
            ResponseStreamingError,
        )
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        def once() -> T:
            answer = self._client.get_object(Bucket=self.config.bucket, Key=name, **how)
            with closing(answer["Body"]):
                try:
                    return use(answer)
                except FlexibleChecksumError:
                    raise _Broken(
                        ObjectDamaged(
                            f"{self._could_not('read', key)}: what came does not match its checksum, each of"
                            f" {self.transfer.attempts} times. Run again; if it repeats, the object or the"
                            " network alters data: restore the object from a copy."
                        )
                    ) from None
                except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                    raise _Broken(
                        StoreUnreachable(
                            f"{self._could_not('read', key)}: the answer broke off, each of"
                            f" {self.transfer.attempts} times. Check the network to {self._where()}, then run"
                            " again."
                        )
                    ) from None

        again = Retrying(
            retry=retry_if_exception_type(_Broken),
            stop=stop_after_attempt(self.transfer.attempts),
            wait=wait_random_exponential(multiplier=0.5, max=self.transfer.pause_seconds_max),
            reraise=True,
        )
        try:
            return again(once)
        except _Broken as broken:
            reason = broken.reason
        except self._client.exceptions.NoSuchKey:
            raise KeyError(key) from None
        raise reason

    def _confirm(self, key: str, name: str, answer: Mapping[str, Any], whole: bytes) -> None:
        """That what was put arrived; a service that does not name the checksum is read back."""
        if answer.get("ChecksumSHA256") != _base64(whole):
            self._read_back(key, name, whole)

    def _read_back(self, key: str, name: str, whole: bytes) -> None:
        def hashed(answer: Mapping[str, Any]) -> bytes:
            digest = hashlib.sha256()
            for chunk in answer["Body"].iter_chunks(MB):
                digest.update(chunk)
            return digest.digest()

        if self._get(key, name, hashed) != whole:
            self._discard(key)
            raise self._altered(key)

    def _settle(self, name: str, data: bytes, error: Exception) -> bool:
        """Whether a create whose answer never came made the object; ``error`` where that stays open."""
        standing = self._standing(name)
        if standing is None:
            raise error
        return standing == data

    def _standing(self, name: str) -> bytes | None:
        from botocore.exceptions import BotoCoreError, ClientError

        with suppress(BotoCoreError, ClientError, LandingError, KeyError):
            return self._get(name, name, lambda answer: bytes(answer["Body"].read()))
        return None

    @property
    def _client(self) -> Any:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> Any:
        from boto3.session import Session
        from botocore.config import Config

        config, given = self.config, {}
        for setting, argument in (
            ("access_key_env", "aws_access_key_id"),
            ("secret_key_env", "aws_secret_access_key"),
            ("session_token_env", "aws_session_token"),
        ):
            if (variable := getattr(config, setting)) is not None:
                given[argument] = self._secret(setting, variable)
        client = Session(region_name=config.region, **given).client(
            "s3",
            endpoint_url=config.endpoint_url,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": self.transfer.attempts},
                connect_timeout=self.transfer.connect_seconds,
                read_timeout=self.transfer.answer_seconds,
                max_pool_connections=10,
                # every write brings its own SHA-256; other services do not know the SDK's default
                request_checksum_calculation="when_required",
                # names of buckets as hosts need DNS that a service of one's own seldom has
                s3={"addressing_style": "path"} if config.endpoint_url else None,
            ),
        )
        client.meta.events.register("needs-retry.s3", self._what_else_to_try_again)
        return client

    def _what_else_to_try_again(self, response: Any, attempts: int, **_: Any) -> float | None:
        """Seconds to wait before the next attempt, where boto3 itself would make none."""
        if response is None or attempts >= self.transfer.attempts:
            return None
        http, parsed = response
        code = parsed.get("Error", {}).get("Code")
        if http.status_code == 429 or code in ("ConditionalRequestConflict", "OperationAborted"):
            return random.uniform(0, min(2.0 ** (attempts - 1), self.transfer.pause_seconds_max))
        return None

    def _manager(self, part_bytes: int) -> Any:
        from boto3.s3.transfer import TransferConfig, create_transfer_manager

        return create_transfer_manager(
            self._client,
            TransferConfig(
                multipart_threshold=self.transfer.large_bytes,
                multipart_chunksize=part_bytes,
                max_concurrency=self.transfer.threads,
                num_download_attempts=self.transfer.attempts,
                max_io_queue=64,  # of 256 KB each: what is fetched and not yet written
                preferred_transfer_client="classic",
            ),
        )

    def _where(self) -> str:
        return self.config.endpoint_url or "S3"

    @contextmanager
    def _readable_errors(self, act: str, key: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from s3transfer.exceptions import RetriesExceededError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError, RetriesExceededError) as error:
            failure = error.last_exception if isinstance(error, RetriesExceededError) else error
            # Without its cause, which knows the signed request.
            what, where = self._could_not(act, key), self._where()
            if not isinstance(failure, ClientError):
                raise unanswered(failure, what, where, self.transfer.attempts) from None
            if code_of(failure) in DAMAGED:
                raise self._altered(key) from None
            raise answered(failure, what, where, self.transfer.attempts) from None
        except OSError as error:
            raise self._disk_error(error, act, key) from error


class _Broken(Exception):
    """An answer that broke off on its way; ``reason`` is what to raise when it never comes whole."""

    def __init__(self, reason: LandingError) -> None:
        super().__init__()
        self.reason = reason


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _base64_sha256(data: bytes) -> str:
    return _base64(hashlib.sha256(data).digest())


def _digests(path: Path, part_bytes: int) -> tuple[bytes, list[bytes]]:
    """SHA-256 of the file and of each of its parts, in one reading."""
    whole, parts = hashlib.sha256(), []
    with path.open("rb") as file:
        left, part = part_bytes, hashlib.sha256()
        while chunk := file.read(min(MB, left)):
            whole.update(chunk)
            part.update(chunk)
            left -= len(chunk)
            if not left:
                parts.append(part.digest())
                left, part = part_bytes, hashlib.sha256()
        if left < part_bytes or not parts:
            parts.append(part.digest())
    return whole.digest(), parts
