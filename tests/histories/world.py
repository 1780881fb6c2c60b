# SPDX-License-Identifier: Apache-2.0
"""What a history is made on: a system on one engine, its server behind a link that can fail, and the processes of both,
found by what they were started with, so that no other's are ever touched."""

import collections
import hmac
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT / "tools")]
from ports import free_port  # noqa: E402

SERVICES = ("recorder", "hearer", "partner")
# Each engine's kind in tools/servers, its name in system files, and the services' model.
ENGINES = {"sqlite": (None, "sqlite", "relational"), "postgresql": ("postgresql", "postgresql", "relational"),
           "mariadb": ("mariadb", "mariadb", "relational"), "redis": ("redis", "redis", "keyvalue"),
           "ferretdb": ("mongodb", "mongodb", "document"), "mongo-java-server": ("mongojava", "mongodb", "document")}
FAKETIME = next(iter(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
REST_S_MAX = 900  # a snapshot of all there is, twice, on a busy machine
LOOK_S = 0.5
CALLS = {"memory": (100_000, 2_000_000), "files": (200, 4_000)}  # of a process of a service: from, up to how many the next fails
STEADY_S = 3    # longer than an instance's last report is trusted
TOKEN_S = 100 # the lifetime of one


def processes():
    """{pid: (parent, command line)} of all that live."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            words = pathlib.Path("/proc", name, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            stat = pathlib.Path("/proc", name, "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        state, parent = stat.rsplit(")", 1)[1].split()[:2]
        if state != "Z":
            found[int(name)] = (int(parent), words)
    return found


def signal_to(pid, number):
    """False: it has gone."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def get(address, path, headers, seconds=5):
    host, port = address.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=seconds)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


class Link:
    """The process of proxy.py between the services and a server."""

    def __init__(self, host, port):
        self.port = free_port()
        self.process = subprocess.Popen([sys.executable, HERE / "proxy.py", str(self.port), host, str(port)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdout.readline() == b"ready\n", "the link is there"
        os.set_blocking(self.process.stdout.fileno(), False)

    def order(self, *words):
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())

    def told(self):
        """Names of the faults that were carried out since the last look."""
        return (self.process.stdout.read() or b"").decode().split()

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


class World:
    """One running system, `instances` of the recorder. Its state lies in `folder`."""

    services = SERVICES
    victims = ("recorder", "recorder", "recorder", "hearer", "partner", "gateway")
    receiver = "partner"  # of sagas: the one to be away past their deadline

    def __init__(self, build, engine, folder, instances, clocks, retention=None, calls=False):
        self.freehold, self.engine, self.folder = build / "freehold", engine, folder
        self.kind, self.name, self.model = ENGINES[engine]
        self.programs = build / "tests" / "histories"
        self.server = json.loads(os.environ[f"FREEHOLD_TEST_{self.kind.upper()}"]) if self.kind else None
        self.link = Link(self.server["host"], self.server["port"]) if self.kind else None
        self.instances = instances if self.kind else 1
        self.state, self.port = folder / "state", free_port()
        self.system = f"h{os.urandom(4).hex()}"
        self.clocks, self.retention, self.said = clocks and FAKETIME, retention, ""
        self.calls = build / "tests" / "long" / "libfail.so" if calls else None

    def program(self, service):
        """With `clocks`: one that reads its service's file `clock` once, when it starts, and keeps to it. No variable
        of `up` gets to a service, so each sets its own. With `calls`: one in which every n-th call for memory,
        or for files, fails, n drawn anew each time that it starts (tests/long/fail.c)."""
        plain = self.programs / f"{service}-{self.model}"
        if not self.clocks and not self.calls:
            return plain
        program, lines, preload, sets = self.folder / f"{service}-wrapped", ["#!/bin/sh"], [], []
        if self.clocks:
            preload.append(FAKETIME)
            sets.append("FAKETIME_TIMESTAMP_FILE=clock FAKETIME_CACHE_DURATION=1000000 FAKETIME_DONT_FAKE_MONOTONIC=1")
        if self.calls:
            preload.append(self.calls)
            draw = {what: f"at=$((n / 2 % {most - least} + {least}))" for what, (least, most) in CALLS.items()}
            lines += ["n=$(od -An -N4 -tu4 /dev/urandom)", f"what=memory {draw['memory']}",
                      f"[ $((n % 2)) = 0 ] || {{ what=files; {draw['files']}; }}"]
            sets.append("FAIL_WHAT=$what FAIL_AT=$at FAIL_AFTER=each FAIL_REPORT=failed")
        lines.append(f"LD_PRELOAD={':'.join(map(str, preload))} {' '.join(sets)} exec {plain} \"$@\"")
        program.write_text("\n".join(lines) + "\n")
        program.chmod(0o755)
        return program

    def file(self):
        """The system file, in JSON, which is YAML."""
        services, servers = {}, {}
        for name in SERVICES:
            services[name] = {"program": str(self.program(name)), "engine": self.name}
            if self.model == "relational":
                services[name]["migrations"] = str(HERE / "services" / name / "migrations")
            if self.name == "mongodb":
                services[name]["store"] = {"host": "127.0.0.1", "port": self.link.port,
                                           "database": f"{self.system}_{name}"}
            elif self.kind:
                services[name]["store"] = {"server": "main"}
        if self.instances > 1:
            services["recorder"]["instances"] = self.instances
            services["hearer"]["instances"] = self.instances
        if self.retention:
            services["recorder"]["retention"] = self.retention
        if self.kind and self.name != "mongodb":
            servers["servers"] = {"main": {"engine": self.name, "host": "127.0.0.1", "port": self.link.port,
                                           "user": self.server["user"], "password": self.server["password"],
                                           **({"tls": {"mode": "off"}} if self.name == "redis" else {})}}
        path = self.folder / "freehold.yaml"
        path.write_text(json.dumps({"system": self.system, "gateway": {"listen": "127.0.0.1:0"}, "services": services,
                                    **servers}, indent=1))
        path.chmod(0o600)
        return path

    def command(self, *words, seconds=240):
        return subprocess.run([self.freehold, *words, "--state", self.state], capture_output=True, text=True,
                              timeout=seconds, check=False)

    def up(self):
        done = subprocess.run([self.freehold, "up", self.file(), "--detach", "--state", self.state, "--listen",
                               f"127.0.0.1:{self.port}"], capture_output=True, text=True, timeout=240, check=False)
        self.said = done.stdout + done.stderr
        assert done.returncode == 0, f"up: {self.said}"

    def stop(self):
        """In order, if that can be; then whatever still lives of it goes."""
        try:
            self.command("stop", seconds=60)
        except subprocess.TimeoutExpired:
            pass
        for pid in self.own():
            signal_to(pid, signal.SIGKILL)
        if self.link:
            self.link.end()

    def dump(self, place):
        """The stores themselves, where a tool for that is at hand."""
        for name in self.services:
            if self.engine == "sqlite":
                for file in (self.state / name).glob("*.db*"):
                    shutil.copy(file, place / f"{name}-{file.name}")
            elif self.engine == "postgresql":
                with open(place / f"{name}.sql", "wb") as file:
                    subprocess.run(["pg_dump", "-h", self.server["host"], "-p", str(self.server["port"]), "-U",
                                    self.server["user"], "--inserts", f"{self.system}_{name}"], stdout=file,
                                   stderr=subprocess.DEVNULL, timeout=100, check=False,
                                   env={**os.environ, "PGPASSWORD": self.server["password"]})

    # ---- Processes ----

    def own(self):
        """{pid: command line} of what was started with this state folder."""
        mark = f"{self.state}/"
        return {pid: words for pid, (_, words) in processes().items()
                if (mark in words or f" {self.state} " in words) and pid != os.getpid()}

    def pids(self, service):
        """Its instances that live, or the gateway."""
        mark = f"/{service}/{service if service == 'gateway' else 'service'}"
        return sorted(pid for pid, words in self.own().items() if f"{self.state}{mark}" in words)

    def failed_calls(self):
        """How many calls failed in services' processes, by kind, as their reports tell."""
        return collections.Counter(line.split()[2] for report in self.state.glob("*/failed")
                                   for line in report.read_text(errors="replace").splitlines() if line.startswith("failed"))

    def server_pids(self):
        """The server, and its children behind it."""
        try:
            pid = int(pathlib.Path(self.server["pid_file"]).read_text().split()[0])
        except (OSError, IndexError, ValueError):
            return []
        living = processes()
        return [pid, *(child for child, (parent, _) in living.items() if parent == pid)] if pid in living else []

    # ---- Clocks ----

    def set_clock(self, service, seconds):
        """For the processes of it that start from now on."""
        path = self.state / service / "clock"
        draft = path.with_suffix(".draft")
        draft.write_text(f"{seconds:+d}\n")
        draft.chmod(0o644)
        draft.rename(path)

    def clock_of(self, service, seconds):
        """How far ahead one of its processes is, in seconds, asked directly; None: it did not say. The token is one that a
        process whose clock is `seconds` ahead takes: another refuses it, unless it is little."""
        try:
            status = json.loads(self.command("status", "--json", seconds=20).stdout)
            address = next(one["address"] for one in status["services"] if one["name"] == service)
            key = json.loads((self.state / "keys.json").read_text())["keys"]["operator"][service]
        except (OSError, ValueError, KeyError, StopIteration, subprocess.TimeoutExpired):
            return None
        text = f"1.operator.{service}.{int((time.time() + seconds + TOKEN_S) * 1000)}"
        code = hmac.new(bytes.fromhex(key), text.encode(), "sha512").digest()[:32].hex()
        answer = get(address, f"/{service}/clock", {"Freehold-From": "operator", "Freehold-Token": f"{text}.{code}"})
        return round(answer["now_ms"] / 1000 - time.time()) if answer else None

    # ---- Rest ----

    def unrest(self):
        """What keeps it from rest, a line each; what it has seen shows whether anything changed between two checks."""
        try:
            done = self.command("status", "--json", seconds=60)
            services = {one["name"]: one["state"] for one in json.loads(done.stdout)["services"]}
        except (subprocess.TimeoutExpired, ValueError, KeyError) as error:
            return [f"status: {error!r}"], None
        found = [f"{name} does not answer" for name, state in services.items() if state is None]
        if found:
            return found, None
        for name, state in services.items():
            found += [f"{name}: sagas {kind}: {state['sagas'][kind]}" for kind in ("running", "compensating", "parked")
                      if state["sagas"][kind]]
            for heard in state["subscriptions"]:
                last = services[heard["source"]]["position"]
                if heard["position"] != last or heard["state"] != "following" or heard["parked"]["events"] or heard["depth"]:
                    found.append(f"{name}: {heard['source']} is at {last}, heard {heard}")
        return found, {name: state["position"] for name, state in services.items()}

    def unrest_behind_restore(self):
        """Services that have not learned of it yet, or not gone through their sagas: before that no report has what
        these lost."""
        try:
            told = json.loads(self.command("restore-report", "--json", seconds=60).stdout)["services"]
            return [f"{one['service']}: {kind}: {', '.join(one[kind])}" for one in told for kind in ("untold", "looking") if one[kind]]
        except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
            return [f"restored: {error!r}"]

    def retry_parked(self):
        """Sagas parked by their deadline after the pivot need an operator; returns how many were retried."""
        done = self.command("saga", "list", "--status", "parked", "--json", seconds=60)
        try:
            told = json.loads(done.stdout)
        except ValueError:
            return 0
        found = [one for part in (told if isinstance(told, list) else told.get("sagas", []))
                 for one in (part.get("sagas", [part]) if isinstance(part, dict) else [])]
        for one in found:
            self.command("saga", "retry", one.get("service", "recorder"), str(one["id"]), seconds=60)
        return len(found)

    def at_rest(self, restored=False, seconds=REST_S_MAX):
        """(what still keeps it from rest, sagas retried); `restored`: sagas that need an operator may wait, and every
        service has learned of the restore."""
        until, before, since, retried, why = time.monotonic() + seconds, None, 0, 0, ["?"]
        while time.monotonic() < until:
            why, positions = self.unrest()
            if restored:
                why = [line for line in why if "sagas parked" not in line] + self.unrest_behind_restore()
            if why or positions != before:
                before, since = None if why else positions, time.monotonic()
            elif time.monotonic() - since > STEADY_S:
                return [], retried
            if any("sagas parked" in line for line in why):
                retried += self.retry_parked()
            time.sleep(LOOK_S)
        return why, retried
