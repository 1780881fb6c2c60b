# SPDX-License-Identifier: Apache-2.0
"""What the gateway tells of itself and of the system: to everybody, to the inside, or to nobody."""

import contextlib
import http.client
import socket
import time

import pytest

from conftest import token
from test_gateway import Answer, Gateway, Service, echo, started  # noqa: F401

PAGES = {"metrics": "/metrics", "docs": "/docs", "openapi": "/openapi.json", "asyncapi": "/asyncapi.json"}
KEY = "ab" * 32
OPERATOR = {"keys": {"takes": {"operator": KEY}}}


def gateway_with(started, exposure, more=None, **how):
    users = started(Service(echo))
    return started(Gateway(started.folder, {"users": (users.port, [("GET", "/api/users")])},
                           more={"exposure": exposure, **OPERATOR, **(more or {})}, **how))


def statuses(gateway, headers=None, method="GET"):
    return {name: gateway.ask(method, path, headers=headers).status for name, path in PAGES.items()}


def all_of(status):
    return dict.fromkeys(PAGES, status)


def operator(**how):
    return {"Freehold-Token": token(how.pop("key", KEY), how.pop("caller", "operator"), how.pop("audience", "gateway"),
                                    **how)}


def test_what_is_inside_does_not_exist_outside(started):
    gateway = gateway_with(started, {})
    nothing = gateway.get("/nothing")
    for path in (*PAGES.values(), "/docs/docs.js", "/docs/nothing"):
        answer = gateway.get(path)
        assert (answer.status, answer.data) == (404, nothing.data), path
        assert sorted(answer.headers.keys()) == sorted(nothing.headers.keys()), path
    assert statuses(gateway, method="POST") == all_of(404)
    assert gateway.get("/livez").status == gateway.get("/readyz").status == 200


def test_the_operators_key_opens_it_and_nothing_else_does(started):
    gateway = gateway_with(started, {})
    assert statuses(gateway, operator()) == all_of(200)
    assert statuses(gateway, operator(), "POST") == all_of(405)
    now_ms = time.time_ns() // 1_000_000
    for wrong in (operator(key="cd" * 32), operator(audience="users"), operator(caller="gateway"),
                  operator(caller="users"), operator(expires_ms=now_ms - 86_400_000), {"Freehold-From": "operator"},
                  {"X-Forwarded-For": "127.0.0.1"}, {"Freehold-Token": "x"}, {"Host": "localhost"}):
        assert statuses(gateway, wrong) == all_of(404), wrong


def test_without_an_operators_key_nobody_is_an_operator(started):
    gateway = gateway_with(started, {}, {"keys": {}})
    assert statuses(gateway, operator()) == statuses(gateway, operator(key="00" * 32)) == all_of(404)


def test_each_is_public_inside_or_off(started):
    gateway = gateway_with(started, {"metrics": "off", "docs": "inside", "openapi": "public"})
    assert statuses(gateway) == {**all_of(404), "openapi": 200}
    assert statuses(gateway, operator()) == {**all_of(200), "metrics": 404}


@pytest.mark.parametrize("exposure", [{"metrics": "Public"}, {"docs": True}, {"openapi": ""}])
def test_a_word_that_is_none_is_refused(started, exposure):
    with pytest.raises(AssertionError, match='must be "inside"'):
        gateway_with(started, exposure)


def ask_at(port, path, method="GET", headers=None):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def test_a_listener_that_is_inside_shows_it_and_serves_nothing_else(started):
    with socket.create_server(("127.0.0.1", 0)) as inside:
        port = inside.getsockname()[1]
        gateway = gateway_with(started, {"asyncapi": "off"}, {"inside_fd": inside.fileno()},
                               inherited=(inside.fileno(),), door={"hosts": ["shop.example.org"]})
        found = {name: ask_at(port, path).status for name, path in PAGES.items()}
        assert found == {**all_of(200), "asyncapi": 404}
        assert ask_at(port, "/api/users").status == ask_at(port, "/nothing").status == 404
        assert ask_at(port, "/livez").status == 200
        # A name that an attacker has pointed at this machine is none of ours.
        for host, status in (("evil.example", 421), ("localhost", 200), ("10.0.0.7", 200), ("shop.example.org", 200)):
            assert ask_at(port, "/metrics", headers={"Host": host}).status == status, host
        assert ask_at(port, "/metrics", "POST", {"Origin": "https://evil.example"}).status == 403
        assert statuses(gateway, {"Host": "shop.example.org"}) == all_of(404)
        # Both drain: the gateway ends in order.
