# SPDX-License-Identifier: Apache-2.0
"""One service by itself, started by hand: what it answers and refuses, that a key counts once, how it drains, what it
reports when it can't start, and how it copes with a full disk."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest
from conftest import CONDITION_S_MAX, FREEHOLD, ROOT, Answer, Logins, free_port, stated, wait_for

PROGRAM = str(pathlib.Path(FREEHOLD).parent / "examples" / "shop" / "users")
MIGRATIONS = ROOT / "examples" / "shop" / "users" / "migrations"
ASK_S = 60
LOGINS = Logins()


class Service:
    """The users' program on a folder of its own; `listen` by address or, with control, by descriptor."""

    def __init__(self, folder, migrations=MIGRATIONS):
        self.folder, self.migrations = pathlib.Path(folder), migrations
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log, self.port, self.process, self.control = self.folder.parent / "log", 0, None, None
        self.more = {}  # of the configuration

    def launch(self, with_control=False):
        """Starts the process and does not wait for it."""
        config = {"freehold": 1, "system": "test", "service": "users", "engine": "sqlite",
                  "folder": str(self.folder), "migrations": str(self.migrations), **self.more}
        command, inherited = [PROGRAM, "--config", str(self.folder / "service.json")], ()
        if with_control:
            listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
            self.port = listening.getsockname()[1]
            self.control, theirs = socket.socketpair()
            self.control.settimeout(CONDITION_S_MAX)
            inherited = (listening.fileno(), theirs.fileno())
            config.update(listen_fd=inherited[0], control_fd=inherited[1])
        else:
            self.port = free_port()
            command += ["--listen", f"127.0.0.1:{self.port}"]
        (self.folder / "service.json").write_text(json.dumps(config))
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stderr=log, pass_fds=inherited)
        if with_control:
            listening.close()
            theirs.close()
        return self

    def start(self):
        self.launch()
        wait_for("the service is ready", self.is_ready)
        return self

    def is_ready(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            return self.ask("GET", "/readyz").status == 200
        return False

    def end(self, how=signal.SIGTERM):
        """The exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(CONDITION_S_MAX)

    def failed_start(self, **more):
        """The exit code and its output."""
        before = len(self.log.read_bytes()) if self.log.exists() else 0
        self.more = more
        code = self.launch().process.wait(CONDITION_S_MAX)
        return code, self.log.read_bytes()[before:].decode()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=ASK_S)

    def ask(self, method, path, body=None, headers=None, connection=None):
        """As the user whom it is about, and of the staff: a program without keys believes whatever is stated."""
        who = {"sub": str(LOGINS.subject(path, body)), "via": "jwt", "iat": 1763737200, "roles": ["staff"]}
        headers = {"Freehold-User": stated(who, "00" * 32, "test"), **(headers or {})}
        own = connection or self.connect()
        try:
            data = json.dumps(body) if isinstance(body, (dict, list)) else body
            own.request(method, path, data,
                        {"Content-Type": "application/json", **(headers or {})} if data else headers or {})
            answer = own.getresponse()
            text = answer.read().decode()
            is_json = "json" in answer.getheader("Content-Type", "")
            found = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()},
                           text if is_json else "")
            found.text = text
            return found
        finally:
            if not connection:
                own.close()

    def add(self, name, key=None, connection=None):
        return self.ask("POST", "/api/users", {"name": name, "email": f"{name}@example.org"},
                        {"Idempotency-Key": key} if key else {}, connection)

    def metric(self, name):
        line = next(l for l in self.ask("GET", "/metrics").text.splitlines() if l.startswith(name + " "))
        return float(line.split()[1])

    def names(self):
        """Of all rows, read from the store of the stopped service."""
        assert self.process.poll() is not None
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/store.db?mode=ro", uri=True)) as store:
            return [name for name, in store.execute("SELECT name FROM users ORDER BY id")]


@pytest.fixture
def make(tmp_path):
    """make() prepares a service that is not left running."""
    made = []

    def prepare(folder=None, migrations=MIGRATIONS):
        made.append(Service(folder or tmp_path / "users", migrations))
        return made[-1]

    yield prepare
    for service in made:
        if service.process and service.process.poll() is None:
            service.process.kill()
            service.process.wait()


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    """One service for all tests that only send requests."""
    service = Service(tmp_path_factory.mktemp("shared") / "users").start()
    yield service
    assert service.end() == 0, service.log.read_text()


# ---- what it answers -------------------------------------------------------------------------------


def test_it_shows_that_it_is_alive_and_what_it_does(users):
    assert users.ask("GET", "/livez").body == {"status": "ok"}
    assert users.ask("GET", "/readyz").status == 200
    user = users.add("metric").body
    assert users.ask("GET", f"/api/users/{user['id']}").body == user
    metrics = users.ask("GET", "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'freehold_requests_total{method="POST",route="/api/users",status="2xx"}' in metrics.text
    assert users.metric("freehold_works_committed_total") >= 1


@pytest.mark.parametrize("version, status", [(None, 200), ("0", 200), ("1", 200), ("2", 503), ("01", 503), ("", 503)])
def test_requests_of_this_protocol_and_the_one_before_are_understood(users, version, status):
    id = users.add(f"protocol {version}").body["id"]
    answer = users.ask("GET", f"/api/users/{id}", headers={} if version is None else {"Freehold-Protocol": version})
    assert answer.status == status
    if status == 503:
        assert "it knows 0 and 1" in answer.body["detail"] and answer.headers["retry-after"] == "1"


def test_reading_makes_nothing_durable(users):
    id = users.add("read").body["id"]
    before = users.metric("freehold_works_committed_total")
    for _ in range(5):
        assert users.ask("GET", f"/api/users/{id}").status == 200
    assert users.metric("freehold_works_committed_total") == before


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/api/users/1", "/api/users?ids=1,2"])
def test_head_answers_as_get_does_without_a_body(users, path):
    users.add("head")
    got, head = users.ask("GET", path), users.ask("HEAD", path)
    assert (got.status, head.status, head.text) == (200, 200, "")
    assert head.headers["content-type"] == got.headers["content-type"]


REFUSED = [
    ("POST", "/api/users", "{", {}, 400, "request-malformed", None),
    ("POST", "/api/users", '{"name":"a","name":"b","email":"a@b"}', {}, 400, "request-malformed", None),
    ("POST", "/api/users", "[" * 100 + "]" * 100, {}, 400, "request-malformed", None),
    ("POST", "/api/users", None, {}, 400, "body-missing", None),
    ("POST", "/api/users", "[]", {}, 422, "body-invalid", [""]),
    ("POST", "/api/users", {"name": "", "email": 5, "more": 1}, {}, 422, "body-invalid", ["/email", "/more", "/name"]),
    ("POST", "/api/users", {}, {}, 422, "body-invalid", ["/email", "/name"]),
    ("POST", "/api/users", {"name": "a", "email": "a@b"}, {"Content-Type": "text/plain"}, 415, "media-type-unsupported", None),
    ("POST", "/api/users", {"name": "a", "email": "a@b"}, {"Idempotency-Key": "x" * 300}, 400, "request-malformed", None),
    ("POST", "/api/users?x=1", {"name": "a", "email": "a@b"}, {}, 400, "parameters-invalid", ["x"]),
    ("GET", "/api/users?ids=1&wrong=2", None, {}, 400, "parameters-invalid", ["wrong"]),
    ("GET", "/api/users", None, {}, 400, "parameters-invalid", ["ids"]),
    ("GET", "/api/users/1", {"a": 1}, {}, 400, "body-unexpected", None),
    ("GET", "/api/users/999999", None, {}, 404, "data-missing", None),
    ("GET", "/api/users/one", None, {}, 404, "route-unknown", None),
    ("GET", "/nothing", None, {}, 404, "route-unknown", None),
    ("GET", "/api/users/1%00", None, {}, 404, "route-unknown", None),
    ("PUT", "/api/users", None, {}, 405, "method-not-allowed", None),
    ("POST", "/livez", None, {}, 405, "method-not-allowed", None),
    ("POST", "/api/users/1/orders/increment", None, {}, 403, "caller-missing", None),
    ("GET", "/_freehold/state", None, {}, 403, "caller-missing", None),
]


@pytest.mark.parametrize("method, path, body, headers, status, kind, pointers", REFUSED)
def test_a_refusal_is_a_problem_that_says_what_and_where(users, method, path, body, headers, status, kind, pointers):
    answer = users.ask(method, path, body, headers)
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["status"] == status and answer.body["title"] and answer.body["detail"]
    assert answer.body["type"] == f"urn:freehold:problem:{kind}"
    if pointers is not None:
        assert sorted(error.get("pointer", error.get("parameter")) for error in answer.body["errors"]) == pointers


def test_a_caller_that_is_not_named_is_missing_and_a_named_one_not_granted(users):
    path = "/api/users/1/orders/increment"
    assert users.ask("POST", path).body["type"] == "urn:freehold:problem:caller-missing"
    answer = users.ask("GET", "/_freehold/sagas", headers={"Freehold-From": "orders"})
    assert answer.status == 403 and answer.body["type"] == "urn:freehold:problem:caller-not-granted"


def test_405_names_the_methods_there_are(users):
    assert users.ask("PUT", "/api/users").headers["allow"] == "POST, GET, HEAD"
    assert users.ask("DELETE", "/metrics").headers["allow"] == "GET, HEAD"


def test_a_body_beyond_the_limit_is_refused_announced_or_not(users):
    head = b"POST /api/users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for sent in ([b"Content-Length: 1048577\r\n\r\n"], [b"Transfer-Encoding: chunked\r\n\r\n"] + [chunk] * 17):
        with socket.create_connection(("127.0.0.1", users.port), timeout=ASK_S) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for data in [head] + sent:
                    connection.sendall(data)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 413 and json.loads(answer.read())["status"] == 413
    assert users.ask("GET", "/livez").status == 200


# ---- a key counts once -----------------------------------------------------------------------------


def test_one_key_a_hundred_times_at_once_is_one_row_and_one_answer(make):
    users = make().start()
    together = threading.Barrier(100, timeout=CONDITION_S_MAX)

    def ask(_):
        together.wait()
        return users.add("once", key="one")

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(ask, range(100)))
    assert {(answer.status, answer.text) for answer in answers} == {(201, answers[0].text)}
    other = users.add("another", key="one")
    assert other.status == 422 and other.headers["content-type"] == "application/problem+json"
    assert users.end() == 0
    users.start()
    assert users.add("once", key="one").text == answers[0].text, "the record outlives the process"
    assert users.add("another", key="one").status == 422
    assert users.end(signal.SIGKILL) == -signal.SIGKILL
    assert users.names() == ["once"]


# ---- the end ---------------------------------------------------------------------------------------


class Load:
    """Clients that add rows, each on one connection, until it is closed on them."""

    def __init__(self, users, clients=8, prefix=""):
        self.users, self.prefix, self.acknowledged, self.others = users, prefix, [], []
        self.threads = [threading.Thread(target=self.client, args=(n,)) for n in range(clients)]
        for thread in self.threads:
            thread.start()
        wait_for("rows are acknowledged", lambda: len(self.acknowledged) > 50)

    def client(self, n):
        connection = self.users.connect()
        with contextlib.suppress(OSError):
            connection.connect()
        connection.auto_open = False
        for i in range(1 << 30):
            name = f"{self.prefix}{n}-{i}"
            try:
                answer = self.users.add(name, key=name, connection=connection)
            except (OSError, http.client.HTTPException):
                return  # closed between two requests
            if answer.status != 201:
                self.others.append(answer)
                return
            self.acknowledged.append(name)
            if answer.headers.get("connection") == "close":
                return

    def join(self):
        for thread in self.threads:
            thread.join(CONDITION_S_MAX)
            assert not thread.is_alive(), "a client is kept waiting"
        for answer in self.others:
            assert answer.status == 503 and answer.headers["retry-after"], answer


def test_a_drain_under_load_answers_what_it_took_and_exits_with_0(make):
    """Some clients send their next request while the drain ends: again and again."""
    users, acknowledged = make(), []
    for n in range(8):
        users.start()
        load = Load(users, prefix=f"{n}-")
        assert users.end() == 0, users.log.read_text()
        load.join()
        acknowledged += load.acknowledged
    assert sorted(users.names()) == sorted(acknowledged), "what was taken was answered, and stands once"


def test_long_polls_are_answered_with_no_events_when_it_drains(make):
    users = make().start()
    reader = users.connect()
    reader.request("GET", "/_freehold/feed?after=0&wait=30", headers={"Freehold-From": "orders/x"})
    wait_for("the feed is being read", lambda: users.metric("freehold_requests_in_flight") >= 2)
    users.process.send_signal(signal.SIGTERM)
    assert reader.getresponse().status == 200
    assert users.end() == 0, users.log.read_text()


def test_it_ends_well_whenever_it_is_told_to(make):
    """SIGTERM as soon as it can be handled, while it starts, and as soon as it is ready."""
    users = make()
    chance = random.Random(1)

    def hears(process):
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        caught = int(next(l for l in status.splitlines() if l.startswith("SigCgt")).split()[1], 16)
        return process.poll() is not None or caught & 1 << signal.SIGTERM - 1

    for i in range(20):
        users.launch(with_control=True)
        wait_for("it hears SIGTERM", lambda: hears(users.process))
        if i % 2:
            assert users.control.recv(6) == b"ready\n"
        else:
            for _ in range(chance.randrange(2000)):
                os.getpid()
        assert users.end() == 0, users.log.read_text()
        users.control.close()


def test_it_sends_heartbeats_to_its_parent_and_drains_when_that_dies(make):
    users = make().launch(with_control=True)
    lines = users.control.makefile()
    told = [line for line in (lines.readline() for _ in range(5)) if not line.startswith("clock ")]
    assert told in (["ready\n"] + ["beat\n"] * 2, ["ready\n"] + ["beat\n"] * 3), told
    load = Load(users)
    lines.close()
    users.control.close()
    assert users.process.wait(CONDITION_S_MAX) == 0, users.log.read_text()
    load.join()
    assert sorted(users.names()) == sorted(load.acknowledged)


def test_it_ends_if_its_parent_has_died_before_it_was_ready(make):
    users = make()
    for _ in range(5):
        users.launch(with_control=True).control.close()
        assert users.process.wait(CONDITION_S_MAX) == 0, users.log.read_text()


# ---- what keeps it from starting -------------------------------------------------------------------


@pytest.fixture
def migrations(tmp_path):
    return pathlib.Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


def test_a_migration_that_was_applied_may_not_change_or_go(make, migrations):
    users = make(migrations=migrations)
    users.start()
    assert users.end() == 0
    first = next(migrations.glob("0001*"))
    text = first.read_text()
    first.write_text(text + "-- changed\n")
    code, said = users.failed_start()
    assert code == 65 and f"The migration {first.name} was applied to this store, and its file has changed" in said
    first.unlink()
    code, said = users.failed_start()
    assert code == 65 and first.name in said and "its file is gone" in said
    first.write_text(text)
    users.start()


def test_settings_that_do_not_fit_the_declaration_stop_the_start_and_say_where(make):
    users = make()
    code, said = users.failed_start(settings={"colour": "red"})
    assert code == 78 and "The system file's settings of users are wrong at /colour: unknown" in said
    users.more = {}
    users.start()


def test_a_migration_that_fails_leaves_nothing_of_itself(make, migrations):
    users = make(migrations=migrations)
    second = migrations / "9000_wrong.sql"
    second.write_text("CREATE TABLE half (id INTEGER);\nCREATE TABLE half (id INTEGER);\n")
    code, said = users.failed_start()
    assert code == 65 and ("The migration 9000_wrong.sql failed, nothing of it stands: "
                           "statement 2, line 2") in said
    second.write_text("CREATE TABLE half (id INTEGER);\nCOMMIT;\nBEGIN;\n")
    code, said = users.failed_start()
    assert code == 65 and "transaction" in said
    second.write_text("CREATE TABLE half (id INTEGER);\n")
    assert users.start().add("a").status == 201


def test_a_second_process_on_the_same_folder_says_so(make):
    users = make().start()
    second = Service(users.folder)
    second.log = users.folder.parent / "second.log"
    code, said = second.failed_start()
    assert code == 69 and f"The store in {users.folder} is in use by another process" in said
    assert users.add("still here").status == 201


@pytest.mark.parametrize("change, sentence", [
    ({"service": "orders"}, "this program is users"), ({"folder": None}, 'no "folder"'),
    ({"engine": "punchcards"}, "punchcards is not built in"), ({"migrations": "/nowhere"}, "/nowhere"),
    ({"freehold": 2}, '"freehold": 1')])
def test_a_wrong_configuration_is_refused_with_78(make, change, sentence):
    users = make().start()
    assert users.end() == 0
    file = users.folder / "service.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    done = subprocess.run([PROGRAM, "--config", str(file), "--listen", f"127.0.0.1:{free_port()}"],
                          capture_output=True, text=True, timeout=CONDITION_S_MAX)
    assert done.returncode == 78 and sentence in done.stderr, done


# ---- disks -----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A folder with a file system of 8 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("NOT TESTED: a full disk needs root, and the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (65536, 512):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return filler


def trouble_of(users):
    return users.ask("GET", "/_freehold/state", headers={"Freehold-From": "operator"}).body["trouble"]


def test_a_full_disk_refuses_writes_keeps_answering_reads_and_recovers_by_itself(make, small_disk):
    users = make(small_disk / "users")
    users.log = small_disk.parent / "log"
    users.start()
    acknowledged = [f"before {i}" for i in range(20)]
    ids = [users.add(name, key=name.replace(" ", "-")).body["id"] for name in acknowledged]
    filler = fill(small_disk)
    for i in range(5):
        refused = users.add(f"full {i}", key=f"full-{i}")
        assert refused.status == 503 and int(refused.headers["retry-after"]) > 0, refused
        assert users.ask("GET", f"/api/users/{ids[i]}").body["name"] == acknowledged[i]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: users.add(f"all {i}", key=f"all-{i}"), range(64)))
    assert {answer.status for answer in answers} == {503}
    assert users.ask("GET", "/readyz").status == 200
    trouble = trouble_of(users)
    assert list(trouble) == ["writes"] and trouble["writes"]["failures"] >= 69, trouble
    assert trouble["writes"]["why"] == "The store's disk is full."
    assert users.log.read_text().count("The store takes no transactions: The store's disk is full.") == 1
    wait_for("it has lasted long enough for a word on its end", lambda: trouble_of(users)["writes"]["since_ms"] >= 1000)
    filler.unlink()
    wait_for("it finds out itself that there is room again", lambda: trouble_of(users) == {})
    for name, key in [(f"full {i}", f"full-{i}") for i in range(5)] + [("new", "new")]:
        assert users.add(name, key=key).status == 201, "the same key may be tried again"
        acknowledged.append(name)
    assert trouble_of(users) == {}
    assert "The store takes transactions again, after " in users.log.read_text()
    assert users.end(signal.SIGKILL) == -signal.SIGKILL
    assert users.start().ask("GET", f"/api/users/{ids[0]}").status == 200
    assert users.end() == 0
    assert users.names() == acknowledged


def test_a_folder_that_is_read_only_is_named(make, small_disk):
    users = make(small_disk / "users")
    users.log = small_disk.parent / "log"
    users.start()
    assert users.end() == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = subprocess.run([PROGRAM, "--config", str(users.folder / "service.json"), "--listen",
                           f"127.0.0.1:{free_port()}"], capture_output=True, text=True,
                          timeout=CONDITION_S_MAX)
    assert done.returncode == 69 and str(users.folder) in done.stderr, done
    assert "Read-only file system" in done.stderr
