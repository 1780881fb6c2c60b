# SPDX-License-Identifier: Apache-2.0
"""The gateway before a real provider of OpenID Connect, Keycloak: its users' tokens, its keys when they are rotated, its
sessions when they end, and it being away."""

import base64
import json

import pytest

import keycloak as provider
from conftest import wait_for
from keycloak import ALGORITHMS, AUDIENCE, GATEWAY, GATEWAY_SECRET, USERS, Keycloak
from test_authentication import DEMANDING, SECRET, bearer, problem_of, user_of
from test_gateway import Gateway, Service, echo, started  # noqa: F401


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    keycloak = Keycloak(provider.install(), tmp_path_factory.mktemp("provider"))
    yield keycloak
    keycloak.close()


@pytest.fixture
def keycloak(one):
    return one if one.process else one.run()


def gateway_for(started, auth):
    stock = started(Service(echo))
    gateway = started(Gateway(started.folder, {"stock": (stock.port, DEMANDING)}, more={
        "outside": "anywhere", "keys": {"calls": {"stock": "22" * 32}, "user_secret": SECRET}, "auth": auth}))
    gateway.stock = stock
    return gateway


def verifying(started, keycloak):
    """A gateway that verifies signatures, and has the keys already."""
    gateway = gateway_for(started, {"jwt": [{
        "issuer": keycloak.issuer, "audience": AUDIENCE, "roles": "realm_access.roles", "claims": ["azp"],
        "leeway_s": 0}]})
    token = keycloak.token()
    wait_for("a token is taken", lambda: ask(gateway, token).status == 200)
    return gateway


def asking(started, keycloak, **settings):
    """A gateway that asks of each token."""
    return gateway_for(started, {"introspection": {
        "endpoint": f"{keycloak.endpoint}/token/introspect", "client": GATEWAY, "secret": GATEWAY_SECRET,
        "audience": AUDIENCE, "issuer": keycloak.issuer, "roles": "realm_access.roles", "leeway_s": 0, **settings}})


def ask(gateway, token, path="/api/mine"):
    return gateway.get(path, headers=bearer(token))


def header_of(token):
    head = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))


def forged(token):
    """With another signature."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_service_is_told_who_the_user_is(started, keycloak, algorithm):
    gateway = verifying(started, keycloak)
    token = keycloak.token("alice", algorithm)
    assert header_of(token)["alg"] == algorithm
    answer = ask(gateway, token, "/api/stock")
    assert answer.status == 200, answer.data
    assert "authorization" not in answer.json["headers"]
    user = user_of(answer)
    assert user.pop("iat") and user.pop("exp")
    assert sorted(user.pop("scopes")) == ["openid", "stock:read"]
    assert user == {"sub": USERS["alice"], "iss": keycloak.issuer, "via": "jwt", "roles": ["staff"],
                    "claims": {"azp": algorithm}}
    # Somebody without the role.
    assert user_of(ask(gateway, keycloak.token("bob", algorithm)))["sub"] == USERS["bob"]
    answer = ask(gateway, keycloak.token("bob", algorithm), "/api/stock")
    assert answer.status == 403 and problem_of(answer) == "user-not-granted"


def test_what_is_no_token_for_this_system_is_refused(started, keycloak):
    gateway = verifying(started, keycloak)
    tokens, asked = keycloak.log_in("alice", "ES256"), len(gateway.stock.asked)
    head, claims, signature = tokens["access_token"].split(".")
    other = keycloak.token("bob").split(".")[1]
    named = keycloak.log_in("alice", AUDIENCE)  # a client of that name: its ID token is for it, too
    for token in (keycloak.token("alice", "elsewhere"), tokens["refresh_token"], tokens["id_token"], named["id_token"],
                  forged(tokens["access_token"]), f"{head}.{other}.{signature}", f"{head}.{claims}."):
        answer = ask(gateway, token, "/api/open")
        assert answer.status == 401 and problem_of(answer) == "credentials-refused"
    assert len(gateway.stock.asked) == asked


def test_a_token_that_has_expired_is_refused(started, keycloak):
    gateway = verifying(started, keycloak)
    token = keycloak.token("alice", "brief")
    wait_for("it has expired", lambda: ask(gateway, token, "/api/open").status == 401)
    assert ask(gateway, keycloak.token(), "/api/open").status == 200

    def told():
        gateway.log.seek(0)
        return "The token has expired" in gateway.log.read()
    wait_for("the log says why", lambda: ask(gateway, token).status == 401 and told())


def test_keys_are_rotated(started, keycloak):
    gateway = verifying(started, keycloak)
    old = keycloak.token()
    unseen = keycloak.token("bob")
    keycloak.add_key("newer", "ecdsa-generated", {"ecdsaEllipticCurveKey": ["P-256"]}, 200)
    new = keycloak.token()
    assert header_of(new)["kid"] != header_of(old)["kid"]
    assert [ask(gateway, token).status for token in (new, old, unseen)] == [200] * 3
    # The old key is withdrawn: with the next fetch, which a third one brings about, it counts no more.
    keycloak.remove_key(header_of(old)["kid"])
    keycloak.add_key("newest", "ecdsa-generated", {"ecdsaEllipticCurveKey": ["P-256"]}, 300)
    newest = keycloak.token()
    wait_for("the newest key's token is taken", lambda: ask(gateway, newest).status == 200)
    assert [ask(gateway, token).status for token in (new, old, unseen)] == [200, 401, 401]


def test_a_session_that_was_ended_counts_no_more_where_the_provider_is_asked(started, keycloak):
    gateway = asking(started, keycloak, kept_s=1, away_s=0)
    tokens = keycloak.log_in("alice", AUDIENCE)  # a client of that name: Keycloak says that all three are for it
    answer = ask(gateway, tokens["access_token"], "/api/stock")
    assert answer.status == 200, answer.data
    user = user_of(answer)
    assert (user["sub"], user["via"], user["iss"]) == (USERS["alice"], "introspection", keycloak.issuer)
    assert user["roles"] == ["staff"] and sorted(user["scopes"]) == ["openid", "stock:read"]
    assert ask(gateway, keycloak.token("bob"), "/api/stock").status == 403
    other = keycloak.token()
    for token in (keycloak.token("alice", "elsewhere"), tokens["refresh_token"], tokens["id_token"], "opaque"):
        assert ask(gateway, token, "/api/open").status == 401
    keycloak.log_out(tokens, AUDIENCE)
    wait_for("it is refused", lambda: ask(gateway, tokens["access_token"]).status == 401)
    assert ask(gateway, other).status == 200  # of another session of hers


def test_a_client_that_the_provider_does_not_know_lets_nobody_in(started, keycloak):
    gateway = asking(started, keycloak, secret="another")
    answer = ask(gateway, keycloak.token())
    assert answer.status == 503 and problem_of(answer) == "credentials-undecided"


def test_a_provider_that_is_stopped_costs_nobody_with_a_good_token(started, keycloak):
    """The last one: Keycloak would be started anew, with other keys, for one that comes after it."""
    gateway, known, unseen = verifying(started, keycloak), keycloak.token(), keycloak.token("bob")
    elsewhere = keycloak.token("alice", "elsewhere")
    assert ask(gateway, known).status == 200
    keycloak.close()
    assert ask(gateway, known).status == 200
    assert user_of(ask(gateway, unseen))["sub"] == USERS["bob"]
    assert ask(gateway, elsewhere).status == ask(gateway, forged(known)).status == 401
