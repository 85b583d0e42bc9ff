"""``verify``, over a real ledger: what it says, what it leaves with, and what it deletes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from data_platform.backups.archive import Archive
from data_platform.backups.mirror import mirror
from data_platform.catalog import load_catalog
from data_platform.cli import verify as module
from data_platform.cli.verify import parse_since
from data_platform.errors import LandingError
from data_platform.landing.keys import manifest_key, part_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.landing.signing import Signer, SigningConfig
from data_platform.stores.local import LocalStore
from data_platform.sync import Platform
from data_platform.sync.healing import healings
from data_platform_tests.contracts.batches import TABLE
from data_platform_tests.landing.redactions import ENVIRON, KEY, file_of, land, put_part, redact

from .conftest import Result

Cli = Callable[..., Result]
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(project: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger behind the command; three batches of shop/orders stand in it."""
    ledger = Ledger(LocalStore(project / ".data" / "landing"), ENVIRON)

    def opened(*_: object, **__: object) -> Platform:
        catalog = load_catalog(project)
        return Platform(catalog, catalog.environments["local"], ENVIRON, ledger.store, ledger, clock)

    monkeypatch.setattr(module, "open_project", opened)
    for day in range(1, 4):
        land(ledger, committed_at=f"2026-02-{day:02d}T12:00:00+00:00")
    return ledger


def orders(result: Result) -> dict[str, Any]:
    return next(table for table in json.loads(result.out)["tables"] if table["table"] == "shop/orders")


def damage(ledger: Ledger, sequence: int) -> None:
    file = file_of(ledger, ledger.read(TABLE, sequence).parts[0].key)
    file.write_bytes(file.read_bytes()[:-1] + b"!")


def lose(ledger: Ledger, sequence: int) -> str:
    assert isinstance(ledger.store, LocalStore)
    return put_part(ledger.store, part_key(TABLE, sequence, "lost0000"), b"lost").key


def test_everything_the_first_time_then_what_is_new(cli: Cli, ledger: Ledger) -> None:
    first = cli("verify", "shop")
    assert first.code == 0, first.err
    assert "shop/orders: 3 manifests, 6 parts, " in first.out
    assert "shop/products: 0 manifests, 0 parts, 0 B hashed, 0 problems" in first.out
    assert "2 tables intact, 0 damaged; 5% of the older batches were read (--seed " in first.err
    land(ledger)
    then = orders(cli("verify", "shop/orders", "--sample", "0", "--json"))
    assert (then["since"], then["last"], then["manifests"], then["parts"]) == (3, 4, 1, 2)


def test_nothing_landed_is_whole(cli: Cli, project: Path) -> None:
    result = cli("verify", "--collect-orphans", "--yes")
    assert result.code == 0, result.err
    assert result.out.count("0 manifests") == 4
    assert not (project / ".data").exists()


def test_replaced_parts_go_by_the_table_s_rule(cli: Cli, project: Path, ledger: Ledger) -> None:
    nothing = orders(cli("verify", "shop", "--collect-replaced", "--yes", "--json"))
    assert nothing["replaced"] is None, "the table has no rule"
    file = project / "catalog" / "sources" / "shop.yaml"
    file.write_text(
        file.read_text().replace("    key: order_id\n", "    key: order_id\n    keep_replaced_days: 10\n", 1)
    )
    land(ledger, load="replace", operation="refresh", committed_at="2026-02-10T12:00:00+00:00")
    counted = cli("verify", "shop/orders", "--collect-replaced")
    assert "6 replaced parts" in counted.out and "would be deleted with --yes" in counted.out
    done = orders(cli("verify", "shop/orders", "--collect-replaced", "--yes", "--json"))
    assert done["replaced"] == {
        "kept_from": 4,
        "kept_since": "2026-02-10T12:00:00+00:00",
        "parts": 6,
        "bytes": done["replaced"]["bytes"],
        "deleted": True,
    }
    for _ in (0, 1):  # nothing goes the second time
        after, before = json.loads(cli("audit", "search", "--action", "retention", "--json").out)
        assert (before["outcome"], after["outcome"]) == ("started", "done")
        assert after["objects"] == ["shop/orders"]
        assert after["details"] == {"keep_replaced_days": 10, "parts": 6}
        assert cli("verify", "shop/orders", "--collect-replaced", "--yes").code == 0
    assert cli("verify", "--since", "0").code == 0
    assert cli("verify", "--yes").code == 2


def test_since_a_day_or_a_batch(cli: Cli, ledger: Ledger) -> None:
    for since, manifests in (("0", 3), ("2", 1), ("2026-02-02", 2), ("2026-02-04", 0)):
        result = cli("verify", "shop/orders", "--since", since, "--sample", "0", "--json")
        assert orders(result)["manifests"] == manifests


@pytest.mark.parametrize("text", ["x", "2026-02-30", "20260201", "-1", "", "2026-02-01T00:00:00"])
def test_since_what_is_neither(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a day"):
        parse_since(text)


def test_a_seed_repeats_its_sample(cli: Cli, ledger: Ledger) -> None:
    cli("verify")
    one, two = (json.loads(cli("verify", "--seed", "7", "--json").out) for _ in range(2))
    assert (one["seed"], one["sample"]) == (7, 0.05)
    for document in (one, two):
        assert all(table.pop("seconds") >= 0 for table in document["tables"])
    assert one == two


def test_damage_is_named_and_ends_with_1(cli: Cli, ledger: Ledger) -> None:
    damage(ledger, 2)
    file_of(ledger, manifest_key(TABLE, 1)).unlink()
    result = cli("verify")
    assert result.code == 1
    assert "2 problems" in result.out
    assert "Error: The part shop/orders/batches/00000002-" in result.err
    assert "Error: Batch 1 of shop/orders has no manifest" in result.err
    assert "3 tables intact, 1 damaged" in result.err
    document = json.loads(cli("verify", "--json").out)
    assert document["ok"] is False
    assert [table["ok"] for table in document["tables"]] == [True, True, False, True]
    assert len(orders(cli("verify", "--json"))["problems"]) == 2


def test_a_store_that_cannot_be_asked_is_no_damage(
    cli: Cli, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise LandingError("The store does not answer.")

    monkeypatch.setattr(ledger.store, "list", down)
    assert cli("verify").code == 4


def test_orphans_go_at_the_second_look_and_only_when_told(cli: Cli, ledger: Ledger, clock: Clock) -> None:
    lost, living = lose(ledger, 2), lose(ledger, 4)
    first = cli("verify", "--collect-orphans", "--yes")
    assert first.code == 0
    assert "1 orphan within the grace period" in first.err
    clock.now += timedelta(hours=25)
    dry = cli("verify", "--collect-orphans")
    assert "1 orphan, 4 B would be deleted with --yes" in dry.out
    assert cli("verify", "--collect-orphans", "--grace", "48").out.count("orphan") == 0
    assert ledger.store.size(lost) == 4
    done = orders(cli("verify", "--collect-orphans", "--yes", "--json"))["orphans"]
    assert [orphan["key"] for orphan in done["ripe"]] == [lost]
    assert (done["deleted"], done["unlanded"]) == (True, [living])
    with pytest.raises(KeyError):
        ledger.store.size(lost)
    assert ledger.store.size(living) == 4
    assert orders(cli("verify", "--json"))["orphans"] is None


def test_nothing_is_collected_from_a_damaged_table(cli: Cli, ledger: Ledger) -> None:
    lost = lose(ledger, 2)
    damage(ledger, 3)
    result = cli("verify", "--collect-orphans", "--grace", "0", "--yes")
    assert result.code == 1
    assert "not collected while the table is damaged" in result.err
    assert ledger.store.size(lost) == 4


def test_yes_goes_with_what_it_agrees_to(cli: Cli, ledger: Ledger) -> None:
    assert cli("verify", "--yes").code == 2
    assert cli("verify", "--sample", "2").code == 2
    assert cli("verify", "--since", "yesterday").code == 2


def test_a_redaction_needs_its_key(cli: Cli, ledger: Ledger) -> None:
    redact(ledger, 1)
    assert cli("verify", "shop/orders").code == 0
    ledger.environ = {}
    result = cli("verify", "shop/orders")
    assert result.code == 2
    assert KEY_VARIABLE in result.err
    assert KEY not in result.err
    ledger.environ = {KEY_VARIABLE: "another key that is long enough too"}
    result = cli("verify", "shop/orders")
    assert result.code == 1
    assert "batch 4 of shop/orders is not signed under the key" in result.err
    assert "another key" not in result.err


def test_a_forged_chain_is_damage(cli: Cli, ledger: Ledger) -> None:
    forged = replace(ledger.read(TABLE, 2), rows=9).sealed()
    file_of(ledger, manifest_key(TABLE, 2)).write_bytes(forged.to_json())
    result = cli("verify", "shop/orders")
    assert result.code == 1
    assert "The manifest of batch 3 of shop/orders does not follow the one before" in result.err


def test_the_json_is_what_the_documentation_says(cli: Cli, ledger: Ledger) -> None:
    lose(ledger, 2)
    section = DOCS.read_text().partition("## `data-platform verify")[2].partition("\n## ")[0]
    written = section.partition("JSON:")[2]
    document = json.loads(cli("verify", "--collect-orphans", "--grace", "0", "--json").out)
    table = orders(cli("verify", "--collect-orphans", "--grace", "0", "--json"))
    for key in [*document, *table, *table["orphans"], *table["orphans"]["ripe"][0]]:
        assert f"`{key}`" in written, key


def test_a_ledger_from_before_the_key_is_taken_when_its_table_is_named(ledger: Ledger, cli: Cli) -> None:
    assert "not signed" in cli("verify", "shop/orders").out
    assert cli("verify", "--sign").code == 2
    refused = cli("verify", "shop/orders", "--sign")
    assert refused.code == 2 and "no key to sign with" in refused.err
    key = {"DATA_PLATFORM_LEDGER_KEY": "a key of a test, long enough to be taken"}
    ledger.signer = Signer.of(SigningConfig(), "local", key)
    unsigned = cli("verify", "shop/orders")
    assert unsigned.code == 1 and "verify shop/orders --sign" in unsigned.err
    assert cli("verify", "shop/orders", "--sign").code == 0
    assert cli("verify", "shop/orders").code == 0
    land(ledger, committed_at="2026-02-04T12:00:00+00:00")
    assert "signed from batch 4 on" in cli("verify", "shop/orders").out
    assert orders(cli("verify", "shop/orders", "--json"))["signed_from"] == 4


def test_what_is_damaged_is_put_back_from_the_backups(cli: Cli, project: Path, ledger: Ledger) -> None:
    damage(ledger, 2)
    assert cli("verify", "--heal").code == 2, "there are no backups"
    file = project / "catalog" / "platform.yaml"
    text = file.read_text()
    backups = "    backups: {store: {kind: local, path: .data/backups}, start: 2026-01-01}\n"
    file.write_text(text.replace("    automation: stopped\n", f"    automation: stopped\n{backups}", 1))
    nothing = cli("verify", "--heal")
    assert nothing.code == 1 and "is altered" not in nothing.out, "the archive is empty"
    part = ledger.read(TABLE, 2).parts[0]
    put_part(ledger.store, part.key, b"rows 2.0" * 9)  # type: ignore[arg-type]
    mirror(ledger, Archive("primary", lambda: LocalStore(project / ".data" / "backups")), [TABLE])
    damage(ledger, 2)
    lost = manifest_key(TABLE, 3)
    ledger.store.delete(lost)
    result = cli("verify", "--heal", "--json")
    found = orders(result)
    assert (result.code, found["ok"], found["problems"], found["manifests"]) == (0, True, [], 3)
    assert found["healed"]["objects"] == [
        {"key": lost, "archive": "primary"},
        {"key": part.key, "archive": "primary"},
    ]
    catalog = load_catalog(project)
    platform = Platform(catalog, catalog.environments["local"], ENVIRON, ledger.store, ledger)
    (record,) = healings(platform, datetime(2026, 1, 1, tzinfo=UTC))
    assert (record.table, record.objects) == ("shop/orders", 2)
    assert record.named == (f"{lost} (from primary)", f"{part.key} (from primary)")
    assert cli("verify", "--heal", "--sign", "shop").code == 2
    damage(ledger, 1)
    said = cli("verify", "--heal", "--since", "0")
    assert said.code == 0 and "was put back from primary" in said.out
