"""A person in the Dagster UI: the graph shows, assets materialize, three days are backfilled, a failed
check is seen. A web page of somebody else's gets nothing done. A real Chromium on what `make dev`
starts, over a project of the test's own.

With DATA_PLATFORM_SCREENSHOTS set to a folder, the pictures of docs/ are taken on the way.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.remote_origin import RemoteInstigatorOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)

from data_platform.alerts.messages import link
from data_platform.defs import links
from data_platform_tests.conftest import SHOP_ORDERS
from data_platform_tests.end_to_end.foreign import Site, foreign_site
from data_platform_tests.end_to_end.interface import BROWSER, COMMENTS, EVIL, Interface, started, wait

pytest.importorskip("playwright.sync_api")

DAYS = ("2026-11-17", "2026-11-18", "2026-11-19")

LAUNCH_EVERYTHING = """
mutation {launchPipelineExecution(executionParams: {mode: "default", selector: {
    pipelineName: "everything", repositoryName: "__repository__", repositoryLocationName: "data_platform"}})
  {__typename ... on PythonError {message}}}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: `apt-get install chromium`"),
]


@pytest.fixture(scope="module")
def slack() -> Iterator[Site]:
    """Where alerts go."""
    with foreign_site() as site:
        yield site


@pytest.fixture(scope="module")
def interface(
    tmp_path_factory: pytest.TempPathFactory, postgres: Any, shop: str, slack: Site
) -> Iterator[Interface]:
    url = postgres.create_database("shop_browser", template="shop_small")
    with started(tmp_path_factory.mktemp("project"), url, slack) as interface:
        yield interface
    postgres.drop_database("shop_browser")


def test_the_graph_shows_every_group(interface: Interface) -> None:
    page = interface.open("/asset-groups")
    for group in ("shop_source", "shop_raw", "staging", "intermediate", "marts", "snapshots"):
        page.get_by_text(group, exact=True).first.wait_for()
    assert interface.ask("{shouldShowNux}") == {"shouldShowNux": False}, "an invitation would cover the page"
    interface.picture("lineage")


def test_everything_materializes_in_one_run(interface: Interface) -> None:
    known = {run["runId"] for run in interface.runs()}
    launched = interface.ask(LAUNCH_EVERYTHING)["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    assert interface.wait_for_new_run(known) == "SUCCESS"
    page = interface.open("/assets/marts/daily_revenue")
    page.get_by_text("Latest materialization").first.wait_for()
    interface.picture("mart")


def test_the_status_page_is_served_beside_the_ui(interface: Interface) -> None:
    """It is written at the end of the run above."""
    complaints: list[str] = []
    page = interface.browser.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    answer = page.goto(f"{interface.url}/status")
    assert answer.headers["x-frame-options"] == "DENY"
    page.wait_for_selector(".cards .chart svg path", state="attached")
    assert page.locator(".cards .chart").count() == 3
    assert complaints == []
    page.locator(".card .foot a").first.click()
    page.get_by_text("daily_revenue").first.wait_for()
    page.close()


def test_a_column_leads_to_the_table_at_the_source_it_is_made_of(interface: Interface) -> None:
    page = interface.open("/assets/marts/daily_revenue")
    for above, column in (("staging/stg_shop__orders", "total_revenue"), ("raw/shop/orders", "revenue")):
        page.get_by_role("row", name="column_lineage").get_by_text("Show Markdown").click()
        table = page.get_by_role("dialog").get_by_role("table")
        row = table.get_by_role("row").filter(has=page.get_by_text(column, exact=True).first)
        row.first.wait_for()
        interface.picture("column-lineage")
        row.first.get_by_role("link", name=above, exact=True).click()
        page.wait_for_url(f"**/assets/{above}*")


def test_an_unpartitioned_table_materializes_by_its_button(interface: Interface) -> None:
    known = {run["runId"] for run in interface.runs()}
    page = interface.open("/assets/raw/shop/users")
    page.get_by_role("button", name="Materialize").first.click()
    assert interface.wait_for_new_run(known) == "SUCCESS"


def materialize_days(interface: Interface, picture: str | None = None) -> None:
    """``DAYS`` of the orders, in the dialog of *Materialize*."""
    known = {run["runId"] for run in interface.runs()}
    page = interface.open("/assets/raw/shop/orders")
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    days = dialog.locator("input[type=text]").first
    days.fill(f"[{DAYS[0]}...{DAYS[2]}]")
    days.press("Enter")
    dialog.get_by_text("3 partitions").first.wait_for()
    if picture:
        interface.picture(picture)
    dialog.get_by_role("button", name="Launch", exact=False).last.click()
    assert interface.wait_for_new_run(known) == "SUCCESS"
    assert len({run["runId"] for run in interface.runs()} - known) == 1


def test_three_days_are_backfilled_as_one_run(interface: Interface) -> None:
    with psycopg.connect(interface.environ["SHOP_DATABASE_URL"], autocommit=True) as connection:
        deleted = connection.execute(
            "delete from orders where (created_at at time zone 'UTC')::date = %s", (DAYS[1],)
        ).rowcount
    assert deleted
    materialize_days(interface, "backfill")
    import duckdb

    with duckdb.connect(str(interface.root / ".data" / "warehouse.duckdb"), read_only=True) as warehouse:
        held = warehouse.execute("select count(*) from raw_shop.orders").fetchone()
        left = warehouse.execute(
            f"select count(*) from raw_shop.orders where created_at::date = date '{DAYS[1]}'"
        ).fetchone()
    assert held == (SHOP_ORDERS - deleted,)
    assert left == (0,)
    page = interface.open("/assets/raw/shop/orders?view=partitions")
    page.get_by_text(DAYS[1]).first.wait_for()
    interface.picture("partitions")
    page = interface.open("/assets/raw/shop/orders?view=overview")
    for text in ("Row count", "batch_id", "preview", "At the source: text"):
        page.get_by_text(text, exact=False).first.wait_for()


DAYS_OF_A_CHECK = """
{assetNodes(assetKeys: [{path: ["raw", "shop", "orders"]}]) {assetCheckOrError(checkName: "revenue_gte_0") {... on AssetCheck {
    partitionStatuses {... on AssetCheckTimePartitionStatuses {ranges {startKey endKey status}}}
    executionForLatestMaterialization {status partition}}}}}
"""


def test_the_page_of_a_check_shows_which_day_fails(interface: Interface) -> None:
    with psycopg.connect(interface.environ["SHOP_DATABASE_URL"], autocommit=True) as connection:
        changed = connection.execute(
            "update orders set revenue = -1 where (created_at at time zone 'UTC')::date = %s", (DAYS[0],)
        ).rowcount
    assert changed > 1
    materialize_days(interface)
    check = interface.ask(DAYS_OF_A_CHECK)["assetNodes"][0]["assetCheckOrError"]
    assert check["executionForLatestMaterialization"] == {"status": "FAILED", "partition": None}
    ranges = check["partitionStatuses"]["ranges"]
    failed = [(one["startKey"], one["endKey"]) for one in ranges if one["status"] == "FAILED"]
    assert failed == [(DAYS[0], DAYS[0])]
    assert {one["status"] for one in ranges} == {"FAILED", "SUCCEEDED"}
    page = interface.open("/assets/raw/shop/orders?view=checks&checkDetail=revenue_gte_0")
    page.get_by_text(f"on 1 day: {DAYS[0]}", exact=False).first.wait_for()
    page.get_by_text("Partitions", exact=True).last.click()
    page.get_by_text(DAYS[0], exact=True).first.click()
    page.get_by_text(f"{changed} rows of this day fail the rule.").first.wait_for()
    interface.picture("failed-day")


def test_a_failed_check_is_seen_and_what_a_source_says_stays_text(interface: Interface) -> None:
    """A row's value or a table's comment that is an image in Markdown makes no browser ask for it."""
    with foreign_site() as site:
        image = f"![k](http://{EVIL}:{site.port}/value)"
        with psycopg.connect(interface.environ["SHOP_DATABASE_URL"], autocommit=True) as connection:
            connection.execute("update products set product_name = %s", (image,))
            connection.execute("update products set price = -1 where product_id = 1")
        known = {run["runId"] for run in interface.runs()}
        page = interface.open("/assets/raw/shop/products")
        page.get_by_role("button", name="Materialize").first.click()
        interface.wait_for_new_run(known)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page = interface.open("/assets/raw/shop/products?view=checks&checkDetail=price_gte_0")
        page.get_by_text("Failed").first.wait_for()
        page.get_by_text("1 of 240 rows fail", exact=False).first.wait_for()
        interface.picture("failed-check")
        page = interface.open("/assets/raw/shop/products")
        for text in (image, *COMMENTS):
            page.get_by_text(text, exact=False).first.wait_for()
        page = interface.open("/assets/raw/shop/products?view=events")
        page.get_by_text(image, exact=False).first.wait_for()
        assert site.asked == []
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((interface.url, "data:", "blob:"))] == []


def test_each_kind_of_link_in_a_message_opens_what_it_is_about(
    interface: Interface, monkeypatch: pytest.MonkeyPatch
) -> None:
    price = dg.AssetCheckKey(dg.AssetKey(["raw", "shop", "products"]), "price_gte_0")
    monkeypatch.setenv("DAGSTER_HOME", interface.environ["DAGSTER_HOME"])
    with dg.DagsterInstance.get() as instance:
        sensor = next(s for s in instance.all_instigator_state() if s.name == "alerts")
    schedule = InstigatorState(
        RemoteInstigatorOrigin(sensor.origin.repository_origin, "shop_changes"),
        InstigatorType.SCHEDULE,
        InstigatorStatus.RUNNING,
        ScheduleInstigatorData("0 * * * *"),
    )
    run = interface.runs()[0]["runId"]
    pages = {
        links.check(price): "price_gte_0",
        links.asset(price.asset_key): "Latest materialization",
        links.run(run): "RUN_SUCCESS",
        links.instigator(sensor): "Sensor in",
        links.instigator(schedule): "Schedule in",
        links.LOCATIONS: "Code locations",
        "/": "Overview",
    }
    for path, shown in pages.items():
        page = interface.page
        page.goto(link(interface.url, path))
        page.get_by_text(shown).first.wait_for()
        page.wait_for_timeout(500)
        text = page.inner_text("body").lower()
        assert "not find" not in text and "not found" not in text and "no run found" not in text, path


def test_a_page_of_another_origin_starts_nothing_and_reads_nothing(interface: Interface) -> None:
    known = {run["runId"] for run in interface.runs()}
    with foreign_site() as site:
        path = site.attack(interface.url)
        for origin in (f"http://{EVIL}:{site.port}", f"http://127.0.0.1:{site.port}"):
            page = interface.browser.new_page()
            asked: list[str] = []
            answered: list[tuple[str, int]] = []
            page.on("request", lambda r, a=asked: a.append(f"{r.method} {r.url}"))
            page.on("response", lambda r, a=answered: a.append((r.url, r.status)))
            page.goto(origin + path, wait_until="load")
            page.wait_for_function("document.title.startsWith('done')")
            page.wait_for_timeout(1000)  # the forms' answers
            assert page.title() == "done: socket refused"
            tries = [one for one in asked if f"{interface.url}/" in one]
            assert len(tries) >= 9 and sum(one.startswith("POST") for one in tries) >= 4, tries
            got = [(url, status) for url, status in answered if url.startswith(interface.url)]
            assert all(status in (403, 405, 415) for _, status in got), got
            page.close()
    assert {run["runId"] for run in interface.runs()} == known


def test_under_a_name_of_somebody_elses_there_is_no_ui(interface: Interface) -> None:
    """Rebinding: the attacker's own name leads here, so that the page and the UI have one origin."""
    page = interface.browser.new_page()
    answer = page.goto(f"http://{EVIL}:{interface.port}/runs")
    assert answer.status == 421
    got = page.evaluate(
        """() => fetch("/graphql", {method: "POST", headers: {"Content-Type": "application/json"},
           body: JSON.stringify({query: "{version}"})}).then(answer => answer.status)"""
    )
    assert got == 421
    page.close()


def test_a_link_from_elsewhere_opens_its_page_and_a_run_tells_as_it_goes(interface: Interface) -> None:
    """Messages link here; and a run's events come over a socket of the UI's own."""
    run = interface.runs()[0]["runId"]
    with foreign_site() as site:
        site.pages["/message"] = f'<a href="{interface.url}/runs/{run}">Open in Dagster</a>'
        page = interface.browser.new_page()
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        page.goto(f"http://{EVIL}:{site.port}/message")
        page.get_by_text("Open in Dagster").click()
        page.get_by_text("RUN_SUCCESS").first.wait_for()
        assert sockets and all(url.startswith(f"ws://127.0.0.1:{interface.port}/") for url in sockets)
        page.close()


def test_a_sync_from_the_command_line_leaves_checks_and_preview(interface: Interface) -> None:
    passing = "segment_in_consumer_business_vip"

    def made_at() -> float:
        latest = """{assetNodeOrError(assetKey: {path: ["raw", "shop", "users"]}) {... on AssetNode {
            assetMaterializations(limit: 1) {timestamp}}}}"""
        [made] = interface.ask(latest)["assetNodeOrError"]["assetMaterializations"]
        return float(made["timestamp"]) / 1000

    def sync(expected: str) -> None:
        began = time.time()
        command = ["data-platform", "sync", "shop/users"]
        done = subprocess.run(command, env=interface.environ, capture_output=True, text=True, check=True)
        assert expected in done.stdout + done.stderr
        wait(lambda: made_at() > began, 120, "the sync to be reported")

    def everything_shows() -> None:
        page = interface.open("/assets/raw/shop/users?view=overview")
        for text in ("Row count", "batch_id", "preview", "At the source: text"):
            page.get_by_text(text, exact=False).first.wait_for()
        page = interface.open(f"/assets/raw/shop/users?view=checks&checkDetail={passing}")
        page.get_by_text("Passed").first.wait_for()
        assert page.get_by_text("Not evaluated").count() == 0

    time.sleep(max(0.0, made_at() + 61 - time.time()))  # a look any sooner is not worth reporting
    sync("nothing changed")
    everything_shows()
    with psycopg.connect(interface.environ["SHOP_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("update users set age = 200 where user_id = 3")
    sync("rows fail `age between 0 and 150`")
    everything_shows()
    interface.picture("command-line")


RELOAD = """
mutation {reloadRepositoryLocation(repositoryLocationName: "data_platform") {__typename}}
"""
LOADED = """
{workspaceOrError {... on Workspace {locationEntries {name locationOrLoadError {__typename
  ... on RepositoryLocation {repositories {sensors {name}}}}}}}}
"""


def test_a_mistake_and_definitions_that_do_not_load_are_told(interface: Interface) -> None:
    """The probe of a source with a mistake is gone after a reload, and after a mistake of a model everything is."""

    def said(text: str) -> bool:
        return any(text in post for post in interface.slack.posted)

    def sensors() -> set[str]:
        entries = interface.ask(LOADED)["workspaceOrError"]["locationEntries"]
        loaded = [entry["locationOrLoadError"].get("repositories", ()) for entry in entries]
        return {s["name"] for repositories in loaded for r in repositories for s in r["sensors"]}

    source = interface.root / "catalog" / "sources" / "shop.yaml"
    right = source.read_text()
    source.write_text(right.replace("    key: product_id", "    kee: product_id"))
    interface.ask(RELOAD)
    wait(lambda: said("Mistake in the catalog"), 120, "the mistake to be told")
    assert said("catalog/sources/shop.yaml") and said("tables.products.kee")
    assert said(f"{interface.url}/deployment/locations|Open in Dagster")
    assert {"alerts", "watch", "dbt_follows_raw"} <= sensors() and "shop_probe" not in sensors()

    source.write_text(right)
    model = interface.root / "dbt" / "models" / "marts" / "broken.sql"
    model.write_text("select {{ ref('no_such_model') }}")
    interface.ask(RELOAD)
    assert sensors() == {"watch"}
    wait(lambda: said("Catalog is correct again"), 120, "the mistake's end to be told")
    wait(lambda: said("Definitions do not load"), 240, "definitions that do not load to be told")

    model.unlink()
    interface.ask(RELOAD)
    assert "shop_probe" in sensors()
    wait(lambda: said("Definitions load again"), 240, "definitions that load again to be told")
