# SPDX-License-Identifier: Apache-2.0
"""What has become of a service after millions: its rate and memory with an almost empty store and with a full one, in
turn; with an outbox that nobody has trimmed; and what is felt while it is trimmed. Stores are filled by bench/store,
past the service that is stopped, with what the same number of requests would have left; servers by statements of
their own. Each round starts both sides anew, so that neither has more behind it."""

import contextlib
import json
import os
import pathlib
import shutil
import time

import bars
import starts
from common import NAMES, ORDER, Failed, Service, load, show, times, title
from feeds import Numbered
from filling import (ALL_TRIMMED, COUNTER, EVENTS, FILL_S_MAX, FIRST_EVENT, LAST_OF_KEYS, NONE_TRIMMED, ORDERS, fill,
                     placed)
from overload import dirty_kb
from postgresql import Server
from rivals import ROUNDS, latencies_us
from turns import show_figures

CONNECTIONS = 64
CONNECTIONS_TO_STORE = 16
RATE_BAR, MEMORY_BAR, LATENCY_BAR = 0.9, 1.1, 1.2
TRIMS_WITHIN_S = 20
MEMORY_AFTER = 50_000  # orders: as many on both sides, or more than what caches hold
KEPT = {"events_max": 1_000_000_000, "events_kept_ms": 3_600_000_000}  # nothing is trimmed
TRIMMED = {"events_max": 1_000_000_000, "events_kept_ms": 0}

# ---- The rate, and memory ----------------------------------------------------------------------------

def loaded(service, seconds):
    """Works a second, and the written memory after them, in KB."""
    service.start()
    try:
        service.ask("POST", "/orders", ORDER)
        before = service.state()["position"]
        rate = load(service.url + "/orders", CONNECTIONS, seconds, "order")
        while service.state()["position"] - before < MEMORY_AFTER:
            load(service.url + "/orders", CONNECTIONS, 1, "order")
        return rate, dirty_kb(service.process.pid)
    finally:
        service.stop()


def in_rounds(few, many, seconds):
    """`few()` makes a service that has nothing yet. Rates and memory of both, each round's."""
    sides = {"few": [], "many": []}
    for number in range(ROUNDS):
        for name in ("many", "few") if number % 2 else ("few", "many"):
            service = many if name == "many" else few()
            sides[name].append(loaded(service, seconds))
            if name == "few":
                service.close()
    return {name: tuple(zip(*of)) for name, of in sides.items()}


def tell_rates(what, few, many, where):
    ratios = bars.Ratios(many, few)
    show_figures("an almost empty store", few, "works/s")
    show_figures(where, many, "works/s", ratios.told(), bars.at_least(what, ratios, RATE_BAR))


def what_of(store, where):
    return f"order and event, {store}, {where}"


def bars_of(rows):
    """By the store."""
    embedded = [what_of("embedded", f"{rows:,} {what}") for what in ("orders later", "events untrimmed")]
    server = what_of("PostgreSQL", f"{rows:,} events untrimmed")
    return {"embedded": (*embedded, *(f"{each}: written memory" for each in embedded), TRIMMED_BAR),
            "postgresql": (server, f"{server}: p99 at half the rate"), "starts": ()}


def measure_rounds(few, many, seconds, where):
    what = what_of("embedded", where)
    sides = in_rounds(few, many, seconds)
    tell_rates(what, sides["few"][0], sides["many"][0], where)
    grown = bars.Ratios(sides["many"][1], sides["few"][1])
    show_figures("written memory then, an almost empty store", [kb / 1024 for kb in sides["few"][1]], "MB")
    show_figures(f"the same, {where}", [kb / 1024 for kb in sides["many"][1]], "MB", grown.told(),
                 bars.at_most(f"{what}: written memory", grown, MEMORY_BAR, " x"))


# ---- Latency while events are trimmed -----------------------------------------------------------------

def trimmed(service):
    return service.state().get("trimmed", 0)


def p99_us(build, service, rate, seconds):
    return latencies_us(build, service.url, rate, seconds)[1]


def while_trimmed(build, service, rate, seconds):
    """p99 in us, and how many events were trimmed a second meanwhile. Whatever is left must last."""
    service.retention = TRIMMED
    service.start()
    began, before = time.monotonic(), trimmed(service)
    while (first := trimmed(service)) == before:
        if time.monotonic() - began > TRIMS_WITHIN_S:
            raise Failed(f"nothing was trimmed within {TRIMS_WITHIN_S} s: {service.state()}")
        time.sleep(0.02)
    began = time.monotonic()
    p99 = p99_us(build, service, rate, seconds)
    state = service.state()
    service.stop()
    left = state["position"] - state["trimmed"]
    return p99, (state["trimmed"] - first) / (time.monotonic() - began), left


TRIMMED_BAR = "p99 at half the top rate while events are trimmed, times without"


def measure_trimmed(build, service, seconds):
    title(f"Latency of an order and its event while old events are trimmed, {ROUNDS} rounds in turn")
    quiet, meanwhile, removed, rates = [], [], [], []
    for _ in range(ROUNDS):
        service.retention = KEPT
        service.start()
        rates.append(load(service.url + "/orders", CONNECTIONS, max(1, seconds // 2), "order") / 2)
        quiet.append(p99_us(build, service, rates[-1], seconds))
        service.stop()
        p99, a_second, left = while_trimmed(build, service, rates[-1], seconds)
        if left < rates[-1]:  # less than a second's events: the trimming has caught up
            break
        meanwhile.append(p99)
        removed.append(a_second)
    if not meanwhile:
        bars.missing(TRIMMED_BAR, "all was trimmed before the first round was over: take more --rows")
        return
    ratios = bars.Ratios(meanwhile, quiet[:len(meanwhile)])
    show_figures("at", rates, "works/s", f"rounds: {len(meanwhile)}")
    show_figures("p99 with nothing to trim", quiet, "us")
    show_figures("events trimmed", removed, "events/s", "slices of 500, one after the other")
    show_figures("p99 meanwhile", meanwhile, "us", ratios.told(),
                 bars.at_most(TRIMMED_BAR, ratios, LATENCY_BAR, " x"))


def gigabytes(service):
    return f"{(service.folder / 'store.db').stat().st_size / 1e9:.1f} GB now"


def measure_embedded(build, folder, seconds, rows):
    places = Numbered(folder)
    with contextlib.ExitStack() as stack:
        def service():
            made = Service(build / "bench" / NAMES["orders"], "orders", places.next("orders") / "store")
            stack.callback(made.close)
            made.retention = KEPT
            return made

        many = placed(service())
        title(f"Order and event, embedded, {rows:,} orders later, whose events are trimmed, {ROUNDS} rounds in turn")
        took = fill(build, many, rows, ORDERS, LAST_OF_KEYS, COUNTER)
        fill(build, many, 1, *ALL_TRIMMED)
        show("filled, past the service", rows / took, "orders/s", gigabytes(many))
        measure_rounds(service, many, seconds, f"{rows:,} orders later")
        title(f"Order and event, embedded, with {rows:,} events that nobody has trimmed, {ROUNDS} rounds in turn")
        took = fill(build, many, rows, EVENTS)
        fill(build, many, 1, FIRST_EVENT, *NONE_TRIMMED)
        show("filled, past the service", rows / took, "events/s", gigabytes(many))
        measure_rounds(service, many, seconds, f"{rows:,} events untrimmed")
        measure_trimmed(build, many, seconds)


# ---- PostgreSQL ------------------------------------------------------------------------------------

# Beside the service's own first order. Ids of events ascend, as those that services make do.
FILL_POSTGRESQL = (
    """INSERT INTO fh_outbox (position, event_id, type, version, key, time_ms, data, trace)
       SELECT n, '00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'), type, version, n, time_ms,
              replace(data, '"id":1,', '"id":' || n || ','), trace
       FROM generate_series(2, {rows}) AS n, (SELECT * FROM fh_outbox WHERE position = 1) AS first""",
    "INSERT INTO fh_place (key, position) SELECT n, n FROM generate_series(2, {rows}) AS n",
    "INSERT INTO orders (user_id, product_id, quantity, total, status) SELECT 7, 'p-1', 2, 5998, 'PLACED'"
    " FROM generate_series(2, {rows})",
    "UPDATE fh_counter SET position = {rows}, drawn = -1",
    "VACUUM (FREEZE, ANALYZE)", "CHECKPOINT")


def measure_postgresql(build, folder, seconds, rows):
    rate_name = what_of("PostgreSQL", f"{rows:,} events untrimmed")
    told = os.environ.get("FREEHOLD_TEST_POSTGRESQL")
    if not told:
        bars.all_missing("no server: run it as `tools/servers run bench/run BUILD`")
        return
    server, rates, p99 = Server(json.loads(told)), {"few": [], "many": []}, {"few": [], "many": []}
    with contextlib.ExitStack() as stack:
        sides = {}
        for name in rates:
            database = f"{NAMES['orders']}_{name}"
            stack.callback(server.sql, f"DROP DATABASE IF EXISTS {database}", timeout_s=FILL_S_MAX)
            store = {**server.store(database), "connections": CONNECTIONS_TO_STORE, "tls": {"mode": "off"}}
            (folder / name).mkdir()
            sides[name] = Service(build / "bench" / NAMES["orders"], "orders", folder / name / "store",
                                  {"engine": "postgresql", "store": store})
            stack.callback(sides[name].close)
            sides[name].retention = KEPT
            placed(sides[name])
        title(f"Order and event on PostgreSQL, with {rows:,} events that nobody has trimmed, {ROUNDS} rounds in turn")
        began = time.monotonic()
        for statement in FILL_POSTGRESQL:
            server.sql(statement.replace("{rows}", str(rows)), f"{NAMES['orders']}_many", timeout_s=FILL_S_MAX)
        show("filled, by statements of the server's own", rows / (time.monotonic() - began), "events/s")
        for each in sides.values():
            each.start().ask("POST", "/orders", ORDER)
        if (position := sides["many"].state()["position"]) < rows:
            raise Failed(f"an outbox of {rows:,} events was numbered up to {position:,} only")
        for number in range(ROUNDS):
            order = ("many", "few") if number % 2 else ("few", "many")
            for name in order:
                rates[name].append(load(sides[name].url + "/orders", CONNECTIONS, seconds, "order"))
            half = min(rates["few"][-1], rates["many"][-1]) / 2
            for name in order:
                p99[name].append(p99_us(build, sides[name], half, seconds))
    tell_rates(rate_name, rates["few"], rates["many"], f"{rows:,} events untrimmed")
    ratios = bars.Ratios(p99["many"], p99["few"])
    show_figures("p99 at half the rate, an almost empty store", p99["few"], "us")
    show_figures(f"the same, {rows:,} events untrimmed", p99["many"], "us", ratios.told(),
                 bars.at_most(f"{rate_name}: p99 at half the rate", ratios, LATENCY_BAR, " x"))


def measure(build, folder, seconds, rows):
    place = pathlib.Path(folder) / "long"
    parts = {"embedded": measure_embedded, "postgresql": measure_postgresql, "starts": starts.measure}
    for name, measure_one in parts.items():
        (place / name).mkdir(parents=True)
        with bars.part(f"long, {name}", *bars_of(rows)[name]):
            measure_one(build, place / name, seconds, rows)
        shutil.rmtree(place / name)  # before the next one fills the disk
