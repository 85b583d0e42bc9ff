"""A warehouse of names and types without rows: what each statement would make of them, in one dialect.

sqlglot parses each statement in the warehouse's dialect and resolves each column of it. What cannot be
parsed or resolved is a mistake of the statement's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from data_platform_tests.dbt.dialects import static

_DROPPED = re.compile(
    r"drop (?:dynamic table|materialized view) if exists \S+?[`\"]?\.[`\"]?(\w+)[`\"]?\.[`\"]?(\w+)", re.I
)
Columns = dict[str, str]
"""Names, as the engine spells them, to types in the engine's words."""


class Refused(Exception):
    """What is wrong with a statement."""


@dataclass
class Relation:
    columns: Columns
    kind: str


@dataclass
class Names:
    """``fold`` is what the engine makes of a name that is not quoted."""

    dialect: str
    database: str
    relations: dict[tuple[str, str], Relation] = field(default_factory=dict)

    def fold(self, name: str) -> str:
        return name.upper() if self.dialect == "snowflake" else name.lower()

    def get(self, schema: str, name: str) -> Relation | None:
        return self.relations.get((schema.lower(), name.lower()))

    def put(self, schema: str, name: str, columns: Columns, kind: str = "table") -> None:
        self.relations[schema.lower(), name.lower()] = Relation(columns, kind)

    def send(self, sql: str) -> list[exp.Expr]:
        """The statements of ``sql``, parsed, after what they make and drop. ``Refused`` where one is wrong."""
        try:
            statements = [each for each in sqlglot.parse(sql, dialect=self.dialect) if each is not None]
            for statement in statements:
                self._apply(statement)
        except SqlglotError as error:
            raise Refused(f"{error}\n{sql}") from error
        return statements

    def describe(self, query: exp.Query | str) -> Columns:
        """The columns of a query."""
        if isinstance(query, str):
            found = sqlglot.parse_one(query, dialect=self.dialect)
            assert isinstance(found, exp.Query), query
            query = found
        typed = self._resolved(query)
        names: Columns = {}
        for column in typed.selects:
            type_ = column.type.sql(self.dialect).replace("(MAX)", "(65535)") if column.type else "UNKNOWN"
            names[column.alias_or_name] = type_
        return names

    def _named(self, column: exp.ColumnDef) -> str:
        return column.name if column.this.quoted else self.fold(column.name)

    def _resolved(self, query: exp.Query) -> exp.Query:
        schema = MappingSchema(dialect=self.dialect, normalize=True)
        for table in query.find_all(exp.Table):
            found = self.get(table.db, table.name) if table.db else None
            if table.db and found is None:
                raise Refused(
                    f"{table.sql(self.dialect)} does not exist:\n{query.sql(self.dialect, pretty=True)}"
                )
            if found is not None:
                quoted = {
                    f'"{name}"' if self.dialect != "bigquery" else f"`{name}`": t
                    for name, t in found.columns.items()
                }
                schema.add_table(table.copy(), quoted, dialect=self.dialect, match_depth=False)
        qualified = qualify(query.copy(), schema=schema, dialect=self.dialect, identify=False)
        for text in list(qualified.find_all(exp.JSONExtractScalar)):  # whose type sqlglot does not know
            text.replace(exp.cast(text.copy(), exp.DataType.Type.TEXT))
        typed = annotate_types(qualified, schema=schema, dialect=self.dialect)
        assert isinstance(typed, exp.Query)
        if wrong := [*static.of_types(typed, self.dialect)]:
            raise Refused(f"{'; '.join(wrong)}:\n{query.sql(self.dialect, pretty=True)}")
        return typed

    def _apply(self, statement: exp.Expr) -> None:
        match statement:
            case exp.Create(kind="TABLE" | "VIEW"):
                self._create(statement)
            case exp.Drop(kind="TABLE" | "VIEW"):
                self.relations.pop(_place(statement.find(exp.Table)), None)
            case exp.Alter(kind="TABLE" | "VIEW"):
                self._alter(statement)
            case exp.Query():
                self._resolved(statement)
            case exp.Insert() | exp.Merge() | exp.Update() | exp.Delete():
                for table in statement.find_all(exp.Table):
                    if table.db and self.get(table.db, table.name) is None:
                        raise Refused(f"{table.sql(self.dialect)} does not exist")
            case exp.Command() if found := _DROPPED.search(statement.sql(self.dialect)):
                self.relations.pop((found[1].lower(), found[2].lower()), None)
            case exp.Command() if statement.name.upper() not in (
                "EXPLAIN",
                "CALL",
                "USE",
                "ALTER",
                "REFRESH",
                "COMMENT",
            ):
                raise Refused(f"not understood: {statement.sql(self.dialect)}")
            case (
                exp.Create()
                | exp.Drop()
                | exp.Alter()
                | exp.Comment()
                | exp.Use()
                | exp.Set()
                | exp.Command()
                | exp.Refresh()
            ):
                pass
            case exp.Transaction() | exp.Commit() | exp.Rollback():
                pass
            case _:
                raise Refused(f"no statement: {statement.sql(self.dialect)}")

    def _create(self, statement: exp.Create) -> None:
        query, place = statement.expression, _place(statement.find(exp.Table))
        if isinstance(query, exp.Subquery):
            query = query.unnest()
        columns = self.describe(query) if isinstance(query, exp.Query) else {}
        declared = statement.this.expressions if isinstance(statement.this, exp.Schema) else []
        for column in declared:
            if isinstance(column, exp.ColumnDef) and column.args.get("kind"):
                columns[self._named(column)] = column.args["kind"].sql(self.dialect)
        kind = statement.args["kind"].lower()
        if any(isinstance(p, exp.MaterializedProperty) for p in _properties(statement)):
            kind = "materialized_view"
        elif any(isinstance(p, exp.DynamicProperty) for p in _properties(statement)):
            kind = "dynamic_table"
        self.relations[place] = Relation(columns, kind)

    def _alter(self, statement: exp.Alter) -> None:
        place = _place(statement.this)
        for action in statement.args.get("actions", ()):
            if isinstance(action, exp.AlterRename):
                new = action.this
                self.relations[new.db.lower() or place[0], new.name.lower()] = self.relations.pop(place)
            elif isinstance(action, exp.ColumnDef):
                self.relations[place].columns[self._named(action)] = action.args["kind"].sql(self.dialect)


def _properties(statement: exp.Create) -> Iterator[exp.Expr]:
    properties = statement.args.get("properties")
    yield from properties.expressions if properties else ()


def _place(table: exp.Expr | None) -> tuple[str, str]:
    assert isinstance(table, exp.Table), table
    return table.db.lower(), table.name.lower()
