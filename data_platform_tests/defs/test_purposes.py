"""Models under purposes in real runs: who withdraws is in none of them after the next build, and in no export."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from data_platform.catalog import load_catalog
from data_platform.cli.app import run
from data_platform.cli.generated import write_all
from data_platform.defs import dbt_manifest
from data_platform.defs.aged_models import aged_models
from data_platform.defs.build import build
from data_platform.defs.consented import CHECK
from data_platform.defs.derived_models import derived_models
from data_platform.defs.purposes import exportable
from data_platform.errors import ConfigurationError, ExportFailed
from data_platform.governance.exports import unsaid_exports
from data_platform.iceberg.catalog import open_catalog
from data_platform.sync import Platform, iceberg, open_platform, publish
from data_platform.sync.erasing import freeze, steps
from data_platform.sync.retention import apply as retention
from data_platform_tests.defs.conftest import REPOSITORY, Project, copy_catalog

pytestmark = pytest.mark.slow
CONSENTS_TABLE = """
  consents:
    description: What customers answered, a row each time.
    key: consent_id
    strategy: replace
    columns: {consent_id: The answer., user_id: The customer., purpose: The purpose., state: Yes or no., recorded_at: When.}
"""
PEOPLE = """
subjects:
  customer:
    lookups: {user_id: shop/users.user_id}
    links: {shop/consents.user_id: shop/users.user_id}
    consent:
      key: shop/users.user_id
      purposes:
        marketing: {description: Letters.}
        analytics: {description: Figures., otherwise: granted}
      from:
        - {table: shop/consents, subject: user_id, purpose: purpose, state: state, granted: ["Yes"], at: recorded_at}
"""
USERS = "select users.user_id, users.email, users.country from {{ source('shop', 'users') }} as users where {{ consented('%s', 'users.user_id') }}"
MODELS = {
    "audience": "{{ config(materialized='table') }} " + USERS % "marketing",
    "audience_grown": "{{ config(materialized='incremental', unique_key='user_id', incremental_strategy='delete+insert') }} "
    + USERS % "marketing",
    "measured": "{{ config(materialized='incremental', unique_key='user_id', incremental_strategy='delete+insert') }} "
    + USERS % "analytics",
    "audience_total": "{{ config(materialized='incremental') }} select count(*) as people from {{ source('shop', 'users') }} as users where"
    " {{ consented('marketing', 'users.user_id') }}",
    "countries": "select distinct country from {{ source('shop', 'users') }}",
}
AGED = {
    "visits": "{{ config(materialized='incremental', unique_key='event_id', incremental_strategy='delete+insert') }} "
    "select events.event_id, events.user_id, events.occurred_at from {{ source('shop', 'events') }} as events"
    "{% if is_incremental() %} where events.event_id > (select max(event_id) from {{ this }}){% endif %}"
}
PROPERTIES = """
models:
  - name: audience
    config: {meta: {purpose: {marketing: user_id}}}
    columns: [{name: email, config: {meta: {privacy: pseudonymous}}}]
  - name: audience_grown
    config: {meta: {purpose: {marketing: user_id}}}
    columns: [{name: email, config: {meta: {privacy: pseudonymous}}}]
  - name: audience_total
    config: {meta: {purpose: {marketing: ~}}}
  - name: measured
    config: {meta: {purpose: {analytics: user_id}}}
    columns: [{name: email, config: {meta: {privacy: pseudonymous}}}]
snapshots:
  - name: audience_history
    relation: ref('audience')
    config: {unique_key: user_id, strategy: check, check_cols: [country], hard_deletes: invalidate, meta: {purpose: {marketing: user_id}}}
    columns: [{name: email, config: {meta: {privacy: pseudonymous}}}]
  - name: visits_history
    relation: ref('visits')
    config: {unique_key: event_id, strategy: check, check_cols: [user_id]}
"""
MARKETING = ("marts.audience", "marts.audience_grown", "snapshots.audience_history")
KEYS = [dg.AssetKey(["marts", name]) for name in ("consents", *MODELS)] + [
    dg.AssetKey(["snapshots", "audience_history"])
]


def small_project(root: Path) -> None:
    """dbt's macros as they are, and models of the test's own over the shop."""
    copy_catalog(root)
    shop = root / "catalog/sources/shop.yaml"
    shop.write_text(shop.read_text() + CONSENTS_TABLE)
    (root / "catalog/subjects.yaml").write_text(PEOPLE)
    for file in (root / "catalog/models").iterdir():
        file.unlink()
    platform = root / "catalog/platform.yaml"
    text = platform.read_text().partition("\nfigures:")[0]
    local = "    publish: {path: .data/published.duckdb, classes: [pseudonymous, masked]}"
    more = "    iceberg: {catalog: {kind: sql, path: ice.db}, location: ice, tables: [marts.*, snapshots.*], classes: [pseudonymous]}"
    assert local in text
    platform.write_text(text.replace(local, f"{local}\n{more}", 1))
    folder = root / "dbt"
    folder.mkdir()
    for name in ("macros", "profiles.yml"):
        (folder / name).symlink_to(REPOSITORY / "dbt" / name)
    (folder / "macros").unlink()
    (folder / "macros").mkdir()
    for file in (REPOSITORY / "dbt/macros").iterdir():
        (folder / "macros" / file.name).write_text(file.read_text())
    settings = (REPOSITORY / "dbt/dbt_project.yml").read_text()
    (folder / "dbt_project.yml").write_text(settings.replace("      +contract: {enforced: true}\n", ""))
    marts = folder / "models/marts"
    marts.mkdir(parents=True)
    for name, sql in (MODELS | AGED).items():
        (marts / f"{name}.sql").write_text(sql)
    (marts / "models.yml").write_text(PROPERTIES)
    write_all(load_catalog(root))
    dbt_manifest.build_manifest(root)


@pytest.fixture
def made(
    tmp_path: Path, home: Path, shop_copy: str, redaction_key: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.setenv("SHOP_DATABASE_URL", shop_copy)
    monkeypatch.setenv("DATA_PLATFORM_HASH_KEY", "a key that only tests use")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    small_project(root)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Project(root, shop_copy, instance, build(load_catalog(root), "local"))


def answer(project: Project, number: int, user: int, purpose: str, state: str) -> None:
    project.execute(
        f"INSERT INTO consents VALUES ({number}, {user}, '{purpose}', '{state}', now() + interval '{number} seconds')"
    )


def built(project: Project, *keys: dg.AssetKey) -> dict[str, bool]:
    """Builds the models ``keys``, or those for a purpose; the checks by model."""
    job = project.definitions.resolve_implicit_global_asset_job_def()
    asked = set() if keys else checks(project)
    subset = job.get_subset(asset_selection=set(keys or KEYS), asset_check_selection=asked)
    result = subset.execute_in_process(instance=project.instance, raise_on_error=True)
    return {one.asset_key.path[-1]: one.passed for one in result.get_asset_check_evaluations()}


def checks(project: Project) -> set[dg.AssetCheckKey]:
    return {one for one in project.repository.asset_graph.asset_check_keys if one.name == CHECK}


def checked(project: Project) -> dict[str, dg.AssetCheckEvaluation]:
    found = project.check(*checks(project)).get_asset_check_evaluations()
    return {one.asset_key.path[-1]: one for one in found}


def users(project: Project, relation: str) -> set[int]:
    return {int(row[0]) for row in project.rows(f"SELECT user_id FROM {relation}")}


def opened(project: Project) -> Platform:
    return open_platform(project.root, "local", exportable=exportable)


def with_export(platform: Platform, **settings: object) -> Platform:
    environment = platform.environment
    assert environment.publish is not None and environment.iceberg is not None
    changed = {
        "publish": environment.publish.model_copy(update=settings.get("publish")),  # type: ignore[arg-type]
        "iceberg": environment.iceberg.model_copy(update=settings.get("iceberg")),  # type: ignore[arg-type]
    }
    return dataclasses.replace(platform, environment=environment.model_copy(update=changed))


def published(project: Project, relation: str) -> set[int]:
    with duckdb.connect(str(project.root / ".data/published.duckdb"), read_only=True) as connection:
        return {row[0] for row in connection.execute(f"SELECT user_id FROM {relation}").fetchall()}


def test_who_withdraws_is_gone_after_the_next_build(made: Project) -> None:
    made.execute(
        "CREATE TABLE consents (consent_id bigint PRIMARY KEY, user_id bigint, purpose text, state text, recorded_at timestamptz)"
    )
    for number, (user, purpose, state) in enumerate(
        [
            (1, "marketing", "yes"),
            (2, "marketing", "YES "),
            (3, "marketing", "no"),
            (4, "analytics", "no"),
            (5, "unheard", "yes"),
        ]
    ):
        answer(made, number, user, purpose, state)
    assert made.sync("users", "consents", checks=False, raise_on_error=True).success
    everybody = users(made, "raw_shop.users")
    assert built(made) == dict.fromkeys(("audience", "audience_grown", "audience_history", "measured"), True)
    for relation in MARKETING:
        assert users(made, relation) == {1, 2}, "who never answered is out"
    assert users(made, "marts.measured") == everybody - {4}, "who never objected is in"

    under = {
        "purpose": "marketing",
        "schemas": ("marts.audience", "marts.audience_grown", "snapshots.audience_history"),
    }
    platform = with_export(
        opened(made),
        publish=under,
        iceberg={"purpose": "marketing", "tables": ("marts.audience*", "snapshots.*")},
    )
    publish.publish(platform)
    assert published(made, "marts.audience") == {1, 2}
    exports(platform, {1, 2})

    answer(made, 10, 1, "marketing", "no")
    answer(made, 11, 6, "analytics", "no")
    assert made.sync("users", "consents", checks=False, raise_on_error=True).success
    before = checked(made)
    assert {name: one.passed for name, one in before.items()} == dict.fromkeys(before, False)
    assert before["audience_grown"].description == (
        "It has 1 row of people who do not agree to marketing. The next build takes them out."
    )
    assert users(made, "marts.audience_grown") == {1, 2}
    assert all(built(made).values())
    for relation in MARKETING:
        assert users(made, relation) == {2}
    assert users(made, "marts.measured") == everybody - {4, 6}
    event = made.instance.get_latest_materialization_event(dg.AssetKey(["marts", "audience_grown"]))
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.metadata["rows_without_consent_removed"].value == 1
    what_was_summed_up_is_named(made)
    publish.publish(platform)
    for relation in under["schemas"]:
        assert published(made, relation) == {2}
    exports(platform, {2})
    what_nobody_let_go_stays(platform)
    not_under_the_purpose(made, platform)
    publish.publish(platform)
    who_is_erased_is_nowhere_though_objection_went_too(made, platform, everybody)
    what_is_too_old_leaves_models_that_keep_their_rows(made, platform)
    what_does_not_ask_is_not_built(made)


def what_is_too_old_leaves_models_that_keep_their_rows(made: Project, platform: Platform) -> None:
    """An incremental model and a snapshot lose what a rule of retention takes out of the raw table, and no build brings it back."""
    keys = dg.AssetKey(["marts", "visits"]), dg.AssetKey(["snapshots", "visits_history"])
    assert made.sync("events", checks=False, raise_on_error=True).success
    built(made, *keys)
    everything = figures(made, "raw_shop.events")
    assert figures(made, "marts.visits") == figures(made, "snapshots.visits_history") == everything
    ((middle,),) = made.rows("SELECT median(occurred_at)::date FROM raw_shop.events")
    assert everything[1] < middle
    days = next(t.retention.days for t in platform.catalog.ruled_by_retention() if t.retention is not None)
    later = datetime.combine(middle + timedelta(days=days), time(12), UTC)
    platform = dataclasses.replace(platform, clock=lambda: later)
    asked = retention.ask(platform, retention.plan(platform), "the DPO")
    assert asked is not None
    done = retention.carry_out(platform, asked.id, lambda: aged_models(platform))
    assert done.next_step is None
    assert "full_refresh" not in done.done["warehouse"]
    left = figures(made, "raw_shop.events")
    assert 0 < left[0] < everything[0]
    assert left[1] >= middle
    assert figures(made, "marts.visits") == figures(made, "snapshots.visits_history") == left
    assert made.sync("events", checks=False, raise_on_error=True).success
    built(made, *keys)
    assert figures(made, "marts.visits") == figures(made, "snapshots.visits_history") == left


def figures(project: Project, relation: str) -> tuple[int, date]:
    ((rows, oldest),) = project.rows(f"SELECT count(*), min(occurred_at)::date FROM {relation}")
    return rows, oldest


def exports(platform: Platform, expected: set[int]) -> None:
    assert [one for one in iceberg.export(platform) if isinstance(one, ExportFailed)] == []
    config = platform.environment.iceberg
    assert config is not None
    catalog = open_catalog(config, platform.catalog.root, platform.environ)
    for relation in MARKETING:
        rows = catalog.load_table(tuple(relation.split("."))).scan().to_arrow().to_pylist()
        assert {row["user_id"] for row in rows} == expected


def what_was_summed_up_is_named(made: Project) -> None:
    """An incremental sum without a key keeps what it summed up. Who withdraws, and who looks at the model, is told how it sums up again."""
    assert made.rows("SELECT people FROM marts.audience_total ORDER BY people") == [(1,), (2,)]
    event = made.instance.get_latest_materialization_event(dg.AssetKey(["marts", "audience_total"]))
    assert event is not None and event.asset_materialization is not None
    way = "`dbt build --full-refresh --select audience_total` sums it up again."
    assert event.asset_materialization.metadata["keeps_earlier_totals"].value == (
        f"Who withdrew consent to marketing stays in what earlier builds summed up. {way}"
    )
    asked = [
        "subject",
        "consent",
        "--by",
        "user_id=3",
        "--purpose",
        "marketing",
        "--authorised-by",
        "a clerk",
        "--root",
        str(made.root),
    ]
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        assert run([*asked, "--set", "withdrawn"]) == 0
    said = " ".join(err.getvalue().split())
    assert f"The person stays in what earlier builds of marts.audience_total summed up. {way}" in said
    assert "audience_grown" not in said


def what_nobody_let_go_stays(platform: Platform) -> None:
    """The class of a column decides, by the SQL that dbt compiled: a publication without the column, no table in Iceberg."""
    silent = with_export(platform, publish={"classes": None}, iceberg={"classes": None})
    assert set(publish.publish(silent).left_out) == {f"{relation}.email" for relation in MARKETING}
    failed = [one for one in iceberg.export(silent) if isinstance(one, ExportFailed)]
    assert len(failed) == len(MARKETING)
    way = "marts.audience.email <- raw_shop.users.email (hash)"
    assert (
        f"marts.audience.email holds pseudonymous values, and `iceberg:` does not say that they may leave: {way}"
        in str(failed[0])
    )
    known = exportable(platform.catalog)
    at_rest = with_export(
        platform, publish={"classes": ()}, iceberg={"personal": ("marts.AUDIENCE.email",), "classes": ()}
    )
    said = unsaid_exports({"prod": at_rest.environment, "test": silent.environment}, known, ())
    assert [one for one in said if ": marts.audience.email" in one and "`publish:`" in one] == [
        f"Environment test: marts.audience.email holds pseudonymous values, and `publish:` does not say that they may leave: {way}."
        " Write `classes: [pseudonymous]` there, or name marts.audience.email under `publish: personal:`."
    ]
    where = sorted(one.partition(":")[0] for one in said if "`iceberg:`" in one)
    assert where == ["Environment test", "Environments prod, test", "Environments prod, test"]
    publish.publish(platform)


def who_is_erased_is_nowhere_though_objection_went_too(
    made: Project, platform: Platform, everybody: set[int]
) -> None:
    """User 6 objected to a purpose that is granted to who never answered, user 2 agreed to marketing."""
    customer = platform.catalog.subject("customer")
    person = freeze.found(platform, customer, {"user_id": ["2", "6"]})
    request = freeze.ask(platform, customer, person, "request 12", "the DPO")
    done = steps.carry_out(platform, request.id, lambda: derived_models(platform))
    assert done.next_step is None
    assert done.totals == ["marts.audience_total"], "it counts people of earlier builds"
    for relation in MARKETING:
        assert users(made, relation) == published(made, relation) == set()
    assert made.sync("users", "consents", checks=False, raise_on_error=True).success
    assert users(made, "raw_shop.consents") == {1, 3, 4, 5}
    assert all(built(made).values())
    assert users(made, "marts.measured") == everybody - {2, 4, 6}
    assert users(made, "marts.audience") == set()
    exports(platform, set())


def what_does_not_ask_is_not_built(made: Project) -> None:
    model = made.root / "dbt/models/marts/audience.sql"
    model.write_text(model.read_text().replace("'marketing'", "'analytics'"))
    dbt_manifest.build_manifest(made.root)
    job = build(load_catalog(made.root), "local").resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={KEYS[1]}, asset_check_selection=set())
    result = subset.execute_in_process(instance=made.instance, raise_on_error=False)
    (event,) = result.get_step_failure_events()
    assert (
        "Nothing was built: marts.audience is for the purpose marketing and does not ask for consent"
        in str(event.event_specific_data)
    )
    assert users(made, "marts.audience") == set()


def not_under_the_purpose(made: Project, platform: Platform) -> None:
    """Exports of other purposes, and of none."""
    without = with_export(
        platform,
        publish={"purpose": None, "schemas": ("marts",)},
        iceberg={"purpose": None, "tables": ("marts.*",)},
    )
    found = publish.publish(without)
    assert {one.name for one in found.relations} == {"consents", "countries"}
    assert publish.withheld(without) == [
        "marts.audience",
        "marts.audience_grown",
        "marts.audience_total",
        "marts.measured",
    ]
    (table,) = iceberg.export(without)  # views are not exported
    assert not isinstance(table, ExportFailed) and table.table == "countries"
    named = with_export(
        without,
        publish={"schemas": ("marts.countries", "marts.measured")},
        iceberg={"tables": ("marts.measured",)},
    )
    assert {one.name for one in publish.publish(named).relations} == {"countries", "measured"}
    assert [one.table for one in iceberg.export(named) if not isinstance(one, ExportFailed)] == ["measured"]
    refused = with_export(named, publish={"purpose": "marketing"}, iceberg={"purpose": "marketing"})
    with pytest.raises(ConfigurationError, match=r"marts\.measured \(email\)"):
        publish.publish(refused)
    with pytest.raises(ExportFailed, match=r"marts\.measured \(email\)"):
        list(iceberg.export(refused))
    assert published(made, "marts.measured"), "readers keep the last publication"
