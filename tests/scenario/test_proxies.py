# SPDX-License-Identifier: Apache-2.0
"""Who reads the same bytes before or behind the gateway: HAProxy and nginx in front of it, which share its connections
among their clients, and hostile services behind it. No request is carried out that the proxy in front did not see as
one, and nobody gets another's answer."""

import concurrent.futures
import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

from conftest import ROOT, free_port, wait_for
from test_gateway import PATIENCE_S, Gateway, Service, started  # pylint: disable=unused-import

REQUESTS = ROOT / "tests" / "support" / "requests.txt"
CLIENTS = 8
KEPT_MS = 100  # how long a proxy waits for a client's next byte
LAST = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ROUTES = [("GET", "/a"), ("POST", "/a"), ("DELETE", "/{name}"), ("GET", "/sentinel/{id}")]

HAPROXY = """
global
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    timeout http-request {kept}ms
    timeout http-keep-alive {kept}ms
frontend outside
    bind 127.0.0.1:{port}
    default_backend gateway
backend gateway
    http-reuse always
    server gateway 127.0.0.1:{gateway}
"""

NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 200; }}
http {{
    access_log off;
    client_header_timeout {kept}ms;
    client_body_timeout {kept}ms;
    keepalive_timeout {kept}ms;
    lingering_close off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream gateway {{ server 127.0.0.1:{gateway}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://gateway;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
        }}
    }}
}}
"""


class Case:
    """A line of the requests' file. `number` replaces the name of what may be smuggled, of the same length."""

    def __init__(self, number, line):
        self.name, taken, text = line.rstrip("\n").split(" | ", 2)
        self.mark = f"/smug{number:04d}"
        escaped = re.sub(r"\\(r|n|\\|x..)", lambda match: {"r": "\r", "n": "\n", "\\": "\\"}.get(
            match[1]) or chr(int(match[1][1:], 16)), text)
        self.data = escaped.encode("latin-1").replace(b"/smuggled", self.mark.encode())
        self.asks_for_it = "DELETE /smuggled" in taken
        self.number = number


def cases():
    lines = [line for line in REQUESTS.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 150
    return [Case(number, line) for number, line in enumerate(lines)]


def listens(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
        return True
    return False


class Proxy:
    def __init__(self, name, folder, gateway):
        self.port = free_port()
        program = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
        if not program:
            pytest.skip(f"NOT TESTED: {name} is not installed")
        text = {"haproxy": HAPROXY, "nginx": NGINX}[name].format(
            port=self.port, gateway=gateway, folder=folder, kept=KEPT_MS,
            user="user root;" if os.geteuid() == 0 else "")
        file = folder / f"{name}.conf"
        file.write_text(text)
        command = [program, "-db", "-f", file] if name == "haproxy" else [program, "-c", file, "-e", folder / "nginx.log"]
        self.log = open(folder / f"{name}.out", "w+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_for(f"{name} listens", lambda: self.process.poll() is not None or listens(self.port))
        self.log.seek(0)
        assert self.process.poll() is None, self.log.read()

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self.log.close()


def echo(method, target, headers, body):
    return 200, {}, {"method": method, "target": target, "length": len(body)}


def talk(port, data):
    """All that comes back until the other side closes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


def sentinel(port, number):
    text = talk(port, b"GET /sentinel/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % number)
    return f'"target": "/sentinel/{number}"'.encode() in text and text.count(b"HTTP/1.1 200") == 1, text


@pytest.mark.parametrize("name", ["haproxy", "nginx", "nobody"])
def test_a_proxy_and_the_gateway_agree_where_each_request_ends(started, name):
    """With nobody in front, it is what a proxy would do to the gateway that passes on the very bytes."""
    service = started(Service(echo))
    gateway = started(Gateway(started.folder, {"users": (service.port, ROUTES)}))
    proxy = started(Proxy(name, started.folder, gateway.port)) if name != "nobody" else gateway
    plain = talk(proxy.port, LAST)
    assert plain.startswith(b"HTTP/1.1 200"), plain
    answers = {}

    def attack(case):
        answers[case.number] = talk(proxy.port, case.data + (LAST if proxy is gateway else b""))
        mine, text = sentinel(proxy.port, case.number)
        return None if mine else f"{case.name}: afterwards another's answer came: {text[:300]!r}"

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        wrong = [fault for fault in pool.map(attack, cases()) if fault]
    done = service.targets()
    for case in cases():
        carried_out = done.count(case.mark)
        told = answers[case.number].count(b'"target": "' + case.mark.encode())
        if carried_out > case.asks_for_it:
            wrong.append(f"{case.name}: {case.mark} was carried out")
        if carried_out != told:
            wrong.append(f"{case.name}: {case.mark} was carried out {carried_out} times, and its client told {told} times")
    assert not wrong, "\n".join(wrong)
    assert sum(case.mark in done for case in cases()) > 2  # those that may


# ---- Behind the gateway ------------------------------------------------------------------------

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class RawService:
    """Answers every request with these very bytes, and keeps the connection."""

    def __init__(self, data):
        self.data = data
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            while b"\r\n\r\n" in connection.recv(65536):
                connection.sendall(self.data)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.mark.parametrize("name, answer", [
    ("a folded header", GOOD + b"ETag: a\r\n b\r\nContent-Length: 2\r\n\r\n{}"),
    ("a folded Content-Length", GOOD + b"Content-Length:\r\n 2\r\n\r\n{}"),
    ("a bare LF", GOOD + b"ETag: a\nContent-Length: 2\r\n\r\n{}"),
    ("a bare CR", GOOD + b"ETag: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\n{}"),
    ("a NUL", GOOD + b"ETag: a\0b\r\nContent-Length: 2\r\n\r\n{}"),
    ("a space before the colon", GOOD + b"Content-Length : 2\r\n\r\n{}"),
    ("a line without a colon", GOOD + b"ETag\r\nContent-Length: 2\r\n\r\n{}"),
    ("two lengths", GOOD + b"Content-Length: 2\r\nContent-Length: 4\r\n\r\n{}{}"),
    ("a list of lengths", GOOD + b"Content-Length: 2, 2\r\n\r\n{}"),
    ("a signed length", GOOD + b"Content-Length: +2\r\n\r\n{}"),
    ("a length and chunks", GOOD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    ("chunks and a length", GOOD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    ("another encoding", GOOD + b"Transfer-Encoding: identity\r\n\r\n{}"),
    ("chunked in gzip", GOOD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    ("chunks that are none", GOOD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    ("no status line", b"Content-Length: 2\r\n\r\n{}"),
    ("an upgrade", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_an_answer_that_can_be_read_in_two_ways_is_none(started, name, answer):
    service = started(RawService(answer))
    gateway = started(Gateway(started.folder, {"users": (service.port, [("POST", "/a")])}))
    got = talk(gateway.port, b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
    assert got.startswith(b"HTTP/1.1 503 "), (name, got)
    assert got.count(b"HTTP/1.1 ") == 1 and b"Set-Cookie" not in got, got


def test_what_a_service_adds_to_an_answer_reaches_nobody(started):
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    service = started(RawService(GOOD + b"Content-Length: 2\r\n\r\n{}" + poison))
    gateway = started(Gateway(started.folder, {"users": (service.port, [("GET", "/a")])}))
    for _ in range(20):
        got = gateway.get("/a")
        assert (got.status, got.data) == (200, b"{}")


def test_a_trailer_is_no_header(started):
    service = started(RawService(GOOD + b"Transfer-Encoding: chunked\r\nETag: \"1\"\r\n\r\n2\r\n{}\r\n0\r\n"
                                 b"ETag: \"2\"\r\nLocation: /elsewhere\r\nContent-Type: text/html\r\n\r\n"))
    gateway = started(Gateway(started.folder, {"users": (service.port, [("GET", "/a")])}))
    got = gateway.get("/a")
    assert (got.status, got.data, got.headers.get_all("ETag")) == (200, b"{}", ['"1"'])
    assert got.headers["Content-Type"] == "application/json" and "Location" not in got.headers
