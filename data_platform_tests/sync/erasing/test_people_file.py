"""Many people are erased at once: one request, and one pass over all that is held."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_platform.cli.app import run
from data_platform.sync.erasing.book import Book
from data_platform_tests import people
from data_platform_tests.sync.conftest import HASH_KEY, Project
from data_platform_tests.sync.erasing.people import ORDERS, USERS, totals

WORDS = ("--yes", "--reason", "request 12", "--authorised-by", "the DPO")


@pytest.fixture
def erase(shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("SHOP_URL", shop.url)
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", HASH_KEY)

    def erase(text: str, *more: str) -> int:
        file = tmp_path / "people.csv"
        file.write_text(text, encoding="utf-8")
        return run(["subject", "erase", "--people", str(file), *more, "--root", str(shop.root)])

    return erase


def test_all_of_a_file_go_in_one_pass(shop: Project, erase, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    names = (
        "email,user_id\nperson7@company.example,\n,8\nperson9@company.example,10\nPERSON7@company.example,\n"
    )
    assert erase(names, "--json") == 0
    assert json.loads(capsys.readouterr().out)["tables"] == {
        "shop/users": 4,
        "shop/orders": 40,
        "shop/visits": 20,
    }
    assert totals(shop)["users"] == 40, "it was only counted"
    assert erase(names, *WORDS, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["people"], told["next_step"], told["rows"]["shop/orders"]) == (3, None, 40)
    assert totals(shop) == {"users": 36, "orders": 360, "visits": 180}
    platform = shop.platform()
    (request,) = Book(platform).read().requests.values()
    assert request.people == 3
    assert [len(platform.ledger.redactions(table)) for table in (USERS, ORDERS)] == [1, 1]
    assert run(["subject", "certificate", request.id, "--root", str(shop.root)]) == 0
    assert "of 3 people (customer)" in capsys.readouterr().out
    shop.good(refresh=["users", "orders", "visits"])
    assert totals(shop) == {"users": 36, "orders": 360, "visits": 180}


def test_who_is_not_there_or_on_hold_is_named_by_the_line(
    shop: Project,
    erase,
    capsys: pytest.CaptureFixture[str],  # type: ignore[no-untyped-def]
) -> None:
    people.held(shop.platform(), email="person8@company.example")
    assert erase("email\nperson7@company.example\nperson8@company.example\n", *WORDS) != 0
    assert "case-77 is about line 3 (a lawsuit)" in " ".join(capsys.readouterr().err.split())
    assert erase("email\nnobody@company.example\nperson7@company.example\nno@company.example\n", *WORDS) != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "found by lines 2, 4, so nobody was erased" in said
    assert "nobody@" not in said
    for text, why in (
        ("email\n", "nobody in it"),
        ("email\n,\n", "Line 2"),
        ("email\na@company.example,b\n", "more values"),
        ("mail\na@company.example\n", "mail"),
    ):
        assert erase(text, *WORDS) != 0, text
        assert why in " ".join(capsys.readouterr().err.split())
    assert Book(shop.platform()).read().requests == {}
    assert totals(shop)["users"] == 40
