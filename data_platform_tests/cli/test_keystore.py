"""``keystore``: what is there, copied, brought back and wrapped again; no key in any output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data_platform.keystore import Keystore
from data_platform.sync import open_platform

from .conftest import PLATFORM, Result

Cli = Callable[..., Result]
SECRETS = {"DATA_PLATFORM_MASTER_KEY": "of-the-tests-at-least-32-characters", "NEXT": "next" * 10}
BLOCK = "    keystore: {kind: sqlite, path: keys/k.sqlite, backups: {path: copies}%s}\n"


def write(project: Path, more: str = "") -> None:
    privacy = PLATFORM.index("privacy:")
    (project / "catalog/platform.yaml").write_text(PLATFORM[:privacy] + BLOCK % more + PLATFORM[privacy:])


@pytest.fixture
def store(project: Path, monkeypatch: pytest.MonkeyPatch) -> Keystore:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    write(project)
    return open_platform(project).keystore()


def test_status_makes_nothing_and_counts(cli: Cli, store: Keystore) -> None:
    found = json.loads(cli("keystore", "status", "--json").out)
    assert (found["subjects"], found["wrapping_key"], found["copies"]) == (0, 0, [])
    store.keys("shop/users", ["1", "2", None])
    store.destroy([store.keys("shop/users", ["1"])["1"].id])
    done = cli("keystore", "status")
    assert done.code == 0 and "1 subject, 1 destroyed key" in done.out
    assert "shop/users" in done.out + done.err and "There is no copy" in done.out + done.err


def test_a_copy_is_made_and_brought_back(cli: Cli, store: Keystore, project: Path) -> None:
    key = store.keys("shop/users", ["1"])["1"]
    assert cli("keystore", "backup").code == 0
    (copy,) = (project / "copies").iterdir()
    (project / "keys/k.sqlite").unlink()
    done = cli("keystore", "restore", str(copy))
    assert (done.code, "1 key added" in done.out) == (0, True)
    assert open_platform(project).keystore().find("shop/users", "1") == key.id
    assert cli("keystore", "restore", "nothing.sqlite").code == 10


def test_the_master_is_changed(cli: Cli, store: Keystore, project: Path) -> None:
    store.keys("shop/users", ["1"])
    write(project, ", master: {kind: environment, key_env: NEXT}")
    done = cli("keystore", "status")
    assert done.code == 2 and "previous_master" in done.err
    old = ", previous_master: {kind: environment}"
    write(project, ", master: {kind: environment, key_env: NEXT}" + old)
    done = cli("keystore", "rotate")
    assert done.code == 0 and "1 key wrapped" in done.out
    write(project, ", master: {kind: environment, key_env: NEXT}")
    assert cli("keystore", "status").code == 0
    for result in (done, cli("keystore", "status"), cli("keystore", "status", "--json")):
        assert not any(secret in result.out + result.err for secret in SECRETS.values())


def test_without_a_keystore_or_a_folder_it_is_said_what_to_write(
    cli: Cli, project: Path, store: Keystore
) -> None:
    file = project / "catalog/platform.yaml"
    file.write_text(file.read_text().replace(", backups: {path: copies}", ""))
    done = cli("keystore", "backup")
    assert done.code == 2 and "keystore: {backups:" in done.err
    file.write_text(PLATFORM)
    done = cli("keystore", "status")
    assert done.code == 2 and "has no `keystore`" in done.err


def test_doctor_says_whether_values_could_be_opened(cli: Cli, store: Keystore) -> None:
    def told() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one in json.loads(cli("doctor", "--json").out)["checks"]:
            found.setdefault(one["check"], []).append(one["state"])
        return found

    assert told()["keystore"] == ["ok"] and "keystore copies" not in told()
    store.keys("shop/users", ["1"])
    assert told()["keystore copies"] == ["warn"]
    assert cli("keystore", "backup").code == 0
    assert told()["keystore copies"] == ["ok"]
    store.keys("shop/users", [None])
    assert told()["keystore"] == ["warn"]


def test_reveal_asks_for_rows_and_a_table_that_is_there(cli: Cli, store: Keystore) -> None:
    needed = ("--column", "email", "--purpose", "a test")
    assert cli("reveal", "shop/orders", *needed).code == 2
    assert cli("reveal", "shop/orders", *needed, "--where", "true", "--subject", "1").code == 2
    assert cli("reveal", "orders", *needed, "--where", "true").code == 2
    done = cli("reveal", "shop/orders", *needed, "--where", "true")
    assert done.code == 2 and "nothing to reveal" in done.err
