"""Every mistake of a catalog at once, each in words that say what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_platform.catalog import load_catalog
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.catalog.documents import PLATFORM, SOURCE, mistakes, only, write
from data_platform_tests.contracts.toy_warehouse.dialect import SQLiteDialect


def test_every_mistake_of_every_file_at_once(tmp_path: Path) -> None:
    platform = PLATFORM.replace("landing: {", "lnading: {").replace("duckdb,", "duckdb, wait_seconds: soon,")
    tables = """\
  orders:
    keys: order_id
    partition: created_at
    rules: [revenue >>= 0, {rule: x not null, blocking: perhaps}]
  users:
    key: id
    columns: {email: The address.}
  events: {strategy: append}
  users: {key: id}
"""
    root = write(
        tmp_path,
        tables,
        source=SOURCE.replace("postgres", "postgress") + "timezone: Mars\nfreshness_hours: 0\n",
    )
    (root / "catalog" / "platform.yaml").write_text(platform)
    (root / "catalog" / "sources" / "shop2.yaml").write_text("source: shop\n")
    found = mistakes(root)
    places = [mistake.split(": ")[0].split(" ")[0] + " " + mistake.split(": ")[1] for mistake in found]
    assert places == [
        "catalog/platform.yaml:2 environments.local.landing",
        "catalog/platform.yaml:3 environments.local.lnading",
        "catalog/platform.yaml:4 environments.local.warehouse.wait_seconds",
        "catalog/sources/shop.yaml:2 kind",
        "catalog/sources/shop.yaml:5 timezone",
        "catalog/sources/shop.yaml:6 freshness_hours",
        "catalog/sources/shop.yaml:9 tables.orders.keys",
        "catalog/sources/shop.yaml:11 tables.orders.rules[0]",
        "catalog/sources/shop.yaml:11 tables.orders.rules[1]",
        "catalog/sources/shop.yaml:14 tables.users.personal.email",
        "catalog/sources/shop.yaml:15 tables.events.key",
        "catalog/sources/shop.yaml:16 tables.users",
        "catalog/sources/shop2.yaml:1 connection",
        "catalog/sources/shop2.yaml:1 kind",
        "catalog/sources/shop2.yaml:1 source",
        "catalog/sources/shop2.yaml:1 tables",
    ]


@pytest.mark.parametrize(
    ("block", "path", "words"),
    [
        ("{}", "key", "The strategy merge replaces rows by key"),
        ("{strategy: append}", "key", "only adds keys that are absent"),
        ("{key: [a, a]}", "key[1]", "names the column `a` twice"),
        ("{key: 7}", "key", "must be a list"),
        ("{key: id, cursor_clock: database}", "cursor_clock", "there is no `cursor`"),
        ("{key: id, strategy: upsert}", "strategy", "must be one of merge, append, replace"),
        ("{key: id, relation: a.b.c}", "relation", "must be `schema.name` or `name`"),
        ("{key: id, relation: a.}", "relation", "must be `schema.name` or `name`"),
        ("{key: id, freshness_hours: 0}", "freshness_hours", "must be greater than 0"),
        ("{key: id, owner: somebody}", "owner", "must be an email address, or `team:`"),
        ("{key: id, personal: {email: hsah}}", "personal.email", "Did you mean `hash`?"),
        ("{key: id, personal: [email]}", "personal", "must be a block"),
        ("{key: ssn, personal: {ssn: redact}}", "key", "use hash for a key"),
        ("{key: id, partition: dob, personal: {dob: hash}}", "partition", "its day must be readable"),
        ("{key: id, cursor: dob, personal: {dob: mask}}", "cursor", "kept as the watermark"),
        ("{key: id, newest_data: {column: a}}", "newest_data.max_age_hours", "is missing"),
        ("{key: id, as: {a: txt}}", "as.a", "must be one of text"),
        ("{key: id, partition: day, as: {day: text}}", "as.day", "a time is needed"),
        ("{key: id, rules: [a >= 0, a >= 0]}", "rules[1]", "appears twice in this table"),
        (
            "{key: id, rules: [a >= 0, {rule: b >= 0, name: a_gte_0}]}",
            "rules[1]",
            "has the same name as another rule",
        ),
        ("{key: id, rules: [a >= 0, a >>= 0, a >= 0]}", "rules[2]", "appears twice in this table"),
        ("{key: id, rules: [b unqiue]}", "rules[0]", "did you mean `unique`?"),
        ("{key: id, rules: [row_count() >= 1 per day]}", "rules[0]", "the table has no `partition`"),
        (
            "{key: id, rules: [sum(a) >= 0], personal: {a: mask}}",
            "rules[0]",
            "treated as mask under `personal`",
        ),
        (
            "{key: id, rules: [unique(a)], personal: {a: redact}}",
            "rules[0]",
            "treated as redact under `personal`",
        ),
        ("{key: id, rules: [b references oders.id]}", "rules[0]", "no table of the catalog"),
        (
            "{key: id, rules: [b references t.id], personal: {id: hash}}",
            "rules[0]",
            "both must land in clear",
        ),
        ("{key: id, only: [id, b], rules: [b references t.c]}", "rules[0]", "`only` leaves it out"),
        (
            "{key: id, rules: [{query: 'SELECT 1 FROM raw_shop.tt'}]}",
            "rules[0]",
            "Did you mean `raw_shop.t`?",
        ),
        ("{key: id, only: [id], rules: [{sql: id > cost}]}", "rules", "names `cost`, which is not read"),
        ("{key: id, columns: {_batch_id: x}}", "columns._batch_id", "which the platform adds"),
        ("{key: customerEmail}", "personal.customerEmail", "looks like an email address"),
        ("{key: id, rules: [phone not null]}", "personal.phone", "looks like a phone number"),
        ("{key: id, columns: {x: 1}}", "columns.x", "must be text"),
        ("{key: id, kye: id}", "kye", "unknown key. Did you mean `key`?"),
        ("[id]", "", "must be a block"),
    ],
)
def test_mistakes_of_a_table(tmp_path: Path, block: str, path: str, words: str) -> None:
    found = mistakes(write(tmp_path, f"  t: {block}\n"))
    where = f"catalog/sources/shop.yaml:6: tables.t{'.' * bool(path)}{path}: "
    assert any(mistake.startswith(where) and words in mistake for mistake in found), found
    expected = 2 if ">>=" in block else 1
    assert len(found) == expected, found


@pytest.mark.parametrize(
    ("line", "path", "words"),
    [
        ("owner: me", "owner", "must be an email address"),
        ("timezone: Europe/Berln", "timezone", "Did you mean `Europe/Berlin`?"),
        ("timezone: America", "timezone", "is not a time zone"),
        ("schedule: '0 * * *'", "schedule", "five fields"),
        ("schedule: 5", "schedule", "must be text"),
        ("reconcile: '0 0 31 2 *'", "reconcile", "never runs"),
        ("freshness_hours: -1", "freshness_hours", "must be greater than 0"),
        ("freshnes_hours: 1", "freshnes_hours", "Did you mean `freshness_hours`?"),
        ("start: 2024-13-01", "start", "not a valid date"),
        ("start: soon", "start", "must be a date such as 2024-01-31"),
    ],
)
def test_mistakes_of_a_source(tmp_path: Path, line: str, path: str, words: str) -> None:
    source = SOURCE.replace("start: 2024-11-01\n", "") if path == "start" else SOURCE
    mistake = only(write(tmp_path, "  t: {key: id}\n", source=source + line + "\n"))
    assert mistake.startswith(f"catalog/sources/shop.yaml:{source.count(chr(10)) + 1}: {path}: ")
    assert words in mistake


@pytest.mark.parametrize("name", ["Shop", "shop-eu", "2shop", "shop__eu", "_shop", "data_platform", "s" * 49])
def test_a_source_name_that_is_safe_everywhere(tmp_path: Path, name: str) -> None:
    source = SOURCE.replace("source: shop", f"source: {name}")
    assert only(write(tmp_path, "  t: {key: id}\n", source=source)).startswith(
        "catalog/sources/shop.yaml:1: source:"
    )


@pytest.mark.parametrize("name", ["Orders", "order items", "2orders", "a__b", "_a", "t" * 49])
def test_a_table_name_that_is_safe_everywhere(tmp_path: Path, name: str) -> None:
    mistake = only(write(tmp_path, f"  {name}: {{key: id}}\n"))
    assert "write the name it has in the source under `relation`" in mistake


def test_a_partition_needs_a_start(tmp_path: Path) -> None:
    source = SOURCE.replace("start: 2024-11-01\n", "")
    assert "start: is missing" in only(write(tmp_path, "  t: {key: id, partition: day}\n", source=source))
    assert load_catalog(write(tmp_path, "  t: {key: id}\n", source=source)).table_ids()


@pytest.mark.parametrize("tables", ["", "tables:\n", "tables: {}\n"])
def test_a_source_names_a_table(tmp_path: Path, tables: str) -> None:
    assert "tables: is missing" in only(write(tmp_path, source=SOURCE + tables))


def test_two_files_with_one_source(tmp_path: Path) -> None:
    root = write(tmp_path, "  t: {key: id}\n")
    (root / "catalog/sources/other.yaml").write_text(SOURCE + "tables: {t: {key: id}}\n")
    assert only(root) == (
        "catalog/sources/shop.yaml:1: source: the source `shop` is also defined in catalog/sources/other.yaml:"
        " give one of them another name"
    )


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    root = write(tmp_path, "  t: {key: id}\n")
    sources = root / "catalog" / "sources"
    (sources / "a.yaml").write_bytes(b"\xff\xfe\x00")
    (sources / "b.yaml").write_text("")
    (sources / "c.yaml").write_text("- one\n")
    (sources / "d.yaml").write_text("source: d\nschedule: * * * * *\n")
    (sources / "e.yml").write_text("source: e\n")
    (sources / "f.yaml").write_text("source: f\n---\nsource: g\n")
    assert [mistake.partition(": ")[0] for mistake in mistakes(root)] == [
        "catalog/sources/a.yaml:1",
        "catalog/sources/b.yaml:1",
        "catalog/sources/c.yaml:1",
        "catalog/sources/d.yaml:2",
        "catalog/sources/e.yml:1",
        "catalog/sources/f.yaml:2",
    ]


def test_a_missing_platform_file_is_told_with_the_rest(tmp_path: Path) -> None:
    root = write(tmp_path, "  t: {kye: id}\n")
    (root / "catalog" / "platform.yaml").unlink()
    found = mistakes(root)
    assert found[0].startswith("catalog/platform.yaml:1: is missing")
    assert "tables.t.kye" in found[1]


SECRETS = {
    "url_env": (
        SOURCE.replace("SHOP_DATABASE_URL", '"postgresql://me:s3cr3tpw@db/shop"'),
        "environment variable",
    ),
    "url": (
        SOURCE.replace("url_env: ", "url: ").replace("SHOP_DATABASE_URL", "postgresql://me:s3cr3tpw@db/shop"),
        "url_env",
    ),
    "password": (SOURCE.replace("}", ", password: s3cr3tpw}"), "Connections are secrets"),
    "elsewhere": (SOURCE + "description: see postgresql://me:s3cr3tpw@db/shop\n", "a URL with a secret"),
    "a wrong type": (SOURCE.replace("SHOP_DATABASE_URL", "{s3cr3tpw: s3cr3tpw}"), "must be text"),
    "an enumeration": (SOURCE.replace("}", ", sslmode: s3cr3tpw}"), "must be one of"),
    "a number": (SOURCE.replace("}", ", connections: s3cr3tpw}"), "must be a whole number"),
    "a rule": (SOURCE + "tables: {t: {key: id, rules: [a >> 's3cr3tpw']}}\n", "rules[0]"),
}


@pytest.mark.parametrize("case", SECRETS)
def test_a_value_is_never_repeated(tmp_path: Path, case: str) -> None:
    source, words = SECRETS[case]
    tables = "" if "tables:" in source else "  t: {key: id}\n"
    text = "\n".join(mistakes(write(tmp_path, tables, source=source)))
    assert words in text
    assert "s3cr3tpw" not in text


def test_a_webhook_in_the_file_is_not_repeated(tmp_path: Path) -> None:
    url = "https://hooks.slack.com/services/T000/B000/s3cr3tpw"
    platform = PLATFORM + f"    alerts: {{slack: {{webhook_env: '{url}'}}}}\n"
    mistake = only(write(tmp_path, "  t: {key: id}\n", platform=platform))
    assert "alerts.slack.webhook_env: must be the name of an environment variable" in mistake
    assert "s3cr3tpw" not in mistake


@pytest.mark.parametrize(
    ("backups", "said"),
    [
        ("store: {kind: local, path: .data/landing}", "backups.store: the backup store is in the same place"),
        ("store: {kind: local, path: ./.data/x/../landing/b}", "the backup store is in the same place"),
        (
            "store: {kind: s3, bucket: bucket}, copies: {off: {kind: s3, bucket: bucket, prefix: p}}",
            "backups.copies.off: the copy off is in the same place as the backup store",
        ),
        (
            "store: {kind: s3, bucket: bucket}, copies: {primary: {kind: gcs, bucket: bucket}}",
            "give the copy another name",
        ),
        ("store: {kind: s3, bucket: bucket}, schedule: daily", "backups.schedule: must be a cron line"),
        (
            "store: {kind: s3, bucket: bucket}, archive: {schedule: weekly}",
            "backups.archive.schedule: must be",
        ),
        (
            "store: {kind: s3, bucket: bucket}, archive: {cold: {store: {kind: s3, bucket: bucket}}}",
            "backups.archive.cold.store: the cold copy is in the same place as the backup store",
        ),
        (
            "store: {kind: s3, bucket: a1b}, archive: {cold: {store: {kind: s3, bucket: b1c}, schedule: x}}",
            "backups.archive.cold.schedule: must be a cron line",
        ),
        (
            "store: {kind: s3, bucket: a1b}, copies: {cold: {kind: gcs, bucket: b1c}}",
            "the archive's cold copy",
        ),
        ("store: {kind: s3, bucket: bucket}, tiers: {schedule: x}", "backups.tiers.schedule: must be a cron"),
        ("store: {kind: local, path: elsewhere}, tiers: {}", "backups.tiers: moves objects between storage"),
        ("store: {kind: s3, bucket: bucket}, tiers: {warm_after_days: 90}", "must be more than"),
        (
            "store: {kind: s3, bucket: bucket}, snapshots: {}",
            "backups.snapshots: a warehouse of the kind duckdb makes no snapshots of its tables: take `snapshots` out",
        ),
    ],
)
def test_a_second_copy_in_the_same_place_is_none(tmp_path: Path, backups: str, said: str) -> None:
    platform = PLATFORM + f"    backups: {{{backups}, start: 2026-11-01}}\n"
    assert said in only(write(tmp_path, "  t: {key: a}\n", platform=platform))


def test_backups_in_places_of_their_own_are_taken(tmp_path: Path) -> None:
    backups = (
        "    backups:\n      store: {kind: s3, bucket: bucket, prefix: here}\n      start: 2026-11-01\n"
        "      copies: {there: {kind: s3, bucket: bucket, prefix: there}, gcs: {kind: gcs, bucket: bucket, prefix: here}}\n"
    )
    found = (
        load_catalog(write(tmp_path, "  t: {key: a}\n", platform=PLATFORM + backups))
        .environment("local")
        .backups
    )
    assert found is not None and list(found.copies) == ["there", "gcs"]
    assert found.retention.days == 30 and not found.retention.apply


def test_snapshots_are_for_an_engine_that_makes_them_and_keeps_its_past(tmp_path: Path) -> None:
    snowflake = "kind: snowflake, account: a, user: U, role: R, warehouse: W, database: D"
    backups = (
        "    backups: {store: {kind: s3, bucket: bucket}, start: 2026-11-01, snapshots: {keep_days: 3}}\n"
    )

    def platform(warehouse: str) -> str:
        return PLATFORM.replace("kind: duckdb, path: .data/warehouse.duckdb", warehouse) + backups

    for taken in (snowflake, "kind: bigquery, project: acme-data, location: EU"):
        root = write(tmp_path, "  t: {key: a}\n", platform=platform(taken))
        found = load_catalog(root).environment("local").backups
        assert found is not None and found.snapshots is not None and found.snapshots.keep_days == 3
    root = write(tmp_path, "  t: {key: a}\n", platform=platform(f"{snowflake}, time_travel: false"))
    assert "backups.snapshots: a database without Time Travel has no snapshots of one instant" in only(root)


def test_a_rule_that_a_warehouse_cannot_test_is_told_at_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DuckDBConfig, "dialect", SQLiteDialect())
    tables = """\
  orders:
    key: id
    rules:
    - id > 0
    - sku matches "^[A-Z]"
  users:
    key: id
    personal: {email: hash}
    rules: [email matches "@"]
"""
    assert only(write(tmp_path, tables)) == (
        "catalog/sources/shop.yaml:10: tables.orders.rules[1]: cannot be tested in the warehouse of the environment"
        " local: SQLite has no regular expressions."
    ), "a rule on a personal column is tested where it is read"


@pytest.mark.parametrize(
    ("publish", "said"),
    [
        ("path: .data/warehouse.duckdb", "publish.path: is the warehouse itself"),
        ("path: .data/x/../warehouse.duckdb.wal", "publish.path: is the warehouse itself"),
        ("path: .data/landing/p.duckdb", "publish.path: lies in landing, the folder of a store"),
        ("path: p, schemas: [marts, _data_platform]", "publish.schemas[1]: holds the platform's own records"),
        ("path: p, schemas: []", "publish.schemas"),
        ("path: p, schemas: [a.b.c]", "publish.schemas[0]"),
        ("path: p, personal: [email]", "publish.personal[0]"),
        ("path: p, classes: [secret]", "publish.classes[0]"),
        ("path: p, max_age_hours: 0", "publish.max_age_hours"),
        ("schemas: [marts]", "publish.path"),
    ],
)
def test_a_publication_that_cannot_be_is_a_mistake(tmp_path: Path, publish: str, said: str) -> None:
    platform = PLATFORM + f"    publish: {{{publish}}}\n"
    assert said in only(write(tmp_path, "  t: {key: a}\n", platform=platform))


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("path: .data/warehouse.duckdb", "status_page.path: is the file of the warehouse"),
        ("path: .data/landing/x/index.html", "status_page.path: lies in landing, the folder of a store"),
        ("path: p.html, stale_hours: 0", "status_page.stale_hours"),
        ("paht: p.html", "Did you mean `path`?"),
    ],
)
def test_a_status_page_that_cannot_be_is_a_mistake(tmp_path: Path, page: str, said: str) -> None:
    platform = PLATFORM + f"    status_page: {{{page}}}\n"
    assert said in only(write(tmp_path, "  t: {key: a}\n", platform=platform))


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ("{name: A, relation: daily, day: d}", "figures[0].relation"),
        ("{name: A, relation: m.daily}", "figures[0].day"),
        ("{name: A, relation: m.daily, day: d, sums: x}", "Did you mean `sum`?"),
        (
            "{name: A, relation: m.a, day: d}, {name: A, relation: m.b, day: d}",
            "figures[1].name: is the name of the figure number 1 too",
        ),
    ],
)
def test_a_figure_that_cannot_be_is_a_mistake(tmp_path: Path, figures: str, said: str) -> None:
    assert said in only(write(tmp_path, "  t: {key: a}\n", platform=PLATFORM + f"figures: [{figures}]\n"))


def test_a_publication_of_what_keeps_nobody_waiting_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = PLATFORM + "    publish: {path: .data/published.duckdb}\n"
    root = write(tmp_path, "  t: {key: a}\n", platform=platform)
    assert load_catalog(root).environment("local").publish is not None
    monkeypatch.setattr(DuckDBConfig, "traits", replace(DuckDBConfig.traits, publishes=False))
    (root / "catalog" / "platform.yaml").write_text(platform + "\n")
    assert "publish: In a warehouse of the kind duckdb nobody waits" in only(root)
