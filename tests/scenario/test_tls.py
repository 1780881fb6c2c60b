# SPDX-License-Identifier: Apache-2.0
"""The links between a system's processes by TLS, with certificates of its own; and the gateway's public door."""

import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess

import pytest

from conftest import ROOT, System, open_folder, wait_for, with_programs
from test_identity import PROGRAMS, shop_with


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
    file = folder / "shop" / "freehold.yaml"
    text = with_programs(file.read_text())
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", folder / "shop" / "door.key", "-out", folder / "shop" / "door.pem", "-days", "2",
                    "-subj", "/CN=shop.example.org", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    file.write_text(text.replace("system: shop\n", "system: shop\nlinks: tls\n").replace(
        "gateway:\n", "gateway:\n  tls: { certificate: door.pem, key: door.key }\n"))
    system = System(file, folder / "state").up()
    system.door = folder / "shop" / "door.pem"
    yield system
    system.stop(check=False)


def ask(system, method, path, body=None, headers=None):
    """Through the gateway's door."""
    connection = http.client.HTTPSConnection("127.0.0.1", system.port, timeout=120,
                                             context=ssl.create_default_context(cafile=system.door))
    headers = dict(headers or {}, **({"Content-Type": "application/json"} if body else {}))
    headers.update(system.logins.header(path, body))
    connection.request(method, path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    found = json.loads(text) if text else None
    system.logins.see(path, found)
    return answer.status, found


def address(system, service):
    host, port = system.services()[service]["address"].rsplit(":", 1)
    return host, int(port)


def context_of(system, owner, authority="users"):
    """What a process that has the owner's files can present."""
    folder = pathlib.Path(system.state)
    context = ssl.create_default_context(cafile=folder / authority / "tls-ca.pem")
    context.check_hostname = False
    if owner:
        context.load_cert_chain(folder / owner / "tls.pem", folder / owner / "tls-key.pem")
    return context


def get(system, service, context, path="/livez"):
    connection = http.client.HTTPSConnection(*address(system, service), timeout=120, context=context)
    connection.request("GET", path)
    answer = connection.getresponse()
    status = answer.status
    answer.read()
    connection.close()
    return status


def test_the_shop_sells_through_it(shop):
    assert ask(shop, "POST", "/api/users", {"name": "Ann", "email": "ann@example.org"}, {"Idempotency-Key": "u"})[0] == 201
    product = {"id": "p1", "name": "Lamp", "price": 100, "stock": 5}
    assert ask(shop, "POST", "/api/products", product, {"Idempotency-Key": "p"})[0] == 201
    order = {"user_id": 1, "payment_token": "tok_visa", "items": [{"product_id": "p1", "quantity": 2}]}
    status, body = ask(shop, "POST", "/api/orders", order, {"Idempotency-Key": "o", "Prefer": "wait=20"})
    assert status in (200, 201, 202), body
    wait_for("the order is confirmed", lambda: ask(shop, "GET", f"/api/orders/{body['id']}")[1]["status"] == "CONFIRMED")
    wait_for("products has heard of it", lambda: ask(shop, "GET", "/api/products/p1")[1]["stock"] == 3)
    wait_for("its details are whole", lambda: ask(
        shop, "GET", f"/api/orders/{body['id']}/details")[1].get("user", {}).get("name") == "Ann")
    assert ask(shop, "PATCH", "/api/users/1", {"name": "Berta"}, {"Idempotency-Key": "n"})[0] == 200
    wait_for("orders has heard of it",
             lambda: ask(shop, "GET", f"/api/orders/{body['id']}")[1]["user_name"] == "Berta")


def test_the_operators_commands_go_by_it(shop):
    assert shop.status()["gateway"]["ready"]
    assert shop.call("products", "GET", "/api/products/p1").status in (200, 404)
    assert f"https://127.0.0.1:{shop.port}" in shop.command("status", "--state", shop.state).stdout
    done = shop.command("check", shop.file, "--live", "--state", shop.state, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_plain_http_reaches_no_service(shop):
    with socket.create_connection(address(shop, "users"), timeout=120) as plain:
        plain.sendall(b"GET /livez HTTP/1.1\r\nHost: users\r\n\r\n")
        assert not plain.recv(4096).startswith(b"HTTP/")


def test_a_client_without_a_certificate_is_refused(shop):
    assert get(shop, "users", context_of(shop, None)) == 403
    assert get(shop, "users", context_of(shop, "orders")) == 200


def test_a_certificate_of_another_system_is_refused(shop, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", tmp_path / "key.pem", "-out", tmp_path / "own.pem", "-days", "2", "-subj", "/CN=orders"],
                   check=True, capture_output=True)
    context = context_of(shop, None)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "key.pem")
    try:
        assert get(shop, "users", context) == 403
    except (ssl.SSLError, ConnectionError):
        pass  # its handshake was ended


def test_each_certificate_is_in_its_services_name(shop):
    context = context_of(shop, "orders")
    with socket.create_connection(address(shop, "users"), timeout=120) as plain:
        with context.wrap_socket(plain, server_hostname="users") as link:
            assert ("DNS", "users") in link.getpeercert()["subjectAltName"]


def test_only_their_owners_may_read_keys(shop):
    for path in pathlib.Path(shop.state).rglob("*-key.pem"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (pathlib.Path(shop.state) / ".tls").stat().st_mode & 0o077 == 0


def test_certificates_are_kept_when_it_starts_again(shop):
    before = (pathlib.Path(shop.state) / "users" / "tls.pem").read_text()
    shop.stop()
    shop.up()
    assert (pathlib.Path(shop.state) / "users" / "tls.pem").read_text() == before
    assert ask(shop, "GET", "/api/users/1")[0] in (200, 404)


def test_a_gateway_beyond_the_machine_without_tls_is_warned_of(shop, tmp_path):
    file = pathlib.Path(shop.file).parent / "open.yaml"
    text = pathlib.Path(shop.file).read_text()
    file.write_text("\n".join(line.replace("127.0.0.1:8080", "0.0.0.0:8080") for line in text.splitlines()
                              if "tls:" not in line) + "\n")
    done = shop.command("check", str(file), check=False)
    assert "listens beyond this machine without TLS" in done.stderr, done.stdout + done.stderr
    file.write_text(text.replace("door.key", "no.key"))
    done = shop.command("check", str(file), check=False)
    assert done.returncode == 1
    assert "gateway.tls.key: there is no file" in done.stderr


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
def test_a_private_key_that_others_can_use_is_refused(shop, tmp_path, mode):
    folder = pathlib.Path(shop.file).parent
    keys = {"gateway.tls.key": folder / "open.key", "servers.more.tls.key": tmp_path / "client.key"}
    for key in keys.values():
        shutil.copy(folder / "door.key", key)
        key.chmod(mode)
    file = folder / "open-key.yaml"
    server = {"engine": "postgresql", "host": "127.0.0.1", "user": "maker",
              "tls": {"certificate": str(shop.door), "key": str(tmp_path / "client.key")}}
    file.write_text(pathlib.Path(shop.file).read_text().replace("door.key", "open.key")
                    .replace("\nservers:\n", f"\nservers:\n  more: {json.dumps(server)}\n"))
    for words in (["check", str(file)], ["up", str(file), "--state", str(tmp_path / "none")]):
        done = shop.command(*words, check=False)
        assert done.returncode != 0
        for what, key in keys.items():
            assert (f"{what}: others can use the private key {key}, whose mode is {mode:04o}: chmod 600 it"
                    in done.stderr), done.stdout + done.stderr
    for key in keys.values():
        key.chmod(0o600)
    assert "private key" not in shop.command("check", str(file), check=False).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: USERS OF THEIR OWN WERE NOT TRIED")
def test_a_closed_key_reaches_a_gateway_that_is_a_user_of_its_own(shop):
    if not all(parent.stat().st_mode & 0o001 for parent in PROGRAMS.parents):
        pytest.skip("OTHER USERS CANNOT REACH THE PROGRAMS: A FOLDER ON THE WAY IS CLOSED TO THEM")
    folder = open_folder()
    system = shop_with(folder)
    try:
        for name in ("door.pem", "door.key"):
            shutil.copy(shop.door.parent / name, folder)
        (folder / "door.key").chmod(0o600)
        file, text = pathlib.Path(system.file), pathlib.Path(system.file).read_text()
        text = text.replace("gateway:\n", "gateway:\n  tls: { certificate: door.pem, key: door.key }\n")
        file.write_text(f"isolation: users\n{text}")
        system.up()
        system.door = shop.door
        assert ask(system, "GET", "/api/products?limit=1")[0] == 200
        user = re.search(r"^Uid:\s+(\d+)", pathlib.Path(f"/proc/{system.status()['gateway']['pid']}/status").read_text(),
                         re.MULTILINE)
        assert user.group(1) != "0"
    finally:
        system.stop(check=False)
        shutil.rmtree(folder)
