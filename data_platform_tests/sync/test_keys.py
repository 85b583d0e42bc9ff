"""Keys of every type a key may have: completeness agrees, a slice replaces, a delete is found."""

from __future__ import annotations

import pytest

from data_platform.sync import probe
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow

KEYS = {
    "k_char": ("char(3)", "'eur'", "'gb'"),
    "k_enum": ("mood", "'sad'", "'ok'"),
    "k_real": ("double precision", "0.1", "'NaN'"),
    "k_free": ("numeric", "1.50", "1e40"),
    "k_less": ("numeric(4,4)", "0.5", "-0.25"),
    "k_time": ("time", "'12:00'", "'24:00'"),
    "k_raw": ("bytea", "'\\x00ff'", "''"),
    "k_list": ("int[]", "'{1,2}'", "'{}'"),
    "k_day": ("date", "'0044-03-15 BC'", "'infinity'"),
    "k_at": ("timestamp", "'1969-12-31 23:59:59.999999'", "'-infinity'"),
    "k_json": ("jsonb", "'{\"a\": 1}'", "'[]'"),
}


def test_a_table_is_complete_whatever_the_type_of_its_key(project: Project) -> None:
    project.execute(
        "create type mood as enum ('sad', 'ok')",
        *(
            f"create table {name} (k {kind} primary key, day date default '2026-01-05', n int default 0)"
            for name, (kind, _, _) in KEYS.items()
        ),
        *(f"insert into {name} values ({a}), ({b})" for name, (_, a, b) in KEYS.items()),
    )
    block = {"key": "k", "partition": "day", "personal": {"k": "keep"}}
    project.catalog(dict.fromkeys(KEYS, block)).good(verify=True)
    project.execute(*(f"delete from {name} where k = {a}" for name, (_, a, _) in KEYS.items()))
    for seen in probe(project.platform(), "shop", measure_slices=True):
        assert (seen.moved, seen.differing, seen.error) == (False, ("2026-01-05",), None), seen.table
    for name, report in project.slices(list(KEYS), "2026-01-05").items():
        assert report.error is None, report.error
        assert project.rows(f"select count(*) from raw_shop.{name}") == [(1,)]
    project.execute(*(f"update {name} set n = 1" for name in KEYS))
    for name, report in project.good(verify=True).items():
        assert report.completeness is not None and report.completeness.passed, name
        assert report.completeness.unmeasured == ()
        assert project.rows(f"select n from raw_shop.{name}") == [(1,)]
