# SPDX-License-Identifier: Apache-2.0
"""What the demos share: a system that is up, asked and stopped by the command, and waited for until it is at rest."""

import asyncio
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PORT = 8080
NOT_RUNNING = 3    # an exit code of the command
STILL_S_MAX = 180  # while no saga ends and no event is applied
TOLD_S = 10        # between two lines about what is waited for


class Failed(Exception):
    """The demo can't go on: the message says why."""


class System:
    def __init__(self, command, state, profile):
        self.command, self.state, self.profile = command, pathlib.Path(state), profile

    def run(self, *arguments, check=True):
        done = subprocess.run([self.command, *arguments, "--state", str(self.state)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if check and done.returncode != 0:
            raise Failed(f"`freehold {shlex.join(arguments)}` ended with {done.returncode}:\n"
                         + done.stderr.strip())
        return done

    def start(self, what, file):
        """`what`: as the terminal calls it. Returns its address."""
        self.stop_earlier()
        address = free_address()
        began = time.monotonic()
        self.state.parent.mkdir(parents=True, exist_ok=True)
        self.run("up", str(file), "--listen", address, "--detach",
                 *(["--profile", self.profile] if self.profile else []))
        print(f"{what} is up after {time.monotonic() - began:.2f} s: http://{address}")
        return f"http://{address}"

    def stop_earlier(self):
        """A demo that is still up from before makes room; its state goes with it."""
        if self.state.exists():
            if self.run("status", "--json", check=False).returncode != NOT_RUNNING:
                print("An earlier demo is still up: stopping it.")
            self.run("stop", check=False)  # also what one that was killed has left
            shutil.rmtree(self.state)

    def call(self, service, path, method="GET", data=None):
        """An operator's request: (status, body)."""
        body = ["--data", json.dumps(data)] if data is not None else []
        done = self.run("call", service, method, path, "--json", *body, check=False)
        try:
            answer = json.loads(done.stdout)
            return answer["status"], answer["body"]
        except (ValueError, KeyError):
            raise Failed(f"`freehold call {service} {method} {path}` ended with {done.returncode}:\n"
                         + done.stderr.strip()) from None

    def services(self):
        """{name: what `status` tells of it}, whether or not all are ready."""
        done = self.run("status", "--json", check=False)
        try:
            return {one["name"]: one for one in json.loads(done.stdout)["services"]}
        except (ValueError, KeyError):
            raise Failed(f"`freehold status` ended with {done.returncode}:\n"
                         + done.stderr.strip()) from None

    def kill(self, name):
        """kill -9, as the kernel does it when memory runs out."""
        pid = self.services()[name]["pid"]
        os.kill(pid, signal.SIGKILL)
        return pid

    def unfinished(self):
        """What is still under way, in words; empty once all has come to rest."""
        services = self.services()
        waiting = [f"{name} is not ready" for name, one in services.items() if not one["state"]]
        for name, one in services.items():
            for kind in ("running", "compensating", "parked"):
                if one["state"] and one["state"]["sagas"][kind]:
                    waiting.append(f"{one['state']['sagas'][kind]} sagas of {name} {kind}")
            for heard in one["state"]["subscriptions"] if one["state"] else []:
                source = services[heard["source"]]["state"]
                if source and heard["position"] != source["position"]:
                    waiting.append(f"events of {heard['source']} after {heard['position']}"
                                   f" not applied in {name}")
        return waiting

    async def rest(self, after):
        """`after`: what came last. Returns what is unfinished if nothing of it moves any more."""
        began = moved = told = time.monotonic()
        before = None
        while waiting := await asyncio.to_thread(self.unfinished):
            now = time.monotonic()
            if waiting != before:
                before, moved = waiting, now
            if now - moved > STILL_S_MAX:
                break
            if now - told > TOLD_S:
                print(f"{'waiting':<10} {', '.join(dict.fromkeys(waiting))}", flush=True)
                told = now
            await asyncio.sleep(0.2)
        spent = time.monotonic() - began
        print(f"{'at rest':<10} every saga ended, every event applied, {spent:.1f} s after {after}"
              if not waiting else f"still under way after {spent:.0f} s: {', '.join(waiting)}")
        return waiting


def free_address():
    """127.0.0.1:8080, or another port where that one is taken."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                print(f"Port {port} is taken: choosing another.")
                continue
            return f"127.0.0.1:{probe.getsockname()[1]}"
    raise Failed("no port is free on 127.0.0.1")
