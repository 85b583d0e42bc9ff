"""The head of a job, its file and its environment: what is wrong is told before any Spark starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.catalog import catalog_files, load_catalog
from data_platform.errors import CatalogError, ConfigurationError
from data_platform.sync import open_platform, probe
from data_platform.tables import TableId
from data_platform_tests.sources.spark.conftest import SQL, Project, event


def mistakes(project: Project) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        load_catalog(project.root)
    return list(caught.value.mistakes)


@pytest.mark.parametrize(
    ("block", "line", "told"),
    [
        ({"inputs": {"events": "shop/evnts"}}, 1, "inputs: names shop/evnts, which is no table of the catalog. Did you mean `shop/events`?"),
        ({"inputs": {"other": "counts/daily"}}, 1, "names counts/daily, which is a table of the same source"),
        ({"inputs": {}}, 1, "inputs: is missing: say which tables the job reads"),
        ({"inputs": {"events": "events"}}, 2, "is not of the form source/table"),
        ({"types": {}}, 6, "types: is missing: list every column"),
        ({"types": {"user_id": "number"}}, 7, "types.user_id"),
        ({"key": ["user_id", "nobody"]}, 3, "key: names `nobody`, which is not among the columns of `types`"),
        ({"partition": "created_at"}, 6, "partition: names `created_at`, which is not among the columns of `types`"),
        ({"strategy": "append"}, 6, "strategy: cannot be `append`"),
        ({"cursor": "day"}, 1, "cursor: has no use here"),
        ({"resources": {"memory": "lots"}}, 7, "resources.memory"),
        ({"types": {"email": "text", "user_id": "bigint", "day": "date"}}, 8, "personal.email: is missing. The column `email` looks like"),
        ({"inpts": {}}, 1, "inpts: unknown key. Did you mean `inputs`?"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_head_names_its_file_and_line(
    project: Project, block: dict[str, Any], line: int, told: str
) -> None:
    project.job("daily", SQL, **block)
    found = [one for one in mistakes(project) if told in one]
    assert found and found[0].startswith(f"spark/daily.yaml:{line}:"), mistakes(project)


def test_a_table_is_defined_once(project: Project) -> None:
    project.job("daily", SQL)
    head = yaml.safe_load((project.root / "spark/daily.yaml").read_text())
    project.write({"daily": head})
    assert mistakes(project) == [
        "spark/daily.yaml:1: the table is also defined in catalog/sources/counts.yaml: keep one of the two"
    ]


def test_a_folder_that_is_not_there_is_told(project: Project) -> None:
    (project.root / "spark").rmdir()
    assert mistakes(project) == [
        "catalog/sources/counts.yaml:8: tables_in: there is no folder spark in the project's folder"
    ]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("more.yml", "", "catalog/sources/counts.yaml:8: tables_in: spark/more.yml is ignored"),
        ("more.yaml", "- a list", "spark/more.yaml:1: is empty or not a block"),
        ("more.yaml", "key: [", "spark/more.yaml:2: the YAML cannot be read here"),
    ],
)
def test_a_file_that_is_no_head_leaves_its_source_out(
    project: Project, name: str, text: str, told: str
) -> None:
    project.job("daily", SQL)
    (project.root / "spark" / name).write_text(text)
    assert told in "\n".join(mistakes(project))
    assert list(load_catalog(project.root, whole=False).sources) == ["shop"]


def test_a_head_that_changes_is_read_again(project: Project) -> None:
    path = project.job("daily", SQL, description="one").with_suffix(".yaml")
    assert path in catalog_files(project.root)
    before = load_catalog(project.root).table(TableId("counts", "daily")).description
    project.job("daily", SQL, description="another")
    after = load_catalog(project.root).table(TableId("counts", "daily")).description
    assert (before, after) == ("one", "another")


def test_where_no_variable_is_set_the_source_is_left_out(project: Project) -> None:
    project.job("daily", SQL)
    path = project.root / "catalog/sources/counts.yaml"
    path.write_text(path.read_text() + "optional: true\n")
    environ = {name: value for name, value in os.environ.items() if name != "SPARK_REMOTE"}
    platform = open_platform(project.root, "local", environ)
    assert platform.catalog.not_configured == {"counts": ("SPARK_REMOTE",)}


def test_an_optional_source_stays_where_the_source_that_it_reads_is_taken_out(project: Project) -> None:
    project.job("daily", SQL)
    (project.root / "catalog/sources/shop.yaml").unlink()
    assert "shop/events, which is no table of the catalog" in mistakes(project)[0]
    path = project.root / "catalog/sources/counts.yaml"
    path.write_text(path.read_text() + "optional: true\n")
    assert list(load_catalog(project.root).sources) == ["counts"]
    assert "its input shop/events has not landed" in project.failure("daily")


def test_a_job_needs_one_file(project: Project) -> None:
    path = project.job("daily", SQL)
    project.land("replace", [])
    path.unlink()
    assert "there is no job: write spark/daily.sql or spark/daily.py" in project.failure("daily")
    project.job("daily", SQL)
    project.job("daily", "", end="py")
    assert "there are two jobs, in SQL and in Python. Keep one of spark/daily.*" in project.failure("daily")


def test_an_input_that_has_not_landed_is_named(project: Project) -> None:
    project.job("daily", SQL)
    assert (
        "its input shop/events has not landed. Sync it first: `data-platform sync shop/events`"
        in project.failure("daily")
    )


def test_spark_that_is_not_installed_names_the_command(project: Project) -> None:
    project.write(environment=str(project.root / ".spark"))
    project.job("daily", SQL)
    project.land("replace", [])
    told = project.failure("daily")
    assert told.startswith("ConfigurationError: counts: there is no environment with pyspark in ")
    assert "Install it with `make spark`" in told
    assert any("make spark" in one for one in project.mistakes())


def test_java_that_is_not_there_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    python = project.root / ".spark/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    project.write(environment=str(project.root / ".spark"))
    project.job("daily", SQL)
    project.land("replace", [])
    monkeypatch.setenv("PATH", str(project.root))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert "needs Java 17" in project.failure("daily") and "openjdk-17-jre-headless" in project.failure(
        "daily"
    )


def test_a_place_that_is_none_of_spark_is_refused_without_its_value(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.job("daily", SQL)
    monkeypatch.setattr(Project, "remote", "https://token-s3cr3t.example")
    with pytest.raises(ConfigurationError) as caught:
        project.platform().catalog.source("counts").connection.remote("counts", project.variables)  # type: ignore[attr-defined]
    assert "SPARK_REMOTE holds no place of Spark" in str(caught.value) and "s3cr3t" not in str(caught.value)


def test_a_look_tells_whether_an_input_or_the_job_moved_without_spark(project: Project) -> None:
    """What landed is written by hand: the position that a job's batch has."""
    from data_platform.sources.spark.jobs import digest_of
    from data_platform.sources.spark.reading import heads_of, position_of
    from data_platform.sync.opening import opening_of
    from data_platform_tests.contracts.batches import manifest

    def is_moved() -> bool | None:
        return probe(project.platform(), "counts")[0].moved

    path = project.job("daily", SQL)
    project.land("replace", [event(1, 1, "2026-01-01 10:00:00")])
    platform = project.platform()
    table = platform.catalog.table(TableId("counts", "daily"))
    assert is_moved()
    opening = opening_of(platform, platform.catalog.source("counts"), [table])
    assert opening.inputs is not None
    position = position_of(heads_of(opening.inputs, table), digest_of(path, table))
    made = manifest(1, "replace", 0, table=table.id, position_after=position, key=("user_id", "day"))
    platform.ledger.commit(made)
    assert position.text == "shop/events up to batch 1"
    assert is_moved() is False
    path.write_text(SQL + "\n")
    assert is_moved()
    path.write_text(SQL)
    assert is_moved() is False
    project.land("merge", [event(2, 1, "2026-01-01 11:00:00")])
    assert is_moved()


def test_a_source_whose_input_is_wrong_stops_no_other(project: Project, tmp_path: Path) -> None:
    project.job("daily", SQL, inputs={"events": "shop/nothing"})
    catalog = load_catalog(project.root, whole=False)
    assert list(catalog.sources) == ["shop"] and "shop/nothing" in catalog.left_out[0]
