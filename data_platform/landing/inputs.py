"""Landed tables as the inputs of a computation: ``sources.inputs.Inputs`` over the ledger."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from data_platform.errors import DataPlatformError, PartDamaged, PartReplaced
from data_platform.landing import words
from data_platform.landing.chain import Chain
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import Part
from data_platform.landing.stored_parts import is_replaced, open_part
from data_platform.sources.inputs import Head, LandedBatch, LandedTable
from data_platform.stores import Store
from data_platform.tables import TableId

OUTBOXES = "_computed"
"""The folder of the landing store in which computations elsewhere leave what they wrote. No source has such a name."""


class StoredOutbox:
    """``Outbox``, under ``prefix``."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    @property
    def address(self) -> str:
        address = self._store.address(self._prefix)
        assert address is not None
        return address

    def files(self, folder: Path) -> list[Path]:
        found = []
        for n, key in enumerate(key for key in self._store.list(self._prefix) if key.endswith(".parquet")):
            path = folder / f"{n:05d}.parquet"
            with self._store.local(key) as fetched:
                shutil.copyfile(fetched, path)
            found.append(path)
        return found

    def clear(self) -> None:
        """What is left of a process that was killed stays, and can be deleted at any time."""
        with suppress(DataPlatformError):
            for key in self._store.list(self._prefix):
                self._store.delete(key)


class LedgerInputs:
    """``Inputs``. Nothing is read yet."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def head(self, table: TableId) -> Head | None:
        newest = self._chain.head(table)
        return None if newest is None else _head(newest)

    @contextmanager
    def landed(self, table: TableId, *, in_bucket: bool) -> Iterator[LandedTable]:
        batches = self._chain.until(table, None)
        last = batches[-1]
        with ExitStack() as stack:
            found = []
            for one in (one for one in batches if one.kind == "data"):
                files = [self._file(stack, one, part, in_bucket) for part in one.parts]
                found.append(
                    LandedBatch(
                        one.sequence,
                        one.load,
                        one.columns,
                        tuple(files),
                        one.rows,
                        one.slices,
                        one.deleted,
                        one.replaces,
                    )
                )
            yield LandedTable(table, _head(last), last.key, last.partition, last.timezone, tuple(found))

    def in_bucket(self) -> bool:
        return self._chain.store.address(OUTBOXES) is not None

    @contextmanager
    def outbox(self) -> Iterator[StoredOutbox]:
        box = StoredOutbox(self._chain.store, f"{OUTBOXES}/{uuid.uuid4().hex}")
        try:
            yield box
        finally:
            box.clear()

    def _file(self, stack: ExitStack, batch: Manifest, part: Part, in_bucket: bool) -> str:
        address = self._chain.store.address(part.key) if in_bucket else None
        if address is None:
            return str(stack.enter_context(open_part(self._chain, batch, part)))
        try:
            size = self._chain.store.size(part.key)
        except KeyError:
            if is_replaced(self._chain, batch.table, part):
                raise PartReplaced(words.replaced(batch, part)) from None
            raise PartDamaged(words.damaged(batch, part, "is missing")) from None
        if size != part.bytes:
            raise PartDamaged(words.damaged(batch, part, words.size_is(size, part)))
        return address


def _head(manifest: Manifest) -> Head:
    return Head(manifest.sequence, manifest.digest, manifest.snapshot.taken_at)
