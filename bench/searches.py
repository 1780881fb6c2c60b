# SPDX-License-Identifier: Apache-2.0
"""Search beside a service's rows: how many books a second get in, with and without being searched, beside a program that
fills FTS5 alone with the same ones; and how long a question takes.

    bench/run BUILD --only searches"""

import concurrent.futures
import contextlib
import json
import sqlite3
import statistics
import time

import bars
from common import CONSTANT, NAMES, KeptOpen, Service, load, show, title

BOOKS, AT_ONCE = 100_000, 100
CONNECTIONS = 8
ASKED = 400  # questions of a kind
BAR_IN, BAR_P99_MS = 20_000, 10  # where CONSTANT answers a second are given
LOADED, LOAD_S = 64, 3
# By how many of the books have them: some 0.5 %, 2 % and most.
QUESTIONS = (("a rare word", "word4000"), ("two words", "word40 word90"), ("a word of most books", "word0"))


def filled(shelf, searched):
    """Books a second."""
    client = KeptOpen(shelf.address)

    def add(number):
        client.ask("POST", f"/books/{number}", json.dumps({"searched": searched}))
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(add, range(1, BOOKS, AT_ONCE)))
    return BOOKS / (time.monotonic() - began)


def fts5_alone(shelf, folder):
    """The same books a second into an FTS5 table, by one connection, a transaction for each hundred; made beforehand."""
    client = KeptOpen(shelf.address)
    books = [json.loads(client.ask("GET", f"/books/{number}")) for number in range(1, BOOKS, AT_ONCE)]
    store = sqlite3.connect(folder / "alone.db", isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    store.execute("CREATE VIRTUAL TABLE books USING fts5(title, text, shelf UNINDEXED, year UNINDEXED)")
    began = time.monotonic()
    for hundred in books:
        store.execute("BEGIN")
        store.executemany("INSERT INTO books (rowid, title, text, shelf, year) VALUES (:id, :title, :text, :shelf, :year)",
                          hundred)
        store.execute("COMMIT")
    rate = BOOKS / (time.monotonic() - began)
    store.close()
    return rate


def asked_ms(shelf, text):
    """Of one connection: the median, the 99th of a hundred, and how many books were found."""
    client, path = KeptOpen(shelf.address), "/search?q=" + text.replace(" ", "+")
    took, total = [], 0
    for _ in range(ASKED):
        began = time.monotonic()
        answer = client.ask("GET", path)
        took.append((time.monotonic() - began) * 1000)
        total = json.loads(answer)["total"]
    return statistics.median(took), statistics.quantiles(took, n=100)[98], total


def constant_answers(build, folder):
    """A second, on this machine: its bars are for one as fast as that."""
    orders = Service(build / "bench" / NAMES["orders"], "orders", folder)
    try:
        orders.start()
        return load(orders.url + "/constant", LOADED, LOAD_S)
    finally:
        orders.close()


def measure(build, folder):
    rate_of, p99_of = "books in, searched", "p99 of a question for two words"
    with contextlib.ExitStack() as stack, bars.part("searches", rate_of, p99_of):
        (folder / "searches").mkdir()
        plain, shelf = (Service(build / "bench" / "bench_shelf", "shelf", folder / "searches" / name)
                        for name in ("plain", "shelf"))
        for service in (plain, shelf):
            stack.callback(service.close)
            service.start()
        constant = constant_answers(build, folder / "searches" / "orders")
        least, most_ms = BAR_IN * constant / CONSTANT, BAR_P99_MS * CONSTANT / constant
        title(f"Search: {BOOKS:,} books of 65 words, {AT_ONCE} in a unit of work, {CONNECTIONS} connections")
        show("constant answer", constant, "requests/s", f"the bars are for {CONSTANT:,}, and scaled by that")
        show("books in, as rows alone", filled(plain, False), "books/s")
        rate = filled(shelf, True)
        show(rate_of, rate, "books/s", bars.at_least(rate_of, rate, least, " books/s"))
        show("the same into FTS5 alone, by Python", fts5_alone(plain, folder / "searches"), "books/s")
        for kind, text in QUESTIONS:
            median, p99, total = asked_ms(shelf, text)
            beside = f"p99 {p99:.1f} ms; of {total:,} found"
            if kind == "two words":
                beside += f"; {bars.at_most(p99_of, p99, most_ms, ' ms')}"
            show(f"a question for {kind}", median, "ms", beside)
