"""A store in a Google Cloud Storage bucket.

Google's client does the work and retries with growing pauses. This module adds parallel
uploads of large files in parts, proof that the received bytes are those that were sent, and
readable errors. Nothing is imported or read from the environment before the store is used.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from data_platform.errors import ObjectDamaged, StoreRefused, StoreUnreachable
from data_platform.stores._remote import MB, RemoteStore, Transfer
from data_platform.stores.gcs.checksums import checksums, crc32c_of
from data_platform.stores.gcs.client import open_bucket
from data_platform.stores.gcs.config import GCSStoreConfig
from data_platform.stores.gcs.errors import Patience, answered, status_of, unanswered
from data_platform.stores.gcs.locks import GCSLocks, not_locked
from data_platform.stores.gcs.slices import Slice
from data_platform.stores.gcs.tiering import GCSTiering
from data_platform.stores.locks import locked

_SCRATCH = ".scratch"
_COMPOSED_MAX = 32
"""The number of objects that the service can join at a time."""
_CHUNK_BYTES = 4 * MB
"""Bytes of its piece that a sending thread holds in memory."""


class GCSStore(RemoteStore):
    """A ``stores.Store`` in a bucket. Threads may share one."""

    def __init__(
        self,
        config: GCSStoreConfig,
        scratch: Path,
        *,
        transfer: Transfer | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"gs://{config.bucket}", config.prefix, scratch, environ)
        self.config = config
        self.transfer = transfer or Transfer()
        self._opened: Any = None
        self._opening = threading.Lock()
        self._there = False
        self._locks = GCSLocks(self, config.lock_days) if config.lock_days else None

    @property
    def locks(self) -> GCSLocks | None:
        return self._locks

    @property
    def tiering(self) -> GCSTiering:
        """Its storage classes (``stores.tiering``)."""
        return GCSTiering(self)

    def put_new(self, key: str, data: bytes) -> bool:
        from google.api_core.exceptions import PreconditionFailed

        name = self._name(key)
        patience = Patience(self.transfer)
        with self._readable_errors("write", key):
            blob = self._to_lock(self._bucket.blob(name))
            try:
                blob.upload_from_string(
                    data,
                    if_generation_match=0,
                    checksum="crc32c",
                    timeout=self._timeout,
                    retry=patience.retry(),
                )
            except PreconditionFailed:
                # After a second try the object that stands there may be the first one's.
                return patience.failures > 0 and self._standing(name) == data
            except Exception as error:
                if not patience.of_the_moment(error):
                    raise
                standing = self._standing(name)
                if standing is None:
                    raise
                return standing == data
            self._confirm(key, blob, len(data), crc32c_of(data))
        return True

    def put_hint(self, key: str, data: bytes) -> None:
        name = self._name(key)
        with self._readable_errors("write", key):
            blob = self._bucket.blob(name)
            blob.upload_from_string(data, checksum="crc32c", timeout=self._timeout, retry=self._retry())

    def read(self, key: str) -> bytes:
        name = self._name(key)
        with self._readable_errors("read", key):
            return self._bytes(name)

    def read_range(self, key: str, start: int, length: int) -> bytes:
        from google.api_core.exceptions import RequestRangeNotSatisfiable

        name = self._name(key)
        if length <= 0:
            self.size(key)
            return b""
        with self._readable_errors("read", key):
            try:
                return self._bytes(name, start=start, end=start + length - 1)
            except RequestRangeNotSatisfiable:
                return b""

    def size(self, key: str) -> int:
        name = self._name(key)
        with self._readable_errors("read", key):
            return int(self._known(name).size)

    def written_at(self, key: str) -> datetime:
        name = self._name(key)
        with self._readable_errors("read", key):
            at: datetime = self._known(name).updated
            return at

    def _names(self, start: str, page: int) -> Iterator[str]:
        found = self._bucket.list_blobs(
            prefix=start,
            page_size=page,
            fields="items(name),nextPageToken",
            timeout=self._timeout,
            retry=self._retry(),
        )
        for blob in found:
            yield blob.name or ""

    def delete(self, key: str) -> None:
        name = self._name(key)
        if self._locks and (until := self._locks.until(key)):
            raise locked(self._could_not("delete", key), until)
        with suppress(KeyError), self._readable_errors("delete", key):
            self._bucket.blob(name).delete(timeout=self._timeout, retry=self._retry())
        self._kept.pop(key, None)

    def _upload(self, key: str, name: str, path: Path, sha256: str | None) -> None:
        size = path.stat().st_size
        found, crc32c = checksums(path)
        if sha256 is not None and found != sha256:
            raise self._altered(key)
        blob = self._to_lock(self._bucket.blob(name, chunk_size=_CHUNK_BYTES))
        if size <= self.transfer.large_bytes:
            blob.upload_from_filename(
                str(path), checksum="crc32c", timeout=self._timeout, retry=self._retry()
            )
        else:
            self._upload_pieces(blob, path, size)
        self._confirm(key, blob, size, crc32c)

    def _upload_pieces(self, blob: Any, path: Path, size: int) -> None:
        """Upload the file's pieces in parallel under temporary names, then have the service join them."""
        step = max(self.transfer.part_bytes, -(-size // _COMPOSED_MAX))
        common = f"{self._prefix}{_SCRATCH}/{uuid.uuid4().hex}"
        starts = range(0, size, step)
        pieces = [self._bucket.blob(f"{common}-{n:02d}", chunk_size=_CHUNK_BYTES) for n in range(len(starts))]

        def send(piece: Any, start: int) -> None:
            length = min(step, size - start)
            with Slice(path, start, length) as slice_:
                piece.upload_from_file(
                    slice_, size=length, checksum="crc32c", timeout=self._timeout, retry=self._retry()
                )

        try:
            with ThreadPoolExecutor(self.transfer.threads) as pool:
                for sent in [pool.submit(send, *piece) for piece in zip(pieces, starts, strict=True)]:
                    sent.result()
            blob.compose(pieces, timeout=self._timeout, retry=self._retry())
        except BaseException:
            self._remove(pieces, retry=None)
            raise
        self._remove(pieces, retry=self._retry())

    def _remove(self, pieces: Iterable[Any], retry: Any) -> None:
        """Remove the pieces; the bucket's lifecycle rule removes any that are left (docs/stores.md)."""
        from google.api_core.exceptions import NotFound

        with suppress(Exception):  # a service that is gone is not asked for each of them
            for piece in pieces:
                with suppress(NotFound):
                    piece.delete(timeout=self._timeout, retry=retry)

    def _download(self, key: str, name: str, path: Path) -> int:
        from google.cloud.storage import transfer_manager

        blob = self._known(name)
        if blob.size <= self.transfer.large_bytes:
            blob.download_to_filename(
                str(path), checksum="crc32c", timeout=self._timeout, retry=self._retry()
            )
        else:
            transfer_manager.download_chunks_concurrently(
                blob,
                str(path),
                chunk_size=self.transfer.part_bytes,
                worker_type=transfer_manager.THREAD,
                max_workers=self.transfer.threads,
                download_kwargs={"timeout": self._timeout, "retry": self._retry()},
            )
        return int(blob.size)

    def _bytes(self, name: str, **how: Any) -> bytes:
        checksum = None if how else "crc32c"  # the service's is of the whole object
        found = self._bucket.blob(name).download_as_bytes(
            checksum=checksum, timeout=self._timeout, retry=self._retry(), **how
        )
        return bytes(found)

    def _known(self, name: str) -> Any:
        blob = self._bucket.blob(name)
        blob.reload(timeout=self._timeout, retry=self._retry())
        blob._properties.pop("mediaLink", None)  # it leads past `endpoint_url` to Google's own address
        return blob

    def _standing(self, name: str) -> bytes | None:
        with suppress(Exception):
            return self._bytes(name)
        return None

    def _confirm(self, key: str, blob: Any, size: int, crc32c: str) -> None:
        """Check that the object arrived, by the length and the checksum that the service computed."""
        if blob.size is None or blob.crc32c is None:
            blob.reload(timeout=self._timeout, retry=self._retry())
        if int(blob.size) != size or blob.crc32c != crc32c:
            self._discard(key)
            raise self._altered(key)
        if self._locks:
            self._locks.prove(key, blob)

    def _to_lock(self, blob: Any) -> Any:
        if self._locks:
            self._locks.set(blob)
        return blob

    @property
    def _timeout(self) -> tuple[float, float]:
        return self.transfer.connect_seconds, self.transfer.answer_seconds

    def _retry(self) -> Any:
        return Patience(self.transfer).retry()

    @property
    def _bucket(self) -> Any:
        with self._opening:
            if self._opened is None:
                self._opened = open_bucket(self.config, self.url, self._secret)
            return self._opened

    def _absent(self, key: str, act: str) -> Exception:
        """The meaning of a 404: Google answers it for an absent object, bucket or upload."""
        from google.api_core.exceptions import NotFound

        if not self._there:
            try:
                list(self._bucket.list_blobs(max_results=1, timeout=self._timeout, retry=self._retry()))
            except NotFound:
                return StoreRefused(
                    f"{self._could_not(act, key)}: there is no such bucket. Create it, or correct `bucket` in"
                    " catalog/platform.yaml, then run again."
                )
            self._there = True
        if act == "write":
            return StoreUnreachable(
                f"{self._could_not(act, key)}: the service no longer knows the upload, which an answer that came too"
                " late can cause. Run again."
            )
        return KeyError(key)

    @contextmanager
    def _readable_errors(self, act: str, key: str) -> Iterator[None]:
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (
            GoogleAPICallError,
            RetryError,
            InvalidResponse,
            DataCorruption,
            GoogleAuthError,
            RequestException,
            HTTPError,
            ConnectionError,
            TimeoutError,
        ) as error:
            failure: Any = (error.cause or error) if isinstance(error, RetryError) else error
            # Without its cause, which knows the request and its token.
            raise self._said(failure, act, key) from None
        except OSError as error:
            raise self._disk_error(error, act, key) from error

    def _said(self, error: Exception, act: str, key: str) -> Exception:
        """``error`` as one of our errors; KeyError if it only says that the object does not exist."""
        from google.cloud.storage.exceptions import DataCorruption

        if isinstance(error, DataCorruption):
            return ObjectDamaged(
                f"{self._could_not(act, key)}: the received data does not match its checksum. Run again; if it happens again, the"
                " object or the network alters data: restore the object from a copy."
            )
        status = status_of(error)
        if status == 404:
            return self._absent(key, act)
        if status == 400 and ("CRC32C" in str(error) or "MD5" in str(error)):
            return self._altered(key)
        if status == 400 and self._locks and act == "write":
            return not_locked(self._could_not(act, key))
        what, where = self._could_not(act, key), self.config.endpoint_url or "Google"
        if status:
            return answered(status, what, where, self.transfer.attempts)
        return unanswered(error, what, where, self.transfer.attempts)
