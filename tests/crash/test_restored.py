# SPDX-License-Identifier: Apache-2.0
"""Killed at every durable step that follows from a restore: all are notified in the end, and everything is reported
once."""

import os
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scenario"))
from conftest import build_crash_programs, wait_for  # noqa: E402
from deals import BUILD, Deals  # noqa: E402

SOURCES = sorted((ROOT / "src").rglob("restored*.c"))
POINTS = sorted({name for path in SOURCES
                 for name in re.findall(r'CRASH_POINT\("([^"]*)"\)', path.read_text(encoding="utf-8"))}
                | {"closing.reported"})
ORDER = "crash"
# Which service is restored, and which is killed.
PLACES = {"closing.reported": ("desk", "left"), "restored.closing": ("desk", "desk"), "restored.told": ("desk", "desk"),
          "restored.recorded": ("desk", "desk"), "restored.durable": ("desk", "desk"),
          "restored.looked": ("left", "desk")}


@pytest.fixture(scope="module")
def deals():
    build_crash_programs()
    os.environ["FREEHOLD_CRASH"] = ORDER  # of `up`, and so of its services
    running = Deals(lambda name: BUILD / "tests" / "crash" / f"crash_deals_{name}")
    try:
        running.deal()
        running.back_up()
        yield running
    finally:
        del os.environ["FREEHOLD_CRASH"]
        running.close()


def acknowledge(deals):
    for service in ("desk", "left", "right"):
        deals.system.command("restore-report", service, "--seen", "--state", deals.system.state)


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_all_is_told_and_reported_once(deals, point):
    restored, dies = PLACES[point]
    deals.deal()
    order = deals.store(dies) / ORDER
    order.write_text(point)
    order.chmod(0o644)  # the service may be another user
    deals.restore(restored)
    wait_for(f"{dies} passes {point}", lambda: not order.exists())
    reports = deals.told()
    if restored == "desk":
        for side in ("left", "right"):
            told = [entry["what"] for entry in reports[side]["entries"]]
            assert len(told) == 1 and "has closed sagas of desk" in told[0], told
    else:
        told = [entry["what"] for entry in reports["desk"]["entries"]]
        assert len(told) == len(set(told)) >= 2, told
        assert all("left was restored to before" in one for one in told)
    acknowledge(deals)
    deals.deal()
