# SPDX-License-Identifier: Apache-2.0
"""Columns on ClickHouse: the service is the one whose columns lie in its own store (tests/crash/gauges)."""

import json
import os
import pathlib
import re
import shutil
import signal
import urllib.error
import urllib.request
import uuid

import pytest
from conftest import FREEHOLD, ROOT, build_crash_programs, wait_for

GAUGES = ROOT / "tests" / "crash" / "gauges"
PROGRAM = pathlib.Path(FREEHOLD).parent / "tests" / "crash" / "crash_gauges_3"
AT_ONCE, SUM = 1000, 499500  # facts of a request, and what they sum up to


class Server:
    """The ClickHouse that tools/servers has started."""

    def __init__(self):
        if "FREEHOLD_TEST_CLICKHOUSE" not in os.environ:
            pytest.skip("NOT RUN WITH CLICKHOUSE: FREEHOLD_TEST_CLICKHOUSE names no server")
        self.at = json.loads(os.environ["FREEHOLD_TEST_CLICKHOUSE"])

    def run(self, statement):
        request = urllib.request.Request(f"http://{self.at['host']}:{self.at['port']}/", data=statement.encode(), headers={
            "X-ClickHouse-User": self.at["user"], "X-ClickHouse-Key": self.at["password"]})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def answers(self):
        try:
            return self.run("SELECT 1") == "1\n"
        except (OSError, urllib.error.URLError):
            return False

    def die(self):
        os.kill(int(pathlib.Path(self.at["pid_file"]).read_text()), signal.SIGKILL)


@pytest.fixture(scope="module")
def server():
    return Server()


@pytest.fixture(scope="module")
def gauges(start, tmp_path_factory, server):
    build_crash_programs()
    folder = tmp_path_factory.mktemp("clickhouse")
    shutil.copytree(GAUGES / "migrations", folder / "gauges" / "migrations")
    (folder / "password").write_text(server.at["password"])
    (folder / "password").chmod(0o600)
    name = f"s{uuid.uuid4().hex[:12]}"
    (folder / "freehold.yaml").write_text(
        f"system: {name}\ngateway: {{ listen: '127.0.0.1:0' }}\nservices:\n"
        f"  gauges: {{ program: {PROGRAM}, derives: {{ measured: {{ server: facts }} }} }}\n"
        f"servers:\n  facts: {{ derived: clickhouse, host: {server.at['host']}, port: {server.at['port']}, "
        f"user: {server.at['user']}, password_file: {folder}/password, tls: {{ mode: off }}, "
        "options: { interval_ms: 20 } }\n")
    system = start(folder / "freehold.yaml")
    system.database = f"{name}.gauges"
    yield system
    server.run(f"DROP DATABASE IF EXISTS `{system.database}`")


def add(gauges, days_ago):
    answer = gauges.http("POST", "/api/points", {"days_ago": days_ago})
    assert answer.status == 201, answer


def counted(gauges):
    """How many facts there are, and their sum; None: nobody is answered now."""
    answer = gauges.http("GET", "/api/points")
    assert answer.status in (200, 503), answer
    return tuple(answer.body["points"] or (0, 0)) if answer.status == 200 else None


def await_all(gauges, requests):
    wait_for(f"all facts of {requests} requests count", lambda: counted(gauges) == (requests * AT_ONCE, requests * SUM))


def test_facts_count_once_on_the_server(gauges, server):
    for days_ago in (0, 1, 400):
        add(gauges, days_ago)
    await_all(gauges, 3)
    status = gauges.command("status", "--state", gauges.state, "--once", check=False).stdout
    assert re.search(r"^gauges +measured +ClickHouse +0 +carrying$", status, re.MULTILINE), status
    (table,) = server.run(f"SELECT name FROM system.tables WHERE database = '{gauges.database}'").split()
    assert table.startswith("measured-"), table
    assert server.run(f"SELECT count() FROM `{gauges.database}`.`{table}` FINAL WHERE fh_kind = 1") == f"{3 * AT_ONCE}\n"


def test_none_is_lost_when_the_server_dies(gauges, server):
    for days_ago in range(2, 8):
        add(gauges, days_ago)
        if days_ago == 4:
            server.die()
    wait_for("the server answers again", server.answers)
    await_all(gauges, 9)


def test_what_the_server_lost_is_made_anew(gauges, server):
    server.run(f"DROP DATABASE `{gauges.database}`")
    add(gauges, 9)
    await_all(gauges, 10)
