# SPDX-License-Identifier: Apache-2.0
"""The gateway before a real provider of OpenID Connect, npm's oidc-provider: its tokens, its keys when they are rotated,
and it being away."""

import base64
import json
import signal
import subprocess
import urllib.parse
import urllib.request

from conftest import free_port, wait_for
from installed import installed
from provider import Key, number
from test_authentication import DEMANDING, SECRET, bearer, user_of
from test_gateway import Gateway, Service, echo, started  # noqa: F401

COMMAND = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]


def install():
    return installed("oidc-provider", {"node": "nodejs", "npm": "npm"}, COMMAND)


def private_jwk(key):
    numbers = key.private.private_numbers()
    if key.algorithm == "ES256":
        return {**key.jwk(), "d": number(numbers.private_value, 32)}
    return {**key.jwk(), **{name: number(getattr(numbers, attribute)) for name, attribute in
                            (("d", "d"), ("p", "p"), ("q", "q"), ("dp", "dmp1"), ("dq", "dmq1"), ("qi", "iqmp"))}}


class OidcProvider:
    def __init__(self, folder, place):
        self.folder, self.place, self.port, self.process = folder, place, free_port(), None
        self.issuer = f"http://127.0.0.1:{self.port}"

    def run(self, *keys):
        """With these keys, of which the first one signs."""
        self.close()
        file = self.place / "provider-keys.json"
        file.write_text(json.dumps({"keys": [private_jwk(key) for key in keys]}))
        self.process = subprocess.Popen(["node", "server.mjs", str(self.port), str(file)], cwd=self.folder,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if line.strip() == "ready":
                return
        raise AssertionError("the provider has ended")

    def token(self):
        login = base64.b64encode(b"reporting:a%20secret%20of%20tests").decode()
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": "stock:read"}).encode()
        request = urllib.request.Request(f"{self.issuer}/token", form, {"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["access_token"]

    def close(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process.stdout.close()
            self.process = None


def test_a_real_providers_tokens_are_taken_whatever_becomes_of_it(started):
    provider = started(OidcProvider(install(), started.folder))
    first, second = Key("first", "ES256"), Key("second", "RS256")
    provider.run(first)
    users = started(Service(echo))
    gateway = started(Gateway(
        started.folder, {"users": (users.port, [*DEMANDING, ("GET", "/api/read", "public", 10000, "scope:stock:read")])},
        (), {"outside": "anywhere", "keys": {"calls": {"users": "22" * 32}, "user_secret": SECRET},
             "auth": {"jwt": [{"issuer": provider.issuer, "audience": "shop"}]}}))
    token = provider.token()
    wait_for("its token is taken", lambda: gateway.get("/api/read", headers=bearer(token)).status == 200)
    user = user_of(gateway.get("/api/read", headers=bearer(token)))
    assert (user["sub"], user["iss"], user["scopes"]) == ("reporting", provider.issuer, ["stock:read"])
    assert gateway.get("/api/stock", headers=bearer(token)).status == 403  # it has no role
    # Its keys are rotated: what either signs is taken.
    provider.run(second, first)
    rotated = provider.token()
    assert rotated.split(".")[0] != token.split(".")[0]
    assert gateway.get("/api/read", headers=bearer(rotated)).status == 200
    assert gateway.get("/api/read", headers=bearer(token)).status == 200
    # It is away: a token that was never seen here is taken all the same, forged ones are not.
    unseen = provider.token()
    provider.close()
    assert gateway.get("/api/read", headers=bearer(unseen)).status == 200
    head, claims, signature = unseen.split(".")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    assert gateway.get("/api/read", headers=bearer(f"{head}.{claims}.{flipped}")).status == 401
    # The old key is withdrawn meanwhile, and the provider comes back: it counts no more.
    provider.run(Key("third", "ES256"), second)
    newest = provider.token()
    wait_for("the third key's token is taken", lambda: gateway.get("/api/read", headers=bearer(newest)).status == 200)
    assert gateway.get("/api/read", headers=bearer(token)).status == 401
    assert gateway.get("/api/read", headers=bearer(rotated)).status == 200
