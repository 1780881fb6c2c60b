# SPDX-License-Identifier: Apache-2.0
"""MariaDB: one server of full durability, and beside Freehold's services Fastify with MariaDB's connector on that
same server."""

import json
import os
import pathlib
import secrets
import subprocess
import sys

import relational
from common import NAMES, ORDER, PATIENCE_S, Failed, not_measured
from peers import Node

NAME, TITLE, PEER = "mariadb", "MariaDB", "Fastify with MariaDB's connector"
WORKS_BAR, EVENTS_BAR, SAGAS_BAR = 1, 10_000, 200


class Server:
    """As tools/servers has started it."""

    def __init__(self, told, folder):
        self.told = {name: told[name] for name in ("host", "port", "user", "password")}
        self.options = pathlib.Path(folder) / "mariadb.cnf"  # since command lines are seen by all
        self.options.touch(mode=0o600)
        self.options.write_text("[client]\nuser={user}\npassword=\"{password}\"\nhost={host}\nport={port}\n".format(**self.told))

    def sql(self, statement, database="information_schema"):
        done = subprocess.run(["mariadb", f"--defaults-file={self.options}", "-NB", database], input=statement,
                              capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        if done.returncode:
            raise Failed(f"mariadb: {done.stderr}")
        return done.stdout.strip()

    def settings(self):
        names = ("version", "innodb_flush_log_at_trx_commit", "innodb_flush_method", "log_bin")
        return [(name, self.sql(f"SELECT @@{name}").partition("-")[0]) for name in names]

    def store(self, name):
        """A new database and a user of its own, as the service's configuration has them."""
        password = secrets.token_urlsafe(18)
        self.sql(f"CREATE OR REPLACE DATABASE {name}; CREATE OR REPLACE USER {name} IDENTIFIED BY '{password}';"
                 f" GRANT ALL ON {name}.* TO {name}")
        return {"host": self.told["host"], "port": self.told["port"], "database": name, "user": name,
                "password": password}

    def peer(self, build):
        self.sql("CREATE OR REPLACE DATABASE bench_peer")
        return Node(build, "mariadb.js", {"MARIADB": json.dumps({**self.told, "database": "bench_peer"})})

    def fill(self, orders, events):
        """As postgresql.py does."""
        last = orders.state()["position"]
        self.sql("INSERT INTO fh_outbox (event_id, type, version, `key`, time_ms, data) SELECT"
                 " uuid(), type, version, -n, time_ms, replace(data, '\"id\":1,',"
                 f" concat('\"id\":', -n, ',')) FROM (SELECT seq AS n FROM seq_1_to_{events - last}) AS numbers,"
                 " (SELECT * FROM fh_outbox WHERE position = 1) AS first", NAMES["orders"])
        orders.ask("POST", "/orders", ORDER)


def bare_rows(_build, _server, _seconds):
    return None


def measure(build, folder, seconds):
    told = os.environ.get("FREEHOLD_TEST_MARIADB")
    if not told:
        not_measured(TITLE, "no server: run it as `tools/servers run bench/run BUILD`")
        return
    relational.measure(sys.modules[__name__], Server(json.loads(told), folder), build, folder, seconds)
