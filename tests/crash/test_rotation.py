# SPDX-License-Identifier: Apache-2.0
"""`up`, or a service, is killed while keys are replaced, and killed again while it recovers: nothing that is allowed is
refused afterwards, and no former key opens anything."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, System, build_crash_programs, living, token, wait_for, with_programs  # noqa: E402
from test_identity import ask  # noqa: E402
from test_key_rotation import keys_file, pairs  # noqa: E402
from test_points import NAMES  # noqa: E402

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
COMPLETED = "rotate.completed"  # by the next `up`, at its start
OF_UP = sorted(name for name in NAMES if name.startswith("rotate.") and name != COMPLETED)
OF_SERVICES = sorted(name for name in NAMES if name.startswith("rekey."))
SHOP = ROOT / "examples" / "shop" / "freehold.yaml"


class Mortal(System):
    """Its processes, `up` among them, look for an order to die: `up` in `folder`, a service in its own."""

    def __init__(self, file, folder):
        super().__init__(file, folder / "state", freehold=PROGRAMS / "freehold")
        self.folder = folder

    def command(self, *arguments, check=True, freehold=PROGRAMS / "freehold"):
        done = subprocess.run([freehold, *arguments], capture_output=True, text=True, timeout=180,
                              cwd=self.folder, env={**os.environ, "FREEHOLD_CRASH": "crash"})
        assert not check or done.returncode == 0, f"freehold {arguments}: {done.stdout}{done.stderr}"
        return done

    def order(self, point, service=None):
        path = (pathlib.Path(self.state) / service if service else self.folder) / "crash"
        draft = path.with_suffix(".draft")
        draft.write_text(point)
        draft.rename(path)
        return path

    def rotate(self, *arguments):
        return self.command("rotate-keys", *arguments, "--state", self.state, check=False)


@pytest.fixture
def shop(tmp_path):
    build_crash_programs()
    file = SHOP.parent / f"crash-keys-{os.getpid()}.yaml"  # the migrations are beside it
    file.write_text(with_programs(SHOP.read_text(), PROGRAMS))
    system = Mortal(file, tmp_path)
    try:
        system.up()
        yield system
    finally:
        system.stop(check=False)
        file.unlink()


def expect_sound(system, before, replaced):
    """All keys are the former ones, or all are new; every pair that may talk does; and the others open nothing."""
    wait_for("all are ready", lambda: all(one["ready"] for one in system.services().values()))
    file = keys_file(system)
    assert file.keys().isdisjoint({"next", "former", "whole"})
    after = pairs(file["keys"])
    assert set(after) == set(before)
    assert len(set(after.values()) - set(before.values())) == (len(before) if replaced else 0)
    for caller, receiver in before:
        if receiver.startswith("_") or caller not in ("operator", "gateway", "orders") or receiver not in (
                "users", "products", "orders"):
            continue
        for keys, good in ((after, True), (before, not replaced)):
            sent = {"Freehold-Token": token(keys[caller, receiver], caller, receiver)}
            answer = ask(system, receiver, "GET", "/api/nothing", sent)
            known = "unknown here" not in answer.body["detail"]
            assert not known or (answer.status != 401) == good, (caller, receiver, good, answer)
    assert system.http("GET", "/api/users?ids=1").status == 200


def test_every_step_has_a_point():
    assert len(OF_UP) == 8 and len(OF_SERVICES) == 2 and COMPLETED in NAMES


@pytest.mark.parametrize("point", OF_UP)
def test_up_is_killed_and_the_next_one_too(shop, point):
    before = pairs(keys_file(shop)["keys"])
    gone = shop.order(point)
    assert shop.rotate("--forget-users").returncode != 0 and not gone.exists()
    wait_for("its processes have ended", lambda: not living(shop.state))
    if point not in ("rotate.forgotten", "rotate.ended"):
        gone = shop.order(COMPLETED)
        shop.command("up", shop.file, "--detach", "--state", shop.state, "--listen", f"127.0.0.1:{shop.port}",
                     check=False)
        assert not gone.exists(), "the second one has died as well"
    shop.up()
    expect_sound(shop, before, replaced=True)
    assert not keys_file(shop).get("users"), "whoever ends it forgets users, as the first was asked to"


@pytest.mark.parametrize("point", OF_SERVICES)
def test_a_service_is_killed_twice_while_it_takes_the_keys(shop, point):
    before = pairs(keys_file(shop)["keys"])
    first = shop.order(point, "orders")
    second = shop.order(f"{point}:2", "users")  # when it is told of the second step
    done = shop.rotate()
    assert done.returncode == 0, done.stderr
    assert not first.exists() and not second.exists()
    expect_sound(shop, before, replaced=True)
