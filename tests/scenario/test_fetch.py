# SPDX-License-Identifier: Apache-2.0
"""What a handler fetches from outside the system (fh_fetch): what comes back, and what the walls keep in.

The service of tests/simulate/fetch runs three times over: fetching from a server here, which its file allows; from a
server whose certificate nobody has vouched for; and as a file has it that allows nothing."""

import http.server
import pathlib
import shutil
import ssl
import subprocess
import threading

import pytest
from conftest import FREEHOLD, ROOT

FETCH = ROOT / "tests" / "simulate" / "fetch"
PROGRAM = pathlib.Path(FREEHOLD).parent / "tests" / "simulate" / "rates"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Outside:
    """A server that is none of Freehold's."""

    def __init__(self, certificate=None):
        self.heard, self.hanging = [], threading.Event()
        outside = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outside.heard.append((self.path, {name.lower(): text for name, text in self.headers.items()}))
                answers = {"/rates/today": (200, "application/json", b'{"rate": 7}'),
                           "/csv": (200, "text/csv", "day,rate\r\ncafé,7\r\n".encode()),
                           "/moved": (302, "text/plain", b"elsewhere"),
                           "/bytes": (200, "application/octet-stream", b"\xff\xfe\x00"),
                           "/large": (200, "application/json", b'"' + b"x" * (2 << 20) + b'"'),
                           "/secret": (403, "text/plain", b"no")}
                if self.path == "/hangs":
                    outside.hanging.wait(30)
                status, kind, body = answers.get(self.path, (404, "text/plain", b""))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if status == 302:
                    self.send_header("Location", "/rates/today")
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # it is hung up on, as it says too much

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked(self, path):
        return [headers for at, headers in list(self.heard) if at == path]


@pytest.fixture(scope="module")
def outside():
    server = Outside()
    yield server
    server.hanging.set()
    server.server.shutdown()


def written(folder, source, outside):
    """A system file: what the service fetches from, and what it says of the outside."""
    shutil.copytree(FETCH / "rates" / "migrations", folder / "rates" / "migrations")
    (folder / "freehold.yaml").write_text(
        "system: fetch\ngateway: { listen: '127.0.0.1:0' }\nservices:\n"
        f"  rates: {{ program: {PROGRAM}, settings: {{ from: '{source}' }}{outside} }}\n")
    return folder / "freehold.yaml"


@pytest.fixture(scope="module")
def rates(start, tmp_path_factory, outside):
    return start(written(tmp_path_factory.mktemp("fetch"), f"http://127.0.0.1:{outside.port}",
                         f", outside: anywhere, outside_http: true, outside_ports: [{outside.port}]"))


def fetched(rates, name):
    answer = rates.http("GET", f"/api/outside/{name}")
    assert answer.status == 200, answer
    return answer.body


def test_what_is_fetched_goes_into_the_unit_of_work(rates, outside):
    answer = rates.http("POST", "/api/prices", {"day": "today"}, {"traceparent": TRACE})
    assert answer.status == 201 and answer.body == {"rate": 7}, answer
    assert {"day": "today", "rate": 7} in rates.http("GET", "/api/prices").body


def test_a_stranger_learns_nothing_of_the_system(rates, outside):
    rates.http("POST", "/api/prices", {"day": "today"}, {"traceparent": TRACE})
    asked = outside.asked("/rates/today")
    assert asked
    for headers in asked:
        assert set(headers) <= {"host", "accept", "user-agent"}, headers
        assert headers["user-agent"] == "Freehold"


def test_what_is_not_there_is_refused(rates):
    answer = rates.http("POST", "/api/prices", {"day": "never"})
    assert answer.status == 422 and answer.body["errors"][0]["pointer"] == "/day", answer
    assert not [row for row in rates.http("GET", "/api/prices").body if row["day"] == "never"]


def test_text_is_a_string(rates):
    assert fetched(rates, "csv") == {"value": "day,rate\r\ncafé,7\r\n"}


@pytest.mark.parametrize("name, status, why", [
    ("moved", 502, "redirects are not followed"),
    ("bytes", 502, "neither JSON nor text in UTF-8"),
    ("large", 502, "larger than 1048576 bytes"),
    ("secret", 502, "with 403"),
    ("nothing", 404, "has nothing at /{name}"),
])
def test_what_can_not_be_used_is_a_problem(rates, outside, name, status, why):
    found = fetched(rates, name)
    assert found["status"] == status and why in found["detail"], found
    assert len(outside.asked("/" + name)) == 1, "it would be the same again"


def test_names_do_not_lead_elsewhere(rates, outside):
    assert fetched(rates, "..%2Frates%2Ftoday")["status"] == 404
    assert outside.asked("/..%2Frates%2Ftoday")


def test_who_does_not_answer_takes_no_longer_than_the_deadline(rates, outside):
    found = rates.http("GET", "/api/outside/hangs")
    assert found.status == 503 or found.body["status"] == 503, found
    assert rates.http("GET", "/api/prices").status == 200


def test_a_certificate_that_nobody_vouches_for_is_refused(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrusted")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    server = Outside((folder / "cert.pem", folder / "key.pem"))
    rates = start(written(folder / "system", f"https://127.0.0.1:{server.port}",
                          f", outside: anywhere, outside_ports: [{server.port}]"))
    found = fetched(rates, "csv")
    assert found["status"] == 503 and "certificate" in found["detail"], found
    assert not server.heard
    server.server.shutdown()


@pytest.mark.parametrize("host", ("127.0.0.1", "localhost"))
def test_without_leave_nothing_is_fetched_from_this_machine(start, tmp_path_factory, outside, host):
    """A name is judged by the address that the connection is made to, whatever else it leads to."""
    before = len(outside.heard)
    rates = start(written(tmp_path_factory.mktemp("walled") / "system", f"https://{host}:{outside.port}",
                          f", outside_ports: [{outside.port}]"))
    found = fetched(rates, "csv")
    assert found["status"] == 503 and "public Internet" in found["detail"], found
    assert len(outside.heard) == before


def test_without_leave_nothing_is_fetched_without_tls(start, tmp_path_factory, outside):
    rates = start(written(tmp_path_factory.mktemp("plain") / "system", f"http://127.0.0.1:{outside.port}",
                          f", outside: anywhere, outside_ports: [{outside.port}]"))
    before = len(outside.heard)
    found = fetched(rates, "csv")
    assert found["status"] == 502 and "outside_http" in found["detail"], found
    assert len(outside.heard) == before


def test_a_file_that_does_not_allow_a_declared_host_is_refused(tmp_path):
    file = written(tmp_path / "system", "https://api.example.org", ", outside_hosts: ['*.example.org']")
    checked = subprocess.run([FREEHOLD, "check", file], capture_output=True, text=True)
    assert checked.returncode != 0
    said = checked.stdout + checked.stderr
    assert "rates fetches from localhost, which services.rates.outside_hosts does not allow" in said
    assert "from api.example.org" not in said
