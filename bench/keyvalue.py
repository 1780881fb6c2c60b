# SPDX-License-Identifier: Apache-2.0
"""Key-value stores: the shop's carts, changed through their API. Every update is durable when it is answered. On Redis
they are compared with Fastify and ioredis (bench/peer) on the same server, which syncs its log before each answer
(appendfsync always) for both."""

import base64
import contextlib
import json
import os
import pathlib
import tempfile

from common import Service, fdatasync_us, load, not_measured, processor_s, show, times, title
from peers import Node

CART_UPDATES_BAR = 25_000  # a second
CONNECTIONS = 64
ITEM = ("PUT", "/api/carts/7/items/p-1", {"quantity": 2})
USERS = 1000  # as in load.lua


def user_of(cart):
    """A header that says whose cart it is: a service without keys believes whoever states it. Fastify ignores it."""
    identity = json.dumps({"sub": str(cart), "via": "jwt", "iat": 1}, separators=(",", ":")).encode()
    return "Freehold-User: 1." + base64.urlsafe_b64encode(identity).rstrip(b"=").decode() + "." + "A" * 86


OWNERS = [[user_of(cart)] for cart in range(1, USERS + 1)]


class Carts(Service):
    """Of a model that has no migrations."""

    def config(self):
        return {name: value for name, value in super().config().items() if name != "migrations"}


def measure_carts(build, folder, seconds):
    """`PUT /api/carts/{user_id}/items/{product_id}` of 1,000 users' carts with 5 products each."""
    (folder / "carts").mkdir()
    carts = Carts(build / "examples" / "shop" / "carts", "carts", folder / "carts" / "carts")
    try:
        carts.start()
        title("Carts, embedded: an item put into a cart that expires, answered once on disk with the whole cart")
        sync_us = fdatasync_us(build, folder)
        alone = load(carts.url + "/api/carts", 1, seconds, "cart", OWNERS)
        show("one commit each (1 connection)", alone, "updates/s",
             f"each takes {times(1e6 / alone / sync_us)} a fdatasync")
        for connections in (64, 256):
            grouped = load(carts.url + "/api/carts", connections, seconds, "cart", OWNERS)
            show(f"commits shared ({connections} connections)", grouped, "updates/s",
                 f"{times(grouped / alone)} one commit each (bar: {CART_UPDATES_BAR:,}/s)")
        row = load(carts.url + "/api/carts/7", 64, seconds, headers=[OWNERS[6]])
        show("one cart read (64 connections)", row, "requests/s")
    finally:
        carts.close()


# ---- On Redis --------------------------------------------------------------------------------------

def measure_updates(url, pids, seconds):
    """Updates a second, and the processors' microseconds that each takes in these processes."""
    before = [processor_s(pid) for pid in pids]
    rate = load(url + "/api/carts", CONNECTIONS, seconds, "cart", OWNERS)
    return rate, [(processor_s(pid) - then) * 1e6 / (rate * seconds) for pid, then in zip(pids, before)]


def tell(name, rate, taken_us, unit, beside=""):
    service, server = taken_us
    took = f"{service:.0f} us of a processor each, the server's {server:.0f} us"
    show(name, rate, unit, f"{beside}{took}")


def measure(build, folder, seconds):
    told = json.loads(os.environ.get("FREEHOLD_TEST_REDIS", "null"))
    if not told:
        not_measured("Redis", "no server: run it as `tools/servers run bench/run BUILD`")
        return
    server = int(pathlib.Path(told["pid_file"]).read_text())
    place = pathlib.Path(folder) / "redis"
    place.mkdir()
    with contextlib.ExitStack() as stack:
        title(f"Carts on Redis: the same, {CONNECTIONS} connections; both sync the log before they answer")
        fdatasync_us(build, tempfile.gettempdir())  # where tools/servers has the server's folder
        theirs, peer = None, Node(build, "carts.js", {"REDIS": json.dumps(told)})
        stack.callback(peer.close)
        missing = peer.missing()
        if missing:
            not_measured("Fastify with ioredis", missing)
        else:
            peer.start(*ITEM)
            theirs, taken_us = measure_updates(peer.url, (peer.process.pid, server), seconds)
            tell("Fastify with ioredis", theirs, taken_us, "updates/s")
            read = load(peer.url + "/api/carts/7", CONNECTIONS, seconds, headers=[OWNERS[6]])
            peer.close()
        store = {name: told[name] for name in ("host", "port", "user", "password")}
        carts = Carts(build / "examples" / "shop" / "carts", "carts", place / "carts",
                      {"engine": "redis", "store": {**store, "database": "bench_carts", "connections": 8, "tls": {"mode": "off"}}})
        stack.callback(carts.close)
        carts.start()
        carts.ask(*ITEM, OWNERS[6])
        ours, taken_us = measure_updates(carts.url, (carts.process.pid, server), seconds)
        tell("Freehold", ours, taken_us, "updates/s", f"{times(ours / theirs)} Fastify (bar: 2); " if theirs else "")
        row = load(carts.url + "/api/carts/7", CONNECTIONS, seconds, headers=[OWNERS[6]])
        show("one cart read", row, "requests/s", f"{times(row / read)} Fastify" if theirs else "")
