# SPDX-License-Identifier: Apache-2.0
"""The rates of two builds, in turn: both are up, and are loaded one right after the other, first the one, then the other of
them, so that what the machine does meanwhile meets both alike."""

import contextlib
import pathlib
import statistics
import tempfile

import judge
from common import NAMES, ORDER, Service, load, processor_s, times, title

PAIRS, SECONDS, CONNECTIONS = 12, 1, 64
LOADS = {"constant": ("constant answer", "/constant", "get"), "row": ("row read", "/orders/1", "get"),
         "order": ("order + event", "/orders", "order")}


def started(build, place, stack):
    service = Service(build.program(NAMES["orders"]), "orders", place)
    service.home, service.environment = build.home, build.environment
    stack.callback(service.close)
    service.start()
    service.ask("POST", "/orders", ORDER)
    return service


def measured(service, path, what):
    """Requests a second; requests a second of processor time, which vary less."""
    before = processor_s(service.process.pid)
    rate = load(service.url + path, CONNECTIONS, SECONDS, what)
    return rate, rate * SECONDS / (processor_s(service.process.pid) - before)


def compare(base, build, plant=None):
    """How many rates are lower. `plant`: in what the build gets slower by a tenth of the processor time."""
    worse = 0
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-check-", dir=build.folder)))
        for side in ("old", "new"):
            (folder / side).mkdir()
        old = started(base, folder / "old" / "orders", stack)
        if plant:
            _, path, what = LOADS[plant]
            measured(old, path, what)
            _, per_processor_s = measured(old, path, what)
            build.environment = {**build.environment, "PLANT": f"{plant} {0.1e9 / per_processor_s:.0f} ns"}
        new = started(build, folder / "new" / "orders", stack)
        title(f"Rates of the two builds in turn, {CONNECTIONS} connections, {PAIRS} pairs")
        for name, path, what in LOADS.values():
            pairs = []
            for i in range(PAIRS):
                sides = (old, new) if i % 2 else (new, old)
                taken = {side is new: measured(side, path, what) for side in sides}
                pairs.append([now / was for was, now in zip(taken[False], taken[True])])
            for ratios, unit in zip(zip(*pairs), ("a second", "a second of processor time")):
                slower = judge.is_slower(ratios)
                worse += slower
                print(f"{'WORSE' if slower else 'as before':<10} {name}, {unit}: {times(statistics.median(ratios))}"
                      f" (half of the pairs {' to '.join(f'{of:.2f}' for of in statistics.quantiles(ratios)[::2])};"
                      f" by chance {judge.chance_of_rank_sum(ratios):.4f})")
    return worse
