# SPDX-License-Identifier: Apache-2.0
"""The gateway finds out who its clients are: tokens of providers that answer, rotate their keys, are away, or lie."""

import base64
import concurrent.futures
import hashlib
import json
import time

import pytest

from conftest import free_port, wait_for
from provider import Key, Provider
from test_gateway import Gateway, Service, echo, started  # noqa: F401

SECRET = "11" * 32
ROUTES = [("GET", "/api/open"), ("POST", "/api/open")]


def gateway_for(started, provider, auth=None, routes=ROUTES, compose=(), **issuer):
    users = started(Service(echo))
    jwt = {"issuer": provider.issuer, "audience": "shop", "roles": "realm_access.roles", "claims": ["email"], **issuer}
    more = {"outside": "anywhere", "keys": {"calls": {"users": "22" * 32}, "user_secret": SECRET},
            "auth": {"jwt": [jwt], **(auth or {})}}
    gateway = started(Gateway(started.folder, {"users": (users.port, routes)}, compose, more))
    gateway.users = users
    return gateway


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def user_of(answer):
    """Who the service behind was told it is."""
    version, identity, _ = answer.json["headers"]["freehold-user"].split(".")
    assert version == "1"
    return json.loads(base64.urlsafe_b64decode(identity + "=="))


def ready(gateway, provider):
    """Its keys are there: a token is taken."""
    token = provider.token()
    wait_for("a token is taken", lambda: gateway.get("/api/open", headers=bearer(token)).status == 200)
    return token


def problem_of(answer):
    return answer.json["type"].removeprefix("urn:freehold:problem:")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_service_is_told_who_asks(started, algorithm):
    provider = started(Provider(algorithm))
    gateway = gateway_for(started, provider)
    ready(gateway, provider)
    token = provider.token(scope="orders:read stock:set", realm_access={"roles": ["staff"]}, email="a@example.org",
                           secret="kept")
    answer = gateway.get("/api/open", headers={**bearer(token), "Freehold-User": "1.e30.AAAA"})
    assert answer.status == 200, answer.data
    user = user_of(answer)
    assert user.pop("iat") and user.pop("exp")
    assert user == {"sub": "alice", "iss": provider.issuer, "via": "jwt", "scopes": ["orders:read", "stock:set"],
                    "roles": ["staff"], "claims": {"email": "a@example.org"}}
    assert "authorization" not in answer.json["headers"]
    # Nobody, and somebody else.
    assert "freehold-user" not in gateway.get("/api/open").json["headers"]
    other = gateway.get("/api/open", headers=bearer(provider.token(sub="bob")))
    assert user_of(other)["sub"] == "bob"


def test_a_gateway_without_auth_passes_credentials_on(started):
    users = started(Service(echo))
    gateway = started(Gateway(started.folder, {"users": (users.port, ROUTES)}))
    headers = gateway.get("/api/open", headers=bearer("x")).json["headers"]
    assert headers["authorization"] == "Bearer x" and "freehold-user" not in headers


def test_credentials_are_passed_on_where_the_system_file_says_so(started):
    provider = started(Provider())
    gateway = gateway_for(started, provider, {"forward": True})
    token = ready(gateway, provider)
    answer = gateway.get("/api/open", headers=bearer(token))
    assert answer.json["headers"]["authorization"] == f"Bearer {token}" and user_of(answer)


def test_credentials_that_are_no_good_are_refused_and_not_told_why(started):
    provider = started(Provider())
    gateway = gateway_for(started, provider)
    token = ready(gateway, provider)
    now = int(time.time())
    forger = Key("first", "RS256")
    bad = [provider.token(exp=now - 100), provider.token(nbf=now + 100), provider.token(aud="other"),
           provider.token(iss="https://other.example"), provider.token(exp=None), provider.token(sub=None),
           provider.token(key=forger), provider.token(header={"alg": "none"}), token[:-2], token + "A", token + "=",
           token.rsplit(".", 1)[0] + ".", "a.b.c", "opaque", "fhk_nothing", "x" * 9000]
    asked = len(gateway.users.asked)
    answers = [gateway.get("/api/open", headers=bearer(one)) for one in bad]
    answers += [gateway.get("/api/open", headers={"Authorization": value})
                for value in ("Basic YTpi", "Bearer", "Bearer ", f"Bearer {token} x", token, f"Bearer {token},{token}")]
    assert [answer.status for answer in answers] == [401] * len(answers)
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer error="invalid_token"'}
    assert len({answer.data for answer in answers}) == 1 and problem_of(answers[0]) == "credentials-refused"
    assert len(gateway.users.asked) == asked
    # The log says why, without the token, and not once for each.
    gateway.log.seek(0)
    log = gateway.log.read()
    assert log.count("credentials-refused") < len(answers)
    assert token[:20] not in log and token[-20:] not in log


def test_two_sets_of_credentials_are_refused(started):
    provider = started(Provider())
    gateway = gateway_for(started, provider)
    token = ready(gateway, provider)
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    connection.putrequest("GET", "/api/open")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Authorization", "Bearer x")
    connection.endheaders()
    assert connection.getresponse().status in (400, 401)
    connection.close()


def test_a_provider_that_is_away_at_the_start_refuses_nobody(started):
    provider = Provider()
    provider.close()
    gateway = gateway_for(started, provider)
    token = provider.token()
    answer = gateway.get("/api/open", headers=bearer(token))
    assert answer.status == 503 and answer.headers["Retry-After"] and problem_of(answer) == "credentials-undecided"
    assert gateway.get("/api/open").status == 200
    # What no key could mend is refused all the same.
    assert gateway.get("/api/open", headers=bearer(provider.token(aud="other"))).status == 401
    back = Provider(port=provider.port)
    back.keys = provider.keys
    started(back)
    wait_for("its token is taken", lambda: gateway.get("/api/open", headers=bearer(token)).status == 200)


def test_a_provider_that_goes_away_later_costs_nobody_with_a_good_token(started):
    provider = started(Provider())
    gateway = gateway_for(started, provider)
    ready(gateway, provider)
    provider.service.answer = lambda *request: None  # it breaks every connection
    for sub in ("alice", "bob", "carol"):
        answer = gateway.get("/api/open", headers=bearer(provider.token(sub=sub)))
        assert user_of(answer)["sub"] == sub
    stranger = provider.token(key=Key("newer", "RS256"))
    wait_for("a token with an unknown key can't be judged",
             lambda: gateway.get("/api/open", headers=bearer(stranger)).status == 503)


def test_keys_are_rotated(started):
    provider = started(Provider())
    gateway = gateway_for(started, provider)
    old = ready(gateway, provider)
    provider.keys.append(Key("second", "ES256"))
    new = provider.token()
    wait_for("the new key's token is taken", lambda: gateway.get("/api/open", headers=bearer(new)).status == 200)
    assert gateway.get("/api/open", headers=bearer(old)).status == 200
    # The first one is withdrawn: what it signed counts no more, though it was verified before.
    provider.keys = [provider.keys[1], Key("third", "RS256")]
    newest = provider.token()
    wait_for("the third key's token is taken", lambda: gateway.get("/api/open", headers=bearer(newest)).status == 200)
    assert gateway.get("/api/open", headers=bearer(old)).status == 401
    assert gateway.get("/api/open", headers=bearer(new)).status == 200


def test_unknown_keys_do_not_storm_the_provider(started):
    provider = started(Provider())
    gateway = gateway_for(started, provider)
    ready(gateway, provider)
    fetched, began = provider.fetched(), time.monotonic()
    strangers = [provider.token(header={"kid": f"k{i}"}) for i in range(200)]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda token: gateway.get("/api/open", headers=bearer(token)).status, strangers))
    assert set(answers) == {401}
    assert provider.fetched() - fetched <= 4 + (time.monotonic() - began) / 5


@pytest.mark.parametrize("lie", [
    {"issuer": "https://other.example", "jwks_uri": "/keys"}, {"jwks_uri": "/keys"}, {"issuer": True}, [], "x",
    {"issuer": None, "jwks_uri": "http://example.org/keys"}, {"issuer": None, "jwks_uri": "file:///etc/passwd"}])
def test_a_provider_that_tells_of_others_keys_is_not_believed(started, lie):
    provider = started(Provider())

    def answer(method, target, headers, body):
        if "openid" not in target:
            return provider.answer(method, target, headers, body)
        told = lie
        if isinstance(lie, dict):
            told = dict(lie)
            if "issuer" in told and told["issuer"] is None:
                told["issuer"] = provider.issuer
            if told.get("jwks_uri") == "/keys":
                told["jwks_uri"] = provider.issuer + "/keys"
        return 200, {}, json.dumps(told)
    provider.service.answer = answer
    gateway = gateway_for(started, provider)
    wait_for("it asked", lambda: provider.service.asked)
    assert gateway.get("/api/open", headers=bearer(provider.token())).status == 503
    assert provider.fetched() == 0


def test_keys_from_the_configuration_need_no_provider(started):
    provider = Provider("EdDSA")
    provider.close()
    gateway = gateway_for(started, provider, issuer="shop-login", keys={"keys": [provider.keys[0].jwk()]})
    provider.issuer = "shop-login"
    assert user_of(gateway.get("/api/open", headers=bearer(provider.token())))["iss"] == "shop-login"
    assert gateway.get("/api/open", headers=bearer(provider.token(key=Key("other", "EdDSA")))).status == 401


def test_algorithms_may_be_restricted(started):
    provider = started(Provider("PS256"))
    provider.keys[0].algorithm = "RS256"
    bare = provider.keys[0].jwk()
    bare.pop("alg")
    provider.service.answer = lambda method, target, headers, body: (
        (200, {}, {"keys": [bare]}) if target == "/keys" else provider.answer(method, target, headers, body))
    gateway = gateway_for(started, provider, algorithms=["PS256"])
    wait_for("its keys are there", lambda: provider.fetched())
    assert gateway.get("/api/open", headers=bearer(provider.token())).status == 401
    provider.keys[0].algorithm = "PS256"
    ready(gateway, provider)


def test_parts_of_a_composition_are_told_who_asks(started):
    provider = started(Provider())
    gateway = gateway_for(started, provider, compose=[
        {"path": "/api/both", "parts": [{"name": "one", "get": "users /api/open", "required": True},
                                        {"name": "two", "get": "users /api/open"}]}])
    token = ready(gateway, provider)
    whole = gateway.get("/api/both", headers=bearer(token))
    assert whole.status == 200, whole.data
    for part in whole.json.values():
        assert "freehold-user" in part["headers"] and "authorization" not in part["headers"]
    assert gateway.get("/api/both", headers=bearer("x.y.z")).status == 401


# ---- What routes demand ------------------------------------------------------------------------

DEMANDING = [("GET", "/api/open", "public", 10000, "anyone"), ("GET", "/api/mine", "public", 10000, "user"),
             ("GET", "/api/stock", "public", 10000, "scope:stock:read role:staff")]


def test_what_a_route_demands_is_enforced_at_the_door(started):
    provider = started(Provider("EdDSA"))
    gateway = gateway_for(started, provider, routes=DEMANDING)
    plain = bearer(ready(gateway, provider))
    asked = len(gateway.users.asked)
    for path in ("/api/mine", "/api/stock"):
        answer = gateway.get(path)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer", answer.data
        assert problem_of(answer) == "user-missing"
    lacking = [plain, bearer(provider.token(scope="stock:read")),
               bearer(provider.token(realm_access={"roles": ["staff"]})),
               bearer(provider.token(scope="stock:reads", realm_access={"roles": ["staff"]})),
               bearer(provider.token(scope="staff", realm_access={"roles": ["stock:read"]}))]
    for headers in lacking:
        answer = gateway.get("/api/stock", headers=headers)
        assert answer.status == 403 and problem_of(answer) == "user-not-granted", answer.data
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="stock:read"'
    assert len(gateway.users.asked) == asked
    assert gateway.get("/api/mine", headers=plain).status == 200
    granted = bearer(provider.token(scope="stock:read", realm_access={"roles": ["staff"]}))
    assert gateway.get("/api/stock", headers=granted).status == 200


def test_a_composition_demands_what_its_required_parts_do(started):
    provider = started(Provider("EdDSA"))
    gateway = gateway_for(started, provider, routes=DEMANDING, compose=[
        {"path": "/api/needed", "parts": [{"name": "open", "get": "users /api/open", "required": True},
                                          {"name": "mine", "get": "users /api/mine", "required": True}]},
        {"path": "/api/optional", "parts": [{"name": "open", "get": "users /api/open", "required": True},
                                            {"name": "stock", "get": "users /api/stock"}]}])
    headers = bearer(ready(gateway, provider))
    assert gateway.get("/api/needed").status == 401
    assert gateway.get("/api/needed", headers=headers).status == 200
    assert gateway.get("/api/optional").status == 200


# ---- API keys ----------------------------------------------------------------------------------

def key_and_hash(letter):
    key = "fhk_" + letter * 43
    return key, hashlib.blake2b(key.encode(), digest_size=32).hexdigest()


def keys_gateway(started, entries):
    file = started.folder / "keys" / "clients.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"keys": entries}))
    users = started(Service(echo))
    more = {"keys": {"calls": {"users": "22" * 32}, "user_secret": SECRET}, "auth": {"keys": str(file)}}
    gateway = started(Gateway(started.folder, {"users": (users.port, DEMANDING)}, (), more))
    gateway.file, gateway.users = file, users
    return gateway


def replace_keys(gateway, text):
    """As editors do: a new file takes the old one's name."""
    new = gateway.file.with_suffix(".new")
    new.write_text(text if isinstance(text, str) else json.dumps({"keys": text}))
    new.rename(gateway.file)


def test_api_keys_are_taken_and_follow_their_file(started):
    (first, first_hash), (second, second_hash), (old, old_hash) = map(key_and_hash, "abc")
    entry = {"hash": first_hash, "subject": "reporting", "scopes": ["stock:read"], "roles": ["staff"]}
    gateway = keys_gateway(started, [entry, {"hash": old_hash, "subject": "x", "expires": "2020-01-01T00:00:00Z"}])
    answer = gateway.get("/api/stock", headers=bearer(first))
    user = user_of(answer)
    assert user.pop("iat") and user == {"sub": "reporting", "via": "key", "scopes": ["stock:read"], "roles": ["staff"]}
    for key in (second, old, first[:-1], first + "a", first.upper(), "fhk_", first_hash):
        assert gateway.get("/api/open", headers=bearer(key)).status == 401, key
    # A second one is added, then the first withdrawn: both without a restart.
    replace_keys(gateway, [entry, {"hash": second_hash, "subject": "other"}])
    wait_for("the second key is taken", lambda: gateway.get("/api/mine", headers=bearer(second)).status == 200)
    assert gateway.get("/api/mine", headers=bearer(first)).status == 200
    replace_keys(gateway, [{"hash": second_hash, "subject": "other"}])
    wait_for("the first key counts no more", lambda: gateway.get("/api/mine", headers=bearer(first)).status == 401)
    assert gateway.get("/api/stock", headers=bearer(second)).status == 403


@pytest.mark.parametrize("broken", ['{"keys": [{"hash": "x", "subject": "y"}]}', "{", "", "[]",
                                    '{"keys": [], "keys": []}', None])
def test_a_broken_file_of_keys_changes_nothing(started, broken):
    key, digest = key_and_hash("a")
    gateway = keys_gateway(started, [{"hash": digest, "subject": "reporting"}])
    if broken is None:
        gateway.file.unlink()
    else:
        replace_keys(gateway, broken)

    def told():
        gateway.log.seek(0)
        return "key-file-faulty" in gateway.log.read()
    wait_for("the log says so", told)
    assert gateway.get("/api/mine", headers=bearer(key)).status == 200
    replace_keys(gateway, [])
    wait_for("no key is left", lambda: gateway.get("/api/mine", headers=bearer(key)).status == 401)
