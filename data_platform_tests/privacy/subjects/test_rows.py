"""The rows of a person, against an oracle that follows the links one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.duckdb_sql import DIALECT
from data_platform.privacy.subjects.config import SubjectBlock
from data_platform.privacy.subjects.graph import Subject
from data_platform.privacy.subjects.place import Place
from data_platform.privacy.subjects.rows import Seed, select
from data_platform.sql import literal, quoted
from data_platform.tables import TableId

Row = Mapping[str, Any]
LINKS = {
    "a/orders.user_id": "a/users.id",
    "a/items.order_id": "a/orders.id",
    "b/customers.email": "a/users.email",
    "b/customers.metadata.user": "a/users.id",
    "b/charges.customer": ["b/customers.id", "a/users.id"],
}
COLUMNS = {
    "a/users": ("id", "email"),
    "a/orders": ("id", "user_id"),
    "a/items": ("id", "order_id"),
    "b/customers": ("id", "email", "metadata"),
    "b/charges": ("id", "customer"),
}
PEOPLE = Subject.of(
    "customer",
    SubjectBlock.model_validate(
        {"lookups": {"email": ["a/users.email", "b/customers.email"], "id": "a/users.id"}, "links": LINKS}
    ),
)
few = st.one_of(st.none(), st.integers(1, 4).map(str))
mails = st.one_of(st.none(), st.sampled_from(["a@x", "A@x ", "b@x", "ä@x"]))


@st.composite
def companies(draw: st.DrawFn) -> dict[str, list[Row]]:
    def value(column: str) -> Any:
        if column == "metadata":
            user = draw(few)
            return draw(
                st.sampled_from(['{"other": 1}', f'{{"user": {user or "null"}}}', f'{{"user": "{user}"}}'])
            )
        return draw(mails if column == "email" else few)

    return {
        table: [{column: value(column) for column in columns} for _ in range(draw(st.integers(0, 4)))]
        for table, columns in COLUMNS.items()
    }


def text(row: Row, place: Place) -> str | None:
    import json

    value = row[place.column]
    if place.path and value is not None:
        value = json.loads(value).get(place.path[0])
    if value is None:
        return None
    return str(value).strip(" ").lower() if place.name == "email" else str(value)


def oracle(company: Mapping[str, Sequence[Row]], seeds: Sequence[Seed]) -> dict[str, int]:
    mine: dict[str, set[int]] = {table: set() for table in company}
    while True:
        before = sum(map(len, mine.values()))
        for table, rows in company.items():
            for n, row in enumerate(rows):
                seeded = any(
                    str(seed.place.table) == table
                    and text(row, seed.place)
                    == (seed.value.strip(" ").lower() if "@" in seed.value else seed.value)
                    for seed in seeds
                )
                linked = any(
                    text(row, link.child) is not None
                    and text(row, link.child)
                    in {
                        text(company[str(link.parent.table)][m], link.parent)
                        for m in mine[str(link.parent.table)]
                    }
                    for link in PEOPLE.links
                    if str(link.child.table) == table
                )
                if seeded or linked:
                    mine[table].add(n)
        if sum(map(len, mine.values())) == before:
            return {table: len(rows) for table, rows in mine.items() if rows}


@settings(deadline=None, max_examples=60)
@given(companies(), st.sampled_from(["1", "2", "a@x", "A@X", "Ä@x"]))
def test_a_persons_rows_are_those_that_the_links_lead_to(company: dict[str, list[Row]], value: str) -> None:
    lookup = "email" if "@" in value else "id"
    seeds = [Seed(place, value) for place in PEOPLE.lookups[lookup]]
    with duckdb.connect() as engine:
        for table, rows in company.items():
            names = [f"{quoted(c)} {'JSON' if c == 'metadata' else 'VARCHAR'}" for c in COLUMNS[table]]
            engine.execute(f"CREATE TABLE {quoted(table)} ({', '.join(names)})")
            for row in rows:
                values = ["NULL" if v is None else literal(v) for v in row.values()]
                engine.execute(f"INSERT INTO {quoted(table)} VALUES ({', '.join(values)})")
        selected = select(PEOPLE, seeds, DIALECT, lambda table: quoted(str(table)), lambda _: True)
        counting = selected.counting()
        counted = {
            str(selected.parts[n].table): held
            for n, held in engine.execute(counting.sql, list(counting.bound)).fetchall()
            if held
        }
        expected = oracle(company, seeds)
        assert counted == expected
        for position, part in enumerate(selected.parts):
            reading = selected.reading(position)
            read = engine.execute(reading.sql, list(reading.bound)).fetchall()
            assert len(read) == expected.get(str(part.table), 0)


def test_values_are_bound_and_never_written() -> None:
    needle = "x' OR '1'='1"
    selected = select(
        PEOPLE, [Seed(PEOPLE.lookups["id"][0], needle)], DIALECT, lambda t: quoted(str(t)), lambda _: False
    )
    assert needle not in selected.counting().sql
    assert selected.counting().bound == (needle,)
    assert next(part.table for part in selected.parts) == TableId("a", "users")
