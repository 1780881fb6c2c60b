# SPDX-License-Identifier: Apache-2.0
"""Events that were applied already are applied once more, by the subscription's own way: how many a second, beside those
of the first time.

    bench/run BUILD --only replays"""

import contextlib
import time

import bars
from common import Failed, heard, metric, title
from syncs import copied, sync_s, wait_for
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
    _, checked = sync_s(copy)
    if checked < EVENTS_COUNT:
        raise Failed(f"a sync behind a replay has compared {checked:,} of {EVENTS_COUNT:,} keys")


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
        orders, copy = copied(stack, build, folder / "replays", EVENTS_COUNT)
        title(f"Replay: {EVENTS_COUNT:,} events applied once more")
        first = rate_until(lambda: heard(copy, "orders") >= EVENTS_COUNT, "a copy that has everything")
        rates = []
        for _ in range(ROUNDS):
            await_equal_rows(copy)
            rates.append(replay(orders, copy))
        await_equal_rows(copy)
        show_figures("the first time", [first], "events/s")
        show_figures("once more", rates, "events/s", bars.at_least(bar, bars.Figures(rates), BAR, "/s"))
