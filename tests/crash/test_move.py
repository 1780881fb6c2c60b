# SPDX-License-Identifier: Apache-2.0
"""A store is killed while it moves, before and after each durable step: the move continues by itself, and at each
moment there is one store that serves, or none."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, System, build_crash_programs, open_folder, wait_for  # noqa: E402

SOURCE = ROOT / "src" / "service" / "move.c"
POINTS = re.findall(r'\bCRASH_POINT\("(move\.[^"]*)"\)', SOURCE.read_text(encoding="utf-8"))
BEFORE_IT_IS_WHOLE = POINTS[:POINTS.index("move.finished")]
SERVERS = {"mariadb": "usr/sbin/mariadbd", "postgresql": "usr/lib/postgresql/*/bin/postgres"}
ENGINE = next((name for name in sorted(SERVERS) if any(pathlib.Path("/").glob(SERVERS[name]))), None)
USERS = 25


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A shop with users, at rest and stopped, to be copied for each test."""
    if not ENGINE:
        pytest.skip("NO SERVER IS INSTALLED TO MOVE A STORE TO")
    build_crash_programs()
    programs = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
    source = tmp_path_factory.mktemp("move") / "shop"
    shutil.copytree(ROOT / "examples" / "shop", source)
    file = source / "freehold.yaml"
    file.write_text(re.sub(r"program: (\w+)", rf"program: {programs}/\1", file.read_text()))
    folder = open_folder()
    system = System(file, folder / "state").up()
    for i in range(1, USERS + 1):
        answer = system.http("POST", "/api/users", {"name": f"User {i}", "email": f"user-{i}@example.org"},
                             {"Idempotency-Key": f"user-{i}"})
        assert answer.status == 201, answer
    system.stop()
    yield folder / "state", file
    shutil.rmtree(folder)


@pytest.fixture
def shop(moved, tmp_path):
    state, file = moved
    shutil.copytree(file.parent, tmp_path / "shop")
    folder = open_folder()
    shutil.copytree(state, folder / "state")
    system = System(tmp_path / "shop" / "freehold.yaml", folder / "state")
    os.environ["FREEHOLD_CRASH"] = "crash"
    set_engine(system, ENGINE)
    yield system
    del os.environ["FREEHOLD_CRASH"]
    system.stop(check=False)
    shutil.rmtree(folder)


def set_engine(system, engine):
    path = pathlib.Path(system.file)
    path.write_text(re.sub(r"(  users: \{ program: [^,} ]+)[^}]*\}", rf"\1, engine: {engine} }}", path.read_text(), count=1))


def arm(system, point):
    order = pathlib.Path(system.state) / "users" / "crash"
    order.write_text(point)
    return order


def start_moving(system, *more):
    return subprocess.Popen([FREEHOLD, "move", system.file, "users", "--state", system.state,
                             "--listen", f"127.0.0.1:{system.port}", *more],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def expect_users(system):
    wait_for("the system is up", lambda: system.command("status", "--json", "--state", system.state,
                                                        check=False).stdout)
    wait_for("users serves", lambda: system.services()["users"]["ready"])
    ids = ",".join(map(str, range(1, USERS + 1)))
    found = wait_for("users answers", lambda: (a := system.http("GET", f"/api/users?ids={ids}")).status == 200 and a)
    assert sorted(one["id"] for one in found.body) == list(range(1, USERS + 1))
    again = system.http("POST", "/api/users", {"name": "User 3", "email": "user-3@example.org"},
                        {"Idempotency-Key": "user-3"})
    assert (again.status, again.body["id"]) == (201, 3)
    new = system.http("POST", "/api/users", {"name": "New", "email": "new@example.org"}, {"Idempotency-Key": "new"})
    assert (new.status, new.body["id"]) == (201, USERS + 1)


def test_every_step_of_a_move_has_a_point():
    assert len(POINTS) == len(set(POINTS)) == 7


@pytest.mark.parametrize("point", POINTS)
def test_a_move_that_was_killed_goes_on(shop, point):
    order = arm(shop, point)
    moving = start_moving(shop)
    wait_for(f"it passes {point}", lambda: not order.exists())
    expect_users(shop)
    shop.stop()
    assert moving.wait(120) == 0, moving.stdout.read()


@pytest.mark.parametrize("point", [BEFORE_IT_IS_WHOLE[1], BEFORE_IT_IS_WHOLE[-1]])
def test_a_move_that_was_killed_can_be_abandoned(shop, point):
    order = arm(shop, f"{point}:0")  # again and again: nobody finishes the move before `up` is killed
    armed = order.stat().st_size
    moving = start_moving(shop)
    wait_for(f"it passes {point}", lambda: order.stat().st_size > armed)
    moving.kill()  # `up` too: it would continue
    moving.wait(120)
    wait_for("its processes have ended", lambda: shop.command("status", "--state", shop.state, check=False).returncode)
    order.unlink()
    set_engine(shop, "sqlite")
    back = start_moving(shop, "--abandon")
    expect_users(shop)
    shop.stop()
    assert back.wait(120) == 0, back.stdout.read()
