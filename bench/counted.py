# SPDX-License-Identifier: Apache-2.0
"""What a unit of work costs, counted: the same requests in lockstep, with a meter on each process, and on PostgreSQL one on
the server's log.

A row is what is asked for, of one process; its figures are counts a unit of work, and its parts what they are made of, so
that it can be told where one has changed: functions, system calls, records of the log."""

import collections
import contextlib
import dataclasses
import itertools
import json
import pathlib
import sqlite3
import subprocess
import time

import postgresql
from common import HERE, NAMES, ORDER, PATIENCE_S, Failed, Service, heard, processor_s
from lockstep import Lockstep, held, request
from meters import Log, Strace

REST_S, REST_CPU_S = 0.25, 0.002
TOGETHER = 64  # connections
ROUNDS = {1: 128, TOGETHER: 8}
SAGA_ROUNDS = {1: 64, TOGETHER: 4}
EVENT_ROUNDS = 4
PARTS_MAX = 25  # of a figure
BODY = json.dumps(ORDER)
WAITING = "Prefer: wait=30"


@dataclasses.dataclass
class Row:
    figures: dict = dataclasses.field(default_factory=dict)
    parts: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Build:
    """A build folder; the bench's folder of the sources that it was made of; what its services get of the environment."""
    folder: pathlib.Path
    home: pathlib.Path = HERE
    environment: dict = dataclasses.field(default_factory=dict)

    def program(self, name):
        return self.folder / "bench" / name

    def waits_for_sagas(self):
        described = subprocess.run([self.program("bench_orders"), "--describe"], capture_output=True, check=True)
        return any(route["path"] == "/purchases" and "location" in route for route in json.loads(described.stdout)["routes"])


class Watched(Service):
    """A service with a meter on it."""

    def __init__(self, build, name, place, meter, store=None):
        super().__init__(build.program(NAMES[name]), name, place / name, store)
        self.home, self.environment, self.meter = build.home, build.environment, meter(place / f"{name}.meter")

    def command(self, config):
        return self.meter.command(super().command(config))

    @property
    def pid(self):
        return self.process.pid


def rest(service):
    """Until it has nothing left to do."""
    last, since = processor_s(service.pid), time.monotonic()
    while time.monotonic() - since < REST_S:
        time.sleep(0.02)
        now = processor_s(service.pid)
        if now - last > REST_CPU_S:
            last, since = now, time.monotonic()


class Count:
    """The rows of one run. `log`: the meter of the server's log; its counts are those of the first process's row."""

    def __init__(self, log=None):
        self.rows, self.log = collections.defaultdict(Row), log

    @contextlib.contextmanager
    def of(self, units, watched, prepare=lambda: None):
        """`watched`: {row: service}. Their meters run while the block does, and until they rest; only that of the first
        runs while `prepare` does."""
        meters = [(row, service.meter, service) for row, service in watched.items()]
        if self.log:
            meters.append((meters[0][0], self.log, None))
        for i, (_, meter, service) in enumerate(meters):
            if i == 1:
                prepare()
            if service:
                rest(service)
            meter.begin(service)
        yield
        for service in watched.values():
            rest(service)
        for row, meter, service in meters:
            figures, parts = meter.end(service)
            self.rows[row].figures.update({name: count / units for name, count in figures.items()})
            self.rows[row].parts.update({name: {part: count / units for part, count in all.most_common(PARTS_MAX)}
                                         for name, all in parts.items()})


def connections_of(number):
    return "1 connection" if number == 1 else f"{number} connections"


def forever():
    """{what: its requests, without end}"""
    keys = (f"Idempotency-Key: bench-{number:08d}" for number in itertools.count())
    return {"constant answer": itertools.repeat(request("GET", "/constant")),
            "row read": itertools.repeat(request("GET", "/orders/1")),
            "order + event": itertools.repeat(request("POST", "/orders", BODY)),
            "order + event with a key": (request("POST", "/orders", BODY, key) for key in keys)}


def warmed(service, asked, all_requests):
    """The service has done for once what it is going to be counted at; its meter is ready."""
    with contextlib.closing(Lockstep(asked.address, TOGETHER)) as lockstep:
        for requests in all_requests:
            lockstep.run(1, requests, asked.pid)
    service.meter.started(service)


def count_in_lockstep(count, what, requests, rounds, watched):
    """`watched`: {what the row's name ends with: service}; the first is asked."""
    asked = next(iter(watched.values()))
    for number, times in rounds.items():
        with contextlib.closing(Lockstep(asked.address, number)) as lockstep:
            lockstep.run(max(1, times // 8), requests, asked.pid)
            rows = {f"{what}, {connections_of(number)}{end}": service for end, service in watched.items()}
            with count.of(times * number, rows):
                lockstep.run(times, requests, asked.pid)


SAGAS = itertools.repeat(request("POST", "/purchases", BODY, WAITING))


def count_sagas(count, where, orders, stock):
    count_in_lockstep(count, f"{where}saga of three steps", SAGAS, SAGA_ROUNDS, {"": orders, ", its two calls": stock})
    sagas = orders.state()["sagas"]
    if sagas["running"] or sagas["parked"] or sagas["undone"]:
        raise Failed(f"sagas that should have succeeded did not: {sagas}")


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {PATIENCE_S} s")
        time.sleep(0.02)


def wait_until_following(stock, orders):
    wait_until(lambda: heard(stock, "orders") >= orders.state()["position"], "stock has applied all events")


def applied(stock):
    """Its store is asked, since asking the service would be counted."""
    with contextlib.closing(sqlite3.connect(f"file:{stock.folder}/store.db?mode=ro", uri=True, timeout=PATIENCE_S)) as store:
        return store.execute("SELECT count(*) FROM heard").fetchone()[0]


def count_events(count, orders, stock):
    """Of a subscriber that is behind by as many as EVENT_ROUNDS rounds publish."""
    units = EVENT_ROUNDS * TOGETHER
    before = applied(stock)
    with contextlib.closing(Lockstep(orders.address, TOGETHER)) as lockstep, contextlib.ExitStack() as behind:
        def publish():
            behind.enter_context(held(stock.pid))
            lockstep.run(EVENT_ROUNDS, itertools.repeat(request("POST", "/orders", BODY)), orders.pid)

        with count.of(units, {"event applied": stock, "event applied, its feed": orders}, publish):
            behind.close()
            wait_until(lambda: applied(stock) == before + units, f"stock has applied {units} events")


def count_embedded(build, place, meter):
    count = Count()
    with contextlib.ExitStack() as stack:
        orders, stock = (stack.enter_context(contextlib.closing(Watched(build, name, place, meter)))
                         for name in ("orders", "stock"))
        orders.peers, stock.peers = {"stock": stock.address}, {"orders": orders.address}
        orders.start()
        orders.ask("POST", "/orders", ORDER)
        requests_of = forever()
        warmed(orders, orders, requests_of.values())
        for what, requests in requests_of.items():
            count_in_lockstep(count, what, requests, ROUNDS, {"": orders})
        stock.start()
        wait_until_following(stock, orders)
        stock.meter.started(stock)
        count_events(count, orders, stock)
        if build.waits_for_sagas():
            count_sagas(count, "", orders, stock)
    return count.rows


def count_postgresql(build, place, meter, server):
    count = Count(Log(server) if meter is Strace else None)  # who is slowed shares fewer commits
    with contextlib.ExitStack() as stack:
        def watched(name):
            store = {**server.store(NAMES[name]), "connections": 16, "tls": {"mode": "off"}}
            return stack.enter_context(contextlib.closing(
                Watched(build, name, place, meter, {"engine": postgresql.NAME, "store": store})))

        orders, stock = watched("orders"), watched("stock")
        orders.peers, stock.peers = {"stock": stock.address}, {"orders": orders.address}
        orders.start()
        orders.ask("POST", "/orders", ORDER)
        requests_of = forever()
        warmed(orders, orders, requests_of.values())
        for what, requests in requests_of.items():
            if what != "constant answer":
                count_in_lockstep(count, f"PostgreSQL: {what}", requests, ROUNDS, {"": orders})
        stock.start()
        wait_until_following(stock, orders)
        warmed(stock, orders, [SAGAS])
        if build.waits_for_sagas():
            count_sagas(count, "PostgreSQL: ", orders, stock)
    return count.rows
