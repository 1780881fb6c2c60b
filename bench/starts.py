# SPDX-License-Identifier: Apache-2.0
"""What a service has to do before it is ready, when much is left by the one before it: 100,000 sagas that have begun
and not ended, and 1 GB of log behind a kill -9. Sagas are begun over HTTP while the service that does their steps is
away; the log is left by bench/store, which commits what groups of orders would and never moves it into the database.
A start counts from exec until the service says that it is ready. (At other --rows both are as much smaller.)"""

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import time

import bars
from common import NAMES, Failed, Service, load, show, times, title
from feeds import Numbered
from filling import COUNTER, EVENTS, FILL_S_MAX, LAST_OF_KEYS, ORDERS, placed
from rivals import ROUNDS
from sagas import CONNECTIONS
from turns import show_figures
from unwaited import drain, ended

ROWS = 10_000_000
SAGAS, LOG_BYTES = 100_000, 1 << 30  # with so many --rows
READY_S_BAR, SAGAS_BAR, LOG_BAR = 2, 0.9, 1.5
BEGIN_S_MAX = 600
PREFER = [["Prefer: wait=5"]]  # less than wrk's patience: who comes behind 100,000 others is told that it goes on
TELLS = re.compile(r"\blog\b.*\d.*(%|frames|MB|GB)")  # a line that says how much of the log has been recovered


def start_s(service):
    began = time.monotonic()
    service.start()
    return time.monotonic() - began


def kill(service):
    service.process.kill()
    service.process.wait()
    service.stop()


# ---- Sagas that are open -------------------------------------------------------------------------------

class Pair:
    """Orders and stock, each started when it is wanted."""

    def __init__(self, build, place, stack):
        self.orders, self.stock = (Service(build / "bench" / NAMES[name], name, place / name)
                                   for name in ("orders", "stock"))
        self.orders.peers, self.stock.peers = {"stock": self.stock.address}, {"orders": self.orders.address}
        for each in (self.orders, self.stock):
            stack.callback(each.close)

    def start(self):
        """How long orders took."""
        self.stock.start()
        return start_s(self.orders)

    def stop(self):
        self.orders.stop()
        self.stock.stop()

    def open(self):
        sagas = self.orders.state()["sagas"]
        return sagas["running"] + sagas["compensating"]

    def begin(self, count):
        """Stock is away; so nothing ends."""
        self.orders.start()
        ends = time.monotonic() + BEGIN_S_MAX
        while self.open() < count:
            if time.monotonic() > ends:
                raise Failed(f"of {count:,} sagas {self.open():,} were begun within {BEGIN_S_MAX} s")
            load(self.orders.url + "/purchases", CONNECTIONS, 1, "order")
        count = self.open()
        self.stop()
        return count


def ends_a_second(pair, seconds):
    """How many end while CONNECTIONS clients begin one after the other and wait for it, for some seconds at most."""
    before, first = ended(pair.orders)
    load(pair.orders.url + "/purchases", CONNECTIONS, seconds, "order", PREFER)
    after, last = ended(pair.orders)
    return (last - first) / (after - before)


def ready_of(count):
    return f"exec to ready with {count:,} open sagas"


def ended_of(count):
    return f"sagas that end with {count:,} begun before them, times without"


def measure_sagas(build, folder, seconds, count):
    places = Numbered(folder)
    with contextlib.ExitStack() as stack:
        none, many = (Pair(build, places.next(name), stack) for name in ("none", "many"))
        title(f"{count:,} sagas that are open when a service starts, embedded, {ROUNDS} rounds in turn")
        began = time.monotonic()
        begun = many.begin(count)
        show("begun while nobody does their steps", begun / (time.monotonic() - began), "sagas/s", f"{begun:,}")
        ready = [start_s(many.orders)]
        for _ in range(ROUNDS - 1):  # all are open still: stock is away
            many.orders.stop()
            ready.append(start_s(many.orders))
        if (still := many.open()) < begun:
            raise Failed(f"of {begun:,} open sagas {still:,} are left after starts")
        many.stop()
        ready = bars.Figures(ready)
        show_figures("exec to ready", ready.each, "s",
                     bars.at_most(ready_of(count), ready, READY_S_BAR, " s"))
        rates, left, pairs = {"none": [], "many": []}, begun, (("none", none), ("many", many))
        for number in range(ROUNDS):
            if left < sum(rates["many"][-1:]) * seconds * 1.5:
                break  # they would have ended before the round is over
            for name, pair in pairs if number % 2 else pairs[::-1]:
                pair.start()
                rates[name].append(ends_a_second(pair, seconds))
                left = pair.open() if name == "many" else left
                pair.stop()
        ratios = bars.Ratios(rates["many"], rates["none"])
        show_figures(f"ended with no others, {CONNECTIONS} wait", rates["none"], "sagas/s",
                     f"rounds: {len(rates['none'])}")
        show_figures("ended with those begun before", rates["many"], "sagas/s", ratios.told(),
                     bars.at_least(ended_of(count), ratios, SAGAS_BAR))
        many.start()
        drain(many.orders)


# ---- A log to recover ------------------------------------------------------------------------------------

def synced(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def copied_s(source, target):
    """Copying the file and syncing it and its folder: less can't be done."""
    began = time.monotonic()
    shutil.copyfile(source, target)
    synced(target)
    synced(target.parent)
    took = time.monotonic() - began
    target.unlink()
    return took


def laid_out(kept, service):
    """The store as it was left, on the disk."""
    for name in ("store.db", "store.db-wal"):
        (service.folder / name).unlink(missing_ok=True)
        shutil.copyfile(kept / name, service.folder / name)
        synced(service.folder / name)
    (service.folder / "store.db-shm").unlink(missing_ok=True)
    synced(service.folder)


LOG, TOLD = "a log of 1 GB to recover, times copying and syncing it", "a log of 1 GB to recover: lines that tell how far it is"


@bars.part("starts, a log to recover", LOG, TOLD)
def measure_log(build, folder, size):
    title(f"A log of {size / (1 << 30):.2f} GB behind a kill -9, {ROUNDS} rounds in turn")
    places = Numbered(folder)
    with contextlib.ExitStack() as stack:
        service = Service(build / "bench" / NAMES["orders"], "orders", places.next("orders") / "store")
        stack.callback(service.close)
        placed(service)
        done = subprocess.run([build / "bench" / "store", "log", service.folder, str(size),
                               ORDERS, LAST_OF_KEYS, EVENTS, COUNTER], capture_output=True, text=True, timeout=FILL_S_MAX)
        if done.returncode:
            raise Failed(f"no log was left: {done.stderr}")
        kept, log = places.next("kept"), service.folder.parent / "orders.log"
        for name in ("store.db", "store.db-wal"):
            os.rename(service.folder / name, kept / name)
        ready, copied, told, orders = [], [], [], 0
        for number in range(ROUNDS):
            for ours in (False, True) if number % 2 else (True, False):
                if not ours:
                    copied.append(copied_s(kept / "store.db-wal", kept / "copy"))
                    continue
                laid_out(kept, service)
                said = log.stat().st_size
                ready.append(start_s(service))
                told.append(sum(1 for line in log.read_text()[said:].splitlines() if TELLS.search(line)))
                orders = service.state()["position"]
                kill(service)
        if orders < size / 4096:
            raise Failed(f"of a log of {size:,} bytes {orders:,} events were recovered")
        ratios = bars.Ratios(ready, copied)
        show_figures("the log copied and synced, once", copied, "s")
        show_figures(f"exec to ready, {orders:,} orders recovered", ready, "s", ratios.told(),
                     bars.at_most(LOG, ratios, LOG_BAR, " x"))
        show("lines of the service's log that tell how far it is", statistics.median(told), "",
             bars.at_least(TOLD, statistics.median(told), 1, ""))


def measure(build, folder, seconds, rows):
    (folder / "sagas").mkdir()
    (folder / "log").mkdir()
    count = SAGAS * rows // ROWS
    with bars.part("starts, open sagas", ready_of(count), ended_of(count)):
        measure_sagas(build, folder / "sagas", seconds, count)
    measure_log(build, folder / "log", LOG_BYTES * rows // ROWS)
