"""Personal data of records: asked for by path before anything is written, treated wherever it stands."""

from __future__ import annotations

import pytest

from data_platform_tests.sources.records.conftest import Piles

PERSON = {
    "id": 1,
    "email": "Eve@example.com",
    "billing": {"phone": "+49 170 5550199", "zone": 3},
    "lines": [{"iban": "DE89"}],
}


def test_each_path_that_looks_personal_is_asked_for(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put(PERSON)
    for said in (piles.failure(), *piles.mistakes()):
        for path in ("email (looks like", "billing.phone (looks like", "lines.iban (looks like"):
            assert path in said
        assert "zone" not in said
    assert not list((piles.root / "landing").rglob("*.parquet"))


def test_a_path_that_appears_later_stops_the_table_before_it_lands(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put({"id": 1, "meta": {"a": 1}})
    piles.good()
    piles.pile().put({"id": 2, "meta": {"contact": {"email": "eve@example.com"}}})
    assert "meta.contact.email (looks like" in piles.failure()
    piles.tables({"items": {"key": "id", "personal": {"meta.contact.email": "hash"}}})
    piles.good()
    assert "eve@" not in repr(piles.rows("SELECT * FROM raw_api.items"))


def test_columns_fields_documents_and_records_are_treated_alike(piles: Piles) -> None:
    personal = {"email": "hash", "billing.phone": "mask", "lines.iban": "redact"}
    piles.tables({"items": {"key": "id", "personal": personal, "fields": {"phone": "billing.phone"}}})
    piles.pile().put(PERSON)
    piles.good()
    (row,) = piles.rows(
        "SELECT email, _record ->> '$.email', phone, billing ->> '$.phone', _record ->> '$.billing.phone',"
        " lines ->> '$[0].iban', _record ->> '$.lines[0].iban', billing ->> '$.zone' FROM raw_api.items"
    )
    email, in_record, phone, in_document, phone_in_record, iban, iban_in_record, zone = row
    assert email == in_record and len(str(email)) == 64
    assert phone == in_document == phone_in_record == "+49********99"
    assert iban == iban_in_record == "[redacted]" and zone == "3"
    texts = [p.read_bytes().decode("latin-1") for p in (piles.root / "landing").rglob("*") if p.is_file()]
    assert not [t for t in texts if "5550199" in t or "DE89" in t]


def test_a_treatment_of_a_whole_object_holds_for_what_is_within(piles: Piles) -> None:
    piles.tables(
        {"items": {"key": "id", "personal": {"billing": "redact"}, "fields": {"phone": "billing.phone"}}}
    )
    piles.pile().put({"id": 1, "billing": {"phone": "+49 170 5550199"}})
    piles.good()
    assert piles.rows("SELECT billing, phone, _record ->> '$.billing' FROM raw_api.items") == [
        ("[redacted]", "[redacted]", "[redacted]")
    ]


@pytest.mark.parametrize("other", [{}, {"billing.phone": "mask"}], ids=["all is kept", "some is treated"])
def test_what_is_kept_lands_byte_for_byte(piles: Piles, other: dict[str, str]) -> None:
    keep = {"name": "keep", "billing.zip": "keep", "billing.address": "keep", "billing.phone": "keep"}
    piles.tables({"items": {"key": "id", "personal": keep | other}})
    text = '{"id": 1, "name": "M\\u00fcller",  "billing": {"zip": 1.50, "address": {"no": 7, "tax": 1e2}, "phone": null}}'
    piles.pile().put(text)
    piles.good()
    assert piles.rows("SELECT _record::VARCHAR, billing::VARCHAR, name FROM raw_api.items") == [
        (text, '{"zip": 1.50, "address": {"no": 7, "tax": 1e2}, "phone": null}', "Müller")
    ]


def test_keys_that_are_data_are_one_path(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put({"id": 1, "by_user": {f"u{n}": {"email": "eve@example.com"} for n in range(400)}})
    assert "by_user.*.email" in piles.failure()


def test_what_only_leaves_out_need_not_be_declared(piles: Piles) -> None:
    piles.tables({"items": {"key": "id", "only": ["id"]}})
    piles.pile().put(PERSON)
    assert piles.mistakes() == []
    piles.good()
    assert "eve" not in repr(piles.rows("SELECT * FROM raw_api.items")).lower()


def test_a_field_is_asked_for_by_the_name_of_what_it_takes(piles: Piles) -> None:
    for name, path in (("contact", "billing.phone"), ("bill", "billing")):
        piles.tables({"items": {"key": "id", "fields": {name: path}, "only": ["id", name]}})
        piles.pile().path.unlink(missing_ok=True)
        piles.pile().put({"id": 1, "billing": {"phone": "+49 170 5550199"}})
        assert "(looks like a phone number)" in piles.failure()
