# SPDX-License-Identifier: Apache-2.0
"""What a process of a system is started with, and whom `up` kills: its own former processes and what they have left,
nobody else."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from conftest import FREEHOLD, records, started_at, wait_for
from test_command import Mini

NO_CAPABILITY = "0" * 16
# It ignores what it is asked, has left its parent's session and folder, and still holds what it inherited.
FORK = """rm -f fork
setsid sh -c 'cd /; trap "" TERM HUP INT; echo $$ > '$PWD'/fork; while :; do sleep 1000; done' &
until test -s fork; do :; done"""


class Hostile(Mini):
    """`users` does something before it serves."""

    def does(self, deed):
        real = self.folder / "real"
        real.mkdir()
        shutil.move(self.folder / "users", real)
        self.write("  users: {reads: [real]}\n  orders:\n")
        (self.folder / "users").write_text(
            f'#!/bin/sh\ntest "$1" = --describe || {{\n{deed}\n}}\nexec {real}/users "$@"\n')
        (self.folder / "users").chmod(0o755)
        return self

    def kill_up(self):
        os.kill(self.status()["up_pid"], signal.SIGKILL)

    def fork(self, other_than=None):
        """The pid of what FORK has left."""
        path = self.state / "users" / "fork"
        return int(wait_for("it is told", lambda: path.exists() and path.read_text().strip() != str(other_than) and
                            path.read_text().strip()))


@pytest.fixture
def hostile(tmp_path):
    made = Hostile(tmp_path)
    yield made
    subprocess.run([FREEHOLD, "stop", "--state", made.state], capture_output=True, check=False)


def lives(pid):
    return started_at(pid) is not None


@contextlib.contextmanager
def bystander():
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def opened_by(pid):
    return [os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()]


def test_what_up_was_started_with_reaches_no_process(tmp_path):
    mini, secret = Mini(tmp_path), tmp_path / "secret"
    secret.write_text("hush-hush")
    with secret.open() as file:
        subprocess.run([FREEHOLD, "up", mini.file, "--detach"], check=True, timeout=120, pass_fds=[file.fileno()],
                       env={**os.environ, "CLOUD_TOKEN": "hush-hush"}, stdout=subprocess.DEVNULL)
    try:
        assert str(secret) in opened_by(mini.status()["up_pid"])
        for pid in mini.pids():
            assert str(secret) not in opened_by(pid)
            assert "hush-hush" not in pathlib.Path(f"/proc/{pid}/environ").read_text()
    finally:
        mini.run("stop", "--state", mini.state)


def test_no_process_has_a_capability_or_dumps_core(tmp_path):
    mini = Mini(tmp_path)
    mini.up()
    try:
        for pid in mini.pids():
            told = pathlib.Path(f"/proc/{pid}/status").read_text()
            sets = dict(line.split(":\t") for line in told.splitlines() if line.startswith("Cap"))
            if os.geteuid() != 0:  # others can't empty it, and gain nothing by it
                del sets["CapBnd"]
            assert set(sets.values()) == {NO_CAPABILITY}, sets
            assert "\nNoNewPrivs:\t1\n" in told
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()
            assert [line.split()[4:6] for line in limits if line.startswith("Max core")] == [["0", "0"]]
    finally:
        mini.run("stop", "--state", mini.state)


def test_a_pid_that_a_service_writes_gets_nobody_killed(hostile):
    with bystander() as other:
        hostile.does(f"echo {other.pid} > pid; setsid flock pid sleep 1000 &").up()
        hostile.kill_up()
        hostile.up()
        assert other.poll() is None


def test_a_fork_that_outlives_a_service_is_dead_before_the_next(hostile):
    hostile.does(FORK).up()
    before, fork = hostile.service("users")["pid"], hostile.fork()
    assert lives(fork)
    os.kill(before, signal.SIGKILL)
    hostile.fork(other_than=fork)
    assert not lives(fork)
    wait_for("users is ready again", lambda: hostile.service("users")["ready"])


def test_after_up_was_killed_the_next_ends_its_processes_and_what_they_have_left(hostile):
    hostile.does(FORK).up()
    with bystander() as other:
        before, fork = hostile.pids(), hostile.fork()
        hostile.kill_up()
        hostile.up()
        assert not any(map(lives, [*before, fork])) and other.poll() is None
        assert all(hostile.service(name)["ready"] for name in ("users", "orders"))


def test_up_is_killed_while_it_ends_those_of_the_one_before(hostile):
    hostile.does(FORK).up()
    before, fork = hostile.pids(), hostile.fork()
    for pid in before:
        os.kill(pid, signal.SIGSTOP)  # they don't end by themselves
    hostile.kill_up()
    with subprocess.Popen([FREEHOLD, "up", hostile.file], stdout=subprocess.PIPE, text=True) as second:
        assert any("of an earlier up to end" in line for line in second.stdout)
        second.kill()
    assert any(map(lives, before))
    hostile.up()
    assert not any(map(lives, [*before, fork]))


def test_a_pid_that_was_used_again_is_left_alone(hostile):
    hostile.does(":").up()
    pid = hostile.service("users")["pid"]
    os.kill(pid, signal.SIGSTOP)
    hostile.kill_up()
    record = records(hostile.state)["service.users.0"]
    assert record["pid"] == pid
    record.pop("cgroup", None)
    (hostile.state / ".run" / "service.users.0").write_text(json.dumps({**record, "start": record["start"] - 1}))
    try:
        hostile.up()
        assert lives(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
    assert all(one["pid"] != pid for one in records(hostile.state).values())


def test_the_locks_of_an_earlier_version_are_respected_once(hostile):
    hostile.up()
    hostile.run("stop", "--state", hostile.state)
    users = hostile.state / "users"
    for kept, killed in ((False, True), (True, False)):
        if not kept:
            shutil.rmtree(hostile.state / ".run")
        with subprocess.Popen(["flock", "pid", "sh", "-c", "touch locked; exec sleep 1000"], cwd=users,
                              start_new_session=True) as earlier:
            wait_for("the lock is held", (users / "locked").exists)
            (users / "locked").unlink()
            hostile.up()
            hostile.run("stop", "--state", hostile.state)
            assert (earlier.poll() is not None) == killed
            assert (users / "pid").exists() != killed
            os.killpg(earlier.pid, signal.SIGKILL) if not killed else None


def test_a_copy_of_the_state_folder_ends_nothing_of_the_original(hostile, tmp_path):
    hostile.up()
    copy = tmp_path / "copy"
    shutil.copytree(hostile.state, copy, ignore=shutil.ignore_patterns("*.sock"))
    before = hostile.pids()
    hostile.run("up", hostile.file, "--detach", "--state", copy, "--listen", "127.0.0.1:0")
    try:
        assert all(map(lives, before)) and hostile.pids() == before
    finally:
        hostile.run("stop", "--state", copy)
