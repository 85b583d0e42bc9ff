"""A keystore that an earlier version made, with tokens of 64 digits, and what was sealed under its keys."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from data_platform.errors import ConfigurationError
from data_platform.keystore import Keystore, copies
from data_platform.privacy.seal import Place
from data_platform_tests.keystore.test_keystore import MASTER, PLACE, Opened, config, open_, opened

__all__ = ["open_"]
PATH = Place("shop/users", "profile", ("name", "first"))
VALUES = ("", "ada@example.com", "é\0\ud83d", "x" * 30)
SEALED: dict[str | None, tuple[str, tuple[str, ...], str]] = {
    "1": (
        "aea1fe6bf05f533e72761abc7eca449b",
        (
            "QcZNPuAVPPRx_7LykqXEsls",
            "WBfws23V3lB--IYhtpwOK7SSCCJQqA3scgy4oeKfmvU",
            "tboP_IeP0pZYam1P-GTTop8BWX2Nf6s",
            "ECicVPE4zLKknEBfGBkmh2YUzwu8FkwKP0NehNPZ5XRZ6mljd8yFyveFGKHtvRA",
        ),
        "pJ_sX0-hgW1on7efzmKk-GhkEJE",
    ),
    "\ud800": (
        "fc3adb5e32c5560edb370b3e77e75779",
        (
            "m-ePI7oBVFCroR3RUZOTagI",
            "fpskZ4WzpYC-n5Y9IJBr6hnaU15ssXevSoPRC-gK55I",
            "6p4qhwC_0XRsWREfGvsFm-nYXfwPbSY",
            "ogzkdb2OVwBen7eTSKY2VcunKDKxinE9NPiyKlBJ-1jdZ8gO7or1_Bx0mLeqQ0o",
        ),
        "JEUDt3DU_Yozb3CotTgc-MuTKjE",
    ),
    None: (
        "nobody-4109dd98ebd4262c0f9d4ebff556f342",
        (
            "jMBuHgMG6FlNZzuviQjN-NM",
            "2MG3blggfEEgbk4x494gwlOrvhsSWsZSsP_NCJb-dK0",
            "uaT6Fpy8fWpk7FR5ror6MLlEN04Ikjg",
            "OSN0imMN38E_WKWQrJB-bqAZCQypqbPF43FjMXmaCVVI-SYoaJm3Hyc-6SeH_FU",
        ),
        "HEnuFeeKUeWtd4CQJp4BeYXZziQ",
    ),
}
"""By subject: the id of the key, ``VALUES`` sealed at ``PLACE``, "Ada" at ``PATH``."""
GONE = "958d8735bb9725923f8aa27441c692c9"


def written(folder: Path) -> Path:
    """The file as it was."""
    path = folder / "earlier.sqlite"
    opened(config(kind="sqlite", path=path.name), folder, MASTER)._rows.read("SELECT 1")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(Path(__file__).with_name("earlier.sql").read_text())
    return path


def is_whole(store: Keystore) -> None:
    """Every subject has the key that it had, in both directions."""
    for subject, (id, sealed, within) in SEALED.items():
        assert store.find("person", subject) == id
        key = store.keys("person", [subject])[subject]
        assert key.id == id
        for place, value, text in (
            *((PLACE, *pair) for pair in zip(VALUES, sealed, strict=True)),
            (PATH, "Ada", within),
        ):
            assert key.seal(place, value) == f"sealed:1:{id}:{text}", (
                "a row that is read again is no changed row"
            )
            assert key.open(place, f"sealed:1:{id}:{text}") == value
    assert store.opened([GONE]) == {GONE: None}
    assert store.find("person", "gone") is None


def test_its_subjects_are_found_and_what_was_sealed_opens(tmp_path: Path) -> None:
    path = written(tmp_path)
    store = opened(config(kind="sqlite", path=path.name), tmp_path, MASTER)
    is_whole(store)
    new = store.keys("person", [str(n) for n in range(2_000)])
    assert new["1"].id == SEALED["1"][0]
    tokens = [token for (token,) in store._rows.read("SELECT token FROM subjects WHERE token <> 'nobody'")]
    assert {len(token) for token in tokens} == {64}, "one keystore has one kind of tokens"
    assert store.rotate() == 2_003
    again = opened(config(kind="sqlite", path=path.name), tmp_path, MASTER)
    is_whole(again)
    assert again.keys("person", ["1999"])["1999"].id == new["1999"].id
    for one in (store, again):
        one.close()


def test_its_copy_is_restored_into_a_new_keystore(open_: Opened, tmp_path: Path) -> None:
    store = open_()
    store.ready()
    assert copies.restore(store, written(tmp_path)) == 5
    is_whole(store)
    is_whole(open_())


def test_a_keystore_without_its_secret_makes_no_keys(tmp_path: Path) -> None:
    path = written(tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE secrets SET name = 'of a later version'")
    store = opened(config(kind="sqlite", path=path.name), tmp_path, MASTER)
    with pytest.raises(ConfigurationError, match="lacks the secret"):
        store.keys("person", ["1"])
    store.close()
