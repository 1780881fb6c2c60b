# SPDX-License-Identifier: Apache-2.0
"""What is measured of each relational server: rows read, orders with their events, events applied by another
service, sagas; beside Fastify with that server's own driver (bench/peer), on the same server."""

import contextlib
import pathlib
import tempfile

from common import NAMES, ORDER, Service, fdatasync_us, load, measure_events, measure_sagas, not_measured, show, times, title

CONNECTIONS = 64
CONNECTIONS_TO_STORE = 16  # as the peers' pools
EVENTS = 200_000


def started(peer, what, stack):
    """The peer, serving; None, and said so: it can't be."""
    stack.callback(peer.close)
    missing = peer.missing()
    if missing:
        not_measured(what, missing)
        return None
    return peer.start("POST", "/orders", ORDER)


def measure_rows(engine, orders, peer, bare, seconds):
    title(f"{engine.TITLE}: one row read over HTTP, {CONNECTIONS} connections")
    theirs = load(peer.url + "/orders/1", CONNECTIONS, seconds) if peer else None
    ours = load(orders.url + "/orders/1", CONNECTIONS, seconds)
    if bare:
        show("libpq alone, 64 in its pipeline", bare, "rows/s")
    if theirs:
        show(f"{engine.PEER}, a pool of 16", theirs, "requests/s")
    ratios = ([f"{times(ours / theirs)} Fastify (bar: 2)"] if theirs else []) + (
        [f"{times(ours / bare)} libpq (bar: 0.2)"] if bare else [])
    show("Freehold", ours, "requests/s", ", ".join(ratios))


def measure_works(engine, orders, peer, seconds, build):
    title(f"{engine.TITLE}: a durable order and its event over HTTP, {CONNECTIONS} connections")
    fdatasync_us(build, tempfile.gettempdir())  # where tools/servers has the server's folder
    theirs = load(peer.url + "/orders", CONNECTIONS, seconds, "order") if peer else None
    ours = load(orders.url + "/orders", CONNECTIONS, seconds, "order")
    if theirs:
        show(f"{engine.PEER}, a pool of 16", theirs, "works/s")
    show("Freehold", ours, "works/s", f"{times(ours / theirs)} Fastify (bar: {engine.WORKS_BAR})" if theirs else "")


def measure(engine, server, build, folder, seconds):
    """`engine`: the module that knows the server (postgresql, mariadb)."""
    place = pathlib.Path(folder) / engine.NAME
    place.mkdir()
    with contextlib.ExitStack() as stack:
        def service(name):
            store = {**server.store(NAMES[name]), "connections": CONNECTIONS_TO_STORE, "tls": {"mode": "off"}}
            made = Service(build / "bench" / NAMES[name], name, place / name, {"engine": engine.NAME, "store": store})
            stack.callback(made.close)
            return made

        orders, stock = service("orders"), service("stock")
        orders.peers = {"stock": stock.address}
        stock.peers = {"orders": orders.address}
        orders.start()
        orders.ask("POST", "/orders", ORDER)
        title(engine.TITLE)
        for setting, value in server.settings():
            print(f"  {setting:<52} {value:>10}", flush=True)
        peer = started(server.peer(build), engine.PEER, stack)
        measure_rows(engine, orders, peer, engine.bare_rows(build, server, seconds), seconds)
        measure_works(engine, orders, peer, seconds, build)
        if peer:
            peer.close()
        server.fill(orders, EVENTS)
        measure_events(orders, stock, f"{engine.TITLE}: ", engine.EVENTS_BAR)
        measure_sagas(orders, seconds, f"{engine.TITLE}: ", engine.SAGAS_BAR)
