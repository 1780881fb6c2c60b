# SPDX-License-Identifier: Apache-2.0
"""The carts' own tests, with carts on an existing Redis server: not one line of the service differs. And what `up`
creates on such a server: a user that reaches its own keys and nothing else."""

import json
import os
import pathlib
import re
import shutil
import socket
import uuid

import pytest

import test_carts
from conftest import AUTH, SHOP_FILE, System, wait_for, with_programs
from test_carts import *  # noqa: F401,F403 the tests

del globals()["test_a_cart_expires_and_is_swept"]  # looks into SQLite's file


def server():
    if "FREEHOLD_TEST_REDIS" not in os.environ:
        pytest.skip("NOT RUN WITH REDIS: FREEHOLD_TEST_REDIS names no server")
    return json.loads(os.environ["FREEHOLD_TEST_REDIS"])


def on_redis(text):
    """The system of this text under a name of its own, with carts on the server."""
    at = server()
    text = re.sub(r"^system: \w+", f"system: s{uuid.uuid4().hex[:12]}", text, flags=re.MULTILINE)
    text, changed = re.subn(r"^(  carts: \{ program: [^ ,}]+)", r"\1, engine: redis, store: { server: given }", text,
                            flags=re.MULTILINE)
    assert changed == 1
    given = (f"  given: {{ engine: redis, host: {at['host']}, port: {at['port']}, user: {at['user']}, "
             f"password: \"{at['password']}\", tls: {{ mode: \"off\" }} }}\n")
    return text.replace("servers:\n", f"servers:\n{given}", 1) if "\nservers:\n" in text else f"{text}servers:\n{given}"


@pytest.fixture(scope="module")
def shop(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("redis") / "shop"
    shutil.copytree(SHOP_FILE.parent, folder)
    file = folder / "freehold.yaml"
    file.write_text(on_redis(with_programs(SHOP_FILE.read_text())))
    return start(file)


def test_a_cart_on_redis_expires(tmp_path):
    file = tmp_path / "carts.yaml"
    carts = re.search(r"^  carts: \{ program: carts", SHOP_FILE.read_text(), re.MULTILINE).group()
    file.write_text(on_redis(with_programs(f"system: shop\ngateway:\n{AUTH}services:\n{carts}, settings: {{ kept_s: 1 }} }}\n")))
    system = System(file, tmp_path / "s").up()
    try:
        test_carts.put(system, 1, "mug", 1)
        wait_for("the cart expires", lambda: test_carts.cart(system, 1) == {})
        assert test_carts.put(system, 1, "lamp", 1) == {"lamp": 1}  # starts over
    finally:
        system.stop(check=False)


class Link:
    """As the service's own user, by the server's commands."""

    def __init__(self, store):
        self.socket = socket.create_connection((store["host"], store["port"]), timeout=120)
        self.answers = self.socket.makefile("rb")
        assert self.ask("AUTH", store["user"], store["password"]) == "+OK"

    def ask(self, *words):
        parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        self.socket.sendall(f"*{len(parts)}\r\n{''.join(parts)}".encode())
        return self.answers.readline().decode().strip()


def test_the_users_of_services_reach_their_own_keys_and_nothing_else(shop):
    store = json.loads((pathlib.Path(shop.state) / "carts" / "service.json").read_text())["store"]
    link, own = Link(store), store["database"]
    assert link.ask("TYPE", f"{own}:fh:meta") == "+hash"
    for words in (("GET", "others:kv:a"), ("SET", "others:kv:a", "1"), ("KEYS", "*"), ("SCAN", "0"), ("FLUSHALL",),
                  ("CONFIG", "GET", "requirepass"), ("ACL", "LIST"), ("SCRIPT", "FLUSH"), ("SHUTDOWN",),
                  ("EVAL", "return 1", "0"), ("SUBSCRIBE", "a"), ("MONITOR",), ("FUNCTION", "LIST")):
        assert link.ask(*words).startswith("-NOPERM"), words
    done = shop.command("check", shop.file, "--live", "--state", shop.state, "--json", check=False)
    assert json.loads(done.stdout)["errors"] == [], done
