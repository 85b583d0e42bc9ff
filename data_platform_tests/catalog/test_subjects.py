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


CONSENT = (
    "{{lookups: {{id: shop/users.id}}, links: {{shop/orders.user_id: shop/users.id}}, consent: {{key: {key}, purposes: {purposes}, from: [{{"
    "table: {table}, subject: {subject}, purpose: {purpose}, state: state, granted: {granted}, at: at}}]}}}}"
)
RIGHT = {
    "key": "shop/users.id",
    "purposes": "{letters: {versions: ['2']}, figures: {otherwise: granted}}",
    "table": "shop/orders",
    "subject": "user_id",
    "purpose": "about",
    "granted": "['yes']",
}


def test_answers_of_people_are_read(tmp_path: Path) -> None:
    consent = load_catalog(project(tmp_path, CONSENT.format(**RIGHT))).subject("customer").consent
    assert consent is not None
    assert {name: one.otherwise for name, one in consent.purposes.items()} == {
        "letters": "denied",
        "figures": "granted",
    }
    assert [str(one.place) for one in consent.from_] == ["shop/orders.user_id"]


@pytest.mark.parametrize(
    ("changed", "path", "words"),
    [
        ({"key": "shop/users.phone"}, "key", "lands under `mask`"),
        ({"table": "shop/order"}, "from[0]", "Did you mean `shop/orders`?"),
        ({"subject": "id"}, "from[0]", "which is not linked to the key shop/users.id. Add a link"),
        ({"purpose": "{value: leters}"}, "", "about the purpose leters"),
        ({"purposes": "{none: {}}"}, "", "no name of a purpose"),
        ({"granted": "false"}, "from[0]", "means nothing"),
        ({"granted": '["it\'s"]'}, "from[0].granted", ""),
    ],
)
def test_mistakes_about_consent(tmp_path: Path, changed: dict[str, str], path: str, words: str) -> None:
    with pytest.raises(CatalogError) as raised:
        load_catalog(project(tmp_path, CONSENT.format(**{**RIGHT, **changed})))
    assert any(
        f"subjects.customer.consent.{path}".rstrip(".") in line and words in line
        for line in raised.value.mistakes
    )


def test_a_purpose_is_of_one_kind_of_people(tmp_path: Path) -> None:
    root = project(tmp_path, CONSENT.format(**RIGHT))
    file = root / "catalog/subjects.yaml"
    file.write_text(file.read_text() + f"  lead: {CONSENT.format(**RIGHT)}\n")
    with pytest.raises(CatalogError, match="is a purpose of customer too"):
        load_catalog(root)


def test_an_export_has_a_purpose_that_people_know(tmp_path: Path) -> None:
    root = project(tmp_path, CONSENT.format(**RIGHT))
    file = root / "catalog/platform.yaml"
    text = file.read_text()
    assert "\n    warehouse:" in text
    for purpose in ("letters", "leters"):
        more = f"\n    publish: {{path: p.duckdb, purpose: {purpose}}}\n    warehouse:"
        file.write_text(text.replace("\n    warehouse:", more, 1))
        if purpose == "letters":
            load_catalog(root)
    with pytest.raises(CatalogError, match=r"publish\.purpose: is leters, .*Did you mean `letters`"):
        load_catalog(root)
