# SPDX-License-Identifier: Apache-2.0
"""What the files of the bench share: services as `freehold up` would start them, load, the table."""

import http.client
import json
import os
import pathlib
import select
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_S = 60
CATCH_UP_S_MAX = 120
CONSTANT = 120_000  # constant answers a second, of the machine that absolute bars are for
NAMES = {"orders": "bench_orders", "stock": "bench_stock"}
ORDER = {"user_id": 7, "product_id": "p-1", "quantity": 2, "total": 5998}


class Failed(Exception):
    pass


def ask(url, method, path, body=None, headers=()):
    """`headers`: "Name: value" each."""
    request = urllib.request.Request(
        url + path, method=method, data=json.dumps(body).encode() if body else None,
        headers={**({"Content-Type": "application/json"} if body else {}),
                 **dict(header.split(": ", 1) for header in headers)})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


class KeptOpen(threading.local):
    """Asks on one connection for each thread."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address)

    def ask(self, method, path, body=None):
        """`body`: JSON as text. The answer's text."""
        self.connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise Failed(f"{method} {path}: {answer.status} {text[:300]}")
        return text


# ---- Processes -------------------------------------------------------------------------------

class Service:
    """One program, as `freehold up` would start it: with sockets that outlive it."""

    def __init__(self, program, name, folder, store=None):
        """`store`: {"engine", "store"} of its configuration; None: an embedded one."""
        self.program, self.name, self.folder = program, name, folder
        self.store = store or {"engine": "sqlite"}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.url = "http://" + self.address
        self.peers, self.retention = {}, {}
        self.home, self.environment = HERE, {}  # where its migrations are; what it gets beside this process's environment
        self.process = self.control = None
        folder.mkdir()

    def command(self, config):
        return [self.program, "--config", config]

    def config(self):
        return {"service": self.name, **self.store, "folder": str(self.folder),
                "settings": {}, "retention": self.retention, "migrations": str(self.home / self.name / "migrations")}

    def spawn(self):
        self.control, theirs = socket.socketpair()
        config = self.folder.parent / f"{self.name}.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({
            "freehold": 1, "system": "bench", "listen_fd": self.listener.fileno(),
            "control_fd": theirs.fileno(), "peers": self.peers, **self.config()}))
        with open(self.folder.parent / f"{self.name}.log", "a") as log:
            self.process = subprocess.Popen(
                self.command(str(config)), stderr=log, stdout=log, env={**os.environ, **self.environment},
                pass_fds=(self.listener.fileno(), theirs.fileno()))
        theirs.close()

    def start(self):
        self.spawn()
        lines = b""
        deadline = time.monotonic() + PATIENCE_S
        while b"ready\n" not in lines:
            ready, _, _ = select.select([self.control], [], [], max(0, deadline - time.monotonic()))
            data = self.control.recv(4096) if ready else b""
            if not data:
                log = (self.folder.parent / f"{self.name}.log").read_text()
                raise Failed(f"{self.name} did not become ready:\n{log[-2000:]}")
            lines += data
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.control:
            self.control.close()
            self.control = None

    def close(self):
        self.stop()
        self.listener.close()

    def ask(self, *arguments, **more):
        return ask(self.url, *arguments, **more)

    def state(self):
        request = urllib.request.Request(self.url + "/_freehold/state",
                                         headers={"Freehold-From": "operator"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)


class Gateway(Service):
    """The command's gateway in front of one service."""

    def __init__(self, program, folder, behind, more=None):
        """more: of the configuration."""
        super().__init__(program, "gateway", folder)
        self.more = more or {}
        self.peers = {behind.name: behind.address}
        described = subprocess.run([behind.program, "--describe"], capture_output=True, check=True)
        self.services = {behind.name: json.loads(described.stdout)}

    def command(self, config):
        return [self.program, "gateway", "--config", config]

    def config(self):
        return {"services": self.services, "compose": [], **self.more}


def load(url, connections, seconds, what="get", headers=(), fails=False, key=None):
    """Requests a second by wrk. Any answer but a 2xx is a failure: it would be cheaper; with `fails` any that is one.
    `headers`: a list of "Name: value" for each request, in turn; for "cart" one for each user.
    `key`, with "keyed": the header whose value no two requests share."""
    threads = 1 if connections < 128 else 2
    with tempfile.NamedTemporaryFile("w", suffix=".headers") as file:
        file.writelines("\t".join(one) + "\n" for one in headers)
        file.flush()
        done = subprocess.run(
            ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
             "-s", str(HERE / "load.lua"), url, "--", what, *([key] if key else [file.name] if headers else [])],
            capture_output=True, text=True, timeout=seconds + PATIENCE_S)
    for line in done.stdout.splitlines():
        if line.startswith("COUNTED "):
            requests, duration_us, refused, broken = (int(word) for word in line.split()[1:])
            if refused != (requests if fails else 0) or broken:
                raise Failed(f"{url}: of {requests} requests {refused} were answered with an "
                             f"error and {broken} not at all")
            return requests / (duration_us / 1e6)
    raise Failed(f"wrk on {url} failed: {done.stdout}{done.stderr}")


def metric(service, name):
    request = urllib.request.Request(service.url + "/metrics", headers={"Freehold-From": "operator"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def processor_s(pid):
    """What a process and its threads have taken of the processors. The clock is clock_getcpuclockid(3)'s: /proc has
    hundredths of a second."""
    return time.clock_gettime(~pid << 3 | 2)


def wakeups(pid):
    return sum(int(line.split()[1])
               for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status")
               for line in status.read_text().splitlines()
               if line.startswith("voluntary_ctxt_switches"))


# ---- The table -------------------------------------------------------------------------------

def show(what, value, unit, beside=""):
    figure = f"{value:,.1f}" if isinstance(value, float) and value < 100 else f"{value:,.0f}"
    print(f"  {what:<52} {figure:>10} {unit:<11} {beside}".rstrip(), flush=True)


def title(text):
    print(f"\n{text}", flush=True)


def not_measured(what, why):
    print(f"\n{what}: NOT MEASURED, {why}", flush=True)


def times(ratio):
    return f"{ratio:.2f} x" if ratio < 10 else f"{ratio:.1f} x"


# ---- What is measured of every engine ----------------------------------------------------------

def fdatasync_us(build, folder):
    done = subprocess.run([build / "bench" / "fdatasync", folder], capture_output=True, text=True,
                          check=True)
    median, slow = (int(word) for word in done.stdout.split())
    show("one page made durable (fdatasync), median", median, "us", f"99 of 100 within {slow:,} us")
    return median


def heard(service, source):
    for subscription in service.state()["subscriptions"]:
        if subscription["source"] == source:
            return subscription["position"]
    return 0


def measure_events(publisher, subscriber, where, bar):
    """`where`: what the title begins with, so that one engine's rows are told from another's."""
    last = publisher.state()["position"]
    began = time.monotonic()
    subscriber.start()
    while (position := heard(subscriber, publisher.name)) < last and time.monotonic() - began < CATCH_UP_S_MAX:
        time.sleep(0.02)
    took = time.monotonic() - began
    title(f"{where}Events, from the outbox to applied once in another service's store")
    show(f"{position:,} events, that service's start included", position / took, "events/s",
         f"bar: {bar:,}")
    if position < last:
        raise Failed(f"of {last:,} events {position:,} were applied within {CATCH_UP_S_MAX} s")


def measure_sagas(orders, seconds, where, bar):
    before = orders.state()["sagas"]
    began = time.monotonic()
    started = load(orders.url + "/purchases", 64, seconds, "order")
    while True:
        sagas = orders.state()["sagas"]
        if sagas["running"] + sagas["compensating"] == 0:
            break
        if time.monotonic() - began > seconds + PATIENCE_S:
            raise Failed(f"sagas did not end: {sagas}")
        time.sleep(0.05)
    took = time.monotonic() - began
    ended = sagas["ended"] - before["ended"]
    if not ended or sagas["parked"] or sagas["undone"]:
        raise Failed(f"sagas that should have succeeded did not: {sagas}")
    title(f"{where}Sagas of three steps over two services, every step durable")
    show(f"{ended:,} sagas, begun at {started:,.0f}/s", ended / took, "sagas/s", f"bar: {bar:,}")
