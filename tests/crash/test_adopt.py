# SPDX-License-Identifier: Apache-2.0
"""Adopting another tool's migrations, killed before and after its one durable step: all are recorded or none, and doing
it again completes it."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, build_crash_programs  # noqa: E402

POINTS = re.findall(r'\bCRASH_POINT\("([^"]*)"\)', (ROOT / "src" / "service" / "adopt.c").read_text(encoding="utf-8"))
# The other tool's table and what it made come from a first migration, since nothing else gets into an embedded store.
FLYWAY = """CREATE TABLE flyway_schema_history (installed_rank INT PRIMARY KEY, version TEXT, type TEXT, success INT);
INSERT INTO flyway_schema_history VALUES (1, '1', 'SQL', 1), (2, '2', 'SQL', 1), (3, '3', 'SQL', 1);
CREATE TABLE note (id INTEGER PRIMARY KEY);
CREATE TABLE page (id INTEGER PRIMARY KEY, note_id INTEGER);
"""


@pytest.fixture(scope="module")
def program():
    build_crash_programs()
    return pathlib.Path(FREEHOLD).resolve().parent / "tests" / "crash" / "users"


class Store:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        (folder / "migrations").mkdir()
        self.put("0001_flyway.sql", FLYWAY)

    def put(self, name, text):
        (self.folder / "migrations" / name).write_text(text)

    def do(self, task):
        """The exit code, and what the task has reported."""
        result = self.folder / "task-result.json"
        result.unlink(missing_ok=True)
        config = {"freehold": 1, "system": "test", "service": "users", "engine": "sqlite", "folder": str(self.folder),
                  "migrations": str(self.folder / "migrations"), "task": task}
        (self.folder / "task.json").write_text(json.dumps(config))
        with open(self.folder / "log", "ab") as log:
            done = subprocess.run([self.program, "--config", self.folder / "task.json"], cwd=self.folder, stderr=log,
                                  env={**os.environ, "FREEHOLD_CRASH": "crash"}, timeout=120, check=False)
        return done.returncode, json.loads(result.read_text()) if result.exists() else None


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_it_is_done_wholly_or_not_at_all(program, tmp_path, point):
    store = Store(program, tmp_path)
    assert store.do({"do": "apply"})[0] == 0
    store.put("0002_note.sql", "CREATE TABLE note (id INTEGER PRIMARY KEY);")
    store.put("0003_page.sql", "CREATE TABLE page (id INTEGER PRIMARY KEY);\nALTER TABLE page ADD COLUMN note_id INT;")
    (tmp_path / "crash").write_text(point)
    adopt = {"do": "adopt", "from": "flyway", "version": 3}
    assert store.do(adopt) == (-signal.SIGKILL, None)
    code, told = store.do({"do": "look"})
    stands = [one["version"] for one in told["applied"]]
    assert code == 0 and stands == ([1, 2, 3] if point == "adopt.durable" else [1])
    code, told = store.do(adopt)
    assert code == 0 and told["adopted_now"] == 3 - len(stands)
    assert [one["version"] for one in told["applied"]] == [1, 2, 3]


def test_every_step_has_a_point():
    assert sorted(POINTS) == ["adopt.durable", "adopt.recorded"]
