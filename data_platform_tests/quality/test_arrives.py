"""Data that is late: by the age of the newest row, and by the days of a calendar. On a real DuckDB file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from pydantic import ValidationError

from data_platform.quality.arrives import Arrives, ArrivesSettings, expected
from data_platform.quality.checking import CheckResult, Renewed, Subject
from data_platform.quality.newest import NewestData, NewestDataSettings
from data_platform.tables import TableId
from data_platform.warehouses import Look, Warehouse
from data_platform.warehouses.duckdb.config import DuckDBConfig

TABLE = TableId("shop", "orders")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)  # a Monday
DAILY = ArrivesSettings(column="made", by="09:00")


@contextmanager
def holding(
    folder: Path, rows: Iterable[datetime | date], type_: str = "TIMESTAMPTZ", read: datetime | None = None
) -> Iterator[Warehouse]:
    path = folder / "w.duckdb"
    config = DuckDBConfig(kind="duckdb", path=path)
    with duckdb.connect(str(path)) as engine:
        engine.execute(f"CREATE SCHEMA raw_shop; CREATE TABLE raw_shop.orders (id INTEGER, made {type_})")
        for number, at in enumerate(rows):
            engine.execute("INSERT INTO raw_shop.orders VALUES (?, ?)", [number, at])
    with config.open(folder) as warehouse:
        if read is not None:
            warehouse.record_reads([Look(TABLE, read.isoformat(), False)])
        yield warehouse


def days(first: date, last: date, without: Iterable[date] = ()) -> list[datetime]:
    count = (last - first).days + 1
    found = [first + timedelta(number) for number in range(count)]
    return [datetime(d.year, d.month, d.day, 15, tzinfo=UTC) for d in found if d not in set(without)]


def judged(folder: Path, settings: ArrivesSettings, rows: Iterable[datetime | date], **more: object) -> CheckResult:  # fmt: skip
    with holding(folder, rows, **more) as warehouse:  # type: ignore[arg-type]
        return Arrives().evaluate(warehouse, Subject.raw(TABLE), settings, NOW)


def test_each_day_by_its_deadline_passes_until_the_next_one(tmp_path: Path) -> None:
    found = judged(tmp_path, DAILY, days(date(2026, 10, 1), date(2026, 11, 29)))
    assert found.passed and found.facts["days_missing"] == 0
    # Today's rows are due tomorrow at nine.
    assert found.good_until == "2026-12-01T09:00:00+00:00"


def test_a_missing_day_is_named_and_an_old_day_that_is_filled_again_does_not_hide_it(tmp_path: Path) -> None:
    rows = days(date(2026, 10, 1), date(2026, 11, 29), without=[date(2026, 11, 28)])
    rows += [datetime(2026, 10, 5, 8, tzinfo=UTC)] * 50
    found = judged(tmp_path, DAILY, rows)
    assert not found.passed and found.facts["newest_missing"] == "2026-11-28"
    assert "2026-11-28" in found.text and "2026-11-29" not in found.text


def test_before_the_deadline_a_day_is_not_missing_yet(tmp_path: Path) -> None:
    later = ArrivesSettings(column="made", by="13:00")
    found = judged(tmp_path, later, days(date(2026, 10, 1), date(2026, 11, 28)))
    assert found.passed and found.good_until == "2026-11-30T13:00:00+00:00"


@pytest.mark.parametrize(
    "settings, missing",
    [
        (ArrivesSettings(column="made", by="09:00", weekdays=("mon", "tue", "wed", "thu", "fri")), None),
        (ArrivesSettings(column="made", by="09:00", closed=(date(2026, 11, 28), date(2026, 11, 29))), None),
        (ArrivesSettings(column="made", by="09:00", weekdays=("sun",)), "2026-11-29"),
    ],
)
def test_only_the_days_of_the_calendar_are_expected(
    tmp_path: Path, settings: ArrivesSettings, missing: str | None
) -> None:
    found = judged(tmp_path, settings, days(date(2026, 10, 1), date(2026, 11, 27)))
    assert found.facts.get("newest_missing") == missing


def test_public_holidays_of_a_country_and_a_region() -> None:
    at = datetime(2026, 12, 27, tzinfo=UTC)
    germany = ArrivesSettings(column="made", by="09:00", holidays="DE")
    assert not {date(2026, 12, 25), date(2026, 12, 26)} & set(expected(germany, at))
    bavaria = ArrivesSettings(column="made", by="09:00", holidays="DE-BY")
    assert date(2026, 1, 6) in expected(germany, datetime(2026, 1, 8, tzinfo=UTC))
    assert date(2026, 1, 6) not in expected(bavaria, datetime(2026, 1, 8, tzinfo=UTC))


def test_days_and_deadlines_are_of_the_time_zone(tmp_path: Path) -> None:
    tokyo = ArrivesSettings(column="made", by="09:00", timezone="Asia/Tokyo", lookback_days=1)
    # 15:30 UTC of the 28th is the 29th in Tokyo, whose deadline was the 30th at 00:00 UTC.
    rows = [datetime(2026, 11, 27, 3, tzinfo=UTC), datetime(2026, 11, 28, 3, tzinfo=UTC)]
    assert judged(tmp_path, tokyo, rows).facts["newest_missing"] == "2026-11-29"
    (tmp_path / "again").mkdir()
    found = judged(tmp_path / "again", tokyo, [*rows, datetime(2026, 11, 28, 15, 30, tzinfo=UTC)])
    assert found.passed


def test_a_column_of_days_is_counted_by_its_days_whatever_the_zone(tmp_path: Path) -> None:
    tokyo = ArrivesSettings(column="made", by="09:00", timezone="Asia/Tokyo")
    rows = [date(2026, 11, 1) + timedelta(number) for number in range(29)]
    assert judged(tmp_path, tokyo, rows, type_="DATE").passed


def test_a_new_table_is_not_late_for_the_time_before_its_first_row(tmp_path: Path) -> None:
    assert judged(tmp_path, DAILY, days(date(2026, 11, 27), date(2026, 11, 29))).passed


def test_a_table_without_rows_is_late(tmp_path: Path) -> None:
    assert not judged(tmp_path, DAILY, []).passed


def test_too_few_rows_are_none(tmp_path: Path) -> None:
    found = judged(
        tmp_path,
        ArrivesSettings(column="made", by="09:00", rows_min=2),
        days(date(2026, 11, 1), date(2026, 11, 29)),
    )
    assert found.facts["days_missing"] == 8 and "fewer than 2 rows" in found.text


@pytest.mark.parametrize(
    "read, side", [(NOW, "source"), (datetime(2026, 11, 29, 20, tzinfo=UTC), "sync"), (None, "unknown")]
)
def test_a_source_that_stopped_is_told_from_a_sync_that_stopped(
    tmp_path: Path, read: datetime | None, side: str
) -> None:
    found = judged(tmp_path, DAILY, days(date(2026, 10, 1), date(2026, 11, 28)), read=read)
    assert found.facts["stopped"] == side
    (tmp_path / "newest").mkdir()
    settings = NewestDataSettings(column="made", max_age_hours=30)
    with holding(tmp_path / "newest", days(date(2026, 10, 1), date(2026, 11, 28)), read=read) as warehouse:
        aged = NewestData().evaluate(warehouse, Subject.raw(TABLE), settings, NOW)
    # The newest row is of the 28th at 15:00, so it is too old from the 29th at 21:00 on.
    assert not aged.passed and aged.facts["stopped"] == side


@pytest.mark.parametrize(
    ("built", "side"),
    [(NOW, "tables"), (datetime(2026, 11, 29, 20, tzinfo=UTC), "build"), (None, "unknown")],
)
def test_a_model_that_nobody_builds_is_told_from_tables_that_stopped(
    tmp_path: Path, built: datetime | None, side: str
) -> None:
    settings = NewestDataSettings(column="made", max_age_hours=30)
    subject = Subject(TABLE.raw_schema, TABLE.table, built_at=built)
    with holding(tmp_path, days(date(2026, 10, 1), date(2026, 11, 28)), read=NOW) as warehouse:
        for kind, wanted in ((NewestData(), settings), (Arrives(), DAILY)):
            found = kind.evaluate(warehouse, subject, wanted, NOW)
            assert not found.passed and found.facts["stopped"] == side
            assert "odel" in found.text and "ource" not in found.text


def test_a_recent_row_is_good_until_it_is_too_old(tmp_path: Path) -> None:
    settings = NewestDataSettings(column="made", max_age_hours=48)
    with holding(tmp_path, [datetime(2026, 11, 29, 15, tzinfo=UTC)]) as warehouse:
        found = NewestData().evaluate(warehouse, Subject.raw(TABLE), settings, NOW)
    assert found.passed and found.good_until == "2026-12-01T15:00:00+00:00"
    facts = {**found.facts, "good_until": found.good_until}
    late = NewestData().lapsed(
        settings,
        facts,
        datetime(2026, 12, 1, 17, tzinfo=UTC),
        Renewed(datetime(2026, 12, 1, 16, tzinfo=UTC)),
    )
    assert not late.passed and late.facts["age_hours"] == 50 and late.facts["stopped"] == "source"


def test_a_deadline_that_passes_names_the_days_since(tmp_path: Path) -> None:
    passed = judged(tmp_path, DAILY, days(date(2026, 10, 1), date(2026, 11, 29)))
    facts = {**passed.facts, "good_until": passed.good_until}
    late = Arrives().lapsed(DAILY, facts, datetime(2026, 12, 2, 10, tzinfo=UTC), Renewed(None))
    assert "2026-11-30, 2026-12-01" in late.text and late.facts["days_missing"] == 2


@pytest.mark.parametrize(
    "given, said",
    [
        ({"by": "9:00"}, "pattern"),
        ({"timezone": "Mars/Base"}, "IANA name"),
        ({"holidays": "XX"}, "ISO codes"),
        ({"weekdays": []}, "at least 1"),
        ({"weekdays": ["monday"]}, "mon"),
        ({"days_later": 0, "by": "00:00"}, "first moment"),
        ({"deadline": 1}, "Extra inputs"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ArrivesSettings.model_validate({"column": "made", "by": "09:00", **given})
