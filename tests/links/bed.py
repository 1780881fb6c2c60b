# SPDX-License-Identifier: Apache-2.0
"""One small system for link points: a desk and a shelf (services/), each with a store of its own on one kind of server,
and a link (link.py) wherever one of them, or a client, speaks to another. It is brought up by hand, as
docs/internals/processes.md tells, and what ends is started again, as `up` does. Many of them run concurrently on one
loop: they mostly wait."""

import asyncio
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "links")]
from link import Link  # noqa: E402
from ports import free_port  # noqa: E402

BUILD = pathlib.Path(os.environ.get("FREEHOLD", str(ROOT / "build" / "freehold"))).parent
MODELS = {"postgresql": "relational", "mariadb": "relational", "mongodb": "document", "redis": "key_value",
          "sqlite": "relational"}
READY_S_MAX = 120
REST_S_MAX = 120
ASK_S_MAX = 20
CONNECTIONS = {"mariadb": 4}  # of these half as many read
CONNECTIONS_ELSE = 2


def server(engine):
    """What tools/servers has started."""
    return json.loads(os.environ[f"FREEHOLD_TEST_{engine.upper()}"])


def run(words, **environment):
    subprocess.run(words, env={**os.environ, **environment}, check=True, capture_output=True, timeout=120)


def new_store(engine, name):
    """An empty database on the server, and what a configuration says of it."""
    if engine == "sqlite":
        return {"engine": "sqlite"}
    at = server(engine)
    if engine == "postgresql":
        run(["psql", "-XAtq", "-h", at["host"], "-p", str(at["port"]), "-U", at["user"], "-d", "postgres", "-c",
             f"CREATE DATABASE {name}"], PGPASSWORD=at["password"])
    elif engine == "mariadb":
        run(["mariadb", "--no-defaults", "-h", at["host"], "-P", str(at["port"]), "-u", at["user"],
             f"-p{at['password']}", "-e", f"CREATE DATABASE {name}"])
    store = {"host": "127.0.0.1", "database": name, "connections": CONNECTIONS.get(engine, CONNECTIONS_ELSE), "tls": {"mode": "off"}}
    store |= {key: at[key] for key in ("user", "password") if key in at}
    if engine == "redis":
        store["appendfsync"] = "always"
        store["tls"] = {"mode": "off"}
    return {"engine": engine, "store": store}


class Service:
    """One process of a service; what ends without having been stopped is started again."""

    def __init__(self, bed, name, instance=0):
        self.bed, self.name, self.instance = bed, name, instance
        self.folder = bed.folder / name
        self.process = self.control = None
        self.stopped, self.ready, self.ends = True, asyncio.Event(), []
        self.own = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.listener = bed.listeners[name]
        self.watch = None

    def config(self):
        config = {"freehold": 1, "system": "links", "service": self.name, "folder": str(self.folder), "settings": {},
                  "listen_fd": self.listener.fileno(), "confine": False, "peers": self.bed.peers[self.name],
                  "migrations": str(self.bed.migrations(self.name)), **self.bed.stores[self.name],
                  "heard": {}, "instance": str(self.instance)}
        if self.bed.engine != "sqlite":
            config["own_listen_fd"] = self.own.fileno()
        return config

    def spawn(self):
        self.folder.mkdir(exist_ok=True)
        self.control, theirs = socket.socketpair()
        self.control.setblocking(False)
        path = self.folder / f"service-{self.instance}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({**self.config(), "control_fd": theirs.fileno()}))
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [BUILD / "tests" / "links" / f"{MODELS[self.bed.engine]}_{self.name}", "--config", path],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                pass_fds=(self.listener.fileno(), self.own.fileno(), theirs.fileno()))
        theirs.close()

    async def live(self):
        """Until it is stopped."""
        loop = asyncio.get_running_loop()
        pause_s = 0.1
        while not self.stopped:
            self.spawn()
            with contextlib.suppress(OSError):
                while data := await loop.sock_recv(self.control, 4096):
                    if b"ready" in data:
                        self.ready.set()
                        pause_s = 0.1
            self.control.close()
            self.ready.clear()
            while self.process.poll() is None:
                await asyncio.sleep(0.01)
            if not self.stopped:
                self.ends.append(self.process.returncode)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, 2)

    async def start(self):
        if self.stopped:
            self.stopped = False
            self.watch = asyncio.ensure_future(self.live())
        try:
            await asyncio.wait_for(self.ready.wait(), READY_S_MAX)
        except asyncio.TimeoutError:
            raise AssertionError(f"{self.name} is not ready within {READY_S_MAX} s") from None

    async def stop(self, number=signal.SIGTERM):
        self.stopped = True
        if self.watch:
            if self.process and self.process.poll() is None:
                self.process.send_signal(number)
            try:
                await asyncio.wait_for(asyncio.shield(self.watch), 20)
            except asyncio.TimeoutError:
                self.process.kill()
                await self.watch
            self.watch = None


class Answer:
    def __init__(self, status, body):
        self.status, self.body = status, body

    def __repr__(self):
        return f"{self.status} {self.body}"


async def ask(port, method, path, body=None, key=None, headers=(), seconds=ASK_S_MAX):
    """One attempt on a connection of its own; None: no whole answer came."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"] if method != "GET" else []
    lines += [f"Idempotency-Key: {key}"] if key else []
    writer = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + data)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            found = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            text = await reader.readexactly(int(found[0].split(b":")[1])) if found else b""
            return Answer(status, json.loads(text) if text else None)
    except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
        return None
    finally:
        if writer:
            writer.transport.abort()


class Bed:
    """`async with` it. `links`: client>desk, desk>shelf, shelf>desk, desk>store, shelf>store."""

    numbers = itertools.count(1)

    def __init__(self, folder, engine):
        self.number = next(Bed.numbers)
        self.engine, self.folder = engine, folder / f"bed-{self.number}"
        self.folder.mkdir()
        self.names = itertools.count(self.number * 1_000_000)
        self.listeners, self.ports, self.stores, self.links, self.peers = {}, {}, {}, {}, {}
        self.newest = {"desk": 1, "shelf": 1}
        self.moves = itertools.count(1)
        self.second = None

    def migrations(self, service):
        return self.folder / "migrations" / service

    def one_more_migration(self, service):
        if MODELS[self.engine] != "relational":
            return
        self.newest[service] += 1
        name, table = f"{self.newest[service]:04}_more.sql", f"more_{self.newest[service]} (id INTEGER PRIMARY KEY);\n"
        for folder in ("", "postgresql"):
            (self.migrations(service) / folder / name).write_text(f"CREATE TABLE {table}")
        # There a statement that was cut off is repeated only where it says that this does no harm.
        (self.migrations(service) / "mariadb" / name).write_text(f"CREATE TABLE IF NOT EXISTS {table}")

    async def begin_move(self, service):
        """From here on the service's configuration says that its data go to another store of its server, over the same link."""
        now = self.stores[service]
        name = f"links_{os.getpid()}_{self.number}_{service}_{next(self.moves)}"
        other = await asyncio.to_thread(new_store, self.engine, name)
        other["store"]["port"] = now["store"]["port"]
        other["from"] = {**now, "folder": str(self.folder / service)}
        self.stores[service] = other

    async def link(self, name, protocol, to_port):
        self.links[name] = await Link(name, protocol, free_port(), to_port).open()
        return self.links[name].port

    async def __aenter__(self):
        for name in ("desk", "shelf"):
            shutil.copytree(ROOT / "tests" / "links" / "services" / name / "migrations", self.migrations(name))
            self.listeners[name] = socket.create_server(("127.0.0.1", free_port()), backlog=512)
            self.ports[name] = self.listeners[name].getsockname()[1]
            self.stores[name] = await asyncio.to_thread(new_store, self.engine, f"links_{os.getpid()}_{self.number}_{name}")
            if "store" in self.stores[name]:
                self.stores[name]["store"]["port"] = await self.link(
                    f"{name}>store", self.engine, server(self.engine)["port"])
        self.door = await self.link("client>desk", "http", self.ports["desk"])
        self.peers = {"desk": {"shelf": "127.0.0.1:%d" % await self.link("desk>shelf", "http", self.ports["shelf"])},
                      "shelf": {"desk": "127.0.0.1:%d" % await self.link("shelf>desk", "http", self.ports["desk"])}}
        self.desk, self.shelf = Service(self, "desk"), Service(self, "shelf")
        await asyncio.gather(self.desk.start(), self.shelf.start())
        return self

    async def __aexit__(self, *unused):
        await asyncio.gather(*(one.stop(signal.SIGKILL) for one in (self.desk, self.shelf, self.second) if one))
        for link in self.links.values():
            await link.close()
        for listener in self.listeners.values():
            listener.close()

    def new_name(self):
        return f"{next(self.names):012}"

    def logs(self):
        found = []
        for name in ("desk", "shelf"):
            path = self.folder / name / "log"
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            found += [f"-- {name}", *lines[-25:]]
        return "\n".join(found)

    async def states(self):
        """All that the services report of themselves, for whoever reads of a failure."""
        return "\n".join([f"-- {service}: {json.dumps(await self.state(service))}" for service in ("desk", "shelf")])

    async def state(self, service):
        answer = await ask(self.ports[service], "GET", "/_freehold/state", headers=["Freehold-From: operator"])
        return answer.body if answer and answer.status == 200 else None

    async def tally(self, service, name):
        answer = await ask(self.ports[service], "GET", f"/api/tally?name={name}")
        return answer.body if answer and answer.status == 200 else None

    async def events(self, name):
        """[(position, type)] of this name's events in the desk's outbox."""
        found, after = [], 0
        while True:
            answer = await ask(self.ports["desk"], "GET", f"/_freehold/events?after={after}&limit=1000&key={name}",
                               headers=["Freehold-From: operator"])
            if not answer or answer.status != 200:
                return None
            found += [(event["position"], event["type"]) for event in answer.body["events"]]
            if answer.body["next"] >= answer.body["last"]:
                return found
            after = answer.body["next"]

    async def unrest(self):
        """What keeps it from rest, or ""."""
        desk, shelf = await self.state("desk"), await self.state("shelf")
        if not desk or not shelf:
            return "a service does not tell its state"
        sagas = {kind: desk["sagas"][kind] for kind in ("running", "compensating", "parked") if desk["sagas"][kind]}
        if sagas:
            return f"sagas: {sagas}"
        for heard in shelf["subscriptions"]:
            if heard["position"] != desk["position"] or heard["state"] != "following" or heard["parked"]["keys"] or \
                    heard["lag_ms"]:
                return f"the desk is at {desk['position']}, heard {heard}"
        return ""

    async def trouble(self):
        """It is reported until there was a unit of work or a read after it: so what needs one is checked first."""
        desk, shelf = await self.state("desk"), await self.state("shelf")
        told = [one["trouble"] for one in (desk, shelf) if one and one["trouble"]]
        return f"trouble: {told}" if told else ""

    async def at_rest(self, further=None, seconds=REST_S_MAX):
        """Waits for it; `further` says what else is wrong, or "". Returns what still is in the end, or ""."""
        until = time.monotonic() + seconds
        pause_s = 0.03
        while True:
            wrong = await self.unrest() or (await further() if further else "") or await self.trouble()
            if not wrong or time.monotonic() > until:
                return wrong
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.3)
