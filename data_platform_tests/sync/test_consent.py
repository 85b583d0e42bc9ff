"""Answers in a table and answers by hand: the newest one holds, whoever erases a person erases theirs, and the mart says the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.backups.mirror import place_in
from data_platform.cli.app import run
from data_platform.errors import ConfigurationError, LedgerBroken, ObjectLocked
from data_platform.privacy.consent.answers import Answer, Decision, newest
from data_platform.privacy.consent.config import Purpose
from data_platform.stores.local import LocalStore
from data_platform.sync import Platform
from data_platform.sync.backup import archives, copy_landing, make_backup, restore_warehouse
from data_platform.sync.consent.book import Book
from data_platform.sync.consent.read import Consents, consents
from data_platform.sync.consent.table import write_decisions
from data_platform.sync.erasing import restored, steps
from data_platform_tests import people
from data_platform_tests.sync.conftest import HASH_KEY, Project

SQL = """
create table users (user_id bigint primary key, email text, updated_at timestamptz not null default clock_timestamp());
create table answers (id bigint primary key, user_id bigint, purpose text, state text, version text, said_at timestamptz,
    updated_at timestamptz not null default clock_timestamp());
insert into users select n, 'person' || n || '@company.example' from generate_series(1, 9) n;
insert into answers values
    (1, 1, 'letters', 'Granted', '1', '2026-01-01', now()), (2, 1, 'letters', 'no', '1', '2026-01-02', now()),
    (3, 2, 'letters', ' granted', '2', '2026-01-01', now()), (4, 2, 'tracking', 'granted', null, '2026-01-05', now()),
    (5, 3, 'letters', 'granted', '1', '2026-01-01', now()), (6, 4, 'letters', null, '2', '2026-01-01', now()),
    (7, 5, 'letters', 'granted', '2', '2026-01-01', now()), (8, 5, 'letters', 'withdrawn', '2', '2026-01-01', now()),
    (9, 6, 'unheard of', 'granted', '2', '2026-01-01', now());
"""
TABLES: dict[str, Any] = {
    "users": {"key": "user_id", "cursor": "updated_at", "personal": {"email": "hash"}},
    "answers": {"key": "id", "cursor": "updated_at"},
}
SUBJECTS: dict[str, Any] = {
    "customer": {
        "lookups": {"email": "shop/users.email", "user_id": "shop/users.user_id"},
        "links": {"shop/answers.user_id": "shop/users.user_id"},
        "consent": {
            "key": "shop/users.user_id",
            "purposes": {
                "letters": {"description": "Letters and offers.", "versions": ["2"]},
                "tracking": {"otherwise": "granted"},
            },
            "from": [
                {
                    "table": "shop/answers",
                    "subject": "user_id",
                    "purpose": "purpose",
                    "state": "state",
                    "version": "version",
                    "at": "said_at",
                }
            ],
        },
    }
}


@pytest.fixture
def shop(project: Project, redaction_key: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", HASH_KEY)
    return project.people(SQL, TABLES, SUBJECTS)


def of(platform: Platform, n: int) -> Consents:
    return consents(platform, platform.catalog.subject("customer"), {"user_id": [str(n)]})


def decide(
    platform: Platform, n: int, state: Any, purpose: str = "letters", version: str | None = "2"
) -> None:
    subject = platform.catalog.subject("customer")
    Book(platform).decide(subject, of(platform, n).keys, purpose, state, version, "the DPO")
    write_decisions(platform)


@pytest.mark.parametrize(
    ("person", "agrees", "state"),
    [
        (1, False, "withdrawn"),  # the later answer
        (2, True, "granted"),
        (3, False, "granted"),  # to a version that does not count
        (4, False, "withdrawn"),  # no answer that is known is a no
        (5, False, "withdrawn"),  # of two at once a no holds
        (6, False, None),  # to another purpose alone
        (7, False, None),
    ],
)
def test_the_answer_that_holds(shop: Project, person: int, agrees: bool, state: str | None) -> None:
    found = of(shop.platform(), person)
    assert found.agrees("letters") is agrees
    assert (found.answers["letters"].state if found.answers["letters"] else None) == state  # type: ignore[union-attr]
    assert found.agrees("tracking") is True, "nobody objected"


def test_an_answer_by_hand_holds_until_a_later_one(shop: Project) -> None:
    platform = shop.platform()
    decide(platform, 2, "withdrawn")
    assert not of(platform, 2).agrees("letters")
    decide(platform, 2, "withdrawn", "tracking", None)
    assert not of(platform, 2).agrees("tracking")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    shop.execute(
        f"insert into answers values (20, 2, 'letters', 'granted', '2', '{later}', clock_timestamp())"
    )
    shop.good()
    assert of(platform, 2).agrees("letters")
    held = shop.rows(
        "select subject_key, purpose, state from privacy.consent_decisions where subject_kind <> 'nobody' order by 2"
    )
    assert held == [("2", "letters", "withdrawn"), ("2", "tracking", "withdrawn")]


def test_the_command_reads_and_writes(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["subject", "consent", "--email", "Person3@company.example", "--root", str(shop.root), "--json"]
    capsys.readouterr()
    assert run(words) == 0
    first = json.loads(capsys.readouterr().out)["purposes"]["letters"]
    assert (first["agrees"], first["state"], first["said_by"]) == (False, "granted", "shop/answers")
    more = [
        "--set",
        "granted",
        "--purpose",
        "letters",
        "--policy-version",
        "2",
        "--authorised-by",
        "A. Officer",
    ]
    assert run([*words, *more]) == 0
    then = json.loads(capsys.readouterr().out)["purposes"]["letters"]
    assert (then["agrees"], then["said_by"], then["policy_version"]) == (True, "by hand", "2")
    assert run(["audit", "search", "--action", "consent", "--root", str(shop.root), "--json"]) == 0
    trail = capsys.readouterr().out
    assert "letters" in trail and "person3" not in trail
    assert run([*words, "--set", "granted", "--purpose", "unheard", "--authorised-by", "A"]) == 2
    assert run([*words, "--set", "maybe", "--purpose", "letters", "--authorised-by", "A"]) == 2
    assert run([*words, "--set", "granted"]) == 2
    nobody = ["subject", "consent", "--by", "user_id=77", "--root", str(shop.root)]
    assert run(nobody) == 2
    assert "No customer was found" in capsys.readouterr().err


def test_an_erased_person_has_no_answer_left(shop: Project) -> None:
    platform = shop.platform()
    decide(platform, 2, "withdrawn")
    decide(platform, 3, "granted")
    make_backup(platform)
    copied = place_in(archives(platform)[0]).reader
    assert len(copied.list("_consents/keys")) == 2
    done = people.erased(platform, user_id="2")
    assert done.done["quarantine"]["consents"] == {"answers": 1}
    assert shop.rows("select subject_key from privacy.consent_decisions where subject_key is not null") == [
        ("3",)
    ]
    for store in (platform.store, copied):
        assert len(store.list("_consents/keys")) == 1
    assert [key for _, key in Book(platform).known()] == ["3"]
    then = restored.forgetting(platform, list)
    report = restore_warehouse(platform, "latest", shop.root / "restored.duckdb", then=then)
    assert report.removed["privacy.consent_decisions"] == 1


def test_a_decision_of_a_process_that_was_killed_is_forgotten_too(shop: Project) -> None:
    """It sealed the person's key, and did not come to write the decision down; or it does so after the erasure."""
    platform = shop.platform()
    decide(platform, 3, "granted")
    book = Book(platform)
    orphan = book.beside.seal("0" * 32, b"2")
    people.erased(platform, user_id="2")
    assert orphan.key not in platform.store.list("_consents/keys")
    late = Decision("0" * 32, "customer", "letters", "granted", "2", "the DPO", orphan)
    book.log.append([late.entry()])
    assert [key for _, key in book.known()] == ["3"]
    assert write_decisions(platform) == 1


def ask(platform: Platform, n: int) -> str:
    return people.requested(platform, user_id=str(n)).id


def decisions(platform: Platform) -> list[str]:
    assert len(platform.store.list("_consents/keys")) == len(Book(platform).read().standing)
    return sorted(key for _, key in Book(platform).known())


def test_nobody_answers_for_a_person_who_is_being_erased(shop: Project) -> None:
    platform = shop.platform()
    decide(platform, 2, "granted")
    keys, customer = of(platform, 3).keys, platform.catalog.subject("customer")
    id_ = ask(platform, 3)
    with pytest.raises(ConfigurationError, match="is being erased, so no answer was written down"):
        Book(platform).decide(customer, keys, "letters", "granted", "2", "the DPO")
    assert decisions(platform) == ["2"]
    steps.carry_out(platform, id_, list)
    with pytest.raises(ConfigurationError, match="is being erased"):
        Book(platform).decide(customer, keys, "letters", "granted", "2", "the DPO")
    decide(platform, 2, "withdrawn")
    assert decisions(platform) == ["2", "2"]


@pytest.mark.parametrize("killed", [False, True])
def test_a_request_that_comes_while_an_answer_is_written(
    shop: Project, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """The person is erased after it was asked whether they are, and before anything is written; whoever writes it may be killed then."""
    platform = shop.platform()
    keys, customer = of(platform, 3).keys, platform.catalog.subject("customer")
    book = Book(platform)
    seal, refuse = book.beside.seal, book._refuse_erased
    sealed: list[str] = []

    def meanwhile(name: str, data: bytes) -> Any:
        steps.carry_out(platform, ask(platform, 3), list)
        sealed.append(name)
        return seal(name, data)

    def asked(*args: Any) -> None:
        if sealed and killed:
            raise KeyboardInterrupt
        refuse(*args)

    monkeypatch.setattr(book.beside, "seal", meanwhile)
    monkeypatch.setattr(book, "_refuse_erased", asked)
    with pytest.raises(KeyboardInterrupt if killed else ConfigurationError):
        book.decide(customer, keys, "letters", "granted", "2", "the DPO")
    assert bool(decisions(platform)) is killed
    copy_landing(platform)
    assert write_decisions(platform) == 0
    assert decisions(platform) == []
    assert shop.rows("select count(*) from privacy.consent_decisions where subject_kind = 'customer'") == [
        (0,)
    ]
    assert place_in(archives(platform)[0]).reader.list("_consents/keys") == []


def test_an_answer_that_is_written_between_two_steps_goes_with_the_last_one(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = shop.platform()
    keys, customer = of(platform, 3).keys, platform.catalog.subject("customer")
    id_, act = ask(platform, 3), steps._STEPS["samples"]

    def meanwhile(work: Any) -> Any:
        book = Book(platform)
        monkeypatch.setattr(
            book, "_refuse_erased", lambda *_: None
        )  # of a process that is killed before it looks again
        book.decide(customer, keys, "letters", "granted", "2", "the DPO")
        return act(work)

    monkeypatch.setitem(steps._STEPS, "samples", meanwhile)  # type: ignore[arg-type]
    steps.carry_out(platform, id_, list)
    assert decisions(platform) == []


def test_decisions_of_a_kind_that_left_the_catalog_leave_the_warehouse_with_the_person(shop: Project) -> None:
    platform = shop.platform()
    decide(platform, 2, "granted")
    platform = shop.subjects({"member": SUBJECTS["customer"]}).platform()
    assert write_decisions(platform) == 1
    people.erased(platform, kind="member", user_id="2")
    assert shop.rows("select subject_key from privacy.consent_decisions where subject_key is not null") == []
    assert platform.store.list("_consents/keys") == []


def test_a_copy_that_is_locked_keeps_nobody_from_being_erased(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sealed there goes with a later request."""
    platform = shop.platform()
    decide(platform, 2, "withdrawn")
    make_backup(platform)
    delete = LocalStore.delete

    def locked(self: LocalStore, key: str) -> None:
        if "backups" in self.url and "_consents/keys" in key:
            raise ObjectLocked("it is locked")
        delete(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "delete", locked)
        people.erased(platform, user_id="2")
    copied = place_in(archives(platform)[0]).reader
    assert len(copied.list("_consents/keys")) == 1
    assert platform.store.list("_consents/keys") == []
    people.erased(platform, user_id="3")
    assert copied.list("_consents/keys") == []


def test_the_log_outlives_the_landing_store_and_what_is_altered_is_named(shop: Project) -> None:
    platform = shop.platform()
    decide(platform, 2, "withdrawn")
    copy_landing(platform)
    key = platform.store.list("_consents/keys")[0]
    assert place_in(archives(platform)[0]).reader.read(key)[12:] != b"2"
    platform.store.delete(key)
    with pytest.raises(LedgerBroken, match="log of consents"):
        Book(platform).known()


def test_without_consent_in_the_catalog_there_is_nothing_to_agree_to(shop: Project) -> None:
    shop.subjects({"customer": {k: v for k, v in SUBJECTS["customer"].items() if k != "consent"}})
    with pytest.raises(ConfigurationError, match="no `consent`"):
        of(shop.platform(), 2)


INSTANTS = [None, *(datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))]
ANSWERS = st.builds(
    Answer,
    purpose=st.sampled_from(["letters", "tracking"]),
    state=st.sampled_from(["granted", "withdrawn"]),
    version=st.sampled_from([None, "1", "2"]),
    at=st.sampled_from(INSTANTS),
    said_by=st.just("shop/answers"),
)


@given(answers=st.lists(ANSWERS, max_size=8), order=st.randoms())
def test_the_order_of_answers_decides_nothing(answers: list[Answer], order: Any) -> None:
    mixed = list(answers)
    order.shuffle(mixed)
    for purpose in ("letters", "tracking"):
        one, other = newest(answers).get(purpose), newest(mixed).get(purpose)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert (one.state, one.at) == (other.state, other.at)
            assert one.counts(Purpose()) == (one.state == "granted")
