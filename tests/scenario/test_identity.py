# SPDX-License-Identifier: Apache-2.0
"""Who may call whom for what: a key for each pair, tokens, grants, and everyone else refused without an outcome. The
tokens here are made by conftest itself."""

import http.client
import contextlib
import json
import os
import pathlib
import socket
import stat
import time

import pytest
from conftest import AUTH, FREEHOLD, ROOT, SHOP_SERVICES, Answer, System, token, wait_for
from test_service import Service

SHOP = ROOT / "examples" / "shop" / "freehold.yaml"
PROGRAMS = pathlib.Path(FREEHOLD).parent / "examples" / "shop"
DAY_MS = 86_400_000
EVERYTHING = [("GET", "/api/users"), ("POST", "/api/users"), ("POST", "/api/users/1/orders/increment"),
              ("GET", "/_freehold/feed?after=0"), ("GET", "/_freehold/state"),
              ("GET", "/_freehold/snapshot?type=UserUpdated"),
              ("POST", "/_freehold/closed"), ("GET", "/api/nothing"), ("DELETE", "/_freehold/feed")]


@pytest.fixture(scope="module")
def shop(start):
    system = start(SHOP)
    system.http("POST", "/api/products", {"id": "lamp", "name": "Lamp", "price": 100, "stock": 10})
    wait_for("the inventory has heard of it", lambda: system.http("GET", "/api/products/lamp/stock").status == 200)
    return system


def ask(system, service, method, path, headers=None, body=None):
    """Directly to a service's own port."""
    address = system.services()[service]["address"]
    connection = http.client.HTTPConnection(address, timeout=120)
    data = json.dumps(body) if body is not None else None
    headers = {**({"Content-Type": "application/json"} if data else {}), **(headers or {})}
    connection.request(method, path, data, headers)
    answer = connection.getresponse()
    result = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()},
                    answer.read().decode())
    connection.close()
    return result


def ask_as(system, caller, service, method, path, headers=None, body=None):
    return ask(system, service, method, path,
               {"Freehold-Token": system.token(caller, service), **(headers or {})}, body)


def life(system, service):
    return system.state_of(service)["incarnation"]


def assert_refused(answer, status, words):
    assert answer.status == status and words in answer.body["detail"], answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["freehold-refused"] == "caller"
    assert "freehold-outcome" not in answer.headers
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize("method, path", EVERYTHING)
def test_without_a_token_nothing_is_answered(shop, method, path):
    assert_refused(ask(shop, "users", method, path), 401, "a Freehold-Token is missing")
    assert_refused(ask(shop, "users", method, path, {"Freehold-From": "orders/1"}), 401, "missing")
    assert_refused(ask(shop, "users", method, path, {"Freehold-From": "operator"}), 401, "missing")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_are_open(shop, path):
    address = shop.services()["users"]["address"]
    connection = http.client.HTTPConnection(address, timeout=120)
    connection.request("GET", path)
    assert connection.getresponse().status == 200


def test_measurements_are_the_operators(shop):
    assert_refused(ask(shop, "users", "GET", "/metrics"), 401, "a Freehold-Token is missing")
    assert_refused(ask(shop, "users", "GET", "/metrics", {"Freehold-Token": shop.token("orders", "users")}), 403,
                   "not granted")
    assert "freehold_requests_total" in shop.call("users", "GET", "/metrics").body


def wrong_tokens(system):
    """What is wrong with it: the token."""
    key, now_ms = system.key("orders", "users"), time.time_ns() // 1_000_000
    good = token(key, "orders", "users")
    return {"has expired": token(key, "orders", "users", now_ms - DAY_MS),
            "has expired.": token(key, "orders", "users", now_ms + DAY_MS),  # none lives so long
            "is for another service": system.token("orders", "payments"),
            "made with another key": token("00" * 32, "orders", "users"),
            "made with another key.": token(system.key("orders", "payments"), "orders", "users"),
            "of someone unknown": token(system.key("payments", "users"), "payments", "users"),
            "is malformed": "Bearer nonsense",
            "is malformed.": good.replace("1.", "2.", 1),
            "made with another": good[:-1] + ("0" if good[-1] != "0" else "1")}


@pytest.mark.parametrize("method, path", EVERYTHING)
def test_a_wrong_token_is_no_better_than_none(shop, method, path):
    for words, wrong in wrong_tokens(shop).items():
        assert_refused(ask(shop, "users", method, path, {"Freehold-Token": wrong}), 401, words)


def test_what_was_refused_did_nothing(shop):
    before = shop.http("GET", "/api/products/lamp/stock").body["quantity"]
    sold = len(shop.call("payments", "GET", "/api/payments?limit=1000").body)
    key = f"orders/{life(shop, 'orders')}.900000000/step/0"
    headers = {"Freehold-From": f"orders/{life(shop, 'orders')}", "Idempotency-Key": key}
    reserve = "/api/products/lamp/reserve?quantity=3"
    assert_refused(ask(shop, "inventory", "POST", reserve, headers), 401, "missing")
    forged = {**headers, "Freehold-Token": token("11" * 32, "orders", "inventory")}
    assert_refused(ask(shop, "inventory", "POST", reserve, forged), 401, "another key")
    assert_refused(ask_as(shop, "gateway", "payments", "POST", "/api/payments", body={
        "order_id": 1, "user_id": 1, "amount": 5, "token": "tok_visa"}), 403, "not granted")
    assert shop.http("GET", "/api/products/lamp/stock").body["quantity"] == before
    assert len(shop.call("payments", "GET", "/api/payments?limit=1000").body) == sold
    # Not even the key is used up.
    headers["Freehold-To"] = life(shop, "inventory")
    done = ask_as(shop, "orders", "inventory", "POST", reserve, headers)
    assert (done.status, done.headers["freehold-outcome"]) == (200, "done")


@pytest.mark.parametrize("caller, service, method, path", [
    ("orders", "inventory", "PUT", "/api/products/lamp/stock"),  # public, and not declared
    ("orders", "products", "GET", "/_freehold/commands"),        # takes nothing over
    ("gateway", "products", "GET", "/_freehold/commands"),
    ("orders", "users", "GET", "/api/users"),
    ("orders", "payments", "GET", "/api/payments"),              # for operators
    ("orders", "payments", "GET", "/_freehold/feed"),            # subscribed to by nobody
    ("orders", "users", "GET", "/_freehold/state"),
    ("gateway", "users", "POST", "/api/users/1/orders/increment"),
    ("gateway", "users", "GET", "/_freehold/feed"),
    ("gateway", "products", "POST", "/_freehold/closed"),
    ("gateway", "users", "GET", "/_freehold/state")])
def test_what_a_caller_did_not_declare_it_does_not_get(shop, caller, service, method, path):
    assert_refused(ask_as(shop, caller, service, method, path), 403, "not granted")


def test_to_do_is_not_to_undo(shop):
    headers = {"Freehold-From": f"orders/{life(shop, 'orders')}",
               "Freehold-Undo": f"orders/{life(shop, 'orders')}.1/reserve/0"}
    assert_refused(ask_as(shop, "orders", "inventory", "POST",
                          "/api/products/lamp/reserve?quantity=1", headers), 403, "not granted")
    assert_refused(ask_as(shop, "orders", "inventory", "POST",
                          "/api/products/lamp/release?quantity=1"), 403, "not granted")
    assert_refused(ask_as(shop, "gateway", "inventory", "POST",
                          "/api/products/lamp/release?quantity=1", headers), 403, "another caller")


FEED, SNAPSHOT = "/_freehold/feed", "/_freehold/snapshot"


@pytest.mark.parametrize("caller, service, path, words", [
    # orders declares `.fields`: id and name of UserUpdated, id of UserDeleted; and more of nothing.
    ("orders", "users", f"{FEED}?types=UserUpdated", "was granted only id,name"),
    ("orders", "users", f"{FEED}?types=UserUpdated&fields=id,email", "the field email of UserUpdated"),
    ("orders", "users", f"{FEED}?types=UserUpdated&fields=UserDeleted%3Aid", "was granted only id,name"),
    ("orders", "users", FEED, "was granted only"),
    ("orders", "products", f"{FEED}?types=ProductDeleted&fields=id", "the events of ProductDeleted"),
    ("orders", "products", f"{FEED}?types=ProductUpdated,ProductCreated&fields=id", "events of ProductCreated"),
    ("orders", "users", f"{FEED}?name=payments&types=UserDeleted&fields=id", "can't read as another"),
    ("orders", "users", f"{SNAPSHOT}?type=UserUpdated", "was granted only id,name"),
    ("orders", "users", f"{SNAPSHOT}?type=UserUpdated&fields=id,email", "the field email of UserUpdated"),
    ("orders", "users", f"{SNAPSHOT}?type=UserUpdated&limit=0&name=payments&fields=id", "can't read as another")])
def test_a_subscriber_gets_no_more_than_its_program_declares(shop, caller, service, path, words):
    assert_refused(ask_as(shop, caller, service, "GET", path, {"Freehold-From": f"{caller}/1"}), 403, words)


def test_a_subscriber_gets_what_its_program_declares(shop):
    user = shop.http("POST", "/api/users", {"name": "Mallory", "email": "mallory@example.org"}).body["id"]
    shop.http("PATCH", f"/api/users/{user}", {"name": "Mallory M."})
    sender = {"Freehold-From": "orders/1"}
    for path in (f"{FEED}?types=UserUpdated&fields=UserUpdated%3Aid,UserUpdated%3Aname",
                 f"{FEED}?fields=UserUpdated%3Aname,UserDeleted%3Aid"):
        answer = ask_as(shop, "orders", "users", "GET", path, sender)
        assert answer.status == 200 and answer.body, answer
        assert "mallory@" not in json.dumps(answer.body)
    page = ask_as(shop, "orders", "users", "GET", f"{SNAPSHOT}?type=UserUpdated&fields=id,name", sender)
    assert page.status == 200 and user in [row["data"]["id"] for row in page.body["rows"]], page
    assert "mallory@" not in json.dumps(page.body)
    whole = ask_as(shop, "operator", "users", "GET", f"{FEED}?types=UserUpdated", {"Freehold-From": "operator"})
    assert whole.status == 200 and "mallory@example.org" in json.dumps(whole.body)


def test_nobody_speaks_in_anothers_name(shop):
    for name in ("payments/1", "operator", "order", "orders2/1", ""):
        assert_refused(ask_as(shop, "orders", "users", "GET", "/_freehold/feed",
                              {"Freehold-From": name}), 403, "another caller")


def test_a_token_given_twice_is_refused(shop):
    address = shop.services()["users"]["address"]
    connection = http.client.HTTPConnection(address, timeout=120)
    connection.putrequest("GET", "/api/users/1")
    for caller in ("orders", "gateway"):
        connection.putheader("Freehold-Token", shop.token(caller, "users"))
    connection.endheaders()
    assert connection.getresponse().status == 400


def test_the_declared_is_granted(shop):
    assert ask_as(shop, "orders", "products", "GET", "/api/products?ids=lamp").status == 200
    assert ask_as(shop, "orders", "products", "HEAD", "/api/products?ids=lamp").status == 200
    assert ask_as(shop, "operator", "payments", "GET", "/api/payments").status == 200
    assert ask_as(shop, "gateway", "products", "GET", "/api/products/lamp").status == 200
    feed = ask_as(shop, "orders", "products", "GET", "/_freehold/feed?fields=id,name&limit=1",
                  {"Freehold-From": f"orders/{life(shop, 'orders')}", "Accept": "*/*"})
    assert feed.status == 200 and "freehold-refused" not in feed.headers


def test_an_outside_clients_own_headers_do_not_matter(shop):
    answer = shop.http("GET", "/api/products/lamp", headers={
        "Freehold-Token": "1.operator.products.9.00", "Freehold-From": "operator"}, user=1)
    assert answer.status == 200 and answer.body["id"] == "lamp"


# ---- keys ------------------------------------------------------------------------------------------


def all_keys(system):
    keys = json.loads((pathlib.Path(system.state) / "keys.json").read_text())["keys"]
    return {(caller, receiver): key for caller, receivers in keys.items()
            for receiver, key in receivers.items()}


def test_each_pair_has_a_key_of_its_own_that_only_the_two_have(shop):
    state, keys = pathlib.Path(shop.state), all_keys(shop)
    assert set(keys) == {(caller, receiver) for caller in (*SHOP_SERVICES, "gateway", "operator")
                         for receiver in SHOP_SERVICES} | {("operator", "_up"), ("operator", "gateway"), ("gateway", "_user")}
    assert len(set(keys.values())) == len(keys) and all(len(key) == 64 for key in keys.values())
    assert stat.S_IMODE((state / "keys.json").stat().st_mode) == 0o600
    for part in (*SHOP_SERVICES, "gateway"):
        text = "".join(file.read_text(errors="replace") for file in (state / part).glob("*.json"))
        for (caller, receiver), key in keys.items():
            assert key not in text or part in (caller, receiver), (part, caller, receiver)
    told = json.loads((state / "users" / "service.json").read_text())["keys"]
    assert set(told["takes"]) == {"gateway", "operator", "orders", "views"} and set(told["calls"]) == {"orders"}


def test_up_obeys_nobody_without_the_operators_key(shop):
    """Landlock keeps no confined service from connecting to a socket."""
    for key in (None, "", "00" * 32, shop.key("operator", "users"), 7):
        with socket.socket(socket.AF_UNIX) as control:
            folder = os.open(shop.state, os.O_RDONLY)
            control.connect(f"/proc/self/fd/{folder}/control.sock")
            os.close(folder)
            control.sendall(json.dumps({"command": "stop", "key": key}).encode() + b"\n")
            assert json.loads(control.makefile().readline()) == {"error": "only the operator may command up", "refused": True}
    assert shop.http("GET", "/api/products/lamp").status == 200


def test_clients_that_say_nothing_keep_no_operator_out(shop):
    folder = os.open(shop.state, os.O_RDONLY)
    idle = []
    try:
        for said in (b"", b"{", b'{"command": "status"'):
            for _ in range(40):
                idle.append(socket.socket(socket.AF_UNIX))
                idle[-1].connect(f"/proc/self/fd/{folder}/control.sock")
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    idle[-1].sendall(said)
            assert shop.status()["phase"] == "up"
        for one in idle[::2]:  # departed clients
            one.close()
        assert shop.status()["phase"] == "up"
    finally:
        os.close(folder)
        for one in idle:
            one.close()


def test_no_key_is_in_a_log_or_on_a_command_line(shop):
    running = [f"/proc/{one['pid']}/{what}" for one in shop.services().values()
               for what in ("cmdline", "environ")]
    said = shop.logs() + "".join(pathlib.Path(path).read_text() for path in running)
    said += (pathlib.Path(shop.state) / "up.log").read_text()
    assert not any(key in said for key in all_keys(shop).values())


def test_keys_outlive_a_restart_and_missing_ones_are_made(tmp_path):
    system = System(SHOP, tmp_path / "s").up()
    try:
        before = all_keys(system)
        system.stop()
        file = tmp_path / "s" / "keys.json"
        kept = json.loads(file.read_text())
        del kept["keys"]["orders"]["users"]
        kept["keys"]["gateway"]["users"] = "not a key"
        file.write_text(json.dumps(kept))
        system.up()
        after = all_keys(system)
        changed = {pair for pair in before if before[pair] != after[pair]}
        assert changed == {("orders", "users"), ("gateway", "users")} and set(before) == set(after)
        assert system.http("GET", "/api/users?ids=1").status == 200
    finally:
        system.stop(check=False)


def test_a_program_started_without_keys_warns_loudly(tmp_path):
    users = Service(tmp_path / "users").start()
    try:
        assert users.ask("GET", "/api/users?ids=1").status == 200
        assert "EVERYBODY WHO REACHES THIS PORT IS BELIEVED" in users.log.read_text()
    finally:
        users.end()


# ---- the system file -------------------------------------------------------------------------------


def shop_with(folder, **services):
    """The shop with more keys for some services."""
    file = folder / "freehold.yaml"
    lines = ["system: shop", "gateway:", AUTH.rstrip(), "services:"]
    for name in SHOP_SERVICES:
        own = ROOT / "examples" / "shop" / name
        keys = {"program": str(PROGRAMS / name),
                **{one: str(own / one) for one in ("migrations", "reports") if (own / one).exists()},
                **services.get(name, {})}
        lines.append(f"  {name}: {json.dumps(keys)}")
    file.write_text("\n".join(lines) + "\n")
    return System(file, folder / "s")


def test_check_shows_who_may_call_whom():
    system = System(SHOP, "unused")
    matrix = json.loads(system.command("check", str(SHOP), "--json").stdout)["callers"]
    assert matrix["users"] == {
        "gateway": ["public"], "operator": ["*"],
        "orders": ["GET /api/users/{id:int}", "POST /api/users/{id:int}/orders/increment",
                   "POST /_freehold/closed", "GET /_freehold/feed", "events UserUpdated:id,name",
                   "GET /_freehold/snapshot", "state UserUpdated:id,name", "events UserDeleted:id"],
        "views": ["GET /_freehold/feed", "events UserUpdated:id,name", "GET /_freehold/snapshot",
                  "state UserUpdated:id,name", "events UserCreated:id,name", "events UserDeleted:id"]}
    assert matrix["payments"]["orders"] == ["POST /api/payments", "POST /_freehold/closed",
                                            "undo POST /api/payments/refund"]
    receivers = {"carts", "inventory", "payments", "shipping", "users"}  # of its sagas: they announce
    assert set(matrix["orders"]) == {"gateway", "operator", "notifications", "views", "reports"} | receivers
    assert matrix["orders"]["payments"] == ["POST /_freehold/restored/announce"]
    assert matrix["products"]["inventory"] == ["GET /api/products/{id}", "GET /api/products", "GET /_freehold/commands",
                                               "GET /_freehold/feed", "events ProductCreated:id,stock",
                                               "GET /_freehold/snapshot", "state ProductCreated:id,stock",
                                               "events ProductDeleted:id"]
    text = system.command("check", str(SHOP)).stdout
    assert "undo POST /api/products/{id}/release" in text and "Who may call whom" in text


def test_a_restriction_that_makes_no_sense_is_an_error(tmp_path):
    system = shop_with(tmp_path, payments={"callers": ["order"]})
    said = system.command("check", system.file, check=False)
    assert said.returncode == 1
    line = 1 + pathlib.Path(system.file).read_text().splitlines().index("services:") + 1 + SHOP_SERVICES.index("payments")
    assert f"freehold.yaml:{line}:" in said.stderr
    assert "the system has no service 'order'; did you mean 'orders'?" in said.stderr
    assert "orders needs POST /api/payments of payments, which services.payments.callers" in said.stderr
    system = shop_with(tmp_path, payments={"callers": "orders"})
    assert "services.payments.callers" in system.command("check", system.file, check=False).stderr


def test_a_restriction_closes_what_was_public_and_open_opens_it(tmp_path):
    system = shop_with(tmp_path, payments={"callers": ["orders", "views"]}, users={"open": True}).up()
    try:
        assert system.http("GET", "/api/payments/1").status == 404
        assert "payments" not in json.loads(
            (tmp_path / "s" / "gateway" / "gateway.json").read_text())["keys"]["calls"]
        assert_refused(ask_as(system, "gateway", "payments", "GET", "/api/payments/1"), 401,
                       "someone unknown")
        staff = {"Freehold-User": system.statement("clerk", roles=["staff"])}
        assert ask(system, "users", "GET", "/api/users?ids=1").body["type"] == "urn:freehold:problem:user-missing"
        open_one = ask(system, "users", "GET", "/api/users?ids=1", staff)
        assert (open_one.status, open_one.body) == (200, [])
        for method, path in (("POST", "/api/users/1/orders/increment"), ("GET", "/_freehold/feed")):
            assert_refused(ask(system, "users", method, path), 401, "missing")
        assert_refused(ask(system, "users", "GET", "/api/users", {"Freehold-Token": "x"}), 401,
                       "malformed")
        assert_refused(ask(system, "users", "GET", "/api/users", {"Freehold-From": "operator"}), 401,
                       "missing")
    finally:
        system.stop(check=False)
