# SPDX-License-Identifier: Apache-2.0
"""A service is killed while it is backed up or restored, before and after each durable step: an unfinished backup is
none, a restore continues by itself, and what the store held before is kept."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import unittest.mock

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario")]
from carts_alone import carts_alone, expect_carts, fill, put, set_engine  # noqa: E402
from conftest import FREEHOLD, System, build_crash_programs, open_folder, wait_for  # noqa: E402

SERVERS = {"mariadb": "usr/sbin/mariadbd", "postgresql": "usr/lib/postgresql/*/bin/postgres"}
ENGINE = next((name for name in sorted(SERVERS) if any(pathlib.Path("/").glob(SERVERS[name]))), None)
TAKEN, USERS = 20, 25  # in the backup, and afterwards
EMBEDDED = ("restore.renewed", "restore.parted", "restore.aside", "restore.placed")
SERVER = ("restore.kept", "restore.marked", "restore.filled", "restore.whole")


def points_of(name, folder="service"):
    text = (ROOT / "src" / folder / name).read_text(encoding="utf-8")
    return re.findall(r'\bCRASH_POINT\("([^"]*)"\)', text)


BACKUP, RESTORE = points_of("backup.c"), points_of("restore.c")
GATE = points_of("moment.c", "store/copy")
HOLD = points_of("hold.c", "engine/redis")
TRIED = [("sqlite", point) for point in RESTORE if point not in SERVER] + \
        [("server", point) for point in RESTORE if point not in EMBEDDED]


def add_users(system, first, last):
    """A server's counter continues after a restore, an embedded store's does not: they are known by their ids."""
    system.later = []
    for i in range(first, last + 1):
        answer = wait_for(f"user {i} is taken", lambda i=i: (a := system.http(
            "POST", "/api/users", {"name": f"User {i}", "email": f"user-{i}@example.org"},
            {"Idempotency-Key": f"user-{i}"})).status not in (503, 504) and a)
        assert answer.status == 201, answer
        system.later.append(answer.body["id"])


def read(path, sql):
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as store:
        return store.execute(sql).fetchall()


def open_shop(folder, engine):
    """The shop with crash points in it; after a backup of users some more were added."""
    if engine == "server" and not ENGINE:
        pytest.skip("NO SERVER IS INSTALLED TO RESTORE A STORE ON")
    build_crash_programs()
    programs = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
    shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
    file = folder / "shop" / "freehold.yaml"
    text = re.sub(r"program: (\w+)", rf"program: {programs}/\1", file.read_text())
    if engine == "server":
        text = re.sub(r"(  users: \{ program: [^,} ]+)[^}]*\}", rf"\1, engine: {ENGINE}, instances: 3 }}", text, count=1)
    file.write_text(text)
    os.environ["FREEHOLD_CRASH"] = "crash"
    system = System(file, folder / "state").up()
    add_users(system, 1, TAKEN)
    system.command("backup", "users", "--to", str(folder / "backup"), "--state", system.state)
    add_users(system, TAKEN + 1, USERS)
    return system


@pytest.fixture(scope="module", params=("server", "sqlite"))
def shop(request):
    folder = open_folder()
    system = open_shop(folder, request.param)
    yield system
    del os.environ["FREEHOLD_CRASH"]
    system.stop(check=False)
    shutil.rmtree(folder)


def arm(system, point, service="users"):
    order = pathlib.Path(system.state) / service / "crash"
    order.write_text(point)
    return order


def count(system):
    ids = ",".join(map(str, (*range(1, TAKEN + 1), *system.later)))
    found = wait_for("users answers", lambda: (a := system.http("GET", f"/api/users?ids={ids}")).status == 200 and a)
    return len(found.body)


def test_every_step_has_a_point():
    assert len(RESTORE) == len(set(RESTORE)) and set(EMBEDDED) | set(SERVER) < set(RESTORE)
    assert {point for _, point in TRIED} == set(RESTORE)


@pytest.mark.parametrize("shop, point", TRIED, indirect=["shop"], scope="module")
def test_a_restore_that_was_killed_goes_on(shop, point):
    system = shop
    backup = pathlib.Path(system.state).parent / "backup"
    before = count(system)
    order = arm(system, point)
    done = system.command("restore", "users", "--from", str(backup), "--yes", "--json", "--state", system.state)
    assert not order.exists(), f"{point} is not passed: {done.stdout}{done.stderr}"
    wait_for("users serves", lambda: system.services()["users"]["ready"])
    assert count(system) == TAKEN
    folder = pathlib.Path(system.state) / "users"
    kept = max(folder.glob("replaced-*.db"), key=lambda path: path.name)
    assert read(kept, "SELECT count(*) FROM users") == [(before,)]
    assert not list(folder.glob("restore-*")) and not (folder / "restore.json").exists()
    add_users(system, TAKEN + 1, USERS)  # for the next one


@pytest.fixture(scope="module")
def carts():
    """Three instances on Redis, a backup of them, and a cart that was changed since."""
    if not shutil.which("redis-server"):
        pytest.skip("NO REDIS TO TRY IT ON: apt-get install redis-server")
    build_crash_programs()
    folder = open_folder()
    system = carts_alone(folder, pathlib.Path(FREEHOLD).parent / "tests" / "crash" / "carts")
    set_engine(system, "redis, instances: 3")
    with unittest.mock.patch.dict(os.environ, FREEHOLD_CRASH="crash"):  # and as it was for the other system
        system.up()
    fill(system)
    system.command("backup", "carts", "--to", str(folder / "backup"), "--state", system.state)
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


@pytest.mark.parametrize("point", [point for point in RESTORE if point not in EMBEDDED])
def test_a_restore_of_several_instances_on_redis_that_was_killed_goes_on(carts, point):
    put(carts, 2, 50, f"later-{point}")
    before = {one["pid"] for one in carts.services()["carts"]["instances"]}
    order = arm(carts, point, "carts")
    carts.command("restore", "carts", "--from", str(pathlib.Path(carts.state).parent / "backup"), "--yes", "--state",
                  carts.state)
    assert not order.exists(), f"{point} is not passed"
    after = wait_for("all are ready", lambda: (all(one["ready"] for one in carts.services()["carts"]["instances"]) and
                                               carts.services()["carts"]["instances"]))
    assert len(after) == 3 and not before & {one["pid"] for one in after}
    expect_carts(carts)
    folder = pathlib.Path(carts.state) / "carts"
    assert not list(folder.glob("restore-*")) and not (folder / "restore.json").exists()


def back_up_killed(system, point, what="killed", service="users"):
    folder = pathlib.Path(system.state).parent / f"{what}-{point}"
    order = arm(system, point, service)
    failed = system.command("backup", service, "--to", str(folder), "--state", system.state, check=False)
    assert not order.exists() and failed.returncode == 1 and "is NO backup" in failed.stderr, failed
    return folder


@pytest.mark.parametrize("point", BACKUP)
def test_a_backup_whose_service_was_killed_is_none(shop, point):
    system, folder = shop, back_up_killed(shop, point)
    assert not (folder / "manifest.json").exists()
    wait_for("users serves", lambda: system.services()["users"]["ready"])
    shutil.rmtree(folder)
    system.command("backup", "users", "--to", str(folder), "--state", system.state)
    assert read(folder / "users.db", "SELECT count(*) FROM users") == [(count(system),)]


@pytest.mark.parametrize("shop, point", [("server", point) for point in GATE], indirect=["shop"], scope="module")
def test_a_backup_that_is_killed_at_its_gate_holds_nobody_off(shop, point):
    """The gate is the server's lock, which ends with its holder: the other instances publish on."""
    system, folder = shop, back_up_killed(shop, point)
    answer = wait_for("a user is taken", lambda: (a := system.http(
        "POST", "/api/users", {"name": "Ada", "email": f"{point}@example.org"},
        {"Idempotency-Key": point})).status not in (503, 504) and a)
    assert answer.status == 201, answer
    system.later.append(answer.body["id"])
    wait_for("users serves", lambda: system.services()["users"]["ready"])
    system.command("backup", "users", "--to", str(folder), "--state", system.state)
    assert read(folder / "users.db", "SELECT count(*) FROM users") == [(count(system),)]


@pytest.mark.parametrize("point", HOLD)
def test_a_backup_that_is_killed_while_it_holds_redis_holds_nobody_off(carts, point):
    """Nobody gives the hold back: it ends by itself, and the other instances go on."""
    folder = back_up_killed(carts, point, service="carts")
    answer = wait_for("a cart is changed", lambda: (a := carts.http(
        "PUT", "/api/carts/2/items/mug", {"quantity": 60}, {"Idempotency-Key": point})).status not in (503, 504) and a)
    assert answer.status == 200, answer
    wait_for("all are ready", lambda: all(one["ready"] for one in carts.services()["carts"]["instances"]))
    carts.command("backup", "carts", "--to", str(folder), "--state", carts.state)
    assert read(folder / "carts.db", f"SELECT count(*) FROM fh_command WHERE key = '{point}'") == [(1,)]


@pytest.mark.parametrize("point", BACKUP)
def test_a_stopped_systems_backup_whose_program_was_killed_is_none(shop, point):
    system, users = shop, count(shop)
    system.stop()
    folder = back_up_killed(system, point, "stopped")
    shutil.rmtree(folder)
    system.command("backup", "users", "--to", str(folder), "--state", system.state)
    assert read(folder / "users.db", "SELECT count(*) FROM users") == [(users,)]
    system.up()
    assert count(system) == users


def test_what_was_not_ordered_is_not_restored(shop):
    """The command is killed when the file is complete, and `up` too: the store is as it was."""
    system = shop
    before = count(system)
    backup = pathlib.Path(system.state).parent / "backup"
    system.stop()
    # What the command leaves when it is killed before it gives the order.
    folder = pathlib.Path(system.state) / "users"
    shutil.copy(backup / "users.db", folder / "restore-left.db")
    (folder / "restore.json.ready").write_text('{"freehold": 1, "id": "left", "file": "restore-left"}')
    system.up()
    assert count(system) == before
    # And `up` is killed once it is ordered: the next one continues.
    arm(system, "restore.ordered")
    restoring = subprocess.Popen([FREEHOLD, "restore", "users", "--from", str(backup), "--yes", "--state",
                                  system.state], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("it is begun", lambda: not (folder / "crash").exists())
    os.kill(system.status()["up_pid"], signal.SIGKILL)
    restoring.wait(120)
    wait_for("up is gone", lambda: system.command("status", "--state", system.state, check=False).returncode == 3)
    # What is left of its private server may take longer to end than the next `up` waits.
    wait_for("the next one is up", lambda: system.command(
        "up", system.file, "--detach", "--state", system.state, "--listen", f"127.0.0.1:{system.port}",
        check=False).returncode == 0)
    assert count(system) == TAKEN
    add_users(system, TAKEN + 1, USERS)
