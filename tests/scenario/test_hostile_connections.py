# SPDX-License-Identifier: Apache-2.0
"""Hostile clients at the gateway and at a service: slow, half-closed, departing, idle by the thousand,
endless. Others are served meanwhile, memory stays bounded, and nothing is written. And other people's
collection of JSON that parsers stumble over, where it is present."""

import contextlib
import json
import pathlib
import random
import resource
import select
import socket
import threading
import time

import hostile
import pytest
from conftest import ROOT, wait_for
from test_hostile import Shop, shop, unharmed  # pylint: disable=unused-import

IDLE_CONNECTIONS = 10000
DESCRIPTORS_OWN = 200  # of this process, besides the connections
CONNECTION_KIB_MAX = 48
SLOW_CLIENTS = 64
TIMEOUT_S = 60  # after which the server has waited long enough for a request
JSON_TEST_SUITE = ROOT.parent / "shared" / "data" / "conformance" / "JSONTestSuite" / "test_parsing"
DOORS = ["gateway", "users"]
ORDER = b'{"user_id":1,"items":[{"product_id":"mug","quantity":1}],"payment_token":"tok_ok"}'


class Door:
    """Where hostile clients knock: at the gateway as a user, at a service in the gateway's name, since
    it would refuse anybody else at once."""

    def __init__(self, shop, name):
        self.shop, self.name, self.port = shop, name, shop.ports[name]

    def ticket(self):
        if self.name == "gateway":
            return self.shop.login()
        return (("Freehold-Token", self.shop.token("gateway", self.name)), self.shop.stated())

    def ask(self, method, target, headers=(), body=b""):
        """The bytes of a request."""
        return hostile.raw(method, target, self.ticket() + tuple(headers), body)

    def begin(self, method, target, more=b""):
        """The bytes of a head that has no end yet."""
        return self.ask(method, target)[:-2] + more

    def post(self, *headers, body=b""):
        return self.ask("POST", "/api/users", (hostile.JSON_TYPE, *headers), body)

    def serves(self):
        return hostile.exchange(self.port, self.ask("GET", self.good())).status == 200

    def good(self):
        return "/api/products/mug" if self.name == "products" else "/api/users/1"


@pytest.fixture
def at(shop, door):
    return Door(shop, door)


# ---- Slow ones -------------------------------------------------------------------------------------


class Slow:
    """Clients that send a byte now and then, until they are cut off."""

    def __init__(self, at):
        self.open, self.cut, self.stop = {}, [], threading.Event()
        self.started = time.monotonic()
        whole = ((at.begin("GET", "/api/users/1", b"X-Slow: "), b"x" * 500),
                 (at.post(("Content-Length", 900), body=b" "), b" " * 800),
                 (at.post(("Transfer-Encoding", "chunked")), b"1\r\n \r\n" * 200),
                 (b"GET /x", b"x" * 600))
        for number in range(SLOW_CLIENTS):
            head, rest = whole[number % len(whole)]
            connection = hostile.connect(at.port)
            connection.sendall(head)
            self.open[connection] = rest
        self.thread = threading.Thread(target=self.trickle, daemon=True)
        self.thread.start()

    def trickle(self):
        while self.open and not self.stop.wait(0.5):
            for connection in select.select(list(self.open), [], [], 0)[0]:
                with contextlib.suppress(OSError):
                    self.cut.append((time.monotonic() - self.started, connection.recv(4096)))
                del self.open[connection]
                connection.close()
            for connection, rest in list(self.open.items()):
                with contextlib.suppress(OSError):
                    connection.sendall(rest[:1])
                self.open[connection] = rest[1:]


@pytest.fixture(scope="module")
def slow(shop):
    """They begin with the first test, and are checked by the last."""
    clients = {door: Slow(Door(shop, door)) for door in DOORS}
    yield clients
    for one in clients.values():
        one.stop.set()


@pytest.mark.parametrize("door", DOORS)
def test_slow_clients_keep_nobody_waiting(at, slow, door):
    assert slow[door].open
    for _ in range(50):
        assert at.serves()


# ---- Those that leave ------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_a_client_that_closes_its_half_is_answered_or_waits_by_itself(shop, at):
    whole = hostile.exchange(at.port, at.ask("GET", "/api/users/1"), half_close=True)
    assert whole.status == 200, whole
    with unharmed(shop), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(hostile.connect(at.port)) for _ in range(200)]
        for number, connection in enumerate(connections):
            connection.sendall((
                b"", b"GET", at.begin("GET", "/api/users/1"), b"\r\n\r\n",
                at.post(("Content-Length", 50), body=b'{"name"'),
                at.post(("Transfer-Encoding", "chunked"), body=b"5\r\n{\"na"))[number % 6])
            connection.shutdown(socket.SHUT_WR)
        assert at.serves()
    assert at.serves()


@pytest.mark.parametrize("door", DOORS)
def test_clients_that_depart_at_any_byte_leave_nothing_behind(shop, at):
    whole = at.post(("Content-Length", 100), body=b'{"name":"x","email":"xyz"')
    chance = random.Random(7)
    with unharmed(shop):
        for number in range(300):
            with hostile.connect(at.port) as connection:
                connection.sendall(whole[:chance.randrange(len(whole))])
                if number % 2:  # with a reset instead of an end
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert at.serves()


def test_an_order_whose_client_has_gone_is_done_once_or_not_at_all(shop):
    """It is a whole request: it may count. With its key a client learns what became of it."""
    stock = shop.system.http("GET", "/api/products/mug/stock").body["quantity"]
    orders = [hostile.raw("POST", "/api/orders", (
        hostile.JSON_TYPE, ("Idempotency-Key", f"gone-{number}"), ("Prefer", "wait=10"), *shop.login()), ORDER)
        for number in range(20)]
    for order in orders:
        with hostile.connect(shop.ports["gateway"]) as connection:
            connection.sendall(order)
    for order in orders:
        answer = hostile.exchange(shop.ports["gateway"], order, "POST")
        assert answer.status in (200, 202), answer
    wait_for("the shop is at rest", shop.system.at_rest)
    assert shop.system.http("GET", "/api/products/mug/stock").body["quantity"] == stock - 20


@pytest.mark.parametrize("door", DOORS)
def test_answers_that_are_not_read_hold_up_nobody(shop, at):
    connections = [hostile.connect(at.port) for _ in range(50)]
    try:
        large = at.ask("GET", "/api/products?limit=1000")
        if at.name == "users":
            large = hostile.raw("GET", "/metrics", (("Freehold-Token", shop.token("operator", "users")),))
        pipelined = large * 200
        for connection in connections:
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.send(pipelined)
        for _ in range(20):
            assert at.serves()
    finally:
        for connection in connections:
            connection.close()


# ---- Those that never end --------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name, head, piece", [
    ("a body in chunks", lambda at: at.post(("Transfer-Encoding", "chunked")),
     b"8000\r\n" + b" " * 0x8000 + b"\r\n"),
    ("a body beyond its length", lambda at: at.post(body=b"{}"), b"x" * 0x8000),
    ("a header", lambda at: at.begin("GET", "/api/users/1", b"X: "), b"x" * 0x8000),
    ("headers", lambda at: at.begin("GET", "/api/users/1"), b"X: y\r\n" * 1000),
    ("a path", lambda at: b"GET /", b"x" * 0x8000),
    ("a method", lambda at: b"", b"X" * 0x8000),
    ("empty lines", lambda at: b"", b"\r\n" * 0x4000),
    ("trailers", lambda at: at.post(("Transfer-Encoding", "chunked")) + b"2\r\n{}\r\n0\r\n",
     b"X: y\r\n" * 1000),
    ("a chunk's extension", lambda at: at.post(("Transfer-Encoding", "chunked")) + b"2;", b"x" * 0x8000)],
    ids=lambda value: value if isinstance(value, str) else "")
def test_what_never_ends_is_ended(shop, at, name, head, piece):
    """64 MiB are on offer; the connection is closed long before, in bounded memory."""
    with unharmed(shop):
        sent = 0
        with hostile.connect(at.port) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(head(at))
                while sent < 64 << 20:
                    connection.sendall(piece)
                    sent += len(piece)
        assert sent < 64 << 20 or name == "empty lines", f"{sent} bytes of {name} were taken"
    assert at.serves()


# ---- Ten thousand that do nothing --------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_ten_thousand_idle_connections_keep_nobody_out(shop, at):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = min(IDLE_CONNECTIONS, hard - DESCRIPTORS_OWN)
    if possible < IDLE_CONNECTIONS:
        pytest.skip(f"NOT TESTED: {IDLE_CONNECTIONS} idle connections need a limit of descriptors of "
                    f"{IDLE_CONNECTIONS + DESCRIPTORS_OWN}; here {possible} would be possible")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, possible + DESCRIPTORS_OWN), hard))
    before = shop.private_mib()[at.name]
    connections = []
    try:
        for number in range(possible):
            connections.append(hostile.connect(at.port))
            if number % 100 == 0:
                assert at.serves(), number
        assert at.serves()
        held = shop.private_mib()[at.name] - before
        assert held * 1024 / possible < CONNECTION_KIB_MAX, f"{held:.1f} MiB for {possible} connections"
        for _ in range(200):
            assert at.serves()
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert at.serves()


# ---- Other people's JSON -----------------------------------------------------------------------------

# What the suite accepts and this system refuses on purpose.
REFUSED_ON_PURPOSE = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json",
                      "y_object_escaped_null_in_key.json"}


@pytest.mark.parametrize("door", ["gateway", "products"])
def test_the_json_test_suite_holds(shop, at):
    if not JSON_TEST_SUITE.is_dir():
        pytest.skip("NOT TESTED: other people's data is not present (JSONTestSuite)")
    wrong, files = [], sorted(JSON_TEST_SUITE.glob("*.json"))
    assert len(files) > 300
    with unharmed(shop):
        for file in files:
            text = file.read_bytes()
            # A document of any kind is no user and no product: read, and then refused for its form.
            path = "/api/products" if at.name == "products" else "/api/users"
            reply = hostile.exchange(at.port, at.ask("POST", path, (hostile.JSON_TYPE,), text), "POST")
            expected = {"y": {422}, "n": {400}, "i": {400, 422}}[file.name[0]]
            if file.name in REFUSED_ON_PURPOSE:
                expected = {400}
            if reply.status not in expected:
                wrong.append(f"{file.name}: {reply}")
    assert not wrong, "\n".join(wrong)


# ---- At last -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_slow_clients_are_cut_off(slow, door):
    clients = slow[door]
    wait_for("the slow clients are cut off", lambda: not clients.open, 2 * TIMEOUT_S)
    answered = [text for _, text in clients.cut if text]
    # Too late; or, when ten thousand others came, the longest there.
    assert all(text.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 503 ")) for text in answered), answered
    assert len(answered) > SLOW_CLIENTS // 2


def test_afterwards_the_shop_serves_as_before(shop):
    shop.place_order()
    assert shop.system.http("GET", "/api/users/1").body["name"] == "Ada"
    assert pathlib.Path(f"/proc/{shop.pids['gateway']}").exists()
