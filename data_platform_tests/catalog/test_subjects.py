"""``catalog/subjects.yaml``: what is read, and each mistake with its line and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.catalog import load_catalog
from data_platform.errors import CatalogError, ConfigurationError
from data_platform_tests.catalog.documents import write

TABLES = """\
  users: {key: id, personal: {email: hash, phone: mask, "payload.mail": redact}}
  orders: {key: id, only: [id, user_id, contact_email]}
  items: {key: id}
"""


def project(folder: Path, block: str, tables: str = TABLES) -> Path:
    root = write(folder, tables)
    (root / "catalog/subjects.yaml").write_text(f"subjects:\n  customer: {block}\n")
    return root


def test_people_are_read_and_a_change_is_seen(tmp_path: Path) -> None:
    block = "{lookups: {email: shop/users.email}, links: {shop/orders.user_id: shop/users.id}}"
    root = project(tmp_path, block)
    customer = load_catalog(root).subject("customer")
    assert [str(table) for table in customer.tables] == ["shop/users", "shop/orders"]
    project(tmp_path, "{lookups: {email: shop/users.email}}")
    assert [str(table) for table in load_catalog(root).subject("customer").tables] == ["shop/users"]
    with pytest.raises(ConfigurationError, match="Did you mean 'customer'"):
        load_catalog(root).subject("custmer")


@pytest.mark.parametrize(
    ("block", "path", "words"),
    [
        ("{lookups: {}}", "lookups", "at least one"),
        ("{links: {}}", "lookups", "is missing"),
        ("{lookups: {email: shop.users.email}}", "lookups.email", "source/table.column"),
        ("{lookups: {email: shop/user.email}}", "lookups.email", "Did you mean `shop/users`?"),
        ("{lookups: {phone: shop/users.phone}}", "lookups.phone", "lands under `mask`"),
        ("{lookups: {mail: shop/users.payload.mail}}", "lookups.mail", "lands under `redact`"),
        ("{lookups: {id: shop/orders.total}}", "lookups.id", "`only` leaves it out"),
        (
            "{lookups: {id: shop/users.id}, links: {shop/orders.contact_email: shop/users.email}}",
            "links.shop/orders.contact_email",
            "both must land in clear, or both as hash",
        ),
        ("{lookups: {id: shop/users.id}, links: {shop/users.boss: shop/users.id}}", "links", "to itself"),
        (
            "{lookups: {id: shop/users.id}, links: {shop/orders.user_id: shop/users.id, shop/users.last: shop/orders.id}}",
            "links",
            "lead in a circle",
        ),
        (
            "{lookups: {id: shop/users.id}, links: {shop/items.order_id: shop/orders.id}}",
            "links",
            "lead to shop/orders, shop/items, and no lookup",
        ),
        ("{lookup: {id: shop/users.id}}", "lookup", "Did you mean `lookups`?"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, block: str, path: str, words: str) -> None:
    root = project(tmp_path, block)
    with pytest.raises(CatalogError) as raised:
        load_catalog(root)
    assert any(
        line.startswith("catalog/subjects.yaml:2:") and f"subjects.customer.{path}" in line and words in line
        for line in raised.value.mistakes
    ), raised.value.mistakes


def test_a_source_file_with_a_mistake_makes_no_mistake_here(tmp_path: Path) -> None:
    root = project(tmp_path, "{lookups: {id: shop/users.id}}", "  users: {kee: id}\n")
    with pytest.raises(CatalogError) as raised:
        load_catalog(root)
    assert not [line for line in raised.value.mistakes if "subjects" in line]
    assert load_catalog(root, whole=False).subjects == {}


def test_a_source_that_the_company_has_not_is_left_out_with_a_question(tmp_path: Path) -> None:
    block = (
        "{lookups: {email: [shop/users.email, crm/people.mail]}, links: {crm/notes.person: crm/people.id}}"
    )
    catalog = load_catalog(project(tmp_path, block))
    assert [str(table) for table in catalog.subject("customer").tables] == ["shop/users"]
    assert any("names crm, of which the catalog has no file" in question for question in catalog.questions)
    project(tmp_path, "{lookups: {email: crm/people.mail}}")
    assert load_catalog(tmp_path).subjects == {}
