# SPDX-License-Identifier: Apache-2.0
"""Points that a PostgreSQL or an InfluxDB alone keeps, of a service on MariaDB: several instances measure, one carries; one dies, and so
does the server, which then loses all that it has; and what a restored service corrects is found.

The service is tests/crash/gauges."""

import base64
import json
import os
import pathlib
import signal
import subprocess
import urllib.parse
import urllib.request

import pytest
from conftest import build_crash_programs, wait_for
from test_columns_owners import AT_ONCE, PROGRAM, SUM, Gauges, add_while_all_die, run_gauges

REQUESTS = 8
AT_MS = 1_700_000_000_000


class Server:
    """One that tools/servers has started."""

    def __init__(self):
        name = f"FREEHOLD_TEST_{self.KIND.upper()}"
        if name not in os.environ:
            pytest.skip(f"NOT RUN WITH {self.KIND.upper()}: {name} names no server")
        self.at = json.loads(os.environ[name])

    def die(self):
        os.kill(int(pathlib.Path(self.at["pid_file"]).read_text()), self.DIES_BY)


class PostgreSQL(Server):
    KIND, DIES_BY, OPTIONS = "postgresql", signal.SIGQUIT, "derived: postgresql, options: { database: postgres }"
    LOST = 1  # points

    def run(self, statement, check=True):
        return subprocess.run(["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.at["host"], "-p",
                               str(self.at["port"]), "-U", self.at["user"], "-d", "postgres", "-c", statement],
                              env={**os.environ, "PGPASSWORD": self.at["password"]}, check=check, capture_output=True,
                              text=True, timeout=60)

    def answers(self):
        return self.run("SELECT 1", check=False).returncode == 0

    def schemas(self, owner):
        return self.run("SELECT n.nspname FROM pg_namespace AS n JOIN pg_description AS d ON d.objoid = n.oid WHERE "
                        f"d.description LIKE 'freehold {owner}-%'").stdout.split()

    def forget(self, owner):
        for schema in self.schemas(owner):
            self.run(f'DROP SCHEMA "{schema}" CASCADE')


class InfluxDB(Server):
    KIND, DIES_BY, OPTIONS = "influxdb", signal.SIGKILL, "derived: influxdb"
    LOST = 3  # versions of each of them

    def run(self, statement):
        request = urllib.request.Request(f"http://{self.at['host']}:{self.at['port']}/query",
                                         data=urllib.parse.urlencode({"q": statement}).encode())
        login = base64.b64encode(f"{self.at['user']}:{self.at['password']}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status

    def answers(self):
        try:
            return self.run("SHOW DATABASES") == 200
        except OSError:
            return False

    def forget(self, owner):
        self.run(f'DROP DATABASE "{owner}"')


class Curves(Gauges):
    PROGRAM, ENGINE = PROGRAM.with_name("crash_gauges_6"), "mariadb"

    def __init__(self, folder, server, kept):
        self.OPTIONS = server.OPTIONS
        super().__init__(folder, server, kept)
        (migration,) = (folder / "gauges" / "migrations").iterdir()
        migration.write_text(migration.read_text().replace("TEXT", "VARCHAR(32)"))  # MariaDB has no TEXT as a key

    def sums(self, body):
        return body["curves"][0]["points"][-1][1:] if body["curves"] else (0, 0)

    def put(self, more):
        """The same points, each so much greater."""
        self.added += 1
        key = {"Idempotency-Key": f"points-{self.added}"}
        body = {"days_ago": 0, "at_ms": AT_MS, "more": more}
        wait_for("they are put", lambda: self.system.http("POST", "/api/points", body, key).status == 201)


@pytest.fixture(scope="module", params=[PostgreSQL, InfluxDB], ids=lambda kind: kind.KIND)
def gauges(request, tmp_path_factory):
    server = request.param()
    build_crash_programs()
    one = Curves(tmp_path_factory.mktemp("curves"), server, "true")
    run_gauges(one)
    yield one
    one.system.stop(check=False)
    server.forget(one.database)


def await_sum(gauges, requests, more):
    count = requests + 1
    wait_for("they are as they were put", lambda: gauges.counted() == (count * AT_ONCE, count * SUM + more * AT_ONCE))


def test_points_count_once_whoever_dies(gauges):
    add_while_all_die(gauges, REQUESTS)
    gauges.await_all(REQUESTS)
    gauges.put(5)
    gauges.put(7)
    await_sum(gauges, REQUESTS, 7)


def test_what_the_server_lost_is_sent_again_by_whoever_carries(gauges):
    gauges.server.forget(gauges.database)
    gauges.put(6)
    await_sum(gauges, REQUESTS, 6)
    assert "lost" not in gauges.kept()


def test_what_a_restored_service_corrects_is_found(gauges, tmp_path):
    """At lower positions than those of its lost life."""
    gauges.system.command("backup", "gauges", "--to", tmp_path / "backup", "--state", gauges.system.state)
    for more in (10, 20, 30):
        gauges.put(more)
    await_sum(gauges, REQUESTS, 30)
    gauges.system.command("restore", "gauges", "--from", tmp_path / "backup", "--yes", "--state", gauges.system.state)
    await_sum(gauges, REQUESTS, 30)  # it stays until it is put again
    gauges.added += 10  # keys of others than those of the lost life
    gauges.put(8)
    await_sum(gauges, REQUESTS, 8)
    (former,) = wait_for("the lost life is counted", lambda: gauges.kept().get("formers"))
    assert former["facts"] == gauges.server.LOST * AT_ONCE, former
    wait_for("either instance tells it",
             lambda: f"{former['facts']} in it are of a life that was lost, {former['incarnation']}" in gauges.derive().stdout)


def test_a_time_that_the_server_has_not_is_refused(gauges):
    """It would be nowhere, and hold up all others."""
    far_ms = 10_000_000_000_000  # the year 2286
    body = {"days_ago": 0, "at_ms": far_ms, "more": 0}
    answer = gauges.system.http("POST", "/api/points", body, {"Idempotency-Key": "far"})
    assert answer.status == (201 if gauges.server.KIND == "postgresql" else 422), answer
    if answer.status == 422:
        assert "`at_ms` is a time that InfluxDB can't store" in str(answer.body), answer
    gauges.put(9)
    more = 1 if answer.status == 201 else 0
    await_sum(gauges, REQUESTS + more, 9)


def test_roll_ups_are_not_kept(gauges, tmp_path):
    file = tmp_path / "freehold.yaml"
    file.write_text(gauges.file.read_text().replace("crash_gauges_6", "crash_gauges_5"))
    done = gauges.system.command("check", file, check=False)
    assert done.returncode == 1 and ("services.gauges.derives.measured.kept: its server can't be the only one to have it: "
                                     "roll-ups are made of the points in the service's own store") in done.stderr, done
