"""Puts the tables of one set of datasets in the place of those of another.

BigQuery renames no dataset and has no transaction over DDL. So each table is exchanged by itself, and what says that the
warehouse exists, the table of loaded batches, goes first and comes last.
"""

from __future__ import annotations

from data_platform.errors import WarehouseError
from data_platform.warehouses import PLATFORM_SCHEMA
from data_platform.warehouses.bigquery.grammar import STAGE_SCHEMA
from data_platform.warehouses.bigquery.session import BigQuerySession
from data_platform.warehouses.remote import records


def exchange(made: BigQuerySession, target: BigQuerySession) -> None:
    """After it ``target`` holds the tables of ``made``, all of them, and no raw table or record besides."""
    schemas = [one for one in made.schemas() if one != STAGE_SCHEMA]
    loaded = target.grammar.relation(PLATFORM_SCHEMA, records.LOADED)
    if target.made():
        target.run("begin to replace the warehouse", [f"DROP TABLE IF EXISTS {loaded}"])
    target.define([target.grammar.create_schema(schema) for schema in schemas])
    for schema in schemas:
        new = [name for name, kind in made.tables(schema) if kind == "TABLE"]
        gone = [name for name, kind in target.tables(schema) if kind == "TABLE" and name not in new]
        steps = [f"DROP TABLE IF EXISTS {target.grammar.relation(schema, name)}" for name in gone]
        steps += [_put(made, target, schema, name) for name in new if name != records.LOADED]
        if steps:
            target.run(f"put the tables of {schema} in their place", steps)
    for schema in _own(target):
        if schema not in (*schemas, STAGE_SCHEMA):
            target.drop_dataset(schema)
    target.run("put the records in their place", [_put(made, target, PLATFORM_SCHEMA, records.LOADED)])
    records.prepare(target, target.grammar)


def _put(made: BigQuerySession, target: BigQuerySession, schema: str, name: str) -> str:
    return target.grammar.put(made.grammar.relation(schema, name), target.grammar.relation(schema, name))


def drop_datasets(session: BigQuerySession, *, others: bool = False) -> None:
    """Those that loads make; with ``others`` all whose names begin so."""
    for schema in session.schemas() if others else _own(session):
        session.drop_dataset(schema)


def check_free(session: BigQuerySession) -> None:
    """``WarehouseError`` for datasets that nobody here may drop: somebody's, or left by a restore that was killed."""
    if there := session.schemas():
        names = ", ".join(session.grammar.dataset(one) for one in there[:5])
        raise WarehouseError(
            f"The new datasets would be made beside {names}, whose names begin in the same way. If a restore that was killed has left"
            " them, drop them and run it again; else choose another `dataset_prefix`."
        )


def _own(session: BigQuerySession) -> list[str]:
    """The datasets that loads make: whatever else begins with the prefix is somebody's."""
    return [one for one in session.schemas() if one.startswith(("raw_", PLATFORM_SCHEMA))]
