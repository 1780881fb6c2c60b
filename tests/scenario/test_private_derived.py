# SPDX-License-Identifier: Apache-2.0
"""Private servers of derived stores: made, run, recovered and ended with the system, and closed to all but the service
that they serve. What is there is asked with clients that are not the runtime's."""

import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import uuid

import pytest
import test_shop
from conftest import SHOP_FILE, System, folder_for, open_folder, wait_for, with_programs
from test_bus_kafka import listening, stranger_at
from test_confinement import LANDLOCK, tried
from test_servers import is_over, keepers, ready_again, server_pid

NAME = "found-opensearch"
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: A FOREIGN USER WAS NOT TRIED")


def shop_text():
    """The shop, embedded, with what is searched on a private server."""
    text, changed = re.subn(r"^(  search: \{ program: [^ ,}]+)", r"\1, derives: { products: { server: found } }",
                            with_programs(SHOP_FILE.read_text()), flags=re.MULTILINE)
    assert changed == 1 and "  found: { derived: opensearch }" in text
    return text


def system_of(folder, text):
    shutil.copytree(SHOP_FILE.parent, folder / "shop")
    file = folder / "shop" / "freehold.yaml"
    file.write_text(text)
    return System(file, folder / "s")


@pytest.fixture(scope="module")
def shop():
    folder = open_folder()
    system = system_of(folder, shop_text())
    can = system.command("check", system.file, check=False)
    if can.returncode and "is not installed" in can.stderr:
        pytest.skip(f"NOT RUN WITH A PRIVATE OPENSEARCH: {can.stderr}")
    system.up()
    wait_for("it is carried", lambda: is_carried(system))
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


def is_carried(system):
    said = system.command("status", "--state", system.state, "--once", check=False).stdout
    return re.search(r"^search +products +OpenSearch +0 +carrying$", said, re.MULTILINE)


def told(system):
    return json.loads((pathlib.Path(system.state) / "search" / "service.json").read_text())["derives"]["products"]


def folder(system):
    return pathlib.Path(system.state) / ".servers" / NAME


def node(system):
    """The process of Java."""
    one = wait_for("it is ready", lambda: (now := keepers(system)[NAME])["ready"] and now)
    return server_pid(one["pid"])


def ask(system, path, *more, user=None, method="GET"):
    """(status, body); `user` None: its service; "": nobody."""
    at = told(system)
    who = f"{at['user']}:{at['password']}" if user is None else user
    done = subprocess.run(["curl", "-s", "-m", "20", "--cacert", at["tls"]["ca"], "-X", method, "-w", "\n%{http_code}", "-K",
                           "-", *more, f"https://{at['host']}:{at['port']}{path}"], text=True, capture_output=True,
                          input=f'user = "{who}"\n' if who else "", check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def indices(system):
    status, body = ask(system, "/_cat/indices?h=index,uuid")
    assert status == 200, body
    return sorted(tuple(line.split()) for line in body.splitlines())


def hits(system, mark):
    answer = system.http("GET", f"/api/search?q={mark}")
    return [one["id"] for one in answer.body["hits"]] if answer.status == 200 else answer.status


def new_product(system):
    mark = "w" + uuid.uuid4().hex
    test_shop.new_product(system, name=f"{mark} lamp", id=mark)
    return mark


# ---- That it serves ----------------------------------------------------------------------------


def test_products_are_found_by_all_of_their_words(shop):
    test_shop.test_products_are_found_by_all_of_their_words(shop)


def test_it_is_said_where_they_are(shop):
    at = told(shop)
    assert re.search(rf"search +products: opensearch, the private server found at 127\.0\.0\.1:{at['port']}\n", shop.said)
    assert keepers(shop)[NAME]["address"] == f"127.0.0.1:{at['port']}"
    shown = shop.command("logs", "--state", shop.state, NAME).stdout
    assert "making a new opensearch server" in shown


def test_indices_are_made_by_their_declaration_alone(shop):
    assert ask(shop, "/stray/_doc/1", "-H", "content-type: application/json", "-d", "{}", method="PUT")[0] == 404
    assert [name for name, _ in indices(shop) if not name.startswith("shop.search-products-")] == []
    assert ask(shop, "/_all", method="DELETE")[0] == 400


# ---- Who gets to it ----------------------------------------------------------------------------


def test_its_service_alone_is_told_of_it(shop):
    for service in ("users", "products", "orders", "gateway"):
        name = "gateway.json" if service == "gateway" else "service.json"
        text = (pathlib.Path(shop.state) / service / name).read_text()
        assert told(shop)["password"] not in text and f":{told(shop)['port']}" not in text
    assert set(told(shop)) == {"driver", "host", "port", "user", "password", "tls"}
    assert told(shop)["tls"]["mode"] == "verify" and told(shop)["user"] == "shop_search"


@pytest.mark.skipif(LANDLOCK < 1, reason="THIS KERNEL HAS NO LANDLOCK: NOTHING WAS PROVED")
def test_no_service_reaches_its_files(shop):
    paths = [str(folder(shop) / name) for name in ("server.json", "tls-key.pem", "data", "log")]
    for service in ("search", "orders"):
        found = tried(shop, service, *paths)
        assert {error for pair in found.values() for error in pair} <= {"EACCES", "ENOENT", "EROFS"}, (service, found)


def test_it_listens_on_two_ports_of_loopback_and_keeps_no_secrets_about(shop):
    pid = node(shop)
    ports = listening(pid)
    assert len(ports) == 2 and f"0100007F:{told(shop)['port']:04X}" in ports, ports
    assert all(one.startswith("0100007F:") for one in ports), ports
    assert not (folder(shop) / "secret").exists()
    assert sorted(one.name for one in folder(shop).iterdir()) == [
        "data", "log", "server.json", "server.lock", "tls-ca.pem", "tls-key.pem", "tls.pem"]
    for name in ("server.json", "tls-key.pem"):
        assert stat.S_IMODE((folder(shop) / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder(shop).stat().st_mode) == 0o700
    secrets = {told(shop)["password"], json.loads((folder(shop) / "server.json").read_text())["password"]}
    assert len(secrets) == 2
    key = re.sub(r"-.*-|\s", "", (folder(shop) / "tls-key.pem").read_text())
    shown = subprocess.run(["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True).stdout + shop.logs()
    for path in (folder(shop) / "data").rglob("*"):
        if path.is_file():
            shown += path.read_bytes().decode(errors="replace")
    assert not [secret for secret in (*secrets, key[-40:]) if secret in shown]


@ROOT_ONLY
def test_it_is_a_user_of_its_own(shop):
    owner = os.stat(f"/proc/{node(shop)}").st_uid
    assert owner not in (0, *(one.pw_uid for one in pwd.getpwall()))
    assert owner not in {os.stat(f"/proc/{shop.pid(service)}").st_uid for service in ("search", "orders")}


ATTEMPTS = (("GET", "/"), ("GET", "/_cat/indices"), ("GET", "/_search"), ("GET", "/nowhere"), ("OPTIONS", "/"), ("HEAD", "/"),
            ("DELETE", "/shop.*"), ("PUT", "/stray"), ("POST", "/_bulk"), ("PUT", "/_cluster/settings"))


@pytest.mark.parametrize("user", ["", "shop_search:", "shop_search:wrong", "freehold:wrong", ":", "admin:admin"])
def test_who_has_no_password_of_it_is_refused_whatever_is_asked(shop, user):
    before = indices(shop)
    for method, path in ATTEMPTS:
        more = ("-I",) if method == "HEAD" else ()
        assert ask(shop, path, *more, user=user, method=method)[0] == 401, (method, path)
    assert indices(shop) == before


STRANGER = """
import socket, ssl, sys
port, sent = int(sys.argv[1]), sys.stdin.buffer.read()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10)) as link:
    link.sendall(sent)
    while said := link.recv(65536):
        sys.stdout.buffer.write(said)
"""


def as_stranger(port, sent):
    """What another user of this machine, who is in no way the system's, is answered by TLS."""
    other = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run([sys.executable, "-c", STRANGER, str(port)], input=sent, capture_output=True, check=False, cwd="/",
                          timeout=60, **other)


def test_a_foreign_user_of_the_machine_is_kept_out(shop):
    port = told(shop)["port"]
    head = b"GET /_cat/indices HTTP/1.1\r\nhost: x\r\n"
    assert as_stranger(port, head + b"\r\n").stdout.startswith(b"HTTP/1.1 401 ")
    assert as_stranger(port, head + b"content-length: 99999999\r\n\r\n").stdout.startswith(b"HTTP/1.1 401 ")
    twice = f"authorization: Basic {'A' * 40}\r\n".encode() * 2
    assert as_stranger(port, head + twice + b"\r\n").stdout.startswith(b"HTTP/1.1 401 ")
    if os.geteuid() == 0:
        for path in ("search/service.json", "servers.json", f".servers/{NAME}/server.json"):
            done = subprocess.run(["cat", str(pathlib.Path(shop.state) / path)], user="nobody", extra_groups=[],
                                  capture_output=True, check=False)
            assert done.returncode and b"ermission" in done.stderr


def test_where_other_nodes_would_join_nobody_is_let_in(shop):
    """It is asked for a certificate, and none is trusted."""
    port = next(number for one in listening(node(shop)) if (number := int(one.split(":")[1], 16)) != told(shop)["port"])
    handshake = b"ES\x00\x00\x00\x2e" + b"\x00" * 46
    done = as_stranger(port, handshake)
    assert done.returncode and done.stdout == b""
    assert re.search(rb"ALERT_(BAD_CERTIFICATE|CERTIFICATE_REQUIRED)", done.stderr), done
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        plain.sendall(handshake)
        with contextlib.suppress(ConnectionError):
            assert not re.search(rb"ES|opensearch", plain.recv(65536))


def test_who_connects_and_speaks_otherwise_fills_no_log(shop):
    before = (folder(shop) / "log").stat().st_size
    for port in [int(one.split(":")[1], 16) for one in listening(node(shop))]:
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"ES\x00\x00"):
            with socket.create_connection(("127.0.0.1", port), 10) as plain, contextlib.suppress(ConnectionError):
                plain.sendall(words)
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(4096):
                    pass
    assert ask(shop, "/_cluster/health")[0] == 200
    assert (folder(shop) / "log").stat().st_size == before


def errors_live(shop):
    done = shop.command("check", shop.file, "--live", "--state", shop.state, "--json", check=False)
    return [error["message"] for error in json.loads(done.stdout)["errors"]]


def test_the_live_check_tries_who_is_let_in(shop):
    assert errors_live(shop) == []
    file = pathlib.Path(shop.state) / "search" / "service.json"
    kept = file.read_bytes()
    config = json.loads(kept)
    config["derives"]["products"]["password"] = "another"
    try:
        file.write_text(json.dumps(config))
        assert any("the server found does not let search in, so nothing was verified" in one for one in errors_live(shop))
    finally:
        file.write_bytes(kept)


# ---- When it dies ------------------------------------------------------------------------------


def test_one_that_is_killed_comes_back_by_itself_with_what_it_had(shop):
    mark = new_product(shop)
    wait_for("it is found", lambda: hits(shop, mark) == [mark])
    before, others = indices(shop), {one: shop.pid(one) for one in ("search", "products")}
    keeper = keepers(shop)[NAME]["pid"]
    os.kill(node(shop), signal.SIGKILL)
    meanwhile = new_product(shop)
    again = ready_again(shop, NAME, keeper)
    assert again["restarts"] >= 1 and "exit code 1" in again["last_end"]
    wait_for("both are found", lambda: (hits(shop, mark), hits(shop, meanwhile)) == ([mark], [meanwhile]))
    # And its supervisor: the server ends with it, and is not left behind.
    server = server_pid(again["pid"])
    os.kill(again["pid"], signal.SIGKILL)
    ready_again(shop, NAME, again["pid"])
    assert is_over(server)
    wait_for("both are found", lambda: (hits(shop, mark), hits(shop, meanwhile)) == ([mark], [meanwhile]))
    assert indices(shop) == before and {one: shop.pid(one) for one in others} == others


def test_who_takes_its_port_is_told_nothing(shop, tmp_path):
    """Neither by its service nor by its supervisor, which looks whether it answers."""
    context, listener, listens = stranger_at(told(shop)["port"], tmp_path)
    log, seen, heard = folder(shop) / "log", 0, b""
    before = log.read_text().count("[server-ended]")
    keeper = keepers(shop)[NAME]["pid"]
    os.kill(node(shop), signal.SIGKILL)
    wait_for("the port is taken", listens)
    listener.settimeout(20)
    with listener:
        while seen < 20 or log.read_text().count("[server-ended]") == before:
            plain, _ = listener.accept()
            plain.settimeout(5)
            with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                heard += connection.recv(4096)
            plain.close()
            seen += 1
    assert heard == b""
    ready_again(shop, NAME, keeper)
    wait_for("it is carried", lambda: is_carried(shop))


def test_when_up_is_killed_it_ends_and_the_next_up_goes_on_with_it(shop):
    mark, before, server = new_product(shop), indices(shop), node(shop)
    wait_for("it is found", lambda: hits(shop, mark) == [mark])
    os.kill(shop.status()["up_pid"], signal.SIGKILL)
    wait_for("it ends", lambda: is_over(server))
    shop.up()
    node(shop)
    wait_for("it is found", lambda: hits(shop, mark) == [mark])
    assert indices(shop) == before


def test_what_it_has_lost_is_made_anew(shop):
    mark, before = new_product(shop), indices(shop)
    wait_for("it is found", lambda: hits(shop, mark) == [mark])
    shop.stop()
    shutil.rmtree(folder(shop))
    shop.up()
    wait_for("it is found", lambda: hits(shop, mark) == [mark])
    after = indices(shop)
    assert {one[1] for one in after}.isdisjoint(one[1] for one in before)


def test_one_that_is_killed_while_it_is_made_is_made_all_the_same(shop):
    shop.stop()
    shutil.rmtree(folder(shop))
    shop.up()  # which waits for no server of derived stores
    keeper = wait_for("its supervisor runs", lambda: keepers(shop)[NAME]["pid"])
    server = wait_for("it is started", lambda: children_of(keeper))
    assert not keepers(shop)[NAME]["ready"]
    os.kill(server, signal.SIGKILL)
    ready_again(shop, NAME, keeper)
    assert not (folder(shop) / "unfinished").exists()
    wait_for("it is carried", lambda: is_carried(shop))


def children_of(keeper):
    with contextlib.suppress(OSError, IndexError):
        return server_pid(keeper)
    return None


def test_a_system_that_has_moved_finds_it(shop):
    mark = new_product(shop)
    wait_for("it is found", lambda: hits(shop, mark) == [mark])
    before = indices(shop)
    shop.stop()
    moved = pathlib.Path(shop.state).with_name("moved")
    pathlib.Path(shop.state).rename(moved)
    shop.state = str(moved)
    shop.up()
    node(shop)
    wait_for("it is found", lambda: hits(shop, mark) == [mark])
    assert indices(shop) == before and str(moved) in told(shop)["tls"]["ca"]


def test_nothing_is_left_of_it_when_the_system_is_stopped(shop):
    server = node(shop)
    shop.stop()
    assert is_over(server)
    names = {path.name for path in folder(shop).iterdir()}
    assert "secret" not in names and "data.new" not in names, names
    assert list((folder(shop) / "data" / "tmp").iterdir()) == []
    shop.up()
    node(shop)


# ---- What is refused ---------------------------------------------------------------------------


def test_a_second_service_is_refused(request):
    text = shop_text().replace("  users: { program:", "  users: { derives: { names: { server: found } }, program:", 1)
    system = system_of(folder_for(request), text)
    said = system.command("check", system.file, check=False).stderr
    assert "the private server 'found' is for what users derives, and OpenSearch would not keep two services apart" in said


def test_a_missing_java_is_said_in_one_line(request):
    system = system_of(folder_for(request), shop_text())
    folders = [one for one in os.environ["PATH"].split(":") if not (pathlib.Path(one) / "java").exists()]
    bare = subprocess.run([system.freehold, "up", system.file, "--state", system.state], capture_output=True, text=True,
                          env={**os.environ, "PATH": ":".join(folders)}, check=False, timeout=120)
    assert bare.returncode and not pathlib.Path(system.state).exists()
    lines = [line for line in bare.stderr.splitlines() if "servers.found" in line]
    assert len(lines) == 1 and "OpenSearch is not installed: make servers, with a JDK 17 and Maven" in lines[0], bare
