# SPDX-License-Identifier: Apache-2.0
"""A million rows that a subscriber holds are compared with their publisher: how long it takes where nothing differs, and
what the publisher still does meanwhile.

    bench/run BUILD --only syncs"""

import contextlib
import statistics
import time

import bars
from common import Failed, Service, heard, load, show, title
from filling import COUNTER, EVENTS, LAST_OF_KEYS, ORDERS, fill, placed

KEYS = 1_000_000
SYNC_S = 90  # bench/copy's period: a sync begins at a moment of its own within it
PATIENCE_S = 600
BAR_S, BAR_RATE = 20, 0.95
KEPT = {"events_max": 1_000_000_000, "events_kept_ms": 3_600_000_000}


def sync_of(copy):
    return copy.state()["subscriptions"][0]["sync"]


def wait_for(what, looks, pause_s=0.01):
    until = time.monotonic() + PATIENCE_S
    while not looks():
        if time.monotonic() > until:
            raise Failed(f"{what} did not come about within {PATIENCE_S} s")
        time.sleep(pause_s)


def sync_s(copy):
    """From the beginning of the next sync to its end, and what it has checked."""
    wait_for("a moment without a sync", lambda: not sync_of(copy)["running"])
    before = sync_of(copy)
    wait_for("a sync that begins", lambda: sync_of(copy)["running"])
    began = time.monotonic()
    wait_for("a sync that ends", lambda: sync_of(copy)["finished_ms"] > before["finished_ms"])
    after = sync_of(copy)
    if after["differed"] != before["differed"] or "reason" in after:
        raise Failed(f"a sync of equal rows says {after}")
    return time.monotonic() - began, after["checked"] - before["checked"]


def rates(orders, copy):
    """The publisher's while nothing is compared, and while something is: loads of a second, for two syncs at least."""
    without, during = [], []
    until = time.monotonic() + 3 * SYNC_S
    while time.monotonic() < until:
        before = sync_of(copy)["running"]
        rate = load(orders.url + "/orders", 64, 1, "order")
        if before == sync_of(copy)["running"]:
            (during if before else without).append(rate)
        time.sleep(0.2)  # so that the copy is not always behind
    return without, during


def copied(stack, build, folder, count):
    """A publisher of so many orders, and a subscriber that has begun to copy them; both until `stack` is closed."""
    folder.mkdir()
    orders, copy = (Service(build / "bench" / f"bench_{name}", name, folder / name) for name in ("orders", "copy"))
    for service in (orders, copy):
        service.retention = KEPT
        stack.callback(service.close)
    fill(build, placed(orders), count, ORDERS, EVENTS, LAST_OF_KEYS, COUNTER)
    orders.start()
    copy.peers = {"orders": orders.address}
    copy.start()
    return orders, copy


def measure(build, folder):
    took, rate = "sync of 1,000,000 equal keys", "orders while a sync runs, times without"
    with contextlib.ExitStack() as stack, bars.part("syncs", took, rate):
        orders, copy = copied(stack, build, folder / "syncs", KEYS)
        wait_for("a copy that has everything", lambda: heard(copy, "orders") >= KEYS, 0.2)
        title(f"Sync: {KEYS:,} rows that a subscriber holds, compared with their publisher")
        syncs = [sync_s(copy) for _ in range(2)]
        if any(checked < KEYS for _, checked in syncs):
            raise Failed(f"of {KEYS:,} keys {[checked for _, checked in syncs]} were compared")
        seconds = statistics.median(each for each, _ in syncs)
        show(took, seconds, "s", bars.at_most(took, seconds, BAR_S, " s"))
        without, during = rates(orders, copy)
        if not without or not during:
            raise Failed(f"loads without a sync {len(without)}, with one {len(during)}")
        ratio = statistics.median(during) / statistics.median(without)
        show("orders while nothing is compared", statistics.median(without), "works/s")
        show("orders while a sync runs", statistics.median(during), "works/s",
             f"{ratio:.2f} x; {bars.at_least(rate, ratio, BAR_RATE)}")
