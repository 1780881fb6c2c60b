# SPDX-License-Identifier: Apache-2.0
"""Sums and different values of millions of facts: in a service's own store, while orders come in that must not notice; and
on ClickHouse, beside the same statement without FINAL. Both are filled past the service, with what its requests would
have left (bench/sales).

    bench/run BUILD --only columns"""

import contextlib
import json
import os
import sqlite3
import subprocess
import threading
import time

import bars
import beside
import recorded
from buses import wait_for
from carried import Derives, Facts
from common import ORDER, Failed, KeptOpen, Service, load, show, title
from filling import fill
from loaders import ask_server
from rivals import ROUNDS, latencies_us
from turns import show_figures

ASKED_BAR_S, P99_BAR, FINAL_BAR = 5, 1.5, 3
ASKED, P99 = "sums and different values of all facts, embedded", "p99 of orders while facts are summed up, times at rest"
FINAL = "columns on ClickHouse, times the same without FINAL"
RATE, RATE_S = 1000, 3  # orders a second, or half of what can be had
GROWING = 3  # rounds before the log is as long as it gets
CONNECTIONS = 64
PART_ROWS = 100_000  # of ClickHouse's, which it merges as it likes
CATEGORIES, CUSTOMERS, PRICES = 20, 30_011, 9_973

# As add_facts of bench/sales has them, one in each millisecond.
FACTS = (f"INSERT INTO fh_derived_{{number}} (at, seq, f0, f1, f2) WITH RECURSIVE numbers (n) AS (SELECT ?1 UNION ALL"
         f" SELECT n + 1 FROM numbers WHERE n < ?2) SELECT n, 1, 'c' || n % {CATEGORIES}, n * 7919 % {CUSTOMERS},"
         f" n * 31 % {PRICES} FROM numbers")
FACTS_OF_CLICKHOUSE = (
    "INSERT INTO {table} (fh_kind, fh_at, fh_key, fh_position, category, customer, cents) SELECT 1, toInt64(number) + 1,"
    " concat('1@', toString(number + 1)), toInt64(intDiv(number, 1000)) + 1,"
    f" concat('c', toString((number + 1) % {CATEGORIES})), toInt64((number + 1) * 7919 % {CUSTOMERS}),"
    f" toInt64((number + 1) * 31 % {PRICES}) FROM numbers({{count}})")


def asked_s(client, facts):
    """How long the question takes."""
    began = time.monotonic()
    rows = json.loads(client.ask("GET", "/sums"))["rows"]
    took = time.monotonic() - began
    if sum(row[2] for row in rows) != facts:
        raise Failed(f"of {facts:,} facts the answer has {sum(row[2] for row in rows):,}")
    return took


# ---- In the service's own store ------------------------------------------------------------------

class Asked:
    """One question after the other, until it is left; at least one."""

    def __init__(self, service, facts):
        self.service, self.facts = service, facts
        self.took, self.failure, self.ends = [], None, threading.Event()

    def ask(self):
        client = KeptOpen(self.service.address)
        try:
            while not self.took or not self.ends.is_set():
                self.took.append(asked_s(client, self.facts))
        except (Failed, OSError) as error:
            self.failure = error

    def __enter__(self):
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.ends.set()
        self.thread.join()
        if self.failure and not kind:
            raise self.failure


@contextlib.contextmanager
def computing():
    """A process that keeps a processor busy as far as nobody else wants it: what two busy processors alone do to p99."""
    process = subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"],
                               preexec_fn=lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def filled(stack, build, folder, facts):
    service = Service(build / "bench" / "bench_sales", "sales", folder / "store")
    stack.callback(service.close)
    service.start().ask("POST", "/orders", ORDER)
    service.stop()
    with contextlib.closing(sqlite3.connect(service.folder / "store.db")) as store:
        number, = store.execute("SELECT number FROM fh_derived WHERE name = 'sold'").fetchone()
    took = fill(build, service, facts, FACTS.format(number=number))
    show("filled, past the service", facts / took, "facts/s")
    return service.start()


@bars.part("columns, embedded", ASKED, P99)
def measure_embedded(build, folder, facts):
    with contextlib.ExitStack() as stack:
        title(f"Columns, embedded: sums and different values of {facts:,} facts while orders come in, {ROUNDS} rounds in turn")
        service = filled(stack, build, folder, facts)
        asked_s(KeptOpen(service.address), facts)
        rate = min(RATE, load(service.url + "/orders", CONNECTIONS, 1, "order") / 2)
        show("orders meanwhile", rate, "works/s")
        rest, meanwhile, beside_computing, longest = [], [], [], []

        def at_rest():
            rest.append(latencies_us(build, service.url, rate, RATE_S)[1])

        def while_asked():
            with Asked(service, facts) as asked:
                meanwhile.append(latencies_us(build, service.url, rate, RATE_S)[1])
            longest.append(max(asked.took))

        def beside_what_only_computes():
            with computing():
                beside_computing.append(latencies_us(build, service.url, rate, RATE_S)[1])

        # While a question is answered the log can't begin anew. It gets longer than it was: until it has its length,
        # each commit has to wait for room in the file system as well.
        sides = [at_rest, beside_what_only_computes, while_asked]
        for _ in range(GROWING):
            while_asked()
        show_figures("p99 while the log gets longer than it was before", meanwhile, "us")
        meanwhile.clear()
        longest.clear()
        for number in range(ROUNDS):
            for side in reversed(sides) if number % 2 else sides:
                side()
        show_figures("the longest question of a round", longest, "s",
                     bars.at_most(ASKED, bars.Figures(longest), ASKED_BAR_S, " s"))
        show_figures("p99 of an order and its event at rest", rest, "us")
        show_figures("p99 beside a process that only computes", beside_computing, "us",
                     f"{bars.Ratios(beside_computing, rest).told()}: it gives way at once, too (SCHED_IDLE)")
        ratios = bars.Ratios(meanwhile, rest)
        show_figures("p99 while questions are asked", meanwhile, "us", ratios.told(), bars.at_most(P99, ratios, P99_BAR, " x"))


# ---- On ClickHouse ---------------------------------------------------------------------------------

class Statements:
    """By HTTP, as the user that tools/servers has made."""

    def __init__(self, told):
        self.url = f"http://{told['host']}:{told['port']}"
        self.user = {"X-ClickHouse-User": told["user"], "X-ClickHouse-Key": told["password"]}

    def run(self, statement, path="/"):
        return ask_server(self.url + path, statement.encode(), headers=self.user, text=False)

    def settled(self):
        return self.run("SELECT count() FROM system.merges").strip() == b"0"


def question_of(service, told):
    """What the service asks the server: its path and its statement. It makes its table by the way."""
    recorder = recorded.by_http(told["host"], told["port"])
    try:
        service.start_at(recorder.port)
        wait_for("a derived store that is made", service.is_level)
        asked_s(KeptOpen(service.address), 0)
        return next((request.path, request.body.decode()) for request in recorder.taken
                    if b" FINAL WHERE fh_kind = 1 " in request.body)
    finally:
        recorder.close()


def measure_final(service, server, question, facts):
    path, statement = question
    client, ours, without = KeptOpen(service.address), [], []
    answer = sorted(server.run(statement, path))  # groups come in no order

    def ask_without():
        began = time.monotonic()
        found = server.run(statement.replace(" FINAL ", " "), path)
        without.append((time.monotonic() - began) * 1000)
        if sorted(found) != answer:
            raise Failed("without FINAL the answer is another one")

    sides = [lambda: ours.append(asked_s(client, facts) * 1000), ask_without]
    for side in sides:
        side()  # once each for what is read from the disk
    ours.clear()
    without.clear()
    for number in range(ROUNDS):
        for side in reversed(sides) if number % 2 else sides:
            side()
    ratios = bars.Ratios(ours, without)
    show_figures("asked by the service", ours, "ms", ratios.told(), bars.at_most(FINAL, ratios, FINAL_BAR, " x"))
    show_figures("the same statement without FINAL", without, "ms")


@bars.part("columns, ClickHouse", FINAL)
def measure_clickhouse(build, folder, facts):
    with contextlib.ExitStack() as stack:
        told, missing = stack.enter_context(beside.server("clickhouse"))
        if missing:
            bars.all_missing(f"no server: {missing}")
            return
        kind = Facts("clickhouse", "ClickHouse", "sales", "sold", 1000, 0, None, "facts")
        service = Derives(stack, build, folder, kind, kind.options(told))
        server = Statements(told)
        title(f"Columns on ClickHouse: sums and different values of {facts:,} facts, {ROUNDS} rounds in turn")
        question = question_of(service, told)
        table = question[1].partition(" FROM ")[2].partition(" FINAL ")[0]
        began = time.monotonic()
        server.run(FACTS_OF_CLICKHOUSE.format(table=table, count=facts),
                   f"/?max_block_size={PART_ROWS}&min_insert_block_size_rows={PART_ROWS}&min_insert_block_size_bytes=0")
        show("filled, past the service", facts / (time.monotonic() - began), "facts/s")
        wait_for("a server that has merged", server.settled, 0.5)
        service.start_at(told["port"])
        wait_for("a derived store that can be asked", service.is_level)
        measure_final(service, server, question, facts)


def measure(build, folder, facts):
    for name, measure_one in (("embedded", measure_embedded), ("clickhouse", measure_clickhouse)):
        (folder / "columns" / name).mkdir(parents=True)
        measure_one(build, folder / "columns" / name, facts)
