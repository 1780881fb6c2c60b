# SPDX-License-Identifier: Apache-2.0
"""A derived store is filled when the service starts with another declaration of it, and the process is killed at each
point of that: the next one goes on, and everything is found once. What can't be filled is not begun with."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, System, build_crash_programs, free_port, open_folder, wait_for  # noqa: E402

POINTS = re.findall(r'\bCRASH_POINT\("([^"]*)"\)', (ROOT / "src" / "service" / "derive.c").read_text(encoding="utf-8"))
WRONG_CONFIGURATION = 78


class Shelf:
    """One store, on which the editions of a program start, end and are killed."""

    def __init__(self, folder, name="shelf"):
        self.folder, self.name, self.port, self.process = folder, name, 0, None
        self.config = {}  # besides what every program is told
        folder.mkdir()

    def begin(self, edition):
        self.port = free_port()
        config = {"freehold": 1, "system": "test", "service": self.name, "engine": "sqlite", "folder": str(self.folder),
                  "migrations": str(ROOT / "tests" / "crash" / self.name / "migrations"), **self.config}
        (self.folder / "service.json").write_text(json.dumps(config))
        program = pathlib.Path(FREEHOLD).resolve().parent / "tests" / "crash" / f"crash_{self.name}_{edition}"
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([program, "--config", self.folder / "service.json", "--listen",
                                             f"127.0.0.1:{self.port}"], cwd=self.folder, stderr=log,
                                            env={**os.environ, "FREEHOLD_CRASH": "crash"})
        return self

    def log(self):
        return (self.folder / "log").read_text()

    def ask(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode() if body else b""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data,
                                       {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.read()

    def serve(self, edition):
        self.begin(edition)

        def is_ready():
            assert self.process.poll() is None, self.log()
            try:
                return self.ask("/readyz") is not None
            except OSError:
                return False

        wait_for("it serves", is_ready)
        return self

    def total(self, words):
        return json.loads(self.ask("/api/books?q=" + urllib.parse.quote(words)))["total"]

    def end(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(120) if self.process else 0


@pytest.fixture
def shelf(tmp_path):
    build_crash_programs()
    made = Shelf(tmp_path / "shelf")
    made.serve(1)
    made.ask("/api/books/many", {})
    assert made.end() == 0
    yield made
    made.end(signal.SIGKILL)


def test_the_points_are_there():
    assert POINTS == ["derived.written", "derived.filled"]


@pytest.mark.parametrize("times", (1, 2, 3))
@pytest.mark.parametrize("point", POINTS)
def test_killed_there_the_next_start_goes_on(shelf, point, times):
    (shelf.folder / "crash").write_text(f"{point}:{times}")
    assert shelf.begin(2).process.wait(120) == -signal.SIGKILL
    shelf.serve(2)
    assert shelf.total("running") == 1200 and shelf.total("run") == 0 and shelf.total("number 700") == 1
    shelf.ask("/api/books", {"id": 7000, "title": "Running wild"})
    assert shelf.end(signal.SIGKILL) == -signal.SIGKILL  # what was answered is in
    shelf.serve(2)
    assert shelf.total("running") == 1201 and shelf.total("wild") == 1


def test_another_declaration_is_filled_anew_and_one_without_a_state_is_refused(shelf):
    shelf.serve(2)
    assert shelf.total("run") == 0 and shelf.end() == 0
    shelf.serve(3)
    assert shelf.total("run") == 1200 and shelf.end() == 0
    assert shelf.begin(4).process.wait(120) == WRONG_CONFIGURATION
    assert "give it a `state` to be filled from" in shelf.log()
    shelf.serve(1)  # which drops it, and adds what it could not derive
    shelf.ask("/api/books", {"id": 7000, "title": "Running wild"})
    assert shelf.end() == 0
    shelf.serve(3)
    assert shelf.total("run wild") == 1 and shelf.total("run") == 1201


def test_a_service_with_derived_stores_can_not_be_on_a_server(shelf, tmp_path):
    program = pathlib.Path(FREEHOLD).resolve().parent / "tests" / "crash" / "crash_shelf_2"
    folder = tmp_path / "system"
    shutil.copytree(ROOT / "tests" / "crash" / "shelf", folder / "shelf")
    file = folder / "freehold.yaml"
    file.write_text(f"system: library\nservices:\n"
                    f"  shelf: {{ program: {program}, engine: postgresql }}\n")
    checked = subprocess.run([FREEHOLD, "check", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 1, checked
    assert "declares derived stores, and a store of PostgreSQL can't have any" in checked.stdout + checked.stderr
    file.write_text(file.read_text().replace("postgresql", "sqlite"))
    assert subprocess.run([FREEHOLD, "check", file], check=False).returncode == 0


def test_a_program_whose_derived_store_can_not_be_filled_is_not_taken():
    """It is tried on a copy of the store first, its filling too."""
    build_crash_programs()
    programs, folder = pathlib.Path(FREEHOLD).resolve().parent / "tests" / "crash", open_folder()
    program, file = folder / "program", folder / "freehold.yaml"
    shutil.copytree(ROOT / "tests" / "crash" / "shelf", folder / "shelf")
    shutil.copy(programs / "crash_shelf_2", program)
    file.write_text(f"system: library\nservices:\n  shelf: {{ program: {program} }}\n")
    system = System(file, folder / "state").up()
    try:
        assert system.call("shelf", "POST", "/api/books", {"id": 1, "title": "Running wild"}).status == 201
        pid = system.pid("shelf")
        shutil.copy(programs / "crash_shelf_5", folder / "new")
        (folder / "new").rename(program)
        done = system.command("upgrade", "shelf", "--state", system.state, check=False)
        assert done.returncode == 1 and "The derived store books can't be filled" in done.stderr, done
        assert system.pid("shelf") == pid
        assert system.call("shelf", "GET", "/api/books?q=wild").body["total"] == 1
        shutil.copy(programs / "crash_shelf_3", folder / "new")
        (folder / "new").rename(program)
        system.command("upgrade", "shelf", "--state", system.state)
        assert system.call("shelf", "GET", "/api/books?q=run").body["total"] == 1
    finally:
        system.stop(check=False)
        shutil.rmtree(folder)
