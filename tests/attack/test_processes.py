# SPDX-License-Identifier: Apache-2.0
"""Processes: a service touches none but itself, and makes none."""

import os
import pathlib

import pytest


def targets(attacked):
    """`up` itself, a neighbour, and one that has nothing to do with the system."""
    return attacked.status()["up_pid"], attacked.pid("neighbour"), os.getpid()


def what_it_may(pid):
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    return os.getpriority(os.PRIO_PROCESS, pid), os.sched_getaffinity(pid), os.sched_getscheduler(pid), limits


@pytest.mark.parametrize("attack", [
    "trace", "read_memory", "signal_process", "signal_thread", "signal_by_descriptor", "signal_queued", "lower_priority",
    "lower_limits", "read_limits", "bind_to_processor", "idle_schedule", "compare_processes", "take_descriptor"])
def test_others_are_out_of_reach(attacked, attack):
    for pid in targets(attacked):
        before = what_it_may(pid)
        assert attacked.attack(attack, pid=pid)[0] == "EPERM", pid
        assert what_it_may(pid) == before


@pytest.mark.parametrize("attack", ["signal_process", "read_limits"])
def test_itself_is_within_reach(attacked, attack):
    """So the refusals above say something."""
    assert attacked.attack(attack, pid=attacked.pid("hostile"))[0] is None


def test_nobody_is_signalled_for_a_descriptor(attacked):
    assert attacked.attack("signal_by_owner", pid=attacked.pid("neighbour"))[0] == "EPERM"


@pytest.mark.parametrize("attack", ["lower_limits", "lower_priority"])
def test_it_changes_not_even_its_own(attacked, attack):
    assert attacked.attack(attack, pid=attacked.pid("hostile"))[0] == "EPERM"


@pytest.mark.parametrize("policy, errno", [(os.SCHED_IDLE, None), (os.SCHED_OTHER, "EPERM"), (os.SCHED_BATCH, "EPERM"),
                                           (os.SCHED_FIFO, "EPERM")])
def test_a_thread_may_leave_the_processor_to_others_and_that_alone(attacked, policy, errno):
    """As those of long questions do."""
    assert attacked.attack("schedule_own_thread", policy=policy)[0] == errno


@pytest.mark.parametrize("attack, errno", [("fork_child", "EPERM"), ("spawn_program", "EPERM"), ("become_program", "EPERM"),
                                           ("become_memory", "EPERM")])
def test_it_makes_no_process_and_runs_no_program(attacked, attack, errno):
    before = attacked.pid("hostile")
    assert attacked.attack(attack)[0] == errno
    assert attacked.pid("hostile") == before


def test_its_memory_is_closed(attacked):
    """To a core, and to whoever shares its user."""
    assert attacked.attack("tell_dumpable")[1] == {"dumpable": 0, "core": 0}
    assert attacked.attack("become_dumpable")[0] == "EPERM"
    for name in ("hostile", "neighbour", "ally"):
        pid = attacked.pid(name)
        assert pathlib.Path(f"/proc/{pid}/environ").stat().st_uid == 0, "it is root's, as of one that can't be dumped"


def test_calls_are_filtered_in_every_process(attacked):
    status = attacked.status()
    for process in (*status["services"], status["gateway"]):
        text = pathlib.Path(f"/proc/{process['pid']}/status").read_text()
        assert "\nSeccomp:\t2\n" in text and "\nNoNewPrivs:\t1\n" in text
