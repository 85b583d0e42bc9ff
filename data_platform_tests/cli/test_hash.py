"""``hash``: the same hash as a sync stores, from standard input and under the key of the environment."""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result

Cli = Callable[..., Result]
KEY = "a key of more than sixteen characters"


def hashed(value: str) -> str:
    return hmac.new(KEY.encode(), value.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, project: Path) -> Callable[[str], None]:
    monkeypatch.setenv("CLI_TEST_HASH_KEY", KEY)
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.parametrize("text", ["ann@example.com", " Ann@Example.com \n", "ann@example.com\r\n"])
def test_an_address_is_hashed_as_a_sync_stores_it(cli: Cli, typed: Callable[[str], None], text: str) -> None:
    typed(text)
    done = cli("hash")
    assert (done.code, done.out, done.err) == (0, hashed("ann@example.com") + "\n", "")


def test_each_line_is_a_value_and_another_column_takes_it_as_it_is(
    cli: Cli, typed: Callable[[str], None]
) -> None:
    typed("A-1\n\n a-1 \n")
    assert cli("hash", "--column", "ssn").out.split() == [hashed("A-1"), hashed(""), hashed(" a-1 ")]


def test_without_a_value_or_a_key_nothing_is_printed(
    cli: Cli, typed: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed("")
    empty = cli("hash")
    assert (empty.code, empty.out) == (2, "")
    assert "one value on each line" in empty.err
    monkeypatch.setenv("CLI_TEST_HASH_KEY", "short")
    typed("ann@example.com\n")
    keyless = cli("hash")
    assert (keyless.code, keyless.out) == (2, "")
    assert "CLI_TEST_HASH_KEY is shorter than 16 characters" in keyless.err
    assert "ann@" not in keyless.err
