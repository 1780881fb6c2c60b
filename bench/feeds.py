# SPDX-License-Identifier: Apache-2.0
"""From one service's outbox to applied once in another's store: Freehold's feed, and in turn with it a poller in Rust that
reads the publisher's tables directly (bench/peer/rust), which no service may do that owns its database alone."""

import contextlib
import json
import os
import subprocess
import time

import bars
from common import CATCH_UP_S_MAX, NAMES, ORDER, Failed, Service, heard, load, not_measured, title
from peers import Rust
from postgresql import Server
from turns import OURS, in_turn, show_turns

BAR = 0.45
FILL_S = 5
EVENTS = 100_000
CONNECTIONS_TO_STORE = 16


class Poller(Rust):
    """It serves nothing: it ends once it has applied what it was asked for."""

    def run(self, publisher, subscriber, last, *more):
        """Events a second, its start included as ours is."""
        began = time.monotonic()
        done = subprocess.run([*self.command(), publisher, subscriber, str(last), *more], capture_output=True, text=True,
                              timeout=CATCH_UP_S_MAX)
        if done.returncode:
            raise Failed(f"{self.program}: {done.stderr}")
        return last / (time.monotonic() - began)


def ours(orders, made):
    """Events a second of a new subscriber, `made()`."""
    last, stock = orders.state()["position"], made()
    try:
        began = time.monotonic()
        stock.start()
        while heard(stock, orders.name) < last:
            if time.monotonic() - began > CATCH_UP_S_MAX:
                raise Failed(f"of {last:,} events {heard(stock, orders.name):,} were applied within {CATCH_UP_S_MAX} s")
            time.sleep(0.02)
        return last / (time.monotonic() - began)
    finally:
        stock.close()


class Numbered:
    """New stores, one after the other."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0

    def next(self, name):
        self.count += 1
        place = self.folder / f"{name}-{self.count}"
        place.mkdir()
        return place


def measure_embedded(build, folder):
    poller, places = Poller(build, "poll_sqlite", {}), Numbered(folder)
    with contextlib.ExitStack() as stack:
        orders = Service(build / "bench" / NAMES["orders"], "orders", places.next("orders") / "store")
        stack.callback(orders.close)
        orders.start()
        load(orders.url + "/orders", 64, FILL_S, "order")
        last = orders.state()["position"]

        def subscriber():
            made = Service(build / "bench" / NAMES["stock"], "stock", places.next("stock") / "store")
            made.peers = {"orders": orders.address}
            return made

        title(f"Events: {last:,} from the outbox to applied once in another store, embedded")
        sides = {OURS: lambda: ours(orders, subscriber)}
        if missing := poller.missing():
            not_measured("A poller that reads the publisher's file", missing)
        else:
            sides["poller"] = lambda: poller.run(orders.folder / "store.db", places.next("poller") / "store.db", last)
        show_turns("feed to applied once, embedded", in_turn(sides), "events/s", {"poller": BAR})


def measure_postgresql(build, folder):
    told = os.environ.get("FREEHOLD_TEST_POSTGRESQL")
    if not told:
        bars.missing("feed to applied once, PostgreSQL", "no server: run it as `tools/servers run bench/run BUILD`")
        return
    server, places, poller = Server(json.loads(told)), Numbered(folder), Poller(build, "poll_postgresql", {})

    def service(name):
        store = {**server.store(NAMES[name]), "connections": CONNECTIONS_TO_STORE, "tls": {"mode": "off"}}
        return Service(build / "bench" / NAMES[name], name, places.next(name) / "store",
                       {"engine": "postgresql", "store": store})

    def subscriber():
        made = service("stock")
        made.peers = {"orders": orders.address}
        return made

    def polled(how):
        server.sql("DROP DATABASE IF EXISTS bench_poller")
        server.sql("CREATE DATABASE bench_poller")
        where = f"host={server.host} port={server.port} user={server.user} password={server.password} dbname="
        return poller.run(where + NAMES["orders"], where + "bench_poller", last, "1000", how)

    with contextlib.ExitStack() as stack:
        orders = service("orders")
        stack.callback(orders.close)
        orders.start()
        orders.ask("POST", "/orders", ORDER)
        server.fill(orders, EVENTS)
        last = orders.state()["position"]
        title(f"Events: {last:,} from the outbox to applied once in another store, PostgreSQL")
        sides = {OURS: lambda: ours(orders, subscriber)}
        if missing := poller.missing():
            not_measured("A poller that reads the publisher's tables", missing)
        else:
            sides["poller"] = lambda: polled("loop")
            sides["poller, reading ahead"] = lambda: polled("whole")
            sides["poller, the same, a statement an event"] = lambda: polled("each")
        show_turns("feed to applied once, PostgreSQL", in_turn(sides), "events/s", {"poller": BAR})


def measure(build, folder):
    for name, measure_one in (("embedded", measure_embedded), ("postgresql", measure_postgresql)):
        (folder / "feeds" / name).mkdir(parents=True)
        measure_one(build, folder / "feeds" / name)
