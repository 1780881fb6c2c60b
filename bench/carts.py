# SPDX-License-Identifier: Apache-2.0
"""Carts on Redis: the shop's, and in turn with them Fastify with ioredis and axum with redis (bench/peer), on one server
that syncs its log before each answer. What is measured and how is keyvalue.py's."""

import contextlib
import json
import os

import bars
from common import load, not_measured, title
from keyvalue import CONNECTIONS, ITEM, OWNERS, Carts
from peers import Node, Rust
from turns import OURS, in_turn, show_turns

BARS = {"axum with redis": 1.2, "Fastify with ioredis": 2.5}


@bars.part("carts", *(f"carts on Redis, times {name}" for name in BARS))
def measure(build, folder, seconds):
    told = json.loads(os.environ.get("FREEHOLD_TEST_REDIS", "null"))
    if not told:
        bars.all_missing("no server: run it as `tools/servers run bench/run BUILD`")
        return
    (folder / "carts-in-turn").mkdir()
    with contextlib.ExitStack() as stack:
        urls, environment = {}, {"REDIS": json.dumps(told)}
        for name, peer in (("axum with redis", Rust(build, "carts", environment)),
                           ("Fastify with ioredis", Node(build, "carts.js", environment))):
            stack.callback(peer.close)
            if missing := peer.missing():
                not_measured(name, missing)
            else:
                urls[name] = peer.start(*ITEM).url
        store = {name: told[name] for name in ("host", "port", "user", "password")}
        carts = Carts(build / "examples" / "shop" / "carts", "carts", folder / "carts-in-turn" / "store",
                      {"engine": "redis", "store": {**store, "database": "bench_turns", "connections": 8,
                                                    "tls": {"mode": "off"}}})
        stack.callback(carts.close)
        carts.start()
        carts.ask(*ITEM, OWNERS[6])
        urls = {OURS: carts.url, **urls}
        title(f"Carts on Redis, in turn: an item put into a cart, {CONNECTIONS} connections")
        changed = in_turn({name: lambda url=url: load(url + "/api/carts", CONNECTIONS, seconds, "cart", OWNERS)
                           for name, url in urls.items()})
        show_turns("carts on Redis", changed, "updates/s", BARS)
        title(f"Carts on Redis, in turn: one cart read, {CONNECTIONS} connections")
        show_turns("", in_turn({name: lambda url=url: load(url + "/api/carts/7", CONNECTIONS, seconds, headers=[OWNERS[6]])
                            for name, url in urls.items()}), "requests/s")
