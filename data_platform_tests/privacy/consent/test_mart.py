"""The view of consents against Python, over random answers; its SQL runs for real."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import jinja2
import pytest

from data_platform.privacy.consent.config import ConsentBlock
from data_platform.privacy.consent.mart import render_properties, render_view

BLOCK = ConsentBlock.model_validate(
    {
        "key": "shop/users.id",
        "purposes": {"letters": {"versions": ["2", "3"]}, "figures": {"otherwise": "granted"}},
        "from": [
            {"table": "shop/answers", "subject": "user", "purpose": "about", "state": "said", "granted": ["Yes", "ja"],
             "version": "policy", "at": "at"},
            {"table": "shop/users", "subject": "id", "purpose": {"value": "letters"}, "state": "opted in", "granted": True, "at": "at"},
        ],
    }
)  # fmt: skip
AT = datetime(2026, 1, 1, tzinfo=UTC)
SAID = ["yes", " YES", "ja", "no", "maybe", None]
Answer = tuple[str | None, str, str | None, str | None, datetime | None]


def landed(source: str, table: str, columns: Mapping[str, list[str]]) -> str:
    names = ", ".join(f'cast("{column}" as {type_}) as {name}' for name, (column, type_) in columns.items())
    return f'(select {names} from "{source}/{table}")'


def built(
    block: ConsentBlock,
    answers: list[Answer],
    flags: list[tuple[int, bool | None, datetime]],
    by_hand: list[Answer] | None = None,
) -> list[Any]:
    sql = jinja2.Template(render_view({"customer": block}, "made")).render(
        config=lambda **_: "", column_type=lambda name: name, landed=landed
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            'CREATE TABLE "shop/answers" ("user" VARCHAR, about VARCHAR, said VARCHAR, policy VARCHAR, "at" TIMESTAMPTZ)'
        )
        connection.execute(
            'CREATE TABLE "privacy/consent_decisions" (subject_kind VARCHAR, subject_key VARCHAR, purpose VARCHAR, state VARCHAR,'
            " policy_version VARCHAR, decided_at TIMESTAMPTZ)"
        )
        connection.execute("INSERT INTO \"privacy/consent_decisions\" (subject_kind) VALUES ('nobody')")
        if by_hand:
            connection.executemany(
                "INSERT INTO \"privacy/consent_decisions\" VALUES ('customer', ?, ?, ?, ?, ?)", by_hand
            )
        connection.execute('CREATE TABLE "shop/users" (id BIGINT, "opted in" BOOLEAN, "at" TIMESTAMPTZ)')
        if answers:
            connection.executemany('INSERT INTO "shop/answers" VALUES (?, ?, ?, ?, ?)', answers)
        if flags:
            connection.executemany('INSERT INTO "shop/users" VALUES (?, ?, ?)', flags)
        return connection.execute(f"SELECT subject_key, purpose, state, counts FROM ({sql})").fetchall()


def expected(
    answers: list[Answer], flags: list[tuple[int, bool | None, datetime]], by_hand: list[Answer]
) -> set[Any]:
    """The newest answer of each person; at the same instant a no, and else the largest version."""
    newest: dict[tuple[str, str], tuple[Any, ...]] = {}
    every = [
        (key, about, (said or "").strip().lower() in ("yes", "ja"), policy, at)
        for key, about, said, policy, at in answers
    ]
    every += [(str(id_), "letters", bool(flag), None, at) for id_, flag, at in flags]
    every += [(key, about, said == "granted", policy, at) for key, about, said, policy, at in by_hand]
    for key, about, agreed, policy, at in every:
        if key is not None and about in ("letters", "figures"):
            rank = (at or datetime.min.replace(tzinfo=UTC), not agreed, policy or "")
            if (key, about) not in newest or rank > newest[key, about][0]:
                newest[key, about] = (rank, agreed, policy)
    return {
        (
            key,
            about,
            "granted" if agreed else "withdrawn",
            agreed and (about == "figures" or policy in ("2", "3")),
        )
        for (key, about), (_, agreed, policy) in newest.items()
    }


@pytest.mark.parametrize("seed", range(20))
def test_the_newest_answer_of_each_person_holds(seed: int) -> None:
    chance = random.Random(seed)

    def at() -> datetime:
        return AT + timedelta(days=chance.randrange(4))

    answers: list[Answer] = [
        (
            chance.choice(["1", "2", "3", None]),
            chance.choice(["letters", "figures", "unheard"]),
            chance.choice(SAID),
            chance.choice(["1", "2", "3", None]),
            chance.choice([at(), at(), None]),
        )
        for _ in range(chance.randrange(40))
    ]
    flags = [(id_, chance.choice([True, False, None]), at()) for id_ in range(1, chance.randrange(1, 5))]
    by_hand: list[Answer] = [
        (
            chance.choice(["1", "2", "4"]),
            chance.choice(["letters", "figures"]),
            chance.choice(["granted", "withdrawn"]),
            chance.choice(["1", "2", None]),
            at(),
        )
        for _ in range(chance.randrange(6))
    ]
    found = built(BLOCK, answers, flags, by_hand)
    assert set(found) == expected(answers, flags, by_hand)
    assert len(found) == len(set(found))


def test_without_answers_nobody_has_a_row() -> None:
    assert built(BLOCK.model_copy(update={"from_": ()}), [], []) == []


def test_the_purposes_are_in_the_yaml_where_dbt_and_the_platform_read_them() -> None:
    text = render_properties({"customer": BLOCK}, "pseudonymous", "made")
    assert "config: {meta: {purposes: {figures: granted, letters: denied}}}" in text
    assert text.count("privacy: pseudonymous") == 1
