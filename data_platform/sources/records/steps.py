"""One table's records of a stream on disk: chunks, gathered into steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_platform.sources.reading import SourceTable
from data_platform.sources.records.decode import ORDER, ORIGIN, Batch, Form, make_chunk
from data_platform.sources.records.feed import Page, State
from data_platform.sources.records.keys import GONE, INDEX, RECORD, RecordSettings, settings_of
from data_platform.sources.records.parent import elements, key_values
from data_platform.sources.records.paths import Paths
from data_platform.sources.records.types import Values
from data_platform.sources.rejected import Rejected, RejectedFile

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_RECORDS = 10_000
CHUNK_BYTES = 24 * 2**20


@dataclass(frozen=True)
class Spooled:
    """A chunk in its file, which is Parquet. ``columns`` has its column for each field and form: a column of the name holds
    the same in every chunk of a table, so that all of them are one list of files."""

    path: Path
    rows: int
    columns: Mapping[tuple[str, Form], str]


@dataclass
class Step:
    """What came of one table up to ``state``."""

    rejected: RejectedFile
    chunks: list[Spooled] = field(default_factory=list)
    values: dict[str, Values] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)
    notes: dict[str, None] = field(default_factory=dict)
    state: State = field(default_factory=dict)
    text: str = ""
    more: bool = False
    resumable: bool = False
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        return sum(chunk.rows for chunk in self.chunks)


class Gathering:
    """Takes the pages of a table's stream and makes its steps. Used by one thread."""

    def __init__(self, table: SourceTable, types: Mapping[str, str], folder: Path) -> None:
        self.table = table
        self._settings: RecordSettings = settings_of(table)
        self._types, self._folder = types, folder
        self._batch = Batch()
        self._files = self._order = self._steps = 0
        self._columns: dict[tuple[str, Form], str] = {}
        self._step = self._next_step()

    def _next_step(self) -> Step:
        self._steps += 1
        return Step(RejectedFile(self._folder / f"{self._steps}.rejected.parquet"))

    def add(self, page: Page) -> None:
        if self._settings.parent is None:
            count = len(page.records)
            gone = [n in page.gone for n in range(count)] if page.gone else [False] * count
            self._batch.add(page.records, page.origin, self._orders(count), gone)
        else:
            self._add_children(page)
        for record in page.rejected:
            self._step.rejected.add(record)
        self._step.notes |= dict.fromkeys(page.notes)
        self._step.state, self._step.text, self._step.more = page.state, page.text, page.more
        self._step.resumable = page.resumable
        self._spool_much()

    def put(
        self, records: Sequence[bytes], origins: Sequence[str], beside: Mapping[str, Sequence[Any]]
    ) -> None:
        """Records that are rows as they are, each with its own origin and with values ``beside`` it that are fields."""
        self._batch.add(records, origins, self._orders(len(records)), [False] * len(records))
        for name, values in beside.items():
            self._batch.beside.setdefault(name, []).extend(values)
        self._spool_much()

    def reject(self, record: Rejected) -> None:
        self._step.rejected.add(record)

    def _spool_much(self) -> None:
        if len(self._batch) >= CHUNK_RECORDS or self._batch.size >= CHUNK_BYTES:
            self._spool()

    def _add_children(self, page: Page) -> None:
        """The elements of each record's array; a record without any leaves a mark that its children are gone."""
        settings, batch = self._settings, self._batch
        for n, record in enumerate(page.records):
            key = key_values(self.table, record, settings.parent_key, page.origin)
            inside = [] if n in page.gone else elements(self.table, record, settings.path, page.origin)
            count = len(inside) or 1
            batch.add(inside or [b"{}"], page.origin, [*self._orders(1)] * count, [not inside] * count)
            for name, value in zip(settings.parent_columns, key, strict=True):
                batch.beside.setdefault(name, []).extend([value] * count)
            batch.beside.setdefault(INDEX, []).extend(range(count) if inside else [None])

    def _orders(self, count: int) -> range:
        self._order += count
        return range(self._order - count, self._order)

    def _spool(self) -> None:
        if not len(self._batch):
            return
        chunk, rejected = make_chunk(self._batch, self._settings, self._types, self._step.paths)
        self._batch = Batch()
        for record in rejected:
            self._step.rejected.add(record)
        if chunk is None:
            return
        for name, seen in chunk.values.items():
            self._step.values[name] = self._step.values.get(name, Values.NONE) | seen
        path = self._folder / f"{self._files}.chunk"
        self._files += 1
        columns = {
            field: self._columns.setdefault(field, f"c{len(self._columns)}") for field in chunk.forms.items()
        }
        _write(chunk.table, columns.values(), path)
        self._step.chunks.append(Spooled(path, chunk.table.num_rows, columns))

    def end_step(self) -> Step:
        """What was gathered since the last one."""
        self._spool()
        done, self._step = self._step, self._next_step()
        return done


def _write(table: pa.Table, columns: Iterable[str], path: Path) -> None:
    """``columns`` are the names of its fields' columns, which are the first ones."""
    import pyarrow.parquet as pq

    named = [*columns, RECORD, GONE, ORIGIN, ORDER]
    pq.write_table(
        table.rename_columns(named),
        path,
        compression="lz4",
        use_dictionary=[ORIGIN],
        write_statistics=False,
        store_schema=False,
    )
