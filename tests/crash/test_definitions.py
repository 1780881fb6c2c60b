# SPDX-License-Identifier: Apache-2.0
"""An older and a newer program of one service running together on one store: each saga ends on the definition that it
began with. The newer instance is killed, so that the older one adopts a saga whose definition it does not have, and
hands it over; and dies at each point of that."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario")]
from conftest import build_crash_programs, named, open_folder, wait_for  # noqa: E402
from test_points import NAMES  # noqa: E402
from test_servers import sql, store_of  # noqa: E402
from test_upgrades import PROGRAMS, Parcels  # noqa: E402

POINTS = sorted(name for name in NAMES if name.startswith("handing."))
ORDER = "crash"  # the file, in the service's own folder: whichever process passes the point first dies there


class Side(Parcels):
    """The courier in two processes on PostgreSQL. Each that starts runs the edition that the test chooses, through a
    program that stays the same: a new one would cause an upgrade of both, and not of one process."""

    def edition(self, number):
        chosen = self.program.with_name("edition")
        first = not chosen.exists()
        chosen.write_text(str(number))
        if first:
            self.put_script(f'exec {PROGRAMS}/crash_courier_$(cat {chosen}) "$@"')

    def instances(self):
        return {one["instance"]: one for one in self.courier()["instances"]}

    def holder(self):
        """The instance that adopts."""
        rows = sql(store_of(self.system, "courier"), "SELECT owner FROM fh_lease WHERE name = 'sagas'")
        return int(rows[0][0].split(".")[0]) if rows and rows[0][0] else None

    def start_again(self, instance):
        """Killed, and back with the present edition."""
        pid = self.instances()[instance]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for("it is back", lambda: self.instances()[instance]["ready"] and
                 self.instances()[instance]["pid"] != pid)

    def send_to(self, instance, parcel):
        """Directly to one process."""
        host, port = self.instances()[instance]["address"].split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=120)
        connection.request("POST", "/api/parcels", json.dumps({"id": parcel}), {
            "Content-Type": "application/json", "Freehold-Token": self.system.token("operator", "courier"),
            "Freehold-From": "operator", "Idempotency-Key": f"parcel-{parcel}"})
        answer = connection.getresponse()
        assert answer.status == 202, answer.read()
        connection.close()

    def log(self):
        return "\n".join(path.read_text() for path in sorted((pathlib.Path(self.system.state) / "courier").glob("log*")))


@pytest.fixture(scope="module")
def side():
    named("postgresql")
    build_crash_programs()
    folder = open_folder()
    os.environ["FREEHOLD_CRASH"] = ORDER  # of `up`, and so of its services
    try:
        made = Side(folder, lambda text: text + "upgrade: by hand\n", "postgresql")
    finally:
        del os.environ["FREEHOLD_CRASH"]
    try:
        yield made
    except BaseException:
        print(made.system.logs())
        raise
    finally:
        made.system.stop(check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("point", [None, *POINTS])
def test_a_saga_goes_on_where_its_definition_is(side, point):
    assert POINTS, "the sources have crash points where sagas are handed over"
    parcel = 10 * (1 + [None, *POINTS].index(point))
    side.gate(0)
    side.edition(1)
    assert side.upgrade().returncode == 0
    older = wait_for("somebody adopts", lambda: side.holder() in (0, 1) and {"it": side.holder()})["it"]
    newer = 1 - older
    side.edition(2)
    side.start_again(newer)
    side.send_to(older, parcel)
    side.send_to(newer, parcel + 1)
    before = len(re.findall("continues on another instance", side.log()))
    order = pathlib.Path(side.system.state) / "courier" / ORDER
    if point:
        draft = order.with_suffix(".draft")
        draft.write_text(f"{point}:1")
        draft.rename(order)
    side.start_again(newer)
    if point:
        wait_for("the older one has died handing it over", lambda: not order.exists())
    else:
        wait_for("the older one has handed it over",
                 lambda: len(re.findall("continues on another instance", side.log())) > before)
    side.gate(1)
    wait_for("the first is delivered as it began", lambda: side.state(parcel) == "delivered by 1")
    wait_for("the second is delivered as it began", lambda: side.state(parcel + 1) == "delivered by 2")
    assert side.marks(parcel) == ["held"] and side.marks(parcel + 1) == ["held", "stamped"]
    wait_for("every saga ends", side.system.at_rest)
