"""``audit``: what the commands did stands in the trail, is verified, searched and written out; no value of a row is in it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyrage.x25519 import Identity

from data_platform.audit.trail import Filter
from data_platform.errors import StoreUnreachable
from data_platform.stores.local import LocalStore
from data_platform.sync import open_platform
from data_platform.sync.auditing import note_configuration, sign_and_copy

from .conftest import Result

Cli = Callable[..., Result]
NEEDLE = "jane.roe@example.com"


@pytest.fixture
def warehouse(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATA_PLATFORM_ACTOR", "agent:reports")
    path = project / ".data" / "warehouse.duckdb"
    path.parent.mkdir()
    with duckdb.connect(path) as connection:
        connection.execute("create schema marts")
        connection.execute(f"create table marts.people as select '{NEEDLE}' as email from range(3)")
    return path


def blocks(project: Path) -> list[Path]:
    return sorted((project / ".data" / "landing" / "_audit" / "blocks").rglob("*.json"))


def found(cli: Cli, *words: str) -> list[dict[str, object]]:
    result = cli("audit", "search", "--json", *words)
    assert result.code == 0, result.err
    read: list[dict[str, object]] = json.loads(result.out)
    return read


def test_queries_are_recorded_by_their_digest_and_tables(cli: Cli, warehouse: Path, project: Path) -> None:
    assert cli("query", f"select * from marts.people where email = '{NEEDLE}'").code == 0
    assert cli("query", "select * from marts.people where email = ?", "--bind", NEEDLE).code == 0
    assert (
        cli("query", f'with "{NEEDLE}" as (from marts.people) select email as "Jane" from "{NEEDLE}"').code
        == 0
    )
    assert cli("query", f'select * from marts."{NEEDLE}"').code != 0
    assert cli("query", "selec").code != 0
    events = found(cli, "--action", "query", "--who", "agent:reports")
    assert [one["objects"] for one in events] == [[], [], *[["marts.people"]] * 3]
    assert [one["outcome"] for one in events] == ["failed"] * 2 + ["done"] * 3
    assert {"sha256", "error"} == set(events[0]["details"])  # type: ignore[call-overload]
    assert len(found(cli, "--object", "marts.people")) == 3
    everything = b"".join(p.read_bytes() for p in (project / ".data" / "landing").rglob("*") if p.is_file())
    for needle in (NEEDLE, "Jane", "roe", "select"):
        assert needle.encode() not in everything


def test_rows_that_cannot_be_recorded_are_not_shown(cli: Cli, warehouse: Path, project: Path) -> None:
    (project / ".data" / "landing").write_text("no folder")
    result = cli("query", "from marts.people")
    assert result.code == 4 and "so its rows are not shown" in result.err and NEEDLE not in result.out
    platform = project / "catalog" / "platform.yaml"
    platform.write_text(
        platform.read_text().replace("automation:", "audit: {queries: false}\n    automation:")
    )
    assert NEEDLE in cli("query", "from marts.people").out


def test_an_actor_that_is_no_name(cli: Cli, warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_PLATFORM_ACTOR", "Jane Roe")
    result = cli("query", "from marts.people")
    assert result.code == 2 and "DATA_PLATFORM_ACTOR must be a name" in result.err


def test_verify_names_damage_and_accepts_it_with_a_reason(cli: Cli, warehouse: Path, project: Path) -> None:
    assert "0 events in 0 blocks" in cli("audit", "verify").out
    for _ in range(4):
        cli("query", "from marts.people")
    fine = cli("audit", "verify", "--json")
    assert fine.code == 0 and json.loads(fine.out)["entries"] == 4
    newest, *_, oldest = blocks(project)
    oldest.write_bytes(oldest.read_bytes().replace(b"agent:reports", b"agent:nobody_"))
    newest.unlink()
    bad = cli("audit", "verify", "--all")
    assert (
        bad.code == 1
        and "was edited" in bad.err
        and "was truncated: it ends at block 3, though block 4" in bad.err
    )
    assert cli("query", "from marts.people").code == 4, "nothing is appended to a truncated trail"
    search = cli("audit", "search")
    assert search.code == 1 and "The trail is damaged" in search.err and "marts.people" in search.out
    assert cli("audit", "verify", "--accept", "for jane@example.com").code == 2
    assert cli("audit", "verify", "--accept", "INC-12, disk lost").code == 0
    assert cli("audit", "verify", "--all").code == 0
    accepted = json.loads(cli("audit", "search", "--action", "accept", "--json").out)
    assert [one["purpose"] for one in accepted] == ["INC-12, disk lost"]
    assert accepted[0]["details"]["problems"] == 2


def test_a_copy_heals(cli: Cli, warehouse: Path, project: Path) -> None:
    platform = project / "catalog" / "platform.yaml"
    second = "audit: {second: {kind: local, path: .data/second}}\n    automation:"
    platform.write_text(platform.read_text().replace("automation:", second))
    for _ in range(3):
        cli("query", "from marts.people")
    headed = sign_and_copy(open_platform(project))
    assert headed.copied == 3 and not headed.failed and len(headed.stores) == 1
    blocks(project)[0].unlink()
    assert cli("audit", "verify").code == 1
    healed = cli("audit", "verify", "--heal", "--json")
    assert healed.code == 0 and json.loads(healed.out)["restored"] == [3]
    assert len(found(cli)) == 3
    shutil.rmtree(project / ".data" / "landing")
    lost = cli("audit", "verify")
    assert lost.code == 1 and "was truncated: it ends at block 0, though block 3" in lost.err
    assert cli("audit", "verify", "--heal").code == 0
    assert len(found(cli)) == 3 and cli("query", "from marts.people").code == 0


def test_a_second_store_that_cannot_be_asked(
    cli: Cli, warehouse: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = project / "catalog" / "platform.yaml"
    second = "audit: {second: {kind: local, path: .data/second}}\n    automation:"
    platform.write_text(platform.read_text().replace("automation:", second))
    cli("query", "from marts.people")
    (project / ".data/second").write_text("no folder")
    headed = sign_and_copy(open_platform(project))
    assert len(headed.failed) == 1 and not headed.stores and not headed.found.problems
    list_ = LocalStore.list

    def silent(self: LocalStore, prefix: str, limit: int | None = None) -> list[str]:
        if self.path.name == "second":
            raise StoreUnreachable("No answer.")
        return list_(self, prefix, limit)

    monkeypatch.setattr(LocalStore, "list", silent)
    result = cli("audit", "verify")
    assert result.code == 4 and "1 event in 1 block" in result.out
    assert "The second store file:" in result.err and "was not asked: No answer." in result.err
    headed = sign_and_copy(open_platform(project))
    assert len(headed.failed) == 1 and not headed.stores and not headed.found.problems


def test_backups_that_are_encrypted_hold_the_head_encrypted(
    cli: Cli, warehouse: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Identity.generate()
    monkeypatch.setenv("AUDIT_TEST_IDENTITY", str(identity))
    block = f"""backups:
      store: {{kind: local, path: .data/backups}}
      start: 2026-01-01
      encryption: {{recipients: [{identity.to_public()}], identities_env: AUDIT_TEST_IDENTITY}}
    automation:"""
    platform = project / "catalog" / "platform.yaml"
    platform.write_text(platform.read_text().replace("automation:", block))
    cli("query", "from marts.people")
    assert len(sign_and_copy(open_platform(project)).stores) == 1
    written = [p.read_bytes() for p in (project / ".data/backups/_audit").rglob("*") if p.is_file()]
    assert len(written) == 2 and all(data.startswith(b"age-encryption.org") for data in written)
    (newest,) = blocks(project)
    newest.unlink()
    assert cli("audit", "verify", "--heal").code == 0


def test_export_as_json_lines_and_csv(cli: Cli, warehouse: Path, project: Path) -> None:
    for _ in range(3):
        cli("query", "from marts.people")
    lines = [json.loads(line) for line in cli("audit", "export").out.splitlines()]
    assert [one["number"] for one in lines] == [1, 2, 3] and lines[0]["objects"] == ["marts.people"]
    assert cli("audit", "export", "--format", "csv", "--to", "events.csv").code == 0
    rows = list(csv.DictReader(io.StringIO((project / "events.csv").read_text())))
    assert [row["number"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["objects"] == "marts.people" and rows[0]["who"] == "agent:reports"
    assert rows[0]["details"].startswith("sha256=") and rows[0]["id"] == lines[0]["id"]
    assert cli("audit", "export", "--until", "2020-01-01").out == ""
    assert cli("audit", "search", "--since", "yesterday").code == 2
    assert "No such event" in cli("audit", "search", "--action", "erase").out


def test_a_changed_catalog_is_recorded_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def noted() -> list[dict[str, Any]]:
        platform = open_platform(project)
        note_configuration(platform)
        return [
            dict(one.body["details"]) for one in platform.trail.search(Filter(action="configuration"), [])
        ]

    def forget() -> None:
        shutil.rmtree(project / ".data" / "audit")

    (first,) = noted()
    assert first["before"] is None and noted() == [first]
    forget()  # another machine
    assert noted() == [first]
    shop = project / "catalog" / "sources" / "shop.yaml"
    shop.write_text(shop.read_text() + "# a comment is no change\n")
    assert noted() == [first]
    shop.write_text(shop.read_text().replace("supplier_email: hash", "supplier_email: keep"))
    second, _ = noted()
    assert second["before"] == first["sha256"] != second["sha256"]
    monkeypatch.setenv("CLI_TEST_SHOP_URL", "postgresql://elsewhere/db")
    forget()
    assert len(noted()) == 2, "variables are no part of it"
    landing = project / ".data" / "landing"
    everything = b"".join(path.read_bytes() for path in landing.rglob("*") if path.is_file())
    assert b"supplier_email" not in everything
    shutil.rmtree(landing)
    assert noted() == [], "nothing is asked of the store where nothing changed"


def test_a_trail_that_is_damaged_stops_no_sync(
    project: Path, cli: Cli, caplog: pytest.LogCaptureFixture
) -> None:
    note_configuration(open_platform(project))
    blocks(project)[0].unlink()
    shop = project / "catalog" / "sources" / "shop.yaml"
    shop.write_text(shop.read_text().replace("supplier_email: hash", "supplier_email: keep"))
    note_configuration(open_platform(project))
    assert "could not record that the catalog changed" in caplog.text and "truncated" in caplog.text
    assert cli("audit", "verify").code == 1
