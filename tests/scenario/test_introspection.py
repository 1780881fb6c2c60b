# SPDX-License-Identifier: Apache-2.0
"""Opaque tokens: a provider that is asked of them answers, is slow, goes away, or lies."""

import base64
import concurrent.futures
import json
import threading
import time
import urllib.parse

import pytest

from conftest import wait_for
from test_authentication import DEMANDING, SECRET, bearer, problem_of, user_of
from test_gateway import Gateway, Service, echo, started  # noqa: F401

CLIENT, PASSWORD = "shop gateway", "s3cr3t:/%+ü"


class Introspection:
    """`tokens` maps a token to what is said of it; what it has none of is not active. `answer` may be replaced."""

    def __init__(self, tokens=None):
        self.tokens, self.service = tokens or {}, Service(self.answer)

    def answer(self, method, target, headers, body):
        said = self.tokens.get(self.token_of(body), {"active": False})
        return said if isinstance(said, tuple) or said is None else (200, {}, said)

    @staticmethod
    def token_of(body):
        return urllib.parse.parse_qs(body.decode())["token"][0]

    def asked(self, token=None):
        return [one for one in self.service.asked if token in (None, self.token_of(one[3]))]

    def close(self):
        self.service.close()


def gateway_for(started, provider, auth=None, **settings):
    users = started(Service(echo))
    introspection = {"endpoint": f"http://127.0.0.1:{provider.service.port}/introspect", "client": CLIENT,
                     "secret": PASSWORD, "audience": "shop", **settings}
    gateway = started(Gateway(started.folder, {"users": (users.port, DEMANDING)}, more={
        "outside": "anywhere", "keys": {"calls": {"users": "22" * 32}, "user_secret": SECRET},
        "auth": {"introspection": introspection, **(auth or {})}}))
    gateway.users = users
    return gateway


def good(sub="alice", **claims):
    return {"active": True, "sub": sub, "aud": "shop", "exp": int(time.time()) + 600, **claims}


def ask(gateway, token, path="/api/mine"):
    return gateway.get(path, headers=bearer(token))


def log_of(gateway):
    gateway.log.seek(0)
    return gateway.log.read()


def test_a_provider_says_whose_a_token_is_and_is_asked_once(started):
    provider = started(Introspection({"t+/~=": good(scope="stock:read x", roles=["staff"], email="a@example.org",
                                                    iss="https://id.example", token_type="bearer")}))
    gateway = gateway_for(started, provider, issuer="https://id.example", subjects="id/", claims=["email"])
    answer = ask(gateway, "t+/~=", "/api/stock")
    assert answer.status == 200, answer.data
    user = user_of(answer)
    assert user.pop("iat") and user.pop("exp")
    assert user == {"sub": "id/alice", "iss": "https://id.example", "via": "introspection", "scopes": ["stock:read", "x"],
                    "roles": ["staff"], "claims": {"email": "a@example.org"}}
    assert "authorization" not in answer.json["headers"]
    method, target, headers, body = provider.asked()[0]
    assert (method, target, headers["Content-Type"]) == ("POST", "/introspect", "application/x-www-form-urlencoded")
    assert urllib.parse.parse_qs(body.decode()) == {"token": ["t+/~="], "token_type_hint": ["access_token"]}
    client, _, secret = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
    assert (urllib.parse.unquote(client), urllib.parse.unquote(secret)) == (CLIENT, PASSWORD)
    for _ in range(5):
        assert ask(gateway, "t+/~=").status == 200
        assert ask(gateway, "none").status == 401
    assert len(provider.asked("t+/~=")) == len(provider.asked("none")) == 1
    assert PASSWORD not in log_of(gateway) and "t+/~=" not in log_of(gateway)


@pytest.mark.parametrize("said", [
    {"active": False}, good(aud="other"), good(aud=["a", "b"]), good(aud=None), good(aud={"shop": 1}), good(sub=None),
    good(sub=""), good(sub=7), good(sub="a\nb"), good(sub="x" * 256), good(iss="https://other.example"),
    good(exp=int(time.time()) - 1), good(exp="tomorrow"), good(exp=1e300), good(nbf=int(time.time()) + 86400),
    good(token_type="refresh_token"), good(token_type="DPoP"), good(token_type=1), good(scope=" ".join(map(str, range(65))))])
def test_a_token_that_is_for_somebody_else_or_nobody_is_refused(started, said):
    provider = started(Introspection({"t": {name: value for name, value in said.items() if value is not None}}))
    gateway = gateway_for(started, provider, issuer="https://id.example")
    for _ in range(3):
        answer = ask(gateway, "t", "/api/open")
        assert answer.status == 401 and problem_of(answer) == "credentials-refused"
    assert len(provider.asked()) == 1 and not gateway.users.asked


HOSTILE = {
    "text": good(active="true"), "number": good(active=1), "absent": {"sub": "alice", "aud": "shop"}, "list": [good()],
    "nothing": (200, {}, ""), "no json": (200, {}, "active"), "twice": (200, {}, '{"active":true,"active":false}'),
    "deep": (200, {}, '{"active":true,"x":' + "[" * 5000 + "]" * 5000 + "}"),
    "huge": (200, {}, '{"active":true,"sub":"alice","aud":"shop","x":"' + "x" * 70000 + '"}'),
    "nul": (200, {}, '{"active":true,"sub":"alice\\u0000bob","aud":"shop"}'), "not found": (404, {}, good()),
    "unauthorized": (401, {}, good()), "error": (500, {}, good()), "moved": (307, {"Location": "/other"}, good()),
    "created": (201, {}, good()), "cut": None}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_answer_that_says_nothing_lets_nobody_in_and_refuses_nobody(started, kind):
    provider = started(Introspection({"t": HOSTILE[kind]}))
    gateway = gateway_for(started, provider)
    answer = ask(gateway, "t", "/api/open")
    assert answer.status == 503 and answer.headers["Retry-After"] and problem_of(answer) == "credentials-undecided"
    assert not gateway.users.asked and log_of(gateway).count("introspection-silent") == 1
    assert {target for target in provider.service.targets()} == {"/introspect"}
    provider.tokens["t"] = good()
    wait_for("it is taken", lambda: ask(gateway, "t").status == 200)
    assert "introspection-answers" in log_of(gateway)


def test_an_answer_counts_no_longer_than_the_token(started):
    """Where the provider is away, too, which would otherwise keep it for long."""
    exp = int(time.time()) + 3
    provider = started(Introspection({"short": good(exp=exp), "long": good(sub="bob")}))
    gateway = gateway_for(started, provider, kept_s=300, away_s=3600)
    assert ask(gateway, "short").status == ask(gateway, "long").status == 200
    provider.service.answer = lambda *request: None
    seen = []

    def ended():
        before = time.time()
        status = ask(gateway, "short").status
        seen.append((before, status))
        return status != 200
    wait_for("it has ended", ended)
    assert all(before < exp for before, status in seen if status == 200) and seen[-1][1] == 503
    assert ask(gateway, "long").status == 200


def test_answers_are_asked_for_again(started):
    provider = started(Introspection({"t": good()}))
    gateway = gateway_for(started, provider, kept_s=1)
    assert ask(gateway, "t").status == 200 and ask(gateway, "later").status == 401
    provider.tokens = {"later": good(sub="bob")}
    wait_for("a token that was withdrawn is refused", lambda: ask(gateway, "t").status == 401)
    wait_for("a token that is known now is taken", lambda: ask(gateway, "later").status == 200)


def test_a_provider_that_is_away_costs_those_whom_it_knew_nothing_for_a_while(started):
    provider = started(Introspection({"t": good()}))
    gateway = gateway_for(started, provider, kept_s=1, away_s=600)
    assert ask(gateway, "t").status == 200 and ask(gateway, "bad").status == 401
    provider.service.answer = lambda *request: None
    wait_for("it has been asked again", lambda: ask(gateway, "t").status == 200 and len(provider.asked("t")) > 1)
    assert user_of(ask(gateway, "t"))["sub"] == "alice"
    assert ask(gateway, "new").status == 503
    # What was refused is not known any more, and not let in either.
    wait_for("nobody can tell", lambda: ask(gateway, "bad").status == 503)
    assert gateway.get("/api/open").status == 200
    provider.service.answer = provider.answer
    provider.tokens["t"] = {"active": False}
    wait_for("it is refused when the provider says so", lambda: ask(gateway, "t").status == 401)


def test_no_longer_than_the_system_file_says(started):
    provider = started(Introspection({"t": good()}))
    gateway = gateway_for(started, provider, kept_s=1, away_s=1)
    assert ask(gateway, "t").status == 200
    provider.service.answer = lambda *request: None
    wait_for("the grace is over", lambda: ask(gateway, "t").status == 503)


def test_a_provider_that_hangs_is_asked_once_for_all_who_wait(started):
    provider, go_on = started(Introspection({"t": good()})), threading.Event()

    def slow(*request):
        go_on.wait(60)
        return provider.answer(*request)
    provider.service.answer = slow
    gateway = gateway_for(started, provider)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        asking = [pool.submit(ask, gateway, "t") for _ in range(20)]
        wait_for("it was asked", provider.asked)
        assert gateway.get("/api/open").status == 200  # nobody else waits
        go_on.set()
        assert {one.result().status for one in asking} == {200}
    assert len(provider.asked()) == 1


def test_tokens_that_are_no_good_drive_out_none_that_is(started):
    provider = started(Introspection({"t": good()}))
    gateway = gateway_for(started, provider)
    assert ask(gateway, "t").status == 200
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: ask(gateway, f"forged-{i}").status, range(400)))
    assert set(answers) <= {401, 503}
    assert ask(gateway, "t").status == 200 and len(provider.asked("t")) == 1


def test_no_key_is_told_to_the_provider(started):
    provider = started(Introspection())
    gateway = gateway_for(started, provider)
    assert ask(gateway, "fhk_" + "a" * 43).status == 401
    assert not provider.asked()
    assert ask(gateway, "a.b.c").status == 401 and len(provider.asked()) == 1


@pytest.mark.parametrize("wrong", [{"endpoint": "http://id.example/x"}, {"audience": None}, {"kept_s": 0},
                                   {"kept_s": 301}, {"away_s": -1}, {"client": None}])
def test_a_configuration_that_can_not_be_trusted_is_refused(started, wrong):
    provider = started(Introspection())
    with pytest.raises(AssertionError, match="introspection|kept_s"):
        gateway_for(started, provider, **wrong)


def test_any_audience_is_taken_where_the_configuration_says_so(started):
    provider = started(Introspection({"t": {"active": True, "sub": "alice"}}))
    gateway = gateway_for(started, provider, audience="*")
    assert json.loads(ask(gateway, "t").data) and user_of(ask(gateway, "t"))["sub"] == "alice"
