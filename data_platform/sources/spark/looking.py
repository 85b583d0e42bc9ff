"""``sources.looking.Looking`` over Spark jobs: whether an input has moved. No Spark is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from data_platform.errors import DataPlatformError
from data_platform.findings import Finding
from data_platform.sources.looking import Accept, Checked, LookAt, Looked
from data_platform.sources.reading import Described, Opening, SourceTable
from data_platform.sources.spark.config import connection_of
from data_platform.sources.spark.jobs import described, digest_of, file_of
from data_platform.sources.spark.process import Jobs
from data_platform.sources.spark.reading import heads_of, inputs_of, moved, position_of, snapshot_of
from data_platform.tables import Snapshot, TableId


@contextmanager
def open_looking(opening: Opening) -> Iterator[SparkLooking]:
    yield SparkLooking(opening)


class SparkLooking:
    """``Looking``."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._connection = connection_of(opening.connection)
        self._inputs = inputs_of(opening)

    def snapshot(self) -> Snapshot:
        return snapshot_of(())

    def look(self, looks: Sequence[LookAt], accept: Accept) -> Mapping[TableId, Looked | DataPlatformError]:
        found: dict[TableId, Looked | DataPlatformError] = {}
        for one in looks:
            try:
                found[one.table.id] = Looked(self._moved(one))
            except DataPlatformError as error:
                found[one.table.id] = error
        return found

    def _moved(self, one: LookAt) -> bool:
        digest = digest_of(file_of(self._connection, one.table), one.table)
        now = position_of(heads_of(self._inputs, one.table), digest)
        return one.prior.position is None or bool(moved(one.prior.position, now))

    def check(self, accept: Accept) -> Checked:
        """Spark is not started: what a job gives is known when it runs."""
        found = Checked()
        for table in self._opening.tables:
            try:
                accept(table, self._described(table))
            except DataPlatformError as error:
                found.mistakes.append(str(error))
        try:
            self._environment()
        except DataPlatformError as error:
            found.mistakes.append(str(error))
        return found

    def _described(self, table: SourceTable) -> Described:
        return described(table, self._connection.told(file_of(self._connection, table)))

    def _environment(self) -> str:
        """Where Spark runs, once its environment is known to be there."""
        connection, source = self._connection, self._opening.source
        remote = connection.remote(source, self._opening.environ)
        Jobs(source, connection.at(connection.environment), remote, connection.timeout_seconds)
        return "this machine" if remote.startswith("local") else "a Spark Connect server"

    def findings(self, head: str, accept: Accept, now: Callable[[], datetime]) -> Iterator[Finding]:
        try:
            yield Finding(f"{head}: Spark", "ok", f"Jobs run on {self._environment()}.")
        except DataPlatformError as error:
            yield Finding(f"{head}: Spark", "fail", str(error))
        for table in self._opening.tables:
            name = f"{head}: {table.id.table}"
            try:
                accept(table, self._described(table))
                heads_of(self._inputs, table)
                yield Finding(
                    name, "ok", f"Computed by {self._connection.told(file_of(self._connection, table))}."
                )
            except DataPlatformError as error:
                yield Finding(name, "fail", str(error))
