"""The record of processing: what the catalog says stands in it, what nobody said is a gap, and no secret is in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_platform.catalog import Catalog, load_catalog
from data_platform.errors import CatalogError
from data_platform.governance.classes import ClassedColumn, Classes, Fault
from data_platform.governance.report import record
from data_platform.governance.words import markdown

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
PLATFORM = """
environments:
  prod:
    landing: {kind: s3, bucket: company-landing, region: eu-central-1}
    warehouse: {kind: bigquery, project: company-data, location: EU, staging: "gs://company-stage"}
    backups:
      store: {kind: s3, bucket: company-backups}
      copies: {elsewhere: {kind: gcs, bucket: company-copies}}
      retention: {days: 35, apply: true}
      start: 2026-11-01
    alerts:
      channels:
        ops: {kind: slack}
privacy:
  controller: {name: The Company, contact: privacy@company.example}
  processing:
    shop: {purpose: "Sales | <b>analysis</b>", people: [customers, visitors], basis: contract, retention: ten years}
    gone: {purpose: Nothing}
"""
SHOP = """
source: shop
kind: postgres
connection: {url_env: SHOP_URL}
description: The shop [x](http://company.example).
start: 2026-01-01
tables:
  users:
    key: id
    columns: {email: Their address.}
    personal: {email: hash, phone: "mask?", name: redact, note: keep, reason: not_personal, doc.customer.email: hash}
  things: {key: id}
  visits: {key: id, retention: {days: 40, by: at, then: anonymise, columns: [page], purpose: Fraud is looked for.}}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    (tmp_path / "catalog/sources").mkdir(parents=True)
    (tmp_path / "catalog/platform.yaml").write_text(PLATFORM)
    (tmp_path / "catalog/sources/shop.yaml").write_text(SHOP)
    return load_catalog(tmp_path)


CLASSES = Classes(
    (
        ClassedColumn("marts", "m", "who", (), "pseudonymous", "", ("raw_shop.users.email",), True),
        ClassedColumn("marts", "m", "is_known", (), "none", "", ("raw_shop.users.email",), True),
        ClassedColumn("staging", "s", "who", (), "pseudonymous", "", ("raw_shop.users.email",), False),
    ),
    (Fault("marts", "m", "x", "marts.m.x carries personal values and does not declare it"),),
)


def test_what_the_catalog_says_stands_in_the_record(catalog: Catalog) -> None:
    made = record(catalog, catalog.environment("prod"), CLASSES, NOW)
    assert json.loads(json.dumps(made)) == made
    (shop,) = made["activities"]
    assert (shop["system"], shop["basis"], shop["people"]) == ("PostgreSQL", "contract", ["customers", "visitors"])  # fmt: skip
    (users,) = shop["tables"]  # a table without personal data is no part of it
    assert {one["column"]: one["class"] for one in users["data"]} == {
        "email": "pseudonymous", "phone": "masked", "name": "nothing left", "note": "personal",
        "doc.customer.email": "pseudonymous",
    }  # fmt: skip
    assert [(one["table"], one["column"]) for one in made["read_by_people"]] == [("marts.m", "who")]
    assert {one["what"]: one["region"] for one in made["places"]} == {
        "landing store": "eu-central-1", "warehouse": "EU", "backups": "not said in the catalog",
        "backups: copy elsewhere": "not said in the catalog",
    }  # fmt: skip
    assert [one["to"] for one in made["recipients"]] == [
        "ops (slack)", "primary: company-backups", "elsewhere: company-copies",
    ]  # fmt: skip
    assert {"what": "backups", "kept": "35 days, then removed by the daily backup"} in made["retention"]
    assert made["retention"][:2] == [
        {
            "what": "shop/visits",
            "kept": "40 days from `at`, then anonymised by hand, with `data-platform retention apply`, in the landing store too."
            " Why: Fraud is looked for.",
        },
        {
            "what": "other raw tables",
            "kept": "as long as the row is at its source, or the table in the catalog",
        },
    ]
    assert any("signed" in one for one in made["safeguards"])
    assert not any("encrypted" in one for one in made["safeguards"])


def test_what_nobody_said_is_a_gap(catalog: Catalog) -> None:
    gaps = record(catalog, catalog.environment("prod"), CLASSES, NOW)["gaps"]
    for part in ("processing: gone", "the region of company-backups", "the region of company-copies", "not confirmed", "marts.m.x carries"):  # fmt: skip
        assert sum(part in gap for gap in gaps) == 1, part
    assert len(gaps) == 5
    nobody = catalog.model_copy(update={"privacy": type(catalog.privacy)()})
    gaps = record(nobody, nobody.environment("prod"), Classes(), NOW)["gaps"]
    assert "controller" in gaps[0] and "purpose, people, basis are not said" in gaps[1]


def test_people_are_a_safeguard_and_rows_of_nobody_a_gap(tmp_path: Path, catalog: Catalog) -> None:
    assert not any(
        "certificate" in one
        for one in record(catalog, catalog.environment("prod"), CLASSES, NOW)["safeguards"]
    )
    for lookup, gaps in (("things.id", 1), ("users.id", 0)):
        (tmp_path / "catalog/subjects.yaml").write_text(
            f"subjects: {{customer: {{lookups: {{id: shop/{lookup}}}}}}}"
        )
        named = load_catalog(tmp_path)
        made = record(named, named.environment("prod"), CLASSES, NOW)
        assert any("certificate" in one for one in made["safeguards"])
        assert sum("shop/users: no link" in one for one in made["gaps"]) == gaps


def test_what_people_are_asked_to_agree_to_stands_in_the_record(tmp_path: Path, catalog: Catalog) -> None:
    assert record(catalog, catalog.environment("prod"), CLASSES, NOW)["consents"] == []
    (tmp_path / "catalog/subjects.yaml").write_text(
        "subjects: {customer: {lookups: {id: shop/users.id}, consent: {key: shop/users.id, purposes: {letters: {versions: ['2']}},"
        " from: [{table: shop/users, subject: id, purpose: {value: letters}, state: yes_or_no, at: at}]}}}"
    )
    named = load_catalog(tmp_path)
    made = record(named, named.environment("prod"), CLASSES, NOW)
    assert made["consents"] == [
        {
            "people": "customer", "purpose": "letters", "description": "", "versions": ["2"], "otherwise": "denied",
            "answers": ["shop/users"],
        }
    ]  # fmt: skip
    assert "| customer | letters |" in markdown(made)
    assert any("each build proves it" in one for one in made["safeguards"])


def test_its_markdown_renders_no_markup_of_the_catalog(catalog: Catalog) -> None:
    text = markdown(record(catalog, catalog.environment("prod"), CLASSES, NOW))
    for heading in "abcdefg":
        assert f"({heading}" in text or f", {heading})" in text, f"Art. 30(1)({heading})"
    assert "Sales \\| \\<b>analysis\\</b>" in text
    assert "\\[x\\](http" in text and "[x](" not in text.replace("\\[x\\](", "")
    assert "| users | email | Their address. | hash | pseudonymous |" in text
    assert "SHOP_URL" not in text


def test_a_legal_basis_that_there_is_not_is_a_mistake(tmp_path: Path, catalog: Catalog) -> None:
    path = catalog.root / "catalog/platform.yaml"
    path.write_text(PLATFORM.replace("basis: contract", "basis: because"))
    with pytest.raises(CatalogError, match=r"privacy\.processing\.shop\.basis"):
        load_catalog(catalog.root)
