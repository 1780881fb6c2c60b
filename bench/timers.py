# SPDX-License-Identifier: Apache-2.0
"""Timers: how fast those that are due fire, each with a row and an event, and what a million that are not due cost."""

import pathlib
import time

from common import Service, processor_s, show, title

ROOT = pathlib.Path(__file__).resolve().parent.parent
PENDING = 1_000_000
DUE = 50_000
AT_ONCE = 1000  # set by one request
LATER_MS = 900_000_000


class Bells(Service):
    def config(self):
        return {**super().config(), "migrations": str(ROOT / "tests/simulate/clock/bells/migrations")}

    def peal(self, name, in_ms):
        self.ask("POST", "/peals", {"name": name, "count": AT_ONCE, "in_ms": in_ms}, ["Freehold-From: operator"])

    def set(self, count, name, in_ms):
        for i in range(count // AT_ONCE):
            self.peal(f"{name}{i}", in_ms)

    def timers(self):
        return self.state()["timers"]


def fire(bells, name):
    """Fires DUE timers; how many in a second."""
    due_s = time.time() + 2 + DUE / 20_000
    for i in range(DUE // AT_ONCE):
        bells.peal(f"{name}{i}", max(0, int((due_s - time.time()) * 1000)))
    fired = bells.timers()["fired"]
    time.sleep(max(0.0, due_s - time.time()))
    began = time.monotonic()
    while bells.timers()["late_ms"]:
        time.sleep(0.05)
    return (bells.timers()["fired"] - fired) / (time.monotonic() - began)


def measure_timers(build, folder, seconds):
    (folder / "timers").mkdir()
    bells = Bells(build / "bench" / "bench_bells", "bells", folder / "timers" / "bells")
    try:
        bells.start()
        title("Timers: each fires once, with a row and an event, up to 240 in one commit")
        show("fired when due", fire(bells, "first"), "timers/s")
        began = time.monotonic()
        bells.set(PENDING, "later", LATER_MS)
        show("set, 1,000 by a request", PENDING / (time.monotonic() - began), "timers/s")
        before = processor_s(bells.process.pid)
        time.sleep(seconds)
        used = processor_s(bells.process.pid) - before
        show("processor while 1,000,000 are pending", 1000 * used / seconds, "ms a second")
        show("fired when due, beside them", fire(bells, "second"), "timers/s")
    finally:
        bells.close()
