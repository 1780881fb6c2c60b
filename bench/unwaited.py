# SPDX-License-Identifier: Apache-2.0
"""Sagas of three steps that begin faster than they can end: how many end a second then, against how many end when
each is waited for, in turn. Those that begin come from an open loop (openload), at TIMES the rate that the same round
has just reached, and are not waited for; what ends is what orders says of itself at two moments while they begin.
What is left behind has ended before the next round. Who begins too fast may be refused with 503 and Retry-After; that
is not failing."""

import contextlib
import json
import os
import subprocess
import time

import bars
from common import NAMES, ORDER, PATIENCE_S, Failed, load, times, title
from postgresql import Server
from rivals import ROUNDS
from sagas import CONNECTIONS, CONNECTIONS_TO_STORE, WAITED, services
from turns import show_figures

TIMES = 1.6
BAR = 0.9
BEGINNING_CONNECTIONS = 256
ANSWERED_MS = 10_000
LEAD_S = 1  # they begin for so long before what ends is counted


def ended(orders):
    """When it was asked, and how many have ended."""
    before = time.monotonic()
    sagas = orders.state()["sagas"]
    return (before + time.monotonic()) / 2, sagas["ended"]


def drain(orders):
    """However many they are: it goes on as long as some end."""
    seen, ends = -1, 0
    while (sagas := orders.state()["sagas"])["running"] + sagas["compensating"]:
        if sagas["ended"] > seen:
            seen, ends = sagas["ended"], time.monotonic() + PATIENCE_S
        if time.monotonic() > ends:
            raise Failed(f"sagas do not end: {sagas}")
        time.sleep(0.1)
    if sagas["parked"] or sagas["undone"]:
        raise Failed(f"sagas that should have succeeded did not: {sagas}")


def begun_of(lines):
    """How many of openload's requests have begun something, as it was told in time; others may not have been sent."""
    slots = [[int(word) for word in line.split()[2:7]] for line in lines]
    if not slots:
        raise Failed("openload said nothing")
    _, ok, late, shed, failed = map(sum, zip(*slots))
    if failed:
        raise Failed(f"{failed:,} that should have begun were answered with an error, {ok:,} begun, {late:,} late, "
                     f"{shed:,} shed")
    return ok


class Beginning:
    """Sagas begin at `rate` a second, for so long, whether or not they end. Then `begun`: how many have, a second."""

    def __init__(self, build, orders, rate, seconds):
        self.seconds, self.begun = seconds, 0
        self.process = subprocess.Popen(
            [build / "bench" / "openload", orders.address.rpartition(":")[2], str(BEGINNING_CONNECTIONS),
             str(ANSWERED_MS), "100", json.dumps(ORDER), "/purchases", f"{rate:.1f}:{seconds * 1000}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """The answers that are due are waited for."""
        try:
            said, wrong = self.process.communicate(timeout=self.seconds + ANSWERED_MS / 1000 + PATIENCE_S)
        finally:
            self.process.kill()
            self.process.wait()
        if self.process.returncode:
            raise Failed(f"openload failed: {wrong}")
        self.begun = begun_of(said.splitlines()) / self.seconds


def ended_while_beginning(build, orders, rate, seconds):
    """How many end a second, and how many begin."""
    with Beginning(build, orders, rate, seconds + LEAD_S + 1) as beginning:
        time.sleep(LEAD_S)
        before, first = ended(orders)
        time.sleep(seconds)
        after, last = ended(orders)
    drain(orders)
    return (last - first) / (after - before), beginning.begun


def what_of(where):
    return f"sagas that end while others begin {TIMES} times as fast, {where}"


def measure_one(build, orders, where, seconds):
    title(f"Sagas of three steps, {where}: those that end while others begin {TIMES} times as fast, {ROUNDS} rounds")
    waited, meanwhile, begun = [], [], []
    for _ in range(ROUNDS):
        waited.append(load(orders.url + "/purchases", CONNECTIONS, seconds, "order", WAITED))
        rates = ended_while_beginning(build, orders, waited[-1] * TIMES, seconds)
        meanwhile.append(rates[0])
        begun.append(rates[1])
    ratios = bars.Ratios(meanwhile, waited)
    show_figures(f"each waited for, {CONNECTIONS} connections", waited, "sagas/s")
    show_figures("not waited for: begun", begun, "sagas/s")
    show_figures("not waited for: ended meanwhile", meanwhile, "sagas/s", f"{ratios.told()} waited for",
                 bars.at_least(what_of(where), ratios, BAR))


@bars.part("unwaited, embedded", what_of("embedded"))
def measure_embedded(build, place, seconds):
    with contextlib.ExitStack() as stack:
        measure_one(build, services(build, place, None, stack), "embedded", seconds)


@bars.part("unwaited, PostgreSQL", what_of("PostgreSQL"))
def measure_postgresql(build, place, seconds):
    told = os.environ.get("FREEHOLD_TEST_POSTGRESQL")
    if not told:
        bars.all_missing("no server: run it as `tools/servers run bench/run BUILD`")
        return
    server = Server(json.loads(told))

    def store(name):
        return {"engine": "postgresql", "store": {**server.store(NAMES[name]), "connections": CONNECTIONS_TO_STORE,
                                                  "tls": {"mode": "off"}}}

    with contextlib.ExitStack() as stack:
        measure_one(build, services(build, place, store, stack), "PostgreSQL", seconds)


def measure(build, folder, seconds):
    for name, measure_one_of in (("embedded", measure_embedded), ("postgresql", measure_postgresql)):
        (folder / "unwaited" / name).mkdir(parents=True)
        measure_one_of(build, folder / "unwaited" / name, seconds)
