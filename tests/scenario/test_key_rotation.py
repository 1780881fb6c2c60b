# SPDX-License-Identifier: Apache-2.0
"""Keys that are replaced while the system runs: no request is refused meanwhile, and a former key opens nothing
afterwards."""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import threading

import pytest
from conftest import FREEHOLD, ROOT, SHOP_SERVICES, System, token, wait_for
from test_identity import ask, assert_refused
from test_users import ADA, stated

SHOP = ROOT / "examples" / "shop" / "freehold.yaml"


@pytest.fixture
def shop(tmp_path):
    system = System(SHOP, tmp_path / "state").up()
    yield system
    system.stop(check=False)


def keys_file(system):
    return json.loads((pathlib.Path(system.state) / "keys.json").read_text())


def pairs(keys):
    return {(caller, receiver): key for caller, receivers in keys.items() for receiver, key in receivers.items()}


def rotate(system, *of, check=True):
    return system.command("rotate-keys", *of, "--state", system.state, check=check)


class Traffic:
    """Orders and reads through the gateway, operators' calls, and events between the services, all the time."""

    def __init__(self, system):
        self.system, self.refused, self.over = system, [], False
        self.orders = self.reads = self.calls = 0
        self.threads = [threading.Thread(target=self.keep, args=(what,)) for what in (self.order, self.read, self.call)]

    def __enter__(self):
        system = self.system
        user = system.http("POST", "/api/users", {"name": "Ada", "email": "ada@example.com"}, {"Idempotency-Key": "ada"})
        system.http("POST", "/api/products", {"id": "lamp", "name": "Lamp", "price": 100, "stock": 1000000},
                    {"Idempotency-Key": "lamp"})
        wait_for("the inventory has heard of it", lambda: system.http("GET", "/api/products/lamp/stock").status == 200)
        self.user = user.body["id"]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()

    def keep(self, what):
        while not self.over:
            try:
                answer = what()
            except (OSError, http.client.HTTPException) as broken:
                self.refused.append(repr(broken))
                continue
            if answer.status >= 400:
                self.refused.append(answer)

    def order(self):
        self.orders += 1
        return self.system.http("POST", "/api/orders", {"user_id": self.user, "payment_token": "tok_visa",
                                                        "items": [{"product_id": "lamp", "quantity": 1}]},
                                {"Idempotency-Key": f"order-{self.orders}"})

    def read(self):
        self.reads += 1
        return self.system.http("GET", f"/api/users/{self.user}")

    def call(self):
        self.calls += 1
        return self.system.call(*(("products", "GET", "/api/products/lamp"), ("gateway", "GET", "/metrics"))[self.calls % 2])

    def goes_on(self):
        """Some of each kind were answered from now on."""
        orders, reads = self.orders + 3, self.reads + 3
        wait_for("there is traffic", lambda: self.orders > orders and self.reads > reads)


def test_keys_are_replaced_under_traffic_and_nothing_is_refused(shop):
    before = pairs(keys_file(shop)["keys"])
    pids = {name: one["pid"] for name, one in shop.services().items()}
    former = {receiver: token(before["gateway", receiver], "gateway", receiver) for receiver in SHOP_SERVICES}
    assert ask(shop, "products", "GET", "/api/products/1", {"Freehold-Token": former["products"]}).status == 404
    with Traffic(shop) as traffic:
        traffic.goes_on()
        for _ in range(2):
            rotate(shop)
            traffic.goes_on()
    assert traffic.refused == []
    wait_for("all sagas end and all events are applied", shop.at_rest)
    after = pairs(keys_file(shop)["keys"])
    assert set(after) == set(before) and not set(after.values()) & set(before.values())
    assert {name: one["pid"] for name, one in shop.services().items()} == pids, "nobody was started again"
    assert keys_file(shop).keys() & {"next", "former", "whole"} == set()
    for receiver in SHOP_SERVICES:
        told = json.loads((pathlib.Path(shop.state) / receiver / "service.json").read_text())["keys"]
        for caller in told["takes"]:
            made = token(before[caller, receiver], caller, receiver)
            assert_refused(ask(shop, receiver, "GET", "/api/users/1", {"Freehold-Token": made}), 401,
                           "made with another key")
        if "gateway" in told["takes"]:  # and what was verified before is not remembered
            assert_refused(ask(shop, receiver, "GET", "/api/users/1", {"Freehold-Token": former[receiver]}), 401,
                           "made with another key")
    texts = "".join(file.read_text() for file in pathlib.Path(shop.state).glob("*/*.json"))
    assert not any(key in texts for key in before.values()), "no configuration has a former key"
    said = shop.logs() + (pathlib.Path(shop.state) / "up.log").read_text()
    assert not any(key in said for key in (*before.values(), *after.values()))
    assert "keys-rotated" in said
    done = shop.command("check", shop.file, "--live", "--state", shop.state, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_services_keys_are_replaced_and_no_others(shop):
    before = pairs(keys_file(shop)["keys"])
    rotate(shop, "orders")
    after = pairs(keys_file(shop)["keys"])
    assert {pair for pair in before if before[pair] != after[pair]} == {pair for pair in before if "orders" in pair}
    done = rotate(shop, "order", check=False)
    assert done.returncode == 1 and "did you mean 'orders'" in done.stderr
    done = shop.command("rotate-keys", "orders", "users", check=False)
    assert done.returncode == 2 and "does not expect" in done.stderr, done.stderr


def test_what_the_gateway_stated_before_is_believed_for_as_long_as_sagas_may_carry_it(shop):
    """And not any longer than the operator wishes."""
    seed = keys_file(shop)["keys"]["gateway"]["_user"]
    statement = stated(shop, ADA)

    def status():
        return ask(shop, "users", "GET", "/api/users/1",
                   {"Freehold-Token": shop.token("gateway", "users"), "Freehold-User": statement}).status
    assert status() == 404
    rotate(shop, "gateway")
    assert keys_file(shop)["keys"]["gateway"]["_user"] != seed and status() == 404
    shop.stop()
    shop.up()
    assert status() == 404, "the next up knows it too"
    rotate(shop, "gateway", "--forget-users")
    assert status() == 401 and "users" not in keys_file(shop)
    statement = stated(shop, ADA)
    assert status() == 404
    rotate(shop, "gateway")
    shop.stop()
    file = pathlib.Path(shop.state) / "keys.json"
    kept = json.loads(file.read_text())
    kept["users"][0]["until_ms"] = 1
    file.write_text(json.dumps(kept))
    shop.up()
    assert status() == 401, "its time is over"


def test_a_process_that_takes_no_keys_leaves_all_as_they_are_or_reads_them_when_it_starts(shop):
    """It is stopped, so that `up` kills it for its silence, and the one that follows has read the next keys."""
    before, pid = pairs(keys_file(shop)["keys"]), shop.pid("users")
    os.kill(pid, signal.SIGSTOP)
    rotating = subprocess.Popen([shop.freehold, "rotate-keys", "--state", shop.state], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)
    wait_for("the next keys are written", lambda: "next" in keys_file(shop))
    assert pairs(keys_file(shop)["keys"]) == before, "nobody signs with them while one does not accept them"
    done = rotate(shop, check=False)
    assert done.returncode == 1 and "being replaced" in done.stderr
    assert rotating.wait(120) == 0, rotating.stdout.read()
    assert shop.pid("users") != pid and not set(pairs(keys_file(shop)["keys"]).values()) & set(before.values())
    assert shop.http("GET", "/api/users?ids=1").status == 200


def test_while_they_cannot_be_written_nothing_changes_and_nothing_is_refused(shop):
    """As on a full disk: keys.json or one service's configuration, at each step."""
    state, before = pathlib.Path(shop.state), pairs(keys_file(shop)["keys"])
    keys, configuration = state / "keys.json.new", state / "users" / "service.json.new"

    def stands(step):
        """It was tried more than once, and not gone on with."""
        log = state / "up.log"
        said = log.read_text().count("keys-write-failed")
        wait_for("it is tried again", lambda: log.read_text().count("keys-write-failed") > said + 1)
        assert step in keys_file(shop) and rotating.poll() is None
        traffic.goes_on()

    keys.mkdir()
    done = rotate(shop, check=False)
    assert done.returncode == 1 and "keys.json" in done.stderr and pairs(keys_file(shop)["keys"]) == before, done
    keys.rmdir()
    configuration.mkdir()
    with Traffic(shop) as traffic:
        rotating = subprocess.Popen([shop.freehold, "rotate-keys", "--state", shop.state], stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True)
        stands("next")
        pid = shop.pid("users")
        os.kill(pid, signal.SIGSTOP)  # it does not say that it has taken them
        configuration.rmdir()
        wait_for("all are written", lambda: json.loads((state / "gateway" / "gateway.json").read_text())["keys"][
            "number"] == keys_file(shop)["number"])
        configuration.mkdir()
        os.kill(pid, signal.SIGCONT)
        stands("former")
        configuration.rmdir()
        assert rotating.wait(120) == 0, rotating.stdout.read()
        traffic.goes_on()
    assert traffic.refused == []
    assert not set(pairs(keys_file(shop)["keys"]).values()) & set(before.values())


def test_up_replaces_them_by_itself_as_often_as_the_system_file_says(tmp_path):
    (tmp_path / "shop.yaml").write_text(
        f"system: shop\nservices:\n  payments: {{ program: {pathlib.Path(FREEHOLD).parent}/examples/shop/payments }}\n"
        f"security: {{ rotate_keys_days: 30 }}\n")
    system = System(tmp_path / "shop.yaml", tmp_path / "state").up()
    try:
        before = keys_file(system)
        system.stop()
        day = 24 * 3600 * 1000
        (tmp_path / "state" / "keys.json").write_text(json.dumps(
            {**before, "rotated_ms": before["rotated_ms"] - 31 * day}))
        system.up()
        wait_for("they are replaced", lambda: keys_file(system).keys().isdisjoint({"next", "former"}) and
                 not set(pairs(keys_file(system)["keys"]).values()) & set(pairs(before["keys"]).values()))
        assert keys_file(system)["rotated_ms"] >= before["rotated_ms"]
    finally:
        system.stop(check=False)
