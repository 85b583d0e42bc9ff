"""Which relations and columns a publication holds: what the catalog names, and nothing personal that it does not name."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.catalog import Catalog, load_catalog
from data_platform.errors import ConfigurationError
from data_platform.privacy.leaving import Carried
from data_platform.privacy.purposes import Exportable
from data_platform.sync.publish import chooser, stale_after_hours
from data_platform.warehouses import Relation
from data_platform.warehouses.publishing import PublishConfig
from data_platform_tests.catalog.documents import write

TABLES = """\
  users:
    key: id
    freshness_hours: 12
    personal: {email: hash, phone: mask, session_id: keep, "payload.customer.nickname": keep, "payload.body": redact, reason: not_personal}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return load_catalog(write(tmp_path, TABLES))


def relation(name: str, *columns: str, kind: str = "table") -> Relation:
    schema, _, table = name.partition(".")
    return Relation(schema, table, kind, tuple((column, "VARCHAR") for column in columns))


RELATIONS = [
    relation("marts.user_dim", "id", "email", "Phone", "customer_email", "country"),
    relation("marts.visits", "session_id", "reason", "nickname", "body", "payload", "day"),
    relation("staging.users", "id", "email", kind="view"),
    relation("raw_shop.users", "id", "session_id"),
    relation("_data_platform.loaded_batches", "source"),
]


def chosen(
    catalog: Catalog, relations: list[Relation] = RELATIONS, **settings: object
) -> dict[str, tuple[str, ...]]:
    config = PublishConfig.model_validate({"path": "p", **settings})
    found = chooser(config, catalog)(relations)
    for one in found:
        assert {*one.columns, *one.left_out} == {name for name, _ in one.relation.columns}
    return {f"{one.relation.schema}.{one.relation.name}": one.columns for one in found}


def test_the_marts_without_what_is_personal_in_clear(catalog: Catalog) -> None:
    """A hashed or masked column is published. A column that is kept in clear is not, nor is what a path kept in clear leads
    into or to, nor a column that looks personal and of which the catalog nowhere says more."""
    assert chosen(catalog) == {
        "marts.user_dim": ("id", "email", "Phone", "country"),
        "marts.visits": ("reason", "day"),
    }


def test_a_named_column_is_published(catalog: Catalog) -> None:
    named = ["marts.user_dim.customer_email", "marts.visits.session_id", "marts.visits.of_long_ago"]
    found = chosen(catalog, personal=named)
    assert found["marts.user_dim"] == ("id", "email", "Phone", "customer_email", "country")
    assert found["marts.visits"] == ("session_id", "reason", "day")


def test_schemas_and_single_relations(catalog: Catalog) -> None:
    assert chosen(catalog, schemas=["marts.user_dim", "staging", "raw_shop"]) == {
        "marts.user_dim": ("id", "email", "Phone", "country"),
        "staging.users": ("id", "email"),
        "raw_shop.users": ("id",),
    }


def test_what_is_named_and_not_there_is_refused(catalog: Catalog) -> None:
    for name in ("reports", "marts.gone"):
        with pytest.raises(
            ConfigurationError, match=f"names {name}, and the warehouse has nothing of this name"
        ):
            chosen(catalog, schemas=["marts", name])
    with pytest.raises(ConfigurationError, match=r"Every column of marts\.all_personal is personal"):
        chosen(catalog, [relation("marts.all_personal", "session_id")])


def test_the_class_of_a_column_decides_whatever_it_is_called() -> None:
    """Its name decides only where neither the catalog nor the models' SQL says anything of it."""
    held = {
        "who": Carried("pseudonymous", "marts.m.who <- raw_shop.users.email (hash)"),
        "number": Carried("masked", "w"), "first_name": Carried("none", "w"), "blob": Carried("unknown", "w"),
    }  # fmt: skip
    known = Exportable(carried=lambda: {("marts", "m"): held})
    made = relation("marts.M", "id", "Who", "number", "first_name", "last_name", "blob")

    def left_out(**settings: object) -> tuple[str, ...]:
        config = PublishConfig.model_validate({"path": "p", **settings})
        (found,) = chooser(config, Catalog(root=Path(), environments={}, sources={}), known)([made])
        return found.left_out

    assert left_out() == left_out(classes=[]) == ("Who", "number", "last_name", "blob")
    assert left_out(classes=["pseudonymous"]) == ("number", "last_name", "blob")
    assert left_out(classes=["pseudonymous", "masked"], personal=["marts.m.blob"]) == ("last_name",)
    assert left_out(personal=["marts.m.who", "marts.M.last_name"]) == ("number", "blob")


def test_it_is_stale_when_the_marts_are(catalog: Catalog) -> None:
    config = PublishConfig(path=Path("p"))
    assert stale_after_hours(config, catalog) == 12
    assert stale_after_hours(config.model_copy(update={"max_age_hours": 2}), catalog) == 2
