"""The benchmark in small: what it injects, how it grades, and that the detector keeps its lead."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.anomaly import incidents, peers
from benchmarks.anomaly.__main__ import main
from benchmarks.anomaly.dataset import APART, START, Labelled, synthetic
from benchmarks.anomaly.detectors import DETECTORS, panels
from benchmarks.anomaly.grade import Result, grade
from benchmarks.anomaly.incidents import Incident
from benchmarks.anomaly.retail import real
from benchmarks.anomaly.shapes import DAYS, FIRST, HELD_OUT, SHAPES

SMALL = synthetic(4, seed=11)
ANSWERED = "ours, alarms answered"


def _graded(name: str, series: Sequence[Labelled]) -> Result:
    result = Result(name)
    for panel in panels(series, START):
        grade(result, panel.series, DETECTORS[name](panel), START)
    return result


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return {name: _graded(name, SMALL) for name in DETECTORS if name != ANSWERED}


def test_the_same_seed_makes_the_same_series_and_another_seed_others() -> None:
    again, other = synthetic(4, seed=11), synthetic(4, seed=12)
    assert all(
        (one.values == two.values).all() and one.incidents == two.incidents
        for one, two in zip(SMALL, again, strict=True)
    )
    assert not any((one.values == two.values).all() for one, two in zip(SMALL, other, strict=True))


def test_more_series_leave_the_first_ones_as_they_are() -> None:
    more = {id_: one for id_, one in enumerate(synthetic(5, seed=11)) if id_ % 5 < 4}
    assert all((one.values == two.values).all() for one, two in zip(SMALL, more.values(), strict=True))


def test_the_full_set_is_as_large_and_as_varied_as_it_claims() -> None:
    assert 100 * len(SHAPES) >= 1000 and len(SHAPES) >= 10
    assert HELD_OUT == ("payday", "wandering", "yearly", "signed", "biweekly", "launch")
    kinds = Counter(incident.kind for one in SMALL for incident in one.incidents)
    assert set(kinds) == set(incidents.KINDS) and len(kinds) == 8
    assert min(kinds.values()) > len(SMALL) / 5


def test_incidents_change_their_days_alone_and_leave_room_between_them() -> None:
    for shape in SHAPES:
        rng = np.random.default_rng([11, 0, *shape.name.encode()])
        clean = shape.make(rng)
        one = next(series for series in SMALL if series.shape == shape.name)
        inside = np.zeros(DAYS, dtype=bool)
        for incident in one.incidents:
            assert START <= incident.start < incident.end <= incident.grace <= DAYS
            inside[incident.start : DAYS if incident.kind == "shift" else incident.end] = True
            assert incident.change >= 0.05
        first = one.incidents[0].start
        assert (clean[:first] == one.values[:first]).all()
        starts = [incident.start for incident in one.incidents]
        assert all(later - before >= APART - 3 for before, later in pairwise(starts))
        if not any(incident.kind == "shift" for incident in one.incidents):
            assert (clean[~inside] == one.values[~inside]).all()


def test_grades_count_incidents_once_and_days_outside_of_them() -> None:
    series = Labelled(
        "flat",
        "tuned",
        "count",
        np.ones(200),
        (Incident("drop", 130, 131, 131, 0.5), Incident("shift", 150, 164, 192, 0.1)),
    )
    alarms = np.zeros((1, 200), dtype=bool)
    alarms[0, [10, 125, 130, 155, 156, 170, 195]] = True
    result = Result("any")
    grade(result, [series], alarms, START)
    found = result.grades[("split", "tuned")]
    assert (found.found, found.total, found.found_large, found.total_large) == (2, 2, 1, 1)
    assert (found.false, found.normal) == (
        2,
        80 - 1 - 42,
    )  # 125 and 195; day 10 is not judged, 170 is in grace
    assert found.precision == 0.5
    assert found.false_a_month == pytest.approx(30 * 2 / 37)
    missed = Result("none")
    grade(missed, [series], np.zeros((1, 200), dtype=bool), START)
    assert missed.grades[("split", "tuned")].recall == 0


@pytest.mark.slow
@pytest.mark.parametrize("split", ["tuned", "held out"])
def test_the_detector_leads_on_either_half(results: dict[str, Result], split: str) -> None:
    ours = results["ours"].grades[("split", split)]
    assert ours.total_large > 40
    assert ours.recall_large > 0.6 and ours.false_a_month < 0.15
    for name in ("elementary", "rolling MAD", "z-score"):
        other = results[name].grades[("split", split)]
        assert ours.recall_large > other.recall_large and ours.precision > other.precision
        assert ours.false_a_month < other.false_a_month


@pytest.mark.slow
def test_answers_cost_no_recall() -> None:
    few = [one for one in SMALL if one.shape in ("weekly", "closed", "growing")]
    alone, answered = (_graded(name, few).grades[("split", "tuned")] for name in ("ours", ANSWERED))
    assert alone.found > 25 and answered.found >= alone.found - 2
    assert answered.false_a_month < 0.1


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_every_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "peers"
    (home / "bin").mkdir(parents=True)
    python = home / "bin" / "python"
    python.write_text("#!/bin/sh\necho broken >&2; exit 3\n")
    python.chmod(0o755)
    target = tmp_path / "figures.json"
    arguments = ["--series", "1", "--detector", "z-score", "--peer", "prophet", "--peer-series", "1"]
    assert main([*arguments, "--peer-home", str(home), "--json", str(target)]) == 0
    printed = capsys.readouterr().out
    assert "All series: held out" in printed and "| z-score | 6 |" in printed
    assert "prophet: not compared, for it failed: broken" in printed
    figures = json.loads(target.read_text())
    (one,) = figures["detectors"]
    assert one["series"] == {"tuned": 8, "held out": 6} and one["series_days"] == 14 * (DAYS - START)
    groups = {grade["group"] for grade in one["grades"]}
    assert {"split", "shape", "incident, tuned", "incident, held out"} <= groups


def test_a_missed_target_is_the_command_s_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DETECTORS, "ours", DETECTORS["rolling MAD"])
    assert main(["--series", "1", "--detector", "ours"]) == 1
    said = capsys.readouterr().err
    assert "Missed: A recall of" in said and "false alarms a table-month on held-out shapes" in said


def test_the_peer_s_answer_is_graded_as_others_are(tmp_path: Path) -> None:
    """A program that answers as the libraries' does."""
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        'exec python3 -c "import json, sys; r = json.load(sys.stdin);'
        " n = len(r['series'][0]['values']);"
        " print(json.dumps({'alarms': [[[0] * n, [1] * n] for _ in r['series']], 'seconds': 2.5, 'version': 'x 1'}))\"\n"
    )
    python.chmod(0o755)
    alarms, seconds, version = peers.run("prophet", python, SMALL[:2])
    assert alarms.shape == (2, 2, DAYS) and not alarms[:, 0].any() and alarms[:, 1].all()
    assert (seconds, version) == (2.5, "x 1")


def test_online_retail_is_read_from_a_folder_of_days(tmp_path: Path) -> None:
    head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    days = [FIRST.fromordinal(FIRST.toordinal() + n) for n in range(330)]
    for n, day in enumerate(days):
        if day.weekday() == 5:
            continue
        lines = [
            f'5{n:05},A{k % 3},"MUG, RED",{-1 if k == 0 else 2},{day} {9 + k % 8:02}:30:00,2.5,{"" if k % 4 == 0 else 17}.0,France\n'
            for k in range(24 + n % 5)
        ]
        with gzip.open(tmp_path / f"{day}.csv.gz", "wt") as file:
            file.write(head + "".join(lines))
    found = real(tmp_path, seed=1)
    assert Counter(one.shape for one in found) == {"day": 10, "hour": 8, "country": 1, "product": 3}
    assert {one.split for one in found} == {"real"} and all(len(one.values) >= 329 for one in found)
    rows = found[0]
    assert rows.kind == "count" and rows.values[0] == 24 and rows.values[5] == 0  # a Saturday
    assert rows.incidents and rows.incidents[0].start >= START
    assert sum(len(one.incidents) for one in found) > 40
