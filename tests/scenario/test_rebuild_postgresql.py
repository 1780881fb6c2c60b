# SPDX-License-Identifier: Apache-2.0
"""A publisher of two instances, whose store is on PostgreSQL, is made anew beside it and exchanged, `freehold rebuild`:
the system of test_rebuild_publisher.py."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import threading

import pytest
from conftest import FREEHOLD, wait_for
from test_rebuild_publisher import BUILD, Slips, amount

ALONE = {"public", "information_schema"}


class Served(Slips):
    def __init__(self, folder, **more):
        super().__init__(folder, **more)
        file = pathlib.Path(self.file)
        text = file.read_text()
        assert "bin/slips }" in text
        file.write_text(text.replace("bin/slips }", "bin/slips, engine: postgresql, instances: 2 }"))

    def sql(self, statement):
        """As the service's own user."""
        store = json.loads((self.own / "service.json").read_text())["store"]
        done = subprocess.run(["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", store["host"], "-p",
                               str(store["port"]), "-U", store["user"], "-d", store["database"], "-c", statement],
                              capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "PGPASSWORD": store["password"]})
        assert done.returncode == 0, done
        return done.stdout.split()

    def schemas(self):
        return set(self.sql("SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'"))

    def filler(self):
        """The pid of the second process, if there is one now."""
        for one in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if one.name.isdigit() and f"{self.own}/rebuild.json".encode() in (one / "cmdline").read_bytes().split(b"\0"):
                    return int(one.name)
        return None

    def is_filled(self):
        return "public~rebuild" in self.schemas()

    @contextlib.contextmanager
    def busy(self):
        """One sells, one asks, without a pause; no request fails."""
        ends, failed = threading.Event(), []

        def ask():
            answer = self.http("GET", "/api/slips")
            assert answer.status == 200, answer

        def repeat(act):
            try:
                while not ends.is_set():
                    act()
            except Exception as error:  # a thread's own would only be printed
                failed.append(error)

        threads = [threading.Thread(target=repeat, args=(one,)) for one in (lambda: self.sell(5), ask)]
        for one in threads:
            one.start()
        try:
            yield
        finally:
            ends.set()
            for one in threads:
                one.join()
        assert failed == []


@pytest.fixture
def slips(tmp_path):
    if not shutil.which("psql"):
        pytest.skip("NOT TESTED: PostgreSQL is not installed")
    slips = Served(tmp_path).up()
    yield slips
    slips.stop(check=False)


def test_a_publisher_on_postgresql_is_made_anew_while_events_come(slips):
    slips.sell(200)
    assert slips.settled() and slips.slips()["amount"] == slips.wrong()
    slips.mend()
    before, sold = slips.incarnation(), slips.sold
    kept = slips.rebuild("--keep")
    assert kept.returncode == 0 and "the schema public~rebuild of the database slips_slips" in kept.stdout, kept
    assert slips.sql('SELECT sum(amount) FROM "public~rebuild".slip') == [str(slips.right())] and slips.slips()["amount"] == slips.wrong()
    with slips.busy():
        done = slips.rebuild("--json")
    assert done.returncode == 0, done.stderr + slips.logs()
    assert slips.settled() and slips.slips()["amount"] == slips.right()
    assert slips.incarnation() == before and slips.nothing_is_left() and slips.schemas() == ALONE
    assert slips.tally()["amount"] == 10 * amount(*range(1, sold + 1)) + amount(*range(sold + 1, slips.sold + 1))
    assert len(slips.services()["slips"]["instances"]) == 2
    slips.stop()
    slips.up().sell(5)
    assert slips.settled() and slips.slips()["amount"] == slips.right()
