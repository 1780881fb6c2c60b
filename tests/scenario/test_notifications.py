# SPDX-License-Identifier: Apache-2.0
"""Webhooks: steps of a saga that go outside. What the receiver gets, how often, and what its answers cause.

The shop runs twice over: once as its file has it, which lets nothing go to this machine, and once with `outside:
anywhere`, so that a receiver here can be notified."""

import base64
import collections
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
import pytest

from conftest import FREEHOLD, ROOT, wait_for
from test_shop import ended, new_product, new_user, place

SHOP = ROOT / "examples" / "shop"
# By the specification: 24 to 64 random bytes, and the seed of an Ed25519 key.
KEYS = {"new.key": "whsec_" + base64.b64encode(b"n" * 32).decode(), "old.key": "whsec_" + base64.b64encode(b"o" * 24).decode(),
        "private.key": "whsk_" + base64.b64encode(b"p" * 32).decode()}
TYPES = ("OrderCreated", "OrderConfirmed", "OrderCancelled")


class Receiver:
    """Answers each path as the test says: a list of statuses, one for each request, the last for all that follow."""

    def __init__(self):
        self.heard, self.raw, self.answers = [], [], collections.defaultdict(lambda: [204])
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answers = receiver.answers[self.path]
                status = answers.pop(0) if len(answers) > 1 else answers[0]
                receiver.raw.append((self.path, {name.lower(): text for name, text in self.headers.items()}, body))
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
    for name, key in KEYS.items():
        (folder / name).write_text(key + "\n")
        (folder / name).chmod(0o600)
    text, count = re.subn(
        r"notifications: \{ program: ([^ ]*) \}",
        r"notifications: { program: \1, outside: anywhere, outside_http: true, "
        f"outside_ports: [{receiver.server.server_port}], outside_hosts: [127.0.0.1], "
        "outside_keys: [{host: 127.0.0.1, files: [new.key, private.key, old.key]}]}", text)
    assert count == 1
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


def verified(key, headers, body, tolerance_s=300):
    """What a receiver does with one key, by the specification of Standard Webhooks, and by nothing of ours."""
    at = int(headers["webhook-timestamp"])
    if abs(time.time() - at) > tolerance_s:
        return False
    content = f"{headers['webhook-id']}.{at}.".encode() + body
    secret = base64.b64decode(key.split("_", 1)[1])
    for one in headers["webhook-signature"].split(" "):
        version, signature = one.split(",", 1)
        if version == "v1" and key.startswith("whsec_"):
            if hmac.compare_digest(base64.b64decode(signature), hmac.digest(secret, content, hashlib.sha256)):
                return True
        if version == "v1a" and key.startswith("whsk_"):
            try:
                public = ed25519.Ed25519PrivateKey.from_private_bytes(secret).public_key()
                public.verify(base64.b64decode(signature), content)
                return True
            except InvalidSignature:
                pass
    return False


def delivered(shop, receiver, path):
    """What comes to a webhook of an order, as it comes."""
    hook = webhook(shop, receiver.url + path, "OrderConfirmed")
    ordered(shop)
    wait_for("it is delivered", lambda: statuses(shop, hook) == ["DELIVERED"])
    return [(headers, body) for at, headers, body in list(receiver.raw) if at == path]


def test_a_receiver_verifies_by_any_of_the_keys(shop, receiver):
    receiver.answers["/signed"] = [500, 500, 204]
    told = delivered(shop, receiver, "/signed")
    assert len(told) >= 3
    for headers, body in told:
        for name, key in KEYS.items():
            assert verified(key, headers, body), name
            assert not verified(key, headers, body + b" ")
            assert not verified(key, headers | {"webhook-id": headers["webhook-id"] + "0"}, body)
            assert not verified(key, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}, body)
        assert not verified("whsec_" + base64.b64encode(b"x" * 32).decode(), headers, body)
        assert re.fullmatch(r"msg_[0-9a-f]{32}", headers["webhook-id"])
    assert len({headers["webhook-id"] for headers, _ in told}) == 1, "it names the message, not the attempt"
    stamps = [int(headers["webhook-timestamp"]) for headers, _ in told]
    assert stamps == sorted(stamps)
    assert not any(key.split("_")[1] in shop.logs() for key in KEYS.values())


def test_an_upgrade_reads_the_keys_again(shop, receiver):
    """A file that can't be used refuses it: nothing is sent unsigned, or with some of the keys alone."""
    file = pathlib.Path(shop.file).parent / "old.key"
    fresh = "whsec_" + base64.b64encode(b"f" * 32).decode()
    try:
        for key, why in (("whsec_c2hvcnQ=", "holds no key for webhooks"), (fresh, None)):
            file.write_text(key)
            done = shop.command("upgrade", "notifications", "--state", shop.state, check=False)
            assert (done.returncode == 0) == (why is None) and (why or "") in done.stderr, done
            for headers, body in delivered(shop, receiver, f"/upgraded-{done.returncode}"):
                assert all(verified(KEYS[name], headers, body) for name in ("new.key", "private.key"))
                assert verified(fresh, headers, body) == (why is None)
                assert verified(KEYS["old.key"], headers, body) == (why is not None)
    finally:
        file.write_text(KEYS["old.key"])
        shop.command("upgrade", "notifications", "--state", shop.state)


def test_a_host_that_is_not_listed_is_refused_when_it_is_named(shop):
    for url, why in (("https://127.0.0.2/", "outside_hosts"), ("https://127.0.0.1.example/", "outside_hosts")):
        answer = shop.call("notifications", "POST", "/api/webhooks", {"url": url, "type": "OrderCreated"})
        assert answer.status == 422 and why in answer.body["errors"][0]["detail"], answer


def test_a_key_that_others_can_read_is_refused(tmp_path):
    folder = tmp_path / "shop"
    shutil.copytree(SHOP, folder)
    programs = pathlib.Path(FREEHOLD).parent / "examples" / "shop"
    text = re.sub(r"program: (\w+)", rf"program: {programs}/\1", (folder / "freehold.yaml").read_text())
    for mode, host, key, why in ((0o644, "a.example", KEYS["new.key"], "Others can use the key"),
                                 (0o600, "a.example", "whsec_c2hvcnQ=", "holds no key for webhooks"),
                                 (0o600, "'*'", KEYS["new.key"], "could pose as this system"),
                                 (0o600, "'*'", KEYS["private.key"], None)):
        (folder / "a.key").write_text(key)
        (folder / "a.key").chmod(mode)
        (folder / "freehold.yaml").write_text(re.sub(
            r"notifications: \{ program: ([^ ]*) \}",
            rf"notifications: {{ program: \1, outside_keys: [{{host: {host}, files: [a.key]}}] }}", text))
        checked = subprocess.run([FREEHOLD, "check", folder / "freehold.yaml"], capture_output=True, text=True)
        said = checked.stdout + checked.stderr
        assert (checked.returncode == 0) == (why is None), said
        assert why is None or why in said, said
        assert key.split("_")[1] not in said


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
    found = shop.call("notifications", "GET", "/api/webhooks?limit=500").body
    assert [other["active"] for other in found if other["id"] == hook["id"]] == [False]
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
    answer = shop.call("notifications", "POST", "/api/webhooks", {"url": f"{receiver.url}/x", "type": "OrderCreated"})
    assert answer.status == 422 and "outside_http" in answer.body["errors"][0]["detail"], answer
    hook = webhook(shop, f"{receiver.url.replace('http:', 'https:')}/inside", "OrderConfirmed")
    ordered(shop)
    wait_for("a delivery is under way", lambda: statuses(shop, hook) == ["PENDING"])
    wait_for("it says why", lambda: "public Internet" in shop.logs())
    assert not receiver.at("/inside")
