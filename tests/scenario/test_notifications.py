# SPDX-License-Identifier: Apache-2.0
"""Webhooks: steps of a saga that go outside. What the receiver gets, how often, and what its answers cause.

The shop runs twice over: once as its file has it, which lets nothing go to this machine, and once with `outside:
anywhere`, so that a receiver here can be notified."""

import collections
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import threading

import pytest

from conftest import FREEHOLD, ROOT, wait_for
from test_shop import ended, new_product, new_user, place

SHOP = ROOT / "examples" / "shop"
TYPES = ("OrderCreated", "OrderConfirmed", "OrderCancelled")


class Receiver:
    """Answers each path as the test says: a list of statuses, one for each request, the last for all that follow."""

    def __init__(self):
        self.heard, self.answers = [], collections.defaultdict(lambda: [204])
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answers = receiver.answers[self.path]
                status = answers.pop(0) if len(answers) > 1 else answers[0]
                receiver.heard.append((self.path, dict(self.headers), json.loads(body), status))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *unused):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def at(self, path, order=None):
        """What came there; the same again where an answer was lost, or came too late."""
        return [one for one in list(self.heard) if one[0] == path and
                (order is None or one[2]["data"]["id"] == order)]


@pytest.fixture(scope="module")
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture(scope="module")
def shop(start, tmp_path_factory, receiver):
    folder = tmp_path_factory.mktemp("webhooks") / "shop"
    shutil.copytree(SHOP, folder)
    programs = pathlib.Path(FREEHOLD).parent / "examples" / "shop"
    text = re.sub(r"program: (\w+)", rf"program: {programs}/\1", (folder / "freehold.yaml").read_text())
    text = text.replace("/notifications }", "/notifications, outside: anywhere, "
                        f"outside_ports: [{receiver.server.server_port}] }}")
    assert "outside: anywhere, " in text
    (folder / "freehold.yaml").write_text(text)
    return start(folder / "freehold.yaml")


def webhook(shop, url, kind):
    answer = shop.call("notifications", "POST", "/api/webhooks", {"url": url, "type": kind})
    assert answer.status == 201, answer
    return answer.body


def deliveries(shop, hook):
    return shop.call("notifications", "GET", f"/api/deliveries?webhook_id={hook['id']}").body


def statuses(shop, hook):
    return [one["status"] for one in deliveries(shop, hook)]


def ordered(shop, token="tok_visa"):
    return ended(shop, place(shop, new_user(shop), (new_product(shop, 50), 1), token=token))


def test_each_event_is_sent_to_those_that_want_its_type(shop, receiver):
    hooks = [webhook(shop, f"{receiver.url}/{kind}", kind) for kind in TYPES]
    confirmed, cancelled = ordered(shop), ordered(shop, "tok_declined")
    assert (confirmed["status"], cancelled["status"]) == ("CONFIRMED", "CANCELLED")
    for hook, orders in zip(hooks, ((confirmed, cancelled), (confirmed,), (cancelled,))):
        wait_for("all is delivered", lambda: statuses(shop, hook) == ["DELIVERED"] * len(orders))
        told = receiver.at("/" + hook["type"])
        assert {one[2]["data"]["id"] for one in told} == {order["id"] for order in orders}
        assert {one[2]["type"] for one in told} == {hook["type"]}
        assert {one[2]["id"] for one in told} == {one["event_id"] for one in deliveries(shop, hook)}


def test_a_stranger_gets_a_key_and_nothing_of_the_system(shop, receiver):
    hook = webhook(shop, f"{receiver.url}/keyed", "OrderConfirmed")
    ordered(shop)
    wait_for("it is delivered", lambda: statuses(shop, hook) == ["DELIVERED"])
    _, headers, body, _ = receiver.at("/keyed")[0]
    names = {name.lower() for name in headers}
    assert "idempotency-key" in names
    assert not any(name.startswith("freehold-") or name == "authorization" for name in names)
    assert set(body) == {"id", "type", "time", "data"}


def test_a_receiver_that_fails_gets_the_request_again_with_the_same_key(shop, receiver):
    receiver.answers["/shaky"] = [500, 302, 404, 429, 200]
    hook = webhook(shop, f"{receiver.url}/shaky", "OrderConfirmed")
    order = ordered(shop)
    wait_for("it is delivered", lambda: statuses(shop, hook) == ["DELIVERED"])
    told = receiver.at("/shaky", order["id"])
    statuses_told = [status for *_, status in told]
    assert statuses_told[:5] == [500, 302, 404, 429, 200] and set(statuses_told[5:]) <= {200}
    assert len({headers["Idempotency-Key"] for _, headers, _, _ in told}) == 1
    assert len({json.dumps(body) for _, _, body, _ in told}) == 1
    assert not receiver.at("/elsewhere"), "redirects are not followed"


def test_a_receiver_that_is_gone_gets_no_more_requests(shop, receiver):
    receiver.answers["/gone"] = [410]
    hook = webhook(shop, f"{receiver.url}/gone", "OrderConfirmed")
    ordered(shop)
    wait_for("the refusal is noted", lambda: statuses(shop, hook) == ["REFUSED"])
    found = shop.call("notifications", "GET", f"/api/webhooks?after={hook['id'] - 1}&limit=1").body
    assert found[0]["active"] is False
    asked = len(receiver.at("/gone"))
    witness = webhook(shop, f"{receiver.url}/witness", "OrderConfirmed")
    ordered(shop)
    wait_for("another one is told of the next order", lambda: statuses(shop, witness) == ["DELIVERED"])
    assert len(receiver.at("/gone")) == asked and len(deliveries(shop, hook)) == 1


def test_deliveries_survive_the_death_of_the_service(shop, receiver):
    receiver.answers["/slow"] = [503]
    hook = webhook(shop, f"{receiver.url}/slow", "OrderConfirmed")
    order = ordered(shop)
    wait_for("it is asked", lambda: receiver.at("/slow"))
    os.kill(shop.pid("notifications"), signal.SIGKILL)
    receiver.answers["/slow"] = [200]
    wait_for("it is delivered", lambda: statuses(shop, hook) == ["DELIVERED"])
    assert {body["data"]["id"] for _, _, body, _ in receiver.at("/slow")} == {order["id"]}


@pytest.mark.parametrize("url", ("ftp://example.org/x", "http://", "http://user-17:x@example.org/", "//example.org",
                                 "http://example.org/a b", "http://example.org/#x"))
def test_what_is_no_url_parks_nothing_and_stops_nothing(shop, url):
    """It is refused when it is named, not when it is used."""
    answer = shop.call("notifications", "POST", "/api/webhooks", {"url": url, "type": "OrderCreated"})
    assert answer.status == 422, answer
    assert answer.body["errors"][0]["pointer"] == "/url"


def test_the_public_does_not_reach_it(shop):
    assert shop.http("GET", "/api/webhooks").status == 404


def test_without_leave_nothing_goes_to_this_machine(start, receiver):
    shop = start(SHOP / "freehold.yaml")
    hook = webhook(shop, f"{receiver.url}/inside", "OrderConfirmed")
    ordered(shop)
    wait_for("a delivery is under way", lambda: statuses(shop, hook) == ["PENDING"])
    wait_for("it says why", lambda: "public Internet" in shop.logs())
    assert not receiver.at("/inside")
