# SPDX-License-Identifier: Apache-2.0
"""Points that a PostgreSQL alone keeps, of a service on MariaDB: several instances measure, one carries; one dies, and so
does the server, which then loses all that it has; and what a restored service corrects is found.

The service is tests/crash/gauges."""

import json
import os
import pathlib
import signal
import subprocess

import pytest
from conftest import build_crash_programs, wait_for
from test_columns_owners import AT_ONCE, PROGRAM, SUM, Gauges, add_while_all_die, run_gauges

REQUESTS = 8
AT_MS = 1_700_000_000_000


class Server:
    """The PostgreSQL that tools/servers has started."""

    def __init__(self):
        if "FREEHOLD_TEST_POSTGRESQL" not in os.environ:
            pytest.skip("NOT RUN WITH POSTGRESQL: FREEHOLD_TEST_POSTGRESQL names no server")
        self.at = json.loads(os.environ["FREEHOLD_TEST_POSTGRESQL"])

    def run(self, statement, check=True):
        return subprocess.run(["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.at["host"], "-p",
                               str(self.at["port"]), "-U", self.at["user"], "-d", "postgres", "-c", statement],
                              env={**os.environ, "PGPASSWORD": self.at["password"]}, check=check, capture_output=True,
                              text=True, timeout=60)

    def answers(self):
        return self.run("SELECT 1", check=False).returncode == 0

    def die(self):
        os.kill(int(pathlib.Path(self.at["pid_file"]).read_text()), signal.SIGQUIT)

    def schemas(self, owner):
        return self.run("SELECT n.nspname FROM pg_namespace AS n JOIN pg_description AS d ON d.objoid = n.oid WHERE "
                        f"d.description LIKE 'freehold {owner}-%'").stdout.split()

    def forget(self, owner):
        for schema in self.schemas(owner):
            self.run(f'DROP SCHEMA "{schema}" CASCADE')


class Curves(Gauges):
    PROGRAM, ENGINE = PROGRAM.with_name("crash_gauges_6"), "mariadb"
    OPTIONS = "derived: postgresql, options: { database: postgres }"

    def __init__(self, folder, server, kept):
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


@pytest.fixture(scope="module")
def gauges(tmp_path_factory):
    server = Server()
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
    assert former["facts"] == AT_ONCE, former
    said = gauges.derive().stdout
    assert f"{AT_ONCE} in it are of a life that was lost" in said, said


def test_roll_ups_are_not_kept(gauges, tmp_path):
    file = tmp_path / "freehold.yaml"
    file.write_text(gauges.file.read_text().replace("crash_gauges_6", "crash_gauges_5"))
    done = gauges.system.command("check", file, check=False)
    assert done.returncode == 1 and ("services.gauges.derives.measured.kept: its server can't be the only one to have it: "
                                     "roll-ups are made of the points in the service's own store") in done.stderr, done
