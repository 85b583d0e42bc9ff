"""Every PostgreSQL type that a column may have, with values at its edges, and the way back.

``Kinds`` are those of one server: what a version does not have yet is left out of them.
``REFUSED_VALUES`` and ``refused_types`` name what stops its table and what the message says.
``as_postgres`` renders a warehouse's value as the text PostgreSQL reads it from, so that
a test can load it back and let the server compare. Nothing here syncs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

_TYPES = (
    *(f"create extension {name}" for name in ("hstore", "ltree", "citext", "cube", "seg", "isn")),
    "create type mood as enum ('sad', 'ok', 'o''k \"so\", so', 'très bien')",
    "create type pair as (a int, b text)",
    'create type nested as (p pair, "q r" pair[], n numeric, t timestamptz)',
    "create type floatrange as range (subtype = float8)",
    "create type textrange as range (subtype = text)",
    "create table holder (a int, b text)",
    # the tests' server is built without libxml, which would read text as xml
    "create cast (bytea as xml) without function",
)


@dataclass(frozen=True)
class Case:
    """A type, its values as SQL, and the type it lands as."""

    type: str
    lands: str
    values: tuple[str, ...]

    def sql(self, number: int) -> str:
        """The value ``number``, counted round; NULL after the last."""
        values = (*self.values, "null")
        return f"({values[number % len(values)]})::{self.type}"


def _case(type_: str, lands: str, *values: str) -> Case:
    return Case(type_, lands, values)


_INSTANTS = (
    "'infinity'",
    "'-infinity'",
    "'4713-11-24 00:00:00 BC'",
    "'4714-11-24 00:00:00 BC'",
    "'0044-03-15 12:00:00.000001 BC'",
    "'0001-01-01 00:00:00'",
    "'1582-10-10 00:00:00'",
    "'1969-12-31 23:59:59.999999'",
    "'2024-02-29 23:59:59.999999'",
    "'10000-01-01 00:00:00'",
    "'294246-12-31 23:59:59.999999'",
    "'294247-01-10 04:00:54.775806'",
)
_FLOATS = ("'NaN'", "'Infinity'", "'-Infinity'", "0", "0.1", "-1.5")

_SINCE = (
    (14, r".*multirange", r".*"),
    (14, r"numeric|numrange", r".*Infinity.*"),
    (15, r"numeric\((3,-2|38,-5|3,5)\)", r".*"),
    (15, r"interval", r".*-2562047788:.*"),
    (17, r"interval", r".*infinity.*"),
)
"""(version, type, value), as patterns: what a PostgreSQL server has only since that version."""


def _known(cases: Sequence[Case], version: int) -> tuple[Case, ...]:
    """``cases`` without the values that a server of ``version`` does not take."""

    def known(type_: str, value: str) -> bool:
        return not any(
            version < since and re.fullmatch(kind, type_) and re.fullmatch(pattern, value, re.S)
            for since, kind, pattern in _SINCE
        )

    kept = [replace(case, values=tuple(v for v in case.values if known(case.type, v))) for case in cases]
    return tuple(case for case in kept if case.values)


SCALARS = (
    _case("boolean", "BOOLEAN", "true", "false"),
    _case("smallint", "SMALLINT", "-32768", "32767", "0"),
    _case("integer", "INTEGER", "-2147483648", "2147483647", "0"),
    _case("bigint", "BIGINT", "'-9223372036854775808'", "9223372036854775807", "9007199254740993"),
    _case("real", "FLOAT", *_FLOATS, "'1e-45'", "'1.17549435e-38'", "'3.4028235e38'", "16777216", "0.3"),
    _case(
        "double precision", "DOUBLE", *_FLOATS, "'5e-324'", "'2.2250738585072014e-308'",
        "'1.7976931348623157e308'", "'1e22'", "0.30000000000000004", "9007199254740993",
    ),
    _case("numeric(1,0)", "DECIMAL(1,0)", "-9", "0"),
    _case("numeric(4,1)", "DECIMAL(4,1)", "-999.9", "0.1"),
    _case("numeric(9,9)", "DECIMAL(9,9)", "0.999999999", "-0.000000001"),
    _case("numeric(10,2)", "DECIMAL(10,2)", "99999999.99", "-0.01", "0"),
    _case("numeric(18,4)", "DECIMAL(18,4)", "-99999999999999.9999", "12345678901234.5678"),
    _case("numeric(19,0)", "DECIMAL(19,0)", "9999999999999999999"),
    _case(
        "numeric(38,18)", "DECIMAL(38,18)", "12345678901234567890.123456789012345678", "-0.000000000000000001"
    ),
    _case("numeric(38,0)", "DECIMAL(38,0)", f"{'9' * 38}", f"-{'9' * 38}"),
    _case("numeric(38,38)", "DECIMAL(38,38)", f"0.{'9' * 38}", f"-0.{'0' * 37}1"),
    _case(
        "numeric", "VARCHAR", "'NaN'", "'Infinity'", "'-Infinity'", "1.0", "1.00", "0.000", "'-0'", "1e100",
        "0.1000000000000000000000000000000000000000001", f"{'7' * 1000}.{'3' * 1000}", "'1e131071'", "'1e-16383'",
    ),
    _case("numeric(60,20)", "VARCHAR", f"{'8' * 40}.{'1' * 20}", "'NaN'"),
    _case("numeric(1000,500)", "VARCHAR", f"{'9' * 500}.{'9' * 500}", "'NaN'"),
    _case("numeric(3,-2)", "VARCHAR", "12345", "'NaN'"),
    _case("numeric(38,-5)", "VARCHAR", f"{'9' * 37}00000"),
    _case("numeric(3,5)", "VARCHAR", "0.00999", "'NaN'"),
    _case(
        "text", "VARCHAR", r"E'\\N'", r"E'\\.'", "''", "'NULL'", "' padded  '", "'ünï'", "'שלום 🎉 e\u0301'",
        "chr(1114111) || chr(65535) || chr(65279)", r"E'a\tb\nc\r\n\x01\x1f\x7f'", """'"a",''b'''""",
        "repeat('x', 1000000)",
    ),
    _case("varchar", "VARCHAR", "''", "'ab  '", "'ü'"),
    _case("varchar(5)", "VARCHAR", "'ab  '", "''", "'üüüüü'"),
    _case("char", "VARCHAR", "'a'", "''", "'ü'"),
    _case("char(5)", "VARCHAR", "'ab'", "''", "'ab  '", "' a'", "'abcde'", "'ü'"),
    _case("bpchar", "VARCHAR", "'ab  '", "''", "'  '"),
    _case("name", "VARCHAR", "'a name'", "repeat('n', 63)", "''"),
    _case("citext", "VARCHAR", "'AbC'", "'abc'", "''"),
    _case(
        "date", "DATE", "'infinity'", "'-infinity'", "'4714-11-24 BC'", "'0044-03-15 BC'", "'0001-01-01'",
        "'1582-10-10'", "'2024-02-29'", "'9999-12-31'", "'10000-01-01'", "'5874897-12-31'",
    ),
    _case("time", "TIME", "'24:00:00'", "'00:00:00'", "'23:59:59.999999'"),
    _case("time(0)", "TIME", "'23:59:59.9'", "'12:34:56'"),
    _case("timetz", "VARCHAR", "'24:00:00+15:59'", "'12:00:00.5+05:30'", "'00:00:00-15:59:59'"),
    _case("timestamp", "TIMESTAMP", *_INSTANTS),
    _case("timestamp(0)", "TIMESTAMP", "'2024-02-29 23:59:59.9'", "'infinity'"),
    _case("timestamptz", "TIMESTAMPTZ", *(re.sub(r"(\d)( BC)?'$", r"\1+00\2'", v) for v in _INSTANTS)),
    _case("timestamptz(3)", "TIMESTAMPTZ", "'2024-02-29 23:59:59.9994+00'", "'-infinity'"),
    _case(
        "interval", "VARCHAR", "'1 mon 2 days 00:00:00.000001'", "'-1 year'", "'1 mon -1 day 00:00:01'",
        "'-00:00:00.000001'", "'0'", "'infinity'", "'-infinity'", "'-178000000 years'", "'178000000 years'",
        "'2147483647 days'", "'30 days'", "'720 hours'", "'-1 mon 5 days -2562047788:00:54.775807'",
    ),
    _case("interval year to month", "VARCHAR", "'3 years 4 months'", "'-13 months'"),
    _case("interval second(3)", "VARCHAR", "'1.2345 s'", "'-100 hours'"),
    _case("money", "VARCHAR", "'12.34'", "'-92233720368547758.08'", "'92233720368547758.07'", "'0'"),
    _case("uuid", "UUID", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", f"'{'0' * 32}'", f"'{'f' * 32}'"),
    _case(
        "bytea", "BLOB", "''", r"'\x00'", r"'\x00ff5c'",
        "(select string_agg(set_byte('\\x00', 0, n), '' order by n) from generate_series(0, 255) n)",
        "decode(repeat('deadbeef', 250000), 'hex')",
    ),
    _case(
        "json", "JSON", """'{"a" : 1, "a": 2}'""", """'{"n": 12345678901234567890.12345678901234567890}'""",
        r"""'"\u0000"'""", r"""'"\ud83d\ude00 \u00e9"'""", "E' [1 ,\\n 2]\\t'", "'-0'", "'\"\"'", "'null'", "'1E5'",
        "'1e400'", "'-1e400'", "'0.1e-500'", "repeat('[', 400)::text || repeat(']', 400)", "repeat('7', 5000)",
        r"""'{"\u0061": "\/", "": [true,false , null]}'""",
    ),
    _case(
        "jsonb", "JSON", """'{"n": 12345678901234567890.12345678901234567890}'""", "'1e400'", "'-0.0'", "'1.00'",
        "'null'", """'{"b": 1, "a": [], "": {}}'""", """'"🎉 \\" \\\\ \\u0001"'""", "repeat('7', 5000)",
    ),
    _case("jsonpath", "VARCHAR", "'$.a[*] ? (@ > 1)'"),
    _case("bit", "VARCHAR", "'1'"),
    _case("bit(3)", "VARCHAR", "'101'", "'000'"),
    _case("varbit", "VARCHAR", "''", "'0'", "repeat('10', 500)"),
    _case("varbit(10)", "VARCHAR", "'0000000001'", "''"),
    _case("inet", "VARCHAR", "'10.0.0.1/8'", "'10.0.0.1'", "'::1'", "'2001:db8::ff00:42:8329/64'", "'::ffff:1.2.3.4'"),
    _case("cidr", "VARCHAR", "'10.0.0.0/8'", "'10.0.0.1/32'", "'::/0'"),
    _case("macaddr", "VARCHAR", "'08:00:2b:01:02:03'"),
    _case("macaddr8", "VARCHAR", "'08:00:2b:01:02:03:04:05'"),
    _case("int4range", "VARCHAR", "'[1,5)'", "'empty'", "'(,)'", "'[1,)'"),
    _case("int8range", "VARCHAR", "'[-9223372036854775808,9223372036854775807)'"),
    _case("numrange", "VARCHAR", "'[0.10,NaN]'", "'(-Infinity,1.00]'", f"'[{'7' * 500},)'"),
    _case("tsrange", "VARCHAR", "'[-infinity,infinity]'", "'[\"0044-03-15 12:00:00 BC\",\"294276-12-31\")'"),
    _case("tstzrange", "VARCHAR", "'[\"2024-01-01 00:00:00+05:30\",)'", "'(,infinity)'"),
    _case("daterange", "VARCHAR", "'[\"0044-03-15 BC\",2024-01-01)'", "'[infinity,)'"),
    _case("int4multirange", "VARCHAR", "'{[1,2),[4,5)}'", "'{}'", "'{(,)}'"),
    _case("nummultirange", "VARCHAR", "'{[0.10,0.20],[1,NaN)}'"),
    _case("tstzmultirange", "VARCHAR", "'{[\"2024-01-01 00:00:00+00\",\"2024-01-02 00:00:00+00\")}'"),
    _case("datemultirange", "VARCHAR", "'{[2024-01-01,2024-01-03),[2025-01-01,infinity)}'"),
    _case("floatrange", "VARCHAR", "'[0.30000000000000004,Infinity)'", "'[-5e-324,NaN]'"),
    _case("textrange", "VARCHAR", """'["a,b","c""d")'""", "'empty'"),
    _case("hstore", "VARCHAR", """'a=>NULL, "b c"=>"d,\\"e=>", ""=>""'""", "''"),
    _case("ltree", "VARCHAR", "'a.b.c_1'", "''"),
    _case("tsvector", "VARCHAR", "'a:1A,2 ''b c'':3'", "''", "'it''''s'"),
    _case("tsquery", "VARCHAR", "'a & !b | c:*A <-> d'", "''"),
    _case("point", "VARCHAR", "'(1.5,-0)'", "'(NaN,Infinity)'", "'(5e-324,1.7976931348623157e308)'"),
    _case("line", "VARCHAR", "'{1,-1,0.30000000000000004}'"),
    _case("lseg", "VARCHAR", "'[(0,0),(1,-1e-300)]'"),
    _case("box", "VARCHAR", "'((2,2),(0.1,0.1))'"),
    _case("path", "VARCHAR", "'[(0,0),(1,1)]'", "'((0,0),(1,1),(2,0))'"),
    _case("polygon", "VARCHAR", "'((0,0),(1,1),(2,0))'"),
    _case("circle", "VARCHAR", "'<(1,2),Infinity>'", "'<(0,0),0>'"),
    _case("xml", "VARCHAR", "'<a b=\"c\">&amp;<!-- ü --></a>'::bytea", "'two <b/> pieces'::bytea", "''::bytea"),
    _case("pg_lsn", "VARCHAR", "'0/0'", "'FFFFFFFF/FFFFFFFF'"),
    _case("oid", "BIGINT", "4294967295", "0"),
    _case("xid", "VARCHAR", "'4294967295'", "'3'"),
    _case("xid8", "VARCHAR", "'18446744073709551615'"),
    _case("tid", "VARCHAR", "'(4294967295,65535)'"),
    _case("pg_snapshot", "VARCHAR", "'10:20:10,14,15'", "'1:1:'"),
    _case("txid_snapshot", "VARCHAR", "'10:20:10,14,15'"),
    _case("regclass", "VARCHAR", "'pg_class'", "'holder'", "0"),
    _case("regtype", "VARCHAR", "'integer'", "'timestamp with time zone'"),
    _case("regprocedure", "VARCHAR", "'lower(text)'"),
    _case("regnamespace", "VARCHAR", "'public'"),
    _case("mood", "VARCHAR", "'sad'", "'o''k \"so\", so'", "'très bien'"),
    _case("pair", "VARCHAR", "row(1, 'a,b')", "row(null, null)", "row(2, '')", """row(3, '"q" (x)')"""),
    _case("nested", "VARCHAR", "row(row(1, 'a'), array[row(2, null)::pair, null], 'NaN', 'infinity')"),
    _case("holder", "VARCHAR", "row(1, 'a row of a table')"),
)  # fmt: skip


def _one(type_: str) -> Case:
    return next(case for case in SCALARS if case.type == type_)


LISTS = {"boolean", "smallint", "integer", "bigint", "text", "varchar", "varchar(5)", "uuid", "date"}
"""What lands as a list of its values; other arrays land as text."""


def _arrays(scalars: Sequence[Case]) -> Iterator[Case]:
    for case in scalars:
        if case.type == "xml":
            continue
        kept = [v for v in case.values if "repeat(" not in v or "1000000" not in v]
        every = ", ".join(f"({value})::{case.type}" for value in kept)
        lands = f"{case.lands}[]" if case.type in LISTS else "VARCHAR"
        values = [f"array[{every}, null]", "'{}'", "array[null]"]
        if lands == "VARCHAR":
            two = f"({kept[0]})::{case.type}"
            values += [f"array[[{two}, null], [null, {two}]]", f"array_fill({two}, array[2], array[-3])"]
        yield Case(f"{case.type}[]", lands, tuple(values))


def _domains(scalars: Sequence[Case]) -> Iterator[tuple[str, Case]]:
    """Over each scalar a domain with the statement that makes it, over some of those another one."""
    for number, case in enumerate(scalars):
        if case.type == "xml":
            continue
        yield f"create domain d{number} as {case.type}", Case(f"d{number}", case.lands, case.values)
        if number % 4 == 0:
            yield f"create domain dd{number} as d{number}", Case(f"dd{number}", case.lands, case.values)
            value = f"array[({case.values[0]})::d{number}, null]"
            yield "select 1", Case(f"d{number}[]", "VARCHAR", (value,))
    yield "create domain ints as int[]", Case("ints", "INTEGER[]", ("'{1,null,3}'", "'{}'"))
    texts = Case("texts", "VARCHAR[]", ("""'{"a,b",NULL,"NULL","\\"q\\\\",""}'""",))
    yield "create domain texts as text[]", texts
    yield "create domain cash as numeric(10,2)", Case("cash", "DECIMAL(10,2)", ("0.10", "-99999999.99"))


KEYS = (
    _case("bigint", "BIGINT", *(f"'{n * 10**17}'" for n in range(-8, 8))),
    _case("text", "VARCHAR", *(f"'{v}'" for v in ("", " ", "a", "A", "a ", "ä", "🎉", "NULL", "\\N", ",", '"', "é"))),
    _case("char(5)", "VARCHAR", *(f"'{v}'" for v in ("", " a", "a", "b", "ü", "abcde", "A", "1", "2", "3"))),
    _case("citext", "VARCHAR", *(f"'{v}'" for v in "aBcDéFgHijkl")),
    _case("uuid", "UUID", *(f"md5('{n}')::uuid" for n in range(16))),
    _case("numeric", "VARCHAR", "'NaN'", "'-Infinity'", "1.0", "0.00", "1e40", "-5", "2.50", "7", "8", "9", "1e-20"),
    _case("numeric(38,18)", "DECIMAL(38,18)", *(f"{n}.{'0' * 17}1" for n in range(16))),
    _case("double precision", "DOUBLE", "'NaN'", "'-Infinity'", "0", "5e-324", "0.1", "1e300", "1", "2", "3", "4"),
    _case("date", "DATE", *_one("date").values),
    _case("timestamp", "TIMESTAMP", *_INSTANTS),
    _case("timestamptz", "TIMESTAMPTZ", *_one("timestamptz").values),
    _case("time", "TIME", "'24:00:00'", "'00:00:00'", "'12:00:00.000001'", "'12:00'", "'13:00'"),
    _case("timetz", "VARCHAR", "'12:00+01'", "'12:00+02'", "'24:00:00-01'", "'00:00+00'"),
    _case("interval", "VARCHAR", "'infinity'", "'1 mon'", "'31 days'", "'-1 us'", "'0'", "'1 year -1 day'"),
    _case("bytea", "BLOB", "''", *(f"'\\x{n:02x}'" for n in range(12))),
    _case("boolean", "BOOLEAN", "true", "false"),
    _case("oid", "BIGINT", *(f"'{n}'" for n in range(4294967280, 4294967296))),
    _case("money", "VARCHAR", *(f"'{n}.10'" for n in range(12))),
    _case("inet", "VARCHAR", *(f"'10.0.0.{n}/{20 + n}'" for n in range(12))),
    _case("mood", "VARCHAR", *_one("mood").values),
    _case("pair", "VARCHAR", *(f"row({n}, 'a,\"{n}')" for n in range(12))),
    _case("int[]", "INTEGER[]", "'{}'", "'{NULL}'", *(f"'{{1,{n}}}'" for n in range(10))),
    _case("int4range", "VARCHAR", "'empty'", *(f"'[{n},{n + 5})'" for n in range(11))),
)  # fmt: skip
"""Types of a key, with values that the server holds different from each other."""

NAMES = (
    "plain", "Capital", "with space", ' "quotes"" ', "apo'strophe's", "dot.ted", "new\nline", "tab\t", "semi;colon",
    "select", "table", "column", "schema", "order", "user", "group", "null", "default", "from", "cast", "end",
    "ünï", "日本", "🎉", "Σ", "back\\slash", "100%", "%s", "{brace}", "$1", "?", "n" * 63, "é" * 31, " ", "--", "/*",
    # names that the platform's own statements use
    "r", "d", "t", "k", "k0", "g", "h", "b", "s", "back", "slice", "touched", "came", "went", "day", "source",
    "filename", "file_row_number", "file_index", "age", "ctids", "_batch_keys", "_batch", "rule_", "x",
)  # fmt: skip


REFUSED_VALUES = (
    ("numeric(10,2)", "'NaN'", "holds NaN"),
    ("numeric(38,38)", "'NaN'", "holds NaN"),
    ("cash", "'NaN'", "holds NaN"),
    ("timestamp", "'294276-12-31 23:59:59.999999'", "later than January of the year 294247"),
    # two that wrap into the engine's numbers for infinity and -infinity, and one between them
    ("timestamp", "'294247-01-10 04:00:54.775807'", "later than January of the year 294247"),
    ("timestamp", "'294247-01-10 04:00:54.775808'", "later than January of the year 294247"),
    ("timestamptz", "'294247-01-10 04:00:54.775809+00'", "later than January of the year 294247"),
    ("timestamptz", "'294276-12-31 23:59:59.999999+00'", "later than January of the year 294247"),
    ("int[]", "'{{1,2},{3,4}}'", "array of several dimensions"),
    ("int[]", "'[2:3]={1,2}'", "does not begin at 1"),
    ("ints", "'[5:5]={1}'", "does not begin at 1"),
    ("text[]", "'[0:1]={a,NULL}'", "does not begin at 1"),
    ("boolean[]", "'{{t},{f}}'", "array of several dimensions"),
    ("uuid[]", "array_fill(gen_random_uuid(), array[1], array[0])", "does not begin at 1"),
    ("date[]", "'{{infinity}}'", "array of several dimensions"),
    ("json", r"""'"\ud800"'""", "JSON that the engine refuses"),
    ("json", r"""'{"a": "\udc00\ud800"}'""", "JSON that the engine refuses"),
)
"""(type, value, what the message says); the type is kept, but for that value."""

REFUSED_TYPES = (
    ('"char"', "'x'"),
    ("aclitem", "'postgres=r/postgres'"),
    ("cid", "'4294967295'"),
    ("refcursor", "'a cursor'"),
    ("regcollation", "'\"C\"'"),
    ("cube", "'(0.1,2),(3,4)'"),
    ("seg", "'1.50 .. 2'"),
    ("isbn", "'978-0-393-04002-9'"),
    ("lquery", "'a.*{1,2}.b|c'"),
    ("ltxtquery", "'a & !b'"),
)
"""(type, value) of types nobody vouches for: refused by name until the catalog says text."""
_VECTOR = ("vector(3)", "'[1,-0.5,3e-20]'")
"""Of an extension that not every server brings."""


class Kinds:
    """The cases that a server of ``version`` has. ``setup`` makes their types; ``everything`` is a
    composite type with a field of every scalar."""

    def __init__(self, version: int, *, vector: bool) -> None:
        self.scalars = _known(SCALARS, version)
        self.keys = _known(KEYS, version)
        self.arrays = tuple(_arrays(self.scalars))
        made = list(_domains(self.scalars))
        self.domains = tuple(case for _, case in made)
        held = [case for case in self.scalars if case.type != "xml"]
        rows = tuple(f"row({', '.join(case.sql(n) for case in held)})" for n in range(4))
        self.everything = Case("everything", "VARCHAR", rows)
        self.refused_types = (*REFUSED_TYPES, _VECTOR) if vector else REFUSED_TYPES
        self.setup = (
            *(("create extension vector",) if vector else ()),
            *_TYPES,
            *(statement for statement, _ in made),
            f"create type everything as ({', '.join(f'f{n} {case.type}' for n, case in enumerate(held))})",
        )


def as_postgres(column: str, lands: str) -> str:
    """DuckDB SQL for the text from which PostgreSQL reads the value of ``column`` again."""
    if lands.endswith("[]"):
        element = as_postgres("e", lands.removesuffix("[]"))
        escaped = f"""replace(replace({element}, '\\', '\\\\'), '"', '\\"')"""
        quoted = f"""coalesce('"' || {escaped} || '"', 'NULL')"""
        return f"'{{' || array_to_string(list_transform({column}, lambda e: {quoted}), ',') || '}}'"
    if lands == "BLOB":
        return f"'\\x' || hex({column})"
    if lands == "TIMESTAMPTZ":  # whose own text is off by microseconds in far years
        moment = as_postgres(f"make_timestamp(epoch_us({column}))", "TIMESTAMP")
        return f"coalesce({moment} || '+00', {column}::VARCHAR)"
    if lands in ("DATE", "TIMESTAMP"):
        text = f"{column}::VARCHAR"  # the year's era stands behind the date there, at the end here
        return (
            f"CASE WHEN contains({text}, '(BC)') THEN replace({text}, ' (BC)', '') || ' BC' ELSE {text} END"
        )
    return f"{column}::VARCHAR"
