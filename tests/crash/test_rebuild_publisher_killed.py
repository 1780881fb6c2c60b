# SPDX-License-Identifier: Apache-2.0
"""A publisher gets a store that was filled beside, and it or `up` is killed at each step of taking over what was
published: it goes on with one of the two stores, and what follows from an event has happened once."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, build_crash_programs, living, open_folder, wait_for  # noqa: E402
from test_rebuild_publisher import Slips  # noqa: E402

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
JOINING = re.findall(r'\bCRASH_POINT\("([^"]*)"\)', (ROOT / "src" / "service" / "rebuild_join.c").read_text(encoding="utf-8"))
JOINED = "rebuild.joined"  # and the former store is there
OF_UP = {"rebuild.taken": False, "rebuild.served": True}  # whether the new store is the valid one by then


class Mortal(Slips):
    """Its `up` and its slips look into their own folders for an order to die."""

    def __init__(self, folder):
        super().__init__(folder, freehold=PROGRAMS / "freehold")

    def command(self, *arguments, check=True, freehold=PROGRAMS / "freehold"):
        done = subprocess.run([freehold, *arguments], capture_output=True, text=True, timeout=180, cwd=self.folder,
                              env={**os.environ, "FREEHOLD_CRASH": "crash"})
        assert not check or done.returncode == 0, f"freehold {arguments}: {done.stdout}{done.stderr}"
        return done

    def order(self, folder, point):
        draft = folder / "crash.draft"
        draft.write_text(point)
        draft.chmod(0o644)  # the service may be another user
        return draft.rename(folder / "crash")

    def is_on(self, new):
        assert self.settled()
        assert self.slips()["amount"] == (self.right() if new else self.wrong())
        return self.nothing_is_left()


@pytest.fixture
def slips():
    build_crash_programs()
    folder = open_folder()
    slips = Mortal(folder).up()
    slips.sell(100)
    slips.settled()
    slips.mend(PROGRAMS / "crash_slips")
    yield slips
    slips.stop(check=False)
    shutil.rmtree(folder)


def test_every_step_has_a_point():
    assert len(JOINING) == len(set(JOINING)) == 3 and JOINED in JOINING


@pytest.mark.parametrize("point", JOINING)
def test_the_service_is_killed(slips, point):
    """It is started again, and does what it had not done."""
    order = slips.order(slips.own, point)
    done = slips.rebuild()
    assert done.returncode == 0 and not order.exists(), done
    assert slips.is_on(new=True)


def test_a_service_that_dies_again_and_again_goes_back(slips):
    """What it had taken over, it has not served from."""
    order = slips.order(slips.own, f"{JOINED}:0")
    done = slips.rebuild()
    assert done.returncode == 1 and "keeps the store that it has: On the new store its process" in done.stderr, done
    order.unlink()
    assert slips.is_on(new=False)
    assert slips.rebuild().returncode == 0 and slips.is_on(new=True)


@pytest.mark.parametrize("point", OF_UP)
def test_up_is_killed(slips, point):
    order = slips.order(slips.folder, point)
    done = slips.rebuild()
    assert done.returncode != 0 and not order.exists(), done
    wait_for("what the former one has started has ended", lambda: not any(
        pathlib.Path(f"/proc/{pid}").exists() for pid in living(slips.state)))
    slips.up()
    assert slips.is_on(new=OF_UP[point])
