# SPDX-License-Identifier: Apache-2.0
"""Events that were applied already are applied once more, by the subscription's own way: how many a second, beside those
of the first time.

    bench/run BUILD --only replays"""

import contextlib
import time

import bars
from common import Failed, Service, heard, metric, title
from filling import COUNTER, EVENTS, LAST_OF_KEYS, ORDERS, fill, placed
from syncs import KEPT, sync_of, wait_for
from turns import show_figures

EVENTS_COUNT = 500_000
ROUNDS = 3
BAR = 100_000


def rate_until(looks, what):
    began = time.monotonic()
    wait_for(what, looks)
    return EVENTS_COUNT / (time.monotonic() - began)


def is_replaying(copy):
    return "replayed" in copy.state()["subscriptions"][0]


def await_equal_rows(copy):
    """A sync that has just ended, and found nothing, looks at each row, and the next one is more than a minute away."""
    before = sync_of(copy)
    wait_for("a sync", lambda: sync_of(copy)["finished_ms"] > before["finished_ms"])
    after = sync_of(copy)
    if after["differed"] != before["differed"] or after["checked"] - before["checked"] < EVENTS_COUNT:
        raise Failed(f"a sync behind a replay says {after}, and {before} before it")


def replay(orders, copy):
    """Events a second, from the order to where the subscription follows again."""
    applied = metric(copy, "freehold_events_applied_total")
    start = orders.ask("GET", "/_freehold/events?after=0&limit=1", headers=["Freehold-From: operator"])
    copy.ask("POST", "/_freehold/replay",
             {"source": "orders", "incarnation": start["incarnation"], "position": 0, "id": start["after_id"],
              "effects": False}, headers=["Freehold-From: operator"])
    rate = rate_until(lambda: not is_replaying(copy), "the end of a replay")
    if (again := metric(copy, "freehold_events_applied_total") - applied) < EVENTS_COUNT:
        raise Failed(f"a replay of {EVENTS_COUNT:,} events has applied {again:,.0f}")
    return rate


def measure(build, folder):
    bar = f"replay of {EVENTS_COUNT:,} events, events/s"
    with contextlib.ExitStack() as stack, bars.part("replays", bar):
        (folder / "replays").mkdir()
        orders, copy = (Service(build / "bench" / f"bench_{name}", name, folder / "replays" / name)
                        for name in ("orders", "copy"))
        for service in (orders, copy):
            service.retention = KEPT
            stack.callback(service.close)
        fill(build, placed(orders), EVENTS_COUNT, ORDERS, EVENTS, LAST_OF_KEYS, COUNTER)
        orders.start()
        copy.peers = {"orders": orders.address}
        copy.start()
        title(f"Replay: {EVENTS_COUNT:,} events applied once more")
        first = rate_until(lambda: heard(copy, "orders") >= EVENTS_COUNT, "a copy that has everything")
        rates = []
        for _ in range(ROUNDS):
            await_equal_rows(copy)
            rates.append(replay(orders, copy))
        await_equal_rows(copy)
        show_figures("the first time", [first], "events/s")
        show_figures("once more", rates, "events/s", bars.at_least(bar, bars.Figures(rates), BAR, "/s"))
