"""The rule of a table: mistakes are named, and the first day that is kept is a day of the table's own zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data_platform.privacy.retention.rule import RetentionRule
from data_platform_tests.catalog.documents import mistakes, write

ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Africa/Cairo", "Asia/Kathmandu")


@given(
    now=st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from(ZONES),
    days=st.integers(1, 4_000),
)
def test_the_first_day_that_is_kept_lies_so_many_days_before_today_there(
    now: datetime, zone: str, days: int
) -> None:
    before = RetentionRule(days=days, by="at").before(now, zone)
    assert before + timedelta(days=days) == now.astimezone(ZoneInfo(zone)).date()
    later = RetentionRule(days=days, by="at").before(now + timedelta(hours=1), zone)
    assert later >= before or zone == "Pacific/Apia", "a limit moves forward alone"


def test_an_hour_decides_in_the_table_s_zone() -> None:
    rule = RetentionRule(days=1, by="at")
    now = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # the night in which Berlin's clocks go forward
    assert rule.before(now, "UTC") == date(2026, 3, 27)
    assert rule.before(now, "Europe/Berlin") == date(2026, 3, 28)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"days": 0, "by": "at"}, "greater than or equal to 1"),
        ({"days": 3, "by": "at", "columns": ["name"]}, "then: anonymise"),
        ({"days": 3, "by": "at", "then": "anonymise", "columns": ["at"]}, "cannot be emptied"),
        ({"days": 3, "by": "at", "then": "hide"}, "'delete' or 'anonymise'"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RetentionRule.model_validate(fields)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            "personal: {at: hash}, retention: {days: 3, by: at}",
            "retention.by: names `at`, which does not land",
        ),
        (
            "retention: {days: 3, by: at, then: anonymise, columns: [id]}",
            "retention.columns[0]: names `id`, a column of the key",
        ),
        (
            "partition: day, retention: {days: 3, by: at, then: anonymise, columns: [day]}",
            "retention.columns[0]: names `day`, by which the table is read",
        ),
        ("only: [id], retention: {days: 3, by: at}", "names `at`, which is not read"),
        ("retention: {by: at}", "retention.days"),
    ],
)
def test_a_rule_that_does_not_fit_its_table_is_a_mistake(tmp_path: Path, block: str, said: str) -> None:
    assert said in "\n".join(mistakes(write(tmp_path, f"  visits: {{key: id, {block}}}\n")))


def test_a_row_without_a_key_cannot_be_anonymised(tmp_path: Path) -> None:
    block = "{strategy: replace, retention: {days: 3, by: at, then: anonymise}}"
    assert "retention.then: is anonymise, and the table has no key" in "\n".join(
        mistakes(write(tmp_path, f"  visits: {block}\n"))
    )
