# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: one server of full durability, and beside Freehold's services what they are compared
with on that same server: Fastify with node-postgres (bench/peer), and libpq alone (libpq_rows)."""

import contextlib
import json
import os
import pathlib
import secrets
import subprocess
import tempfile

from common import (NAMES, ORDER, PATIENCE_S, Failed, Service, fdatasync_us, load, measure_events,
                    measure_sagas, show, times, title)
from peers import Peer

CONNECTIONS = 64
CONNECTIONS_TO_STORE = 16  # as the peer's pool
EVENTS = 200_000


class Server:
    """As tools/servers has started it."""

    def __init__(self, told):
        self.host, self.port = told["host"], told["port"]
        self.user, self.password = told["user"], told["password"]

    def environment(self, database):
        return {**os.environ, "PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user,
                "PGPASSWORD": self.password, "PGDATABASE": database}

    def sql(self, statement, database="postgres"):
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement],
                              capture_output=True, text=True, env=self.environment(database),
                              timeout=PATIENCE_S)
        if done.returncode:
            raise Failed(f"psql: {done.stderr}")
        return done.stdout.strip()

    def store(self, name):
        """A database and a role of its own, as the service's configuration has them."""
        password = secrets.token_urlsafe(18)
        self.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        self.sql(f"CREATE DATABASE {name} OWNER {name}")
        return {"engine": "postgresql",
                "store": {"host": self.host, "port": self.port, "database": name, "user": name,
                          "password": password, "connections": CONNECTIONS_TO_STORE,
                          "tls": {"mode": "off"}}}


def libpq_rows(build, server, seconds):
    """Rows a second by libpq alone; None: it is not built."""
    program = build / "bench" / "libpq_rows"
    if not program.exists():
        return None
    done = subprocess.run([program, str(seconds)], capture_output=True, text=True,
                          env=server.environment("bench_orders"), timeout=seconds + PATIENCE_S)
    if done.returncode:
        raise Failed(done.stderr)
    return float(done.stdout)


def measure_rows(orders, peer, bare, seconds):
    title(f"PostgreSQL: one row read over HTTP, {CONNECTIONS} connections")
    theirs = load(peer.url + "/orders/1", CONNECTIONS, seconds) if peer else None
    ours = load(orders.url + "/orders/1", CONNECTIONS, seconds)
    if bare:
        show("libpq alone, 64 in its pipeline", bare, "rows/s")
    if theirs:
        show("Fastify with node-postgres, a pool of 16", theirs, "requests/s")
    ratios = ([f"{times(ours / theirs)} Fastify (bar: 2)"] if theirs else []) + (
        [f"{times(ours / bare)} libpq (bar: 0.2)"] if bare else [])
    show("Freehold", ours, "requests/s", ", ".join(ratios))


def measure_works(orders, peer, seconds, build):
    title(f"PostgreSQL: a durable order and its event over HTTP, {CONNECTIONS} connections")
    fdatasync_us(build, tempfile.gettempdir())  # where tools/servers has the server's folder
    theirs = load(peer.url + "/orders", CONNECTIONS, seconds, "order") if peer else None
    ours = load(orders.url + "/orders", CONNECTIONS, seconds, "order")
    if theirs:
        show("Fastify with node-postgres, a pool of 16", theirs, "works/s")
    show("Freehold", ours, "works/s", f"{times(ours / theirs)} Fastify (bar: 3)" if theirs else "")


def fill(server, orders):
    """As many events as the feed is measured with, written as works leave them: the next work's own
    is numbered behind them."""
    last = orders.state()["position"]
    server.sql("INSERT INTO fh_outbox (event_id, type, version, key, time_ms, data) SELECT"
               " gen_random_uuid(), type, version, -n, time_ms, replace(data, '\"id\":1,',"
               f" '\"id\":' || -n || ',') FROM generate_series(1, {EVENTS} - {last}) AS n,"
               " (SELECT * FROM fh_outbox WHERE position = 1) AS first", NAMES["orders"])
    orders.ask("POST", "/orders", ORDER)


def not_measured(why):
    print(f"\nPostgreSQL: NOT MEASURED, {why}", flush=True)


def measure(build, folder, seconds):
    told = os.environ.get("FREEHOLD_TEST_POSTGRESQL")
    if not told:
        not_measured("no server: run it as `tools/servers run bench/run BUILD`")
        return
    server = Server(json.loads(told))
    place = pathlib.Path(folder) / "postgresql"
    place.mkdir()
    with contextlib.ExitStack() as stack:
        def service(name):
            made = Service(build / "bench" / NAMES[name], name, place / name,
                           server.store(NAMES[name]))
            stack.callback(made.close)
            return made

        orders, stock = service("orders"), service("stock")
        orders.peers = {"stock": stock.address}
        stock.peers = {"orders": orders.address}
        orders.start()
        orders.ask("POST", "/orders", ORDER)
        title("PostgreSQL")
        for setting in ("server_version", "fsync", "synchronous_commit", "wal_sync_method"):
            print(f"  {setting:<52} {server.sql('SHOW ' + setting):>10}", flush=True)
        peer = Peer(build, "peer.js", server.environment("bench_peer"))
        stack.callback(peer.close)
        missing = peer.missing()
        if missing:
            not_measured(f"Fastify with node-postgres: {missing}")
            peer = None
        else:
            server.sql("CREATE DATABASE bench_peer")
            peer.start("POST", "/orders", ORDER)
        measure_rows(orders, peer, libpq_rows(build, server, seconds), seconds)
        measure_works(orders, peer, seconds, build)
        if peer:
            peer.close()
        fill(server, orders)
        measure_events(orders, stock, bar=40_000)
        measure_sagas(orders, seconds, bar=800)
