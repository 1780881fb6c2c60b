# SPDX-License-Identifier: Apache-2.0
"""What one client may take from the others at the gateway: hostile clients at one address of the loopback, others at
another. Services are made up here, and take their requests one at a time, as real ones do."""

import contextlib
import socket
import statistics
import threading
import time

import pytest

import hostile
from conftest import wait_for
from test_gateway import Gateway, Service, started  # pylint: disable=unused-import

HOSTILE, OTHER, PROXY = "127.0.0.2", "127.0.0.3", "127.0.0.9"
ROUTES = [("GET", "/api/pages"), ("GET", "/api/users/{id}"), ("POST", "/api/users"), ("GET", "/api/slow")]
PAGE_SIZE = 300_000
PAGE_S = 0.1
CLIENTS = 100


class Pages:
    """A service that makes one answer at a time. A page is large, and takes it a while."""

    def __init__(self, page=PAGE_SIZE, page_s=PAGE_S):
        self.turn, self.page, self.page_s = threading.Lock(), "x" * page, page_s
        self.made, self.slow = 0, threading.Event()

    def __call__(self, method, target, headers, body):
        if target.startswith("/api/slow"):
            self.slow.wait()
        with self.turn:
            if not target.startswith("/api/pages"):
                return 200, {}, {"target": target}
            if self.page_s:
                threading.Event().wait(self.page_s)
            self.made += 1
            return 200, {"Content-Type": "text/plain"}, self.page


def connect(gateway, address=OTHER, buffer=None):
    connection = socket.socket()
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(60)
    connection.bind((address, 0))
    connection.connect(("127.0.0.1", gateway.port))
    return connection


def ask(gateway, target, address=OTHER, headers=(), method="GET", body=b""):
    with connect(gateway, address) as connection:
        connection.sendall(hostile.raw(method, target, headers, body))
        return hostile.read_reply(connection, method)


def serve(started, answer, limits=None, deadline_ms=10000, **more):
    service = started(Service(answer))
    if limits is not None:
        more["limits"] = limits
    return started(Gateway(started.folder, {"users": (service.port, [(*route, "public", deadline_ms) for route in ROUTES])}, more=more))


def metric(gateway, name):
    text = ask(gateway, "/metrics").body.decode()
    return float(next(line for line in text.splitlines() if line.startswith(name + " ")).rsplit(" ", 1)[1])


def logged(gateway, what):
    gateway.log.flush()
    with open(gateway.log.name) as log:
        return [line for line in log if what in line]


# ---- Answers by their size ---------------------------------------------------------------------------

@pytest.mark.parametrize("limits", [None, {}], ids=["by default", "of all"])
def test_who_asks_for_large_pages_and_reads_none_costs_others_nothing(started, limits):
    """Each of the pages takes the service 0.1 s: all of them before another's request would be 10 s, and 503."""
    pages = Pages()
    gateway = serve(started, pages, limits)
    if limits is None:  # clients of this machine may ask as they like while nothing is known of a route
        assert ask(gateway, "/api/pages").status == 200
    with contextlib.ExitStack() as stack:
        for number in range(CLIENTS):
            connection = stack.enter_context(connect(gateway, HOSTILE, 4096))
            connection.sendall(hostile.raw("GET", f"/api/pages?after={number}") * 5)
        wait_for("the service works for them", lambda: pages.made > 2)
        waited = []
        for number in range(20):
            before = pages.made
            assert ask(gateway, f"/api/users/{number}").status == 200
            waited.append(pages.made - before)
        # What the gateway had sent before it knew how large pages are, and then a few at a time.
        assert max(waited) <= 20 and statistics.median(waited) <= 5, waited
        assert metric(gateway, 'freehold_gateway_answers_bytes{state="unread"}') <= 9 << 20
        pages.page_s = 0
    wait_for("nothing of it is left", lambda: metric(gateway, "freehold_gateway_clients") == 0)


def test_answers_that_nobody_reads_are_bounded_for_each_client_and_in_all(started):
    """Megabytes each, beyond what kernels buffer. Whoever holds nothing is served; the others wait for themselves."""
    gateway = serve(started, Pages(12 << 20, 0), limits={"unread_kib": 20 << 10, "unread_all_mib": 80},
                    deadline_ms=3000)
    unread = 'freehold_gateway_answers_bytes{state="unread"}'
    with contextlib.ExitStack() as stack:
        for number in range(12):
            connection = stack.enter_context(connect(gateway, f"127.0.1.{number % 3}", 4096))
            connection.sendall(hostile.raw("GET", "/api/pages"))
        wait_for("they hold answers", lambda: metric(gateway, unread) > 20 << 20)
        for number in range(20):
            assert ask(gateway, f"/api/users/{number}").status == 200
        assert metric(gateway, unread) <= 41 << 20  # half is for those that hold nothing
        busy = ask(gateway, "/api/pages", "127.0.1.1")
        assert (busy.status, busy.problem()["type"]) == (429, "urn:freehold:problem:client-busy")
        assert busy.headers["retry-after"] == "1"
    wait_for("all of it is freed", lambda: metric(gateway, unread) == 0)
    assert logged(gateway, "[client-limited]")


# ---- Connections -----------------------------------------------------------------------------------------

def test_one_address_does_not_take_all_connections(started):
    gateway = serve(started, Pages(), limits={"connections": 4})
    turned_away = 'freehold_gateway_limited_total{limit="connections"}'
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(gateway, HOSTILE)) for _ in range(50)]
        wait_for("the others are turned away", lambda: metric(gateway, turned_away) == 46)
        assert [connection.recv(1) for connection in silent[4:]] == [b""] * 46
        assert ask(gateway, "/api/users/1").status == 200
        silent[0].sendall(hostile.raw("GET", "/api/users/1"))
        assert hostile.read_reply(silent[0]).status == 200
        silent[0].close()
        silent[1].close()

        def is_taken():
            try:
                return ask(gateway, "/api/users/1", HOSTILE).status == 200
            except OSError:
                return False
        wait_for("whoever leaves makes room", is_taken)
    assert logged(gateway, "[client-limited]")


def test_a_proxys_connections_are_not_bounded(started):
    gateway = serve(started, Pages(), limits={"connections": 4}, proxies=[PROXY])
    with contextlib.ExitStack() as stack:
        for connection in [stack.enter_context(connect(gateway, PROXY)) for _ in range(50)]:
            connection.sendall(hostile.raw("GET", "/api/users/1"))
            assert hostile.read_reply(connection).status == 200


# ---- Requests at one time ------------------------------------------------------------------------------

def test_a_client_has_its_places_and_waits_for_itself_alone(started):
    pages = Pages()
    gateway = serve(started, pages, limits={"in_flight": 4, "route_in_flight": 6})
    with contextlib.ExitStack() as stack:
        def slow(address, count):
            connections = [stack.enter_context(connect(gateway, address)) for _ in range(count)]
            for connection in connections:
                connection.sendall(hostile.raw("GET", "/api/slow"))
            return connections
        greedy = slow(HOSTILE, 20)
        calls = 'freehold_gateway_calls_in_flight{service="users"}'
        wait_for("it has half of the route", lambda: metric(gateway, calls) == 3)
        assert ask(gateway, "/api/users/1").status == 200
        others = slow(OTHER, 3)
        wait_for("others have the rest", lambda: metric(gateway, calls) == 6)
        pages.slow.set()
        for connection in greedy + others:
            assert hostile.read_reply(connection).status == 200


# ---- Rates -------------------------------------------------------------------------------------------------

FEW = {"address": {"requests": 5, "window_s": 1000}, "failed_credentials": 0}


def test_a_client_over_its_rate_is_told_which_and_when(started):
    gateway = serve(started, Pages(), limits=FEW)
    for left in (4, 3, 2, 1, 0):
        answer = ask(gateway, "/api/users/1", HOSTILE)
        assert answer.status == 200
        assert answer.headers["ratelimit-policy"] == '"address";q=5;w=1000'
        limit, remaining, until = answer.headers["ratelimit"].split(";")
        assert (limit, remaining) == ('"address"', f"r={left}")
        assert 200 * (4 - left) < int(until[2:]) <= 200 * (5 - left)
    refused = ask(gateway, "/api/users/1", HOSTILE)
    assert (refused.status, refused.problem()["type"]) == (429, "urn:freehold:problem:rate-exceeded")
    assert refused.problem()["violated-policies"] == ["address"]
    assert 190 < int(refused.headers["retry-after"]) <= 200
    assert refused.headers["ratelimit"].startswith('"address";r=0;')
    assert ask(gateway, "/api/users/1").status == 200
    assert ask(gateway, "/livez", HOSTILE).status == 200  # a probe is no client
    assert ask(gateway, "/nothing", HOSTILE).status == 429


def test_new_connections_and_headers_of_ones_own_refill_nothing(started):
    gateway = serve(started, Pages(), limits=FEW)
    statuses = [ask(gateway, "/api/users/1", HOSTILE, (
        ("X-Forwarded-For", f"192.0.2.{number}"), ("Forwarded", f"for=192.0.2.{number}"),
        ("X-Real-IP", f"192.0.2.{number}"))).status for number in range(8)]
    assert statuses == [200] * 5 + [429] * 3


def test_of_what_a_proxy_says_its_own_word_counts(started):
    """Whatever stands left of the address that the proxy has appended, the client may have written itself."""
    gateway = serve(started, Pages(), limits=FEW, proxies=[PROXY, "10.0.0.0/8"])

    def statuses(*forwarded, count=6, address=PROXY):
        return [ask(gateway, "/api/users/1", address, [("X-Forwarded-For", one.format(number)) for one in forwarded]
                    ).status for number in range(count)]
    few = [200] * 5 + [429]
    assert statuses("192.0.2.1") == few
    assert statuses("192.0.2.2") == few
    assert statuses("198.51.100.{}, 192.0.2.3") == few
    assert statuses("198.51.100.{}", "192.0.2.4, 10.1.2.3") == few
    assert statuses("2001:db8:1:2::{}") == few
    assert statuses("[2001:db8:1:3::{}]:4711") == few
    assert statuses("198.51.100.{}, not an address") == few  # the proxy's own
    assert statuses("192.0.2.1", address=OTHER) == few
    assert statuses("192.0.2.1, 10.9.9.9", address=PROXY) == [429] * 6


def test_who_is_refused_and_asks_on_is_read_later(started):
    gateway = serve(started, Pages(), limits=FEW)
    with connect(gateway, HOSTILE) as connection:
        connection.sendall(hostile.raw("GET", "/api/users/1") * 7)
        began = time.monotonic()
        data = b""
        while data.count(b"HTTP/1.1 ") < 7:
            data += connection.recv(65536)
        assert data.count(b"HTTP/1.1 200") == 5 and data.count(b"HTTP/1.1 429") == 2
        assert time.monotonic() - began >= 0.9  # after the first 429


def test_who_is_refused_behind_a_proxy_makes_nobody_else_wait(started):
    """Its connection is the others', too. A client's own with three pauses says what time it is."""
    gateway = serve(started, Pages(), limits=FEW, proxies=[PROXY])

    def status(connection, client):
        connection.sendall(hostile.raw("GET", "/api/users/1", [("X-Forwarded-For", client)]))
        return hostile.read_reply(connection, "GET").status
    with connect(gateway, HOSTILE) as paced, connect(gateway, PROXY) as shared:
        assert [status(shared, "192.0.2.1") for _ in range(6)] == [200] * 5 + [429]
        paced.sendall(hostile.raw("GET", "/api/users/1") * 9)
        for number in range(6):
            assert status(shared, "192.0.2.1") == 429
            assert status(shared, f"198.51.100.{number}") == 200
        paced.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            assert paced.recv(1 << 20).count(b"HTTP/1.1 ") < 9


def test_probes_are_answered_and_are_no_way_around(started):
    gateway = serve(started, Pages(), limits=FEW)
    for _ in range(6):
        answer = ask(gateway, "/livez", HOSTILE)
        assert answer.status == 200 and "ratelimit" not in answer.headers
    assert ask(gateway, "/api/users/1", HOSTILE).status == 429
    with connect(gateway, HOSTILE) as connection:
        began = time.monotonic()
        connection.sendall(hostile.raw("GET", "/readyz") * 2)
        data = b""
        while data.count(b"HTTP/1.1 200") < 2:
            assert (part := connection.recv(65536)), data
            data += part
        assert time.monotonic() - began >= 0.9  # after the first


def test_limits_may_be_off(started):
    gateway = serve(started, Pages(), limits={"address": {"requests": 0}})
    for _ in range(50):
        answer = ask(gateway, "/api/users/1", HOSTILE)
        assert answer.status == 200 and "ratelimit" not in answer.headers


def test_clients_of_this_machine_are_not_counted_unless_limits_are_given(started):
    gateway = serve(started, Pages())
    with connect(gateway, HOSTILE) as connection:
        for _ in range(1000):
            connection.sendall(hostile.raw("GET", "/nothing"))
            answer = hostile.read_reply(connection)
            assert answer.status == 404 and "ratelimit" not in answer.headers
