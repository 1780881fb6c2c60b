# SPDX-License-Identifier: Apache-2.0
"""A publisher whose store is on PostgreSQL gets one that was filled beside, and it, `up` or the process that fills it is
killed at each step: it serves from one of the two, whole, and what follows from an event has happened once."""

import json
import os
import pathlib
import re
import shutil
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario")]
from conftest import build_crash_programs, living, open_folder, wait_for  # noqa: E402
from test_rebuild_postgresql import ALONE, Served  # noqa: E402
from test_rebuild_publisher_killed import PROGRAMS, Mortal  # noqa: E402


def points_of(*path):
    return re.findall(r'\bCRASH_POINT\("([^"]*)"\)', ROOT.joinpath("src", *path).read_text(encoding="utf-8"))


EXCHANGING = points_of("service", "rebuild_exchange.c") + points_of("engine", "postgresql", "beside.c") + ["rebuild.joining"]
OF_UP = {"rebuild.ordered": False, "rebuild.served": True}  # whether the new store is the valid one by then


class Killed(Served, Mortal):
    def spoil(self):
        """What its store shows is wrong from now on."""
        self.sql("UPDATE slip SET amount = amount + 1 WHERE id = 1")
        assert self.slips()["amount"] == self.right() + 1

    def is_on(self, new):
        assert self.settled()
        assert self.slips()["amount"] == self.right() + (not new)
        assert self.nothing_is_left()
        wait_for("nor on the server", lambda: self.schemas() == ALONE)
        return True


@pytest.fixture(scope="module")
def slips():
    if not shutil.which("psql"):
        pytest.skip("NOT TESTED: PostgreSQL is not installed")
    build_crash_programs()
    folder = open_folder()
    slips = Killed(folder).up()
    slips.mend(PROGRAMS / "crash_slips")
    slips.sell(50)
    slips.settled()
    yield slips
    slips.stop(check=False)
    shutil.rmtree(folder)


def test_every_step_has_a_point():
    assert len(EXCHANGING) == len(set(EXCHANGING)) == 6


def test_the_service_is_killed(slips):
    """It is started again, and does what it had not done."""
    for point in EXCHANGING:
        slips.spoil()
        order = slips.order(slips.own, point)
        done = slips.rebuild()
        assert done.returncode == 0 and not order.exists(), (point, done)
        assert slips.is_on(new=True), point


def test_a_service_that_dies_again_and_again_stays_on_its_store(slips):
    slips.spoil()
    order = slips.order(slips.own, "exchange.joined:0")
    done = slips.rebuild()
    assert done.returncode == 1 and "keeps the store that it has: On the new store its process" in done.stderr, done
    order.unlink()
    assert slips.is_on(new=False)
    assert slips.rebuild().returncode == 0 and slips.is_on(new=True)


def test_the_process_that_fills_it_is_killed_and_up_at_each_step(slips):
    slips.spoil()
    with slips.rebuilding() as rebuilding:
        first = wait_for("it runs", slips.filler)
        assert "store" not in json.loads((slips.own / "rebuild.json").read_text())  # an older program would fill that
        os.kill(first, signal.SIGKILL)
        wait_for("it runs again", lambda: slips.filler() not in (None, first))
    said, _ = rebuilding.communicate(timeout=120)
    assert rebuilding.returncode == 0 and slips.is_on(new=True), said
    for point, new in OF_UP.items():
        slips.spoil()
        order = slips.order(slips.folder, point)
        done = slips.rebuild()
        assert done.returncode != 0 and not order.exists(), (point, done)
        wait_for("what the former one has started has ended", lambda: not any(
            pathlib.Path(f"/proc/{pid}").exists() for pid in living(slips.state)))
        slips.up()
        assert slips.is_on(new), point
        slips.sql(f"UPDATE slip SET amount = amount - {int(not new)} WHERE id = 1")


def test_what_is_refused_stops_nothing_and_what_was_filled_in_vain_is_removed(slips):
    slips.spoil()
    pids = [one["pid"] for one in slips.services()["slips"]["instances"]]
    slips.sql("CREATE SCHEMA reports; CREATE VIEW reports.slips AS SELECT amount FROM public.slip")
    done = slips.rebuild()
    assert done.returncode == 1 and "would be removed with it: rule _RETURN on view reports.slips" in done.stderr, done
    slips.sql("DROP SCHEMA reports CASCADE")
    with slips.rebuilding() as rebuilding:
        done = slips.rebuild("--abandon")
        assert done.returncode == 0 and "It was abandoned." in done.stdout, done
    said, _ = rebuilding.communicate(timeout=60)
    assert rebuilding.returncode == 1 and "It was abandoned." in said
    assert [one["pid"] for one in slips.services()["slips"]["instances"]] == pids
    slips.stop()
    slips.up()
    assert slips.is_on(new=False)
    assert slips.rebuild().returncode == 0 and slips.is_on(new=True)
