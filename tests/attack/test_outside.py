# SPDX-License-Identifier: Apache-2.0
"""Another user of the machine, who was never let in: what they get of the files, the processes and the ports."""

import http.client
import json
import shutil
import socket
import subprocess

import pytest

from conftest import AS_ROOT, scenario

STRANGER = "daemon"  # neither root nor the user that the system runs as

pytestmark = pytest.mark.skipif(not AS_ROOT or not shutil.which("setpriv"),
                                reason="NOT TRIED BY ANOTHER USER OF THE MACHINE: THAT NEEDS ROOT AND setpriv")


def as_stranger(*command):
    return subprocess.run(["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", *command],
                          capture_output=True, text=True, check=False, cwd="/", timeout=60)


def ask(port, path, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_a_stranger_is_one():
    """So the refusals below say something."""
    assert as_stranger("head", "-c1", "/etc/passwd").returncode == 0
    assert as_stranger("head", "-c1", "/etc/shadow").returncode != 0


@pytest.mark.parametrize("path", ["keys.json", "system.json", "hostile/store.db", "neighbour/store.db", "neighbour/service.json",
                                  "gateway/gateway.json", "neighbour/log"])
def test_files_are_closed(attacked, path):
    tried = as_stranger("head", "-c1", attacked.path(path))
    assert tried.returncode != 0 and "Permission denied" in tried.stderr


def test_processes_are_closed(attacked):
    pids = [attacked.status()["up_pid"], *(attacked.pid(name) for name in ("hostile", "neighbour", "ally"))]
    for pid in pids:
        for path in ("environ", "maps", "mem", "fd/0", "cwd/store.db", "root/etc/shadow"):
            assert as_stranger("head", "-c1", f"/proc/{pid}/{path}").returncode != 0, (pid, path)
        assert as_stranger("kill", "-0", str(pid)).returncode != 0, pid


def test_no_key_is_on_a_command_line(attacked):
    keys = json.loads(scenario.pathlib.Path(attacked.path("keys.json")).read_text())["keys"]
    secrets = {key for callers in keys.values() for key in callers.values()}
    assert secrets
    for pid in (attacked.status()["up_pid"], *(attacked.pid(name) for name in ("hostile", "neighbour", "ally"))):
        for file in ("cmdline", "environ"):
            text = scenario.pathlib.Path(f"/proc/{pid}/{file}").read_bytes().decode(errors="replace")
            assert not [key for key in secrets if key in text], (pid, file)


@pytest.mark.parametrize("headers", [{}, {"Freehold-Token": "1.operator.neighbour.99999999999999." + 64 * "0"},
                                     {"Freehold-From": "operator"}, {"Authorization": "Bearer x"}])
def test_a_port_answers_nobody_without_a_token(attacked, headers):
    status, answered, _ = ask(attacked.port_of("neighbour"), "/ping", headers)
    assert status == 401 and answered["Freehold-Refused"] == "caller"


@pytest.mark.parametrize("path", ["/ping", "/secrets", "/attacks/fork_child", "/_freehold/state", "/_freehold/feed"])
def test_the_gateway_passes_nothing_internal_on(attacked, path):
    assert ask(attacked.port, path, {})[0] == 404


def test_the_operators_socket_is_closed(attacked):
    path = attacked.path("control.sock")
    tried = as_stranger("/usr/bin/python3", "-c", "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])", path)
    assert tried.returncode != 0 and "Permission denied" in tried.stderr


def test_a_port_of_a_service_is_nobody_elses(attacked):
    """It can't be bound beside the service, to be sent what is meant for it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError):
            other.bind(("127.0.0.1", attacked.port_of("neighbour")))
