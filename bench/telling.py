# SPDX-License-Identifier: Apache-2.0
"""What telling costs, and what compression does: the same requests with it and without, in turn. A line for each
request in a service's log; an answer that is a fault's, with its line and its trace id; a list through the gateway for
clients that accept a coding and for one that accepts none."""

import contextlib
import http.client
import statistics

from common import Failed, Gateway, Service, processor_s, show, times, title
from walls import CONNECTIONS, ROUNDS, Loaded, compare

LISTED = 100      # products in an answer, as many as the route gives
ANSWERS = 500     # that one client takes of a coding in each round
CODINGS = ("identity", "gzip", "zstd")


class Telling(Service):
    """With a line for each request."""

    def config(self):
        return {**super().config(), "request_log": "all"}


def take_lists(gateway, coding):
    """One client takes ANSWERS lists, one after the other: how many were coded, a body's bytes, and what each answer
    took of the gateway's processor in us."""
    coded = size = 0
    connection = http.client.HTTPConnection(*gateway.listener.getsockname())
    before = processor_s(gateway.process.pid)
    for _ in range(ANSWERS):
        connection.request("GET", "/products", headers={"Accept-Encoding": coding})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Failed(f"the list was answered {answer.status}: {body[:200]!r}")
        if answer.headers.get("Content-Encoding", "identity") == coding:
            coded, size = coded + 1, len(body)
    took_us = (processor_s(gateway.process.pid) - before) * 1e6 / ANSWERS
    connection.close()
    if coded < ANSWERS:
        raise Failed(f"of {ANSWERS} lists {coded} were answered in {coding}")
    return size, took_us


def measure_compression(gateway, seconds):
    title(f"Compression: a list of {LISTED} products through the gateway, one client, {ROUNDS} rounds in turn")
    rounds = [{coding: take_lists(gateway, coding) for coding in CODINGS} for _ in range(ROUNDS)]
    for coding in CODINGS:
        size = rounds[0][coding][0]
        more_us = statistics.median(one[coding][1] - one["identity"][1] for one in rounds)
        show(coding, size, "bytes", "" if coding == "identity" else
             f"{times(size / rounds[0]['identity'][0])}; {more_us:.0f} us more of the gateway's processor each")
    title(f"Compression: the same list, {CONNECTIONS} connections, {ROUNDS} rounds in turn")
    compare([Loaded(coding, [gateway.process.pid], gateway.url + "/products", CONNECTIONS, seconds,
                    headers=[[f"Accept-Encoding: {coding}"]]) for coding in CODINGS], "requests/s", None)


def measure(build, folder, seconds):
    place, each_s = folder / "telling", max(1, seconds // 2)
    place.mkdir()
    with contextlib.ExitStack() as stack:
        def started(kind, *arguments):
            (place / kind.__name__).mkdir()
            made = kind(*arguments, place / kind.__name__ / "data")
            stack.callback(made.close)
            return made.start()

        program = build / "bench" / "bench_listing"
        silent, telling = started(Service, program, "listing"), started(Telling, program, "listing")
        for service in (silent, telling):
            for i in range(LISTED):
                product = {"name": f"Product {i}", "price": 100 + 7919 * i % 5000, "category": f"shelf {i % 7}"}
                service.ask("POST", "/products", product)

        title(f"Telling: a line for each request, one row read, {CONNECTIONS} connections, {ROUNDS} rounds in turn")
        compare([Loaded(told, [service.process.pid], service.url + "/products/1", CONNECTIONS, each_s)
                 for told, service in (("of failed ones alone", silent), ("of all, 200 a second at most", telling))],
                "requests/s", None)
        title(f"Telling: what fails, {CONNECTIONS} connections, {ROUNDS} rounds in turn")
        compare([Loaded(told, [silent.process.pid], silent.url + path, CONNECTIONS, each_s, fails=fails)
                 for told, path, fails in (("one row read", "/products/1", False), ("no such row: 404", "/products/0", True),
                                           ("a statement's fault: 500", "/products/1/fault", True))], "requests/s", None)
        gateway = Gateway(build / "freehold", place / "gateway", silent)
        stack.callback(gateway.close)
        measure_compression(gateway.start(), each_s)
