# SPDX-License-Identifier: Apache-2.0
"""Killed at each step of the audit log: what was begun is in it, what is not in it was not begun, and the chain goes
on."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, System, build_crash_programs, open_folder, wait_for, with_programs  # noqa: E402

BUILD = pathlib.Path(FREEHOLD).parent
MORTAL = BUILD / "tests" / "crash" / "freehold"
POINTS = re.findall(r'\bCRASH_POINT\("([^"]*)"\)',
                    (ROOT / "src" / "system" / "audit" / "audit.c").read_text(encoding="utf-8"))


def mortal(folder, *arguments, point=None):
    """The command, which dies at that point; `up` looks for its own order in another folder."""
    if point:
        (folder / "crash").write_text(f"{point}:1")
    return subprocess.run([MORTAL, *arguments], capture_output=True, text=True, timeout=180, cwd=folder,
                          env={**os.environ, "FREEHOLD_CRASH": "crash"})


@pytest.fixture(scope="module")
def shop():
    build_crash_programs()
    folder = open_folder()
    shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
    (folder / "up").mkdir()
    (folder / "command").mkdir()
    file = folder / "shop" / "freehold.yaml"
    file.write_text(with_programs(file.read_text()))
    system = System(file, folder / "state")
    bring_up(system)
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


def place(system, name):
    return pathlib.Path(system.state).parent / name


def bring_up(system):
    done = mortal(place(system, "up"), "up", system.file, "--detach", "--state", system.state, "--listen", "127.0.0.1:0")
    assert done.returncode == 0, done


def fill(system):
    """So many entries that the next one makes another file."""
    log = pathlib.Path(system.state) / "audit.log"
    lines = log.read_bytes().splitlines()
    n, previous, size = json.loads(lines[-1])["n"], lines[-1], log.stat().st_size
    with log.open("ab") as file:
        while size < 4 << 20:
            n += 1
            previous = json.dumps({"n": n, "act": n, "at_ms": 1, "state": "begun", "what": "x" * 2000, "previous":
                                   hashlib.blake2b(previous, digest_size=32).hexdigest()}).encode()
            file.write(previous + b"\n")
            size += len(previous) + 1


def audit(system):
    done = system.command("audit", "--json", "--state", system.state)
    return json.loads(done.stdout)




@pytest.mark.parametrize("point", POINTS)
def test_the_command_dies(shop, point):
    name = point.replace(".", "-")
    if point == "audit.rotated":
        fill(shop)
    made = ["call", "users", "POST", "/api/users", "--data", json.dumps({"name": name, "email": f"{name}@example.org"}),
            "--key", name, "--state", shop.state]
    dead = mortal(place(shop, "command"), *made, point=point)
    assert dead.returncode == -9 and not (place(shop, "command") / "crash").exists(), dead
    acts = [one for one in audit(shop)["acts"] if one["what"] == "call" and one["with"]["path"] == "/api/users"]
    begun = [one for one in acts if one["state"] == "begun"]
    assert bool(begun) == (point != "audit.rotated"), "what was begun is there, what is not there was not begun"
    shop.command(*made)
    assert audit(shop)["acts"][-1]["state"] == "done"
    for one in begun:
        assert one["at_ms"] <= audit(shop)["acts"][-1]["at_ms"]


@pytest.mark.parametrize("point", [point for point in POINTS if point != "audit.rotated"])
def test_up_dies(shop, point):
    order = place(shop, "up") / "crash"
    before = audit(shop)["last"]
    order.write_text(f"{point}:1")
    done = shop.command("scale", "users", "1", "--state", shop.state, check=False)
    assert done.returncode != 0
    wait_for("up is dead", lambda: not order.exists() and
             shop.command("status", "--state", shop.state, check=False).returncode == 3)
    scale = [one for one in audit(shop)["acts"] if one["what"] == "scale"][-1]
    assert scale["act"] > before and scale["state"] == "begun"
    bring_up(shop)
    shop.command("scale", "users", "1", "--state", shop.state)
    assert audit(shop)["acts"][-1]["state"] == "done"
