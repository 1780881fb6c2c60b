# SPDX-License-Identifier: Apache-2.0
"""A service that publishes, and begins sagas, is made anew from others' events, `freehold rebuild`: its rows are right,
its subscribers notice nothing, and nothing that follows from an event happens twice, or not at all.

The system of tests/rebuild: a till, slips of what it sells that are ten times too high in edition 1, and a tally."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import pytest
from conftest import FREEHOLD, ROOT, System, wait_for

BUILD = pathlib.Path(FREEHOLD).parent / "tests"
REFUSED = 5001  # by edition 1


def amount(*numbers):
    return sum(number % 100 for number in numbers)


class Slips(System):
    def __init__(self, folder, slips=BUILD / "rebuild" / "slips_1", freehold=FREEHOLD):
        self.folder, self.sold = folder / "slips", 0
        shutil.copytree(ROOT / "tests" / "rebuild", self.folder, ignore=shutil.ignore_patterns("*.[ch]"))
        (self.folder / "bin").mkdir()
        self.put("till", BUILD / "replay" / "till")
        self.put("tally", BUILD / "rebuild" / "tally")
        self.put("slips", slips)
        super().__init__(self.folder / "freehold.yaml", folder / "s", freehold=freehold)
        self.own = folder / "s" / "slips"

    def put(self, service, program):
        new = self.folder / "bin" / f"{service}.new"
        shutil.copy(program, new)
        new.rename(self.folder / "bin" / service)

    def mend(self, program=BUILD / "rebuild" / "slips_2"):
        """Rows that are there already stay as they are."""
        self.put("slips", program)
        self.command("upgrade", "slips", "--state", self.state)

    def sell(self, count, first=None):
        begin = self.sold + 1 if first is None else first
        sold = self.http("POST", "/api/sales", {"from": begin, "count": count})
        assert sold.status == 204, sold
        self.sold += count

    def rebuild(self, *more):
        return self.command("rebuild", "slips", "--state", self.state, *more, check=False)

    def is_filled(self):
        return (self.own / "rebuild" / "store.db").exists()

    @contextlib.contextmanager
    def rebuilding(self):
        """One that does not end inside: the till does not answer."""
        till = self.pid("till")
        os.kill(till, signal.SIGSTOP)
        try:
            begun = subprocess.Popen([FREEHOLD, "rebuild", "slips", "--state", self.state], stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True)
            wait_for("it is filled", self.is_filled)
            yield begun
        finally:
            os.kill(till, signal.SIGKILL)  # `up` starts it again

    def slips(self):
        return self.http("GET", "/api/slips").body

    def tally(self):
        return self.http("GET", "/api/tally").body

    def wrong(self):
        return 10 * amount(*range(1, self.sold + 1))

    def right(self):
        return amount(*range(1, self.sold + 1))

    def settled(self):
        """Each sale has its slip, of which the tally was told once, and which was filed once."""
        wait_for("each has its slip", lambda: self.slips()["slips"] == self.sold)
        wait_for("all are told and filed", lambda: (one := self.tally())["slips"] == one["filed"] == self.sold)
        wait_for("nothing is under way", self.at_rest)
        tally = self.tally()
        assert tally["told"] == tally["filings"] == self.sold, tally
        told = json.loads(self.command("events", "count", "slips", "--json", "--state", self.state).stdout)["types"]
        assert told == {"SlipWritten": self.sold}
        return True

    def nothing_is_left(self):
        left = {one.name for one in self.own.iterdir() if one.name.startswith(("rebuild", "former"))}
        assert left <= {"rebuild.log"}, left
        assert not self.services()["slips"]["rebuilding"]
        return True

    def incarnation(self):
        return json.loads((self.own / "store.json").read_text())["incarnation"]


@pytest.fixture
def slips(tmp_path):
    slips = Slips(tmp_path).up()
    yield slips
    slips.stop(check=False)


def test_a_publisher_is_made_anew_and_nothing_that_follows_happens_twice(slips):
    slips.sell(400)
    sold = time.monotonic()
    assert slips.settled() and slips.slips()["amount"] == slips.wrong()
    slips.mend()
    wait_for("a new store has to have them", lambda: time.monotonic() - sold > 1.5)  # events of the last second it may lack
    before, wrong, ends = slips.incarnation(), slips.wrong(), threading.Event()

    def go_on():
        while not ends.is_set():
            slips.sell(5)

    seller = threading.Thread(target=go_on)
    seller.start()
    try:
        done = wait_for("its former store does not lag", lambda: (
            one := slips.rebuild("--json")) and "lags no more" not in one.stderr and one)
    finally:
        ends.set()
        seller.join()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["events"] >= 400
    assert slips.settled() and slips.slips()["amount"] == slips.right()
    assert slips.tally()["amount"] == wrong + amount(*range(401, slips.sold + 1))  # what was told stays told
    assert slips.incarnation() == before and slips.nothing_is_left()
    slips.stop()
    slips.up().sell(5)
    assert slips.settled() and slips.slips()["amount"] == slips.right()


def test_a_former_store_of_which_something_has_not_followed_yet_stays(slips):
    """An event is parked there. Applied to the new one with its effects held back, it would never have any."""
    slips.sell(20)
    slips.settled()
    slips.sell(1, first=REFUSED)
    wait_for("it is parked", lambda: slips.state_of("slips")["subscriptions"][0]["parked"]["events"] == 1)
    done = slips.rebuild("--force")
    assert done.returncode == 1 and "Its former store holds parked events" in done.stderr, done
    assert slips.nothing_is_left() and slips.slips()["slips"] == 20
    slips.mend()
    slips.command("parked", "retry", "slips", "--all", "--state", slips.state, check=False)
    wait_for("it is applied", lambda: slips.slips()["slips"] == 21)
    wait_for("it has had its effects", lambda: (one := slips.tally())["slips"] == one["filed"] == 21)
    wait_for("nothing is under way", slips.at_rest)
    assert slips.rebuild().returncode == 0
    wait_for("it has caught up", slips.at_rest)
    assert slips.slips()["amount"] == amount(*range(1, 21)) + REFUSED % 100
    tally = slips.tally()
    assert tally["told"] == tally["filings"] == 21 and slips.nothing_is_left()


def opened_by_another(fifo):
    with contextlib.suppress(OSError):
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    return None


def test_a_service_that_has_taken_over_stays_on_its_new_store(slips):
    """Whatever becomes of its start: here its configuration is wrong, for the first process, then for all."""
    slips.sell(100)
    assert slips.settled()
    slips.mend()
    config, good = slips.own / "service.json", slips.own / "good.json"
    wrong = json.dumps({**json.loads(config.read_text()), "outside_keys": [5]})
    with slips.rebuilding() as rebuilding:
        config.rename(good)
        os.mkfifo(config)
        config.chmod(0o644)
    first = wait_for("its process is on the new store", lambda: opened_by_another(config))
    good.rename(config)
    os.write(first, wrong.encode())
    os.close(first)
    said, _ = rebuilding.communicate(timeout=120)
    assert rebuilding.returncode == 0 and "slips was rebuilt" in said, said
    assert slips.settled() and slips.slips()["amount"] == slips.right() and slips.nothing_is_left()
    with slips.rebuilding() as rebuilding:
        config.rename(good)
        config.write_text(wrong)
        config.chmod(0o644)
    said, _ = rebuilding.communicate(timeout=120)
    assert rebuilding.returncode == 1 and 'slips is on its new store, and does not get ready: "outside_keys"' in said, said
    assert "See its log." in said and slips.nothing_is_left()
    good.rename(config)
    slips.stop()
    slips.up().sell(5)
    assert slips.settled() and slips.slips()["amount"] == slips.right()
