"""What a backup reads of BigQuery: an EXPORT DATA job to a bucket, or, without one, the answer of a query page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from data_platform.errors import WarehouseError

PAGE_ROWS = 10_000


def export_data(query: str, uri: str) -> str:
    """``uri`` has one ``*``, in whose place BigQuery numbers the files."""
    return f"EXPORT DATA OPTIONS (uri = '{uri}', format = 'PARQUET', compression = 'SNAPPY', overwrite = false) AS {query}"


class ExportFolder:
    """``address`` is ``gs://bucket/prefix``; ``client`` makes Google's client of Cloud Storage, when it is needed."""

    def __init__(self, address: str, client: Callable[[], Any]) -> None:
        bucket, _, prefix = address.removeprefix("gs://").partition("/")
        self.address, self._bucket, self._prefix = address.rstrip("/"), bucket, prefix.strip("/")
        self._client = client

    @contextmanager
    def exporting(self, identity: str) -> Iterator[str]:
        """The ``uri`` for ``export_data``. What lies there is gone at the end."""
        folder = "/".join(piece for piece in (self._prefix, f"export_{identity}") if piece)
        try:
            yield f"gs://{self._bucket}/{folder}/*.parquet"
        finally:
            with suppress(Exception):  # a lifecycle rule of the bucket takes what is left
                for blob in self._listed(folder, retry=None):
                    blob.delete(retry=None)

    def fetch(self, uri: str, into: Path) -> list[Path]:
        """The files of an export; the client compares each with the checksum that the bucket has of it."""
        folder = uri.removeprefix(f"gs://{self._bucket}/").rpartition("/")[0]
        found = []
        try:
            for number, blob in enumerate(self._listed(folder)):
                path = into / f"{number:06}.parquet"
                blob.download_to_filename(str(path), checksum="crc32c")
                found.append(path)
        except Exception as error:
            raise WarehouseError(
                f"What BigQuery exported to {self.address} could not be read ({type(error).__name__}). Check that the credentials of the"
                " warehouse may list, read and delete objects below `staging`, then run the backup again."
            ) from None
        return found

    def _listed(self, folder: str, **how: Any) -> Sequence[Any]:
        found = self._client().list_blobs(self._bucket, prefix=f"{folder}/", **how)
        return sorted(found, key=lambda blob: str(blob.name))


def written(rows: Any, path: Path) -> Path:
    """The pages of an answer (a ``RowIterator``) as one Parquet file."""
    import pyarrow.parquet as pq

    writer: Any = None
    try:
        for batch in rows.to_arrow_iterable():
            if writer is None:
                writer = pq.ParquetWriter(path, batch.schema, compression="snappy")
            writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()
    return path
