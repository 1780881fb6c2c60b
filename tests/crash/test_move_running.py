# SPDX-License-Identifier: Apache-2.0
"""A store moves while the system runs, and `up`, the moving process or a server is killed on the way: the old store
goes on serving, or the new one does, and what was acknowledged is there, once."""

import json
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
from conftest import FREEHOLD, System, living, open_folder, wait_for  # noqa: E402
from held import Held  # noqa: E402
from test_move import ENGINE, POINTS, USERS, expect_users, moved, set_engine  # noqa: E402,F401

BUILD = pathlib.Path(FREEHOLD).parent
PROGRAMS = BUILD / "tests" / "crash"
OF_UP = re.findall(r'\bCRASH_POINT\("([^"]*)"\)',
                   (ROOT / "src" / "system" / "move" / "relocate.c").read_text(encoding="utf-8"))
GOING_BACK = ("relocate.failed", "relocate.turned", "relocate.returned", "relocate.back", "relocate.ended")
GOING_THERE = [point for point in OF_UP if point not in GOING_BACK]
pytestmark = pytest.mark.skipif(not ENGINE, reason="NO SERVER IS INSTALLED TO MOVE A STORE TO")


class Mortal(System):
    """A system whose `up` has the crash points in it, and looks into its own folder for an order to die."""

    def __init__(self, file, folder):
        super().__init__(file, folder / "state", freehold=PROGRAMS / "freehold")
        self.folder = folder
        self.order = folder / "crash"
        self.users = folder / "state" / "users"

    def command(self, *arguments, check=True, freehold=PROGRAMS / "freehold"):
        done = subprocess.run([freehold, *arguments], capture_output=True, text=True, timeout=180,
                              cwd=self.folder, env={**os.environ, "FREEHOLD_CRASH": "crash"})
        assert not check or done.returncode == 0, f"freehold {arguments}: {done.stdout}{done.stderr}"
        return done

    def start_moving(self, *more):
        return subprocess.Popen([PROGRAMS / "freehold", "move", "users", "--state", self.state, *more],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def moves(self):
        path = pathlib.Path(self.state) / "moves.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def store(self):
        return json.loads((self.users / "store.json").read_text())["engine"]


@pytest.fixture
def shop(moved, tmp_path):  # noqa: F811
    state, file = moved
    shutil.copytree(file.parent, tmp_path / "shop")
    folder = open_folder()
    shutil.copytree(state, folder / "state")
    system = Mortal(tmp_path / "shop" / "freehold.yaml", folder)
    system.up()
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


def break_migrations(system):
    """What is there can't be copied to the new engine. Returns a function that fixes it there, as if never tried."""
    path = next((pathlib.Path(system.file).parent / "users" / "migrations" / ENGINE).glob("*.sql"))
    whole = path.read_text()
    path.write_text(re.sub(r"(?m)^.*\baddress\b.*\n", "", whole))

    def mend():
        path.write_text(whole)
        shutil.rmtree(pathlib.Path(system.state) / ".servers" / f"users-{ENGINE}", ignore_errors=True)
    return mend


def expect_the_same(system):
    """The data are served from where the records say they are, and from nowhere else; and that stays so."""
    engine = system.services()["users"]["engine"]
    assert engine == system.store()
    assert [entry["state"] for entry in system.moves().values()] == (["moved"] if engine == ENGINE else [])
    done = system.command("check", system.file, "--live", "--state", system.state, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    system.stop()
    system.up()
    assert system.services()["users"]["engine"] == system.store() == engine
    found = system.http("GET", f"/api/users?ids={','.join(map(str, range(1, USERS + 2)))}").body
    assert [one["id"] for one in sorted(found, key=lambda one: one["id"])] == list(range(1, USERS + 2))


def test_every_step_has_a_point():
    assert len(OF_UP) == len(set(OF_UP)) == len(GOING_THERE) + len(GOING_BACK) == 10


@pytest.mark.parametrize("point", GOING_THERE)
def test_up_is_killed_on_the_way_there(shop, point):
    shop.order.write_text(point)
    moving = shop.start_moving("--to", ENGINE)
    wait_for(f"it passes {point}", lambda: not shop.order.exists())
    assert moving.wait(120) != 0
    shop.up()
    expect_users(shop)
    assert shop.services()["users"]["engine"] == ("sqlite" if point == "relocate.stopped" else ENGINE)
    expect_the_same(shop)


@pytest.mark.parametrize("point", GOING_BACK)
def test_up_is_killed_on_the_way_back(shop, point):
    mend = break_migrations(shop)
    shop.order.write_text(point)
    moving = shop.start_moving("--to", ENGINE)
    wait_for(f"it passes {point}", lambda: not shop.order.exists())
    assert moving.wait(120) != 0
    wait_for("its processes have ended", lambda: not any_lives(shop))
    mend()
    shop.up()
    expect_users(shop)
    assert shop.services()["users"]["engine"] == (ENGINE if point == "relocate.failed" else "sqlite")
    expect_the_same(shop)


def any_lives(system):
    """Of the last `up`'s, and of what they have started: private servers."""
    folders = pathlib.Path(system.state).resolve()
    return bool(living(system.state)) or any(
        folders in cwd.parents for cwd in map(folder_of, pathlib.Path("/proc").glob("[0-9]*")) if cwd)


def folder_of(process):
    try:
        return (process / "cwd").readlink()
    except OSError:
        return None


@pytest.mark.parametrize("point", POINTS)
def test_the_process_that_moves_is_killed(shop, point):
    (shop.users / "crash").write_text(point)
    moving = shop.start_moving("--to", ENGINE)
    said, _ = moving.communicate(timeout=180)
    assert not (shop.users / "crash").exists()
    expect_users(shop)
    assert shop.services()["users"]["engine"] == (ENGINE if moving.returncode == 0 else "sqlite"), said
    assert moving.returncode == 0 or "users was not moved, and goes on with sqlite" in said
    expect_the_same(shop)


@pytest.mark.parametrize("point", POINTS)
def test_the_system_is_killed_with_it_and_the_move_is_abandoned(shop, point):
    """After the step that completes the new store, too: what was written since is never taken for moved."""
    path = pathlib.Path(shop.file)
    program = Held(path.parent / "held-users", PROGRAMS / "users", shop.users)
    shop.stop()
    path.write_text(path.read_text().replace(f"program: {PROGRAMS}/users", f"program: {program.path}", 1))
    shop.up()
    (shop.users / "crash").write_text(point)
    program.hold_behind_the_next()
    moving = shop.start_moving("--to", ENGINE)
    wait_for("it died, and waits to begin again", program.is_held)
    abandoning = shop.start_moving("--abandon")
    wait_for("it goes back", lambda: shop.moves()["users"]["state"] == "back")
    program.release()
    said, _ = abandoning.communicate(timeout=120)
    moving.communicate(timeout=120)
    if point == "move.durable":  # it was over by then
        assert abandoning.returncode == 1 and "users was moved before it could be abandoned" in said, said
    else:
        assert abandoning.returncode == 0 and "users was not moved, and goes on with sqlite" in said, said
    expect_users(shop)
    expect_the_same(shop)
    again = shop.start_moving("--to", ENGINE)
    said, _ = again.communicate(timeout=120)
    if point == "move.finished":
        assert again.returncode == 1 and f"The {ENGINE} store there is in use" in said, said
    expect_the_same(shop)


@pytest.mark.parametrize("victim", ["keeper", "server"])
def test_the_new_server_is_killed_meanwhile(shop, victim):
    moving = shop.start_moving("--to", ENGINE)
    keeper = wait_for("its server runs", lambda: next(
        (one["pid"] for one in shop.status()["servers"] if one["ready"]), None))
    pid = keeper if victim == "keeper" else int(subprocess.run(
        ["pgrep", "--parent", str(keeper), "--oldest"], capture_output=True, text=True, check=True).stdout)
    os.kill(pid, signal.SIGKILL)
    said, _ = moving.communicate(timeout=180)
    expect_users(shop)
    assert shop.services()["users"]["engine"] == (ENGINE if moving.returncode == 0 else "sqlite"), said
    expect_the_same(shop)


def test_the_old_server_is_killed_meanwhile(shop):
    shop.command("move", "users", "--to", ENGINE, "--state", shop.state)
    set_engine(shop, ENGINE)
    keeper = shop.status()["servers"][0]["pid"]
    moving = shop.start_moving("--to", "sqlite")
    os.kill(keeper, signal.SIGKILL)
    said, _ = moving.communicate(timeout=180)
    expect_users(shop)
    moved = moving.returncode == 0
    assert shop.services()["users"]["engine"] == ("sqlite" if moved else ENGINE), said
