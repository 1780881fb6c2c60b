# SPDX-License-Identifier: Apache-2.0
"""Derived stores on servers: how many values a second are carried of a backlog, beside a bulk loader that sends the same
bytes in the same pages to the same server (bench/loaders.py); and after what time what is derived is found at half the
load, which is what can be derived or, where that is less, carried.

    bench/run BUILD --only carried"""

import concurrent.futures
import contextlib
import itertools
import json
import socket
import threading
import time

import bars
import beside
import loaders
import recorded
from buses import metric, wait_for
from common import Failed, KeptOpen, Service, show, title
from postgresql import Server
from rivals import ROUNDS
from series import point_of
from turns import show_figures

BAR = 0.8
POINTS_BAR = 60_000  # a second to InfluxDB: 0.6 of what goes into an embedded series (bench/series.py)
SHOWN_BAR_S = 1
CONNECTIONS = 4
PROBES, PROBE_S_MAX, PROBE_PAUSE_S = 5, 30, 0.01
LEAST_LOAD = 0.9  # of what was to be derived while it is looked for changes


class Derives(Service):
    """A service whose derived store lies on a server, at `port`."""

    def __init__(self, stack, build, folder, kind, options):
        super().__init__(build / "bench" / f"bench_{kind.service}", kind.service, folder / kind.service)
        stack.callback(self.close)
        self.derived, self.options, self.port = kind.derived, options, options["port"]

    def config(self):
        return {**super().config(), "derives": {self.derived: {**self.options, "port": self.port}}}

    def start_at(self, port):
        self.stop()
        self.port = port
        return self.start()

    def is_level(self):
        told, = self.state()["derived"]
        if told["refused"]:
            raise Failed(f"the server refuses values: {told['refused']}")
        return told["serves"] and told["depth"] == 0

    def carried(self, count):
        """Values a second, from its start until the server has acknowledged all."""
        began = time.monotonic()
        self.start()
        wait_for("a server that has all", self.is_level, 0.03)  # each look takes time of the same processors
        rate = count / (time.monotonic() - began)
        if (carried := metric(self, "freehold_derived_carried_total")) != count:
            raise Failed(f"of {count:,} values {carried:,.0f} were carried")
        return rate


class Kind:
    """A kind of server, and what is carried there: `at_once` values in a unit of work, `backlog` in a round."""

    def __init__(self, name, heading, service, derived, at_once, backlog, loader, values):
        self.name, self.title, self.service, self.derived = name, heading, service, derived
        self.at_once, self.backlog, self.loader, self.values = at_once, backlog, loader, values

    def options(self, told):
        return {"driver": self.name, "tls": {"mode": "off"},
                **{name: told[name] for name in ("host", "port", "user", "password") if name in told}}

    def recorder(self, told):
        return recorded.by_http(told["host"], told["port"])

    def names(self):
        own = (f"{self.values} carried to InfluxDB",) if self.name == "influxdb" else ()
        return (*own, f"carried to {self.title}, times a loader", f"shown by {self.title} at half the load")

    def load(self, build, folder, told, taken):
        return self.loader(build, folder, told, taken)


class Books(Kind):
    """For its search."""

    def unit(self, number):
        return f"/books/{number * self.at_once + 1}", '{"searched": true}'

    def mark(self, client, number):
        client.ask("POST", f"/marked/{1_000_000_000 + number}")

    def shows(self, client, number):
        return json.loads(client.ask("GET", f"/search?q=mark{1_000_000_000 + number}"))["total"] > 0

    def options(self, told):
        return {name: value for name, value in super().options(told).items() if name not in ("user", "password")}


class Points(Kind):
    """For its series: of 10 gauges, one each second."""

    def unit(self, number):
        first = number * self.at_once
        return "/points", json.dumps({"points": [point_of(each, 10) for each in range(first, first + self.at_once)]})

    def mark(self, client, number):
        point = {"gauge": f"mark{number}", "site": "s0", "at_ms": 1_000, "c": 1.5}
        client.ask("POST", "/points", json.dumps({"points": [point]}))

    def shows(self, client, number):
        return bool(json.loads(client.ask("GET", f"/curve?gauge=mark{number}&from_ms=0&to_ms=2000&every_ms=1000"))["curves"])


class CurvesOfPostgreSQL(Points):
    database = "bench_curves"

    def options(self, told):
        return {"driver": self.name, "tls": {"mode": "off"}, **Server(told).store(self.database)}

    def recorder(self, told):
        return recorded.by_postgresql(told["host"], told["port"])

    def load(self, build, folder, told, taken):
        return self.loader(build, folder, Server(told), taken)


class Facts(Kind):
    """For its columns."""

    def unit(self, number):
        return "/facts", json.dumps({"from": number * self.at_once, "count": self.at_once})

    def mark(self, client, number):
        client.ask("POST", "/facts", json.dumps({"from": 0, "count": 1, "category": f"mark{number}"}))

    def shows(self, client, number):
        return bool(json.loads(client.ask("GET", f"/categories/mark{number}"))["rows"])


KINDS = (Books("opensearch", "OpenSearch", "shelf", "books", 100, 20_000, loaders.OpenSearch, "books"),
         Points("influxdb", "InfluxDB", "gauges", "measured", 1000, 1_200_000, loaders.InfluxDB, "points"),
         Facts("clickhouse", "ClickHouse", "sales", "sold", 1000, 1_200_000, loaders.ClickHouse, "facts"),
         CurvesOfPostgreSQL("postgresql", "PostgreSQL", "gauges", "measured", 1000, 1_200_000, loaders.PostgreSQL, "points"))


# ---- The backlog -----------------------------------------------------------------------------------

class Backlog:
    """What a service has derived while its server was away: there is nobody at that port."""

    def __init__(self, stack, service, kind, count):
        self.service, self.kind, self.first = service, kind, 0
        self.units = max(1, count // kind.at_once)
        self.count = self.units * kind.at_once
        self.derived = []  # values a second, each time
        self.nobody = socket.socket()
        self.nobody.bind(("127.0.0.1", 0))
        stack.callback(self.nobody.close)

    def next_units(self, count):
        units = [self.kind.unit(number) for number in range(self.first, self.first + count)]
        self.first += count
        return units

    def fill(self):
        """The service is stopped then."""
        units = self.next_units(self.units)
        self.service.start_at(self.nobody.getsockname()[1])
        client = KeptOpen(self.service.address)
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda unit: client.ask("POST", *unit), units))
        self.derived.append(self.count / (time.monotonic() - began))
        self.service.stop()

    def carry(self, port):
        self.fill()
        self.service.port = port
        rate = self.service.carried(self.count)
        self.service.stop()
        return rate


def pages_of(kind, service, backlog, told):
    """All that the service sends, from the making of its place on, up to the end of a backlog."""
    recorder = kind.recorder(told)
    try:
        service.start_at(recorder.port)
        wait_for("a derived store that is made", service.is_level)
        backlog.carry(recorder.port)
        return recorder.taken
    finally:
        recorder.close()


def measure_backlog(kind, backlog, loader, port):
    """Returns what is carried in a second, of each round."""
    rates, alone, by_two = [], [], []
    sides = [lambda: rates.append(backlog.carry(port)), lambda: alone.append(loader.load(backlog.count)),
             lambda: by_two.append(loader.load(backlog.count, 2))]
    for number in range(ROUNDS):
        for side in reversed(sides) if number % 2 else sides:
            side()
    ratios, told = bars.Ratios(rates, alone), []
    unit, what = f"{kind.values}/s", kind.names()[-2]
    if kind.name == "influxdb":
        told = [bars.at_least(kind.names()[0], bars.Figures(rates), POINTS_BAR, " points/s")]
    show_figures(f"carried, {backlog.count:,} {kind.values} that waited", rates, unit, *told)
    show_figures("a loader that sends the same pages", alone, unit, f"{ratios.told()} carried", bars.at_least(what, ratios, BAR))
    if kind.name != "postgresql":
        show_figures("the same, two pages at a time", by_two, unit, f"{bars.Ratios(rates, by_two).told()} carried")
    return rates


# ---- What is shown ---------------------------------------------------------------------------------

class Load:
    """Units of work at a rate, whatever their answers do, until it is left."""

    def __init__(self, backlog, units_a_second, units_ready):
        self.backlog, self.pause_s = backlog, 1 / units_a_second
        self.client = KeptOpen(backlog.service.address)
        self.ready = iter(backlog.next_units(units_ready))  # as JSON, which is not made meanwhile
        self.numbers, self.lock, self.done = itertools.count(), threading.Lock(), 0
        self.ends, self.failure = threading.Event(), None

    def post(self):
        try:
            while True:
                with self.lock:
                    number = next(self.numbers)
                    unit = next(self.ready, None) or self.backlog.next_units(1)[0]
                if self.ends.wait(max(0, self.began + number * self.pause_s - time.monotonic())):
                    return
                self.client.ask("POST", *unit)
                with self.lock:
                    self.done += 1
        except (Failed, OSError) as error:
            self.failure = error

    def __enter__(self):
        self.began = time.monotonic()
        self.threads = [threading.Thread(target=self.post) for _ in range(CONNECTIONS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.began
        self.ends.set()
        for thread in self.threads:
            thread.join()
        self.rate = self.done * self.backlog.kind.at_once / took
        if self.failure and not kind:
            raise Failed(f"what was to be derived was not taken: {self.failure}")


def shown_s(kind, client, number):
    """From the answer of the request that derives something until a question has it."""
    kind.mark(client, number)
    began = time.monotonic()
    while time.monotonic() - began < PROBE_S_MAX:
        with contextlib.suppress(Failed):  # 503
            if kind.shows(client, number):
                return time.monotonic() - began
        time.sleep(PROBE_PAUSE_S)
    raise Failed(f"what was derived was not shown within {PROBE_S_MAX} s")


def measure_shown(kind, service, backlog, half):
    longest, each, loads = [], [], []
    service.start()
    wait_for("a server that has all", service.is_level)
    client = KeptOpen(service.address)
    for number in range(ROUNDS):
        load = Load(backlog, half / kind.at_once, max(1, int(PROBES * half / kind.at_once)))
        with load:
            took = [shown_s(kind, client, number * PROBES + probe) for probe in range(PROBES)]
        wait_for("a server that has all", service.is_level)
        longest.append(max(took))
        each.extend(took)
        loads.append(load.rate)
    show_figures("derived, the server away", backlog.derived, f"{kind.values}/s")
    show_figures("derived meanwhile, half the load", loads, f"{kind.values}/s")
    show("what is derived is shown after, median", bars.Figures(each).median, "s")
    tell_longest(kind.names()[-1], bars.Figures(longest), bars.Figures(loads).median / half)


def tell_longest(what, longest, share):
    """`share`: of the load that was wanted, how much there was. Less of it may have been too late all the same."""
    if share < LEAST_LOAD and longest.median <= SHOWN_BAR_S:
        bars.missing(what, f"only {share:.0%} of the load came in, and with that it took {longest.median:.2f} s")
        return
    show("the longest of a round, median", longest.median, "s",
         f"{longest.spread()}; {bars.at_most(what, longest, SHOWN_BAR_S, ' s')}")


def measure_kind(build, folder, kind, count):
    with bars.part(f"carried to {kind.title}", *kind.names()), contextlib.ExitStack() as stack:
        told, missing = stack.enter_context(beside.server(kind.name))
        if missing:
            bars.all_missing(f"no server: {missing}")
            return
        folder.mkdir()
        options = kind.options(told)
        service = Derives(stack, build, folder, kind, options)
        backlog = Backlog(stack, service, kind, count or kind.backlog)
        title(f"Carried to {kind.title}: {backlog.count:,} {kind.values} each time, {kind.at_once:,} in a unit of work, "
              f"{ROUNDS} rounds in turn")
        loader = kind.load(build, folder, told, pages_of(kind, service, backlog, told))
        rates = measure_backlog(kind, backlog, loader, options["port"])
        load = min(bars.Figures(rates).median, bars.Figures(backlog.derived).median)
        measure_shown(kind, service, backlog, load / 2)


def measure(build, folder, count):
    """`count`: of each backlog; None: as many as take some seconds."""
    (folder / "carried").mkdir()
    for kind in KINDS:
        measure_kind(build, folder / "carried" / kind.name, kind, count)
