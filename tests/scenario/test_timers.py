# SPDX-License-Identifier: Apache-2.0
"""Timers of a running system: they fire, and what fails is shown to operators, who retry or drop it. A program that
lacks a timer that is set is not taken."""

import json
import pathlib
import shutil

import pytest

from conftest import FREEHOLD, ROOT, System, wait_for

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
FILE = """system: clock
services:
  bells: {{ program: {program} }}
"""


class Bells:
    def __init__(self, folder):
        shutil.copytree(ROOT / "tests" / "simulate" / "clock" / "bells", folder / "bells")
        self.program = folder / "bin" / "bells"
        self.program.parent.mkdir()
        shutil.copy(PROGRAMS / "bells_1", self.program)
        file = folder / "freehold.yaml"
        file.write_text(FILE.format(program=self.program))
        self.system = System(file, folder / "s").up()

    def command(self, *words, check=True):
        """`status` says by its exit code whether something waits for an operator."""
        return self.system.command(*words, "--state", self.system.state, check=check)

    def post(self, path, body):
        self.command("call", "bells", "POST", path, "--data", json.dumps(body))

    def rings(self):
        told = json.loads(self.command("call", "bells", "GET", "/bells").stdout)
        return {bell["name"]: bell["rings"] for bell in told}

    def listed(self, *words):
        return json.loads(self.command("timers", "list", "bells", "--json", *words).stdout)["timers"]


@pytest.fixture(scope="module", name="bells")
def bells_of_the_module(tmp_path_factory):
    bells = Bells(tmp_path_factory.mktemp("clock"))
    yield bells
    bells.system.stop()


def test_a_timer_fires_and_schedules_are_listed(bells):
    bells.post("/bells", {"name": "now", "in_ms": 100})
    bells.post("/bells", {"name": "later", "in_ms": 86400000})
    wait_for("it rings", lambda: bells.rings()["now"])
    assert bells.rings()["later"] == 0
    assert {timer["handler"] for timer in bells.listed("--only", "schedule")} == {"often", "nightly"}
    assert [timer["handler"] for timer in bells.listed("--only", "pending")] == ["ring"]


def test_what_failed_too_often_is_shown_and_retried_or_dropped(bells):
    for name in ("one", "two"):
        bells.post("/curses", {"name": name})
        bells.post("/bells", {"name": name, "in_ms": 0})
    wait_for("both are parked", lambda: len(bells.listed("--only", "parked")) == 2)
    assert "bells has parked 2 timers: freehold timers list bells --only parked" in bells.command("status", check=False).stdout
    first, second = [timer["id"] for timer in bells.listed("--only", "parked")]
    assert "The bell is cursed." in bells.command("timers", "list", "bells").stdout
    told = [line for line in bells.command("logs").stdout.splitlines() if "The bell is cursed." in line]
    assert len(told) == 4, "once when it fails first, once when it is parked, of each"
    assert sum("fails: timer ring: " in line and "(handler " in line and "; trace " in line for line in told) == 2
    for name in ("one", "two"):
        bells.post("/blessings", {"name": name})
    assert bells.command("timers", "drop", "bells", second, check=False).returncode == 2
    assert bells.command("timers", "drop", "bells", second, "--yes").stdout == f"{second} is removed.\n"
    assert bells.command("timers", "retry", "bells", first).stdout == f"{first} is due again.\n"
    wait_for("one of them rings", lambda: sorted((bells.rings()["one"], bells.rings()["two"])) == [0, 1])
    assert not bells.listed("--only", "parked")


def test_a_program_that_lacks_a_timer_that_is_set_is_not_taken(bells):
    new = bells.program.with_suffix(".new")
    shutil.copy(PROGRAMS / "bells_2", new)
    new.rename(bells.program)
    refused = wait_for("it is refused", lambda: bells.system.services()["bells"]["program"]["refused"])
    assert "timers are set that the new program does not declare: ring" in refused
