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


def embedded(build, places, names=None, kind=Service):
    """What makes a new service by its name."""
    return lambda name: kind(build / "bench" / (names or NAMES)[name], name, places.next(name) / "store")


def on_postgresql(build, places, server):
    def service(name):
        store = {**server.store(NAMES[name]), "connections": CONNECTIONS_TO_STORE, "tls": {"mode": "off"}}
        return Service(build / "bench" / NAMES[name], name, places.next(name) / "store",
                       {"engine": "postgresql", "store": store})

    return service


class Feed:
    """A publisher that runs, until `stack` is closed, and new subscribers to it, one after the other."""

    def __init__(self, stack, service, publisher="orders", subscriber="stock"):
        """`service`: what makes a new one by its name."""
        self.service, self.subscriber = service, subscriber
        self.publisher = service(publisher)
        stack.callback(self.publisher.close)
        self.publisher.start()

    def made(self):
        made = self.service(self.subscriber)
        made.peers = {self.publisher.name: self.publisher.address}
        return made

    def last(self):
        return self.publisher.state()["position"]

    def ours(self):
        """Events a second of a new subscriber."""
        return ours(self.publisher, self.made)


@bars.part("feeds, embedded", "feed to applied once, embedded, times poller")
def measure_embedded(build, folder):
    poller, places = Poller(build, "poll_sqlite", {}), Numbered(folder)
    with contextlib.ExitStack() as stack:
        feed = Feed(stack, embedded(build, places))
        load(feed.publisher.url + "/orders", 64, FILL_S, "order")
        last = feed.last()
        title(f"Events: {last:,} from the outbox to applied once in another store, embedded")
        sides = {OURS: feed.ours}
        if missing := poller.missing():
            not_measured("A poller that reads the publisher's file", missing)
        else:
            source = feed.publisher.folder / "store.db"
            sides["poller"] = lambda: poller.run(source, places.next("poller") / "store.db", last)
        show_turns("feed to applied once, embedded", in_turn(sides), "events/s", {"poller": BAR})


@bars.part("feeds, PostgreSQL", "feed to applied once, PostgreSQL, times poller")
def measure_postgresql(build, folder):
    told = os.environ.get("FREEHOLD_TEST_POSTGRESQL")
    if not told:
        bars.all_missing("no server: run it as `tools/servers run bench/run BUILD`")
        return
    server, poller = Server(json.loads(told)), Poller(build, "poll_postgresql", {})

    def polled(how):
        server.sql("DROP DATABASE IF EXISTS bench_poller")
        server.sql("CREATE DATABASE bench_poller")
        where = f"host={server.host} port={server.port} user={server.user} password={server.password} dbname="
        return poller.run(where + NAMES["orders"], where + "bench_poller", last, "1000", how)

    with contextlib.ExitStack() as stack:
        feed = Feed(stack, on_postgresql(build, Numbered(folder), server))
        feed.publisher.ask("POST", "/orders", ORDER)
        server.fill(feed.publisher, EVENTS)
        last = feed.last()
        title(f"Events: {last:,} from the outbox to applied once in another store, PostgreSQL")
        sides = {OURS: feed.ours}
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
