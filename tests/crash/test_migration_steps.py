# SPDX-License-Identifier: Apache-2.0
"""Migrations that go statement by statement (MariaDB's), killed before and after each durable step: the next start
continues where they were, does nothing twice, and reports where nobody can know."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, build_crash_programs, free_port, wait_for  # noqa: E402
from servers import PASSWORD, Maria  # noqa: E402

POINTS = re.findall(r'\bCRASH_POINT\("([^"]*)"\)', (ROOT / "src" / "service" / "migrate_steps.c").read_text(encoding="utf-8"))
STEPS = ("CREATE TABLE IF NOT EXISTS more_{0} (id INTEGER PRIMARY KEY);",
         "INSERT INTO more_{0} VALUES (1), (2);",
         "ALTER TABLE more_{0} ADD COLUMN IF NOT EXISTS note TEXT;",
         "UPDATE more_{0} SET id = id + 10;")
TIMES = {"steps.recorded": (1,), "steps.durable": range(1, len(STEPS) + 2)}  # the file's record is a step as well
CASES = [(point, times) for point in POINTS for times in TIMES.get(point, range(1, len(STEPS) + 1))]


class Service:
    """The users' program with its crash points, on one store, started and killed again and again."""

    def __init__(self, server, folder):
        self.server, self.folder, self.number = server, folder, 9000
        self.migrations = folder / "migrations"
        shutil.copytree(ROOT / "examples" / "shop" / "users" / "migrations", self.migrations)
        self.program = pathlib.Path(FREEHOLD).parent / "tests" / "crash" / "users"

    def begin(self):
        port = free_port()
        config = {"freehold": 1, "system": "test", "service": "users", "engine": "mariadb", "folder": str(self.folder),
                  "migrations": str(self.migrations),
                  "store": {"host": "127.0.0.1", "port": self.server.port, "database": "shop", "user": "shop",
                            "password": PASSWORD, "connections": 2}}
        (self.folder / "service.json").write_text(json.dumps(config))
        with open(self.folder / "log", "wb") as log:
            process = subprocess.Popen([self.program, "--config", self.folder / "service.json", "--listen",
                                        f"127.0.0.1:{port}"], cwd=self.folder, stderr=log,
                                       env={**os.environ, "FREEHOLD_CRASH": "crash"})
        return process, port

    def end(self):
        """How it ends if it does not serve."""
        process, _ = self.begin()
        return process.wait(120), (self.folder / "log").read_text()

    def serve(self):
        process, port = self.begin()

        def is_ready():
            assert process.poll() is None, (self.folder / "log").read_text()
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200
            except OSError:
                return False

        try:
            wait_for("it serves", is_ready)
        finally:
            process.terminate()
            process.wait(120)

    def add(self, steps):
        self.number += 1
        file = self.migrations / f"{self.number}_more.sql"
        file.write_text("\n".join(steps).format(self.number) + "\n")
        return file

    def rows(self, statement):
        return self.server.sql("USE shop; " + statement.format(self.number)).split()


@pytest.fixture(scope="module")
def service():
    folder = Maria.folder()
    build_crash_programs()
    server = Maria(folder, "server").make().start()
    server.make_store()
    own = folder / "users"
    own.mkdir()
    running = Service(server, own)
    running.serve()
    yield running
    server.stop(signal.SIGKILL)
    shutil.rmtree(folder)


def test_every_step_has_a_point():
    assert len(POINTS) == len(set(POINTS)) == 5 and all(point.startswith("steps.") for point in POINTS)


@pytest.mark.parametrize("point, times", CASES)
def test_killed_there_the_next_start_goes_on(service, point, times):
    service.add(STEPS)
    (service.folder / "crash").write_text(f"{point}:{times}")
    assert service.end()[0] == -signal.SIGKILL
    service.serve()
    assert service.rows("SELECT id FROM more_{0} ORDER BY id") == ["11", "12"]
    assert service.rows("SELECT count(*) FROM fh_migration WHERE version = {0}") == ["1"]
    assert service.rows("SELECT count(*) FROM fh_migration_open") == ["0"]


def test_what_can_not_be_known_is_left_to_an_operator(service):
    file = service.add(("CREATE TABLE more_{0} (id INTEGER PRIMARY KEY);", "INSERT INTO more_{0} VALUES (1);"))
    (service.folder / "crash").write_text("steps.run:1")
    assert service.end()[0] == -signal.SIGKILL
    for _ in range(2):
        code, said = service.end()
        assert code == 65 and f"The migration {file.name} was cut off in statement 1, line 1" in said, said
    service.rows("UPDATE fh_migration_open SET done = 0, running = 0; DROP TABLE more_{0}")
    service.serve()
    assert service.rows("SELECT id FROM more_{0}") == ["1"]
