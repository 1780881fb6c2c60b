# SPDX-License-Identifier: Apache-2.0
"""A service killed at every named point of firing, parking and retrying timers: each bell rings once all the same."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario"), str(ROOT / "bench")]
from common import Service  # noqa: E402
from conftest import FREEHOLD, build_crash_programs, wait_for  # noqa: E402

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
OPERATOR = ["Freehold-From: operator"]
POINTS = sorted({name for path in (ROOT / "src" / "timer").glob("*.c")
                 for name in re.findall(r'\bCRASH_POINT\("([^"]*)"\)', path.read_text(encoding="utf-8"))})


class Bells(Service):
    def config(self):
        return {**super().config(), "confine": False,
                "migrations": str(ROOT / "tests/simulate/clock/bells/migrations")}

    def post(self, path, body):
        """Also while it dies and comes back: then it may have been done or not."""
        with contextlib.suppress(OSError, ValueError):  # it died; there is no body
            self.ask("POST", path, body, OPERATOR)

    def rings(self):
        return {bell["name"]: bell["rings"] for bell in self.ask("GET", "/bells", None, OPERATOR)}

    def parked(self):
        return self.ask("GET", "/_freehold/timers?state=parked", None, OPERATOR)["timers"]

    def hang(self, names):
        for name in names:
            self.post("/bells", {"name": name, "in_ms": 0})

    def retry_parked(self):
        for timer in self.parked():
            self.post("/_freehold/timers/retry", {"id": timer["id"]})

    def come_back(self, point):
        wait_for(f"bells passes {point}", lambda: self.process.poll() is not None)
        assert self.process.returncode == -9 and not self.order.exists()
        self.stop()
        self.start()


@pytest.fixture(scope="module", name="bells")
def bells_of_the_module(tmp_path_factory):
    build_crash_programs()
    folder = tmp_path_factory.mktemp("bells")
    os.environ["FREEHOLD_CRASH"] = str(folder / "order")
    bells = Bells(PROGRAMS / "crash_bells", "bells", folder / "bells")
    bells.order = folder / "order"
    bells.start()
    yield bells
    del os.environ["FREEHOLD_CRASH"]
    bells.close()


def test_firing_has_points():
    assert POINTS and all(name.startswith("timer.") for name in POINTS)


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_each_bell_rings_once(bells, point):
    cursed = f"{point} cursed"
    names = [f"{point} {number}" for number in range(5)]
    bells.post("/curses", {"name": cursed})
    if point == "timer.operated":
        bells.hang([*names, cursed])
        wait_for("the cursed bell is parked", bells.parked)
    bells.order.write_text(f"{point}:1")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        begun = (pool.submit(bells.retry_parked) if point == "timer.operated"
                 else pool.submit(bells.hang, [*names, cursed]))
        bells.come_back(point)
        begun.result()
    bells.hang({*names, cursed} - set(bells.rings()))  # those that were not there when it died
    wait_for("all but the cursed bell have rung", lambda: all(bells.rings()[name] for name in names))
    bells.post("/blessings", {"name": cursed})
    wait_for("the cursed bell has rung", lambda: bells.rings()[cursed] or bells.retry_parked())
    assert set(bells.rings().values()) == {1} and not bells.parked()
