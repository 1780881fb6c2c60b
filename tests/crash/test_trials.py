# SPDX-License-Identifier: Apache-2.0
"""A new program is tried on a copy of an embedded store, and dies at each point of that: the old one serves, nothing is
left, and the next try is as good as the first. Then it dies where it migrates the store itself, and its second try is
as good as a first start."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, build_crash_programs, wait_for  # noqa: E402
from test_points import NAMES  # noqa: E402
from test_upgrade_trials import Shipping  # noqa: E402

TRIAL = sorted(name for name in NAMES if name.startswith("trial."))
MIGRATION = sorted(name for name in NAMES if name.startswith("migration."))


@pytest.fixture(scope="module")
def shipping(tmp_path_factory):
    build_crash_programs()
    made = Shipping(tmp_path_factory.mktemp("trials"), pathlib.Path(FREEHOLD).resolve().parent / "tests/crash/shipping")
    made.order, made.count = made.own / "order", 1
    os.environ["FREEHOLD_CRASH"] = str(made.order)  # of `up`, and so of its services, in whatever folder
    try:
        yield made.up_with_one()
    except BaseException:
        print(made.logs(), made.up_log())
        raise
    finally:
        del os.environ["FREEHOLD_CRASH"]
        made.stop(check=False)


def arm(shipping, point, times=1):
    shipping.count += 1
    shipping.migration(f"CREATE TABLE more_{shipping.count} (id INTEGER);\n", f"{shipping.count:04}_more.sql")
    shipping.order.write_text(f"{point}:{times}")


@pytest.mark.parametrize("point", TRIAL + MIGRATION)
def test_a_trial_that_is_killed_there_leaves_nothing(shipping, point):
    assert TRIAL and MIGRATION, "the sources have crash points there"
    pid = shipping.shipping()["pid"]
    arm(shipping, point)
    refused = shipping.upgrade()
    assert refused.returncode == 1 and "was killed by SIGKILL" in refused.stderr, refused
    assert not shipping.order.exists() and shipping.shipping()["pid"] == pid
    assert shipping.nothing_is_left() and f"more_{shipping.count}" not in shipping.tables()
    assert shipping.upgrade().returncode == 0
    assert f"more_{shipping.count}" in shipping.tables() and shipping.ask().status == 200


@pytest.mark.parametrize("point", MIGRATION)
def test_killed_in_the_exchange_it_is_started_again_and_migrates(shipping, point):
    """The trial passes the point first and lives: the order is given when it has ended."""
    pid = shipping.shipping()["pid"]
    os.kill(pid, signal.SIGSTOP)  # it ends when it is continued, and not before
    try:
        arm(shipping, "nowhere")
        asked = subprocess.Popen([FREEHOLD, "upgrade", "shipping", "--state", shipping.state])
        wait_for("it is told to end", lambda: shipping.shipping()["phase"] == "stopping")
        shipping.order.write_text(f"{point}:1")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert asked.wait(120) == 0
    assert not shipping.order.exists() and shipping.nothing_is_left()
    assert f"more_{shipping.count}" in shipping.tables() and shipping.ask().status == 200
