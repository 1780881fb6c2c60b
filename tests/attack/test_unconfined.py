# SPDX-License-Identifier: Apache-2.0
"""The attacks themselves: with `confine: false`, which is for debuggers, those that need no privilege get what they
want. So one that is refused elsewhere was refused, and is not broken."""

import pytest

from conftest import Attacked, scenario


@pytest.fixture(scope="module")
def unconfined():
    system = Attacked(confine=False)
    try:
        yield system.up()
    finally:
        system.remove()


@pytest.mark.parametrize("attack", [
    "bind_port", "listen_unbound", "fork_child", "spawn_program", "become_dumpable", "change_personality", "handle_faults",
    "send_datagram", "make_namespace_by_clone"])
def test_it_works(unconfined, attack):
    """As far as this machine's own settings let it."""
    assert unconfined.attack(attack, port=0 if attack != "send_datagram" else 9)[0] in (None, "ENOSPC")


@pytest.mark.parametrize("attack", ["connect_port", "connect_port_by_fast_open", "connect_port_by_multipath"])
def test_it_reaches_every_port(unconfined, attack):
    assert unconfined.attack(attack, port=unconfined.port)[0] is None


@pytest.mark.parametrize("attack", ["signal_process", "signal_thread", "signal_by_descriptor", "signal_queued", "lower_limits",
                                    "lower_priority", "bind_to_processor", "read_memory"])
def test_it_reaches_a_process(unconfined, attack):
    """Itself, so that no right to others' is needed. EFAULT: nothing but the address was wrong."""
    assert unconfined.attack(attack, pid=unconfined.pid("hostile"))[0] in (None, "EFAULT")


@pytest.mark.parametrize("attack, path, mode", [
    ("open_to_all", "store.db", 0o777), ("open_to_all_by_descriptor", "service.json", 0o777), ("make_open_file", "new", 0o666)])
def test_it_opens_its_own_files_to_others(unconfined, attack, path, mode):
    assert unconfined.attack(attack, path=unconfined.path("hostile", path)) == (None, {"mode": mode})


def test_its_memory_is_open(unconfined):
    assert unconfined.attack("tell_dumpable")[1]["dumpable"] == 1


def test_nothing_is_named_in_its_log(unconfined):
    scenario.assert_unrefused(unconfined.state)
    assert "[confinement-lifted]" in unconfined.log("hostile")
