"""The folder of an S3 bucket through which batches come: the manifest of each COPY, and files that are in no bucket yet. What
UNLOAD writes for a backup goes the other way.

COPY is given a list of exactly the files of the batch, each of which must be there. A prefix would take whatever else lies
below it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.errors import WarehouseError
from data_platform.warehouses.remote.engine import Staging, Transient

if TYPE_CHECKING:
    from collections.abc import Callable


MANIFEST = "manifest"
"""What UNLOAD calls its list of files, behind the name that it is given."""


class StagingFolder:
    """``address`` is ``s3://bucket/prefix``; ``client`` makes boto3's client of S3, when it is needed."""

    def __init__(self, address: str, client: Callable[[], Any]) -> None:
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self.address, self._bucket, self._prefix = address.rstrip("/"), bucket, prefix.strip("/")
        self._make, self._client = client, None

    @contextmanager
    def manifest(self, staging: Staging) -> Iterator[str | None]:
        """The address of a manifest that names the files, in their order; None for no file. It is gone at the end, and so is
        what was sent for it."""
        if not staging.parts:
            yield None
            return
        sent: list[str] = []
        try:
            with self._errors():
                addresses = list(staging.addresses)
                if not all(address.startswith("s3://") for address in addresses) or not addresses:
                    addresses = [
                        self._send(staging, part, number, sent) for number, part in enumerate(staging.parts)
                    ]
                entries = [
                    {"url": address, "mandatory": True, "meta": {"content_length": part.stat().st_size}}
                    for address, part in zip(addresses, staging.parts, strict=True)
                ]
                key = self._key(staging, "manifest.json")
                sent.append(key)
                self._s3.put_object(
                    Bucket=self._bucket, Key=key, Body=json.dumps({"entries": entries}).encode()
                )
            yield f"s3://{self._bucket}/{key}"
        finally:
            for key in sent:
                with suppress(Exception):  # a lifecycle rule of the bucket takes what is left
                    self._s3.delete_object(Bucket=self._bucket, Key=key)

    @contextmanager
    def unloading(self, identity: str) -> Iterator[str]:
        """The address below which UNLOAD writes files and their manifest. They are gone at the end, where UNLOAD came to its own."""
        folder = self._joined(f"unload_{identity}", "")
        address = f"s3://{self._bucket}/{folder}"
        try:
            yield address
        finally:
            with suppress(Exception):  # a lifecycle rule of the bucket takes what is left
                keys = [*self._unloaded(folder), f"{folder}{MANIFEST}"]
                for key in keys:
                    self._s3.delete_object(Bucket=self._bucket, Key=key)

    def fetch(self, address: str, into: Path) -> list[Path]:
        """The files below ``address`` that UNLOAD's manifest names, each of the size that it says; none where it wrote no manifest,
        as it does for no row."""
        folder = address.removeprefix(f"s3://{self._bucket}/")
        found = []
        with self._errors(f"What Redshift unloaded to {self.address} could not be read", "read it"):
            for number, (key, size) in enumerate(self._unloaded(folder).items()):
                path = into / f"{number:06}.parquet"
                self._s3.download_file(self._bucket, key, str(path))
                if size is not None and path.stat().st_size != size:
                    raise WarehouseError(
                        f"What Redshift unloaded to {self.address} has changed since: a file has {path.stat().st_size:,} bytes instead of"
                        f" {size:,}. Find out who writes to `staging`, then run the backup again."
                    )
                found.append(path)
        return found

    def _unloaded(self, folder: str) -> dict[str, int | None]:
        """The keys of UNLOAD's files, and their sizes."""
        from botocore.exceptions import ClientError

        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=f"{folder}{MANIFEST}")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                return {}
            raise
        entries = json.loads(answer["Body"].read())["entries"]
        start = f"s3://{self._bucket}/"
        return {one["url"].removeprefix(start): one.get("meta", {}).get("content_length") for one in entries}

    def _send(self, staging: Staging, part: Path, number: int, sent: list[str]) -> str:
        key = self._key(staging, f"{number:04}.parquet")
        sent.append(key)
        self._s3.upload_file(str(part), self._bucket, key)
        return f"s3://{self._bucket}/{key}"

    def _key(self, staging: Staging, name: str) -> str:
        return self._joined(staging.identity, name)

    def _joined(self, folder: str, name: str) -> str:
        return f"{self._prefix}/{folder}/{name}" if self._prefix else f"{folder}/{name}"

    @property
    def _s3(self) -> Any:
        if self._client is None:
            self._client = self._make()
        return self._client

    @contextmanager
    def _errors(self, what: str = "", allowed: str = "write to it") -> Iterator[None]:
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError

        what = what or f"The batch could not be sent to {self.address}, the `staging` of the warehouse"
        try:
            yield
        except (ClientError, S3UploadFailedError) as error:
            refused = error if isinstance(error, ClientError) else error.__context__
            answer = refused.response if isinstance(refused, ClientError) else {}
            code = str(answer.get("Error", {}).get("Code", type(refused or error).__name__))
            status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if not answer or status >= 500 or code in ("SlowDown", "RequestTimeout", "ExpiredToken"):
                self._client = None
                raise Transient(f"{what}: S3 answered {code}. Run again.", session_lost=False) from None
            raise WarehouseError(
                f"{what}: S3 answered {code}. Check that the bucket is there and that the AWS credentials of this machine"
                f" may {allowed}."
            ) from None
        except BotoCoreError as error:
            self._client = None
            name = type(error).__name__
            if name in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
                raise WarehouseError(
                    f"{what}: there are no AWS credentials on this machine. Give it a role, or set AWS_ACCESS_KEY_ID and"
                    " AWS_SECRET_ACCESS_KEY."
                ) from None
            raise Transient(f"{what}: {name}. Run again.", session_lost=False) from None
