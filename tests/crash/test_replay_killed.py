# SPDX-License-Identifier: Apache-2.0
"""A subscriber killed at every named point of a replay, and in the middle of it: each event is applied once more or, if
it died before the cursor was set back, not at all; and nothing that follows from one happens twice."""

import os
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, build_crash_programs, wait_for  # noqa: E402
from test_replay import Sales  # noqa: E402

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
SOURCE = ROOT / "src" / "event" / "subscribe" / "replay.c"
POINTS = sorted(set(re.findall(r'\bCRASH_POINT\("([^"]*)"\)', SOURCE.read_text(encoding="utf-8"))))
BEFORE = "replay.moved"  # it is set back
SOLD = 600  # more than two batches


@pytest.fixture(scope="module", name="sales")
def sales_of_the_module(tmp_path_factory):
    build_crash_programs()
    os.environ["FREEHOLD_CRASH"] = "crash"  # a file in the service's own folder
    sales = Sales(tmp_path_factory.mktemp("sales"), PROGRAMS / "crash_books")
    try:
        sales.up().sell(SOLD)
        sales.booked()
        yield sales
    finally:
        del os.environ["FREEHOLD_CRASH"]
        sales.stop(check=False)


def kill_at(sales, point):
    order = pathlib.Path(sales.state) / "books" / "crash"
    before = sales.pid("books")
    draft = order.with_suffix(".draft")
    draft.write_text(point)
    draft.chmod(0o644)  # the service may be another user
    draft.rename(order)
    sales.command("events", "replay", "books", "--from", "1", "--state", sales.state, check=False)
    wait_for(f"books dies at {point} and comes back", lambda: not order.exists() and (
        one := sales.services()["books"])["ready"] and one["pid"] != before)


@pytest.mark.parametrize("point", [*POINTS, "cursor.moved:2", "cursor.durable:2"])
def test_killed_there_the_replay_goes_on_with_what_is_held_back(sales, point):
    before = sales.booked()
    kill_at(sales, point)
    booked = sales.booked()
    assert booked == {**before, "applied": before["applied"] + (0 if point == BEFORE else SOLD)}
    assert sales.told() == {"SaleBooked": SOLD}
