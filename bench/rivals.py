# SPDX-License-Identifier: Apache-2.0
"""Freehold beside the best that others do in other languages (bench/peer): the same over HTTP, embedded and on
PostgreSQL, with the same durability, ROUNDS times in turn, so that what the machine does meanwhile meets all alike. The
bars are ratios within one round. What each side does and does not do: docs/reference/performance.md."""

import contextlib
import json
import os
import statistics
import subprocess

import bars
import postgresql
from bars import Ratios
from common import NAMES, ORDER, PATIENCE_S, Failed, Service, ask, load, not_measured, show, title
from peers import Go, Node, Rust

ROUNDS = 5
CONNECTIONS = 64
CONNECTIONS_TO_STORE = 16
LATENCY_PARTS = (("median", 2_000), ("p99", 5_000), ("p99.9", 20_000))  # microseconds at most
KEY, NO_KEY = "Idempotency-Key", "Not-A-Key"


class Side:
    """Who is measured, and what he has reached in each round."""

    def __init__(self, name, rate):
        """`rate`: measures once."""
        self.name, self.rate, self.rates = name, rate, []

    def median(self):
        return statistics.median(self.rates)


def in_turn(sides):
    """One round after the other, every other one backwards."""
    for number in range(ROUNDS):
        for side in reversed(sides) if number % 2 else sides:
            side.rates.append(side.rate())


def tell(sides, unit):
    for side in sides:
        show(side.name, side.median(), unit, f"{min(side.rates):,.0f} to {max(side.rates):,.0f}")


def race(what, ours, rivals, bar, unit):
    """`ours` against the best of the rivals in each round."""
    title(f"Rivals: {what}, {ROUNDS} rounds in turn")
    in_turn([ours, *rivals])
    tell([ours, *rivals], unit)
    if not rivals:
        bars.missing(what, "no rival could be built")
        return
    ratios = Ratios(ours.rates, [max(each) for each in zip(*(rival.rates for rival in rivals))])
    show("Freehold, times the best of them in each round", ratios.median, "x",
         f"{ratios.spread()}; {bars.at_least(what, ratios, bar)}")


class Field:
    """One service and its rivals, all of them running."""

    def __init__(self, service, peers, seconds):
        self.service, self.peers, self.seconds = service, peers, seconds

    def race(self, what, path, connections, bar, *sent, among=None, unit="works/s", **more):
        def side(name, url):
            return Side(name, lambda: load(url + path, connections, self.seconds, *sent, **more))

        race(what, side("Freehold", self.service.url),
             [side(name, peer.url) for name, peer in self.peers.items() if among is None or name in among], bar, unit)


def started(stack, peers):
    """Those that can be built and run here; the others are named."""
    running = {}
    for name, peer in peers.items():
        stack.callback(peer.close)
        if why := peer.missing():
            not_measured(name, why)
        else:
            running[name] = peer.start("POST", "/orders", ORDER)
    return running


def measure_key(service, seconds):
    """With a key and without, our own: the requests are as long, and made as they go, in both."""
    what = "order and event, embedded, with a key against without"
    title(f"Rivals: {what}, {CONNECTIONS} connections, {ROUNDS} rounds in turn")

    def side(name, header):
        return Side(name, lambda: load(service.url + "/orders", CONNECTIONS, seconds, "keyed", key=header))

    keyed, without = side("with a key", KEY), side("without", NO_KEY)
    in_turn([keyed, without])
    tell([keyed, without], "works/s")
    ratios = Ratios(keyed.rates, without.rates)
    show("with a key, times without", ratios.median, "x", f"{ratios.spread()}; {bars.at_least(what, ratios, 0.9)}")


def latencies_us(build, url, rate, seconds):
    done = subprocess.run([build / "bench" / "rate", url.rpartition(":")[2], "/orders", str(rate), str(seconds),
                           str(CONNECTIONS), json.dumps(ORDER)], capture_output=True, text=True, timeout=seconds + PATIENCE_S)
    if done.returncode:
        raise Failed(done.stderr)
    return [int(word) for word in done.stdout.split()[1:]]


def measure_latency(build, field):
    """At half the top rate, which is measured just before; each round's own."""
    rounds = {"Freehold": [], **{name: [] for name in field.peers}}
    rates = {name: [] for name in rounds}
    for _ in range(ROUNDS):
        for name, each in (("Freehold", field.service), *field.peers.items()):
            rate = load(each.url + "/orders", CONNECTIONS, max(1, field.seconds // 2), "order") / 2
            rates[name].append(rate)
            rounds[name].append(latencies_us(build, each.url, rate, field.seconds))
    title(f"Latency of an order and its event, embedded, at half of each one's top rate ({ROUNDS} rounds in turn)")
    for name, each in rounds.items():
        show(f"{name}, at", statistics.median(rates[name]), "works/s")
        for part, (word, most) in enumerate(LATENCY_PARTS):
            values = [one[part] for one in each]
            told = f"{min(values):,} to {max(values):,}"
            if name == "Freehold":
                told += "; " + bars.at_most(f"latency at half the top rate, {word}", statistics.median(values), most, " us")
            show(f"  {word}", statistics.median(values), "us", told)


@bars.part("rivals, embedded", "order and event, embedded, 64 connections", "order and event, embedded, 256 connections",
           "order and event, embedded, with a key against without", "read a row, embedded", "constant answer",
           *(f"latency at half the top rate, {word}" for word, _ in LATENCY_PARTS))
def measure_embedded(build, place, seconds):
    with contextlib.ExitStack() as stack:
        def environment(name):
            return {"STORE": str(place / f"{name}.db")}

        service = Service(build / "bench" / NAMES["orders"], "orders", place / "orders")
        stack.callback(service.close)
        service.start().ask("POST", "/orders", ORDER)
        peers = started(stack, {"axum with rusqlite": Rust(build, "sqlite", environment("rust")),
                                "Go with mattn's SQLite": Go(build, "sqlite", environment("go"))})
        field = Field(service, peers, seconds)
        for connections in (64, 256):
            field.race(f"order and event, embedded, {connections} connections", "/orders", connections, 1.0, "order")
        measure_key(service, seconds)
        field.race("read a row, embedded", "/orders/1", CONNECTIONS, 1.0, unit="requests/s")
        field.race("constant answer", "/constant", CONNECTIONS, 1.0, unit="requests/s")
        measure_latency(build, field)


def measure_bare_rows(build, server, service, seconds):
    what = "read a row, PostgreSQL, against pipelined libpq"
    if postgresql.bare_rows(build, server, 1) is None:
        bars.missing(what, "libpq_rows is not built")
        return
    race(what, Side("Freehold", lambda: load(service.url + "/orders/1", CONNECTIONS, seconds)),
         [Side("libpq alone, 64 in its pipeline", lambda: postgresql.bare_rows(build, server, seconds))], 0.33, "rows/s")


@bars.part("rivals, PostgreSQL", "order and event on PostgreSQL, one statement",
           "key and three statements on PostgreSQL, in one transaction", "order and event on PostgreSQL, one connection",
           "read a row, PostgreSQL", "read a row, PostgreSQL, against pipelined libpq")
def measure_postgresql(build, place, seconds):
    told = os.environ.get("FREEHOLD_TEST_POSTGRESQL")
    if not told:
        bars.all_missing("no server: run it as `tools/servers run bench/run BUILD`")
        return
    server = postgresql.Server(json.loads(told))
    with contextlib.ExitStack() as stack:
        def environment(name):
            database = f"bench_{name}"
            server.sql(f"DROP DATABASE IF EXISTS {database}")
            server.sql(f"CREATE DATABASE {database}")
            return server.environment(database)

        store = {**server.store(NAMES["orders"]), "connections": CONNECTIONS_TO_STORE, "tls": {"mode": "off"}}
        service = Service(build / "bench" / NAMES["orders"], "orders", place / "orders",
                          {"engine": "postgresql", "store": store})
        stack.callback(service.close)
        service.start().ask("POST", "/orders", ORDER)
        peers = started(stack, {"axum with tokio-postgres": Rust(build, "postgresql", environment("rust")),
                                "Go with pgx": Go(build, "postgresql", environment("go")),
                                "Fastify with node-postgres": Node(build, "postgresql.js", environment("node"))})
        pipelining = [name for name in peers if not name.startswith("Fastify")]
        for peer in (service, *(peers[name] for name in pipelining)):
            ask(peer.url, "POST", "/checkouts", ORDER, [f"{KEY}: first"])
        field = Field(service, peers, seconds)
        field.race("order and event on PostgreSQL, one statement", "/orders", CONNECTIONS, 1.5, "order")
        field.race("key and three statements on PostgreSQL, in one transaction", "/checkouts", CONNECTIONS, 1.3, "keyed",
                   among=pipelining, key=KEY)
        field.race("order and event on PostgreSQL, one connection", "/orders", 1, 1.0, "order", among=pipelining)
        field.race("read a row, PostgreSQL", "/orders/1", CONNECTIONS, 1.7, unit="requests/s")
        measure_bare_rows(build, server, service, seconds)


def measure(build, folder, seconds):
    for name, measure_one in (("embedded", measure_embedded), ("postgresql", measure_postgresql)):
        (folder / "rivals" / name).mkdir(parents=True)
        measure_one(build, folder / "rivals" / name, seconds)
