# SPDX-License-Identifier: Apache-2.0
"""A series, or columns, are declared to keep less than they have, and the process is killed at each point of the sweep
that removes the rest: what is too old is never answered, the rest always, and in the end nothing else is there. Where
it makes roll-ups of them, all of them count at any time, once."""

import json
import pathlib
import re
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario")]
from conftest import build_crash_programs, wait_for  # noqa: E402
from test_derived import Shelf  # noqa: E402


def points_of(path):
    return re.findall(r'\bCRASH_POINT\("([^"]*)"\)', (ROOT / "src" / path).read_text(encoding="utf-8"))


POINTS, OF_COLUMNS = points_of("work/series.c"), points_of("store/derived/columns_read.c")
OF_ROLLUPS = points_of("store/derived/series_age.c")
SERIES, COLUMNS, ROLLUPS = (1, 2), (3, 4), (1, 5)  # the edition that keeps all, and the other
AT_ONCE, SUM = 1000, 499500


@pytest.fixture(name="gauges")
def gauges_of_two_ages(tmp_path, editions):
    build_crash_programs()
    made = Shelf(tmp_path / "gauges", "gauges")
    made.serve(editions[0])
    for days_ago in (40, 35, 31, 29):
        made.ask("/api/points", {"days_ago": days_ago})
    assert counted(made) == (4 * AT_ONCE, 4 * SUM, 4 * AT_ONCE)
    assert made.end() == 0
    yield made
    made.end(signal.SIGKILL)


def counted(gauges):
    """What is answered, with its sum, and what is in the store."""
    answer = json.loads(gauges.ask("/api/points"))
    if "points" in answer:
        return (*answer["points"], answer["kept"]["n"])
    (curve,) = answer["curves"]
    return (*(sum(point[i] or 0 for point in curve["points"]) for i in (1, 2)), answer["kept"]["n"])


def test_the_points_are_there():
    assert POINTS == ["series.trimmed", "series.durable"] and OF_COLUMNS == ["columns.trimmed"]
    assert OF_ROLLUPS == ["series.rolled"]


@pytest.mark.parametrize("times", (1, 3))
@pytest.mark.parametrize("editions, point", [(SERIES, point) for point in POINTS] +
                         [(COLUMNS, point) for point in OF_COLUMNS + POINTS[1:]])
def test_killed_there_the_next_sweep_removes_the_rest(gauges, editions, point, times):
    (gauges.folder / "crash").write_text(f"{point}:{times}")
    assert gauges.begin(editions[1]).process.wait(120) == -signal.SIGKILL
    gauges.serve(editions[1])
    assert counted(gauges)[:2] == (AT_ONCE, SUM)
    wait_for("the sweep has removed the rest", lambda: counted(gauges)[2] == AT_ONCE)
    gauges.ask("/api/points", {"days_ago": 1})
    gauges.ask("/api/points", {"days_ago": 60})  # left out
    assert gauges.end(signal.SIGKILL) == -signal.SIGKILL  # what was answered is in
    gauges.serve(editions[1])
    assert counted(gauges) == (2 * AT_ONCE, 2 * SUM, 2 * AT_ONCE)


def rolled(gauges):
    """What is answered, with its sum; how many points are left, and how many are in roll-ups."""
    answer = json.loads(gauges.ask("/api/points"))
    (curve,) = answer["curves"]
    return (*(sum(point[i] or 0 for point in curve["points"]) for i in (1, 2)), answer["kept"]["n"],
            answer["rolled"]["n"] or 0)


@pytest.mark.parametrize("times", (1, 3, 20))
@pytest.mark.parametrize("editions, point", [(ROLLUPS, point) for point in OF_ROLLUPS + POINTS])
def test_killed_there_each_point_is_left_or_in_a_roll_up(gauges, editions, point, times):
    times = min(times, 3 if point in POINTS else times)  # three slices move all
    (gauges.folder / "crash").write_text(f"{point}:{times}")
    assert gauges.begin(editions[1]).process.wait(120) == -signal.SIGKILL
    gauges.serve(editions[1])
    count, total, left, moved = rolled(gauges)
    assert (count, total) == (4 * AT_ONCE, 4 * SUM) and left + moved == 4 * AT_ONCE
    wait_for("the sweep has moved the rest", lambda: rolled(gauges)[2:] == (AT_ONCE, 3 * AT_ONCE))
    assert rolled(gauges)[:2] == (4 * AT_ONCE, 4 * SUM)
    gauges.ask("/api/points", {"days_ago": 1})
    gauges.ask("/api/points", {"days_ago": 35})  # left out: it may be in a roll-up
    assert gauges.end(signal.SIGKILL) == -signal.SIGKILL  # what was answered is in
    gauges.serve(editions[1])
    assert rolled(gauges) == (5 * AT_ONCE, 5 * SUM, 2 * AT_ONCE, 3 * AT_ONCE)
