"""A store in an S3 bucket: AWS, or a service that speaks the same.

boto3 does the work: it signs, splits large files into parts, and retries with growing
pauses. This module adds proof that the received bytes are those that were sent, a retry
after a truncated answer, and readable errors. Nothing is imported or read from the
environment before the store is used.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from data_platform.errors import LandingError, ObjectDamaged, StoreUnreachable
from data_platform.stores._remote import MB, OddListing, RemoteStore, Transfer
from data_platform.stores.s3.checksums import base64_of, base64_sha256, digests
from data_platform.stores.s3.client import open_client, transfer_manager
from data_platform.stores.s3.config import S3StoreConfig
from data_platform.stores.s3.errors import (
    DAMAGED,
    answered,
    code_of,
    is_of_the_moment,
    tried_again,
    unanswered,
)
from data_platform.stores.s3.locks import S3Locks, not_locked
from data_platform.stores.s3.tiering import S3Tiering

T = TypeVar("T")
_PARTS_MAX = 10_000


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
        self._locks = S3Locks(self, config.lock_days) if config.lock_days else None

    @property
    def locks(self) -> S3Locks | None:
        return self._locks

    @property
    def tiering(self) -> S3Tiering:
        """Its storage classes (``stores.tiering``)."""
        return S3Tiering(self)

    def put_new(self, key: str, data: bytes) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        name = self._name(key)
        with self._readable_errors("write", key):
            try:
                answer = self._client.put_object(
                    Bucket=self.config.bucket,
                    Key=name,
                    Body=data,
                    ChecksumSHA256=base64_sha256(data),
                    IfNoneMatch="*",
                    **self._locked(),
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
            if self._locks:
                self._locks.prove(key)
        return True

    def put_hint(self, key: str, data: bytes) -> None:
        name = self._name(key)
        with self._readable_errors("write", key):
            self._client.put_object(
                Bucket=self.config.bucket, Key=name, Body=data, ChecksumSHA256=base64_sha256(data)
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

    def _names(self, start: str, page: int) -> Iterator[str]:
        from botocore.parsers import ResponseParserError

        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.config.bucket, Prefix=start, PaginationConfig={"PageSize": page}
        )
        try:
            for answer in pages:
                for entry in answer.get("Contents", ()):
                    yield entry["Key"]
                if answer.get("NextContinuationToken") and not answer.get("IsTruncated"):
                    raise OddListing("says both that it ends and where it goes on")
        except (ResponseParserError, ValueError):
            raise OddListing("cannot be parsed") from None

    def delete(self, key: str) -> None:
        name = self._name(key)
        with self._readable_errors("delete", key):
            if self._locks:
                self._locks.delete(key)
            else:
                self._client.delete_object(Bucket=self.config.bucket, Key=name)
        self._kept.pop(key, None)

    def _locked(self) -> dict[str, Any]:
        return self._locks.how() if self._locks else {}

    def _upload(self, key: str, name: str, path: Path, sha256: str | None) -> None:
        self._upload_file(key, name, path, sha256)
        if self._locks:
            self._locks.prove(key)

    def _upload_file(self, key: str, name: str, path: Path, sha256: str | None) -> None:
        size = path.stat().st_size
        part_bytes = max(self.transfer.part_bytes, -(-size // _PARTS_MAX // MB) * MB)
        whole, parts = digests(path, part_bytes)
        if sha256 is not None and whole.hex() != sha256:
            raise self._altered(key)
        if size <= self.transfer.large_bytes:
            with path.open("rb") as body:
                answer = self._client.put_object(
                    Bucket=self.config.bucket,
                    Key=name,
                    Body=body,
                    ChecksumSHA256=base64_of(whole),
                    **self._locked(),
                )
            self._confirm(key, name, answer, whole)
            return
        with transfer_manager(self._client, self.transfer, part_bytes) as manager:
            self._send(manager, name, path)
        answer = self._client.head_object(Bucket=self.config.bucket, Key=name, ChecksumMode="ENABLED")
        # S3 checks each part as it comes, and of the whole it keeps the hash of the parts' hashes.
        composite = f"{base64_of(hashlib.sha256(b''.join(parts)).digest())}-{len(parts)}"
        if answer["ContentLength"] != size or answer.get("ChecksumSHA256") != composite:
            self._read_back(key, name, whole)

    def _send(self, manager: Any, name: str, path: Path) -> None:
        from botocore.exceptions import ClientError

        how = {"ChecksumAlgorithm": "SHA256", **self._locked()}
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
            with transfer_manager(self._client, self.transfer, self.transfer.part_bytes) as manager:
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
        if answer.get("ChecksumSHA256") != base64_of(whole):
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
                self._opened = open_client(self.config, self.transfer, self._secret)
            return self._opened

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
            if self._locks and act == "write" and code_of(failure) == "InvalidRequest":
                raise not_locked(what) from None
            raise answered(failure, what, where, self.transfer.attempts) from None
        except OSError as error:
            raise self._disk_error(error, act, key) from error


class _Broken(Exception):
    """An answer that broke off on its way; ``reason`` is what to raise when it never comes whole."""

    def __init__(self, reason: LandingError) -> None:
        super().__init__()
        self.reason = reason
