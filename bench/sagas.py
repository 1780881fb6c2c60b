# SPDX-License-Identifier: Apache-2.0
"""Sagas of three steps, each waited for: Freehold's, and in turn with them Restate's beside the embedded store, DTM's and
DBOS' on the same PostgreSQL server. A rival's steps are calls of one program in Rust (bench/peer/rust/sagas) that makes
each durable: with grouped commits on SQLite, or by a statement each on that server. Freehold's order row is one more
durable work, which rivals do not have."""

import contextlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
from ports import free_port  # noqa: E402
import bars  # noqa: E402
from common import HERE, NAMES, ORDER, PATIENCE_S, Failed, Service, ask, load, not_measured, title  # noqa: E402
from peers import Node, Rust, built  # noqa: E402
from postgresql import Server  # noqa: E402
from turns import OURS, in_turn, show_turns  # noqa: E402

CONNECTIONS = 64
CONNECTIONS_TO_STORE = 16
DTM = "github.com/dtm-labs/dtm"
DTM_VERSION = "v1.19.0"
RESTATE_BAR, DTM_BAR = 10, 4          # times the rival's rate
ALONE_MS_BARS = {"embedded": 2, "PostgreSQL": 5}  # p50 of one at a time, at most
WAITED = [["Prefer: wait=30"]]


# ---- The rivals ------------------------------------------------------------------------------------

class Program(Rust):
    """`steps` and `restate`, of the crate bench-sagas."""

    tools = {"cargo": ("--version", (1, 90))}
    package = ("--package", "bench-sagas")

    @property
    def address(self):
        return self.url.removeprefix("http://")


class Installed(Node):
    """What bench/peer/sagas names, in a folder of its own: Restate's server is large."""

    def __init__(self, build, program, environment):
        super().__init__(build, program, environment)
        self.build = self.build / "sagas"

    def make(self):
        installed, wanted = self.build / "installed", (HERE / "peer" / "sagas" / "package-lock.json").read_text()
        for file in (HERE / "peer" / "sagas").iterdir():
            (self.build / file.name).write_text(file.read_text())
        if installed.exists() and installed.read_text() == wanted:
            return None
        wrong = built(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], self.build)
        if not wrong:
            installed.write_text(wanted)
        return wrong

    def missing(self):
        self.build.mkdir(parents=True, exist_ok=True)
        return super().missing()


class Background:
    """A server that is reached once it listens."""

    def __init__(self, command, folder, port, environment):
        with open(folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **environment})
        ends = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > ends:
                    self.close()
                    raise Failed(f"{command[0]} is not reached: {(folder / 'log').read_text()[-2000:]}") from None
                time.sleep(0.05)

    def close(self):
        self.process.kill()
        self.process.wait()


class Restate(Installed):
    """Its server, with the service `purchases` in Rust."""

    def __init__(self, build, folder, steps):
        super().__init__(build, "", {})
        self.data, self.server = folder, None
        self.ingress, self.admin, self.node = free_port(), free_port(), free_port()
        self.service = Program(build, "restate", {"STEPS": steps} if steps else {})

    def missing(self):
        return super().missing() or self.service.missing() or (
            None if self.binary().exists() else f"npm brought no {self.binary().name} for this machine")

    def binary(self):
        return self.build / "node_modules" / "@restatedev" / "restate-server-linux-x64" / "bin" / "restate-server"

    def serve(self):
        self.data.mkdir()
        self.service.spawn()
        self.server = Background([self.binary(), "--no-logo"], self.data, self.ingress, {
            "RESTATE_BASE_DIR": str(self.data / "data"), "RESTATE_BIND_IP": "127.0.0.1", "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_PORT": str(self.node), "RESTATE_INGRESS__BIND_PORT": str(self.ingress),
            "RESTATE_ADMIN__BIND_PORT": str(self.admin), "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LOG_FILTER": "warn"})
        until_done(lambda: ask(f"http://127.0.0.1:{self.admin}", "POST", "/deployments", {"uri": self.service.url}))
        self.url = f"http://127.0.0.1:{self.ingress}/Purchases/buy"
        until_done(lambda: ask(self.url, "POST", "", ORDER))
        return self

    def close(self):
        if self.server:
            self.server.close()
        self.service.close()


class Dtm(Rust):
    """Its server, from its Go module, whose own go.mod pins what it needs; its store is the PostgreSQL server."""

    tools = {"go": ("version", (1, 24))}

    def __init__(self, build, folder, server):
        super().__init__(build, "dtm", {})
        self.data, self.store, self.process = folder, server, None
        self.build, self.port = self.build / "dtm", free_port()

    def missing(self):
        self.build.mkdir(parents=True, exist_ok=True)
        return super().missing()

    def make(self):
        if (self.build / f"dtm-{DTM_VERSION}").exists():
            return None
        (self.build / "go.mod").write_text("module dtm\n\ngo 1.24\n")
        return (built(["go", "get", f"{DTM}@{DTM_VERSION}"], self.build, GOTOOLCHAIN="local")
                or built(["go", "build", "-o", f"dtm-{DTM_VERSION}", DTM], self.build, GOTOOLCHAIN="local"))

    def serve(self):
        self.data.mkdir()
        source = subprocess.run(["go", "list", "-m", "-f", "{{.Dir}}", DTM], cwd=self.build, capture_output=True, text=True,
                                check=True).stdout.strip()
        self.store.sql("DROP DATABASE IF EXISTS bench_dtm")
        self.store.sql("CREATE DATABASE bench_dtm")
        self.store.sql((pathlib.Path(source) / "sqls" / "dtmsvr.storage.postgres.sql").read_text(), "bench_dtm")
        self.process = Background([self.build / f"dtm-{DTM_VERSION}"], self.data, self.port, {
            "STORE_DRIVER": "postgres", "STORE_HOST": self.store.host, "STORE_PORT": str(self.store.port),
            "STORE_USER": self.store.user, "STORE_PASSWORD": self.store.password, "STORE_DB": "bench_dtm",
            "STORE_MAX_OPEN_CONNS": str(CONNECTIONS_TO_STORE), "STORE_MAX_IDLE_CONNS": str(CONNECTIONS_TO_STORE),
            "HTTP_PORT": str(self.port), "GRPC_PORT": str(free_port()), "JSON_RPC_PORT": str(free_port()),
            "LOG_LEVEL": "error"})
        return self

    def close(self):
        if self.process:
            self.process.close()
            self.process = None


def until_done(ask_once):
    ends = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask_once()
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > ends:
                raise Failed(f"not answered: {error}") from error
            time.sleep(0.1)


# ---- What is measured ------------------------------------------------------------------------------

def alone_ms(url, seconds, headers=()):
    """The median of what one after the other takes."""
    took, ends = [], time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.monotonic()
        request = urllib.request.Request(url, method="POST", data=json.dumps(ORDER).encode(), headers={
            "Content-Type": "application/json", **dict(header.split(": ", 1) for header in headers)})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            answer.read()
        took.append((time.monotonic() - began) * 1000)
    return statistics.median(took)


def services(build, place, store, stack):
    """Orders and stock, started; a `store` of None is embedded."""
    made = {}
    for name in ("orders", "stock"):
        made[name] = Service(build / "bench" / NAMES[name], name, place / name, store and store(name))
        stack.callback(made[name].close)
    made["orders"].peers, made["stock"].peers = {"stock": made["stock"].address}, {"orders": made["orders"].address}
    for each in made.values():
        each.start()
    return made["orders"]


def measure_sides(where, orders, rivals, least, seconds):
    """`rivals`: {name: the URL that begins a saga and answers at its end}."""
    urls = {OURS: orders.url + "/purchases", **rivals}
    waited = {name: WAITED if name == OURS else () for name in urls}
    before = orders.state()["sagas"]["ended"]
    orders.ask("POST", "/purchases", ORDER, WAITED[0])
    if orders.state()["sagas"]["ended"] == before:
        raise Failed("a saga that was waited for had not ended when it was answered")
    title(f"Sagas of three steps, {where}: begun and waited for, {CONNECTIONS} connections")
    rates = in_turn({name: lambda name=name: load(urls[name], CONNECTIONS, seconds, "order", waited[name]) for name in urls})
    show_turns(f"sagas of three steps, {where}", rates, "sagas/s", least)
    title(f"Sagas of three steps, {where}: one at a time, the median of each")
    alone = in_turn({name: lambda name=name: alone_ms(urls[name], 1, *waited[name]) for name in urls})
    show_turns("", alone, "ms")
    bars.at_most(f"a saga alone, {where}, median", statistics.median(alone[OURS]), ALONE_MS_BARS[where], " ms")


@bars.part("sagas, embedded", "sagas of three steps, embedded, times Restate with calls", "a saga alone, embedded, median")
def measure_embedded(build, place, seconds):
    with contextlib.ExitStack() as stack:
        rivals, steps = {}, Program(build, "steps", {"STORE": str(place / "steps.db")})
        stack.callback(steps.close)
        missing = steps.missing()
        for name, where in (("Restate with calls", steps.address), ("Restate, empty steps", None)):
            restate = Restate(build, place / name.replace(" ", "-"), where)
            stack.callback(restate.close)
            if why := missing or restate.missing():
                not_measured(name, why)
                continue
            if not steps.process:
                steps.spawn()
            rivals[name] = restate.serve().url
        orders = services(build, place, None, stack)
        measure_sides("embedded", orders, rivals, {"Restate with calls": RESTATE_BAR}, seconds)


@bars.part("sagas, PostgreSQL", "sagas of three steps, PostgreSQL, times DTM", "a saga alone, PostgreSQL, median")
def measure_postgresql(build, place, seconds):
    told = os.environ.get("FREEHOLD_TEST_POSTGRESQL")
    if not told:
        bars.all_missing("no server: run it as `tools/servers run bench/run BUILD`")
        return
    server = Server(json.loads(told))
    with contextlib.ExitStack() as stack:
        rivals = {}
        for name in ("bench_steps", "bench_dbos"):
            server.sql(f"DROP DATABASE IF EXISTS {name}")
            server.sql(f"CREATE DATABASE {name}")
        dtm = Dtm(build, place / "dtm", server)
        steps = Program(build, "steps", {**server.environment("bench_steps"), "DTM": f"127.0.0.1:{dtm.port}",
                                         "CONNECTIONS": str(CONNECTIONS_TO_STORE)})
        dbos = Installed(build, "dbos.js", {
            "STEPS": steps.address,
            "DATABASE": f"postgresql://{server.user}:{server.password}@{server.host}:{server.port}/bench_dbos"})
        for each in (steps, dtm, dbos):
            stack.callback(each.close)
        missing = steps.missing()
        if not missing:
            steps.spawn()
        if why := missing or dtm.missing():
            not_measured("DTM", why)
        else:
            dtm.serve()
            ask(steps.url, "POST", "/purchases", ORDER)
            rivals["DTM"] = steps.url + "/purchases"
        if why := missing or dbos.missing():
            not_measured("DBOS", why)
        else:
            rivals["DBOS"] = dbos.start("POST", "/purchases", ORDER).url + "/purchases"

        def store(name):
            return {"engine": "postgresql", "store": {**server.store(NAMES[name]), "connections": CONNECTIONS_TO_STORE,
                                                      "tls": {"mode": "off"}}}

        measure_sides("PostgreSQL", services(build, place, store, stack), rivals, {"DTM": DTM_BAR}, seconds)


def measure(build, folder, seconds):
    for name, measure_one in (("embedded", measure_embedded), ("postgresql", measure_postgresql)):
        (folder / "sagas" / name).mkdir(parents=True)
        measure_one(build, folder / "sagas" / name, seconds)
