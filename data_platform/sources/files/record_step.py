"""Some files of JSON to parts: each record is a row, or each element of an array in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.errors import SourceError
from data_platform.sources.files.columns import MARK
from data_platform.sources.files.config import DATE, FILE, GONE, OWN, ROW, settings_of
from data_platform.sources.files.csv import REJECTS_MAX
from data_platform.sources.files.documents import Some, documents
from data_platform.sources.files.known import Listed
from data_platform.sources.files.malformed import SHARE
from data_platform.sources.files.marks import mark, without_rows
from data_platform.sources.files.step import Written
from data_platform.sources.reading import Described, LandedColumns, SourceTable
from data_platform.sources.records.fields import UNSEEN, clear_columns, names_of, with_needed, words_of
from data_platform.sources.records.keys import INDEX, RECORD
from data_platform.sources.records.parent import elements
from data_platform.sources.records.steps import Gathering
from data_platform.sources.records.steps import Step as Gathered
from data_platform.sources.records.types import Values
from data_platform.sources.records.write import Writer
from data_platform.sources.rejected import Rejected, RejectedFile

if TYPE_CHECKING:
    from data_platform.sources.files.config import FileSettings

CHUNKS_OF_A_PART = 25


class RecordStep:
    """``FileStep`` of a table whose rows are documents. ``landed`` are the words of the fields that landed, which do not
    bind a table that is read whole (``afresh``)."""

    def __init__(
        self, table: SourceTable, url: str, folder: Path, landed: Mapping[str, str], *, afresh: bool
    ) -> None:
        self._table, self._settings, self._url = table, settings_of(table), url
        self._landed, self._afresh = landed, afresh
        self._gathering = Gathering(table, declared(self._settings), folder)
        self._gathered: Gathered | None = None
        self.listed: list[Listed] = []

    def add(self, listed: Listed, path: Path, *, sample: bool = False) -> None:
        """The records of a file, whose bytes are at ``path``; the first ones alone for a ``sample``."""
        self.listed.append(listed)
        row = 1
        for some in documents(path, listed.path, self._settings):
            if self._settings.parent is None:
                rows = range(row, row + len(some.records))
                self._gathering.put(some.records, some.origins, self._beside(listed.path, rows))
            else:
                self._add_elements(listed.path, row, some)
            row += len(some.records)
            if sample:
                break

    def _add_elements(self, file: str, first: int, some: Some) -> None:
        records: list[bytes] = []
        origins, rows, index = list[str](), list[int](), list[int]()
        for n, (record, origin) in enumerate(zip(some.records, some.origins, strict=True)):
            try:
                inside = elements(self._table, record, self._settings.path, origin)
            except SourceError:
                reason = f"{'.'.join(self._settings.path)} is no array, or the record no JSON object"
                self._gathering.reject(Rejected(reason, origin, record))
                continue
            records += inside
            origins += [origin] * len(inside)
            rows += [first + n] * len(inside)
            index += range(len(inside))
        if records:
            self._gathering.put(records, origins, {**self._beside(file, rows), INDEX: index})

    def _beside(self, file: str, rows: Sequence[int]) -> dict[str, Sequence[object]]:
        day = self._settings.pattern.day(file)
        dated = {DATE: [day.isoformat()] * len(rows)} if day else {}
        return {FILE: [file] * len(rows), ROW: rows, **dated}

    @property
    def words(self) -> dict[str, str]:
        """The word of each field, by what was added. Of records that were all rejected the columns beside them are known."""
        rejected = bool(self._step.rejected.files)
        return words_now(self._table, self._landed, self._step.values, afresh=self._afresh, rejected=rejected)

    @property
    def _step(self) -> Gathered:
        if self._gathered is None:
            self._gathered = self._gathering.end_step()
        return self._gathered

    def described(self) -> Described:
        paths = self._step.paths.found(self._settings.read_of(self._table.only))
        return described(self._table, self._url, self.words, paths)

    def write(
        self,
        folder: Path,
        name: str,
        now: Described,
        landed: LandedColumns,
        *,
        gone: Sequence[str],
        marks: bool,
    ) -> Written:
        """Parts in ``folder``."""
        step, words, written = self._step, self.words, Written()
        step.rejected.close()
        written.rejected = list(step.rejected.files)
        one_key = FILE in self._table.key
        many = CHUNKS_OF_A_PART if one_key else len(step.chunks) or 1
        for n in range(0, len(step.chunks), many):
            rejected = RejectedFile(folder / f"{name}-{n}-rejected.parquet")
            some = Gathered(rejected, step.chunks[n : n + many])
            writer = Writer(
                self._table,
                self._settings,
                words,
                list(declared(self._settings)),
                landed,
                unique=one_key,
            )
            made = writer.write(some, folder / f"{name}-{n}.parquet")
            written.files += made.files
            written.rejected += made.rejected
            for chunk in some.chunks:
                chunk.path.unlink()
        self._refuse_too_many(step.rows, written.rejected)
        if marks:
            files = [one.path for one in self.listed]
            empty = without_rows([path for path, _ in written.files], files)
            written.files += mark(folder / f"{name}-gone.parquet", [*empty, *gone], now, landed)
        return written

    def _refuse_too_many(self, rows: int, rejected: Sequence[tuple[Path, int]]) -> None:
        """SourceError where most of a file cannot be taken: it is written in another way."""
        if not rejected:
            return
        import pyarrow.parquet as pq

        count: Counter[str] = Counter()
        reasons: dict[str, tuple[str, str]] = {}
        for path, _ in rejected:
            for batch in pq.ParquetFile(path).iter_batches(columns=["origin", "reason"]):
                for origin, reason in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    file = origin.rpartition(", ")[0]
                    count[file] += 1
                    reasons.setdefault(file, (origin, reason))
        for file, found in count.items():
            origin, reason = reasons[file]
            other = reason.startswith("it is no JSON") and found > 1 and found * SHARE > rows + found
            if found >= REJECTS_MAX or other:
                raise SourceError(
                    f"{self._table.id}: {found:,} records of {file} cannot be taken, the first of them {origin.rpartition(', ')[2]}:"
                    f" {reason}. Correct `format` (`ndjson` is a document a line, `json` one array), `types` or `path` of the"
                    " table. Nothing of this step landed."
                )


def words_now(
    table: SourceTable,
    landed: Mapping[str, str],
    values: Mapping[str, Values],
    *,
    afresh: bool,
    rejected: bool = False,
) -> dict[str, str]:
    """The word of each column with what ``landed`` and the ``values`` that came; none before the first record, which may be a
    ``rejected`` one."""
    settings = settings_of(table)
    beside = (*OWN, INDEX, RECORD)
    known = {name: word for name, word in landed.items() if name not in beside}
    seen = {name: value for name, value in values.items() if name not in beside}
    words = words_of(table, settings.types, known, seen, afresh=afresh)
    return with_needed(table, settings, {**words, **own_words(settings)}) if words or rejected else {}


def declared(settings: FileSettings) -> dict[str, str]:
    """The words that need not be found."""
    return {**settings.types, **own_words(settings)}


def own_words(settings: FileSettings) -> dict[str, str]:
    index = {INDEX: "bigint"} if settings.parent else {}
    return {FILE: "text", ROW: "bigint", **index, **({DATE: "date"} if settings.pattern.dated else {})}


def described(
    table: SourceTable, url: str, words: Mapping[str, str], paths: Mapping[str, str | None]
) -> Described:
    """The table with the fields of ``words``; none before the first record is known."""
    settings = settings_of(table)
    own = own_words(settings)
    columns = clear_columns(table, settings, words)
    return Described(
        name=table.id.table,
        place=settings.pattern.text,
        changes="none" if UNSEEN in words.values() else "log",
        columns=tuple(c._replace(nullable=c.name not in own or c.name == DATE) for c in columns),
        column_names=tuple(dict.fromkeys((*names_of(table, settings, words), *own))),
        identity={"place": url, "read_as": settings.read_as},
        own=(MARK,),
        deleted=GONE,
        replaces=(FILE,),
        from_rows=True,
        enforced_keys=(frozenset((FILE, ROW, *([INDEX] if settings.parent else []))),),
        paths=paths,
    )
