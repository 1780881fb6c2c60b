# SPDX-License-Identifier: Apache-2.0
"""One store, one owner, on real processes: each is confined, `check --live` verifies the isolation by trying, and
whatever is open is named. Where the kernel has no Landlock these tests are skipped, loudly."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import tempfile

import pytest
from conftest import FREEHOLD, ROOT, SHOP_SERVICES, System, open_folder, wait_for
from test_identity import PROGRAMS, SHOP, ask_as, shop_with
from test_service import Service

LANDLOCK_CREATE_RULESET = 444
LANDLOCK = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)
SERVICES = SHOP_SERVICES

pytestmark = pytest.mark.skipif(LANDLOCK < 1, reason="THIS KERNEL HAS NO LANDLOCK: NOTHING WAS PROVED")


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP)


def check(system, *options):
    return system.command("check", system.file, "--live", "--state", system.state, *options, check=False)


def errors(system):
    done = check(system, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode == 1) == bool(found["errors"]), done
    return [error["message"] for error in found["errors"]]


def tried(system, service, *paths):
    """{path: (read, write)} as the live process found it."""
    answer = system.call(service, "POST", "/_freehold/prove", {"paths": [str(path) for path in paths]})
    assert answer.status == 200, answer
    return {one["path"]: (one["read"], one["write"]) for one in answer.body["tried"]}


def test_every_live_process_is_refused_everything_that_is_not_its_own(shop):
    assert errors(shop) == []
    state = pathlib.Path(shop.state)
    for service in SERVICES:
        others = [path for part in (*SERVICES, "gateway") if part != service
                  for path in (state / part, *(state / part).iterdir())]
        others += [state, state / "keys.json", state / "system.json", pathlib.Path("/etc/passwd"),
                   ROOT / "README.md", state / service / ".." / "keys.json"]
        assert any(path.name == "store.db" for path in others)
        found = tried(shop, service, *others)
        # ENOENT: it does not even see that it is there.
        assert {error for pair in found.values() for error in pair} <= {"EACCES", "ENOENT", "EROFS"}, (service, found)
        own = state / service
        found = tried(shop, service, own, own / "store.db", own / "service.json", own / "missing")
        assert list(found.values()) == [("open", "open")] * 3 + [("ENOENT", "ENOENT")]


def test_what_the_kernel_cannot_prove_is_said(shop):
    said = check(shop)
    assert said.returncode == 0 and "runs as described" in said.stdout
    assert "Not verified: ports that a service connects to are open to it on every machine" in said.stdout
    if LANDLOCK < 3:
        assert "Not verified: files of others could still be truncated" in said.stdout
    assert len(json.loads(check(shop, "--json").stdout)["not_verified"]) >= 3


def test_no_process_may_gain_privileges(shop):
    status = shop.status()
    for process in (*status["services"], status["gateway"]):
        assert "\nNoNewPrivs:\t1\n" in pathlib.Path(f"/proc/{process['pid']}/status").read_text()


def test_a_process_that_was_killed_comes_back_confined(shop):
    before = shop.pid("payments")
    os.kill(before, signal.SIGKILL)
    wait_for("payments is back", lambda: shop.pid("payments") not in (None, before) and
             shop.services()["payments"]["ready"])
    assert errors(shop) == []


def test_only_an_operator_lets_processes_try(shop):
    body = {"paths": ["/etc/passwd"]}
    for caller in ("gateway", "orders"):
        assert ask_as(shop, caller, "users", "POST", "/_freehold/prove", body=body).status == 403
    for wrong in ({}, {"paths": "x"}, {"paths": ["relative"]}, {"paths": [1]}, {"paths": ["/x"] * 4097}, []):
        assert shop.call("users", "POST", "/_freehold/prove", wrong).status == 400


def without_walls(system):
    file = pathlib.Path(system.file)
    file.write_text("isolation: landlock\n" + file.read_text())
    return system


# ---- what is open is named -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    """A shop whose users were let out, and that has no other walls."""
    system = without_walls(shop_with(tmp_path_factory.mktemp("weak"), users={"confine": False})).up()
    yield system
    system.stop(check=False)


def test_a_lifted_confinement_fails_with_the_names_of_what_is_open(weak):
    found = errors(weak)
    assert any("users is not confined, though its kernel could" in error for error in found)
    for path in ("orders/store.db", "orders/service.json", "products/store.db-wal", "keys.json", "gateway"):
        expected = f"users can read and write {weak.state}/{path}, which is not its own"
        # Only the first findings are kept; everything is tried.
        assert expected in found or len(found) == 20, (expected, found)
    assert f"users can read and write {weak.state}/keys.json, which is not its own" in found
    assert not any(error.startswith(tuple(set(SERVICES) - {"users"})) for error in found)
    said = (pathlib.Path(weak.state) / "users" / "log").read_text()
    assert "THIS PROCESS REACHES EVERY FILE OF ITS USER" in said


@pytest.mark.parametrize("path, mode, expected", [
    ("orders/store.db", 0o644, "0600"), ("orders", 0o755, "0700"), ("users/service.json", 0o640, "0600"),
    ("keys.json", 0o604, "0600"), (".", 0o755, "0700"), ("gateway/gateway.json", 0o644, "0600")])
def test_a_wrong_mode_fails_with_the_name_of_what_is_open(shop, path, mode, expected):
    whole = pathlib.Path(shop.state) / path
    before = stat.S_IMODE(whole.stat().st_mode)
    whole.chmod(mode)
    try:
        assert any(f"{shop.state}/{path} has the mode {mode:04o}; expected {expected}" in error
                   for error in errors(shop))
    finally:
        whole.chmod(before)
    assert errors(shop) == []


def test_a_wrong_grant_or_key_fails_with_its_name(shop):
    file = pathlib.Path(shop.state) / "users" / "service.json"
    before = file.read_text()
    config = json.loads(before)
    config["callers"]["payments"] = ["DELETE /api/users/{id:int}"]
    config["keys"]["calls"]["payments"] = shop.key("orders", "payments")
    file.write_text(json.dumps(config))
    try:
        found = errors(shop)
        assert any("users lets payments have 'DELETE /api/users/{id:int}', which is not granted" in error
                   for error in found), found
        assert "users holds the key by which orders calls payments" in found
        assert shop.key("orders", "payments") not in check(shop).stderr
    finally:
        file.write_text(before)
    assert errors(shop) == []


# ---- before the confinement ------------------------------------------------------------------------

THREAD = r"""
#include <pthread.h>
#include <unistd.h>
static void *live(void *unused) { for (;;) pause(); return unused; }
__attribute__((constructor)) static void start(void)
{
    pthread_t thread;
    pthread_create(&thread, 0, live, 0);
}
"""


# Schedule 17.
def test_schedule_17_a_thread_that_lived_before_the_confinement(tmp_path, monkeypatch):
    """It would be left outside, so the service does not start, and says why."""
    (tmp_path / "thread.c").write_text(THREAD)
    library = tmp_path / "thread.so"
    subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-pthread", "-o", library,
                    tmp_path / "thread.c"], check=True)
    users = Service(tmp_path / "users")
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("ASAN_OPTIONS", "verify_asan_link_order=0")  # a sanitized build takes it too
        users.launch()
    assert users.process.wait(120) == 1
    assert "The process has 2 threads before it is confined" in users.log.read_text()
    assert not (tmp_path / "users" / "store.db").exists()


# ---- users -----------------------------------------------------------------------------------------


NO_MOUNTS = ("setpriv", "--bounding-set=-sys_admin")  # as in most containers


def with_users(folder):
    system = shop_with(folder)
    file = pathlib.Path(system.file)
    file.write_text("isolation: users\n" + file.read_text())
    return system


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: USERS OF THEIR OWN WERE NOT TRIED")
def test_as_root_each_process_may_be_a_user_of_its_own():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="freehold-users-"))
    for parent in (folder, *PROGRAMS.parents):
        if parent == folder:
            parent.chmod(0o755)
        elif not parent.stat().st_mode & stat.S_IXOTH:
            pytest.skip(f"OTHER USERS CANNOT REACH THE PROGRAMS: {parent} IS CLOSED TO THEM")
    system = with_users(folder).up()
    try:
        status = system.status()
        owners = {os.stat(f"/proc/{one['pid']}").st_uid
                  for one in (*status["services"], status["gateway"])}
        assert len(owners) == len(SERVICES) + 1 and 0 not in owners
        assert system.http("POST", "/api/users", {"name": "Ada", "email": "ada@example.org"}).status == 201
        assert errors(system) == []
        os.kill(status["services"][0]["pid"], signal.SIGKILL)
        wait_for("users is back", lambda: system.services()["users"]["ready"] and
                 system.pid("users") != status["services"][0]["pid"])
        assert system.http("GET", "/api/users/1").status == 200
        system.stop()
        # And back to one user: the files come along.
        file = pathlib.Path(system.file)
        file.write_text(file.read_text().replace("isolation: users\n", "isolation: landlock\n"))
        system.up()
        assert system.http("GET", "/api/users/1").status == 200
        assert (folder / "s" / "users" / "store.db").stat().st_uid == 0
        assert errors(system) == []
    finally:
        system.stop(check=False)
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: USERS OF THEIR OWN WERE NOT TRIED")
def test_users_need_a_way_to_the_state_folder(tmp_path):
    """Where no mount namespaces can be made."""
    tmp_path.chmod(0o700)
    system = with_users(tmp_path)
    said = subprocess.run([*NO_MOUNTS, FREEHOLD, "up", system.file, "--state", system.state], capture_output=True,
                          text=True, check=False)
    assert said.returncode == 1 and re.search(r"needs a way to the state folder .* \(mode 0700\) gives none", said.stderr)
    assert "CAP_SYS_ADMIN" in said.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: USERS OF THEIR OWN WERE NOT TRIED")
def test_users_need_a_way_to_the_command(tmp_path):
    folder = open_folder()
    try:
        (tmp_path / "own").mkdir(mode=0o700)
        command = shutil.copy(FREEHOLD, tmp_path / "own")
        system = with_users(folder)
        said = subprocess.run([*NO_MOUNTS, command, "up", system.file, "--state", system.state], capture_output=True,
                              text=True, check=False)
        assert said.returncode == 1 and "needs a way to the command freehold for other users" in said.stderr
        assert "gives none; put it where others get to" in said.stderr
    finally:
        shutil.rmtree(folder)


def test_another_isolation_is_an_error(tmp_path):
    file = tmp_path / "freehold.yaml"
    file.write_text("system: shop\nisolation: vms\nservices: { users: }\n")
    said = System(file, tmp_path / "s").command("check", str(file), check=False)
    assert "expected 'users' (the default) or 'landlock'" in said.stderr
    assert "WEAKENS" not in said.stderr, "a word that is none weakens nothing"
