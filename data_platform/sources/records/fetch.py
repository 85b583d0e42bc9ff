"""One stream walked by one thread: its pages become steps of every table that it feeds.

A step ends when it holds much, or took long, so that a kill costs little. A stream whose tables are swapped whole has
one step. The steps lie on disk until they land; a pass ends early where too much would.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping

from data_platform.errors import DataPlatformError, SourceError
from data_platform.sources.records.feed import HasPages, Page, Wanted
from data_platform.sources.records.steps import Gathering, Step
from data_platform.tables import TableId

STEP_BYTES = 64 * 2**20
STEP_RECORDS = 250_000
STEP_SECONDS = 60.0
PASS_BYTES = 4 * 2**30
"""Of one stream's records in one pass; the next sync goes on. A pass whose state has not moved yet is not cut: the next one
would begin where it did."""
TO_BE_CONTINUED = "the source holds more: it is read on from here by the next sync"


class Fetch:
    """``run`` is the thread's; ``ready``, ``next`` and ``taken`` are asked by others."""

    def __init__(
        self,
        feed: HasPages,
        wanted: Wanted,
        gatherings: Mapping[TableId, Gathering],
        *,
        at_once: bool,
        resumes: bool = True,
    ) -> None:
        """Without ``resumes`` a step ends only at a page that says that a read can go on from it."""
        self._feed, self._wanted, self._at_once = feed, wanted, at_once
        self._resumes = resumes
        self._gatherings = dict(gatherings)
        self._steps: dict[TableId, deque[Step]] = {id_: deque() for id_ in gatherings}
        self._changed = threading.Condition()
        self._error: DataPlatformError | None = None
        self._ended = False
        self._own: dict[TableId, DataPlatformError] = {}

    def run(self) -> None:
        try:
            self._walk()
        except DataPlatformError as error:
            self._end(error)
        except Exception as error:  # a fault of ours: its text may hold what was read
            self._end(SourceError(f"The stream {self._wanted.stream} failed ({type(error).__name__})."))
            raise
        finally:
            self._end(None)

    def stop(self) -> None:
        """No further page is asked for."""
        self._end(SourceError("The read was interrupted."))

    def _walk(self) -> None:
        began = last = time.monotonic()
        size = records = total = 0
        cut = False
        try:
            for page in self._feed.pages(self._wanted):
                if self._ended:
                    return
                self._give(page)
                cut = not self._at_once and (self._resumes or page.resumable)
                size += sum(map(len, page.records))
                records += len(page.records)
                now = time.monotonic()
                much = size >= STEP_BYTES or records >= STEP_RECORDS or now - last >= STEP_SECONDS
                if not page.more:
                    self._end_step(now - began, more=False)
                    return
                if much and cut:
                    total += size
                    enough = total >= PASS_BYTES and page.state != (self._wanted.start or {})
                    self._end_step(now - began, more=not enough)
                    if enough:
                        return
                    began, last, size, records = now, now, 0, 0
        except DataPlatformError:
            if records and cut:  # what was read before the failure need not be read again
                self._end_step(time.monotonic() - began, more=True)
            raise

    def _give(self, page: Page) -> None:
        for id_, gathering in list(self._gatherings.items()):
            try:
                gathering.add(page)
            except DataPlatformError as error:  # this table's alone
                del self._gatherings[id_]
                with self._changed:
                    self._own[id_] = error
                    self._changed.notify_all()

    def _end_step(self, seconds: float, *, more: bool) -> None:
        for id_, gathering in self._gatherings.items():
            step = gathering.end_step()
            if step.more and not more:
                step.notes[TO_BE_CONTINUED] = None
            step.more, step.seconds = more, seconds
            with self._changed:
                self._steps[id_].append(step)
                self._changed.notify_all()

    def _end(self, error: DataPlatformError | None) -> None:
        with self._changed:
            if not self._ended:
                self._error = error
            self._ended = True
            self._changed.notify_all()

    def ready(self, table: TableId, seconds: float) -> bool:
        """Whether a step of the table is there, or none will come; at the latest after so many seconds."""
        with self._changed:
            return self._changed.wait_for(
                lambda: bool(self._steps[table]) or self._ended or table in self._own, seconds
            )

    def next(self, table: TableId) -> Step:
        """The table's next step; raises what kept it from being read."""
        with self._changed:
            if self._steps[table]:
                return self._steps[table][0]
            raise self._own.get(table) or self._error or SourceError(f"{table}: the read ended early.")

    def taken(self, table: TableId) -> None:
        with self._changed:
            self._steps[table].popleft()
