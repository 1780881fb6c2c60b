# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: one server of full durability, and beside Freehold's services what they are compared
with on that same server: Fastify with node-postgres, and libpq alone (libpq_rows)."""

import json
import os
import secrets
import subprocess
import sys

import relational
from common import NAMES, ORDER, PATIENCE_S, Failed, not_measured
from peers import Node

NAME, TITLE, PEER = "postgresql", "PostgreSQL", "Fastify with node-postgres"
WORKS_BAR, EVENTS_BAR, SAGAS_BAR = 3, 40_000, 800


class Server:
    """As tools/servers has started it."""

    def __init__(self, told):
        self.host, self.port = told["host"], told["port"]
        self.user, self.password = told["user"], told["password"]

    def environment(self, database):
        return {**os.environ, "PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user,
                "PGPASSWORD": self.password, "PGDATABASE": database}

    def sql(self, statement, database="postgres", timeout_s=PATIENCE_S):
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement],
                              capture_output=True, text=True, env=self.environment(database),
                              timeout=timeout_s)
        if done.returncode:
            raise Failed(f"psql: {done.stderr}")
        return done.stdout.strip()

    def settings(self):
        names = ("server_version", "fsync", "synchronous_commit", "wal_sync_method")
        return [(name, self.sql(f"SHOW {name}")) for name in names]

    def store(self, name):
        """A new database and a role of its own, as the service's configuration has them."""
        password = secrets.token_urlsafe(18)
        self.sql(f"DROP DATABASE IF EXISTS {name}")
        self.sql(f"DROP ROLE IF EXISTS {name}")
        self.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        self.sql(f"CREATE DATABASE {name} OWNER {name}")
        return {"host": self.host, "port": self.port, "database": name, "user": name, "password": password}

    def peer(self, build):
        self.sql("DROP DATABASE IF EXISTS bench_peer")
        self.sql("CREATE DATABASE bench_peer")
        return Node(build, "postgresql.js", self.environment("bench_peer"))

    def fill(self, orders, events):
        """As many events as the feed is measured with, written as works leave them: the next work's own
        is numbered behind them."""
        last = orders.state()["position"]
        self.sql("INSERT INTO fh_outbox (event_id, type, version, key, time_ms, data) SELECT"
                 " gen_random_uuid(), type, version, -n, time_ms, replace(data, '\"id\":1,',"
                 f" '\"id\":' || -n || ',') FROM generate_series(1, {events} - {last}) AS n,"
                 " (SELECT * FROM fh_outbox WHERE position = 1) AS first", NAMES["orders"])
        orders.ask("POST", "/orders", ORDER)


def bare_rows(build, server, seconds):
    """Rows a second by libpq alone; None: it is not built."""
    program = build / "bench" / "libpq_rows"
    if not program.exists():
        return None
    done = subprocess.run([program, str(seconds)], capture_output=True, text=True,
                          env=server.environment(NAMES["orders"]), timeout=seconds + PATIENCE_S)
    if done.returncode:
        raise Failed(done.stderr)
    return float(done.stdout)


def measure(build, folder, seconds):
    told = os.environ.get("FREEHOLD_TEST_POSTGRESQL")
    if not told:
        not_measured(TITLE, "no server: run it as `tools/servers run bench/run BUILD`")
        return
    relational.measure(sys.modules[__name__], Server(json.loads(told)), build, folder, seconds)
