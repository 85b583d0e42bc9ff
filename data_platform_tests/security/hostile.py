"""Names and texts of a source whose owner attacks who syncs it: each means something to some reader."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence

import psycopg
from psycopg import sql

CANARY = "owned-by-the-source"
"""The file that a text which is run by a shell would make, and the table that SQL would drop."""
CANARY_VARIABLE, CANARY_VALUE = "DATA_PLATFORM_TEST_CANARY", "a-canary-that-no-template-may-read"

TEXTS = (
    '"; drop table canary; --',
    "'); drop table canary; --",
    "$$; drop table canary; $$",
    f"{{{{ env_var('{CANARY_VARIABLE}') }}}}",
    "{% raw %} {# no #} {{{x}}}",
    "${HOME} ${DATA_PLATFORM_TEST_CANARY}",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    "%s %(x)s %% %n",
    "{0.__class__} {x!r}",
    "![k](http://127.0.0.1:9/k)",
    "[k](javascript:alert(1))",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!channel> <http://evil|x> <@U1>",
    f"!!python/object/apply:os.system [touch {CANARY}]",
    "&a *a",
    "a: b # c",
    "@at",
    "- dash",
    "'",
    '""',
    "\\",
    "\\N \\x00 \\u0000",
    "null",
    "1e3",
    "~",
    " lead",
    "trail ",
    "..",
    "../../etc/passwd",
    "/abs/o/lute",
    "C:\\x",
    "a.b.c",
    "|pipe| `code` **b**",
    "=cmd|' /C calc'!A0",
    "line\nbreak\r\n    personal: {x: keep}",
    "\x1b]0;owned\x07\x1b[2J",
    "\x7f\x9b31m",
    "\u202egpj.exe\u2066",
    "\u2028\u2029\u0085",
    "\ufeff\u200b\u00ad",
    "\ufffe\uffff",
    "\U0001f600\U000e0041",
    "é" * 31,
)
FOR_TABLES = tuple(TEXTS[n] for n in (0, 3, 7, 10, 13, 15, 30, 36, 37, 39, 40, 41, 42, 44))
ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\U000e0000-\U000e007f]"
)
"""What moves a cursor, names a window or turns text around, said apart from the code that is tested."""


def mixed(chance: random.Random, length: int = 63) -> str:
    """A name of pieces of the texts and of any characters, at most ``length`` bytes."""
    pieces = []
    for _ in range(chance.randint(1, 4)):
        if chance.random() < 0.6:
            text = chance.choice(TEXTS)
            start = chance.randrange(len(text))
            pieces.append(text[start : start + chance.randint(1, 20)])
        else:
            pieces.append("".join(chr(chance.choice(_ANY)) for _ in range(chance.randint(1, 5))))
    return name("".join(pieces), length) or "x"


_ANY = [
    code
    for code in (*range(1, 0x250), *range(0x2000, 0x2070), *range(0xFE00, 0xFF10), *range(0x1F600, 0x1F610))
    if unicodedata.category(chr(code)) != "Cs"
]


def name(text: str, length: int = 63) -> str:
    return text.encode()[:length].decode(errors="ignore")


def schema(
    connection: psycopg.Connection, namespace: str, tables: Sequence[str], columns: Sequence[str]
) -> None:
    """A schema whose every name and text is one of those given: columns of one wide table, tables, an enum,
    a domain, constraints, defaults, comments, and rows that hold all of them."""
    place = sql.Identifier(namespace)

    def run(statement: str, *parts: str, **named: sql.Composable) -> None:
        identifiers = [sql.Identifier(part) for part in parts]
        connection.execute(sql.SQL(statement).format(*identifiers, place=place, **named))  # type: ignore[arg-type]

    run("create schema {place}")
    run("create table {place}.wide (id int primary key)")
    for n, column in enumerate(columns):
        run("alter table {place}.wide add {} text default {text}", column, text=sql.Literal(columns[-n]))
        run("comment on column {place}.wide.{} is {text}", column, text=sql.Literal(columns[n - 1]))
    rows = sql.SQL(", ").join(sql.Literal(text) for text in columns)
    run("insert into {place}.wide values (1, {rows})", rows=rows)
    run("insert into {place}.wide (id) values (2)")
    enum, domain = name(columns[0] + " enum"), name(columns[3] + " domain")
    labels = sql.SQL(", ").join(sql.Literal(column) for column in columns)
    run("create type {place}.{} as enum ({labels})", enum, labels=labels)
    run("create domain {place}.{} as text constraint {} check (value <> '')", domain, columns[5])
    for n, table in enumerate(tables):
        other = columns[n % len(columns)]
        run(
            "create table {place}.{} ({} int primary key, e {place}.{}, d {place}.{} default {text},"
            " constraint {} check (d <> 'x'))",
            *(table, other, enum, domain, name(other + " c")),
            text=sql.Literal(other),
        )
        run("comment on table {place}.{} is {text}", table, text=sql.Literal(other))
        run(
            "insert into {place}.{} values (1, {text}), (2, {other})",
            table,
            text=sql.Literal(other),
            other=sql.Literal(columns[-n]),
        )
