# SPDX-License-Identifier: Apache-2.0
"""A service's program is replaced by one that needs more of others, or offers more: the upgrade has it describe itself,
makes keys for new pairs, and restarts those that have to know. What is impossible is refused, and nothing has
changed."""

import json
import pathlib
import stat
import subprocess

import pytest

from conftest import wait_for
from test_identity import PROGRAMS, shop_with
from test_instances import Load

NEEDS = ("asks", "hears", "sagas")
# The program asks for the name too.
FEWER_FIELDS = [{"service": "products", "type": "ProductUpdated", "fields": "id", "snapshot": True}]


class Replaced:
    """orders, in the shop, by a script that describes itself as the test wants and runs the real one."""

    def __init__(self, folder):
        self.program, self.real = folder / "orders", PROGRAMS / "orders"
        self.truth = json.loads(subprocess.run([self.real, "--describe"], check=True, capture_output=True).stdout)
        self.says(**{key: None for key in NEEDS} | {"hears": FEWER_FIELDS},
                  routes=[one for one in self.truth["routes"] if one["method"] != "GET"])
        self.system = shop_with(folder, orders={"program": str(self.program)})
        with open(self.system.file, "a", encoding="utf-8") as file:
            file.write("upgrade: by hand\n")  # tests/scenario/test_upgrades.py tests it by itself
        self.system.up()

    def says(self, runs=True, **changed):
        """Its description is the real one's with these keys; None takes one away. It `runs`, or fails to."""
        said = {key: value for key, value in {**self.truth, **changed}.items() if value is not None}
        new = self.program.with_suffix(".new")
        new.with_suffix(".json").write_text(json.dumps(said))
        new.write_text(f'#!/bin/sh\nif [ "$1" = --describe ]; then exec cat {new.with_suffix(".json")}; fi\n'
                       + (f'exec {self.real} "$@"\n' if runs else "exit 78\n"))
        new.chmod(0o755)
        new.rename(self.program)

    def config(self, service):
        path = pathlib.Path(self.system.state) / service / "service.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        return json.loads(path.read_text())

    def order(self, key):
        return self.system.http("POST", "/api/orders", {"user_id": 1, "payment_token": "tok_visa",
                                                        "items": [{"product_id": "p1", "quantity": 1}]},
                                {"Idempotency-Key": key, "Prefer": "wait=20"})

    def pids(self):
        status = self.system.status()
        return {one["name"]: one["pid"] for one in (*status["services"], {**status["gateway"], "name": "gateway"})}

    def subscription(self, source):
        return next(one for one in self.system.state_of("orders")["subscriptions"] if one["source"] == source)

    def upgrade(self, check=True):
        return self.system.command("upgrade", "orders", "--state", self.system.state, check=check)


@pytest.fixture(scope="module")
def replaced(tmp_path_factory):
    shop = Replaced(tmp_path_factory.mktemp("upgrade"))
    yield shop
    shop.system.stop(check=False)


# In this order.


def test_before_it_the_program_gets_nothing_that_it_did_not_declare(replaced):
    system = replaced.system
    assert system.http("POST", "/api/users", {"name": "Ann", "email": "ann@x.example"},
                       {"Idempotency-Key": "ann"}).status == 201
    assert system.http("POST", "/api/products", {"id": "p1", "name": "Lamp", "price": 100, "stock": 5000},
                       {"Idempotency-Key": "p1"}).status == 201
    users = replaced.config("users")
    assert "orders" not in users["callers"] and "orders" not in users["keys"]["takes"]
    assert replaced.order("before").status >= 500
    assert replaced.config("products")["callers"]["orders"] == [
        "GET /_freehold/feed", "events ProductUpdated:id", "GET /_freehold/snapshot", "state ProductUpdated:id"]
    assert system.http("PATCH", "/api/products/p1", {"name": "Lamp 2"}).status == 200
    wait_for("it is told what it was not granted",
             lambda: "the field name of ProductUpdated" in str(replaced.subscription("products")))
    assert system.http("GET", "/api/orders?user_id=1").status in (404, 405)  # the gateway does not know it


def test_one_that_fails_its_trial_starts_nobody(replaced):
    """What it needs is granted already; those who give it learn of that with the next one, which is below."""
    before = replaced.pids()
    replaced.says(runs=False)
    failed = replaced.upgrade(check=False)
    assert failed.returncode != 0 and "on a copy of its store it does not get ready" in failed.stderr, failed.stderr
    assert replaced.pids() == before
    assert "orders" in replaced.config("users")["callers"]


def test_an_upgrade_grants_what_the_new_program_needs_and_no_request_fails(replaced):
    system, before = replaced.system, replaced.pids()
    replaced.says()
    with Load(lambda number, count: system.http("GET", "/api/users/1")) as load:
        said = replaced.upgrade()
        answered = load.answered
        wait_for("it goes on", lambda: load.answered > answered + 20)
    assert load.wrong == []
    after = replaced.pids()
    started = {name for name in before if before[name] != after[name]}
    assert {"orders", "users", "products", "payments", "gateway"} <= started
    for name in started - {"orders"}:
        assert f"{name} is started again too: it learns what orders needs or offers now" in said.stderr
    users = replaced.config("users")
    assert "GET /api/users/{id:int}" in users["callers"]["orders"]
    assert users["keys"]["takes"]["orders"] == replaced.config("orders")["keys"]["calls"]["users"]
    assert all(one["restarts"] == 0 for one in system.services().values())
    wait_for("it reads what it was refused before", lambda: replaced.subscription("products")["position"] > 0)
    order = replaced.order("after")
    assert order.status in (200, 201, 202), order
    wait_for("it is confirmed",
             lambda: system.http("GET", f"/api/orders/{order.body['id']}").body["status"] == "CONFIRMED")
    done = system.command("check", system.file, "--live", "--state", system.state, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_upgrade_to_the_same_needs_starts_nobody_else(replaced):
    before = replaced.pids()
    replaced.upgrade()
    after = replaced.pids()
    assert {name for name in before if before[name] != after[name]} == {"orders"}


@pytest.mark.parametrize("changed, expected", [
    ({"asks": [{"service": "users", "path": "/api/cellars/{user_id}"}]}, "orders can't be upgraded: orders"),
    ({"hears": [{"service": "cellar", "type": "Flooded"}]}, "orders can't be upgraded: orders"),
    ({"model": "document"}, "orders can't be upgraded: its program keeps another kind of data now; that takes a new up"),
    ({"name": "cellar"}, "is the service 'cellar', not 'orders'"),
    ({"routes": "none"}, "--describe is not what docs/internals/processes.md asks for"),
], ids=["asks", "hears", "model", "name", "form"])
def test_what_can_not_be_is_refused_and_nothing_has_changed(replaced, changed, expected):
    pids, config = replaced.pids(), replaced.config("users")
    replaced.says(**changed)
    refused = replaced.upgrade(check=False)
    replaced.says()
    assert refused.returncode == 1 and expected in refused.stderr, refused.stderr
    assert replaced.pids() == pids and replaced.config("users") == config
    assert replaced.system.http("GET", "/api/orders?user_id=1").status == 200


def test_a_program_that_does_not_describe_itself_is_refused_in_time(replaced):
    pids = replaced.pids()
    replaced.program.with_suffix(".new").write_text("#!/bin/sh\nexec sleep 60\n")
    replaced.program.with_suffix(".new").chmod(0o755)
    replaced.program.with_suffix(".new").rename(replaced.program)
    refused = replaced.upgrade(check=False)
    replaced.says()
    assert refused.returncode == 1 and "took longer than 10 s" in refused.stderr, refused.stderr
    assert replaced.pids() == pids and all(one["restarts"] == 0 for one in replaced.system.services().values())


def test_what_is_needed_no_more_is_taken_away_by_the_next_up(replaced):
    system = replaced.system
    replaced.says(**{key: None for key in NEEDS})
    replaced.upgrade()
    assert "orders" in replaced.config("users")["callers"]
    system.stop()
    system.up()
    assert "orders" not in replaced.config("users")["callers"]
    assert "orders" not in replaced.config("users")["keys"]["takes"]
