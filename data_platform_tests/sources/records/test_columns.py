"""What becomes of a record's fields: types found and declared, exact numbers, documents, what does not fit."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from data_platform_tests.sources.records.conftest import Piles

EXACT = "0.12345678901234567890123456789"


def test_each_field_is_a_column_of_the_type_that_its_values_show(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put(
        {
            "id": 1,
            "title": "a",
            "price": 19.99,
            "ok": True,
            "nested": {"a": [1, 2]},
            "never": None,
            "list": [],
        },
        {"id": 2, "title": 'b\u0000\n"', "price": 3, "ok": None, "later": "x"},
    )
    piles.good()
    assert {name: type_ for name, type_ in piles.types().items() if name[0] != "_"} == {
        "id": "BIGINT", "title": "VARCHAR", "price": "DOUBLE", "ok": "BOOLEAN", "nested": "JSON", "list": "JSON",
        "later": "VARCHAR",
    }  # fmt: skip
    assert piles.rows("SELECT id, title, price, ok, nested, list, later FROM raw_api.items ORDER BY id") == [
        (1, "a", 19.99, True, '{"a": [1, 2]}', "[]", None),
        (2, 'b\u0000\n"', 3.0, None, None, None, "x"),
    ]


@pytest.mark.parametrize(
    ("numbers", "type_"),
    [
        (["1", "-7"], "BIGINT"),
        (["9223372036854775807", "-9223372036854775808"], "BIGINT"),
        (["12345678901234567890"], "DECIMAL(38,0)"),
        (["1.5", "2", "1e-7", "-0.0"], "DOUBLE"),
        (["0.1", "9007199254740993"], "DECIMAL(38,18)"),
        (["1234567890.123456789", "2"], "DECIMAL(38,18)"),
        ([EXACT], "JSON"),
        (["1e400", "1"], "JSON"),
        (["1e-400"], "JSON"),
        ([str(10**40)], "JSON"),
        (["1.2300000000000000000000"], "DOUBLE"),
    ],
)
def test_a_number_is_exactly_the_one_that_came(piles: Piles, numbers: list[str], type_: str) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put(*(f'{{"id": {n}, "n": {number}}}' for n, number in enumerate(numbers)))
    piles.good()
    assert piles.types()["n"] == type_
    landed = [value for (value,) in piles.rows("SELECT n::VARCHAR FROM raw_api.items ORDER BY id")]
    assert [Decimal(value) for value in landed] == [Decimal(number) for number in numbers]
    records = [value for (value,) in piles.rows("SELECT _record::VARCHAR FROM raw_api.items ORDER BY id")]
    assert records == [f'{{"id": {n}, "n": {number}}}' for n, number in enumerate(numbers)]


DECLARED: list[tuple[str, Any, Any]] = [
    ("decimal(12,2)", "19.9", Decimal("19.90")),
    ("decimal(12,2)", '"19.99"', Decimal("19.99")),
    ("decimal(12,2)", "1e2", Decimal("100.00")),
    ("decimal(30,25)", "0.1234567890123456789012345", Decimal("0.1234567890123456789012345")),
    ("bigint", '"42"', 42),
    ("bigint", "42.0", 42),
    ("text", "1.10", "1.10"),
    ("text", "true", "true"),
    ("bool", '"true"', True),
    ("double", '"1.5"', 1.5),
    ("date", '"2026-02-28"', date(2026, 2, 28)),
    ("timestamp", '"2026-02-28T10:00:00.123456+01:00"', datetime(2026, 2, 28, 9, 0, 0, 123456, UTC)),
    ("epoch", "1772272800", datetime(2026, 2, 28, 10, tzinfo=UTC)),
    ("epoch_ms", "1772272800123", datetime(2026, 2, 28, 10, 0, 0, 123000, UTC)),
    ("json", "1.10", "1.10"),
]


@pytest.mark.parametrize(("word", "text", "value"), DECLARED)
def test_a_declared_type_takes_what_is_one_of_it(piles: Piles, word: str, text: str, value: Any) -> None:
    piles.tables({"items": {"key": "id", "types": {"x": word}}})
    piles.pile().put(f'{{"id": 1, "x": {text}}}', '{"id": 2, "x": null}')
    piles.good()
    found = dict(piles.rows("SELECT id, x FROM raw_api.items"))
    assert found[2] is None
    assert found[1] == value, found


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("decimal(12,2)", "19.999"),
        ("decimal(4,2)", "123.4"),
        ("decimal(12,2)", "1e-3"),
        ("bigint", "1.5"),
        ("bigint", '"1.0"'),
        ("bigint", "9223372036854775808"),
        ("bool", "1"),
        ("date", '"2026-02-30"'),
        ("timestamp", '"yesterday"'),
        ("epoch", "1772272800123"),
        ("double", '"x"'),
    ],
)
def test_what_is_none_of_a_declared_type_is_set_aside_with_its_bytes(
    piles: Piles, word: str, text: str
) -> None:
    piles.tables({"items": {"key": "id", "types": {"x": word}}})
    record = f'{{"id": 1, "x": {text}}}'
    piles.pile().put(record, '{"id": 2, "x": null}')
    piles.good()
    assert piles.rows("SELECT id FROM raw_api.items") == [(2,)]
    assert piles.quarantined() == [(f"x is no {word}", "items.jsonl, line 0", record.encode())]


def test_fields_within_the_record_and_declared_ones_that_never_came(piles: Piles) -> None:
    piles.tables(
        {
            "items": {
                "key": "id",
                "fields": {"city": "place.city", "geo": "place.geo"},
                "types": {"due": "date"},
            }
        }
    )
    piles.pile().put(
        {"id": 1, "place": {"city": "Bonn", "geo": {"lat": 50.7}}},
        {"id": 2, "place": None},
        {"id": 3, "place": "x"},
    )
    piles.good()
    assert piles.rows("SELECT id, city, geo, due FROM raw_api.items ORDER BY id") == [
        (1, "Bonn", '{"lat": 50.7}', None), (2, None, None, None), (3, None, None, None),
    ]  # fmt: skip


def test_a_field_of_several_kinds_is_json_at_first_and_a_change_of_kind_waits_later(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put({"id": 1, "x": 1}, {"id": 2, "x": "one"}, {"id": 3, "x": [1.10]}, {"id": 4, "y": "text"})
    piles.good()
    assert piles.rows("SELECT x FROM raw_api.items ORDER BY id") == [("1",), ('"one"',), ("[1.1]",), (None,)]
    piles.pile().put({"id": 5, "y": 7})
    error = piles.failure()
    assert "y was text and holds bigint now" in error and "sync --refresh api/items" in error
    piles.good(refresh=["items"])
    assert piles.types()["y"] == "JSON"
    assert piles.rows("SELECT y FROM raw_api.items WHERE id > 3 ORDER BY id") == [('"text"',), ("7",)]


def test_integers_that_become_fractions_widen_the_table_without_a_reread(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put({"id": 1, "n": 9007199254740993})
    piles.good()
    piles.pile().put({"id": 2, "n": 0.1}, {"id": 3, "n": 7})
    report = piles.good()["items"]
    assert report.operation == "changes" and "widened" in " ".join(report.notes)
    assert piles.types()["n"] == "DECIMAL(38,18)"
    assert piles.rows("SELECT n FROM raw_api.items ORDER BY id") == [
        (Decimal("9007199254740993.000000000000000000"),),
        (Decimal("0.100000000000000000"),),
        (Decimal("7.000000000000000000"),),
    ]
    piles.pile().put({"id": 4, "n": 1e300})
    assert "n is no decimal(38,18) in 1 records" in piles.failure()


def test_an_empty_table_takes_the_types_of_its_first_records(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put()
    piles.good()
    assert piles.types()["id"] == "VARCHAR"
    assert piles.good()["items"].manifest is None
    piles.pile().put({"id": 7})
    piles.good()
    assert piles.types()["id"] == "BIGINT" and piles.rows("SELECT id FROM raw_api.items") == [(7,)]


def test_what_is_no_record_is_set_aside(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    broken = ["[1]", '{"id": NaN}', '{"id": 1']
    piles.pile().put({"id": 1}, *broken)
    piles.good()
    assert piles.rows("SELECT id FROM raw_api.items") == [(1,)]
    assert [record.decode() for _, _, record in piles.quarantined()] == broken


def test_too_many_fields_are_data_and_not_columns(piles: Piles) -> None:
    piles.tables({"items": {"key": "id"}})
    piles.pile().put({"id": 1, **{f"f{n}": n for n in range(1001)}})
    assert "1,002 different fields" in piles.failure()


def test_only_leaves_the_whole_record_out_too(piles: Piles) -> None:
    piles.tables({"items": {"key": "id", "only": ["id", "a"]}})
    piles.pile().put({"id": 1, "a": 2, "b": 3})
    piles.good()
    assert [n for n in piles.types() if n not in ("_batch_id", "_loaded_at")] == ["id", "a"]


def test_a_key_that_is_no_field_is_named(piles: Piles) -> None:
    piles.tables({"items": {"key": "nr"}})
    piles.pile().put({"id": 1})
    error = piles.failure()
    assert "nr" in error and "rows with a NULL" in error


def test_texts_survive_in_every_shape(piles: Piles) -> None:
    texts = ["", " ", "\u2028", "😀", "a\\b", 'q"q', "\t", "ü" * 5000]
    piles.tables({"items": {"key": "id"}}, page=100)
    piles.pile().put(*({"id": n, "t": text, "d": {"t": text}} for n, text in enumerate(texts)))
    piles.good()
    assert [t for (t,) in piles.rows("SELECT t FROM raw_api.items ORDER BY id")] == texts
    assert [json.loads(d)["t"] for (d,) in piles.rows("SELECT d FROM raw_api.items ORDER BY id")] == texts
