"""The view of consents means the same as the fold over the answers of one person, whatever people answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

import duckdb
import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.privacy.consent.answers import Answer, newest, said
from data_platform.privacy.consent.config import BY_HAND, ConsentBlock
from data_platform.privacy.consent.mart import render_view
from data_platform_tests.privacy.consent.test_mart import BLOCK, landed

STAFF = ConsentBlock.model_validate(
    {
        "key": "shop/users.id",
        "purposes": {"training": {}},
        "from": [
            {
                "table": "shop/answers",
                "subject": "user",
                "purpose": "about",
                "state": "said",
                "granted": ["Yes"],
                "at": "at",
            }
        ],
    }
)
BLOCKS = {"customer": BLOCK, "staff": STAFF}
"""Two kinds of people, who answer in one table: neither answers for the other."""
TABLES = """
SET TimeZone = 'UTC';
CREATE TABLE "shop/answers" ("user" VARCHAR, about VARCHAR, said VARCHAR, policy VARCHAR, "at" TIMESTAMPTZ);
CREATE TABLE "shop/users" (id BIGINT, "opted in" BOOLEAN, "at" TIMESTAMPTZ);
CREATE TABLE "privacy/consent_decisions" (
    subject_kind VARCHAR, subject_key VARCHAR, purpose VARCHAR, state VARCHAR, policy_version VARCHAR, decided_at TIMESTAMPTZ
);
"""
PURPOSES = st.sampled_from(["letters", "figures", "training", "unheard", None])
VERSIONS = st.sampled_from([None, "", "1", "2", "3", "10"])
INSTANTS = st.integers(0, 2).map(lambda day: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day))
PEOPLE = ["1", "2"]
SAID = st.sampled_from(["yes", " YES", "Ja ", "ja\t", "no", "", " ", "granted", None])
NAMES = ("shop/answers", "shop/users", "privacy/consent_decisions")
COLUMNS = "subject_kind, subject_key, purpose, state, policy_version, decided_at, said_by, counts"
Row = tuple[Any, ...]


class History(NamedTuple):
    """Rows of the tables, in the order of their columns."""

    answers: list[Row]
    flags: list[Row]
    decisions: list[Row]


View = Callable[[History], set[Row]]
HISTORIES = st.builds(
    History,
    st.lists(
        st.tuples(st.sampled_from([*PEOPLE, None]), PURPOSES, SAID, VERSIONS, INSTANTS | st.none()),
        max_size=12,
    ),
    st.lists(st.tuples(st.sampled_from([1, 2]), st.booleans() | st.none(), INSTANTS | st.none()), max_size=3),
    st.lists(
        st.tuples(
            st.sampled_from([*BLOCKS, "nobody any more"]),
            st.sampled_from(PEOPLE),
            st.sampled_from(["letters", "figures", "training", "given up"]),
            st.sampled_from(["granted", "withdrawn"]),
            VERSIONS,
            INSTANTS,
        ),
        max_size=4,
    ),
)


@pytest.fixture(scope="module")
def view() -> Iterator[View]:
    """What the view's SQL says of a history."""
    sql = jinja2.Template(render_view(BLOCKS, "made")).render(
        config=lambda **_: "", column_type=lambda name: name, landed=landed
    )
    with duckdb.connect() as connection:
        connection.execute(TABLES)

        def viewed(history: History) -> set[Row]:
            for table, rows in zip(NAMES, history, strict=True):
                connection.execute(f'DELETE FROM "{table}"')
                if rows:
                    values = ", ".join([f"({', '.join('?' * len(rows[0]))})"] * len(rows))
                    connection.execute(
                        f'INSERT INTO "{table}" VALUES {values}', list(chain.from_iterable(rows))
                    )
            found = connection.execute(f"SELECT {COLUMNS} FROM ({sql})").fetchall()
            assert len(set(found)) == len(found), "one row a person and purpose"
            return set(found)

        yield viewed


def answers_of(kind: str, person: str, history: History) -> Iterable[Answer]:
    for one in BLOCKS[kind].from_:
        if one.table == "shop/answers":
            for key, purpose, state, version, at in history.answers:
                if key == person:
                    policy = version if one.version is not None else None
                    yield Answer(purpose, said(state, one), policy, at, one.table)
        else:
            for id_, flag, at in history.flags:
                if str(id_) == person:
                    yield Answer("letters", said(flag, one), None, at, one.table)
    for subject, key, purpose, state, version, at in history.decisions:
        if (subject, key) == (kind, person):
            yield Answer(purpose, state, version, at, BY_HAND)


def folded(history: History) -> set[Row]:
    """What the fold says of each person."""
    return {
        (
            kind,
            person,
            purpose,
            held.state,
            held.version,
            held.at,
            held.said_by,
            held.counts(block.purposes[purpose]),
        )
        for kind, block in BLOCKS.items()
        for person in PEOPLE
        for purpose, held in newest(answers_of(kind, person, history)).items()
        if purpose in block.purposes
    }


@settings(deadline=None)
@given(history=HISTORIES)
def test_the_view_is_the_fold(view: View, history: History) -> None:
    assert view(history) == folded(history)


@settings(deadline=None)
@given(history=HISTORIES, random=st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_nothing(history: History, random: Any) -> None:
    mixed = History(*(random.sample(rows, len(rows)) for rows in history))
    assert folded(mixed) == folded(history)
