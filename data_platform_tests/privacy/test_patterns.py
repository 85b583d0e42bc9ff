"""Personal data by its values: what is found anywhere in a text, and what only looks alike. The numbers are invented, or
published as examples by those who give them out."""

from __future__ import annotations

import random
import uuid

import pytest

from data_platform.privacy.patterns import CARD, EMAIL, IBAN, IP, NATIONAL_ID, PHONE, found


@pytest.mark.parametrize(
    "text, kind",
    [
        ("ana@company.example", EMAIL),
        ("Please call me back: Ana.Maria+shop@mail.company.example, thanks", EMAIL),
        ("reach us at +49 30 901820", PHONE),
        ("+55 (12) 3923-5555", PHONE),
        ("+442079460018.", PHONE),
        ("refund to DE89 3704 0044 0532 0130 00 please", IBAN),
        ("GB82WEST12345698765432", IBAN),
        ("card 4242 4242 4242 4242 exp 12/30", CARD),
        ("378282246310005", CARD),
        ("from 8.8.8.8, twice", IP),
        ("2001:4860:4860::8888", IP),
        ("SSN 536-22-8145", NATIONAL_ID),
        ("390.533.447-05", NATIONAL_ID),
        ("RSSMRA85T10A562S", NATIONAL_ID),
        ("54362315-K", NATIONAL_ID),
        ("131052-308T", NATIONAL_ID),
    ],
)
def test_found_wherever_it_is_in_a_text(text: str, kind: str) -> None:
    assert found([text]) == {kind: 1}
    assert found(["nothing here", None or "", f"Hello.\n{text}\nBye", "nor here"]) == {kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "a@b", "icon@2x.png", "git@host.internal", "user@localhost", "2026-11-30T22:10:11.123456+01:00",
        "+1 555 0100", "+999 123 456 789", "1,234,567.89", "v1.2.3.4", "Chrome/120.0.6099.109", "10.0.0.1", "127.0.0.1",
        "192.168.2.2", "1.2.3.4.5", "DE00 3704 0044 0532 0130 00", "4242 4242 4242 4241", "1764540000000", "000-00-0000",
        "order-100045", "4006381333931", "0000000000000000", "12:30:45", "::", "a1b2:c3", "aa:bb:cc:dd:ee:ff", "12345678901",
        "+44********12", "[redacted]", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "http://company.example/a?b=c", "SKU-12345678-Z9", "price 12.50-13.00", "\x00\ud800\u202e", "٠١٢٣٤٥٦٧٨٩",
    ],
)  # fmt: skip
def test_what_only_looks_alike_is_not_found(text: str) -> None:
    assert found([text]) == {}


def test_columns_of_numbers_raise_no_alarm_whatever_their_length() -> None:
    draw = random.Random(16)
    for length in range(6, 20):
        for prefix in ("", "4", "51", "1764"):
            values = [(prefix + "".join(draw.choices("0123456789", k=length)))[:length] for _ in range(200)]
            assert found(values) == {}, (length, prefix)
    assert found([str(uuid.UUID(int=draw.getrandbits(128))) for _ in range(200)]) == {}
    assert found([draw.randbytes(32).hex() for _ in range(200)]) == {}
    assert found([f"{draw.random():.12f}" for _ in range(200)]) == {}


def test_a_column_of_identity_numbers_is_told_from_one_of_other_numbers() -> None:
    from stdnum.pl import pesel

    draw = random.Random(7)
    numbers = [f"{draw.randrange(10**10):010d}" for _ in range(5000)]
    real = [one + pesel.calc_check_digit(one) for one in numbers]
    real = [one for one in real if pesel.is_valid(one)][:50]
    assert len(real) == 50
    assert found(real) == {NATIONAL_ID: 50}
    assert found(real[:5]) == {}  # too few to tell
    assert found([*real, *numbers[:50], *(f"{one}0" for one in numbers[50:100])]) == {}


def test_one_card_in_many_notes_is_found_and_one_in_many_numbers_is_not() -> None:
    notes = [f"note {number}" for number in range(199)]
    assert found([*notes, "card 4242424242424242"]) == {CARD: 1}
    numbers = [f"{4000000000000000 + number * 7}" for number in range(199)]
    assert found([*numbers, "4242424242424242"]) == {}
