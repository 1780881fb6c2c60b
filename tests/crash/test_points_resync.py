# SPDX-License-Identifier: Apache-2.0
"""A subscriber killed at every named point of a resync pass, while it takes over a publisher's state: it continues, and
has what the publisher has, each change counted once.

Two publishers, of different incarnations and with different items, take turns in answering the subscriber: so each
change between them makes it resync, with pages of rows and keys to give up."""

import os
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario"), str(ROOT / "bench")]
from common import Service  # noqa: E402
from conftest import FREEHOLD, build_crash_programs, wait_for  # noqa: E402

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
POINTS = sorted({name for path in (ROOT / "src" / "event" / "resync").glob("*.c")
                 for name in re.findall(r'\bCRASH_POINT\("([^"]*)"\)', path.read_text(encoding="utf-8"))})
LIVES = ((1, 1300), (700, 1500))  # from which item on, and how many: more than one page each
IN_THE_MIDDLE = ("round.page_there", "round.page_applied", "round.sweep_there", "round.swept")  # passed several times


class Party(Service):
    def __init__(self, name, folder):
        super().__init__(PROGRAMS / f"round_{name}", name, folder)

    def config(self):
        return {**super().config(), "confine": False, "migrations": str(ROOT / "tests/crash/resync" / self.name / "migrations")}

    def rows(self):
        return self.ask("GET", "/rows")


class Round:
    def __init__(self, folder):
        build_crash_programs()
        self.order = folder / "order"
        os.environ["FREEHOLD_CRASH"] = str(self.order)
        for place in ("first", "second", "subscriber"):
            (folder / place).mkdir()
        self.copies = Party("copies", folder / "subscriber" / "copies")
        self.lives = [Party("items", folder / place / "items") for place in ("first", "second")]
        self.lives[1].listener.close()
        for life in self.lives:
            life.listener, life.address, life.url = (
                self.lives[0].listener, self.lives[0].address, self.lives[0].url)
            life.peers = {"copies": self.copies.address}
        self.copies.peers = {"items": self.lives[0].address}
        for life, (first, count) in zip(self.lives, LIVES):
            life.start()
            life.ask("POST", "/items", {"from": first, "count": count})
            life.stop()
        self.now = 0
        self.lives[0].start()
        self.copies.start()
        self.expect_the_same()

    def follows(self):
        [subscription] = self.copies.state()["subscriptions"]
        position = self.lives[self.now].state()["position"]
        return subscription["state"] == "following" and subscription["position"] == position

    def expect_the_same(self):
        wait_for("the copies follow", self.follows)
        assert self.copies.rows() == self.lives[self.now].rows()

    def another_life(self):
        self.lives[self.now].stop()
        self.now = 1 - self.now
        self.lives[self.now].start()

    def kill_at(self, point):
        self.order.write_text(f"{point}:{2 if point in IN_THE_MIDDLE else 1}")
        self.another_life()
        wait_for(f"the copies pass {point}", lambda: self.copies.process.poll() is not None)
        assert self.copies.process.returncode == -9 and not self.order.exists()
        self.copies.stop()
        self.copies.start()

    def stop(self):
        for one in (self.copies, *self.lives):
            one.close()


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    running = Round(tmp_path_factory.mktemp("round"))
    yield running
    del os.environ["FREEHOLD_CRASH"]
    running.stop()


def test_resync_passes_have_points():
    assert POINTS and all(name.startswith("round.") for name in POINTS)


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_the_resync_goes_on(parties, point):
    parties.kill_at(point)
    parties.expect_the_same()
    parties.lives[parties.now].ask("POST", "/items", {"from": LIVES[parties.now][0], "count": 30})
    parties.expect_the_same()
