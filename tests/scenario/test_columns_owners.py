# SPDX-License-Identifier: Apache-2.0
"""Facts that a ClickHouse alone keeps, of a service on PostgreSQL: several instances derive, one carries; one dies, and so
does the server, which then loses all that it has.

The service is tests/crash/gauges."""

import json
import os
import pathlib
import shutil
import signal
import threading
import uuid

import pytest
from conftest import FREEHOLD, System, build_crash_programs, wait_for
from set_back import Replica
from test_columns_clickhouse import AT_ONCE, GAUGES, SUM, Server

PROGRAM = pathlib.Path(FREEHOLD).parent / "tests" / "crash" / "crash_gauges_7"


class Gauges:
    PROGRAM, ENGINE = PROGRAM, "postgresql"
    OPTIONS = "derived: clickhouse, options: { interval_ms: 20, settle_s: 0 }"

    def __init__(self, folder, server, kept):
        shutil.copytree(GAUGES / "migrations", folder / "gauges" / "migrations")
        (folder / "password").write_text(server.at["password"])
        (folder / "password").chmod(0o600)
        name = f"s{uuid.uuid4().hex[:12]}"
        self.file, self.database, self.server, self.added = folder / "freehold.yaml", f"{name}.gauges", server, 0
        self.file.write_text(
            f"system: {name}\nservices:\n"
            f"  gauges: {{ program: {self.PROGRAM}, engine: {self.ENGINE}, instances: 2, "
            f"derives: {{ measured: {{ server: facts, kept: {kept} }} }}, retention: {{ events_kept_s: 1 }} }}\n"
            f"servers:\n  facts: {{ {self.OPTIONS}, host: {server.at['host']}, port: {server.at['port']}, "
            f"user: {server.at['user']}, password_file: {folder}/password, tls: {{ mode: off }} }}\n")
        self.system = System(self.file, folder / "s")

    def errors(self):
        done = self.system.command("check", self.file, "--json", check=False)
        return [one["message"] for one in json.loads(done.stdout)["errors"]] if done.returncode else []

    def add(self):
        self.added += 1
        key = {"Idempotency-Key": f"points-{self.added}"}
        wait_for("they are added",
                 lambda: self.system.http("POST", "/api/points", {"days_ago": self.added % 20}, key).status == 201)

    def counted(self):
        """How many facts there are, and their sum; None: nobody is answered now."""
        answer = self.system.http("GET", "/api/points")
        assert answer.status in (200, 503), answer
        return tuple(self.sums(answer.body)) if answer.status == 200 else None

    def sums(self, body):
        return body["points"] or (0, 0)

    def await_all(self, requests):
        wait_for(f"all facts of {requests} requests count",
                 lambda: self.counted() == (requests * AT_ONCE, requests * SUM))

    def derive(self, *words):
        return self.system.command("derive", "gauges", "measured", *words, "--state", self.system.state, check=False)

    def kept(self):
        done = self.derive("--json")
        return json.loads(done.stdout) if done.returncode == 0 else {}  # it is being started

    def instances(self):
        return self.system.services()["gauges"]["instances"]

    def pids(self):
        return [one["pid"] for one in self.instances()]


def run_gauges(gauges):
    """Or skips, where it can't run on this machine."""
    errors = gauges.errors()
    if errors and all("is not installed" in error or "is not built in" in error for error in errors):
        pytest.skip(f"NOT RUN ON {gauges.ENGINE}: {'; '.join(errors)}")
    assert not errors, errors
    gauges.system.up()


def add_while_all_die(gauges, requests):
    """Each instance in turn, and the server, while they are added."""
    def add_some():
        for _ in range(requests):
            gauges.add()

    adding = threading.Thread(target=add_some)
    adding.start()
    for instance in range(2):
        wait_for("some are added", lambda: gauges.added >= requests // 4 * (instance + 1))
        pid = gauges.pids()[instance]
        os.kill(pid, signal.SIGKILL)
        wait_for("another one is there", lambda: pid not in (pids := gauges.pids()) and len(pids) == 2)
    gauges.server.die()
    adding.join()
    wait_for("the server answers again", gauges.server.answers)


@pytest.fixture(scope="module")
def gauges(tmp_path_factory):
    server = Server()
    build_crash_programs()
    one = Gauges(tmp_path_factory.mktemp("owners"), server, "true")
    run_gauges(one)
    yield one
    one.system.stop(check=False)
    server.run(f"DROP DATABASE IF EXISTS `{one.database}`")


def test_facts_count_once_whoever_dies(gauges):
    add_while_all_die(gauges, 12)
    gauges.await_all(12)


def test_what_the_server_lost_is_sent_again_by_whoever_carries(gauges):
    gauges.server.run(f"DROP DATABASE `{gauges.database}`")
    gauges.add()
    gauges.await_all(13)
    done = gauges.derive("--accept-loss", "--yes")
    assert done.returncode == 1 and "server of measured has lost nothing that nobody else has" in done.stderr, done
    assert "lost" not in gauges.kept()


def test_what_a_restored_service_derives_is_carried_beside_its_lost_life(gauges, tmp_path):
    """Its positions are given out again."""
    gauges.system.command("backup", "gauges", "--to", tmp_path / "backup", "--state", gauges.system.state)
    for _ in range(3):
        gauges.add()
    gauges.await_all(16)
    gauges.system.command("restore", "gauges", "--from", tmp_path / "backup", "--yes", "--state", gauges.system.state)
    wait_for("it is back", lambda: gauges.counted() is not None)
    gauges.added += 10  # keys of others than those of the lost life
    for _ in range(5):
        gauges.add()
    gauges.await_all(16 + 5)
    (former,) = wait_for("the lost life is counted", lambda: gauges.kept().get("formers"))
    assert former["facts"] == 3 * AT_ONCE, former
    assert gauges.kept()["losses"] == []


def test_what_follows_lost_commits_counts_beside_what_was_lost(gauges, tmp_path):
    """A replica that lacks them takes over, while the instances go on: positions are given out again."""
    before = wait_for("it can be asked", gauges.counted)[0] // AT_ONCE
    replica = Replica(gauges.system, "gauges-postgresql", tmp_path)
    for _ in range(4):
        gauges.add()
    gauges.await_all(before + 4)
    replica.take_over()
    gauges.added += 10
    for _ in range(6):
        gauges.add()
    gauges.await_all(before + 4 + 6)
    for pid in gauges.pids():
        os.kill(pid, signal.SIGKILL)
    gauges.await_all(before + 4 + 6)


def test_facts_that_are_not_kept_need_a_store_that_has_them(tmp_path):
    errors = Gauges(tmp_path, Server(), "false").errors()
    assert any("gauges declares derived stores, and a store of PostgreSQL can't have any: expected sqlite, or on a server "
               "an FH_SEARCH, or what is `kept` there" in error for error in errors), errors
