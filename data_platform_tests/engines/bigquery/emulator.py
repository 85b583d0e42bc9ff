"""Run by the Python of ``.engines/bigquery``: local-bigquery on a port of loopback, with what it lacks of the service.

It forgets the digits of a NUMERIC in ALTER TABLE and leaves them out of INFORMATION_SCHEMA, forgets how a cloned table is
partitioned, the options of a materialized view and the table that a query made, knows no instant and no options of a table
snapshot, and fails on an option that is NULL and on
bytes in Parquet. It divides decimals as floating-point numbers in DIV, and says of two transactions that meet what its own
engine says. Here it does as the service.

It takes five things that the service refuses; here it refuses them too: digits that a type does not have, DELETE with USING,
permanent DDL in a transaction, a query that may not be billed the least there is to bill, and the refresh of a materialized
view whose table was recreated.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlglot
import uvicorn
from local_bigquery import app, errors
from local_bigquery.catalog import ddl, names, tables
from local_bigquery.engine import database, types
from local_bigquery.engine.database import quote
from local_bigquery.errors import STATUSES, BigQueryError
from local_bigquery.jobs import load, query, runner
from local_bigquery.settings import settings
from local_bigquery.sql import rules
from local_bigquery.sql.dialect import BigQueryDialect
from local_bigquery.sql.rules import ddl as statements
from local_bigquery.sql.rules import information_schema
from local_bigquery.sql.rules import math as arithmetic
from sqlglot import exp

_SNAPSHOT = re.compile(
    r"CREATE SNAPSHOT TABLE (IF NOT EXISTS \S+) CLONE (\S+ FOR SYSTEM_TIME AS OF .+?) (OPTIONS \(.+\))\s*",
    re.DOTALL,
)
LEAST_BILLED = 10 * 1024 * 1024
_DIGITS = {
    exp.DataType.Type.DECIMAL: ("NUMERIC", 29, 9),
    exp.DataType.Type.BIGDECIMAL: ("BIGNUMERIC", 38, 38),
}
"""Of each decimal type the most digits before and after the point."""

_alteration, _bigquery_type = ddl._alteration, types.bigquery_type
_definition, _options, _projection = ddl._definition, ddl.options, load._projection
_statement, _execute, _submit = query._statement, query._execute, runner.submit
_normalise = statements.normalise
_from_duckdb, _division, _refreshed = errors.from_duckdb, arithmetic.division, tables.refreshed


def alteration(stored: Any, action: Any, reference: Any, evaluate: Any) -> Any:
    added = isinstance(action, exp.ColumnDef)
    kind = (
        action.args.get("kind" if added else "dtype")
        if isinstance(action, exp.ColumnDef | exp.AlterColumn)
        else None
    )
    if kind is None:
        return _alteration(stored, action, reference, evaluate)
    fields = [
        field.replace(**{"precision": None, "scale": None, **ddl._parameters(kind)})
        if field.name.casefold() == action.name.casefold()
        else field
        for field in stored.schema_.fields
    ]
    return {"schema": {"fields": fields}}


def definition(tree: exp.Create, project: str, dataset: str) -> Any:
    made = _definition(tree, project, dataset)
    if "materializedView" in made:
        refreshes = [p for p in tree.find_all(exp.Property) if p.name.lower() == "enable_refresh"]
        by_itself = not any(
            isinstance(p.args["value"], exp.Boolean) and not p.args["value"].this for p in refreshes
        )
        made["materializedView"] |= {"enableRefresh": by_itself, "refreshIntervalMs": "1800000"}
    if "cloneDefinition" in made:
        base = tables.load(*names.reference(tree.args["clone"].this, project, dataset))
        kept = base.only("timePartitioning", "clustering", "requirePartitionFilter", "schema").dump()
        made = {**kept, **made}
    return made


def options(node: exp.Expression | None, mapping: dict[str, Any], evaluate: Any) -> dict[str, Any]:
    if node is None:
        return {}
    null = [one for one in node.find_all(exp.Property) if isinstance(one.args.get("value"), exp.Null)]
    taken_back = {mapping[one.name.lower()].key: None for one in null}
    for one in null:
        one.pop()
    return {**_options(node, mapping, evaluate), **taken_back}


def projection(config: Any, fields: list[Any], columns: list[str]) -> tuple[str, str]:
    if config.sourceFormat != "PARQUET" or not fields:
        return _projection(config, fields, columns)
    casts = [
        f"CAST({quote(field.name)} AS {types.duckdb_type(field)}) AS {quote(field.name)}" for field in fields
    ]
    return ", ".join(casts), "false"


def described(field: Any, quoted: bool = True) -> str:
    kind = _bigquery_type(field, quoted)
    if field.precision and kind in ("NUMERIC", "BIGNUMERIC"):
        return f"{kind}({field.precision}{f', {field.scale}' if field.scale else ''})"
    return str(kind)


def normalise(tree: exp.Expression) -> exp.Expression:
    found = (
        _SNAPSHOT.fullmatch(tree.sql(dialect=BigQueryDialect).strip())
        if isinstance(tree, exp.Command)
        else None
    )
    if found is None:
        return _normalise(tree)
    made = sqlglot.parse_one(f"CREATE TABLE {found[1]} {found[3]}", dialect=BigQueryDialect)
    source = sqlglot.parse_one(f"SELECT * FROM {found[2]}", dialect=BigQueryDialect).find(exp.Table)
    made.set("clone", exp.Clone(this=source))
    made.meta["snapshot"] = True
    return made


def statement(cursor: Any, tree: exp.Expression, *rest: Any) -> Any:
    if isinstance(tree, exp.Delete) and tree.args.get("using"):
        raise BigQueryError("invalidQuery", 'Syntax error: Expected end of input but got keyword "USING"')
    for kind in tree.find_all(exp.DataType) if isinstance(tree, exp.Create | exp.Alter) else ():
        _check_digits(kind)
    return _statement(cursor, tree, *rest)


def _check_digits(kind: exp.DataType) -> None:
    if kind.this not in _DIGITS or not kind.expressions:
        return
    name, before, after = _DIGITS[kind.this]
    digits = [int(parameter.name) for parameter in kind.expressions]
    scale = digits[1] if len(digits) > 1 else 0
    if scale > after or not max(1, scale) <= digits[0] <= scale + before:
        raise BigQueryError("invalidQuery", f"{name} cannot have precision {digits[0]} and scale {scale}")


def execute(*arguments: Any) -> Any:
    _check_transaction(arguments[-1], open_=False)
    statistics, children, destination = _execute(*arguments)
    made = statistics.ddlTargetTable
    if destination is None and statistics.statementType == "CREATE_TABLE_AS_SELECT" and made.datasetId:
        destination = made
    return statistics, children, destination


def _check_transaction(statements: list[Any], open_: bool) -> bool:
    """Whether a transaction is open at the end of the script's ``statements``."""
    for one in statements:
        words = one.text.upper().split()
        if words[:1] == ["BEGIN"]:
            open_ = True
        elif words[:1] in (["COMMIT"], ["ROLLBACK"]):
            open_ = False
        elif (
            open_
            and words[:1] in (["CREATE"], ["DROP"], ["ALTER"])
            and not {"TEMP", "TEMPORARY"} & set(words[:4])
        ):
            raise BigQueryError(
                "invalidQuery", "DDL statements are not supported in a transaction, except on TEMP objects"
            )
        for body in (one.body, *(branch for _, branch in one.branches), one.otherwise or []):
            _check_transaction(body, open_)
    return open_


def submit(project: str, job: str, configuration: Any, upload: str | None = None) -> Any:
    asked = configuration.query
    if asked is not None and asked.maximumBytesBilled and int(asked.maximumBytesBilled) < LEAST_BILLED:
        raise BigQueryError(
            "bytesBilledLimitExceeded",
            f"Query exceeded limit for bytes billed: {asked.maximumBytesBilled}. {LEAST_BILLED} or higher required.",
        )
    return _submit(project, job, configuration, upload)


def from_duckdb(error: Exception, *more: Any) -> Any:
    if "Failed to commit DuckLake transaction" in str(error):
        return BigQueryError(
            "invalidQuery", "Transaction is aborted due to concurrent update against table -"
        )
    return _from_duckdb(error, *more)


def division(node: exp.Expression, context: Any) -> Any:
    """DIV of decimals: without the remainder a quotient is whole, and so is its floating-point number."""
    if not isinstance(node, exp.IntDiv) or arithmetic.kind(node) == exp.DataType.Type.BIGINT:
        return _division(node, context)
    left, right = node.this, node.expression
    whole = exp.paren(
        exp.Sub(
            this=exp.paren(left.copy()),
            expression=exp.Mod(this=exp.paren(left.copy()), expression=exp.paren(right.copy())),
        )
    )
    quotient = exp.func("round", exp.Div(this=whole, expression=exp.paren(right.copy())))
    return arithmetic._nonzero(node, arithmetic._numeric(quotient))


def refreshed(project: str, dataset: str, name: str) -> None:
    """The service refuses a materialized view one of whose tables was recreated after it."""
    view = tables.load(project, dataset, name)
    for table in sqlglot.parse_one(view.materializedView.query, dialect="bigquery").find_all(exp.Table):
        if not table.db:
            continue
        base = tables.load(*names.reference(table, project, dataset))
        if int(base.creationTime) > int(view.creationTime):
            raise BigQueryError(
                "invalidQuery",
                f"Materialized view {project}:{dataset}.{name} references table {table.db}.{table.name} which was deleted and"
                " recreated. The view must be deleted and recreated as well.",
            )
    _refreshed(project, dataset, name)


def strengthen() -> None:
    STATUSES["bytesBilledLimitExceeded"] = (400, "INVALID_ARGUMENT")
    changed: list[tuple[Any, str, Callable[..., Any]]] = [
        (ddl, "_alteration", alteration),
        (errors, "from_duckdb", from_duckdb),
        (query, "from_duckdb", from_duckdb),
        (ddl, "_definition", definition),
        (ddl, "options", options),
        (load, "_projection", projection),
        (statements, "normalise", normalise),
        (tables, "refreshed", refreshed),
        (types, "bigquery_type", described),
        (information_schema, "bigquery_type", described),
        (query, "_statement", statement),
        (query, "_execute", execute),
        (runner, "submit", submit),
    ]
    rules.NODE_RULES[rules.NODE_RULES.index(arithmetic.division)] = division
    for module, name, function in changed:
        assert hasattr(module, name), f"local-bigquery has no {module.__name__}.{name} any more"
        setattr(module, name, function)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--buckets", type=Path, help="a folder whose folders are buckets of Google Cloud Storage"
    )
    parser.add_argument(
        "--storage", help="the address of a server of Google Cloud Storage, in place of `--buckets`"
    )
    given = parser.parse_args()
    settings.default_project_id, settings.data_dir = given.project, given.data
    settings.storage_emulator_host = given.storage
    settings.gcs_local_root = None if given.storage else given.buckets
    strengthen()
    database.connection()
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning")


main()
