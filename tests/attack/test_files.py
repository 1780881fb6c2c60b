# SPDX-License-Identifier: Apache-2.0
"""Files: a service that was taken over reaches its own folder, and nothing beside it."""

import pytest

OTHERS = ["keys.json", "system.json", "neighbour/store.db", "neighbour/service.json", "ally/service.json", "gateway/gateway.json"]


@pytest.mark.parametrize("attack", ["open_to_read", "open_to_write"])
@pytest.mark.parametrize("path", OTHERS)
def test_files_of_others_are_refused(attacked, attack, path):
    refused, _ = attacked.attack(attack, path=attacked.path(path))
    assert refused in ("EACCES", "ENOENT"), refused  # ENOENT: not even seen


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/self/mem", "/dev/mem"])
def test_files_of_the_machine_are_refused(attacked, path):
    refused, _ = attacked.attack("open_to_read", path=path)
    assert refused in ("EACCES", "EPERM", "ENOENT"), refused


def test_its_own_files_are_within_reach(attacked):
    """So the refusals above say something."""
    for name in ("store.db", "service.json"):
        assert attacked.attack("open_to_read", path=attacked.path("hostile", name))[0] is None


@pytest.mark.parametrize("attack", ["open_again", "open_by_handle", "link_here", "link_to_there"])
def test_ways_around_paths_are_refused(attacked, attack):
    for path in ("keys.json", "neighbour/store.db"):
        refused, _ = attacked.attack(attack, path=attacked.path(path), own=attacked.path("hostile", "taken"),
                                     folder=attacked.path("hostile"))
        assert refused in ("EACCES", "EPERM", "ENOENT"), refused


def test_other_processes_files_are_refused(attacked):
    """By what the kernel shows of them."""
    for pid in (attacked.status()["up_pid"], attacked.pid("neighbour")):
        for path in ("root/etc/passwd", "cwd/store.db", "environ", "maps", "mem", "fd", "fd/0"):
            refused, _ = attacked.attack("open_to_read", path=f"/proc/{pid}/{path}")
            assert refused in ("EACCES", "EPERM"), (pid, path, refused)


@pytest.mark.parametrize("attack", ["open_to_all", "open_to_all_by_descriptor"])
@pytest.mark.parametrize("path, mode", [("hostile", 0o700), ("hostile/store.db", 0o600), ("hostile/service.json", 0o600)])
def test_its_own_files_stay_closed_to_others(attacked, attack, path, mode):
    """A service that opens them would let others read what it is trusted with."""
    refused, found = attacked.attack(attack, path=attacked.path(path))
    assert (refused, found["mode"]) == ("EPERM", mode)


def test_new_files_are_closed_to_others(attacked):
    refused, found = attacked.attack("make_open_file", path=attacked.path("hostile", "new"))
    assert (refused, found["mode"]) == (None, 0o600)


@pytest.mark.parametrize("attack", ["give_away", "set_times", "open_to_all"])
@pytest.mark.parametrize("path", ["hostile/store.db", "neighbour/store.db", "keys.json"])
def test_nobodys_files_are_given_away_or_changed(attacked, attack, path):
    assert attacked.attack(attack, path=attacked.path(path))[0] == "EPERM"
