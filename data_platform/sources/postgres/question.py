"""What is asked of a standby's one reader, which alone has the snapshot that rows are read under."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from data_platform.errors import SourceUnreachable
from data_platform.sources.postgres.read_errors import Asked, of_the_engine
from data_platform.sources.postgres.types import literal

if TYPE_CHECKING:
    import duckdb

GONE = "The reader's snapshot of the source ended with a statement that failed. Run the sync again."


class Question:
    """A statement for a reader, and its answer once that one comes to it."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.answer: Future[list[tuple[Any, ...]]] = Future()

    def put_to(
        self, engine: duckdb.DuckDBPyConnection | None, failure: Exception | None, asked: Asked, memory: str
    ) -> Exception | None:
        """Answer; what keeps the reader from answering any other question, where this one failed."""
        if failure or engine is None:
            self.answer.set_exception(failure or SourceUnreachable(GONE))
            return None
        began = time.monotonic()
        try:
            query = f"SELECT * FROM postgres_query('source', {literal(self._server)})"
            self.answer.set_result(engine.execute(query).fetchall())
        except Exception as error:
            what = "Asking the source"
            told = of_the_engine(error, what, memory)
            self.answer.set_exception(
                told or asked.why(error, self._server, what, time.monotonic() - began).error
            )
            return SourceUnreachable(GONE)
        return None
