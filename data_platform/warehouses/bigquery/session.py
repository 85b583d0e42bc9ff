"""BigQuery over Google's client: jobs, questions, what tables there are. It decides nothing; ``remote/`` does.

A table is staged by one load job, from the landing bucket or by an upload. A transaction is one script, and so one
job. Tables are described by calls that cost nothing; only the list of all of them is a query.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data_platform.errors import WarehouseError
from data_platform.warehouses import PLATFORM_SCHEMA, QueryResult, Relation
from data_platform.warehouses.bigquery import types
from data_platform.warehouses.bigquery.errors import OVERTAKEN
from data_platform.warehouses.bigquery.grammar import SNAPSHOT_SCHEMA, STAGE_SCHEMA, BigQueryGrammar
from data_platform.warehouses.bigquery.jobs import Jobs
from data_platform.warehouses.bigquery.staging import load_config, one_file
from data_platform.warehouses.bigquery.unloading import PAGE_ROWS, ExportFolder, export_data, written
from data_platform.warehouses.remote.engine import RelationMissing, Staging, Transaction, Transient
from data_platform.warehouses.remote.records import LOADED

_STANDARD = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCK_PREFIX = "lock_"
SENT_AT_ONCE = 5_000_000
LABELS = {"made-by": "data-platform"}


class BigQuerySession:
    """A ``remote.engine.Session`` of the datasets that ``grammar`` names, by the jobs of ``open_jobs``."""

    def __init__(
        self,
        open_jobs: Callable[[], Jobs],
        grammar: BigQueryGrammar,
        maximum_bytes_billed: int | None = None,
        exports: ExportFolder | None = None,
    ) -> None:
        self._open_jobs, self.grammar, self._billed = open_jobs, grammar, maximum_bytes_billed
        self._exports = exports
        self._opened: Jobs | None = None

    @property
    def _jobs(self) -> Jobs:
        if self._opened is None:
            self._opened = self._open_jobs()
        return self._opened

    @property
    def _client(self) -> Any:
        return self._jobs.client

    # -- questions

    def ask(self, question: str, limit: int | None = None, parameters: Sequence[Any] = ()) -> QueryResult:
        from google.cloud import bigquery

        config = self._question()
        config.query_parameters = [
            bigquery.ScalarQueryParameter(None, types.of_value(one), one) for one in parameters
        ]

        def request() -> QueryResult:
            found = self._client.query_and_wait(
                question,
                job_config=config,
                location=self._jobs.location,
                api_timeout=self._jobs.seconds,
                retry=None,
                job_retry=None,
                max_results=limit,
            )
            rows = [tuple(row.values()) for row in found]
            return QueryResult(
                tuple(field.name for field in found.schema), tuple(map(_spelled, found.schema)), rows
            )

        return self._jobs.call("answer a question", request, question=True)

    def _question(self) -> Any:
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(labels=LABELS)
        if self._billed is not None:
            config.maximum_bytes_billed = self._billed
        return config

    def columns(self, schema: str, name: str) -> Mapping[str, str]:
        table = self._table(schema, name)
        return {field.name: _spelled(field) for field in table.schema} if table is not None else {}

    def fits(self, schema: str, name: str, partition: str | None, cluster: Sequence[str]) -> bool:
        table = self._table(schema, name)
        if table is None:
            return True
        days = table.time_partitioning
        unit = days.type_.lower() if days is not None else None
        wanted = self.grammar.unit if partition is not None else None
        same = (days.field if days is not None else None) == partition and unit == wanted
        return same and list(table.clustering_fields or []) == list(cluster)

    def _table(self, schema: str, name: str) -> Any | None:
        def request() -> Any:
            return self._client.get_table(
                self._reference(schema, name), retry=None, timeout=self._jobs.seconds
            )

        try:
            return self._jobs.call(f"describe {schema}.{name}", request)
        except RelationMissing:
            return None

    def _reference(self, schema: str, name: str) -> Any:
        from google.cloud import bigquery

        return bigquery.DatasetReference(self._project, self.grammar.dataset(schema)).table(name)

    @property
    def _project(self) -> str:
        return self.grammar.project or str(self._client.project)

    def made(self) -> bool:
        """Whether there is a warehouse: a table that says what is loaded."""
        return self._table(PLATFORM_SCHEMA, LOADED) is not None

    def describe(self, schema: str | None = None, name: str | None = None) -> list[Relation]:
        if schema is not None and name is not None:
            table = self._table(schema, name)
            return [] if table is None else [_relation(schema, table)]
        schemas = [schema] if schema is not None else [one for one in self.schemas() if one != STAGE_SCHEMA]
        hidden = [one for one in schemas if self.grammar.dataset(one).startswith("_")]
        listed = [one for one in schemas if one not in hidden]
        found = [relation for one in hidden for relation in self._listed(one, name)]
        if listed:
            found += self._asked(listed, name)
        return sorted(found, key=lambda one: (one.schema, one.name))

    def schemas(self) -> list[str]:
        """All datasets with the prefix, which is cut off; of those that are hidden, the platform's own alone."""
        prefix, location = self.grammar.prefix, (self._jobs.location or "").lower()

        def request() -> list[str]:
            found = self._client.list_datasets(
                self._project, include_all=True, retry=None, timeout=self._jobs.seconds
            )
            return [
                one.dataset_id
                for one in found
                if location in ("", str(one._properties.get("location", location)).lower())
            ]

        names = self._jobs.call("list the datasets", request)
        mine = [one for one in names if one.startswith(prefix) and not one.endswith(SNAPSHOT_SCHEMA)]
        own = sorted(one.removeprefix(prefix) for one in mine)
        return [one for one in own if not one.startswith("_") or one in (PLATFORM_SCHEMA, STAGE_SCHEMA)]

    def _listed(self, schema: str, name: str | None) -> list[Relation]:
        """Of a dataset whose name begins with an underscore, which INFORMATION_SCHEMA leaves out: table by table."""
        wanted = [
            one for one, _ in self.tables(schema) if name in (None, one) and not one.startswith(LOCK_PREFIX)
        ]
        tables = [self._table(schema, one) for one in wanted]
        return [_relation(schema, table) for table in tables if table is not None]

    def tables(self, schema: str) -> list[tuple[str, str]]:
        """The name and the kind (TABLE, VIEW) of all in a dataset, stages and locks too; none where there is no dataset."""

        def request() -> list[tuple[str, str]]:
            listed = self._client.list_tables(self._dataset(schema), retry=None, timeout=self._jobs.seconds)
            return [(one.table_id, one.table_type) for one in listed]

        try:
            return self._jobs.call(f"list the tables of {schema}", request)
        except RelationMissing:
            return []

    def drop_dataset(self, schema: str) -> None:
        """With all that is in it."""
        self._jobs.call(
            f"drop the dataset {self.grammar.dataset(schema)}",
            lambda: self._client.delete_dataset(
                self._dataset(schema),
                delete_contents=True,
                not_found_ok=True,
                retry=None,
                timeout=self._jobs.seconds,
            ),
        )

    def _dataset(self, schema: str) -> str:
        return f"{self._project}.{self.grammar.dataset(schema)}"

    def _asked(self, schemas: Sequence[str], name: str | None) -> list[Relation]:
        literal = self.grammar.literal
        named = f" WHERE c.table_name = {literal(name)}" if name is not None else ""
        questions = [
            f"SELECT {literal(one)} AS s, c.table_name, t.table_type, c.column_name, c.data_type, c.ordinal_position AS n"
            f" FROM {self.grammar.schema(one)}.INFORMATION_SCHEMA.COLUMNS c"
            f" JOIN {self.grammar.schema(one)}.INFORMATION_SCHEMA.TABLES t ON c.table_name = t.table_name{named}"
            for one in schemas
        ]
        try:
            rows = self.ask(f"{' UNION ALL '.join(questions)} ORDER BY s, 2, n").rows
        except RelationMissing:
            return []
        found: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
        for schema, table, kind, column, type_, _ in rows:
            if schema == PLATFORM_SCHEMA and table.startswith(LOCK_PREFIX):
                continue
            found.setdefault((schema, table, kind), []).append((column, type_))
        return [
            Relation(schema, table, "view" if "VIEW" in kind else "table", tuple(columns))
            for (schema, table, kind), columns in found.items()
        ]

    # -- backups

    @contextmanager
    def snapshot(self) -> Iterator[str]:
        """BigQuery keeps its past for a week: every table is read as of one instant of its own clock."""
        ((micros,),) = self.ask("SELECT UNIX_MICROS(CURRENT_TIMESTAMP())").rows
        yield (EPOCH + timedelta(microseconds=int(micros))).isoformat(timespec="microseconds")

    def filtered(self, schema: str, name: str) -> str | None:
        """The column without a condition on which BigQuery reads nothing of the table."""
        table = self._table(schema, name)
        if table is None or not table.require_partition_filter:
            return None
        days, numbers = table.time_partitioning, table.range_partitioning
        return str((days or numbers).field or "_PARTITIONTIME")

    def unloaded(self, query: str, folder: Path) -> list[Path]:
        if self._exports is None:
            return [self._jobs.call("read a table for a backup", lambda: self._read(query, folder))]
        with self._exports.exporting(uuid.uuid4().hex) as uri:
            self._script(
                f"export_{uuid.uuid4().hex}", "export a table for a backup", [export_data(query, uri)]
            )
            return self._exports.fetch(uri, folder)

    def _read(self, query: str, folder: Path) -> Path:
        found = self._client.query_and_wait(
            query,
            job_config=self._question(),
            location=self._jobs.location,
            api_timeout=self._jobs.seconds,
            retry=None,
            job_retry=None,
            page_size=PAGE_ROWS,
        )
        return written(found, folder / "answer.parquet")

    # -- changes

    def define(self, statements: Sequence[str]) -> None:
        """All of them in one script: each says IF NOT EXISTS, or may be done again."""
        self._script(f"ddl_{uuid.uuid4().hex}", "make what a table needs", list(statements))

    def commit(self, transaction: Transaction) -> None:
        guard = _guarded(transaction.guard) if transaction.guard else []
        lines = [*transaction.lock, *guard, *transaction.statements]
        if len(lines) > 1:
            lines = ["BEGIN TRANSACTION", *lines, "COMMIT TRANSACTION"]
        self._script(f"load_{transaction.identity}", "commit a load", lines)

    def replace(self, guard: str, statements: Sequence[str]) -> None:
        name = f"replace_{uuid.uuid4().hex}"
        if len(statements) > 1:
            self._script(f"{name}_make", "make a table anew", statements[:-1])
        try:
            self._script(f"{name}_swap", "put a table in its place", [*_guarded(guard), statements[-1]])
        except RelationMissing:  # a later turn has dropped what this attempt made
            raise Transient("Another load of the table was in the way.", session_lost=False) from None

    def run(self, doing: str, statements: Sequence[str]) -> None:
        """Statements that may be done again, as one script."""
        self._script(f"run_{uuid.uuid4().hex}", doing, statements)

    def _script(self, name: str, doing: str, lines: Sequence[str]) -> None:
        config = self._question()
        text = "".join(f"{line};\n" for line in lines)

        def begin(job_id: str) -> Any:
            return self._client.query(
                text,
                job_config=config,
                job_id=job_id,
                location=self._jobs.location,
                retry=None,
                job_retry=None,
                timeout=self._jobs.seconds,
            )

        self._jobs.run(f"data_platform_{name}", doing, begin)

    # -- the stage

    @contextmanager
    def staged(self, staging: Staging) -> Iterator[str]:
        if not staging.parts:
            yield self._nothing(staging)
            return
        name = f"stage_{staging.identity}"
        try:
            self._load(name, staging)
            yield self.grammar.relation(STAGE_SCHEMA, name)
        finally:
            with suppress(WarehouseError):  # it expires by itself
                self._jobs.call(f"drop {name}", lambda: self._drop(name))

    def _nothing(self, staging: Staging) -> str:
        columns = ", ".join(
            f"CAST(NULL AS {types.in_cast(kind)}) AS {self.grammar.quote(name)}"
            for name, kind in staging.columns
        )
        return f"(SELECT {columns} LIMIT 0)"

    def _drop(self, name: str) -> None:
        self._client.delete_table(
            self._reference(STAGE_SCHEMA, name), retry=None, timeout=self._jobs.seconds, not_found_ok=True
        )

    def _load(self, name: str, staging: Staging) -> None:
        try:
            self._load_once(name, name, staging)
        except RelationMissing:  # the first load of a warehouse: there is no dataset for stages yet
            self.define([self.grammar.create_schema(STAGE_SCHEMA)])
            self._load_once(name, f"{name}_again", staging)

    def _load_once(self, table: str, job: str, staging: Staging) -> None:
        config = load_config(staging.columns, LABELS)
        destination = self._reference(STAGE_SCHEMA, table)
        named: dict[str, Any] = {"job_config": config, "location": self._jobs.location}
        doing = f"load {len(staging.parts)} files into a stage"
        if staging.addresses and all(one.startswith("gs://") for one in staging.addresses):

            def begin(job_id: str) -> Any:
                return self._client.load_table_from_uri(
                    list(staging.addresses),
                    destination,
                    job_id=job_id,
                    retry=None,
                    timeout=self._jobs.seconds,
                    **named,
                )

            self._jobs.run(f"data_platform_{job}", doing, begin)
            return
        with one_file(staging.parts) as path:
            size = path.stat().st_size

            def upload(job_id: str) -> Any:
                with path.open("rb") as file:
                    return self._client.load_table_from_file(
                        file,
                        destination,
                        job_id=job_id,
                        size=size,
                        timeout=self._jobs.seconds,
                        num_retries=4
                        if size > SENT_AT_ONCE
                        else 0,  # of a piece; else all of it is sent again
                        **named,
                    )

            self._jobs.run(f"data_platform_{job}", doing, upload)

    def close(self) -> None:
        if self._opened is not None:
            with suppress(Exception):
                self._opened.client.close()
            self._opened = None


def _guarded(guard: str) -> list[str]:
    return [f"IF NOT ({guard}) THEN RAISE USING MESSAGE = '{OVERTAKEN}'; END IF"]


def _spelled(field: Any) -> str:
    """A field's type as DDL and INFORMATION_SCHEMA have it."""
    kind = _STANDARD.get(field.field_type, str(field.field_type))
    if field.precision:
        kind += f"({field.precision}{f', {field.scale}' if field.scale else ''})"
    return f"ARRAY<{kind}>" if field.mode == "REPEATED" else kind


def _relation(schema: str, table: Any) -> Relation:
    columns = tuple((field.name, _spelled(field)) for field in table.schema)
    return Relation(schema, table.table_id, "view" if "VIEW" in table.table_type else "table", columns)
