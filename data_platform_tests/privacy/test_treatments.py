"""Treatments: the SQL against the standard library and against Google's phone number library."""

from __future__ import annotations

import hashlib
import hmac
import re

import duckdb
import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_platform.privacy.treatments import CALLING_CODES, expression, hash_value, session_setup
from data_platform.tables import Treatment

KEY = b"a key for tests, thirty-two byte"
text = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00")
)  # what PostgreSQL holds


def session(key: bytes = KEY) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for statement, parameters in session_setup(key):
        connection.execute(statement, parameters)
    return connection


ENGINE = session()


def treat(column: str, treatment: Treatment, *values: str | None) -> list[str | None]:
    sql = f"SELECT {expression(column, treatment, 'v')} FROM (SELECT unnest(CAST(? AS VARCHAR[])) AS v)"
    return [row[0] for row in ENGINE.execute(sql, [list(values)]).fetchall()]


@pytest.mark.parametrize("treatment", ["hash", "mask", "redact", "keep"])
def test_null_stays_null(treatment: Treatment) -> None:
    assert treat("email", treatment, None) == [None]


def test_redact_and_keep() -> None:
    assert treat("ssn", "redact", "123-45-6789", "") == ["[redacted]", "[redacted]"]
    assert treat("x", "keep", "as it is ") == ["as it is "]


@settings(deadline=None)
@given(text)
def test_a_hash_is_hmac_sha_256(value: str) -> None:
    expected = hmac.new(KEY, value.encode(), hashlib.sha256).hexdigest()
    assert treat("ssn", "hash", value) == [expected]
    assert hash_value("ssn", value, KEY) == expected


@settings(deadline=None)
@given(text)
@example(" \t\nAda@Example.COM\u00a0\u3000")
@example("İSTANBUL@ΣΑΣ.gr")
def test_an_email_is_trimmed_and_lower_cased_the_same_way_everywhere(value: str) -> None:
    assert treat("email", "hash", value) == [hash_value("email", value, KEY)]


def test_two_spellings_of_an_address_are_one() -> None:
    plain = hmac.new(KEY, b"ada@example.com", hashlib.sha256).hexdigest()
    for column in ("email", "customerEmail", "E-Mail", "mail", "email_address"):
        assert treat(column, "hash", "ada@example.com", "  Ada@EXAMPLE.com\t\r\n") == [plain, plain]
    assert len(set(treat("user_name", "hash", "Ada", "ada"))) == 2


@pytest.mark.parametrize("length", [1, 32, 63, 64, 65, 200])
def test_keys_of_every_length(length: int) -> None:
    key = bytes(range(1, length + 1))
    sql = f"SELECT {expression('ssn', 'hash', 'v')} FROM (SELECT 'value' AS v)"
    assert session(key).execute(sql).fetchone() == (hmac.new(key, b"value", hashlib.sha256).hexdigest(),)


def test_another_key_gives_another_hash() -> None:
    assert hash_value("ssn", "1", KEY) != hash_value("ssn", "1", KEY + b"!")


def test_no_key_stands_in_the_sql() -> None:
    for statement, _ in session_setup(KEY):
        assert KEY.decode() not in statement
        assert KEY.hex() not in statement
    assert "hash_inner" in expression("ssn", "hash", "v")


def test_a_forgotten_key_is_an_error_and_no_column_of_nulls() -> None:
    sql = f"SELECT {expression('ssn', 'hash', 'v')} FROM (SELECT unnest(['1', NULL]) AS v)"
    with pytest.raises(duckdb.Error, match="the key of the hash treatment is not set"):
        duckdb.connect().execute(sql).fetchall()


def test_the_calling_codes_are_those_of_the_world() -> None:
    codes = CALLING_CODES.split()
    assert {int(code) for code in codes} == set(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    assert not any(one != other and other.startswith(one) for one in codes for other in codes)


def example_numbers() -> list[phonenumbers.PhoneNumber]:
    regions = [phonenumbers.example_number(region) for region in phonenumbers.SUPPORTED_REGIONS]
    others = [
        phonenumbers.example_number_for_non_geo_entity(code)
        for code, region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
        if region == ("001",)
    ]
    return [number for number in [*regions, *others] if number is not None]


def test_a_number_of_every_country_keeps_its_code_and_two_digits() -> None:
    numbers = example_numbers()
    assert len(numbers) > 230
    for form in (
        phonenumbers.PhoneNumberFormat.E164,
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
        phonenumbers.PhoneNumberFormat.RFC3966,
    ):
        written = [phonenumbers.format_number(number, form).removeprefix("tel:") for number in numbers]
        digits = [phonenumbers.format_number(n, phonenumbers.PhoneNumberFormat.E164) for n in numbers]
        expected = [f"+{n.country_code}********{d[-2:]}" for n, d in zip(numbers, digits, strict=True)]
        assert treat("phone", "mask", *written) == expected


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+442079460912", "+44********12"),
        ("0044 20 7946 0912", "+44********12"),
        ("+1 (212) 555-0134", "+1********34"),
        ("(+49) 30/901820-55", "+49********55"),
        (" +44\u00a020\u20117946\u20110912 ", "+44********12"),
        ("020 7946 0912", "***"),
        ("+442079460912 ext. 77", "***"),
        ("+1-800-FLOWERS", "***"),
        ("+44", "***"),
        ("+4412", "***"),
        ("+999123456789", "***"),
        ("+44+2079460912", "***"),
        ("+4420794609121234567", "***"),
        ("+٤٤٢٠٧٩٤٦٠٩١٢", "***"),
        ("me@example.com", "***"),
        ("+442079460912\n+442079460913", "***"),
        ("", "***"),
    ],
)
def test_what_does_not_parse_is_masked_too(number: str, masked: str) -> None:
    assert treat("phone", "mask", number) == [masked]


@settings(deadline=None)
@given(text | st.from_regex(r"\A(\+|00)?[0-9 ().-]{0,20}\Z"))
def test_a_mask_never_shows_more(value: str) -> None:
    (masked,) = treat("phone", "mask", value)
    assert masked == "***" or re.fullmatch(r"\+\d{1,3}\*{8}\d\d", str(masked))
