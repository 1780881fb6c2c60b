# SPDX-License-Identifier: Apache-2.0
"""Series beside a service's rows: how many points a second get in, of a few gauges and of many, beside a program that
fills a table of the same form alone; and how long a question for a curve takes.

    bench/run BUILD --only series"""

import concurrent.futures
import contextlib
import json
import sqlite3
import statistics
import time

import bars
from common import KeptOpen, Service, show, title

POINTS, AT_ONCE = 200_000, 1000
CONNECTIONS = 4
ASKED = 200  # questions of a kind
CURVE = 10_000  # points of one gauge
EVERY_MS = 1000
BAR_IN, BAR_P99_MS = 100_000, 20


def point_of(number, gauges):
    """Each gauge has one every second."""
    return {"gauge": f"g{number % gauges}", "site": f"s{number % 7}", "at_ms": number // gauges * EVERY_MS,
            "c": (number * 7919 % 4000) / 100}


def bodies_of(gauges):
    return [json.dumps({"points": [point_of(number, gauges) for number in range(first, first + AT_ONCE)]})
            for first in range(0, POINTS, AT_ONCE)]


def filled(service, bodies):
    """Points a second."""
    client = KeptOpen(service.address)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda body: client.ask("POST", "/points", body), bodies))
    return POINTS / (time.monotonic() - began)


def table_alone(folder, gauges):
    """The same points a second into a table of their own, by one connection, a transaction for each thousand."""
    thousands = [[tuple(point_of(number, gauges).values()) for number in range(first, first + AT_ONCE)]
                 for first in range(0, POINTS, AT_ONCE)]
    store = sqlite3.connect(folder / f"alone{gauges}.db", isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    store.execute("CREATE TABLE point (gauge, site, at, c, PRIMARY KEY (gauge, site, at)) WITHOUT ROWID")
    began = time.monotonic()
    for thousand in thousands:
        store.execute("BEGIN")
        store.executemany("INSERT OR REPLACE INTO point VALUES (?, ?, ?, ?)", thousand)
        store.execute("COMMIT")
    rate = POINTS / (time.monotonic() - began)
    store.close()
    return rate


def asked_ms(service, path):
    """Of one connection: the median, the 99th of a hundred, and how many points were answered."""
    client, took, answer = KeptOpen(service.address), [], b""
    for _ in range(ASKED):
        began = time.monotonic()
        answer = client.ask("GET", path)
        took.append((time.monotonic() - began) * 1000)
    points = sum(len(curve["points"]) for curve in json.loads(answer)["curves"])
    return statistics.median(took), statistics.quantiles(took, n=100)[98], points


def curve_path(intervals):
    return f"/curve?gauge=g3&from_ms=0&to_ms={CURVE * EVERY_MS}&every_ms={CURVE * EVERY_MS // intervals}"


def measure(build, folder):
    rate_of, p99_of = "points in, of 10 gauges", "p99 of a curve of 10,000 points in 100 intervals"
    with contextlib.ExitStack() as stack, bars.part("series", rate_of, p99_of):
        (folder / "series").mkdir()
        few, many = (Service(build / "bench" / "bench_gauges", "gauges", folder / "series" / name)
                     for name in ("few", "many"))
        for service in (few, many):
            stack.callback(service.close)
            service.start()
        title(f"Series: {POINTS:,} points, {AT_ONCE:,} in a unit of work, {CONNECTIONS} connections")
        rate = filled(few, bodies_of(10))
        show(rate_of, rate, "points/s", bars.at_least(rate_of, rate, BAR_IN, " points/s"))
        show("the same into a table alone, by Python", table_alone(folder / "series", 10), "points/s")
        show("points in, of 1,000 gauges", filled(many, bodies_of(1000)), "points/s")
        show("the same into a table alone, by Python", table_alone(folder / "series", 1000), "points/s")
        for intervals in (100, CURVE):
            median, p99, points = asked_ms(few, curve_path(intervals))
            beside = f"p99 {p99:.1f} ms; {points:,} answered"
            if intervals == 100:
                beside += f"; {bars.at_most(p99_of, p99, BAR_P99_MS, ' ms')}"
            show(f"a curve of {CURVE:,} points in {intervals:,} intervals", median, "ms", beside)
        median, p99, points = asked_ms(many, "/last")
        show("the last points of 1,000 gauges", median, "ms", f"p99 {p99:.1f} ms; {points:,} answered")
