# SPDX-License-Identifier: Apache-2.0
"""The real gateway before services that are made up here: small HTTP servers on the loopback that remember what was
requested. FREEHOLD names the command (default: build/freehold)."""

import concurrent.futures
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import resource
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
FREEHOLD = os.environ.get("FREEHOLD", str(ROOT / "build" / "freehold"))
PATIENCE_S = 120
EXPOSED = dict.fromkeys(("metrics", "docs", "openapi", "asyncapi"), "public")


class Service:
    """Answers with what `answer(method, target, headers, body)` returns: (status, headers, body).
    None as an answer breaks the connection."""

    def __init__(self, answer, port=0):
        self.asked = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                service.asked.append((self.command, self.path, self.headers, body))
                answer = service.answer(self.command, self.path, self.headers, body)
                if answer is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, headers, text = answer
                if isinstance(text, (dict, list)):
                    text = json.dumps(text)
                    headers = {"Content-Type": "application/json", **headers}
                data = text.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_any

            def log_message(self, *arguments):
                pass

        self.answer = answer
        http.server.ThreadingHTTPServer.request_queue_size = 512
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def targets(self):
        return [target for _, target, _, _ in self.asked]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Gateway:
    def __init__(self, folder, services, compose=(), more=None, door=None, inherited=()):
        """services: name -> (port, routes); routes are (method, path[, audience[, deadline_ms[, auth]]]). more: of the
        configuration."""
        resource.setrlimit(resource.RLIMIT_NOFILE,
                           (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.control, theirs = socket.socketpair()
        config = {
            "freehold": 1, "system": "test",
            "listen_fd": self.listener.fileno(), "control_fd": theirs.fileno(),
            "peers": {name: f"127.0.0.1:{port}" for name, (port, _) in services.items()},
            "services": {name: {"freehold": 1, "name": name, "model": "relational",
                                "routes": [describe(*route) for route in routes]}
                         for name, (_, routes) in services.items()},
            "compose": list(compose), "door": door or {}, "exposure": EXPOSED, **(more or {})}
        path = folder / "gateway.json"
        path.write_text(json.dumps(config))
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen(
            [FREEHOLD, "gateway", "--config", str(path)], stderr=self.log,
            pass_fds=(self.listener.fileno(), theirs.fileno(), *inherited))
        theirs.close()
        self.lines = b""
        self.wait_for_line(b"ready")

    def wait_for_line(self, line):
        deadline = time.monotonic() + PATIENCE_S
        while line not in self.lines.split(b"\n"):
            ready, _, _ = select.select([self.control], [], [], max(0, deadline - time.monotonic()))
            data = self.control.recv(4096) if ready else b""
            if not data:
                self.log.seek(0)
                raise AssertionError(f"no line {line!r} from the gateway: {self.log.read()}")
            self.lines += data

    def ask(self, method, target, body=None, headers=None, timeout=PATIENCE_S):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True, skip_host="Host" in (headers or {}))
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body.encode() if body is not None else None)
            answer = connection.getresponse()
            data = answer.read()
            return Answer(answer.status, answer.headers, data)
        finally:
            connection.close()

    def get(self, target, **options):
        return self.ask("GET", target, **options)

    def close(self):
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0
        self.control.close()
        self.listener.close()
        self.log.close()


class Answer:
    def __init__(self, status, headers, data):
        self.status, self.headers, self.data = status, headers, data

    @property
    def json(self):
        return json.loads(self.data)


def describe(method, path, audience="public", deadline_ms=10000, auth=None):
    return {"method": method, "path": path, "audience": audience, "deadline_ms": deadline_ms,
            **({"auth": auth} if auth else {})}


@pytest.fixture
def started(tmp_path):
    with contextlib.ExitStack() as stack:
        def start(thing):
            stack.callback(thing.close)
            return thing
        start.folder = tmp_path
        yield start


def echo(method, target, headers, body):
    return 200, {"ETag": '"7"', "Location": "/x", "Freehold-Outcome": "done", "Server-Secret": "s",
                 "Cache-Control": "max-age=1"}, {
        "method": method, "target": target, "body": body.decode(),
        "headers": {name.lower(): value for name, value in headers.items()}}


USER_ROUTES = [("GET", "/api/users/{id}"), ("GET", "/api/users"), ("POST", "/api/users"),
               ("PATCH", "/api/users/{id}"), ("GET", "/api/users/secret", "operators"),
               ("POST", "/api/users/{id}/orders/increment", "services")]


def one_service(started, answer=echo, routes=USER_ROUTES, door=None):
    users = started(Service(answer))
    return users, started(Gateway(started.folder, {"users": (users.port, routes)}, door=door))


# ---- Routes ----------------------------------------------------------------------------------

def assert_span_of_its_own(trace):
    """The gateway is a part of the client's trace."""
    assert trace.startswith("00-0af7651916cd43dd8448eb211c80319c-") and trace.endswith("-01"), trace
    assert "b7ad6b7169203331" not in trace, trace


def test_a_public_route_reaches_its_service_with_the_named_headers_only(started):
    users, gateway = one_service(started)
    answer = gateway.ask("POST", "/api/users?dry=1", body='{"name": "Ada"}', headers={
        "Content-Type": "application/json", "Accept": "text/x", "Idempotency-Key": "k1",
        "Prefer": "wait=5", "If-Match": '"3"', "Cache-Control": "no-cache", "Authorization": "Bearer t",
        "Freehold-From": "orders/x", "Freehold-Deadline": "999999999", "Freehold-Undo": "k",
        "Cookie": "secret=1", "X-Forwarded-For": "1.2.3.4", "TE": "trailers",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    assert answer.status == 200
    seen = answer.json
    assert (seen["method"], seen["target"], seen["body"]) == ("POST", "/api/users?dry=1",
                                                             '{"name": "Ada"}')
    headers = seen["headers"]
    assert headers["idempotency-key"] == "k1"
    assert users.asked[0][2].get_all("Content-Type") == ["application/json"]
    assert headers["accept"] == "text/x"
    assert headers["prefer"] == "wait=5"
    assert headers["if-match"] == '"3"'
    assert headers["cache-control"] == "no-cache"
    assert headers["authorization"] == "Bearer t"
    assert_span_of_its_own(headers["traceparent"])
    assert 0 < int(headers["freehold-deadline"]) <= 10000 + 5000  # it would rather wait
    for name in ("freehold-from", "freehold-undo", "cookie", "x-forwarded-for", "te"):
        assert name not in headers


def test_an_answer_goes_out_with_the_named_headers_only(started):
    users, gateway = one_service(started)
    answer = gateway.get("/api/users/7")
    assert answer.headers["ETag"] == '"7"'
    assert answer.headers["Location"] == "/x"
    assert answer.headers["Cache-Control"] == "max-age=1"
    assert answer.headers["Content-Type"] == "application/json"
    assert "Freehold-Outcome" not in answer.headers
    assert "Server-Secret" not in answer.headers
    trace = answer.json["headers"]["traceparent"].split("-")
    assert [len(part) for part in trace] == [2, 32, 16, 2]


def test_path_and_query_are_passed_on_as_they_came(started):
    users, gateway = one_service(started)
    for target in ("/api/users/a%2Fb", "/api/users/a%2fb?q=%20+%C3%A4&q2=a/b", "/api/users/%41;v=1",
                   "/api/users/7?", "/api/users/7?a=[1]"):
        assert gateway.get(target).status == 200
    assert users.targets() == ["/api/users/a%2Fb", "/api/users/a%2fb?q=%20+%C3%A4&q2=a/b",
                               "/api/users/%41;v=1", "/api/users/7", "/api/users/7?a=[1]"]


def test_what_is_not_public_cannot_be_distinguished_from_what_does_not_exist(started):
    users, gateway = one_service(started)
    unknown = gateway.ask("POST", "/api/nothing", body="{}")
    assert unknown.status == 404
    assert unknown.headers["Content-Type"] == "application/problem+json"
    assert unknown.json["type"] == "urn:freehold:problem:route-unknown"
    for method, target in (("POST", "/api/users/7/orders/increment"), ("GET", "/_freehold/feed"),
                           ("GET", "/%5ffreehold/feed"), ("POST", "/_freehold/closed"),
                           ("GET", "/api/users/secret"), ("GET", "/api/users/7/orders/increment"),
                           ("GET", "/metrics/"), ("POST", "/")):
        answer = gateway.ask(method, target, body="{}" if method == "POST" else None)
        assert (answer.status, answer.data) == (404, unknown.data), target
        assert sorted(answer.headers.keys()) == sorted(unknown.headers.keys())
    assert users.asked == []


def test_another_method_on_a_known_path_is_405_with_allow(started):
    users, gateway = one_service(started)
    answer = gateway.ask("DELETE", "/api/users/7")
    assert answer.status == 405
    assert sorted(answer.headers["Allow"].split(", ")) == ["GET", "PATCH"]
    assert answer.json["status"] == 405
    assert users.asked == []


def test_a_path_that_a_service_could_read_otherwise_is_refused(started):
    users, gateway = one_service(started)
    for target in ("/api/users/secret#/x", "/api/users/secret\\..\\7", "/api/users/{7}",
                   "/api/users/../secret", "/api/users/%2e%2e"):
        with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S) as connection:
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(4096).split()[1] in (b"400", b"404"), target
    assert users.asked == []


DOOR = {"hosts": ["shop.example.org"], "origins": ["https://app.example.org"], "credentials": True}


def test_a_host_by_which_it_is_not_known_is_421_and_probes_pass(started):
    service, gateway = one_service(started, door=DOOR)
    for host in ("evil.example.net", "127.0.0.1", "shop.example.org.evil.example.net"):
        refused = gateway.get("/api/users/1", headers={"Host": host})
        assert (refused.status, refused.json["type"]) == (421, "urn:freehold:problem:host-unknown")
        assert gateway.get("/metrics", headers={"Host": host}).status == 421
        assert gateway.get("/livez", headers={"Host": host}).status == 200
    assert not service.asked
    assert gateway.get("/api/users/1", headers={"Host": "Shop.example.org:8443"}).status == 200


def test_a_page_of_another_site_changes_nothing(started):
    service, gateway = one_service(started, door=DOOR)
    here = {"Host": "shop.example.org"}
    for said in ({"Origin": "https://evil.example.net"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"},
                 {"Origin": "https://shop.example.org", "Sec-Fetch-Site": "cross-site"}):
        refused = gateway.ask("PATCH", "/api/users/1", "{}", {**here, **said})
        assert (refused.status, refused.json["type"]) == (403, "urn:freehold:problem:cross-site")
        assert "access-control-allow-origin" not in refused.headers
    assert not service.asked
    for said in ({}, {"Origin": "https://shop.example.org"}, {"Origin": "https://app.example.org"},
                 {"Sec-Fetch-Site": "same-origin"}):
        assert gateway.ask("PATCH", "/api/users/1", "{}", {**here, **said}).status == 200, said


def test_a_listed_origin_may_ask_and_read(started):
    service, gateway = one_service(started, door=DOOR)
    asks = {"Host": "shop.example.org", "Origin": "https://app.example.org", "Access-Control-Request-Method": "PATCH"}
    answer = gateway.ask("OPTIONS", "/api/users/1", headers=asks)
    assert (answer.status, answer.data) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
    assert answer.headers["access-control-allow-methods"] == "PATCH"
    assert {"Idempotency-Key", "Freehold-Wait"} <= set(answer.headers["access-control-allow-headers"].split(", "))
    assert answer.headers["access-control-allow-credentials"] == "true"
    other = gateway.ask("OPTIONS", "/api/users/1", headers={**asks, "Origin": "https://evil.example.net"})
    assert other.status == 405 and "access-control-allow-origin" not in other.headers
    assert not service.asked
    read = gateway.get("/api/users/1", headers={"Host": "shop.example.org", "Origin": "https://app.example.org"})
    assert read.headers["access-control-allow-origin"] == "https://app.example.org"
    assert {"Freehold-At", "Freehold-As-Of"} <= set(read.headers["access-control-expose-headers"].split(", "))
    assert read.headers["vary"] == "Origin"


@pytest.mark.parametrize("said, passed", [({}, {"Origin"}), ({"Vary": "Accept-Language"}, {"Accept-Language", "Origin"}),
                                          ({"Vary": "*"}, {"*", "Origin"}), ({"Vary": "x" * 5000}, {"*"})])
def test_what_an_answer_depends_on_is_told_whole(started, said, passed):
    _, gateway = one_service(started, lambda *request: (200, said, {}), door=DOOR)
    headers = gateway.get("/api/users/1", headers={"Host": "shop.example.org"}).headers
    assert len(headers.get_all("vary")) == 1 and set(headers["vary"].split(", ")) == passed


def test_what_an_answer_depends_on_is_told_without_other_origins_too(started):
    _, gateway = one_service(started, lambda *request: (200, {"Vary": "Accept"}, {}))
    assert gateway.get("/api/users/1").headers["vary"] == "Accept"


def test_every_answer_tells_a_browser_to_do_no_more_than_it_must(started):
    _, gateway = one_service(started)
    for target in ("/api/users/1", "/nothing", "/metrics", "/openapi.json", "/docs", "/livez"):
        headers = gateway.get(target).headers
        assert headers.get_all("x-content-type-options") == ["nosniff"], target
        assert len(headers.get_all("content-security-policy")) == 1, target
        assert headers["cross-origin-resource-policy"] == "same-origin", target
        assert "strict-transport-security" not in headers, target


def test_head_is_answered_like_get_without_a_body(started):
    users, gateway = one_service(started)
    answer = gateway.ask("HEAD", "/api/users/7")
    assert (answer.status, answer.data) == (200, b"")
    assert answer.headers["ETag"] == '"7"'


def test_a_body_beyond_its_bound_is_413(started):
    users, gateway = one_service(started)
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
    connection.putrequest("POST", "/api/users")
    connection.putheader("Content-Length", str((1 << 20) + 1))
    connection.endheaders()
    connection.send(b"x" * ((1 << 20) + 1))
    assert connection.getresponse().status == 413
    connection.close()
    # A client that sends all of it before it reads anything sees that, too.
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
    connection.request("POST", "/api/users", b"x" * (16 << 20))
    assert connection.getresponse().status == 413
    connection.close()
    assert gateway.ask("POST", "/api/users", body="x" * (1 << 20)).status == 200


def test_its_own_routes_report_its_health_and_its_counts(started):
    users, gateway = one_service(started)
    assert gateway.get("/livez").json == {"status": "ok"}
    assert gateway.get("/readyz").status == 200
    assert gateway.ask("POST", "/livez", body="").status == 405
    for _ in range(3):
        gateway.get("/api/users/7")
    gateway.get("/nothing")
    until_metrics(gateway, 'freehold_gateway_requests_total{service="users",status="2xx"} 3',
                  'freehold_gateway_requests_total{service="gateway",status="4xx"} 2',
                  'freehold_gateway_request_duration_seconds_count{service="users"} 3',
                  'freehold_gateway_requests_in_flight 1', 'freehold_gateway_calls_total{service="users"} 3')
    gateway.wait_for_line(b"beat")


# ---- Services that are away --------------------------------------------------------------------

def assert_away(answer, service):
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["service"] == service
    assert answer.json["type"] == "urn:freehold:problem:service-unavailable"
    assert service in answer.json["detail"]


def test_an_unreachable_service_is_503_within_the_deadline(started):
    gateway = started(Gateway(started.folder, {"users": (free_port(), USER_ROUTES)}))
    assert_away(gateway.get("/api/users/7"), "users")
    assert_away(gateway.ask("POST", "/api/users", body="{}"), "users")


def test_a_hanging_service_is_503_when_the_deadline_has_passed(started):
    release = threading.Event()
    users, gateway = one_service(started, lambda *request: release.wait(PATIENCE_S) and (200, {}, {}),
                                 [("GET", "/api/users/{id}", "public", 300)])
    began = time.monotonic()
    assert_away(gateway.get("/api/users/7"), "users")
    assert time.monotonic() - began > 0.25
    release.set()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_never_sent_is_sent_once_the_service_is_there(started, method):
    port = free_port()
    gateway = started(Gateway(started.folder, {"users": (port, USER_ROUTES)}))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        future = pool.submit(gateway.ask, method, "/api/users",
                             body="{}" if method == "POST" else None)
        wait_for("it is tried again", lambda: 'freehold_gateway_retries_total{service="users"} 0' not in gateway.get(
            "/metrics").data.decode())
        users = started(Service(echo, port))
        assert future.result(PATIENCE_S).status == 200
    assert len(users.asked) == 1


def test_a_broken_connection_is_repeated_only_where_that_is_safe(started):
    asked = []

    def break_first(method, target, headers, body):
        asked.append(method)
        return None if len(asked) == 1 else (200, {}, {"n": len(asked)})

    users, gateway = one_service(started, break_first)
    assert gateway.get("/api/users/7").json == {"n": 2}
    asked.clear()
    assert gateway.ask("POST", "/api/users", body="{}",
                       headers={"Idempotency-Key": "k"}).json == {"n": 2}
    asked.clear()
    assert_away(gateway.ask("POST", "/api/users", body="{}"), "users")
    assert asked == ["POST"]


def test_an_answer_that_is_too_large_is_502_and_made_once(started):
    users, gateway = one_service(started, lambda method, target, *rest: (
        200, {}, "7" * (17 << 20) if target.endswith("large") else {"id": 7}))
    for number in range(1, 7):  # as often as would be silence enough for a breaker
        answer = gateway.get("/api/users/large")
        assert (answer.status, answer.json["type"]) == (502, "urn:freehold:problem:answer-unusable")
        assert answer.json["detail"] == "The service users gave an answer larger than 16 MiB."
        assert "Retry-After" not in answer.headers and len(users.asked) == number
    assert gateway.get("/api/users/7").status == 200


def test_a_status_that_does_not_exist_is_no_answer(started):
    users, gateway = one_service(started, lambda method, *request: (600 if method == "POST" else 999, {}, {}))
    assert_away(gateway.ask("POST", "/api/users", body="{}"), "users")
    assert_away(gateway.get("/api/users/7"), "users")
    assert gateway.get("/livez").status == 200  # it is still there


class Holding:
    """A service that holds all requests until it is told to answer."""

    def __init__(self, started):
        self.release = threading.Event()
        self.service = started(Service(self.answer))
        started(self)

    def answer(self, *request):
        self.release.wait()
        return 200, {}, {}

    def close(self):
        self.release.set()


LONG_MS = 600_000  # nobody waits for it


def until_metrics(gateway, *wanted):
    wait_for(f"the gateway counts {wanted}",
             lambda: all(line in gateway.get("/metrics").data.decode().splitlines() for line in wanted))


def test_a_hanging_service_costs_the_others_nothing(started):
    users, payments = started(Service(echo)), Holding(started)
    gateway = started(Gateway(started.folder, {
        "users": (users.port, USER_ROUTES),
        "payments": (payments.service.port, [("GET", "/api/payments/{id}", "public", LONG_MS)])}))
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        hanging = [pool.submit(gateway.get, f"/api/payments/{i}", timeout=None) for i in range(100)]
        until_metrics(gateway, 'freehold_gateway_calls_in_flight{service="payments"} 100')
        others = [pool.submit(gateway.get, f"/api/users/{i}") for i in range(100)]
        assert all(future.result(PATIENCE_S).status == 200 for future in others)
        assert not any(future.done() for future in hanging)
        payments.release.set()
        assert all(future.result(PATIENCE_S).status == 200 for future in hanging)


def test_beyond_its_places_a_client_of_a_service_is_503_at_once(started):
    users, payments = started(Service(echo)), Holding(started)
    gateway = started(Gateway(started.folder, {
        "users": (users.port, USER_ROUTES),
        "payments": (payments.service.port, [("GET", "/api/payments/{id}", "public", LONG_MS)])}))
    request = b"GET /api/payments/7 HTTP/1.1\r\nHost: x\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(256 + 1024):
            connection = socket.create_connection(("127.0.0.1", gateway.port), PATIENCE_S)
            stack.callback(connection.close)
            connection.sendall(request)
        until_metrics(gateway, 'freehold_gateway_calls_in_flight{service="payments"} 256',
                      'freehold_gateway_calls_waiting{service="payments"} 1024')
        shed = gateway.get("/api/payments/8")  # and not in ten minutes
        assert (shed.status, shed.json["type"]) == (503, "urn:freehold:problem:request-shed")
        assert 1 <= int(shed.headers["Retry-After"]) <= 3
        assert gateway.get("/api/users/7").status == 200
    # The clients are gone; what they asked for ends, and places are free again.
    payments.release.set()
    until_metrics(gateway, 'freehold_gateway_calls_in_flight{service="payments"} 0')


# ---- Composed answers --------------------------------------------------------------------------

DETAILS = {"path": "/api/orders/{id:int}/details", "parts": [
    {"name": "order", "get": "orders /api/orders/{id}", "required": True},
    {"name": "user", "get": "users /api/users/{order.user_id}"},
    {"name": "products", "each": "order.items", "id": "product_id",
     "get": "products /api/products?ids={ids}"},
    {"name": "payment", "get": "payments /api/payments/{order.payment_id}"}]}
OF_USER = {"path": "/api/users/{id}/orders", "parts": [
    {"name": "orders", "get": "orders /api/orders?user_id={id}", "required": True, "query": True},
    {"name": "products", "each": "orders[].items[].product_id",
     "get": "products /api/products?ids={ids}"}]}


def order(number, products=(5, 3, 5), payment="pay-1"):
    return {"id": number, "user_id": 7, "payment_id": payment, "total": 5998,
            "items": [{"product_id": product, "quantity": 1} for product in products]}


def answer_orders(method, target, headers, body):
    if target.startswith("/api/orders?"):
        return 200, {}, [order(1), order(2, range(1, 251))]
    number = int(target.rsplit("/", 1)[1])
    if number == 404:
        return 404, {"Content-Type": "application/problem+json"}, '{"status": 404, "detail": "no order"}'
    return 200, {}, order(number, payment=None if number == 2 else "pay-1")


def answer_products(method, target, headers, body):
    ids = target.split("ids=")[1].replace("%2C", ",").split(",")
    return 200, {}, [{"id": number, "name": f"p{number}"} for number in reversed(ids)
                     if number != "99"]


class Shop:
    def __init__(self, started, payments=None, details=DETAILS):
        self.orders = started(Service(answer_orders))
        self.users = started(Service(lambda *request: (200, {}, {"id": 7, "name": "Ada"})))
        self.products = started(Service(answer_products))
        self.payments = started(Service(lambda *request: (200, {}, {"id": "pay-1"})))
        self.gateway = started(Gateway(started.folder, {
            "orders": (self.orders.port, [("GET", "/api/orders/{id:int}"), ("GET", "/api/orders")]),
            "users": (self.users.port, [("GET", "/api/users/{id:int}")]),
            "products": (self.products.port, [("GET", "/api/products")]),
            "payments": (payments or self.payments.port, [("GET", "/api/payments/{id}")])},
            [details, OF_USER]))


def test_details_are_composed_with_one_call_a_service(started):
    shop = Shop(started)
    answer = shop.gateway.get("/api/orders/1/details", headers={
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Authorization": "Bearer t"})
    assert answer.status == 200
    assert list(answer.json) == ["order", "user", "products", "payment"]
    assert answer.json["order"] == order(1)
    assert answer.json["user"] == {"id": 7, "name": "Ada"}
    assert answer.json["products"] == [{"id": "5", "name": "p5"}, {"id": "3", "name": "p3"}]
    assert answer.json["payment"] == {"id": "pay-1"}
    assert shop.orders.targets() == ["/api/orders/1"]
    assert shop.users.targets() == ["/api/users/7"]
    assert len(shop.products.asked) == 1
    assert shop.payments.targets() == ["/api/payments/pay-1"]
    for service in (shop.orders, shop.users, shop.products, shop.payments):
        headers = service.asked[0][2]
        assert_span_of_its_own(headers["traceparent"])
        assert headers["Authorization"] == "Bearer t"
        assert int(headers["Freehold-Deadline"]) <= 10000


def test_a_reference_that_is_null_gives_null_and_is_not_missing(started):
    shop = Shop(started)
    answer = shop.gateway.get("/api/orders/2/details").json
    assert list(answer) == ["order", "user", "products", "payment"]
    assert answer["payment"] is None
    assert shop.payments.asked == []


def test_what_is_gone_is_null(started):
    shop = Shop(started)
    shop.users.answer = lambda *request: (404, {}, {"status": 404})
    answer = shop.gateway.get("/api/orders/1/details").json
    assert answer["user"] is None and "missing" not in answer


def test_an_optional_part_may_be_missing(started):
    shop = Shop(started, payments=free_port())
    answer = shop.gateway.get("/api/orders/1/details")
    assert answer.status == 200
    assert list(answer.json) == ["order", "user", "products", "missing"]
    assert answer.json["missing"] == ["payment"]


def test_an_optional_part_that_is_late_is_missing(started):
    payments = Holding(started)
    shop = Shop(started, payments=payments.service.port)
    shop.users.answer = lambda *request: (500, {}, {"status": 500})
    began = time.monotonic()
    answer = shop.gateway.get("/api/orders/1/details")
    assert answer.status == 200
    assert {"user", "payment"} <= set(answer.json["missing"]), answer.data
    assert time.monotonic() - began > 1.5
    assert int(payments.service.asked[0][2]["Freehold-Deadline"]) <= 2000, "of 10 s"


def test_a_required_part_decides_the_answer(started):
    shop = Shop(started)
    answer = shop.gateway.get("/api/orders/404/details")
    assert (answer.status, answer.json["detail"]) == (404, "no order")
    assert answer.headers["Content-Type"] == "application/problem+json"
    shop.orders.answer = lambda *request: (503, {"Retry-After": "9"}, {"status": 503})
    answer = shop.gateway.get("/api/orders/1/details")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "9")
    shop.orders.answer = lambda *request: (200, {}, "no json")
    assert shop.gateway.get("/api/orders/1/details").status == 502
    shop.orders.answer = lambda *request: None
    assert_away(shop.gateway.get("/api/orders/1/details"), "orders")
    assert shop.users.asked == []


def test_a_list_of_many_rows_takes_a_call_for_each_hundred_ids(started):
    shop = Shop(started)
    answer = shop.gateway.get("/api/users/7/orders?limit=2").json
    assert shop.orders.targets() == ["/api/orders?user_id=7&limit=2"]
    assert len(shop.products.asked) == 3
    numbers = [product["id"] for product in answer["products"]]
    assert numbers == ["5", "3"] + [str(i) for i in range(1, 251) if i not in (3, 5, 99)]


def test_parts_that_do_not_wait_for_each_other_are_fetched_side_by_side(started):
    # Required ones have the whole time of the request, however busy the machine is.
    shop = Shop(started, details={**DETAILS, "parts": [{**part, "required": True} for part in DETAILS["parts"]]})
    together = threading.Barrier(3, timeout=PATIENCE_S)

    def meet(answer):
        def answering(*request):
            together.wait()
            return answer(*request)
        return answering

    for service in (shop.users, shop.products, shop.payments):
        service.answer = meet(service.answer)
    answer = shop.gateway.get("/api/orders/1/details")
    assert answer.status == 200 and "missing" not in answer.json


def test_answers_that_are_together_too_large_are_none(started):
    shop = Shop(started)
    shop.products.answer = lambda *request: (200, {}, json.dumps(["x" * (11 << 20)]))  # each of three calls
    answer = shop.gateway.get("/api/users/7/orders")
    assert answer.status == 200
    assert list(answer.json) == ["orders", "missing"] and answer.json["missing"] == ["products"]
    # Written out they are more than three times as long.
    shop.orders.answer = lambda *request: (200, {}, json.dumps([order(1)])[:-1] + ", 1e14" * (2 << 20) + "]")
    answer = shop.gateway.get("/api/users/7/orders")
    assert (answer.status, answer.json["type"]) == (502, "urn:freehold:problem:answer-unusable")
    assert answer.json["detail"] == "The services' answers together are larger than 32 MiB."
    shop.orders.answer, shop.products.answer = answer_orders, answer_products
    assert shop.gateway.get("/api/users/7/orders").status == 200


# ---- The process -------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["SIGTERM", "control"])
def test_it_answers_what_it_has_taken_before_it_ends(started, how):
    arrived, release = threading.Event(), threading.Event()

    def wait(*request):
        arrived.set()
        release.wait(PATIENCE_S)
        return 200, {}, {"late": True}

    users, gateway = one_service(started, wait)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        future = pool.submit(gateway.get, "/api/users/7")
        assert arrived.wait(PATIENCE_S)
        if how == "SIGTERM":
            gateway.process.send_signal(signal.SIGTERM)
        else:
            gateway.control.close()
        with pytest.raises(subprocess.TimeoutExpired):
            gateway.process.wait(0.3)
        release.set()
        assert future.result(PATIENCE_S).json == {"late": True}
    assert gateway.process.wait(PATIENCE_S) == 0


def run_with(folder, text):
    path = folder / "gateway.json"
    path.write_text(text)
    done = subprocess.run([FREEHOLD, "gateway", "--config", str(path)], stderr=subprocess.PIPE,
                          text=True, timeout=PATIENCE_S)
    return done.returncode, done.stderr


def test_a_wrong_configuration_is_78_with_a_sentence(tmp_path):
    good = {"freehold": 1, "system": "test", "listen_fd": 3, "control_fd": 4, "peers": {}, "services": {}}
    for text, sentence in (
            ("{", "Not valid JSON"),
            ("[]", "expected a JSON object"),
            (json.dumps({**good, "peers": 1}), '"peers"'),
            (json.dumps({**good, "listen_fd": "x"}), 'listen_fd'),
            (json.dumps({**good, "services": {"users": {}}}), 'no address of the service "users"'),
            (json.dumps({**good, "compose": [{"path": "/x"}]}), '"parts" must be a list')):
        code, error = run_with(tmp_path, text)
        assert code == 78, error
        assert sentence in error
    done = subprocess.run([FREEHOLD, "gateway", "--config", str(tmp_path / "none.json")],
                          stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
    assert done.returncode == 78
    assert "none.json" in done.stderr
