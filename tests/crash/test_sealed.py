# SPDX-License-Identifier: Apache-2.0
"""The command is killed while it seals a backup, or opens one for a restore: an unfinished backup is none, nothing is
restored that was not ordered, and no copy of a store is left behind. Each can be repeated."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, System, build_crash_programs, open_folder, wait_for, with_programs  # noqa: E402

BUILD = pathlib.Path(FREEHOLD).parent
KEY = "5a" * 32


def change(system, method, path, body, key):
    answer = wait_for("it is taken", lambda: (a := system.http(method, path, body, {"Idempotency-Key": key})).status
                      not in (503, 504) and a)
    assert answer.status < 300, answer
    return answer.body


def add_user(system, name):
    return change(system, "POST", "/api/users", {"name": name, "email": f"{name}@example.org"}, f"user-{name}")["id"]


def rename(system, user, name):
    change(system, "PATCH", f"/api/users/{user}", {"name": name}, f"{user}-{name}")


def incarnation(system, service):
    return system.state_of(service)["incarnation"]


def points_of(name):
    text = (ROOT / "src" / "system" / "backup" / name).read_text(encoding="utf-8")
    return re.findall(r'\bCRASH_POINT\("([^"]*)"\)', text)


@pytest.fixture(scope="module", params=("sealed", "plain"))
def shop(request):
    build_crash_programs()
    folder = open_folder()
    shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
    file = folder / "shop" / "freehold.yaml"
    key = folder / "shop" / "backup.key"
    key.write_text(KEY)
    key.chmod(0o600)
    file.write_text(with_programs(file.read_text()) +
                    ("backup: { key: { file: backup.key } }\n" if request.param == "sealed" else ""))
    system = System(file, folder / "state").up()
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


def killed_at(shop, point, *arguments):
    folder = pathlib.Path(shop.state).parent
    (folder / "crash").write_text(f"{point}:1")
    done = subprocess.run([BUILD / "tests" / "crash" / "freehold", *arguments, "--state", shop.state], cwd=folder,
                          capture_output=True, text=True, timeout=180, env={**os.environ, "FREEHOLD_CRASH": "crash"})
    assert done.returncode == -9 and not (folder / "crash").exists(), done


def check(shop, folder):
    return shop.command("backup", "--check", str(folder), "--state", shop.state, check=False)


@pytest.mark.parametrize("point", points_of("backup.c"))
def test_a_backup_that_was_cut_short_is_none(shop, point, tmp_path):
    user = add_user(shop, f"Before-{point}")
    # Another file system: there a plain one is copied, too, and not renamed.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        killed_at(shop, point, "backup", "users", "--to", elsewhere)
        left = list(pathlib.Path(shop.state).glob("*/backup.db*"))
        assert bool(left) == (point == "backup.untaken"), "it has no name any more while it is sealed"
        assert "not a backup, or not a complete one" in check(shop, elsewhere).stderr
    if left:
        shop.stop()
        shop.up()
        assert not any(path.exists() for path in left), "the next start removes it"
    shop.command("backup", "users", "--to", str(tmp_path / "two"), "--state", shop.state)
    assert check(shop, tmp_path / "two").returncode == 0
    assert not list(pathlib.Path(shop.state).glob("*/backup.db"))
    rename(shop, user, "After")
    shop.command("restore", "users", "--from", str(tmp_path / "two"), "--yes", "--state", shop.state)
    assert shop.http("GET", f"/api/users/{user}").body["name"] == f"Before-{point}"


@pytest.mark.parametrize("point", [*points_of("restore.c"), "backup.passed"])
def test_a_restore_that_was_cut_short_is_not_ordered(shop, point, tmp_path):
    user = add_user(shop, f"Kept-{point}")
    shop.command("backup", "users", "--to", str(tmp_path / "one"), "--state", shop.state)
    rename(shop, user, "Now")
    before = incarnation(shop, "users")
    killed_at(shop, point, "restore", "users", "--from", str(tmp_path / "one"), "--yes")
    assert incarnation(shop, "users") == before
    shop.stop()
    shop.up()
    assert not list(pathlib.Path(shop.state).glob("users/restore[-.]*")), "the next start removes what was opened"
    assert shop.http("GET", f"/api/users/{user}").body["name"] == "Now", "what was not ordered has no effect"
    shop.command("restore", "users", "--from", str(tmp_path / "one"), "--yes", "--state", shop.state)
    assert shop.http("GET", f"/api/users/{user}").body["name"] == f"Kept-{point}"
    assert not list(pathlib.Path(shop.state).glob("users/restore-*"))
