# SPDX-License-Identifier: Apache-2.0
"""Events by a broker: from the outbox until the broker has confirmed them, beside its own client library that publishes as
many bytes from memory (bench/confirms), and from the broker to applied once in another service's store, beside the feed
and what the library's own consumer gets meanwhile; many of them, and one after the other.

    tools/servers run bench/run BUILD --only buses"""

import contextlib
import json
import os
import sqlite3
import subprocess
import time

import bars
from common import CATCH_UP_S_MAX, NAMES, ORDER, Failed, Service, heard, load, metric, show, title, wakeups
from turns import show_figures

BROKERS = ("nats", "rabbitmq", "kafka")
BAR_RATE, BAR_RATIO = 40_000, 0.8  # either of them
BAR_LONE, LONE_BAR = 1.1, "a lone event by {}, times feed and library"
ROUNDS, FILL_S, LONE, REST_S = 5, 3, 300, 10
LOOK_S = 0.00005
MESSAGE_SIZE = 640  # of an order's: kcat -f %S says 622 for the first ones, and positions get longer


def wait_for(what, looks, pause_s=0.01):
    until = time.monotonic() + CATCH_UP_S_MAX
    while not looks():
        if time.monotonic() > until:
            raise Failed(f"{what} did not come about within {CATCH_UP_S_MAX} s")
        time.sleep(pause_s)


class ByBus(Service):
    """A service whose events go out by a bus, or come by it, or neither: `more` is put into its configuration."""

    more = {}

    def config(self):
        return {**super().config(), **self.more}


class Pair:
    """A publisher and its subscriber. They are stopped and started with and without the bus, and keep their stores."""

    def __init__(self, stack, build, folder, options):
        self.options = options
        self.orders, self.stock = (ByBus(build / "bench" / NAMES[name], name, folder / name) for name in ("orders", "stock"))
        for service in (self.orders, self.stock):
            stack.callback(service.close)
        self.stock.peers = {"orders": self.orders.address}

    def start_orders(self, by_bus):
        self.orders.stop()
        self.orders.more = {"bus": self.options} if by_bus else {}
        self.orders.start()

    def start_stock(self, by_bus):
        self.stock.stop()
        self.stock.more = {"buses": {"orders": self.options}} if by_bus else {}
        self.stock.start()

    def last(self):
        return self.orders.state()["position"]

    def applied(self):
        return heard(self.stock, "orders")

    def relayed(self):
        told = self.orders.state().get("bus", {})
        return told.get("position", 0) if told.get("connected") else 0

    def published(self):
        return metric(self.orders, "freehold_relay_published_total")

    def carried(self):
        return metric(self.stock, "freehold_events_carried_total")

    def settle(self):
        """Both know of each other: what is published now comes by the bus."""
        self.start_orders(True)
        self.start_stock(True)

        def by_bus():
            before = self.carried()
            self.orders.ask("POST", "/orders", ORDER)
            wait_for("an event that is applied", lambda: self.applied() >= self.last())
            return self.carried() > before

        wait_for("an event that comes by the bus", by_bus)

    def fill(self):
        """Publishes while nobody relays. How many events it was; the publisher is stopped then."""
        wait_for("a relay that has nothing left", lambda: self.relayed() >= self.last())
        time.sleep(2)  # its row is about a second old
        self.stock.stop()
        self.start_orders(False)
        before = self.last()
        load(self.orders.url + "/orders", 64, FILL_S, "order")
        count = self.last() - before
        self.orders.stop()
        return count

    def relay(self, count):
        """Events a second, from the publisher's start until the broker has confirmed all, while nobody subscribes."""
        began = time.monotonic()
        self.start_orders(True)
        last = self.last()
        wait_for("a relay that has nothing left", lambda: self.relayed() >= last)
        rate = count / (time.monotonic() - began)
        if self.published() < count:
            raise Failed(f"of {count:,} events {self.published():,.0f} went to the broker: the relay began behind some")
        return rate

    def apply(self, by_bus, count):
        """Events a second, from the publisher's start until its subscriber, which was there, has applied all; and which
        part of them came by the bus."""
        self.start_stock(by_bus)
        before, carried, began = self.applied(), self.carried(), time.monotonic()
        self.start_orders(by_bus)
        wait_for("a subscriber that has nothing left", lambda: self.applied() >= before + count)
        rate = count / (time.monotonic() - began)
        return rate, (self.carried() - carried) / count

    def lone_ms(self):
        """From a request's answer until the row of its event can be read, one after the other; the median. The subscriber's
        store is asked itself: a request takes as long as an event."""
        took = []
        with contextlib.closing(sqlite3.connect(f"file:{self.stock.folder}/store.db?mode=ro", uri=True)) as store:
            def newest():
                return store.execute("SELECT max(rowid) FROM heard").fetchone()[0]
            for _ in range(LONE):
                before = newest()
                self.orders.ask("POST", "/orders", ORDER)
                began = time.monotonic()
                wait_for("an event that is applied", lambda: newest() > before, LOOK_S)
                took.append((time.monotonic() - began) * 1000)
        return bars.Figures(took).median


def from_memory(build, broker, count, *how):
    topic = f"confirms-{time.monotonic_ns()}"
    done = subprocess.run([build / "bench" / f"confirms_{broker}", topic, str(count), str(MESSAGE_SIZE), *how],
                          capture_output=True, text=True, timeout=CATCH_UP_S_MAX)
    if done.returncode:
        raise Failed(f"confirms_{broker}: {done.stderr}")
    return float(done.stdout)


def measure_rates(build, broker, pair):
    relayed, memory, fed, carried, through, shares = [], [], [], [], [], []
    for number in range(ROUNDS):
        count = pair.fill()
        sides = [lambda: relayed.append(pair.relay(count)), lambda: memory.append(from_memory(build, broker, count))]
        for side in reversed(sides) if number % 2 else sides:
            side()
        pair.settle()
        count = pair.fill()
        if number % 2:
            through.append(from_memory(build, broker, count, "through"))
        rate, share = pair.apply(True, count)
        carried.append(rate)
        shares.append(share)
        if not number % 2:
            through.append(from_memory(build, broker, count, "through"))
        pair.settle()
        fed.append(pair.apply(False, pair.fill())[0])
        pair.settle()
    show_figures("outbox to confirmed by the broker", relayed, "events/s")
    ratios = bars.Ratios(relayed, memory)
    show_figures("its client library, from memory", memory, "messages/s")
    show("the relay, times its client library", ratios.median, "x", ratios.spread())
    best = max(bars.Figures(relayed).median / BAR_RATE, ratios.median / BAR_RATIO)
    show("the better of both bars", best, "x", bars.at_least(f"relay to {broker}, times the lower of its bars", best, 1.0))
    show_figures("from the broker to applied once", carried, "events/s",
                 f"{min(shares):.0%} to {max(shares):.0%} of them came by it")
    show_figures("from memory to its client library's consumer", through, "messages/s")
    ratios = bars.Ratios(carried, through)
    show("applied once, times that", ratios.median, "x", ratios.spread())
    show_figures("from the feed to applied once", fed, "events/s")
    best = max(bars.Figures(carried).median / BAR_RATE, bars.Ratios(carried, memory).median / BAR_RATIO)
    show("applied once, the better of both bars", best, "x",
         bars.at_least(f"applied once behind {broker}, times the lower of its bars", best, 1.0))


def measure_lone(build, broker, pair):
    bus, feed, own = [], [], []
    for _ in range(ROUNDS):
        bus.append(pair.lone_ms())
        own.append(from_memory(build, broker, LONE, "lone"))
        pair.start_stock(False)
        wait_for("a subscriber that has nothing left", lambda: pair.applied() >= pair.last())
        feed.append(pair.lone_ms())
        pair.settle()
    show_figures("a lone event, until applied, by the bus", bus, "ms")
    show_figures("a lone event, until applied, by the feed", feed, "ms")
    show_figures("a lone message, by its client library", own, "ms")
    ratios = bars.Ratios(bus, [one + other for one, other in zip(feed, own)])
    show("by the bus, times feed and library together", ratios.median, "x",
         f"{ratios.spread()}; {bars.at_most(LONE_BAR.format(broker), ratios.median, BAR_LONE, ' x')}")
    time.sleep(2)
    before, began = wakeups(pair.stock.process.pid), time.monotonic()
    time.sleep(REST_S)
    woken = (wakeups(pair.stock.process.pid) - before) / (time.monotonic() - began)
    show("wake-ups of an idle subscriber, its library's included", woken, "a second")


def measure_broker(build, folder, broker):
    told = os.environ.get(f"FREEHOLD_TEST_{broker.upper()}")
    names = (f"relay to {broker}, times the lower of its bars", f"applied once behind {broker}, times the lower of its bars",
             LONE_BAR.format(broker))
    with bars.part(f"events by {broker}", *names):
        if not told:
            bars.all_missing("no server: run it as `tools/servers run bench/run BUILD`")
            return
        server = json.loads(told)
        options = {"driver": broker, "partitions": 8, "tls": {"mode": "off"},
                   **{name: server[name] for name in ("host", "port", "user", "password")}}
        folder.mkdir()
        title(f"Events by {broker}: {ROUNDS} rounds in turn")
        with contextlib.ExitStack() as stack:
            pair = Pair(stack, build, folder, options)
            pair.settle()
            measure_rates(build, broker, pair)
            measure_lone(build, broker, pair)


def measure(build, folder):
    (folder / "buses").mkdir()
    for broker in BROKERS:
        measure_broker(build, folder / "buses" / broker, broker)
