"""``publish``, and what ``query``, ``status`` and ``doctor`` make of a publication."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from data_platform.doctor.publication import look_at_publication
from data_platform.sync import open_platform
from data_platform.tables import TableId
from data_platform.warehouses import Look
from data_platform_tests.contracts.batches import Chain
from data_platform_tests.warehouses.test_duckdb import held_by_another_process

from .conftest import PLATFORM, Result

Cli = Callable[..., Result]
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.fixture
def warehouse(project: Path) -> Path:
    """One mart, and a raw table that is not published."""
    (project / "catalog" / "platform.yaml").write_text(
        PLATFORM.replace("    automation:", "    publish: {path: .data/bi/published.duckdb}\n    automation:")
    )
    path = project / ".data" / "warehouse.duckdb"
    path.parent.mkdir()
    with duckdb.connect(path) as connection:
        connection.execute(
            "CREATE SCHEMA marts; CREATE SCHEMA raw_shop; CREATE TABLE raw_shop.users AS SELECT 1 AS id;"
            "CREATE TABLE marts.users AS SELECT range AS id, 'x' AS first_name, 'h' AS supplier_email FROM range(3)"
        )
    return path


def test_it_publishes_and_says_what_it_left_out(cli: Cli, warehouse: Path, project: Path) -> None:
    result = cli("publish")
    assert result.code == 0, result.err
    assert "1 relation, 3 rows" in result.out
    assert "1 copied, 0 as they were" in result.out
    assert "marts.users.first_name" in result.err
    document = json.loads(cli("publish", "--json").out)
    assert document["copied"] == 0
    assert document["relations"][0]["left_out"] == ["first_name"]
    with duckdb.connect(project / ".data/bi/published.duckdb", read_only=True) as reader:
        assert reader.execute("DESCRIBE marts.users").fetchall()[1][0] == "supplier_email"
    text = (
        DOCS.read_text().partition("## `data-platform publish")[2].partition("\n## ")[0].partition("JSON:")[2]
    )
    for key in [*document, *document["relations"][0]]:
        assert f"`{key}`" in text, key


def test_a_query_reads_the_publication_and_says_so(cli: Cli, warehouse: Path) -> None:
    before = cli("query", "SELECT count(*) AS n FROM marts.users", "-f", "csv")
    assert (before.out, "itself, as it is now" in before.err) == ("n\n3\n", True), "there is none yet"
    assert cli("publish").code == 0
    with duckdb.connect(warehouse) as connection:
        connection.execute("DELETE FROM marts.users WHERE id = 0")
    published = cli("query", "SELECT count(*) AS n FROM marts.users", "-f", "csv")
    assert published.out == "n\n3\n"
    assert f"the publication of {datetime.now(UTC):%Y-%m-%d}" in published.err
    itself = cli("query", "--warehouse", "SELECT count(*) AS n FROM marts.users", "-f", "csv")
    assert itself.out == "n\n2\n"
    assert "Read from the warehouse itself" in itself.err
    raw = cli("query", "SELECT count(*) AS n FROM raw_shop.users", "-f", "csv")
    assert raw.out == "n\n1\n"
    assert "names a table that is not in the publication" in raw.err
    left_out = cli("query", "SELECT first_name FROM marts.users")
    assert left_out.code == 5
    assert "--warehouse" in left_out.err


def test_a_query_waits_for_no_load(cli: Cli, warehouse: Path) -> None:
    assert cli("publish").code == 0
    with held_by_another_process(warehouse):
        assert cli("query", "SELECT count(*) AS n FROM marts.users", "-f", "csv").out == "n\n3\n"
        raw = cli("query", "FROM raw_shop.users")
        assert (raw.code, "is held by process" in raw.err) == (5, True)
        again = cli("publish")
        assert (again.code, "is held by process" in again.err) == (5, True)


def test_a_query_changes_nothing_in_the_publication(cli: Cli, warehouse: Path) -> None:
    assert cli("publish").code == 0
    for sql in ("DROP TABLE marts.users", "SELECT * FROM read_csv('/etc/passwd')", "ATTACH '/tmp/x' AS y"):
        assert cli("query", sql).code == 5, sql
    assert cli("query", "FROM marts.users").code == 0


def test_a_damaged_one_is_told_and_the_warehouse_still_answers(
    cli: Cli, warehouse: Path, project: Path
) -> None:
    assert cli("publish").code == 0
    path = project / ".data/bi/published.duckdb"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:5000])
    for command in (("query", "FROM marts.users"), ("publish",)):
        result = cli(*command)
        assert (result.code, "no publication of this platform, or it is damaged" in result.err) == (5, True)
    assert cli("query", "--warehouse", "FROM marts.users").code == 0
    assert "damaged" in cli("status").out


def test_status_and_doctor_tell_of_it(cli: Cli, warehouse: Path, project: Path) -> None:
    assert "Publication: none yet" in cli("status").out
    platform = open_platform(project, None, {})
    assert look_at_publication(platform).found.endswith("the first build of the models makes it.")
    assert cli("publish").code == 0
    assert "Publication: 0 s ago, 1 relation, 3 rows" in cli("status").out
    assert json.loads(cli("status", "--json").out)["publication"]["rows"] == 3
    found = look_at_publication(platform)
    assert found.state == "ok"
    assert "without marts.users.first_name" in found.found
    with platform.environment.warehouse.open(project, files=[project]) as opened:
        opened.load(*Chain(project / "parts").next("merge", [(1, "2026-01-01", "a", 1)]))
        opened.record_reads([Look(TableId("shop", "orders"), "2026-01-01T00:00:00+00:00", False)])
    assert look_at_publication(platform).state == "ok", "it is not late yet"
    late = open_platform(project, None, {})
    object.__setattr__(late, "clock", lambda: datetime.now(UTC) + timedelta(hours=7))
    found = look_at_publication(late)
    assert found.state == "warn"
    assert "1 table got new batches" in found.found


def test_an_environment_that_does_not_publish(cli: Cli, project: Path) -> None:
    result = cli("publish")
    assert (result.code, "has no `publish:`" in result.err) == (2, True)
    assert json.loads(cli("status", "--json").out)["publication"] is None
