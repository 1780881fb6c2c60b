# SPDX-License-Identifier: Apache-2.0
"""Gateways that count together what a client may ask, on a real Redis server that is killed and held still in between;
and on servers that answer whatever they like."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import threading

import pytest

from conftest import ROOT, SANITIZED, folder_for, free_port, wait_for
from servers import PASSWORD, Redis
from test_fairness import HOSTILE, OTHER, ROUTES, Pages, ask
from test_gateway import Gateway, Service, started  # pylint: disable=unused-import
from test_identity import shop_with
from test_store_tls import authority  # pylint: disable=unused-import

WINDOW_S = 5000  # what comes back during a test is less than a request
QUOTA = 30


def reply_of(file):
    sign, line = (line := file.readline().decode().strip())[:1], line[1:]
    if sign == "*":
        return [reply_of(file) for _ in range(int(line))]
    if sign == "$":
        return file.read(int(line) + 2)[:-2].decode() if int(line) >= 0 else None
    assert sign in "+:", sign + line
    return int(line) if sign == ":" else line


class Counting(Redis):
    """A server, and what is counted on it."""

    def ask(self, *words):
        """Its reply: a number, a text, None, or a list."""
        address = str(self.data / "redis.sock")
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(60)
            link.connect(address)
            for command in (("AUTH", "shop", PASSWORD), words):
                link.sendall(b"*%d\r\n" % len(command) + b"".join(
                    b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in command))
            file = link.makefile("rb")
            assert file.readline() == b"+OK\r\n"
            return reply_of(file)

    def listens(self):
        """Its socket has a name before anybody listens there."""
        try:
            return self.ask("DBSIZE") == 0
        except OSError:
            return False

    def make(self):
        super().make()
        with open(self.data / "conf", "a", encoding="ascii") as file:
            file.write(f"user gate on >{PASSWORD} ~test_limits:* ~shop_limits:* +auth +eval +get +set +time\n"
                       f"unixsocket {self.data}/redis.sock\nunixsocketperm 777\n")
        return self

    def keys(self):
        return sorted(self.ask("KEYS", "*"))

    def counted(self, key=None):
        """(whole tokens, the rest, when) of a bucket; without a key, of the only one there is."""
        key = key or next(iter(self.keys()), None)
        value = self.ask("GET", key) if key else None
        return tuple(int(number) for number in value.split()) if value else (0, 0, 0)


    def rounded(self):
        """Whole tokens, as if nothing had come back since."""
        tokens, part, _ = self.counted()
        return tokens + (part > 0)


@pytest.fixture
def redis(request):
    folder = Counting.folder()
    server = Counting(folder, "server").make().start()
    request.addfinalizer(lambda: (server.stop(signal.SIGKILL), shutil.rmtree(folder)))
    wait_for("it answers on its socket", server.listens)
    return server


def named(port, **more):
    return {"engine": "redis", "host": "127.0.0.1", "port": port, "user": "gate", "password": PASSWORD,
            "database": "test_limits", "tls": {"mode": "off"}, **more}


def gateways(started, shared, count=2, quota=QUOTA, window_s=WINDOW_S):
    service = started(Service(Pages()))
    limits = {"address": {"requests": quota, "window_s": window_s}, "failed_credentials": 0, "shared": shared}
    found = []
    for number in range(count):
        folder = started.folder / f"gateway-{number}-{free_port()}"
        folder.mkdir()
        found.append(started(Gateway(folder, {"users": (service.port, [(*route, "public", 10000) for route in ROUTES])},
                                     more={"limits": limits})))
    return found


def status(gateway, address=HOSTILE):
    return ask(gateway, "/api/users/1", address).status


def take(gateway, count, address=HOSTILE):
    assert [status(gateway, address) for _ in range(count)] == [200] * count


def remaining(gateway, address=HOSTILE):
    return int(re.search(r";r=(\d+);", ask(gateway, "/api/users/1", address).headers["ratelimit"])[1])


ADDRESSES = (f"127.9.{high}.{low}" for high in range(256) for low in range(1, 255))


def stands(gateway):
    """Asked from a new address each time, since this counts, too."""
    text = ask(gateway, "/metrics", next(ADDRESSES)).body.decode()
    return int(re.search(r"^freehold_gateway_limits_shared (\d)$", text, re.MULTILINE)[1])


def said(gateway):
    gateway.log.flush()
    with open(gateway.log.name, encoding="utf-8") as log:
        text = log.read()
    assert PASSWORD not in text
    return text


def take_and_tell(redis, gateway, tokens):
    """One request, and the server knows that it is the client's tokens-th."""
    take(gateway, 1)
    wait_for(f"{tokens} are counted", lambda: redis.rounded() == tokens)


def test_a_client_gets_of_all_gateways_what_it_may_get_of_one(started, redis):
    both = gateways(started, named(redis.port))
    total = 0
    for _ in range(QUOTA):
        total += 1
        take_and_tell(redis, both[total % 2], total)
    # Each may have one that the other has not been told of when it decided.
    more = [status(gateway) for gateway in both]
    assert more.count(200) <= 1
    wait_for("all is told", lambda: [status(gateway) for gateway in both] == [429, 429])
    assert redis.rounded() <= QUOTA + 1
    assert remaining(both[0], OTHER) == QUOTA - 1  # nobody else pays for it
    assert all(re.fullmatch(r"test_limits:limits:address:30:5000:[0-9a-f]{32}", key) for key in redis.keys())
    assert stands(both[0]) == stands(both[1]) == 1


def test_a_standing_that_others_have_caused_is_taken_over(started, redis):
    here, there = gateways(started, named(redis.port))
    take(here, 20)
    wait_for("the server knows", lambda: redis.rounded() == 20)
    take(there, 1)
    wait_for("the other gateway is told", lambda: remaining(there) < QUOTA - 20)


def test_without_its_server_each_gateway_counts_for_itself_and_nobody_waits(started, redis):
    here, there = gateways(started, named(redis.port))
    take(here, 3)
    wait_for("they are counted", lambda: redis.rounded() == 3)
    redis.stop(signal.SIGKILL)
    take(here, 1)
    wait_for("it is missed", lambda: stands(here) == 0)
    take(here, QUOTA - 4)
    assert status(here) == 429
    take(there, QUOTA)
    assert status(there) == 429
    wait_for("it is missed there, too", lambda: stands(there) == 0)
    assert said(here).count("[limits-unshared]") == 1 and "can't be reached" in said(here)
    redis.start()
    wait_for("they count together again", lambda: stands(here) == 1)
    assert said(here).count("[limits-unshared]") == said(here).count("[limits-shared]") == 1
    wait_for("the other one does", lambda: stands(there) == 1)
    take(here, 20, OTHER)
    wait_for("what one lets through counts at the other", lambda: remaining(there, OTHER) < QUOTA - 20)


def test_a_server_that_is_held_still_holds_nobody_up(started, redis):
    here, = gateways(started, named(redis.port), count=1)
    take(here, 1)
    wait_for("it is counted", lambda: redis.keys())
    os.kill(redis.process.pid, signal.SIGSTOP)
    try:
        take(here, 10)
        wait_for("it is missed", lambda: stands(here) == 0)
        take(here, QUOTA - 11)
        assert status(here) == 429
    finally:
        os.kill(redis.process.pid, signal.SIGCONT)
    wait_for("it is back", lambda: stands(here) == 1)
    assert said(here).count("[limits-unshared]") == 1


# ---- The script's arithmetic ---------------------------------------------------------------------------


def script_at(now_us):
    """The engine's script, at this time."""
    source = (ROOT / "src" / "engine" / "redis" / "counters.c").read_text()
    lines = re.search(r"script\[\] =\n(.*?);\n\n", source, re.DOTALL)[1]
    text = "".join(json.loads(line) for line in re.findall(r'".*"', lines))
    assert text.count("redis.call('TIME')") == 1
    return text.replace("redis.call('TIME')", f"{{'{now_us // 10 ** 6}', '{now_us % 10 ** 6}'}}")


def test_the_servers_arithmetic_is_exact(redis):
    draw = random.Random(7)
    now = 1795000000 * 10 ** 6 + 123457
    for quota, window_s in ((999983, 86399), (10 ** 6, 86400), (7, 3), (1, 86400), (1, 1), (10 ** 6, 1), (6000, 10)):
        window = window_s * 10 ** 6
        edges = [(quota - 1, window - 1, window - 1, 1), (2 * quota, 0, 0, window), (2 * quota, 0, 2 * window - 1, 1),
                 (2 * quota, 0, 2 * window, 5), (0, window - 1, -10 ** 12, 1), (0, 0, 65536, window), (quota, 1, 65535, 0)]
        for _ in range(40):
            edges.append((draw.randrange(2 * quota), draw.randrange(window), draw.randrange(2 * window + 2),
                          draw.randrange(quota * window + 1)))
        for tokens, part, ago, units in edges:
            redis.ask("SET", "one", f"{tokens} {part} {now - ago}")
            reply = redis.ask("EVAL", script_at(now), "1", "one", str(quota), str(window), str(units // window),
                              str(units % window))
            got = reply[0] * window + reply[1]
            debt = max(0, tokens * window + part - max(ago, 0) * quota)
            assert got == min(debt + units, 2 * quota * window), (quota, window_s, tokens, part, ago, units)
    for odd in ("", "1", "-1 0 0", "1 2 3 4", "1e3 0 0", "nan nan nan", "9" * 400 + " 0 " + "9" * 400, "0 " + "9" * 30 + " " + "9" * 30):
        redis.ask("SET", "one", odd)
        reply = redis.ask("EVAL", script_at(now), "1", "one", "6000", "10000000", "1", "0")
        assert reply in ([1, 0], [12000, 0]), odd
    redis.ask("DEL", "one")
    redis.ask("LPUSH", "one", "of another kind")
    assert redis.ask("EVAL", script_at(now), "1", "one", "6000", "10000000", "1", "0") == [1, 0]


def test_what_is_counted_is_forgotten_when_it_has_come_back(redis):
    real = script_at(0).replace("{'0', '0'}", "redis.call('TIME')")
    redis.ask("EVAL", real, "1", "one", "6000", "10000000", "1200", "0")
    left = redis.ask("PTTL", "one")
    assert 0 < left <= 2002
    wait_for("it has come back", lambda: redis.keys() == [])


# ---- Servers that answer whatever they like --------------------------------------------------------------


class Impostor:
    """Reads requests, and answers each with `reply(count)`, of as many buckets as it names; a password with `welcome`."""

    def __init__(self, reply, welcome=b"+OK\r\n"):
        self.reply, self.welcome, self.heard = reply, welcome, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        with link, contextlib.suppress(OSError):
            while data := link.recv(1 << 20):
                if b"AUTH\r\n" in data:
                    link.sendall(self.welcome)
                found = re.search(rb"return debts\n\r\n\$\d+\r\n(\d+)\r\n", data)
                if not found:
                    continue
                self.heard += 1
                for piece in self.reply(int(found[1])):
                    link.sendall(piece)

    def close(self):
        self.listener.close()


def integers(*numbers):
    return b"".join(b":%d\r\n" % number for number in numbers)


HOSTILE_REPLIES = {
    "nothing is owed": lambda count: [b"*%d\r\n" % (2 * count) + integers(*[0, 0] * count)],
    "less than nothing is owed": lambda count: [b"*%d\r\n" % (2 * count) + integers(*[-5, 0] * count)],
    "more than is possible": lambda count: [b"*%d\r\n" % (2 * count) + integers(*[2 ** 62, 2 ** 62] * count)],
    "too few": lambda count: [b"*1\r\n:0\r\n"],
    "too many": lambda count: [b"*%d\r\n" % (2 * count + 2) + integers(*[0, 0] * (count + 1))],
    "texts": lambda count: [b"*%d\r\n" % (2 * count) + b"$1\r\n0\r\n" * 2 * count],
    "another kind": lambda count: [b"+OK\r\n"],
    "an error with what it was told": lambda count: [b"-ERR " + PASSWORD.encode() + b"\r\n"],
    "lists in lists": lambda count: [b"*1\r\n" * 5000],
    "a long list": lambda count: [b"*2147483647\r\n:1\r\n"],
    "a long text": lambda count: [b"$500000000\r\n"] + [b"x" * (1 << 20)] * 500,
    "a line without an end": lambda count: [b"+" + b"x" * (1 << 20)] * 100,
    "bytes": lambda count: [bytes(range(256)) * 10],
    "two answers": lambda count: [b"*%d\r\n" % (2 * count) + integers(*[0, 0] * count)] * 2,
    "silence": lambda count: [],
}


@pytest.mark.parametrize("reply", HOSTILE_REPLIES.values(), ids=HOSTILE_REPLIES)
def test_whatever_a_server_answers_no_limit_is_lifted(started, reply):
    impostor = started(Impostor(reply))
    here, = gateways(started, named(impostor.port, user=None, password=None), count=1)
    take(here, 1)
    wait_for("it is told", lambda: impostor.heard)
    take(here, QUOTA - 1)
    assert [status(here) for _ in range(5)] == [429] * 5
    assert "Sanitizer" not in said(here)
    if reply not in (HOSTILE_REPLIES["nothing is owed"], HOSTILE_REPLIES["two answers"]):
        wait_for("it counts for itself", lambda: "[limits-unshared]" in said(here))
    with open(f"/proc/{here.process.pid}/status", encoding="ascii") as file:
        peak_kib = int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])
    assert SANITIZED or peak_kib < 200 << 10, peak_kib


def test_a_server_that_says_too_much_while_it_lets_us_in_is_away(started):
    """The connection is closed before whoever made it has gone on."""
    impostor = started(Impostor(HOSTILE_REPLIES["nothing is owed"], welcome=b"+OK\r\n+OK\r\n"))
    here, = gateways(started, named(impostor.port), count=1)
    take(here, 1)
    wait_for("it counts for itself", lambda: "[limits-unshared]" in said(here))
    take(here, QUOTA - 1)
    assert status(here) == 429
    assert re.search(r"limits-unshared.*hung up", said(here))
    assert impostor.heard == 0 and here.process.poll() is None


def test_a_server_may_be_stricter_up_to_one_quota_more(started):
    impostor = started(Impostor(lambda count: [b"*%d\r\n" % (2 * count) + integers(*[2 * QUOTA, 0] * count)]))
    here, = gateways(started, named(impostor.port, user=None, password=None), count=1)
    take(here, 1)
    refused = wait_for("it is refused", lambda: next((answer for answer in [ask(here, "/api/users/1", HOSTILE)]
                                                      if answer.status == 429), None))
    assert WINDOW_S < int(refused.headers["retry-after"]) <= WINDOW_S * 31 // 30 + 2
    assert refused.headers["ratelimit"].startswith('"address";r=0;')


# ---- Ways to the server ------------------------------------------------------------------------------------


def test_over_tls_by_a_name_and_with_a_certificate(started, authority, redis):
    for name, source in (("tls.pem", "server.pem"), ("tls.key", "server.key"), ("ca.pem", "ca.pem")):
        shutil.copyfile(authority.path(source), redis.data.parent / name)
        redis.own(redis.data.parent / name)
    redis.use_tls(*(redis.data.parent / name for name in ("tls.pem", "tls.key", "ca.pem")), True)
    redis.stop()
    redis.start()
    tls = {"mode": "verify", "ca": authority.path("ca.pem"), "certificate": authority.path("client.pem"),
           "key": authority.path("client.key")}
    here, = gateways(started, named(redis.port, host="localhost", tls=tls), count=1)
    take(here, 1)
    wait_for("it is counted", lambda: redis.keys())
    assert stands(here) == 1 and "confinement-lifted" not in said(here)
    stranger, = gateways(started, named(redis.port, host="localhost", tls={"mode": "verify", "ca": authority.path("other.pem")}),
                         count=1)
    take(stranger, 1)
    wait_for("it trusts no other authority", lambda: "[limits-unshared]" in said(stranger))


@pytest.mark.parametrize("shared, why", [
    ({"engine": "sqlite"}, "an \"engine\" that has counters"), ({}, "an \"engine\" that has counters"),
    ({"engine": "redis", "host": "127.0.0.1", "database": "a", "password": PASSWORD}, "would be told the password"),
    ({"engine": "redis", "host": "127.0.0.1"}, "no \"database\""),
    ({"engine": "redis", "host": "db.invalid", "database": "a", "tls": {"mode": "verify", "ca": "/nowhere"}}, "/nowhere")])
def test_a_configuration_that_cant_be_right_ends_the_gateway(started, shared, why):
    with pytest.raises(AssertionError) as failed:
        gateways(started, shared, count=1)
    assert why in str(failed.value) and PASSWORD not in str(failed.value)


@pytest.mark.parametrize("host, more, found", [
    ("127.0.0.1", {}, "error: gateway.limits.shared is on redis at a port of this machine, which"),
    ("counters.example.org", {"tls": {"mode": "off"}}, "warning: gateway.limits.shared is at counters.example.org, beyond")])
def test_check_says_where_a_password_could_be_heard(request, host, more, found):
    folder = folder_for(request)
    shared = {"engine": "redis", "host": host, "password": PASSWORD, **more}
    system = shop_with(folder)
    file = folder / "freehold.yaml"
    file.write_text(file.read_text().replace("gateway:\n", "gateway:\n  limits: " + json.dumps({"shared": shared}) + "\n", 1))
    said = system.command("check", str(file), check=False)
    assert f"freehold.yaml:3:22: {found}" in said.stderr + said.stdout
    assert PASSWORD not in said.stderr + said.stdout


def test_up_gives_its_gateway_all_that_it_needs(request, redis):
    """As it is by default: as a user of its own, confined, in a mount namespace that covers the folder of the socket, too."""
    folder = folder_for(request)
    secret = folder / "secret"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    system = shop_with(folder)
    file = folder / "freehold.yaml"
    shared = {"engine": "redis", "host": str(redis.data / "redis.sock"), "user": "gate", "password_file": str(secret)}
    file.write_text(file.read_text().replace("gateway:\n", "gateway:\n  limits: " + json.dumps({"address": {"requests": 1000, "window_s": 1000}, "shared": shared}) + "\n", 1))
    request.addfinalizer(lambda: system.stop(check=False))
    system.up()
    with socket.create_connection(("127.0.0.1", system.port)) as link:
        link.sendall(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"RateLimit" in link.recv(65536)
    key, = wait_for("it is counted", redis.keys)
    assert key.startswith("shop_limits:limits:address:1000:1000:")
    assert PASSWORD not in system.said
