# SPDX-License-Identifier: Apache-2.0
"""Each process is a user of its own where root runs `up`, and sees nothing of closed places but what it needs,
whoever runs `up`. What a service that was taken over reaches is tried from inside, without Landlock: by a shop whose
`users` has no confinement."""

import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess

import pytest
from conftest import FREEHOLD, ROOT, SHOP_SERVICES, System, free_port, open_folder, wait_for
from test_confinement import NO_MOUNTS, tried, without_walls
from test_identity import PROGRAMS, shop_with

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: USERS OF THEIR OWN WERE NOT TRIED")
REFUSED = {"EACCES", "ENOENT", "EPERM", "EROFS"}
SOMEBODY = 54321  # has no account


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, value in (line.split(":", 1) for line in lines)}


def processes(system):
    status = system.status()
    return {one["name"]: one["pid"] for one in status["services"]} | {"gateway": status["gateway"]["pid"]}


def numbers(system):
    return {name: int(status_of(pid)["Uid"][0]) for name, pid in processes(system).items()}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Below a folder that only its owner enters; a second system is beside it."""
    folder = tmp_path_factory.mktemp("home")
    folder.chmod(0o700)
    system = shop_with(folder, users={"confine": False}).up()
    yield system
    system.stop(check=False)


@ROOT_ONLY
def test_as_root_each_process_is_a_user_of_its_own_without_capabilities(shop):
    users = numbers(shop)
    assert len(set(users.values())) == len(SHOP_SERVICES) + 1 and 0 not in users.values()
    for name, pid in processes(shop).items():
        status = status_of(pid)
        assert int(status["CapEff"][0], 16) == int(status["CapPrm"][0], 16) == 0, name
        assert status["Uid"] == status["Gid"] == [str(users[name])] * 4 and status["Groups"] == [], name
    assert stat.S_IMODE(os.stat(shop.state).st_mode) == 0o700
    kept = os.stat(pathlib.Path(shop.state) / "users.json")
    assert stat.S_IMODE(kept.st_mode) == 0o600 and kept.st_uid == 0


def ways(system):
    """Paths to what is not the service's own, by every way that there is."""
    state = pathlib.Path(system.state)
    up = system.status()["up_pid"] if "up_pid" in system.status() else int((state / "up.lock").read_text())
    others = [state / "keys.json", state / "orders", state / "orders" / "store.db", state / "gateway" / "gateway.json",
              state / "users" / ".." / "keys.json"]
    pids = [up, *(pid for name, pid in processes(system).items() if name != "users")]
    return [*others, *(pathlib.Path(f"/proc/{pid}/root{other}") for pid in pids for other in others),
            *(pathlib.Path(f"/proc/{pid}/cwd/{name}") for pid in pids for name in ("service.json", "../keys.json")),
            *(pathlib.Path(f"/proc/{pid}/environ") for pid in pids), pathlib.Path("/proc/self/cwd/../keys.json")]


def test_a_service_sees_nothing_of_the_state_folder_but_its_own(shop):
    found = tried(shop, "users", *ways(shop))
    assert {error for pair in found.values() for error in pair} <= REFUSED, found
    state = pathlib.Path(shop.state)
    seen = tried(shop, "users", state / "keys.json", state / "orders", state / "orders" / "store.db")
    assert {read for read, _ in seen.values()} == {"ENOENT"}
    own = tried(shop, "users", state / "users" / "store.db", state / "users" / "new")
    assert list(own.values()) == [("open", "open"), ("ENOENT", "ENOENT")]


@ROOT_ONLY
def test_users_keep_their_numbers_when_services_come_and_change_places(shop, tmp_path):
    before = numbers(shop)
    other = shop_with(tmp_path).up()
    try:
        assert not set(before.values()) & set(numbers(other).values())
        assert other.http("POST", "/api/users", {"name": "Ada", "email": "ada@example.org"}).status == 201
        first = numbers(other)
        other.stop()
        # All others change places: `carts` comes first.
        file = pathlib.Path(other.file)
        text = file.read_text()
        file.write_text(reordered(text))
        assert file.read_text() != text
        other.up()
        assert numbers(other) == first
        assert other.http("GET", "/api/users/1").status == 200
    finally:
        other.stop(check=False)


def reordered(text):
    """The services in reverse order."""
    import yaml  # pylint: disable=import-outside-toplevel
    file = yaml.safe_load(text)
    file["services"] = dict(reversed(file["services"].items()))
    return yaml.safe_dump(file, sort_keys=False)


@ROOT_ONLY
@pytest.mark.parametrize("before", ["root", "by place"])
def test_a_state_folder_of_before_is_taken_over_and_nothing_else(tmp_path, before):
    """Of when every process was root, or the n-th one 64000 + n; and a service had left links behind."""
    system = without_walls(shop_with(tmp_path)).up()
    try:
        assert set(numbers(system).values()) == {0}
        assert system.http("POST", "/api/users", {"name": "Ada", "email": "ada@example.org"}).status == 201
        system.stop()
        state, secret = pathlib.Path(system.state), tmp_path / "secret"
        (state / "users.json").unlink(missing_ok=True)
        secret.write_text("root's own")
        if before == "by place":
            for path in (state / "users", *(state / "users").iterdir()):
                os.chown(path, 64000, 64000)
            os.link(secret, state / "users" / "once")
        os.link(secret, state / "users" / "hard")
        (state / "users" / "soft").symlink_to(secret)
        file = pathlib.Path(system.file)
        file.write_text(file.read_text().replace("isolation: landlock\n", ""))
        system.up()
        users = numbers(system)
        assert system.http("GET", "/api/users/1").status == 200
        assert (state / "users" / "store.db").stat().st_uid == users["users"]
        assert secret.stat().st_uid == 0
        # One name of it is left, in the folder, and it still is root's: now and at the next start.
        (state / "users" / "once").unlink(missing_ok=True)
        secret.unlink()
        system.stop()
        system.up()
        assert (state / "users" / "hard").stat().st_uid == 0
        assert numbers(system) == users
    finally:
        system.stop(check=False)


@ROOT_ONLY
def test_without_mount_namespaces_users_are_kept_apart_by_modes(tmp_path_factory):
    folder = open_folder()
    system = shop_with(folder)
    try:
        done = subprocess.run([*NO_MOUNTS, FREEHOLD, "up", system.file, "--detach", "--state", system.state, "--listen",
                               f"127.0.0.1:{free_port()}"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "no mount namespaces can be made here (making a mount namespace: Operation not permitted)" in (
            done.stdout + done.stderr)
        assert 0 not in numbers(system).values()
        assert stat.S_IMODE(os.stat(system.state).st_mode) == 0o711
        checked = system.command("check", system.file, "--live", "--state", system.state, check=False)
        assert checked.returncode == 0 and "run in no mount namespaces" in checked.stdout.replace("\n", " "), checked
    finally:
        system.stop(check=False)
        shutil.rmtree(folder)


@ROOT_ONLY
def test_everything_may_lie_below_a_closed_home(tmp_path):
    """Programs, their library by RUNPATH, the command, migrations and the state, as `make demo` in /root has them."""
    tmp_path.chmod(0o700)
    build = tmp_path / "tree" / "build"
    shutil.copytree(ROOT / "examples" / "shop", tmp_path / "tree" / "examples" / "shop")
    (build / "examples").mkdir(parents=True)
    shutil.copytree(PROGRAMS, build / "examples" / "shop", symlinks=True, ignore=shutil.ignore_patterns("*.p"))
    for library in PROGRAMS.parent.parent.glob("libfreehold.so*"):
        if not library.is_dir():
            shutil.copy(library, build, follow_symlinks=False)
    command = shutil.copy(FREEHOLD, build)
    needed = subprocess.run(["ldd", build / "examples" / "shop" / "users"], capture_output=True, text=True, check=True)
    assert str(tmp_path) in os.path.realpath(
        [line for line in needed.stdout.splitlines() if "libfreehold" in line][0].split()[2])
    file = tmp_path / "tree" / "freehold.yaml"
    shutil.copy(shop_with(tmp_path_sub(tmp_path)).file, file)
    text = file.read_text().replace(str(PROGRAMS), str(build / "examples" / "shop"))
    file.write_text(text.replace(str(ROOT / "examples"), str(tmp_path / "tree" / "examples")))
    assert str(ROOT) not in file.read_text()
    system = System(file, tmp_path / "tree" / ".freehold", freehold=command).up()
    try:
        assert 0 not in numbers(system).values()
        assert system.http("POST", "/api/users", {"name": "Ada", "email": "ada@example.org"}).status == 201
        before = system.pid("users")
        os.kill(before, signal.SIGKILL)
        wait_for("users is back", lambda: system.pid("users") not in (None, before) and
                 system.services()["users"]["ready"])
        assert system.http("GET", "/api/users/1").status == 200
    finally:
        system.stop(check=False)


def tmp_path_sub(folder):
    (folder / "said").mkdir()
    return folder / "said"


def test_a_program_sees_what_the_file_says_it_reads(tmp_path):
    """A script beside the system file, with a module of its own."""
    tmp_path.chmod(0o700)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "real").write_text(str(PROGRAMS / "users"))
    program = tmp_path / "users"
    program.write_text(f"#!/bin/sh\nexec \"$(cat {tmp_path}/lib/real)\" \"$@\"\n")
    program.chmod(0o755)
    system = shop_with(tmp_path, users={"program": str(program), "reads": ["lib"]}).up()
    try:
        assert system.http("POST", "/api/users", {"name": "Ada", "email": "ada@example.org"}).status == 201
    finally:
        system.stop()
    file = pathlib.Path(system.file)
    file.write_text(file.read_text().replace('["lib"]', '["."]'))
    refused = system.command("up", system.file, "--detach", "--state", system.state, "--listen", "127.0.0.1:0",
                             check=False)
    assert refused.returncode == 1 and "The state folder is in" in refused.stderr + refused.stdout
    file.write_text(file.read_text().replace('["."]', '["missing"]'))
    refused = system.command("check", system.file, check=False)
    assert refused.returncode == 1 and "services.users.reads: there is no " in refused.stderr


@ROOT_ONLY
def test_not_as_root_a_service_sees_as_little(tmp_path_factory):
    """In user namespaces, where the kernel lets them be made."""
    if subprocess.run(["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", "unshare", "-Um",
                       "true"], check=False).returncode:
        pytest.skip("THE KERNEL MAKES NO USER NAMESPACES: NOTHING WAS TRIED")
    folder = open_folder()
    system = shop_with(folder, users={"confine": False})
    os.chown(folder, SOMEBODY, SOMEBODY)
    try:
        done = subprocess.run(["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", FREEHOLD, "up",
                               system.file, "--detach", "--state", system.state, "--listen",
                               f"127.0.0.1:{free_port()}"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert set(numbers(system).values()) == {SOMEBODY}
        assert all(int(status_of(pid)["CapEff"][0], 16) == 0 for pid in processes(system).values())
        found = tried(system, "users", *ways(system))
        assert {error for pair in found.values() for error in pair} <= REFUSED, found
        own = tried(system, "users", pathlib.Path(system.state) / "users" / "store.db")
        assert list(own.values()) == [("open", "open")]
    finally:
        system.stop(check=False)
        shutil.rmtree(folder)


@ROOT_ONLY
def test_check_finds_processes_that_are_still_root(tmp_path):
    system = without_walls(shop_with(tmp_path)).up()
    try:
        file = pathlib.Path(system.file)
        file.write_text(file.read_text().replace("isolation: landlock\n", ""))
        checked = system.command("check", system.file, "--live", "--state", system.state, check=False)
        assert checked.returncode == 1 and re.search(r"a process of users \(pid \d+\) runs as root", checked.stderr), checked
    finally:
        system.stop(check=False)


def test_to_take_the_walls_away_is_said_loudly(tmp_path):
    system = without_walls(shop_with(tmp_path))
    checked = system.command("check", system.file, check=False)
    assert checked.returncode == 0 and "WEAKENS THE ISOLATION" in checked.stderr
    said = subprocess.run([FREEHOLD, "up", system.file, "--detach", "--state", system.state, "--listen",
                           f"127.0.0.1:{free_port()}"], capture_output=True, text=True, check=False)
    try:
        assert said.returncode == 0 and "WEAKENS THE ISOLATION" in said.stderr + said.stdout
    finally:
        system.stop(check=False)
