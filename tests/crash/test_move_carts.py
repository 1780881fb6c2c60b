# SPDX-License-Identifier: Apache-2.0
"""A store of keys and values is killed while it moves to a private Redis server, before and after each durable step:
the move continues by itself, and at each moment there is one store that serves, or none."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario")]
from carts_alone import carts_alone, expect_carts, fill, put, set_engine  # noqa: E402
from conftest import FREEHOLD, System, build_crash_programs, open_folder, wait_for  # noqa: E402
from test_move import POINTS  # noqa: E402


@pytest.fixture(scope="module")
def filled():
    """Carts, at rest and stopped, to be copied for each test."""
    if not shutil.which("redis-server"):
        pytest.skip("NO REDIS TO MOVE TO: apt-get install redis-server")
    build = pathlib.Path(FREEHOLD).parent
    build_crash_programs()
    folder = open_folder()
    system = carts_alone(folder, build / "tests" / "crash" / "carts").up()
    fill(system)
    system.stop()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def carts(filled):
    folder = open_folder()
    shutil.copytree(filled, folder, dirs_exist_ok=True)
    folder.chmod(0o711)
    system = System(folder / "carts.yaml", folder / "s")
    os.environ["FREEHOLD_CRASH"] = "crash"
    set_engine(system, "redis")
    yield system
    del os.environ["FREEHOLD_CRASH"]
    system.stop(check=False)
    shutil.rmtree(folder)


@pytest.mark.parametrize("point", POINTS)
def test_a_move_that_was_killed_goes_on(carts, point):
    order = pathlib.Path(carts.state) / "carts" / "crash"
    order.write_text(point)
    moving = subprocess.Popen([FREEHOLD, "move", carts.file, "carts", "--state", carts.state,
                               "--listen", f"127.0.0.1:{carts.port}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(f"it passes {point}", lambda: not order.exists())
    wait_for("the system is up", lambda: carts.command("status", "--json", "--state", carts.state, check=False).stdout)
    wait_for("carts serve", lambda: carts.services()["carts"]["ready"])
    expect_carts(carts)
    put(carts, 500, 1, "new")
    carts.stop()
    assert moving.wait(120) == 0, moving.stdout.read()
