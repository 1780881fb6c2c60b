# SPDX-License-Identifier: Apache-2.0
"""Files: a service that was taken over reaches its own folder, and nothing beside it."""

import pytest

OTHERS = ["keys.json", "system.json", "neighbour/store.db", "neighbour/service.json", "ally/service.json", "gateway/gateway.json"]


@pytest.mark.parametrize("attack", ["open_to_read", "open_to_write"])
@pytest.mark.parametrize("path", OTHERS)
def test_files_of_others_are_refused(attacked, attack, path):
    assert attacked.attack(attack, path=attacked.path(path))[0] == "EACCES"


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/self/mem", "/dev/mem"])
def test_files_of_the_machine_are_refused(attacked, path):
    refused, _ = attacked.attack("open_to_read", path=path)
    assert refused in ("EACCES", "EPERM", "ENOENT"), refused


def test_its_own_files_are_within_reach(attacked):
    """So the refusals above say something."""
    for name in ("store.db", "service.json"):
        assert attacked.attack("open_to_read", path=attacked.path("hostile", name))[0] is None
