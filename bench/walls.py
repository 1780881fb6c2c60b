# SPDX-License-Identifier: Apache-2.0
"""What isolation and identities cost: the same programs with them and without, in turn, so that what the machine does
meanwhile meets both alike. Isolated, a service is confined (Landlock, seccomp), and as `up` starts it, it takes
requests only with a token of their sender, and verifies who the user is; without, it does nothing of that. Then the
gateway: a row read by somebody with a signed token, and by nobody. Then whole systems, as `up` runs them: with
users and namespaces of their own and without, and with TLS between their processes. Beside the rates stands what a
request took of the processors, in the processes that are measured: that tells more where something else runs on
them."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import statistics
import subprocess
import time

from common import HERE, NAMES, ORDER, PATIENCE_S, Failed, Gateway, Service, ask, load, processor_s, show, times, title
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

CONNECTIONS = 64
ROUNDS = 5
WALLS_BAR, TOKEN_BAR = 0.97, 0.85
USERS = 1000
TOKEN_LIFE_MS = 300_000
ISSUER, AUDIENCE = "bench", "bench"


def text64(data):
    data = data if isinstance(data, bytes) else json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Keys:
    """What `up` would make for one service and the gateway, and an issuer's pair."""

    def __init__(self):
        self.pair, self.user = os.urandom(32), ed25519.Ed25519PrivateKey.generate()
        self.issuer = ed25519.Ed25519PrivateKey.generate()

    @staticmethod
    def public(key):
        return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def secret(self):
        """The seed by which the gateway signs."""
        return self.user.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex()

    def sender(self, service):
        """docs/operate/security.md: a header Freehold-Token of the gateway's."""
        text = f"1.gateway.{service}.{time.time_ns() // 1_000_000 + TOKEN_LIFE_MS}"
        return f"Freehold-Token: {text}.{hmac.new(self.pair, text.encode(), hashlib.sha512).digest()[:32].hex()}"

    def statement(self, subject):
        """docs/guide/identity.md: a header Freehold-User."""
        text = "1." + text64({"sub": subject, "iss": ISSUER, "via": "jwt", "iat": int(time.time())})
        signature = self.user.sign(f"Freehold-User\nbench\n{text}".encode())
        return f"Freehold-User: {text}.{text64(signature)}"

    def token(self, subject):
        """A header Authorization with a token of the issuer's."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 3600}
        text = f"{text64({'alg': 'EdDSA', 'kid': 'bench'})}.{text64(claims)}"
        return f"Authorization: Bearer {text}.{text64(self.issuer.sign(text.encode()))}"

    def jwks(self):
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "bench", "x": text64(self.public(self.issuer))}]}


class Open(Service):
    """Not isolated: it confines itself to nothing, and believes everybody."""

    def config(self):
        return {**super().config(), "confine": False}


class Confined(Service):
    """It believes everybody, and reaches its own folder alone."""


class Walled(Service):
    """As `up` starts it."""

    def __init__(self, keys, *arguments):
        super().__init__(*arguments)
        self.keys = keys

    def config(self):
        keys = {"calls": {}, "takes": {"gateway": self.keys.pair.hex()}, "user": Keys.public(self.keys.user).hex()}
        callers = {"gateway": ["GET /constant", "GET /orders/{id:int}", "POST /orders", "POST /purchases"]}
        return {**super().config(), "keys": keys, "callers": callers, "events_granted": True}


class Door(Gateway):
    """A gateway that asks its clients who they are."""

    def __init__(self, keys, *arguments):
        super().__init__(*arguments)
        self.keys = keys

    def config(self):
        issuer = {"issuer": ISSUER, "audience": AUDIENCE, "keys": self.keys.jwks()}
        return {**super().config(), "auth": {"jwt": [issuer]}, "outside": "anywhere",
                "keys": {"calls": {"orders": self.keys.pair.hex()}, "user_secret": self.keys.secret()}}


class System:
    """The programs and their gateway as `up` runs them. `more`: lines of the system file."""

    def __init__(self, build, folder, *more):
        self.freehold, self.state = build / "freehold", folder / "state"
        folder.mkdir()
        file = folder / "freehold.yaml"
        services = [f"  {name}: {{program: {build / 'bench' / program}, migrations: {HERE / name / 'migrations'}}}"
                    for name, program in NAMES.items()]
        file.write_text("\n".join(["system: bench", *more, "services:", *services, ""]))
        self.url = json.loads(self.run("up", file, "--listen", "127.0.0.1:0", "--detach", "--json"))["url"]
        status = json.loads(self.run("status", "--json"))
        self.pids = [one["pid"] for one in (status["gateway"], *status["services"])]

    def run(self, word, *words):
        done = subprocess.run([self.freehold, word, *words, "--state", self.state], capture_output=True, text=True,
                              timeout=PATIENCE_S)
        if done.returncode:
            raise Failed(f"freehold {word}: {done.stdout}{done.stderr}")
        return done.stdout

    def close(self):
        self.run("stop")


class Loaded:
    """One kind of request: to which processes, what wrk sends, and what came of it in each round."""

    def __init__(self, name, pids, *arguments, **more):
        self.name, self.pids, self.arguments, self.more = name, pids, arguments, more
        self.rates, self.took_us = [], []

    def run(self):
        before = sum(map(processor_s, self.pids))
        rate = load(*self.arguments, **self.more)
        self.rates.append(rate)
        self.took_us.append((sum(map(processor_s, self.pids)) - before) * 1e6 / (rate * self.arguments[2]))


def compare(loads, unit, *bars):
    """One round after the other, every other one backwards. The first is what the others are compared with, each with
    its bar, or all with the same; None: it has none."""
    for number in range(ROUNDS):
        for one in reversed(loads) if number % 2 else loads:
            one.run()
    first = loads[0]
    for one, bar in zip(loads, [None, *(bars if len(bars) > 1 else bars * len(loads))]):
        took = statistics.median(one.took_us)
        beside = f"{took:.1f} us of a processor each"
        if one is not first:
            ratio = statistics.median(mine / other for mine, other in zip(one.rates, first.rates))
            stated = f" (bar: {bar})" if bar else ""
            beside = f"{times(ratio)} the first{stated}; {beside}, {times(statistics.median(first.took_us) / took)}"
        show(one.name, statistics.median(one.rates), unit, beside)


def measure(build, folder, seconds):
    place, keys, each_s = folder / "walls", Keys(), max(1, seconds // 2)
    place.mkdir()
    with contextlib.ExitStack() as stack:
        def started(kind, *arguments):
            (place / kind.__name__).mkdir()
            made = kind(*arguments, place / kind.__name__ / "data")
            stack.callback(made.close)
            return made.start()

        program = build / "bench" / NAMES["orders"]
        bare, confined = started(Open, program, "orders"), started(Confined, program, "orders")
        walled = started(Walled, keys, program, "orders")
        door = Door(keys, build / "freehold", place / "gateway", walled)
        stack.callback(door.close)
        door.start()
        inside = [keys.sender("orders"), keys.statement("7")]
        walled.ask("POST", "/orders", ORDER, inside)

        for name, path, what, unit in (("a constant answer", "/constant", "get", "requests/s"),
                                       ("an order and its event, durable", "/orders", "order", "works/s")):
            title(f"Isolation: {name}, {CONNECTIONS} connections, {ROUNDS} rounds in turn")
            compare([Loaded(told, [service.process.pid], service.url + path, CONNECTIONS, each_s, what, headers)
                     for told, service, headers in (("without", bare, []), ("confined", confined, []),
                                                    ("and with the sender's token and the user", walled, [inside]))],
                    unit, WALLS_BAR)

        title("Who is asking: one row read through a gateway that asks, in turn")
        one, many = [[keys.token("7")]], [[keys.token(str(user))] for user in range(1, USERS + 1)]
        pids = [door.process.pid, walled.process.pid]
        compare([Loaded(told, pids, door.url + "/orders/1", CONNECTIONS, each_s, headers=headers)
                 for told, headers in (("by nobody", []), ("with a verified token", one),
                                       (f"with those of {USERS:,} users", many))], "requests/s", TOKEN_BAR)

        systems = []
        for told, *more in (("with neither users nor namespaces", "isolation: landlock"),
                            ("with both", "isolation: users"),
                            ("and with TLS between its processes", "isolation: users", "links: tls")):
            system = System(build, place / f"system-{len(systems)}", *more)
            stack.callback(system.close)
            ask(system.url, "POST", "/orders", ORDER)
            systems.append((told, system))
        for name, path, what, unit in (("one row read", "/orders/1", "get", "requests/s"),
                                       ("an order and its event, durable", "/orders", "order", "works/s")):
            title(f"A system as `up` runs it: {name}, through its gateway, {CONNECTIONS} connections, in turn")
            compare([Loaded(told, system.pids, system.url + path, CONNECTIONS, each_s, what)
                     for told, system in systems], unit, WALLS_BAR, None)
