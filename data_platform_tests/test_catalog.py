"""The catalog: what is read, every mistake at once, what is published and documented."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from data_platform.catalog import Catalog, json_schemas, load_catalog, project_root
from data_platform.catalog.cron import cron_problem
from data_platform.catalog.schema import key_paths, node_at, render_json_schemas
from data_platform.catalog.yaml_reader import read_yaml
from data_platform.dbt_sources import render_dbt_sources
from data_platform.errors import CatalogError, ConfigurationError
from data_platform.tables import TableId

ROOT = Path(__file__).resolve().parents[1]
PLATFORM = """\
environments:
  local:
    landing: {kind: local, path: .data/landing}
    warehouse: {kind: duckdb, path: .data/warehouse.duckdb}
"""
SOURCE = """\
source: shop
kind: postgres
connection: {url_env: SHOP_DATABASE_URL}
start: 2024-11-01
"""


def write(root: Path, tables: str = "", *, source: str | None = None, platform: str = PLATFORM) -> Path:
    folder = root / "catalog" / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    (root / "catalog" / "platform.yaml").write_text(platform)
    body = "tables:\n" + tables if tables else ""
    (folder / "shop.yaml").write_text((SOURCE if source is None else source) + body)
    return root


def mistakes(root: Path) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    return list(caught.value.mistakes)


def only(root: Path) -> str:
    (mistake,) = mistakes(root)
    return mistake


# --- what is read -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(ROOT)


def test_the_committed_catalog_is_valid(catalog: Catalog) -> None:
    assert [str(t) for t in catalog.table_ids()] == [
        f"shop/{t}" for t in ("users", "products", "orders", "order_items", "payments", "events")
    ]
    assert set(catalog.environments) == {"local", "prod"}
    assert catalog.environments["local"].automation == "stopped"
    assert catalog.environments["prod"].automation == "running"
    users = catalog.table(TableId("shop", "users"))
    assert users.treatment("email") == "hash"
    assert users.treatment("age") == "keep"
    assert users.treated == ("email", "phone", "ssn", "first_name", "last_name")


def test_a_table_has_what_it_inherits(tmp_path: Path) -> None:
    source = SOURCE + "owner: team:data\nschema: sales\ntimezone: Europe/Berlin\nfreshness_hours: 12\n"
    tables = """\
  orders: {key: id, partition: created_at}
  daily: {strategy: replace, relation: 'mart."daily.orders"', owner: a@b.example, freshness_hours: 1.5}
  lines: {key: [order_id, line], relation: Order Lines}
"""
    shop = load_catalog(write(tmp_path, tables, source=source)).source("shop")
    orders, daily, lines = (shop.table(name) for name in ("orders", "daily", "lines"))
    assert orders.relation == ("sales", "orders")
    assert (orders.owner, orders.freshness_hours, orders.timezone) == ("team:data", 12, "Europe/Berlin")
    assert orders.start == date(2024, 11, 1)
    assert (orders.strategy, orders.cursor_clock, orders.key) == ("merge", "application", ("id",))
    assert daily.relation == ("mart", "daily.orders")
    assert (daily.owner, daily.freshness_hours) == ("a@b.example", 1.5)
    assert lines.relation == ("sales", "Order Lines")
    assert lines.key == ("order_id", "line")


def test_the_catalog_is_frozen_and_still_copies(catalog: Catalog) -> None:
    users = catalog.source("shop").tables["users"]
    with pytest.raises(TypeError, match="frozen"):
        users.personal["email"] = "keep"  # type: ignore[index]
    with pytest.raises(TypeError, match="frozen"):
        catalog.sources.clear()  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="frozen"):
        users.key = ()  # type: ignore[misc]
    assert copy.deepcopy(catalog) == catalog
    assert pickle.loads(pickle.dumps(catalog)) == catalog


def test_what_is_not_there_is_named_with_what_is_near(catalog: Catalog) -> None:
    with pytest.raises(ConfigurationError, match=r"no table 'order'\. Did you mean 'orders'"):
        catalog.table(TableId("shop", "order"))
    with pytest.raises(ConfigurationError, match=r"no source 'shpo'\. Did you mean 'shop'"):
        catalog.source("shpo")
    with pytest.raises(ConfigurationError, match="no environment 'production'"):
        catalog.environment("production")


def test_a_catalog_without_sources_is_one(tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "platform.yaml").write_text(PLATFORM)
    assert load_catalog(tmp_path).table_ids() == ()


def test_keys_are_text_as_written(tmp_path: Path) -> None:
    columns = "{on: x, no: y, 1: z}"
    table = load_catalog(write(tmp_path, f"  t: {{key: id, columns: {columns}}}\n")).source("shop").table("t")
    assert list(table.columns) == ["on", "no", "1"]


def test_project_root(tmp_path: Path) -> None:
    write(tmp_path, "  t: {key: id}\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert project_root(inner, {}) == tmp_path.resolve()
    assert project_root(inner, {"DATA_PLATFORM_HOME": str(ROOT)}) == ROOT
    with pytest.raises(
        ConfigurationError, match=r"DATA_PLATFORM_HOME names .* holds no catalog/platform.yaml"
    ):
        project_root(inner, {"DATA_PLATFORM_HOME": str(inner)})
    assert project_root(Path("/"), {}) == ROOT


def test_loading_needs_no_heavy_import() -> None:
    script = (
        "import sys; from data_platform.catalog import load_catalog, project_root; load_catalog(project_root());"
        "print(*{'dagster', 'dbt', 'pandas', 'duckdb', 'psycopg', 'pyarrow', 'requests', 'ruamel'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


# --- mistakes -----------------------------------------------------------------------------------


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
        ("{key: id, rules: [a >= 0, a >= 0]}", "rules[1]", "stands in this table already"),
        (
            "{key: id, rules: [a >= 0, {rule: b >= 0, name: a_gte_0}]}",
            "rules[1]",
            "has the same name as another rule",
        ),
        ("{key: id, rules: [a >= 0, a >>= 0, a >= 0]}", "rules[2]", "stands in this table already"),
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
        ("reconcile: '0 0 31 2 *'", "reconcile", "never comes"),
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
        "catalog/sources/shop.yaml:1: source: the source `shop` is also in catalog/sources/other.yaml:"
        " two sources need two names"
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


# --- the YAML reader ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\na: 2\n", 2, "stands twice here, first on line 1"),
        ("a:\n  b: !python/object:os.system x\n", 2, "tags"),
        ("base: &b {x: 1}\nmore:\n  <<: *b\n", 3, "merge keys"),
        ("a: &a [*a]\n", 1, "refers to what it stands in"),
        ("? [a, b]\n: 1\n", 1, "plain text"),
        ("a: [1, 2\nb: 3\n", 2, "cannot be read"),
        ("a: *nowhere\n", 1, "cannot be read"),
        ("a: \0\n", 1, "cannot be read"),
    ],
)
def test_what_cannot_be_read(text: str, line: int, words: str) -> None:
    ((found, _, message),) = read_yaml(text).mistakes
    assert found == line
    assert words in message


def test_anchors_are_read() -> None:
    assert read_yaml("a: &a {x: [1]}\nb: *a\n").data == {"a": {"x": [1]}, "b": {"x": [1]}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)


@settings(deadline=None, max_examples=40)
@given(json_values)
def test_what_is_written_is_read(value: object) -> None:
    document = read_yaml(yaml.safe_dump(value))
    assert document.mistakes == []
    assert document.data == value


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_document_or_a_mistake(text: str) -> None:
    read_yaml(text)


# --- cron ---------------------------------------------------------------------------------------

number = st.integers(0, 61).map(str)
part = st.one_of(
    st.just("*"),
    number,
    st.builds("{}-{}".format, number, number),
    st.builds("*/{}".format, number),
    st.builds("{}-{}/{}".format, number, number, number),
    st.sampled_from(["mon", "sun", "jan", "MON-FRI", "x", "", "?", "L", "1-"]),
)
cron_lines = st.lists(st.lists(part, min_size=1, max_size=2).map(",".join), min_size=4, max_size=6).map(
    " ".join
)


@settings(deadline=None)
@given(cron_lines)
def test_what_the_scheduler_refuses_is_a_mistake(line: str) -> None:
    from dagster._utils.schedules import is_valid_cron_string

    if cron_problem(line) is None:
        assert is_valid_cron_string(line)


@pytest.mark.parametrize(
    "line", ["0 * * * *", "*/15 8-18 * * mon-fri", "30 3 1,15 * *", "0 0 29 2 *", "0 0 * * 7"]
)
def test_cron_lines_that_are_right(line: str) -> None:
    assert cron_problem(line) is None


# --- what is published and documented -----------------------------------------------------------


def test_the_published_schemas_are_current() -> None:
    for path, text in render_json_schemas().items():
        assert (ROOT / path).read_text() == text, f"{path} is old: data-platform validate --write"
    published = {path.name for path in (ROOT / "catalog/schema").iterdir()}
    assert published == set(json_schemas())


def test_the_committed_catalog_follows_the_published_schemas() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for schema, files in {
        "platform.schema.json": [ROOT / "catalog/platform.yaml"],
        "source.schema.json": sorted((ROOT / "catalog/sources").glob("*.yaml")),
    }.items():
        jsonschema.Draft202012Validator.check_schema(json_schemas()[schema])
        for file in files:
            data = yaml.load(
                file.read_text(), Loader=yaml.BaseLoader
            )  # numbers stay text: types are not the point
            errors = [
                error
                for error in jsonschema.Draft202012Validator(json_schemas()[schema]).iter_errors(data)
                if error.validator in ("additionalProperties", "required", "enum", "pattern")
            ]
            assert errors == []


def test_every_key_has_a_description_for_editors() -> None:
    for name, schema in json_schemas().items():
        for path in key_paths(schema):
            steps: list[str | int] = []
            for step in path.split("."):
                steps += [step.removesuffix("[]"), 0] if step.endswith("[]") else [step]
            assert node_at(schema, tuple(steps)).get("description"), f"{name}: {path}"


def test_every_key_is_documented_and_nothing_else() -> None:
    sections = re.split(r"^## ", (ROOT / "docs/catalog.md").read_text(), flags=re.M)
    for title, schema in (
        ("catalog/platform.yaml", "platform.schema.json"),
        ("catalog/sources/*.yaml", "source.schema.json"),
    ):
        (section,) = [section for section in sections if section.startswith(title)]
        documented = re.findall(r"^\| `([^`]+)` \|", section, flags=re.M)
        paths = set(key_paths(json_schemas()[schema]))
        backups = {path for path in paths if re.search(r"\.backups\.(store|copies\.<name>)\.", path)}
        stores = {re.sub(r"\.backups\.(store|copies\.<name>)\.", ".landing.", path) for path in backups}
        assert stores <= paths, "a store's keys are the same everywhere, and documented once"
        assert sorted(documented) == sorted(paths - backups)


def test_the_dbt_sources_are_current(catalog: Catalog) -> None:
    for path, text in render_dbt_sources(catalog).items():
        assert (ROOT / path).read_text() == text, f"{path} is old: data-platform validate --write"


def test_dbt_sources_survive_any_text(tmp_path: Path) -> None:
    tables = """\
  on:
    key: id
    description: "a: #b \\"c\\" {{ var('x') }} {% if %} ü"
    columns: {"Order Date": "when", no: "n"}
    personal: {email: hash, phone: keep}
"""
    ((path, text),) = render_dbt_sources(load_catalog(write(tmp_path, tables))).items()
    assert path == "dbt/models/staging/shop/_shop__sources.yml"
    source = yaml.safe_load(text)["sources"][0]
    (table,) = source["tables"]
    assert (source["name"], source["schema"], table["name"]) == ("shop", "raw_shop", "on")
    assert table["config"] == {"meta": {"dagster": {"asset_key": ["raw", "shop", "on"]}}}
    assert "{{" not in table["description"] and "{%" not in table["description"]
    columns = {column["name"]: column for column in table["columns"]}
    assert list(columns) == ["Order Date", "no", "email", "phone", "_batch_id", "_loaded_at"]
    assert columns["Order Date"]["quote"] is True
    assert columns["email"]["config"] == {"meta": {"personal": "hash"}}
    assert "keyed hash" in columns["email"]["description"]
    assert "description" not in columns["phone"]


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
            "name the copy otherwise",
        ),
        ("store: {kind: s3, bucket: bucket}, schedule: daily", "backups.schedule: must be a cron line"),
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
