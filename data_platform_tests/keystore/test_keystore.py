"""The keys of subjects, in SQLite and in PostgreSQL: two at once, killed, destroyed, rotated, copied."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from data_platform.errors import ConfigurationError, KeystoreUnreachable
from data_platform.keystore import Keystore
from data_platform.keystore.kinds import KeystoreConfig, opened
from data_platform.privacy.seal import NOBODY, SEALED, Place

MASTER = {"MASTER": "of-the-tests-at-least-32-characters", "NEXT": "another-of-the-tests-of-32-characters"}
PLACE = Place("shop/users", "email")
BLOCK = {"master": {"kind": "environment", "key_env": "MASTER"}}
Opened = Callable[..., Keystore]


def config(**block: Any) -> KeystoreConfig:
    return TypeAdapter(KeystoreConfig).validate_python(BLOCK | block)  # type: ignore[no-any-return]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def open_(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Opens one and the same keystore, once more each time."""
    environ, block = dict(MASTER), {"kind": "sqlite", "path": "keys/store.sqlite"}
    if request.param == "postgres":
        environ["KEYS_URL"] = request.getfixturevalue("database")
        block = {"kind": "postgres", "url_env": "KEYS_URL"}
    made: list[Keystore] = []

    def opened_(**more: Any) -> Keystore:
        made.append(opened(config(**block, **more), tmp_path, environ | more.pop("environ", {})))
        return made[-1]

    yield opened_
    for one in made:
        one.close()


def test_a_subject_has_one_key_and_each_kind_its_own_subjects(open_: Opened) -> None:
    one, other = open_(), open_()
    found = one.keys("shop/users", ["1", "2", None])
    assert {key.id for key in found.values()} == {
        key.id for key in other.keys("shop/users", ["2", "1", None]).values()
    }
    text = found["1"].seal(PLACE, "ada@example.com")
    assert other.keys("shop/users", ["1"])["1"].open(PLACE, text) == "ada@example.com"
    assert one.keys("shop/orders", ["1"])["1"].id != found["1"].id
    assert found[None].id.startswith(NOBODY)
    assert one.find("shop/users", "1") == found["1"].id
    assert one.find("shop/users", "3") is None
    status = other.status()
    assert (status.subjects, status.destroyed, status.nobody, status.number) == (3, 0, ("shop/users",), 1)


def test_junk_is_a_subject_as_any_other(open_: Opened) -> None:
    junk = ["", "\0", "\ud800", "'; DROP TABLE subjects; --", "x" * 10_000, "nobody", "é"]
    found = open_().keys("k", junk)
    assert len({key.id for key in found.values()}) == len(junk)
    assert open_().keys("k", junk)["\0"].id == found["\0"].id


def test_keys_that_two_make_at_once_are_the_same(open_: Opened) -> None:
    subjects = [str(number) for number in range(3_000)]
    stores = [open_() for _ in range(4)]
    stores[0].ready()
    found: list[dict[str | None, Any]] = []
    start = threading.Barrier(len(stores))

    def make(store: Keystore, some: list[str]) -> None:
        start.wait()
        found.append(store.keys("shop/users", some))

    threads = [
        threading.Thread(target=make, args=(store, subjects[n * 500 :] + subjects[: n * 500]))
        for n, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(stores)
    ids = {tuple(sorted((str(s), k.id) for s, k in one.items())) for one in found}
    assert len(ids) == 1
    assert open_().status().subjects == len(subjects)


def test_who_is_thought_to_have_no_key_keeps_the_one_they_have(open_: Opened) -> None:
    """After many new people the next ones are not looked for first: some may have keys, from others, and some were destroyed."""
    store, other = open_(), open_()
    store.keys("k", [str(n) for n in range(2_000)])
    assert store._new == {"k"}
    theirs = other.keys("k", [str(n) for n in range(1_500, 4_000)])
    gone = theirs["3999"].id
    assert other.destroy([gone]) == 1
    found = store.keys("k", [str(n) for n in range(1_900, 4_500)])
    assert store._new == set()
    assert {one: found[one].id for one in map(str, range(1_900, 3_999))} == {
        one: theirs[one].id for one in map(str, range(1_900, 3_999))
    }
    assert found["3999"].id != gone
    assert len({key.id for key in found.values()}) == 2_600
    again = open_().keys("k", found)
    assert {one: key.id for one, key in again.items()} == {one: key.id for one, key in found.items()}
    text = found["4400"].seal(PLACE, "x")
    assert again["4400"].open(PLACE, text) == "x"


def test_a_key_is_random_and_its_own_whoever_it_was_made_with(open_: Opened) -> None:
    found = open_().keys("k", [None, *map(str, range(500))])
    texts = {key.seal(PLACE, "the same").rpartition(":")[2] for key in found.values()}
    assert len(texts) == len({key.id for key in found.values()}) == 501
    assert all(SEALED.fullmatch(key.seal(PLACE, "")) for key in found.values())
    wrapped = open_()._rows.read("SELECT wrapped FROM subjects")
    assert len({bytes(one)[:12] for (one,) in wrapped}) == 501, "a nonce is used once"


def test_an_empty_keystore_that_many_open_at_once_has_one_wrapping_key(open_: Opened) -> None:
    stores = [open_() for _ in range(6)]
    threads = [threading.Thread(target=store.ready) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].status().number == 1
    assert len({store.keys("k", ["1"])["1"].id for store in stores}) == 1


def test_a_destroyed_key_is_gone_with_its_lookup_and_known_to_be_erased(open_: Opened) -> None:
    store, other = open_(), open_()
    found = store.keys("shop/users", ["1", "2"])
    other.keys("shop/users", ["1", "2"])
    text = found["1"].seal(PLACE, "ada@example.com")
    assert store.destroy([found["1"].id, "f" * 32]) == 1
    assert store.destroy([found["1"].id]) == 0
    ids = [found["1"].id, found["2"].id, "f" * 32]
    for one in (store, open_()):
        opened_again = one.opened(ids)
        assert set(opened_again) == set(ids[:2])
        assert opened_again[ids[0]] is None and opened_again[ids[1]] is not None
        assert one.find("shop/users", "1") is None
    again = store.keys("shop/users", ["1"])["1"]
    assert again.id != found["1"].id and again.seal(PLACE, "ada@example.com") != text
    assert store.status().destroyed == 1


def test_another_master_is_named_and_opens_nothing(open_: Opened) -> None:
    open_().keys("k", ["1"])
    with pytest.raises(ConfigurationError, match="was wrapped by the master key environment:") as caught:
        open_(master={"kind": "environment", "key_env": "NEXT"}).ready()
    assert "NEXT" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in MASTER.values())


def test_rotation_wraps_every_key_under_the_new_master_while_others_go_on(open_: Opened) -> None:
    store = open_()
    before = store.keys("k", [str(n) for n in range(6_000)])
    masters = {
        "master": {"kind": "environment", "key_env": "NEXT"},
        "previous_master": {"kind": "environment", "key_env": "MASTER"},
    }
    rotating, beside = open_(**masters), open_(**masters)
    beside.ready()
    assert rotating.rotate() == 6_000
    new = beside.keys("k", ["new"])["new"]  # it knew the wrapping key before only
    after = open_(master=masters["master"])
    assert after.status().number == 2
    assert {s: k.id for s, k in after.keys("k", list(before)).items()} == {s: k.id for s, k in before.items()}
    assert after.opened([new.id])[new.id] is not None
    assert after.rotate() == 6_001
    with pytest.raises(ConfigurationError, match="was wrapped by"):
        open_().ready()


def test_a_rotation_that_is_cut_is_finished_by_the_next(
    open_: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_()
    found = store.keys("k", [str(n) for n in range(20)])
    monkeypatch.setattr("data_platform.keystore.keys._REWRAPPED", 6)
    done = Keystore._rewrap
    calls = iter([False, True])

    def cut(self: Keystore, *values: Any, **how: Any) -> int:
        if next(calls):
            raise KeyboardInterrupt
        return done(self, *values, **how)

    monkeypatch.setattr(Keystore, "_rewrap", cut)
    with pytest.raises(KeyboardInterrupt):
        store.rotate()
    monkeypatch.setattr(Keystore, "_rewrap", done)
    assert {s: k.id for s, k in open_().keys("k", list(found)).items()} == {s: k.id for s, k in found.items()}
    assert open_().rotate() == 20
    assert open_().keys("k", ["7"])["7"].id == found["7"].id


@pytest.mark.parametrize("moment", ["after", "within"])
def test_a_key_outlives_a_process_that_is_killed_before_it_writes_its_part(
    tmp_path: Path, moment: str
) -> None:
    """Killed once the keys are committed, they are found; killed within the transaction, none is there."""
    program = """
import os, signal, sys
from pathlib import Path
from data_platform_tests.keystore.test_keystore import config, opened, MASTER
store = opened(config(kind="sqlite", path="k.sqlite"), Path(sys.argv[1]), MASTER)
store.ready()
if sys.argv[2] == "within":
    insert = store._rows.insert
    def killed(table, rows):
        insert(table, rows)
        os.kill(os.getpid(), signal.SIGKILL)
    store._rows.insert = killed
print(store.keys("k", ["1"])["1"].id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), moment], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    store = opened(config(kind="sqlite", path="k.sqlite"), tmp_path, MASTER)
    if moment == "after":
        assert store.find("k", "1") == done.stdout.strip() != ""
    else:
        assert store.find("k", "1") is None
        assert store.status().subjects == 0
    store.close()


def test_a_changed_row_does_not_open(tmp_path: Path) -> None:
    store = opened(config(kind="sqlite", path="k.sqlite"), tmp_path, MASTER)
    ids = [key.id for key in store.keys("k", ["1", "2"]).values()]
    store.close()
    with sqlite3.connect(tmp_path / "k.sqlite") as connection:  # another person's key in the place of one
        other = connection.execute("SELECT wrapped FROM subjects WHERE subject_id = ?", (ids[1],)).fetchone()
        connection.execute("UPDATE subjects SET wrapped = ? WHERE subject_id = ?", (*other, ids[0]))
    connection.close()
    with pytest.raises(ConfigurationError, match=f"its id is {ids[0]}"):
        opened(config(kind="sqlite", path="k.sqlite"), tmp_path, MASTER).opened(ids)


def test_the_file_is_closed_to_others_and_forgets_what_was_destroyed(tmp_path: Path) -> None:
    os.umask(0o022)
    store = opened(config(kind="sqlite", path="new/k.sqlite"), tmp_path, MASTER)
    found = store.keys("k", ["ada@example.com", *(str(n) for n in range(500))])
    key = found["ada@example.com"]
    file = tmp_path / "new/k.sqlite"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    token, wrapped = store._rows.read("SELECT token, wrapped FROM subjects WHERE subject_id = ?", (key.id,))[
        0
    ]
    assert wrapped in file.read_bytes() and token.encode() in file.read_bytes()
    assert b"ada@" not in file.read_bytes()
    store.destroy([key.id])
    left = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert wrapped not in left and token.encode() not in left and wrapped[12:28] not in left
    store.close()


def test_a_keystore_that_does_not_answer_is_named_without_its_url(tmp_path: Path) -> None:
    environ = MASTER | {"KEYS_URL": "postgresql://me:hidden-word@127.0.0.1:1/keys"}
    with pytest.raises(KeystoreUnreachable, match="KEYS_URL") as caught:
        opened(config(kind="postgres", url_env="KEYS_URL"), tmp_path, environ).ready()
    assert "hidden-word" not in str(caught.value) and caught.value.__cause__ is None
    (tmp_path / "k.sqlite").write_bytes(b"this is no database, and it is longer than a header of one" * 20)
    with pytest.raises(KeystoreUnreachable, match=r"k\.sqlite"):
        opened(config(kind="sqlite", path="k.sqlite"), tmp_path, MASTER).ready()


def test_keys_are_durable_whatever_the_database_says_of_commits(database: str) -> None:
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode())
    store = opened(config(kind="postgres", url_env="KEYS_URL"), Path(), MASTER | {"KEYS_URL": database})
    store.ready()
    assert store._rows.read("SHOW synchronous_commit") == [("on",)]
    store.close()
