"""The check `anomalies` on a real DuckDB file: what is measured, what is kept, and what a person's answer does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from pydantic import ValidationError

from data_platform.errors import ConfigurationError, QueryFailed
from data_platform.quality.anomalies import Anomalies, AnomaliesSettings
from data_platform.quality.checking import Arrived, CheckResult, Subject
from data_platform.quality.histories import DAYS_KEPT, LOADS_KEPT, PRUNED_MAX
from data_platform.quality.measures import Asked, Measure, is_number, measure_days, measure_whole
from data_platform.quality.verdicts import METRICS, VERDICTS, alarms, answer
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform.warehouses.journal import keep, read
from data_platform_tests.contracts.batches import Chain

TABLE = TableId("shop", "orders")
SUBJECT = Subject.raw(TABLE)
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
YESTERDAY = date(2026, 11, 29)
DAILY = AnomaliesSettings(by="made", columns=("amount",))


class Shop:
    """A file whose table ``orders`` gets some rows a day, by weekday."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "w.duckdb"
        self.execute("CREATE SCHEMA raw_shop; CREATE TABLE raw_shop.orders (made TIMESTAMPTZ, amount DECIMAL(12, 2))")  # fmt: skip

    def execute(self, sql: str, *values: object) -> None:
        with duckdb.connect(str(self.path)) as engine:
            engine.execute("SET TimeZone = 'UTC'")
            engine.execute(sql, list(values))

    def day(self, day: date, rows: int, amount: float | None = 20.0) -> None:
        self.execute(_rows_of(day, rows, amount))

    def days(self, last: date, count: int, rows: Callable[[date], int]) -> None:
        days = [last - timedelta(number) for number in range(count, 0, -1)]
        self.execute("; ".join(_rows_of(day, rows(day), 20.0) for day in days))

    @contextmanager
    def opened(self) -> Iterator[Warehouse]:
        with DuckDBConfig(kind="duckdb", path=self.path).open(self.folder) as warehouse:
            yield warehouse

    def check(self, settings: AnomaliesSettings = DAILY, now: datetime = NOW) -> CheckResult:
        with self.opened() as warehouse:
            found = Anomalies().evaluate(warehouse, SUBJECT, settings, now)
            for entry in found.to_keep:
                entry.keep(warehouse, now)
        return found


def _rows_of(day: date, rows: int, amount: float | None) -> str:
    value = "NULL" if amount is None else f"{amount} + i % 7"
    return f"INSERT INTO raw_shop.orders (made, amount) SELECT TIMESTAMPTZ '{day} 08:00:00+00' + to_seconds(i), {value} FROM range({rows}) r(i)"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def usual(day: date) -> int:
    """Weekends are half as busy; days differ by a few per cent, the same in each run."""
    noise = np.random.default_rng(day.toordinal()).normal(1, 0.03)
    return round((100 if day.weekday() < 5 else 50) * noise)


def history(shop: Shop, days: int = 70) -> None:
    shop.days(YESTERDAY, days, usual)


def test_a_usual_day_passes_and_its_verdicts_are_kept(shop: Shop) -> None:
    history(shop)
    shop.day(YESTERDAY, usual(YESTERDAY))
    found = shop.check()
    assert found.passed and found.facts["alarms"] == 0 and found.facts["figures_learning"] == 0
    with shop.opened() as warehouse:
        rows = read(warehouse, VERDICTS, {"series": "rows"}, order=["day"])
    assert [row["day"] for row in rows] == [(YESTERDAY - timedelta(n)).isoformat() for n in range(6, -1, -1)]
    assert {row["status"] for row in rows} == {"ok"} and rows[-1]["observed"] == usual(YESTERDAY)


@pytest.mark.parametrize("rows", [0, 25, 160], ids=["none", "half", "three times"])
def test_a_day_with_far_too_few_or_too_many_rows_is_an_alarm(shop: Shop, rows: int) -> None:
    history(shop)
    if rows:
        shop.day(YESTERDAY, rows)
    found = shop.check()
    assert not found.passed and f"rows of {YESTERDAY}" in found.text
    assert "expected" in found.text and len(found.text) < 250
    sentence, svg = found.plots["plot_1"]
    assert "usual" in sentence and svg.startswith("<svg")
    with shop.opened() as warehouse:
        assert YESTERDAY.isoformat() in {one.day for one in alarms(warehouse) if one.series == "rows"}


def test_amounts_in_another_currency_are_an_alarm_though_the_rows_are_as_usual(shop: Shop) -> None:
    history(shop)
    shop.day(YESTERDAY, usual(YESTERDAY), amount=20.0 * 130)
    found = shop.check()
    assert not found.passed
    with shop.opened() as warehouse:
        assert {one.series for one in alarms(warehouse)} == {"sum of amount", "mean of amount"}


def test_values_that_are_missing_are_an_alarm(shop: Shop) -> None:
    history(shop)
    shop.day(YESTERDAY, usual(YESTERDAY) // 2)
    shop.day(YESTERDAY, usual(YESTERDAY) // 2, amount=None)
    found = shop.check()
    assert not found.passed
    with shop.opened() as warehouse:
        assert "null_rate of amount" in {one.series for one in alarms(warehouse)}


def test_a_young_table_is_learning_and_says_so(shop: Shop) -> None:
    history(shop, days=5)
    shop.day(YESTERDAY, 3)
    found = shop.check()
    assert found.passed and found.text.startswith("Learning") and found.facts["figures_learning"] > 0
    with shop.opened() as warehouse:
        assert {row["status"] for row in read(warehouse, VERDICTS)} == {"learning"}


def test_an_accepted_alarm_is_over_and_a_confirmed_one_lasts_until_the_data_is_right(shop: Shop) -> None:
    history(shop)
    shop.day(YESTERDAY, 25)
    settings = AnomaliesSettings(by="made")
    assert not shop.check(settings).passed
    with shop.opened() as warehouse:
        (alarm,) = alarms(warehouse)
        answer(warehouse, alarm.id[:6], "incident", "half of the shop was down", NOW)
    found = shop.check(settings)
    assert not found.passed and found.facts["alarms_confirmed"] == 1
    with shop.opened() as warehouse:
        answer(warehouse, alarm.id, "accepted", "a holiday after all", NOW + timedelta(minutes=1))
        (held,) = alarms(warehouse)
        assert (held.answer, held.remark) == ("accepted", "a holiday after all")
    assert shop.check(settings).passed
    shop.day(YESTERDAY, usual(YESTERDAY) - 25)
    assert shop.check(settings).passed
    with shop.opened() as warehouse:
        assert alarms(warehouse) == [], "the rows came late, and the day is judged again"


def test_a_backfill_of_an_old_day_neither_raises_an_alarm_nor_ends_one(shop: Shop) -> None:
    settings = AnomaliesSettings(by="made")
    history(shop)
    shop.day(date(2026, 10, 1), 5000)
    found = shop.check(settings)
    assert not found.passed and f"rows of {YESTERDAY}" in found.text, "no row of yesterday is there"
    shop.day(YESTERDAY, usual(YESTERDAY))
    assert shop.check(settings).passed


def test_an_answer_needs_an_alarm(shop: Shop) -> None:
    history(shop)
    shop.check()
    with shop.opened() as warehouse, pytest.raises(ConfigurationError, match="no alarm 'abcdef'"):
        answer(warehouse, "abcdef", "accepted", "", NOW)


@pytest.mark.slow
def test_without_a_day_each_load_is_judged_once(tmp_path: Path) -> None:
    settings = AnomaliesSettings(columns=("note",))
    config, chain = DuckDBConfig(kind="duckdb", path=tmp_path / "w.duckdb"), Chain(tmp_path / "parts")
    keys = iter(range(10_000))

    def load(warehouse: Warehouse, rows: int, now: datetime) -> CheckResult:
        warehouse.load(*chain.next("merge", [(next(keys), "2026-01-01", "a", 1) for _ in range(rows)]))
        for _ in range(2):  # evaluated twice, kept once
            found = Anomalies().evaluate(warehouse, SUBJECT, settings, now)
            for entry in found.to_keep:
                entry.keep(warehouse, now)
        return found

    with config.open(tmp_path, files=[tmp_path / "parts"]) as warehouse:
        for number in range(30):
            found = load(warehouse, 20 + number % 3, NOW + timedelta(hours=number))
        assert found.passed and found.facts["figures_learning"] == 0
        rows = read(warehouse, METRICS, {"metric": "rows"}, order=["recorded_at"])
        added = read(warehouse, METRICS, {"metric": "rows_added"}, order=["recorded_at"])
        assert [row["figure"] for row in rows[:3]] == [20, 41, 63] and len(rows) == 30
        assert [row["figure"] for row in added[:2]] == [21, 22] and len(added) == 29
        jump = load(warehouse, 900, NOW + timedelta(hours=30))
        again = Anomalies().evaluate(warehouse, SUBJECT, settings, NOW + timedelta(days=3))
        assert again.facts["newest_alarm"] == jump.facts["newest_alarm"], "the same load, days later"
    assert not jump.passed and any("rows added" in sentence for sentence, _ in jump.plots.values())


def test_a_table_that_is_gone_is_an_error_of_the_engine(tmp_path: Path) -> None:
    config = DuckDBConfig(kind="duckdb", path=tmp_path / "w.duckdb")
    with config.open(tmp_path) as warehouse, pytest.raises(QueryFailed):
        Anomalies().evaluate(warehouse, SUBJECT, DAILY, NOW)


def test_each_figure_is_what_it_says(shop: Shop) -> None:
    shop.execute(
        "INSERT INTO raw_shop.orders VALUES ('2026-11-01 00:00:00+00', 1), ('2026-11-01 23:59:59.999999+00', NULL),"
        " ('2026-11-03 12:00:00+00', -5.5), ('2026-11-03 13:00:00+00', -5.5)"
    )
    rows, nulls, different = Measure("rows"), Measure("null_rate", "amount"), Measure("distinct", "amount")
    total, mean = Measure("sum", "amount"), Measure("mean", "amount")
    with shop.opened() as warehouse:
        days = measure_days(
            warehouse, SUBJECT, "made", Asked(["amount"]), date(2026, 10, 1), date(2026, 11, 4)
        ).days
        whole = measure_whole(warehouse, SUBJECT, Asked(["amount"])).whole
    assert days[date(2026, 11, 1)] == {rows: 2, nulls: 0.5, different: 1, total: 1, mean: 1}
    assert days[date(2026, 11, 2)] == {rows: 0, nulls: None, different: None, total: None, mean: None}
    assert days[date(2026, 11, 3)] == {rows: 2, nulls: 0, different: 1, total: -11, mean: -5.5}
    assert min(days) == date(2026, 11, 1) and max(days) == date(2026, 11, 4)
    assert whole == {rows: 4, nulls: 0.25, different: 2, total: -10, mean: pytest.approx(-10 / 3)}


@pytest.mark.parametrize(
    ("type_", "number"),
    [
        *((one, True) for one in ("BIGINT", "UBIGINT", "HUGEINT", "INTEGER", "DECIMAL(12,2)", "DOUBLE")),
        *(
            (one, True)
            for one in ("INT64", "FLOAT64", "NUMERIC(10, 2)", "BIGNUMERIC(38, 18)", "NUMBER(19,0)")
        ),
        *((one, True) for one in ("double precision", "smallint", "numeric(12,2)", "REAL")),
        *((one, False) for one in ("INTERVAL", "VARCHAR", "BOOLEAN", "TIMESTAMP", "POINT", "DATE", "")),
    ],
)
def test_the_engines_types_of_numbers(type_: str, number: bool) -> None:
    assert is_number(type_) == number


def test_the_largest_value_of_a_day_and_a_computed_value_are_judged(shop: Shop) -> None:
    history(shop)
    shop.day(YESTERDAY, usual(YESTERDAY))
    shop.day(YESTERDAY, 1, amount=2600)
    settings = AnomaliesSettings(
        by="made", columns=("amount",), computed={"cents": "amount * 100"}, quantiles=(0.5, 1)
    )
    found = shop.check(settings)
    assert not found.passed
    with shop.opened() as warehouse:
        series = {one.series for one in alarms(warehouse)}
    assert {"largest of amount", "largest of cents"} <= series
    assert not any("median" in one for one in series), "one row does not move it"


def test_each_day_is_recorded_once_and_again_only_where_it_changed(shop: Shop) -> None:
    history(shop, days=120)
    shop.day(YESTERDAY, usual(YESTERDAY))
    shop.check()
    with shop.opened() as warehouse:
        kept = read(warehouse, METRICS, {"metric": "rows"}, order=["day"])
    assert [row["day"] for row in kept] == [
        (YESTERDAY - timedelta(n)).isoformat() for n in range(DAYS_KEPT - 1, -1, -1)
    ]
    assert kept[-1]["figure"] == usual(YESTERDAY)
    again = shop.check()
    assert [entry.table.name for entry in again.to_keep] == ["verdicts"], "nothing changed"
    late = YESTERDAY - timedelta(3)
    shop.day(late, 2)
    (metrics, _) = shop.check(now=NOW + timedelta(days=1)).to_keep
    assert {row["day"] for row in metrics.rows} == {late.isoformat(), (YESTERDAY + timedelta(1)).isoformat()}
    with shop.opened() as warehouse:
        rows = {row["day"]: row["figure"] for row in read(warehouse, METRICS, {"metric": "rows"})}
    assert len(rows) == DAYS_KEPT and rows[late.isoformat()] == usual(late) + 2
    assert (YESTERDAY - timedelta(DAYS_KEPT - 1)).isoformat() not in rows, "the oldest day went"


def test_the_history_of_loads_is_bounded_and_pruned_with_the_next_load(shop: Shop) -> None:
    """Also where an earlier version let it grow."""
    settings = AnomaliesSettings()
    shop.day(YESTERDAY, 50)
    grown = [
        {"table_name": SUBJECT.label, "column_name": "", "metric": "rows", "day": "2026-11-01", "batch_id": f"load {n:04}",
         "figure": 49.0, "recorded_at": NOW - timedelta(days=60) + timedelta(minutes=n)}
        for n in range(LOADS_KEPT + PRUNED_MAX + 100)
    ]  # fmt: skip

    def left() -> list[str]:
        with shop.opened() as warehouse:
            return [
                str(row["batch_id"])
                for row in read(warehouse, METRICS, {"metric": "rows"}, order=["recorded_at"])
            ]

    def load(name: str, minute: int) -> None:
        subject = Subject("raw_shop", "orders", build=name)
        with shop.opened() as warehouse:
            for entry in (
                Anomalies().evaluate(warehouse, subject, settings, NOW + timedelta(minutes=minute)).to_keep
            ):
                entry.keep(warehouse, NOW)

    with shop.opened() as warehouse:
        keep(warehouse, METRICS, grown)
    load("a", 1)
    assert len(left()) == LOADS_KEPT + 101 and left()[-1] == "a", "in steps"
    load("b", 2)
    assert len(left()) == LOADS_KEPT and left()[-2:] == ["a", "b"] and left()[0] == "load 1102"
    load("c", 3)
    assert len(left()) == LOADS_KEPT + 1, "not at each load"
    load("c", 4)
    assert left()[-3:] == ["a", "b", "c"], "the same load is kept once"


@pytest.mark.slow
def test_the_size_of_a_batch_and_its_arrival_are_judged_without_a_scan(shop: Shop) -> None:
    settings = AnomaliesSettings(by="made", batches=True)
    asked = []

    def load(number: int, rows: int, hour: int, *, whole: bool = False) -> CheckResult:
        at = datetime(2026, 9, 1, hour, number % 7, tzinfo=UTC) + timedelta(days=number)

        def arrived() -> Arrived:
            asked.append(number)
            return Arrived(f"batch {number}", rows, rows * 80, at, whole)

        subject = Subject("raw_shop", "orders", build=f"batch {number}", arrived=arrived)
        with shop.opened() as warehouse:
            found = Anomalies().evaluate(warehouse, subject, settings, at)
            for entry in found.to_keep:
                entry.keep(warehouse, at)
        return found

    for number in range(30):
        found = load(number, 1000 + number * 7 % 40, 6)
    assert found.passed and found.facts["figures"] == 3 and found.facts["figures_learning"] == 0
    assert load(30, 1000, 11).facts["newest_alarm"], "five hours late"
    late = shop_alarms(shop)
    small = load(31, 200, 6)
    assert not small.passed
    assert late == {"arrival"} and shop_alarms(shop) == {"arrival", "batch rows", "batch bytes"}
    assert load(32, 90_000, 6, whole=True).passed, "a whole read is compared with whole reads"
    with shop.opened() as warehouse:
        kept = read(warehouse, METRICS, {"batch_id": "batch 31"})
    assert {str(row["metric"]): row["figure"] for row in kept} == {
        "batch_rows": 200,
        "batch_bytes": 16_000,
        "arrival": 363,
    }
    asked.clear()
    subject = Subject("raw_shop", "orders", build="x", arrived=lambda: asked.append(0))
    with shop.opened() as warehouse:
        Anomalies().evaluate(warehouse, subject, AnomaliesSettings(by="made"), NOW)
    assert asked == [], "the ledger is asked only where a check needs it"


def shop_alarms(shop: Shop) -> set[str]:
    with shop.opened() as warehouse:
        return {one.series for one in alarms(warehouse)}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"computed": {"revenue": "sum(quantity)"}}, "an aggregate"),
        ({"computed": {"revenue": "quantity *"}}, "cannot be read as SQL"),
        ({"computed": {"revenue": "(SELECT 1)"}}, "must be a value, such as quantity"),
        ({"computed": {"revenue": "mystery(quantity)"}}, "not known to exist"),
        ({"columns": ["revenue"], "computed": {"revenue": "quantity * 2"}}, "another name"),
        ({"quantiles": [1.5]}, "less than or equal to 1"),
        ({"split_by": "country"}, "needs `by`"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AnomaliesSettings.model_validate(settings)


def test_a_value_that_is_no_number_is_unknown(shop: Shop) -> None:
    shop.execute(
        "CREATE TABLE raw_shop.odd (made TIMESTAMPTZ, amount DOUBLE); INSERT INTO raw_shop.odd VALUES ('2026-11-01', 'nan')"
    )
    with shop.opened() as warehouse:
        whole = measure_whole(warehouse, Subject("raw_shop", "odd"), Asked(["amount"])).whole
    assert whole[Measure("sum", "amount")] is None and whole[Measure("rows")] == 1


def test_a_part_of_the_rows_is_judged_by_its_own_past(shop: Shop) -> None:
    """The whole hides that one country has none."""
    shop.execute("ALTER TABLE raw_shop.orders ADD COLUMN country VARCHAR")
    shop.execute("ALTER TABLE raw_shop.orders ALTER COLUMN country SET DEFAULT 'DE'")
    shop.days(YESTERDAY, 70, lambda day: usual(day) * 10)
    shop.day(YESTERDAY, usual(YESTERDAY) * 10)
    shop.execute("ALTER TABLE raw_shop.orders ALTER COLUMN country SET DEFAULT 'EIRE'")
    shop.days(YESTERDAY, 70, lambda day: 25)
    settings = AnomaliesSettings(by="made", split_by="country")
    found = shop.check(settings)
    assert not found.passed
    assert shop_alarms(shop) == {"rows, country EIRE"}, "25 rows fewer are usual of the whole"
    with shop.opened() as warehouse:
        assert {row["metric"] for row in read(warehouse, METRICS)} == {"rows"}, "the whole alone is recorded"
        (alarm, *_) = alarms(warehouse)
        answer(warehouse, alarm.id, "accepted", "sold out", NOW)
    assert shop.check(settings).passed
