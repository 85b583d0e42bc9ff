"""BigQuery as a world of ``worlds.py``: raw tables by load jobs, as a load stages them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import duckdb

from data_platform.sql import literal, quoted
from data_platform.warehouses.bigquery.staging import load_config
from data_platform_tests.dbt.engines.worlds import Answer, columns_in, raw_tables
from data_platform_tests.engines.bigquery.server import BigQueryServer


class InBigQuery:
    """The emulator, with one model at a time: it refuses the second of two transactions in any tables."""

    arguments = ("--threads", "1")

    def __init__(self, server: BigQueryServer, folder: Path) -> None:
        self._server, self._folder = server, folder
        self._config = server.config(folder)

    @property
    def variables(self) -> Mapping[str, str]:
        return self._config.dbt_variables(self._folder)

    def copy_raw(self, source: Path) -> None:
        grammar = self._config.grammar()
        with closing(self._config.session()) as session, duckdb.connect(str(source)) as duck:
            duck.execute("SET TimeZone = 'UTC'")
            tables = raw_tables(duck)
            session.define(
                [grammar.create_schema(schema) for schema in sorted({schema for schema, _ in tables})]
            )
            for schema, name in tables:
                table, part = f"{quoted(schema)}.{quoted(name)}", self._folder / "part.parquet"
                columns = columns_in(duck, table, "bigquery")
                listed = ", ".join(f"{grammar.quote(column)} {type_}" for column, type_ in columns.items())
                session.define([f"CREATE TABLE {grammar.relation(schema, name)} ({listed})"])
                # what is a text there is one in the file, too
                texts = ", ".join(
                    f"{quoted(one)}::VARCHAR AS {quoted(one)}"
                    for one, kind in columns.items()
                    if kind == "STRING"
                )
                shown = f"* REPLACE ({texts})" if texts else "*"
                duck.execute(f"COPY (SELECT {shown} FROM {table}) TO {literal(str(part))} (FORMAT parquet)")
                with part.open("rb") as file:
                    session._client.load_table_from_file(
                        file,
                        session._reference(schema, name),
                        job_config=load_config(tuple(columns.items()), {}),
                    ).result()

    def recreated(self, schema: str, name: str) -> None:
        """A raw table, as by a load that changes its shape."""
        grammar = self._config.grammar()
        table, other = grammar.relation(schema, name), grammar.relation(schema, f"{name}_other")
        with closing(self._config.session()) as session:
            session.define([f"CREATE TABLE {other} AS SELECT * FROM {table}", grammar.put(other, table)])

    def kind(self, mart: str) -> str:
        """TABLE, VIEW or MATERIALIZED_VIEW."""
        with closing(self._config.session()) as session:
            return str(dict(session.tables("marts"))[mart])

    def read(self, mart: str) -> Answer:
        with closing(self._config.session()) as session:
            found = session.ask(f"SELECT * FROM {session.grammar.relation('marts', mart)}")
            return found.columns, found.rows

    def close(self) -> None:
        self._server.emptied(self._folder)
