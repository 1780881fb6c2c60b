# SPDX-License-Identifier: Apache-2.0
"""A service's processes replaced and their number changed while it serves."""

import collections
import http.client
import re
import threading

import pytest

from conftest import CONDITION_S_MAX, SHOP_FILE, named, wait_for
from test_servers import sql, store_of


class Load:
    """Sends requests without a pause, from a few threads, until told to end; keeps what was no success."""

    def __init__(self, ask, threads=4):
        self.ask, self.ending, self.answered, self.wrong = ask, threading.Event(), 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(threads)]

    def run(self, number):
        count = 0
        while not self.ending.is_set():
            count += 1
            try:
                answer = self.ask(number, count)
                wrong = None if answer.status < 300 else repr(answer)
            except OSError as error:
                wrong = repr(error)
            with self.lock:
                self.answered += wrong is None
                if wrong:
                    self.wrong.append(wrong)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_for("the load has begun", lambda: self.answered > 20)
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP_FILE)


def place_user(system, number, count):
    return system.http("POST", "/api/users", {"name": f"N{number}", "email": f"{number}.{count}@x.example"},
                       headers={"Idempotency-Key": f"load-{number}-{count}"})


def test_an_embedded_service_is_upgraded_without_a_failed_request(shop):
    before = shop.pid("users")
    with Load(lambda number, count: place_user(shop, number, count)) as load:
        shop.command("upgrade", "users", "--state", shop.state)
        answered = load.answered
        wait_for("it serves again", lambda: load.answered > answered + 20)
    assert load.wrong == []
    assert shop.pid("users") != before
    assert shop.services()["users"]["restarts"] == 0


def test_an_embedded_service_can_have_no_second_process(shop):
    refused = shop.command("scale", "users", "2", "--state", shop.state, check=False)
    assert refused.returncode == 1 and "users has an embedded store" in refused.stderr
    shop.command("scale", "users", "1", "--state", shop.state)


# ---- on a server engine ----


@pytest.fixture(scope="module")
def served(start):
    """Orders on PostgreSQL, with a product and a user to order with."""
    system = start(SHOP_FILE, named("postgresql"))
    for path, body in (("products", {"id": "p1", "name": "Pen", "price": 100, "stock": 1_000_000}),
                       ("users", {"name": "Ann", "email": "ann@x.example"})):
        made = system.http("POST", f"/api/{path}", body, headers={"Idempotency-Key": f"first-{path}"})
        assert made.status == 201, made
    system.user = made.body["id"]
    return system


def place_order(system, key):
    body = {"user_id": system.user, "payment_token": "tok_visa", "items": [{"product_id": "p1", "quantity": 1}]}
    return system.http("POST", "/api/orders", body, headers={"Idempotency-Key": key})


def place_or_read(system, number, count):
    """Half of them orders, the others reads, which carry no key."""
    if count % 2:
        return place_order(system, f"scaled-{number}-{count}")
    return system.http("GET", f"/api/orders?user_id={system.user}&limit=10")


def instances(system):
    return {one["instance"]: one for one in system.services()["orders"]["instances"]}


def own_shares(system, instance):
    """Those of users' events that the instance reports, queried directly."""
    host, port = instances(system)[instance]["address"].split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    connection.request("GET", "/metrics", headers={"Freehold-Token": system.token("operator", "orders")})
    text = connection.getresponse().read().decode()
    connection.close()
    return re.findall(r'freehold_subscription_depth{source="users",share="(\d)/8"}', text)


def owners(system):
    """How many partitions of users' events each instance has."""
    rows = sql(store_of(system, "orders"), "SELECT owner FROM fh_lease WHERE name LIKE 'share users %'")
    return sorted(collections.Counter(row[0].split(".")[0] for row in rows).items())


# Schedule 16.
def test_a_service_is_scaled_and_upgraded_under_load_without_a_failed_request(served):
    with Load(lambda number, count: place_or_read(served, number, count)) as load:
        served.command("scale", "orders", "2", "--state", served.state)
        assert set(instances(served)) == {0, 1}
        wait_for("two share", lambda: owners(served) == [("0", 4), ("1", 4)])
        served.command("scale", "orders", "3", "--state", served.state)
        wait_for("three share", lambda: sorted(n for _, n in owners(served)) == [2, 3, 3])
        before = {one["pid"] for one in instances(served).values()}
        served.command("upgrade", "orders", "--state", served.state)
        after = {one["pid"] for one in instances(served).values()}
        assert len(after) == 3 and not before & after
        wait_for("three share again", lambda: sorted(n for _, n in owners(served)) == [2, 3, 3])
        served.command("scale", "orders", "1", "--state", served.state)
        assert set(instances(served)) == {0}
        wait_for("one has all", lambda: owners(served) == [("0", 8)])
        answered = load.answered
        wait_for("it goes on", lambda: load.answered > answered + 20)
    assert load.wrong == []
    wait_for("every saga ends and every event is applied", served.at_rest)


def test_the_number_is_kept_until_the_file_says_another(served):
    served.command("scale", "orders", "2", "--state", served.state)
    served.stop()
    served.up()
    assert set(instances(served)) == {0, 1}
    served.command("scale", "orders", "1", "--state", served.state)


def test_equal_keys_at_two_instances_at_once_are_one_command(served):
    served.command("scale", "orders", "3", "--state", served.state)
    before = len(sql(store_of(served, "orders"), "SELECT id FROM orders"))
    answers = collections.defaultdict(list)
    ready = threading.Barrier(8, timeout=CONDITION_S_MAX)

    def repeat(_):
        for n in range(20):
            ready.wait()
            answers[n].append(place_order(served, f"same-{n}"))

    threads = [threading.Thread(target=repeat, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for same in answers.values():
        assert {answer.status for answer in same} == {202}, same
        assert len({answer.body["id"] for answer in same}) == 1
    assert len(sql(store_of(served, "orders"), "SELECT id FROM orders")) == before + 20
    wait_for("every saga ends and every event is applied", served.at_rest)
    served.command("scale", "orders", "1", "--state", served.state)


def test_each_instance_is_shown_and_checked(served):
    served.command("scale", "orders", "2", "--state", served.state)
    wait_for("two share", lambda: owners(served) == [("0", 4), ("1", 4)])
    shown = served.command("status", "--state", served.state).stdout
    assert "  orders/0 " in shown and "  orders/1 " in shown
    assert "orders/1" not in "".join(line for line in shown.splitlines() if line.startswith("orders"))
    served.command("check", served.file, "--profile", "postgresql", "--live", "--state", served.state)
    wait_for("each tells of its own", lambda: sorted(own_shares(served, 0) + own_shares(served, 1)) == [
        str(share) for share in range(8)] and len(own_shares(served, 0)) == 4)
    state = served.state_of("orders")
    shares = collections.Counter(one["source"] for one in state["subscriptions"])
    assert shares == {"users": 8, "products": 8}
    served.command("scale", "orders", "1", "--state", served.state)


# ---- refused ----


def test_what_can_not_be_meant_is_refused_with_a_sentence(shop):
    for words, code, said in ((("scale", "users", "many"), 2, "is not a number of instances"),
                              (("scale", "nobody", "1"), 1, "has no service 'nobody'"),
                              (("scale", "odrers", "1"), 1, "did you mean 'orders'?"),
                              (("upgrade", "nobody"), 1, "has no service 'nobody'")):
        done = shop.command(*words, "--state", shop.state, check=False)
        assert done.returncode == code and said in done.stderr
