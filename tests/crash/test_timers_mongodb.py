# SPDX-License-Identifier: Apache-2.0
"""A service on MongoDB killed while its timers fire, many in one commit: before it, after its one write, and between the
steps after it; and killed again while it completes what it had left. Each document is made once, with its event."""

import collections
import os
import pathlib
import sys
import time
import uuid

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario"), str(ROOT / "bench")]
import mongodb  # noqa: E402
from conftest import FREEHOLD, build_crash_programs, wait_for  # noqa: E402
from documents import Documents  # noqa: E402

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
HENS = 24
# Where it dies, and where it does once more when it comes back.
BEFORE = {name: "mongodb.recovered" for name in ("timer.taken", "cursor.applied", "mongodb.unwritten")}
LEFT = {"mongodb.written": "mongodb.recovered", "mongodb.numbered": "mongodb.numbered", "mongodb.made": "mongodb.made",
        "mongodb.recorded": "mongodb.made", "mongodb.placed": "mongodb.recorded", "mongodb.counted": "mongodb.counted"}
AFTER = {name: "mongodb.recovered" for name in ("mongodb.trimmed", "cursor.durable", "timer.fired")}
KILLS = BEFORE | LEFT | AFTER


class Hens(Documents):
    def config(self):
        return {**super().config(), "confine": False}

    def die_at(self, point):
        self.order.write_text(f"{point}:1")

    def wait_for_death(self, point):
        wait_for(f"hens pass {point}", lambda: self.process.poll() is not None)
        assert self.process.returncode == -9 and not self.order.exists()
        self.stop()

    def eggs(self):
        found, after = [], ""
        while page := self.ask("GET", f"/eggs?after={after}"):
            found += page
            after = page[-1]["id"]
        return collections.Counter(egg["name"] for egg in found)


@pytest.fixture(scope="module", params=sorted(mongodb.VARIABLES), name="hens")
def hens_of_the_module(request, tmp_path_factory):
    at = mongodb.server(request.param)
    build_crash_programs()
    folder = tmp_path_factory.mktemp("hens")
    os.environ["FREEHOLD_CRASH"] = str(folder / "order")
    store = {"host": at["host"], "port": at["port"], "database": f"hens_{uuid.uuid4().hex[:12]}"}
    hens = Hens(PROGRAMS / "crash_hens", "hens", folder / "hens", {"engine": "mongodb", "store": store})
    hens.order = folder / "order"
    hens.laid = collections.Counter()
    yield hens.start()
    del os.environ["FREEHOLD_CRASH"]
    hens.close()


@pytest.mark.parametrize("point", KILLS)
def test_killed_there_each_egg_is_laid_once(hens, point):
    names = [f"{point} {number}" for number in range(HENS)]
    due_s = time.time() + 1.5
    hens.ask("POST", "/hens", {"names": names, "due_ms": int(due_s * 1000)})
    time.sleep(max(0, due_s - time.time() - 0.1))  # what else it writes is done
    hens.die_at(point)
    hens.wait_for_death(point)
    hens.die_at(KILLS[point])
    hens.spawn()
    hens.wait_for_death(KILLS[point])
    hens.start()
    hens.laid.update(names)
    wait_for("all are laid", lambda: hens.state()["timers"]["pending"] == 0 and hens.eggs() == hens.laid)
    assert wait_for("all are published", lambda: (at := hens.state()["position"]) >= hens.laid.total() and at
                    ) == hens.laid.total()
    assert hens.state()["timers"]["parked"] == 0
