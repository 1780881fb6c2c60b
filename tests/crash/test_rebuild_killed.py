# SPDX-License-Identifier: Apache-2.0
"""A search is rebuilt, and `up` or the process that fills its new store is killed at each step: it serves from one of the
two stores, whole, and nothing of the other is left."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, build_crash_programs, living, open_folder, wait_for  # noqa: E402
from test_rebuild import Shop, damage_new_store, spoil  # noqa: E402

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"


def points_of(*path):
    return re.findall(r'\bCRASH_POINT\("([^"]*)"\)', ROOT.joinpath("src", *path).read_text(encoding="utf-8"))


FILLING = points_of("service", "rebuild.c")
OF_UP = points_of("system", "supervise", "rebuild.c") + points_of("system", "supervise", "rebuild_stores.c")
GOING_BACK = [point for point in OF_UP if point in ("rebuild.failed", "rebuild.back")]
ON_SERVERS = "rebuild.ordered"  # test_rebuild_postgresql_killed.py
EXCHANGING = [point for point in OF_UP if point not in (*GOING_BACK, ON_SERVERS)]


class Mortal(Shop):
    """Its `up` and its services look into their own folders for an order to die."""

    def __init__(self, folder):
        super().__init__(folder, programs=PROGRAMS, freehold=PROGRAMS / "freehold")
        self.folder = folder

    def command(self, *arguments, check=True, freehold=PROGRAMS / "freehold"):
        done = subprocess.run([freehold, *arguments], capture_output=True, text=True, timeout=180, cwd=self.folder,
                              env={**os.environ, "FREEHOLD_CRASH": "crash"})
        assert not check or done.returncode == 0, f"freehold {arguments}: {done.stdout}{done.stderr}"
        return done

    def comes_back(self):
        wait_for("what the former one has started has ended", lambda: not any(
            pathlib.Path(f"/proc/{pid}").exists() for pid in living(self.state)))
        self.up()


@pytest.fixture
def shop():
    build_crash_programs()
    folder = open_folder()
    shop = Mortal(folder).up()
    yield shop.fill()
    shop.stop(check=False)
    shutil.rmtree(folder)


def test_every_step_has_a_point():
    assert len(FILLING) == len(set(FILLING)) == 2 and len(OF_UP) == len(set(OF_UP)) == 9 and ON_SERVERS in OF_UP and len(GOING_BACK) == 2


@pytest.mark.parametrize("point", FILLING)
def test_the_process_that_fills_the_store_is_killed(shop, point):
    spoil(shop)
    order, publisher = shop.search / "rebuild" / "crash", shop.pid("products")
    os.kill(publisher, signal.SIGSTOP)
    rebuilding = shop.begin()
    try:
        wait_for("it waits for its publisher", lambda: (order.parent / "store.db").exists() and shop.filler())
        order.write_text(point)
        if point == "rebuild.begun":
            os.kill(wait_for("it runs", shop.filler), signal.SIGKILL)
            wait_for("it is killed where it begins", lambda: not order.exists())
    finally:
        os.kill(publisher, signal.SIGKILL)
    said, _ = rebuilding.communicate(timeout=120)
    assert rebuilding.returncode == 0 and not order.exists(), said
    assert shop.equals() and shop.nothing_is_left()


@pytest.mark.parametrize("point", EXCHANGING)
def test_up_is_killed(shop, point):
    spoil(shop)
    before, order = shop.incarnation(), shop.folder / "crash"
    order.write_text(point)
    done = shop.rebuild()
    assert done.returncode != 0 and not order.exists(), done
    shop.comes_back()
    done = point == "rebuild.done"
    assert shop.nothing_is_left() and (shop.incarnation() == before) == (not done) and (not done or shop.equals())
    assert shop.rebuild().returncode == 0 and shop.equals() and shop.nothing_is_left()


@pytest.mark.parametrize("point", GOING_BACK)
def test_up_is_killed_on_the_way_back(shop, point):
    """Here the new store is damaged."""
    before, order = shop.incarnation(), shop.folder / "crash"
    order.write_text(point)
    with shop.held("search"):
        rebuilding = subprocess.Popen([PROGRAMS / "freehold", "rebuild", "search", "--state", shop.state],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        damage_new_store(shop)
    assert rebuilding.wait(120) != 0
    wait_for("it was killed", lambda: not order.exists())
    shop.comes_back()
    assert shop.incarnation() == before and shop.equals() and shop.nothing_is_left()
