# SPDX-License-Identifier: Apache-2.0
"""Whole systems, run through the command as a person would. Tests wait for conditions."""

import hmac
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FREEHOLD = os.environ.get("FREEHOLD", str(ROOT / "build" / "freehold"))
CONDITION_S_MAX = 60


def wait_for(what, condition, seconds=CONDITION_S_MAX):
    """What `condition()` returns once it is true; the test fails with `what` otherwise."""
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


TOKEN_LIFE_MS = 300_000


def token(key, caller, audience, expires_ms=None):
    """What docs/security.md says of tokens, made without the runtime's code."""
    if expires_ms is None:
        expires_ms = time.time_ns() // 1_000_000 + TOKEN_LIFE_MS
    text = f"1.{caller}.{audience}.{expires_ms}"
    mac = hmac.new(bytes.fromhex(key), text.encode(), "sha512").digest()[:32]
    return f"{text}.{mac.hex()}"


class Answer:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text
        self.body = json.loads(text) if text else None

    def __repr__(self):
        return f"{self.status} {self.text[:500]}"


class System:
    """One running system, in a state folder and on a port of its own."""

    def __init__(self, file, state):
        self.file, self.state, self.port = str(file), str(state), free_port()

    def command(self, *arguments, check=True):
        done = subprocess.run([FREEHOLD, *arguments], capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, f"freehold {arguments}: {done.stdout}{done.stderr}"
        return done

    def up(self):
        self.command("up", self.file, "--detach", "--state", self.state,
                     "--listen", f"127.0.0.1:{self.port}")
        return self

    def stop(self, check=True):
        self.command("stop", "--state", self.state, check=check)

    def status(self):
        """The exit code is left alone: it says whether all are ready."""
        return json.loads(self.command("status", "--json", "--state", self.state, check=False).stdout)

    def services(self):
        """{name: what `status` tells of it}."""
        return {one["name"]: one for one in self.status()["services"]}

    def at_rest(self):
        """No saga is unfinished, no event unapplied."""
        states = {name: one["state"] for name, one in self.services().items()}
        if None in states.values():
            return False
        return not any(any(state["sagas"][kind] for kind in ("running", "compensating", "parked")) or
                       any(heard["position"] != states[heard["source"]]["position"]
                           for heard in state["subscriptions"]) for state in states.values())

    def pid(self, service):
        return self.services()[service]["pid"]

    def call(self, service, method, path, data=None, key=None):
        """An operator's call to any route, internal ones too."""
        arguments = ["call", service, method, path, "--json", "--state", self.state]
        arguments += ["--data", json.dumps(data)] if data is not None else []
        arguments += ["--key", key] if key else []
        done = self.command(*arguments, check=False)
        answer = json.loads(done.stdout)
        return Answer(answer["status"], {}, json.dumps(answer["body"]))

    def key(self, caller, receiver):
        """As the state folder's owner may read it."""
        keys = json.loads((pathlib.Path(self.state) / "keys.json").read_text())["keys"]
        return keys[caller][receiver]

    def token(self, caller, receiver):
        return token(self.key(caller, receiver), caller, receiver)

    def http(self, method, path, body=None, headers=None, seconds=30):
        """One request through the gateway, once."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            data = json.dumps(body) if body is not None else None
            headers = dict(headers or {}, **({"Content-Type": "application/json"} if data else {}))
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)
        finally:
            connection.close()

    def logs(self):
        return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-4000:]}"
                         for log in sorted(pathlib.Path(self.state).glob("*/log")))


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """start(file) brings a system up; all are stopped when the module's tests are through."""
    systems = []

    def begin(file):
        state = tmp_path_factory.mktemp("state") / "s"
        systems.append(System(file, state))
        return systems[-1].up()

    yield begin
    for system in systems:
        system.stop(check=False)
        shutil.rmtree(system.state, ignore_errors=True)
