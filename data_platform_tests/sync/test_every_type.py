"""Every type, from the source through landing into the warehouse and back: exact, or refused by name.

A warehouse's values are read back into a PostgreSQL table of the same types, and the server
compares the images and the text forms of both. What names and shapes a table may have is
``test_shape.py``'s.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from data_platform.errors import SchemaDrift, UnsupportedType, ValueNotKept
from data_platform.privacy.treatments import MASKED, REDACTED, hash_value
from data_platform.sandbox.server import PostgresServer
from data_platform.sources.postgres.types import quote
from data_platform_tests.sync.conftest import HASH_KEY, Project
from data_platform_tests.sync.type_cases import NAMES, REFUSED_VALUES, Case, Kinds, as_postgres

pytestmark = pytest.mark.slow

WIDTH = 45
"""Columns a table: few tables, so that a sync of all cases stays short."""


@pytest.fixture(scope="module")
def kinds(postgres: PostgresServer, postgres_version: int) -> Kinds:
    with postgres.connect() as connection:
        row = connection.execute("select from pg_available_extensions where name = 'vector'").fetchone()
    return Kinds(postgres_version, vector=row is not None)


@pytest.fixture(scope="module")
def template(postgres: PostgresServer, kinds: Kinds) -> Iterator[str]:
    """A database that has the types of all cases, to copy."""
    name = f"types_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.create_database(name), autocommit=True) as connection:
        for statement in kinds.setup:
            connection.execute(statement)
    yield name
    postgres.drop_database(name)


@pytest.fixture
def typed(tmp_path: Path, postgres: PostgresServer, template: str) -> Iterator[Project]:
    name = f"typed_{uuid.uuid4().hex[:12]}"
    yield Project(tmp_path, postgres.create_database(name, template=template))
    postgres.drop_database(name)


def make(project: Project, table: str, cases: Sequence[Case]) -> dict[str, Case]:
    """A table of a column a case and as many rows as the longest needs; its columns."""
    columns = {f"c{n}": case for n, case in enumerate(cases)}
    typed = ", ".join(f"{name} {case.type}" for name, case in columns.items())
    rows = max(len(case.values) for case in cases) + 1
    values = ", ".join(f"({row}, {', '.join(case.sql(row) for case in cases)})" for row in range(rows))
    project.execute(
        f"create table {table} (line int primary key, {typed})", f"insert into {table} values {values}"
    )
    return columns


def make_all(project: Project, cases: Sequence[Case]) -> dict[str, dict[str, Case]]:
    chunks = [cases[n : n + WIDTH] for n in range(0, len(cases), WIDTH)]
    return {f"t{n}": make(project, f"t{n}", chunk) for n, chunk in enumerate(chunks)}


def changed(project: Project, table: str, columns: dict[str, Case], source: str | None = None) -> list[str]:
    """What of the raw ``table`` is not as at the ``source``: each column with its type, and lost rows."""
    landed = dict(
        project.rows(
            "select column_name, data_type from information_schema.columns"
            f" where table_schema = 'raw_shop' and table_name = '{table}'"
        )
    )
    kinds = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    lands = {name: kinds.get(landed[name], landed[name]) for name in columns}
    rendered = ", ".join(as_postgres(quote(name), lands[name]) for name in columns)
    rows = project.rows(f"select line::varchar, {rendered} from raw_shop.{table}")
    types = {name: "text" if case.type == "xml" else case.type for name, case in columns.items()}
    typed = ", ".join(f"{quote(name)} {kind}" for name, kind in types.items())
    tests = ", ".join(
        f"count(*) filter (where not record_image_eq(row(s.{quote(name)}::{kind}), row(b.{quote(name)}))"
        f" or s.{quote(name)}::text is distinct from b.{quote(name)}::text)"
        for name, kind in types.items()
    )
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"create temp table back (line int, {typed})")  # type: ignore[arg-type]
        with connection.cursor().copy("copy back from stdin") as copy:
            for row in rows:
                copy.write_row(row)
        lost, *wrong = connection.execute(  # type: ignore[misc]
            f"select count(*) filter (where s.line is null or b.line is null), {tests}"  # type: ignore[arg-type]
            f" from {source or table} s full join back b on s.line = b.line"
        ).fetchone()
        (held,) = connection.execute(f"select count(*) from {source or table}").fetchone()  # type: ignore[arg-type, misc]
    differing = [f"{name} {columns[name].type}" for name, count in zip(columns, wrong, strict=True) if count]
    return [*(["rows"] if lost or held != len(rows) else []), *differing]


def clear(tables: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Their blocks; a type that may hold anything asks for a decision."""
    return {
        table: {"key": "line", "personal": dict.fromkeys(columns, "keep")}
        for table, columns in tables.items()
    }


def test_every_type_lands_exactly_by_a_full_read_and_by_changes(typed: Project, kinds: Kinds) -> None:
    cases = [*kinds.scalars, *kinds.arrays, *kinds.domains, kinds.everything]
    tables = make_all(typed, cases)
    typed.catalog(clear(tables))
    reports = typed.good()
    for table, columns in tables.items():
        assert reports[table].operation == "refresh"
        landed = {c.name: c.type for c in reports[table].manifest.columns}  # type: ignore[union-attr]
        planned = {name: case.lands for name, case in columns.items()}
        assert {name: landed[name] for name in columns} == planned
        assert changed(typed, table, columns) == []
        names = ", ".join(columns)  # every row takes another one's values, which a merge must bring over
        typed.execute(
            f"update {table} t set ({names}) = (select {names} from {table} o where o.line ="
            f" (t.line + 1) % (select count(*) from {table}))"
        )
    for report in typed.good().values():
        assert report.operation == "changes" and report.rows > 0
    assert [wrong for table, columns in tables.items() for wrong in changed(typed, table, columns)] == []
    assert len({case.type for case in cases}) > 250


def test_the_comparison_sees_one_changed_value_of_any_type(typed: Project, kinds: Kinds) -> None:
    """So that its silence above means something."""
    tables = make_all(typed, kinds.scalars)
    typed.catalog(clear(tables)).good()
    for table, columns in tables.items():
        names = ", ".join(columns)  # the first row's value for another one, or for none
        typed.execute(
            f"update {table} set ({names}) = (select {names} from {table} where line = 1) where line = 0"
        )
        assert changed(typed, table, columns) == [f"{name} {case.type}" for name, case in columns.items()]


def test_every_type_as_text_is_exact_too(typed: Project, kinds: Kinds) -> None:
    tables = make_all(typed, [*kinds.scalars, *kinds.arrays])
    typed.catalog(
        {t: {**block, "as": dict.fromkeys(tables[t], "text")} for t, block in clear(tables).items()}
    )
    typed.good()
    for table, columns in tables.items():
        assert changed(typed, table, columns) == []


def test_zero_has_no_sign_but_as_text(project: Project) -> None:
    """PostgreSQL holds 0 and -0 equal, and Parquet's and DuckDB's compression keep either for both."""
    project.execute(
        "create table t (id int primary key, r real, d double precision, rt real, dt double precision)",
        "insert into t select n, z, z, z, z from generate_series(1, 3000) n,"
        " lateral (select case n % 3 when 0 then '-0' when 1 then 0 else n end::float8) v(z)",
    )
    project.catalog({"t": {"key": "id", "as": {"rt": "text", "dt": "text"}}}).good()
    signs = "select count(*) from raw_shop.t where r::varchar = '-0.0' or d::varchar = '-0.0'"
    assert project.rows(signs) == [(0,)]
    columns = "id, r::float8, d, rt::text, dt::text"
    assert sorted(project.rows(f"select {columns} from raw_shop.t")) == sorted(
        project.source_rows(f"select {columns} from t")
    )


def test_a_refused_value_or_type_stops_its_table_alone_and_text_is_the_way_out(
    typed: Project, kinds: Kinds
) -> None:
    tables = {f"t{n}": case for n, case in enumerate(REFUSED_VALUES)}
    for table, (kind, value, _) in tables.items():
        typed.execute(
            f'create table {table} (line int primary key, "the x" {kind}, y int)',
            f"insert into {table} values (1, ({value})::{kind}, 5)",
        )
    strange = make(typed, "strange", [Case(kind, "VARCHAR", (value,)) for kind, value in kinds.refused_types])
    typed.execute("create table fine (id int primary key)", "insert into fine values (1)")
    blocks = clear({**{table: ["the x"] for table in tables}, "strange": strange})
    typed.catalog({**blocks, "fine": {"key": "id"}})
    reports = typed.sync()
    for table, (kind, value, says) in tables.items():
        error = reports[table].error
        assert isinstance(error, ValueNotKept), kind
        assert "the x" in str(error) and says in str(error) and '`as: {"the x": text}`' in str(error), kind
        assert len(value) < 8 or value.strip("'") not in str(error), "a row's value stands in the message"
        assert typed.ledger_sequences(table) == []
    error = reports["strange"].error
    assert isinstance(error, UnsupportedType) and "`as: {column: text}`" in str(error)
    assert all(f"{name} ({case.type})" in str(error) for name, case in strange.items())
    assert reports["fine"].error is None
    assert not [part for part in (typed.root / "landing").rglob("*.parquet") if "fine" not in part.parts]
    as_text = {table: {**blocks[table], "as": {"the x": "text"}} for table in tables}
    as_text["strange"] = {**blocks["strange"], "as": dict.fromkeys(strange, "text")}
    typed.catalog(as_text).good()
    assert changed(typed, "strange", strange) == []
    for table, (kind, _, _) in tables.items():
        assert changed(typed, table, {"the x": Case(kind, "VARCHAR", ())}) == [], kind


@pytest.mark.parametrize("way_out", ["corrected", "as text"])
def test_a_value_that_turns_up_later_leaves_what_is_landed_alone(project: Project, way_out: str) -> None:
    project.execute(
        "create table t (id int primary key, x numeric(10,2), y int[])",
        "insert into t values (1, 1.50, '{1}'), (2, 2.50, '{2}')",
    )
    project.catalog({"t": {"key": "id"}}).good()
    before = project.rows("select id, x, y, _batch_id from raw_shop.t order by id")
    project.execute("update t set x = 'NaN' where id = 2", "insert into t values (3, 3.50, '{3}')")
    for _ in range(2):
        assert isinstance(project.sync()["t"].error, ValueNotKept)
        assert project.ledger_sequences("t") == [1]
        assert project.rows("select id, x, y, _batch_id from raw_shop.t order by id") == before
    if way_out == "corrected":
        project.execute("update t set x = 4.50 where id = 2")
        assert project.good()["t"].operation == "changes"
    else:
        project.catalog({"t": {"key": "id", "as": {"x": "text"}}})
        drift = project.sync()["t"].error
        assert isinstance(drift, SchemaDrift) and "sync --refresh shop/t" in str(drift)
        project.good(refresh=["t"])
    assert project.rows("select id, x::varchar from raw_shop.t order by id") == project.source_rows(
        "select id, x::text from t order by id"
    )


@pytest.mark.parametrize("treatment", ["hash", "redact", "mask"])
def test_treatments_see_the_text_form_of_every_type(typed: Project, treatment: str, kinds: Kinds) -> None:
    tables = make_all(typed, kinds.scalars)
    tables["refused"] = make(
        typed, "refused", [Case("numeric(9,2)", "", ("'NaN'", "1")), Case("json", "", (r"""'"\ud800"'""",))]
    )
    typed.catalog(
        {t: {"key": "line", "personal": dict.fromkeys(columns, treatment)} for t, columns in tables.items()}
    ).good()
    for table, columns in tables.items():
        names = ", ".join(columns)
        clear = typed.source_rows(
            f"select line, {', '.join(f'{name}::text' for name in columns)} from {table} order by line"
        )
        landed = typed.rows(f"select line, {names} from raw_shop.{table} order by line")
        for expected, found in zip(clear, landed, strict=True):
            for name, text, treated in zip(columns, expected[1:], found[1:], strict=True):
                if text is None or treatment == "redact":
                    assert treated == (None if text is None else REDACTED)
                elif treatment == "hash":
                    assert treated == hash_value(name, text, HASH_KEY.encode()), columns[name].type
                else:
                    assert treated == MASKED or re.fullmatch(r"\+\d+\*{8}\d\d", treated)


@pytest.mark.usefixtures("thorough")
def test_no_setting_of_the_server_changes_a_text_form(typed: Project, kinds: Kinds) -> None:
    name = typed.url.rpartition("/")[2]
    typed.execute(
        *(
            f"alter database {name} set {setting}"
            for setting in (
                "datestyle = 'SQL, DMY'", "intervalstyle = 'sql_standard'", "extra_float_digits = '-15'",
                "bytea_output = 'escape'", "timezone = 'Asia/Kolkata'", "standard_conforming_strings = 'on'",
            )
        )
    )  # fmt: skip
    tables = make_all(typed, [*kinds.scalars, *kinds.arrays])
    typed.catalog(clear(tables)).good()
    for table, columns in tables.items():
        assert changed(typed, table, columns) == []


EXAMPLES = 4
"""Tables a seed draws; the first of each is a small one."""


@st.composite
def drawn_tables(
    draw: st.DrawFn, kinds: Kinds
) -> tuple[Case, dict[str, Case], list[list[int]], list[list[int]]]:
    """A key, columns by name, and two versions of some rows: which value each cell has."""
    short = [
        case
        for case in (*kinds.scalars, *kinds.arrays, *kinds.domains)
        if not any(len(v) > 400 or "repeat(" in v for v in case.values)
    ]
    cases = draw(st.lists(st.sampled_from(short), min_size=1, max_size=14))
    names = draw(st.permutations(NAMES))[: len(cases)]
    key = draw(st.sampled_from(kinds.keys))
    cells = st.lists(st.integers(0, 40), min_size=len(cases), max_size=len(cases))
    rows = draw(st.integers(0, 12))
    first = draw(st.lists(cells, min_size=rows, max_size=rows))
    second = draw(st.lists(cells, min_size=rows, max_size=rows + 4))
    return key, dict(zip(names, cases, strict=True)), first, second


def test_any_table_of_these_types_stays_exact(
    typed: Project, seeds: Callable[[int], Sequence[int]], kinds: Kinds
) -> None:
    """``--seeds N`` draws more of them."""
    done = [0]

    def stays_exact(drawn: tuple[Case, dict[str, Case], list[list[int]], list[list[int]]]) -> None:
        key, columns, first, second = drawn
        done[0] += 1
        table = f"drawn{done[0]}"
        typed_columns = ", ".join(f"{quote(name)} {case.type}" for name, case in columns.items())
        typed.execute(
            f'create table {table} ("Key" {key.type} primary key, line int unique, {typed_columns})'
        )
        typed.catalog({table: {"key": "Key", "personal": dict.fromkeys(["Key", *columns], "keep")}})
        for rows in (first, second):
            for line, cells in enumerate(rows):
                values = [case.sql(n) for case, n in zip(columns.values(), cells, strict=True)]
                sets = ", ".join(f"{quote(n)} = excluded.{quote(n)}" for n in columns)
                if line < len(key.values):
                    typed.execute(
                        f"insert into {table} values (({key.values[line]})::{key.type}, {line}, {', '.join(values)})"
                        f' on conflict ("Key") do update set {sets}'
                    )
            report = typed.good()[table]
            assert changed(typed, table, {"Key": key, **columns}) == []
            assert report.operation == ("refresh" if rows is first else "changes")

    for seed in seeds(1):
        run = settings(
            max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck), print_blob=False,
        )(given(drawn_tables(kinds))(stays_exact))  # fmt: skip
        try:
            hypothesis.seed(seed)(run)()
        except Exception as error:
            error.add_note(f"Repeat with: pytest {__file__} -k any_table --seed {seed}")
            raise
