"""What an engine refuses or means otherwise, though sqlglot parses it and the emulators run it.

The lists say what the project's SQL may use in each engine. Whoever uses another function looks it up in the
engine's manual and adds it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

STANDARD = frozenset(
    "abs and as case cast coalesce count exists from greatest in join least lower max min nullif on or over"
    " having between any lag percent_rank row_number select sum then union all upper when where with round by using values set not else distinct"
    " partition key insert into table view".split()
)
"""Functions, and words before a parenthesis, that are the same everywhere."""
FUNCTIONS = {
    "bigquery": "concat current_timestamp date date_diff div json_value substring timestamp_sub timestamp_add to_hex md5 safe_cast options"
    " refresh_materialized_view parse_date timestamp string",
    "snowflake": "convert_timezone current_timestamp dateadd datediff json_extract_path_text md5 mod substring to_date"
    " to_timestamp_ntz try_cast to_varchar md5_hex sysdate",
    "redshift": "getdate json_extract_path_text md5 mod substring sortkey distkey",
}
"""Functions of the engine's own that models, tests and dbt's adapter use there."""
TYPES = {
    "bigquery": "bignumeric bool boolean bytes date float64 int64 numeric string timestamp",
    "snowflake": "bigint boolean date decimal double fixed float integer number numeric timestamp_tz timestamp_ntz"
    " timestamptz varchar text character varying int timestamp",
    "redshift": "bigint boolean date decimal double float integer numeric timestamp timestamptz varchar text int character",
}
"""Types of casts; Redshift's VARCHAR with its size where it holds a source's texts (``column_type``)."""
_TEXT = re.compile(r"'(?:[^'\\]|''|\\.)*'|--[^\n]*|/\*.*?\*/", re.DOTALL)


def mistakes(sql: str, dialect: str) -> list[str]:
    """What is wrong with the text of statements in a dialect; an empty list for what all is well."""
    return sorted({*_of_words(sql, dialect), *_of_tokens(sql, dialect), *_of_trees(sql, dialect)})


def _of_words(sql: str, dialect: str) -> Iterator[str]:
    bare = _TEXT.sub("''", sql).lower()
    if "//" in bare:
        yield "a quotient by //"
    if dialect == "bigquery":
        if "::" in bare:
            yield "a cast by ::"
        if re.search(r"\bunion\b(?!\s+(all|distinct)\b)", bare):
            yield "UNION without ALL or DISTINCT"
        if re.search(r"\binterval\s+''", bare) and not re.search(r"\bmax_staleness\b", bare):
            yield "an interval in quotes"
        if re.search(r"\bdelete\s+from\b[^;]*\busing\b", bare):
            yield "DELETE USING"
    elif re.search(r"\binterval\s+\d", bare):
        yield "an interval without quotes"
    if dialect == "redshift":
        if re.search(r"\bcurrent_(timestamp|time|date)\b|\bnow\(", bare):
            yield "an instant that only the leader node knows: use getdate()"
        if re.search(r"\bcreate\s+or\s+replace\s+(temp\w*\s+)?table\b", bare):
            yield "CREATE OR REPLACE TABLE"


def _of_tokens(sql: str, dialect: str) -> Iterator[str]:
    tokens = sqlglot.tokenize(sql, dialect=dialect)
    allowed = STANDARD | set(FUNCTIONS[dialect].split()) | set(TYPES[dialect].split())
    for before, token, after in zip([None, *tokens], tokens, tokens[1:], strict=False):
        if after.token_type != TokenType.L_PAREN or not re.fullmatch(r"[A-Za-z_]\w*", token.text):
            continue
        if token.text.lower() not in allowed and not _names_something(before, token):
            yield f"the function {token.text.lower()}"
    if any(token.token_type == TokenType.L_BRACKET for token in tokens):
        yield "a list"


def _names_something(before: Token | None, token: Token) -> bool:
    """A name that a parenthesis follows: a quoted one, a table's before its columns, a common table's."""
    return token.token_type == TokenType.IDENTIFIER or (
        before is not None
        and (before.text.lower() in ("as", "into", "table", "key") or before.text in (".", "`"))
    )


def _of_trees(sql: str, dialect: str) -> Iterator[str]:
    try:
        statements = sqlglot.parse(sql, dialect=dialect)
    except sqlglot.ParseError:
        yield "no SQL of this dialect"
        return
    for statement in statements:
        for node in statement.walk() if statement else ():
            match node:
                case exp.Filter():
                    yield "FILTER (WHERE ..)"
                case exp.Qualify():
                    yield "QUALIFY"
                case exp.Lambda():
                    yield "a lambda"
                case exp.Star() if node.args.get("except_") or node.args.get("replace"):
                    yield "a star that leaves columns out"
                case exp.Group() if node.args.get("all"):
                    yield "GROUP BY ALL"
                case exp.Cast():
                    yield from _of_cast(node, dialect)
                case _:
                    pass


def _of_cast(node: exp.Cast, dialect: str) -> Iterator[str]:
    if dialect == "bigquery" and node.to.expressions:
        yield f"a size in a cast: {node.to.sql(dialect).lower()}"


def of_types(node: exp.Expr, dialect: str) -> Iterator[str]:
    """What the types of a resolved query say: ``names.Names`` asks for each. A quotient of whole numbers is another number
    in each engine, unless nothing is left over (``whole_quotient``)."""
    whole, instants = (
        exp.DataType.INTEGER_TYPES,
        (exp.DataType.Type.TIMESTAMPTZ, exp.DataType.Type.TIMESTAMPLTZ),
    )
    for each in node.walk():
        if (
            isinstance(each, exp.Div)
            and not each.left.find(exp.Mod)
            and all(side.is_type(*whole) for side in (each.left, each.right))
        ):
            yield f"two whole numbers divided: {each.sql(dialect)}"
        if isinstance(each, exp.Max | exp.Min | exp.Sum) and each.this.is_type("boolean"):
            yield f"an aggregate of truth values: {each.sql(dialect)}"
        if dialect == "bigquery" and isinstance(each, exp.Predicate) and isinstance(each, exp.Binary):
            kinds = {side.type.this for side in (each.left, each.right) if side.type}
            if kinds & set(instants) and kinds & {exp.DataType.Type.DATETIME, exp.DataType.Type.TIMESTAMP}:
                yield f"an instant compared with a DATETIME: {each.sql(dialect)}"
