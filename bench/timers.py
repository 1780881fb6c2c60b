# SPDX-License-Identifier: Apache-2.0
"""Timers: how fast those that are due fire, beside the same work asked for over HTTP in the same run; and what
those cost that are not due, 100,000 of them or a million."""

import contextlib
import json
import os
import statistics
import time

import mariadb
import postgresql
from common import NAMES, ORDER, Failed, Service, load, not_measured, processor_s, show, times, title, wakeups
from documents import PRODUCT, Documents

CONNECTIONS = 64
ROUNDS = 3
PENDING, PENDING_LONG = 100_000, 1_000_000
LATER_S = 900_000
PATIENCE_S = 300


class Measured:
    """A service whose timers do what `path` does: `what` and `data` as bench/load.lua and the program have them."""

    at_once = 1000  # timers set by one request
    set_a_second = 1000  # at least, by one request after the other
    pause = 4  # times what asking took, before asking again: for each answer the store counts what is pending

    def __init__(self, service, path, what, data):
        self.service, self.path, self.what, self.data = service, path, what, data

    def set(self, count, due_s):
        for _ in range(count // self.at_once):
            self.service.ask("POST", "/timers",
                             {"count": self.at_once, "due_ms": int(due_s * 1000), "data": self.data})

    def fired(self):
        return self.service.state()["timers"]["fired"]

    def used_s(self):
        return processor_s(self.service.process.pid)

    def asked(self, seconds):
        """Requests a second, and the service's processor time for each, in us."""
        used = self.used_s()
        rate = load(self.service.url + self.path, CONNECTIONS, seconds, self.what)
        return rate, (self.used_s() - used) / (rate * seconds) * 1e6

    def fire(self, count):
        """The same of so many timers that become due at once."""
        patience_s = 2 + count / self.set_a_second
        due_s, fired = time.time() + patience_s, self.fired()
        self.set(count, due_s)
        if time.time() > due_s or self.fired() > fired:
            raise Failed(f"{count:,} timers could not be set in {patience_s:.0f} s")
        time.sleep(max(0.0, due_s - time.time()))
        began, used = time.monotonic(), self.used_s()
        while True:
            asked = time.monotonic()
            if (now := self.fired() - fired) >= count:
                break
            if asked - began > PATIENCE_S:
                raise Failed(f"of {count:,} timers {now:,} fired within {PATIENCE_S} s")
            time.sleep(max(0.02, self.pause * (time.monotonic() - asked)))
        return count / (time.monotonic() - began), (self.used_s() - used) / count * 1e6

    def compare(self, count, seconds, beside=""):
        """In turn, so that what the machine does meanwhile concerns both; medians."""
        asked, fired = [], []
        for _ in range(ROUNDS):
            asked.append(self.asked(seconds))
            fired.append(self.fire(count))
        asked, asked_us = (statistics.median(one) for one in zip(*asked))
        fired, fired_us = (statistics.median(one) for one in zip(*fired))
        show(f"the same over HTTP, {CONNECTIONS} connections{beside}", asked, "works/s",
             f"{asked_us:.0f} us of the processor each")
        show(f"timers fired{beside}", fired, "timers/s",
             f"{times(fired / asked)} those over HTTP (bar: 1); {fired_us:.0f} us of the processor each")

    def rest(self, seconds, beside):
        time.sleep(3)  # what the load has left to do is done
        woken, used, began = wakeups(self.service.process.pid), self.used_s(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        show(f"wake-ups at rest{beside}", (wakeups(self.service.process.pid) - woken) / took, "a second")
        show(f"processor at rest{beside}", 1000 * (self.used_s() - used) / took, "ms/s")


def measure_pending(measured, seconds, pending, fill):
    measured.rest(seconds, "")
    began = time.monotonic()
    fill()
    show(f"{pending:,} set", pending / (time.monotonic() - began), "timers/s")
    beside = f", {pending:,} pending"
    measured.rest(seconds, beside)
    began = time.monotonic()
    measured.service.state()
    show(f"its state is told{beside}", 1000 * (time.monotonic() - began), "ms")
    measured.compare(10_000, seconds, beside)


def fill_postgresql(server, pending):
    server.sql("INSERT INTO fh_timer (kind, due_ms, name, handler, data, attempts, error) SELECT 'at',"
               f" {int((time.time() + LATER_S) * 1000)}, gen_random_uuid(), 'place', '{json.dumps(ORDER)}', 0, ''"
               f" FROM generate_series(1, {pending})", NAMES["orders"])


@contextlib.contextmanager
def started(service):
    try:
        yield service.start()
    finally:
        service.close()


def orders_on(build, folder, store):
    return started(Service(build / "bench" / NAMES["orders"], "orders", folder / "orders", store))


def measure_embedded(build, folder, seconds, pending):
    title("Timers, embedded: each places an order with its event, up to 240 in one commit")
    with orders_on(build, folder, None) as service:
        measured = Measured(service, "/orders", "order", ORDER)
        measured.compare(10_000, seconds)
        measure_pending(measured, seconds, pending, lambda: measured.set(pending, time.time() + LATER_S))


def measure_server(build, folder, server, engine, seconds, pending):
    store = {**server.store(NAMES["orders"]), "connections": 16, "tls": {"mode": "off"}}
    title(f"Timers, {engine.TITLE}: each places an order with its event, up to 240 in one commit")
    with orders_on(build, folder, {"engine": engine.NAME, "store": store}) as service:
        measured = Measured(service, "/orders", "order", ORDER)
        measured.at_once, measured.set_a_second = 200, 1000  # a statement each, and its answer
        measured.compare(5_000, seconds)
        if engine is postgresql:
            measure_pending(measured, seconds, pending, lambda: fill_postgresql(server, pending))


def measure_documents(build, folder, told, seconds):
    store = {"host": told["host"], "port": told["port"], "database": "bench_timers"}
    title("Timers, MongoDB (FerretDB): each adds a document with its event, up to 240 in one commit")
    with started(Documents(build / "bench" / "bench_catalog", "catalog", folder / "catalog",
                           {"engine": "mongodb", "store": store})) as service:
        measured = Measured(service, "/products", "product", PRODUCT)
        measured.at_once, measured.set_a_second, measured.pause = 20, 10, 0  # a document each, in FerretDB's own store
        measured.compare(200, seconds)


def measure(build, folder, seconds, long):
    pending = PENDING_LONG if long else PENDING
    servers = {
        "PostgreSQL": lambda told, place: measure_server(build, place, postgresql.Server(told), postgresql, seconds, pending),
        "MariaDB": lambda told, place: measure_server(build, place, mariadb.Server(told, place), mariadb, seconds, pending),
        "MongoDB": lambda told, place: measure_documents(build, place, told, seconds)}
    (folder / "timers").mkdir()
    measure_embedded(build, folder / "timers", seconds, pending)
    for name, measure_there in servers.items():
        told = os.environ.get(f"FREEHOLD_TEST_{name.upper()}")
        place = folder / "timers" / name
        place.mkdir()
        if told:
            measure_there(json.loads(told), place)
        else:
            not_measured(f"Timers, {name}", "no server: run it as `tools/servers run bench/run BUILD`")
