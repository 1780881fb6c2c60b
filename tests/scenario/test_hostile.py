# SPDX-License-Identifier: Apache-2.0
"""Hostile input at every door: each route of every service, through the gateway and directly. Each case
has its status, nothing is written, memory stays bounded, and afterwards the shop serves as before."""

import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import sqlite3
import tempfile
import urllib.parse

import hostile
import pytest
from conftest import FREEHOLD, ROOT, SHOP_SERVICES, wait_for

SHOP = ROOT / "examples" / "shop" / "freehold.yaml"
PROGRAMS = pathlib.Path(FREEHOLD).parent / "examples" / "shop"
SERVICES = SHOP_SERVICES
PATH_VALUES = {"int": 1, "products": "mug", "inventory": "mug", "carts": "mug", "payments": "none"}
DESCRIBED = {name: hostile.described(PROGRAMS / name) for name in SERVICES}
ROUTES = [hostile.Route(name, route, PATH_VALUES)
          for name in SERVICES for route in DESCRIBED[name]["routes"]]
# Judged before a route is looked up, or by looking it up.
EARLY = {400, 404, 405, 413, 431, 501, 505}
# What the HTTP library refuses by itself, it refuses with a page of HTML that has no Content-Type.
IN_HTML = {400, 413, 414, 431, 505}
# Each problem document has one of these.
TYPES = re.findall(r"^problem (.*)", (ROOT / "tests" / "tidy" / "released.txt").read_text(), re.MULTILINE)
PRIVATE_MIB_GROWTH_MAX = 64
SHOWN_MAX = 12
JSON_TEST_SUITE = ROOT.parent / "shared" / "data" / "conformance" / "JSONTestSuite" / "test_parsing"


class Shop:
    """The running system, its doors, and what its stores hold."""

    def __init__(self, system):
        self.system = system
        status = system.status()
        self.ports = {one["name"]: int(one["address"].rsplit(":", 1)[1])
                      for one in status["services"] + [status["gateway"]]}
        self.pids = {one["name"]: one["pid"] for one in status["services"] + [status["gateway"]]}

    def token(self, caller, service):
        return self.system.token(caller, service)

    def login(self):
        """At the gateway as the user of the one order, who is of the staff, too: what is hostile is what is sent."""
        return tuple(self.system.logins.header("/api/users/1", None).items())

    def stated(self):
        """The same for a service."""
        return "Freehold-User", self.system.statement(1, roles=["staff"])

    def contents(self):
        """Every row of every store. Readers of a feed are noted when they read, hostile or not."""
        wait_for("the shop is at rest", self.system.at_rest)
        wait_for("every ended saga is closed at its receivers", self.all_closed)
        return {name: self.rows(name) for name in SERVICES}

    def all_closed(self):
        """Receivers forget a saga's commands some time after its end; until then they have to write."""
        with self.copy_of("orders") as store:
            return store.execute("SELECT count(*) FROM fh_saga WHERE closed = 0").fetchone() == (0,)

    @contextlib.contextmanager
    def copy_of(self, service):
        """As it was at one moment: nothing was written while it was copied."""
        folder = pathlib.Path(self.system.state) / service
        files = [folder / name for name in ("store.db", "store.db-wal")]

        def states():
            return [(one.st_mtime_ns, one.st_size) for one in (file.stat() for file in files if file.exists())]

        def is_copied():
            before = states()
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy(file, copies)
            return states() == before

        with tempfile.TemporaryDirectory() as copies:
            wait_for(f"the store of {service} stands still", is_copied)
            with contextlib.closing(sqlite3.connect(f"{copies}/store.db")) as store:
                yield store

    def rows(self, service):
        found = {}
        with self.copy_of(service) as store:
            names = store.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for name, in names:
                if name not in ("fh_subscriber", "fh_lease"):
                    found[name] = sorted(map(repr, store.execute(f'SELECT * FROM "{name}"')))
        # The time from which ages are counted: it goes on whatever is sent.
        found["fh_meta"] = [row for row in found["fh_meta"] if not row.startswith(("('age_", "('clock'"))]
        return found

    def private_mib(self):
        """Private memory that was written, by process."""
        found = {}
        for name, pid in self.pids.items():
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            found[name] = sum(int(line.split()[1]) for line in lines
                              if line.startswith("Private_Dirty")) / 1024
        return found

    def place_order(self):
        answer = self.system.http("POST", "/api/orders", {
            "user_id": 1, "items": [{"product_id": "mug", "quantity": 1}], "payment_token": "tok_ok"},
            {"Prefer": "wait=50"})
        assert answer.status == 200 and answer.body["status"] == "CONFIRMED", answer


@pytest.fixture(scope="module")
def shop(start):
    system = start(SHOP)
    user = {"name": "Ada", "email": "ada@example.org"}
    assert system.http("POST", "/api/users", user).status == 201
    mug = {"id": "mug", "name": "Mug", "price": 700, "stock": 1000, "category": "cups"}
    assert system.http("POST", "/api/products", mug).status == 201
    found = Shop(system)
    found.place_order()
    return found


@contextlib.contextmanager
def unharmed(shop):
    """Whatever happens inside leaves no trace: not in the stores, hardly in memory, and the same processes go on
    serving."""
    wait_for("what was done before is through", shop.system.at_rest)
    contents, memory = shop.contents(), shop.private_mib()
    yield
    after = shop.contents()
    for service in SERVICES:
        changed = [table for table in after[service] if after[service][table] != contents[service].get(table)]
        assert not changed, (service, {table: set(after[service][table]) ^ set(contents[service][table])
                                       for table in changed})
    status = shop.system.status()
    assert {one["name"]: one["pid"] for one in status["services"] + [status["gateway"]]} == shop.pids
    for name, mib in shop.private_mib().items():
        assert mib - memory[name] < PRIVATE_MIB_GROWTH_MAX, (name, memory[name], mib)


def known_methods(route):
    known = {other.method for other in ROUTES
             if other.service == route.service and other.fits(route.path())}
    return known | ({"HEAD"} if "GET" in known else set())


def allowed(case, route, door):
    """The statuses that are right, and whether the route itself judges."""
    if door == "direct, as a stranger":
        return (case.statuses & EARLY - {404, 405}) | {401}
    if route.audience == "public":
        return case.statuses | ({404} if door == "gateway" and case.name.startswith("method") else set())
    if door == "gateway":
        return (case.statuses & EARLY) | {404, 405}
    if door == "direct":
        return (case.statuses & EARLY) | {401, 403}
    return case.statuses | {401, 403}


def fault(reply, statuses, pointer):
    """What is wrong with a reply, or None."""
    if reply.status not in statuses:
        return f"{reply} instead of {sorted(statuses)}"
    kind = reply.headers.get("content-type", "")
    if reply.status < 400:
        return None
    if not kind and b"<html>" in reply.body and reply.status in IN_HTML:
        return None
    if kind != "application/problem+json":
        return f"{reply} is no problem document but {kind!r}"
    problem = reply.problem()
    if problem["status"] != reply.status or not problem.get("title") or not problem.get("detail"):
        return f"{problem} does not say what is wrong"
    if problem.get("type") not in TYPES:
        return f"{problem} has no known type"
    if reply.status == 405 and not reply.headers.get("allow"):
        return "405 without Allow"
    if pointer and reply.status in (400, 422):
        places = [one.get("pointer", one.get("parameter")) for one in problem.get("errors", ())]
        escaped = pointer.replace("~", "~0") if pointer.startswith("/") else pointer
        if escaped not in places and pointer not in places:
            return f"{problem} does not point to {pointer}"
    return None


def attack(shop, cases, port, statuses_of, more=()):
    """Sends all cases and shows every wrong answer. Returns how many were sent."""
    wrong, sent = [], 0
    for case in cases:
        data = hostile.raw(case.method, case.target, case.headers + tuple(more), case.body)
        reply = hostile.exchange(port, data, case.method)
        sent += 1
        statuses = statuses_of(case)
        pointer = case.pointer if statuses == case.statuses else None
        found = fault(reply, statuses, pointer)
        if found:
            wrong.append(f"{case.method} {case.target[:100]} {case.name}: {found}")
    assert not wrong, f"{len(wrong)} of {sent} wrong:\n" + "\n".join(wrong[:SHOWN_MAX])
    return sent


# ---- Every route, every door -------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES, ids=str)
@pytest.mark.parametrize("door", ["gateway", "direct", "in a service's name", "direct, as a stranger"])
def test_whatever_is_sent_to_a_route_has_its_status_and_changes_nothing(shop, door, route):
    if door == "in a service's name" and route.audience == "public":
        door = "direct, in a service's name"
    more = shop.login() if door == "gateway" else ()
    if "name" in door:
        more = (("Freehold-From", "operator"), ("Freehold-Token", shop.token("operator", route.service)), shop.stated())
    elif door == "direct":
        more = (("Freehold-Token", shop.token("gateway", route.service)), shop.stated())
    port = shop.ports["gateway" if door == "gateway" else route.service]
    with unharmed(shop):
        sent = attack(shop, hostile.cases(route, known_methods(route)), port,
                      lambda case: allowed(case, route, door), more)
    assert sent > 40


def test_afterwards_the_shop_serves_as_before(shop):
    shop.place_order()
    product = shop.system.http("GET", "/api/products/mug").body
    assert product["name"] == "Mug" and product["stock"] == 998
    assert shop.system.http("GET", "/api/users/1").body["name"] == "Ada"


# ---- The services' own routes --------------------------------------------------------------------------

FEED_QUERIES = [
    "after=-1", "after=x", "after=" + "9" * 30, "after=1%20OR%201=1", "limit=0", "limit=-1", "limit=1001",
    "limit=x", "wait=-1", "wait=x", "wait=1e9", "share=0/0", "share=1/1", "share=-1/2", "share=9/2",
    "share=x", "share=0/1000", "after=1&after=2", "unknown=1", "types=,", "fields=,", "fields=a,,b",
    "after=%zz", "after=%00", "types=%ff", "done=-1", "done=x", "fields=" + ",".join(["a"] * 300),
    "name=" + "x" * 5000 + "&share=0/1&done=0"]
CLOSINGS = [
    b"", b"{", b"null", b"[]", b"{}", b'{"closed_through":1}', b'{"birth":"x"}',
    b'{"birth":1,"closed_through":1,"still_open":[]}', b'{"birth":"x","closed_through":-1,"still_open":[]}',
    b'{"birth":"x","closed_through":"1","still_open":[]}', b'{"birth":"x","closed_through":1,"still_open":{}}',
    b'{"birth":"x","closed_through":1,"still_open":["1"]}', b'{"birth":"x","closed_through":1,"still_open":[-1]}',
    b'{"birth":"x","closed_through":1e99,"still_open":[]}', b'{"birth":"\'; DROP TABLE fh_command; --"}',
    b'{"birth":"x","birth":"y","closed_through":1,"still_open":[]}', b"[" * 100000, b'{"birth":"\xff"}',
    b'{"birth":"' + b"x" * 5000 + b'","closed_through":1,"still_open":[]}',
    b'{"birth":"x","closed_through":1,"still_open":[' + b"1," * 200000 + b"1]}",
    *(b'{"birth":"01a1f853-4495-7ae3-9b52-9c8a6c0008a5","closed_through":1,"still_open":[],' + more + b"}" for more in (
        b'"cut":-1', b'"cut":"x"', b'"cut":{}', b'"cut":1', b'"cut":1,"lives":[]', b'"cut":1,"lives":{}', b'"cut":1e99',
        b'"cut":1,"lives":[1,null,[]]', b'"cut":1,"lives":[' + b'"x",' * 10000 + b'"x"]'))]
FROM_NONSENSE = ["", "/", "users", "users/", "/x", "users/x/y", "x" * 500, "users/" + "x" * 500,
                 "'; DROP TABLE fh_caller; --/x", "us\xe9rs/1", "a b/c"]


def own_cases():
    for query in FEED_QUERIES:
        yield hostile.Case(f"feed: {query:.60}", "GET", "/_freehold/feed?" + query, (), b"", {400, 409, 410},
                           None)
    for body in CLOSINGS:
        yield hostile.Case(f"closing: {body[:60]!r}", "POST", "/_freehold/closed", (hostile.JSON_TYPE,), body,
                           {400, 413, 422}, None)
    for path in ("/livez", "/readyz", "/metrics", "/_freehold/feed", "/_freehold/state", "/_freehold/closed",
                 "/_freehold/restored", "/_freehold/restored/seen", "/_freehold/restored/announce"):
        for method in ("DELETE", "BREW", "OPTIONS", "PATCH"):
            yield hostile.Case(f"{method} {path}", method, path, (), b"", {405}, None)
        yield hostile.Case(f"{path}%00", "GET", path + "%00", (), b"", {404}, None)
        yield hostile.Case(f"{path}/", "GET", path + "/", (), b"", {404}, None)
        yield hostile.Case(f"/x/..{path}", "GET", "/x/.." + path, (), b"", {404}, None)
    for path in ("/_freehold", "/_freehold/", "/_freehold/x", "/%5ffreehold/feed", "//_freehold/feed"):
        yield hostile.Case(path, "GET", path, (), b"", {404}, None)
    for method in ("GET", "DELETE", "PATCH"):  # only POST begins one, and only an operator's
        yield hostile.Case(f"{method} a backup", method, "/_freehold/backup", (), b"", {405}, None)


@pytest.mark.parametrize("service", SERVICES)
def test_feed_state_and_closing_refuse_nonsense(shop, service):
    names = [(("Freehold-From", name), ("Freehold-Token", shop.token(name.split("/")[0], service)))
             for name in ("orders/01a1f853-4495-7ae3-9b52-9c8a6c0008a5", "operator")] + [()]
    with unharmed(shop):
        for more in names:
            attack(shop, own_cases(), shop.ports[service], lambda case: case.statuses | {401, 403}, more)


def test_the_gateway_hides_what_services_send_each_other(shop):
    hidden = ("/_freehold/feed", "/_freehold/state", "/_freehold/closed", "/_freehold/restored", "/%5Ffreehold/feed",
              "/_freehold%2Ffeed", "/%5f%66reehold/state", "/_freehold/feed/")
    with unharmed(shop):
        for path in hidden:
            for method in ("GET", "POST"):
                reply = hostile.exchange(shop.ports["gateway"], hostile.raw(method, path), method)
                assert reply.status == 404, (path, reply)


@pytest.mark.parametrize("name, value", [
    *(("Freehold-From", value) for value in FROM_NONSENSE),
    *(("Freehold-Attempt", value) for value in ("0", "-1", "x", "9" * 30, "1.5", "")),
    *(("Freehold-To", value) for value in ("x", "", "' OR 1=1", "x" * 500)),
    *(("Freehold-Undo", value) for value in ("", "x", "orders/x.y/z/0", "a/b.1/c/d/e", "' OR 1=1", "x" * 500)),
    *(("Idempotency-Key", value) for value in ("orders/x.1/charge/0", "orders/01a1f853/x/0", "a/b/c/d"))])
def test_headers_between_services_of_odd_forms_do_nothing(shop, name, value):
    headers = {"Freehold-From": "orders/01a1f853-4495-7ae3-9b52-9c8a6c0008a5",
               "Idempotency-Key": "orders/01a1f853-4495-7ae3-9b52-9c8a6c0008a5.1/charge/0",
               "Freehold-Token": shop.token("orders", "payments")}
    headers[name] = value
    if name == "Freehold-Undo":
        del headers["Idempotency-Key"]
    body = json.dumps({"order_id": 1, "user_id": 1, "amount": 1, "token": "tok_ok"}).encode()
    path = "/api/payments/refund" if name == "Freehold-Undo" else "/api/payments"
    with unharmed(shop):
        data = hostile.raw("POST", path, (hostile.JSON_TYPE, *headers.items()), body)
        reply = hostile.exchange(shop.ports["payments"], data, "POST")
        assert 400 <= reply.status < 500 or reply.status == 503, reply
        assert "freehold-outcome" not in reply.headers or reply.headers["freehold-outcome"] == "fixed", reply


# ---- Odd preferences and keys, where the request is good -------------------------------------------------


@pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=x", "wait=-5", "wait=0", "wait=0x10", "WAIT=;",
                                    "respond-async, wait=0", "wait=0, wait=100000", "x" * 4000, "wait= 1,,,;",
                                    "wait=" + "0" * 500, "await=50", "\xe9"])
def test_an_odd_preference_is_none(shop, prefer):
    reply = hostile.exchange(shop.ports["gateway"],
                             hostile.raw("GET", "/api/products/mug", (("Prefer", prefer),)))
    assert reply.status == 200, reply
    with unharmed(shop):
        body = json.dumps({"user_id": 1, "items": [], "payment_token": "tok_ok"}).encode()
        data = hostile.raw("POST", "/api/orders", (hostile.JSON_TYPE, ("Prefer", prefer), *shop.login()), body)
        assert hostile.exchange(shop.ports["gateway"], data, "POST").status == 422


@pytest.mark.parametrize("key", ["'; DROP TABLE fh_command; --".replace(" ", "/**/"), "../../etc/passwd", "%00",
                                 "orders/x.1/charge/0", "{\"$gt\":\"\"}", "k" * 255, "~!@#$%^&*()_+"])
def test_a_visible_key_is_just_a_key(shop, key):
    """It counts once, whatever it looks like, and lives in a table of its own."""
    body = json.dumps({"name": "Key", "email": "key@example.org"}).encode()
    data = hostile.raw("POST", "/api/users", (hostile.JSON_TYPE, ("Idempotency-Key", key)), body)
    first = hostile.exchange(shop.ports["gateway"], data, "POST")
    assert first.status == 201, first
    again = hostile.exchange(shop.ports["gateway"], data, "POST")
    assert (again.status, again.body) == (201, first.body)


# ---- Injection into what is taken --------------------------------------------------------------------------


def strings_of(schema, base=""):
    """Pointers to all text fields of an object's schema."""
    for name, field in schema.get("properties", {}).items():
        if "string" in hostile.kinds_of(field):
            yield f"{base}/{name}"
        elif "array" in hostile.kinds_of(field):
            yield from strings_of(field["items"], f"{base}/{name}/0")


def own(product):
    """Without what products learns from the inventory, sooner or later."""
    return {name: value for name, value in product.items() if name not in ("stock", "low_stock")}


@pytest.mark.parametrize("text", hostile.INJECTIONS)
def test_an_injection_in_a_text_field_is_a_text(shop, text):
    """It comes back as it was, and nothing else has changed."""
    users = len(shop.rows("users")["users"])
    made = shop.system.http("POST", "/api/users", {"name": text, "email": text[:320], "address": text})
    assert made.status == 201, made
    assert shop.system.http("GET", f"/api/users/{made.body['id']}").body["name"] == text
    changed = shop.system.http("PATCH", f"/api/users/{made.body['id']}", {"address": text * 2})
    assert changed.body["address"] == text * 2 and changed.body["name"] == text
    product = {"name": text, "price": 1, "category": text, "id": text, "more": {"text": text}}
    stored = shop.system.http("POST", "/api/products", product)
    assert stored.status == 201 and own(stored.body) == product, stored
    quoted = urllib.parse.quote(text, safe="")
    assert own(shop.system.http("GET", f"/api/products/{quoted}").body) == product
    found = shop.system.http("GET", f"/api/products?category={quoted}").body
    assert [one["id"] for one in found] == [text]
    assert shop.system.http("DELETE", f"/api/products/{quoted}").status == 204
    assert len(shop.rows("users")["users"]) == users + 1


@pytest.mark.parametrize("query", ["category={}", "after={}&category=cups", "ids={}"])
def test_an_injection_in_a_query_finds_nothing_more(shop, query):
    for text in hostile.INJECTIONS:
        quoted = urllib.parse.quote(text.replace(",", ""), safe="")
        answer = shop.system.http("GET", "/api/products?" + query.format(quoted))
        assert answer.status == 200, answer
        if not query.startswith("after"):
            assert answer.body == [], (text, answer)


@pytest.mark.parametrize("path, strings", [
    (f"{route.method} {route.path()}", list(strings_of(route.body)))
    for route in ROUTES if route.body and route.audience == "public"])
def test_every_text_field_is_attacked(path, strings):
    """The cases above are made of these: a route without any would pass unnoticed."""
    assert strings or path.startswith("PUT"), path


@pytest.mark.parametrize("change, pointer", [
    ({"stock.x": 1}, "/stock.x"), ({"a.b": 1}, "/a.b"), ({"$set": {"price": 0}}, "/$set"),
    ({"$where": "1"}, "/$where"), ({"$inc": {"stock": 5}}, "/$inc"), ({"stock": 5}, "/stock"),
    ({"id": "other"}, "/id"), ({"": 1}, "/"), ({"a": {"$gt": 1}}, "/a/$gt"), ({"a/b.c": 1}, "/a~1b.c"),
    ({"a": [{"b": {"$set": 1}}]}, "/a/0/b/$set"), ({".": 1}, "/."), ({"a.": 1}, "/a."), ({"a~b.": 1}, "/a~0b.")])
def test_an_attribute_that_would_be_an_operator_or_a_path_is_refused_with_its_place(shop, change, pointer):
    with unharmed(shop):
        answer = shop.system.http("PATCH", "/api/products/mug", change)
        assert answer.status == 422, answer
        assert pointer in [one["pointer"] for one in answer.body["errors"]], answer
    made = shop.system.http("POST", "/api/products", {"name": "x", "price": 1, **change})
    if pointer not in ("/stock", "/id") and "$" in pointer:
        assert made.status == 422 and made.body["errors"][0]["pointer"] == pointer, made
    elif made.status == 201:
        assert shop.system.http("DELETE", "/api/products/" + urllib.parse.quote(made.body["id"])).status == 204
