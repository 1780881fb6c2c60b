# SPDX-License-Identifier: Apache-2.0
"""Keycloak, in development mode on a loopback port, with a realm that is imported from a file made here: a client for
each algorithm, one that the gateway asks as, users that are plainly made up, and keys that can be rotated.

Keycloak builds itself on its first start, as its configuration has it; that is done once, where it is installed. Each
one that runs has a home of its own, with links into there."""

import json
import os
import re
import secrets
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from conftest import free_port, wait_for
from installed import installed, skip

NAME = "keycloak"
JAVA_MIN = 17
MAIN = "io.quarkus.bootstrap.runner.QuarkusEntryPoint"
JAVA = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms64m", "-Xmx512m",
        "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
        "-Djava.util.concurrent.ForkJoinPool.common.threadFactory="
        "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
        "--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
        "--add-opens=java.base/java.security=ALL-UNNAMED"]
BUILT = 10  # with what it exits when it has built itself and wants to be started again
PREPARE_S_MAX = 180
REALM = "shop"
AUDIENCE = "shop"
ALGORITHMS = ("RS256", "PS256", "ES256", "ES512", "EdDSA")
USERS = {"alice": "a5a5a5a5-0000-4000-8000-000000000001", "bob": "a5a5a5a5-0000-4000-8000-000000000002"}
GATEWAY, GATEWAY_SECRET = "shop-gateway", "made up: /%+&=ü"
KEYS = [("rsa-generated", {"algorithm": ["RS256"], "keySize": ["2048"]}),
        ("rsa-generated", {"algorithm": ["PS256"], "keySize": ["2048"]}),
        ("ecdsa-generated", {"ecdsaEllipticCurveKey": ["P-256"]}),
        ("ecdsa-generated", {"ecdsaEllipticCurveKey": ["P-521"]}),
        ("eddsa-generated", {"eddsaEllipticCurveKey": ["Ed25519"]})]


# ---- Its installation --------------------------------------------------------------------------

def command_for(home, *options):
    return [*JAVA, *options, f"-Dkc.home.dir={home}", f"-Djboss.server.config.dir={home}/conf",
            "-cp", f"{home}/lib/quarkus-run.jar", MAIN]


def distribution(folder):
    return next(folder.glob("keycloak-*.*"))


def prepare(folder):
    home = distribution(folder)
    shutil.copy(folder / "keycloak.conf", home / "conf")
    done = subprocess.run([*command_for(home), "start-dev"], cwd=home, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PREPARE_S_MAX)
    assert done.returncode == BUILT, f"Keycloak does not build itself: {done.stdout[-2000:]}"


def install():
    """Its home."""
    if shutil.which("java"):
        said = subprocess.run(["java", "-version"], check=True, capture_output=True, text=True).stderr
        version = re.search(r'version "(\d+)', said)
        if version and int(version.group(1)) < JAVA_MIN:
            skip(NAME, f"java is {version.group(1)}, and must be {JAVA_MIN} (package openjdk-17-jre-headless)")
    fetched = ["mvn", "-q", "-B", "dependency:unpack-dependencies", "-DoutputDirectory=."]
    tools = {"java": "openjdk-17-jre-headless", "mvn": "maven"}
    return distribution(installed(NAME, tools, fetched, prepare))


# ---- Its realm ---------------------------------------------------------------------------------

def mapper(kind, **config):
    return {"name": kind, "protocol": "openid-connect", "protocolMapper": f"oidc-{kind}-mapper",
            "config": {"access.token.claim": "true", "introspection.token.claim": "true", **config}}


def client(name, algorithm="RS256", audience=AUDIENCE, attributes=None):
    """One that users log in at with their passwords: its tokens are for the audience."""
    return {"clientId": name, "publicClient": True, "directAccessGrantsEnabled": True, "standardFlowEnabled": False,
            "defaultClientScopes": ["basic", "roles"], "optionalClientScopes": ["stock:read"],
            "attributes": {"access.token.signed.response.alg": algorithm, **(attributes or {})},
            "protocolMappers": [mapper("audience", **{"included.custom.audience": audience})]}


def key_provider(number, kind, config, priority=100):
    return {"name": f"key {number}", "providerId": kind, "config": {"priority": [str(priority)], **config}}


def user(name, password, roles):
    return {"id": USERS[name], "username": name, "enabled": True, "firstName": name.title(), "lastName": "Made-Up",
            "email": f"{name}@users.example", "emailVerified": True, "realmRoles": roles,
            "credentials": [{"type": "password", "value": password}]}


def realm(passwords):
    clients = [client(algorithm, algorithm) for algorithm in ALGORITHMS]
    clients += [client(AUDIENCE), client("elsewhere", audience="elsewhere"),
                client("brief", attributes={"access.token.lifespan": "1"}),  # in seconds
                {"clientId": GATEWAY, "secret": GATEWAY_SECRET, "publicClient": False, "standardFlowEnabled": False}]
    return {"realm": REALM, "enabled": True, "roles": {"realm": [{"name": "staff"}]},
            "components": {"org.keycloak.keys.KeyProvider": [key_provider(number, kind, config)
                                                             for number, (kind, config) in enumerate(KEYS)]},
            "clientScopes": [
                {"name": "basic", "protocol": "openid-connect", "attributes": {"include.in.token.scope": "false"},
                 "protocolMappers": [mapper("sub")]},
                {"name": "roles", "protocol": "openid-connect", "attributes": {"include.in.token.scope": "false"},
                 "protocolMappers": [mapper("usermodel-realm-role", **{
                     "claim.name": "realm_access.roles", "multivalued": "true", "jsonType.label": "String"})]},
                {"name": "stock:read", "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}}],
            "clients": clients,
            "users": [user("alice", passwords["alice"], ["staff"]), user("bob", passwords["bob"], [])]}


# ---- One that runs -----------------------------------------------------------------------------

class Keycloak:
    def __init__(self, installed_at, place):
        self.home, self.port, self.process = place / "keycloak", free_port(), None
        self.passwords = {name: secrets.token_hex(16) for name in ("admin", *USERS)}
        self.server = f"http://127.0.0.1:{self.port}"
        self.issuer = f"{self.server}/realms/{REALM}"
        self.endpoint = f"{self.issuer}/protocol/openid-connect"
        imported = self.home / "data" / "import"
        imported.mkdir(parents=True)
        for part in ("lib", "conf", "providers", "themes"):
            (self.home / part).symlink_to(installed_at / part)
        (imported / "realm.json").write_text(json.dumps(realm(self.passwords)))

    def run(self):
        """Until it answers. What an earlier one had is gone."""
        log = self.home / "log"
        with open(log, "w") as said:
            self.process = subprocess.Popen(
                [*command_for(self.home, "-Dkc.config.built=true"), "start-dev", "--import-realm",
                 "--http-host=127.0.0.1", f"--http-port={self.port}", f"--hostname={self.server}"],
                cwd=self.home, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                env={**os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
                     "KC_BOOTSTRAP_ADMIN_PASSWORD": self.passwords["admin"]})

        def answers():
            assert self.process.poll() is None, f"Keycloak has ended: {log.read_text()[-2000:]}"
            try:
                return self.fetch(f"{self.issuer}/.well-known/openid-configuration")["issuer"] == self.issuer
            except urllib.error.URLError:
                return False
        wait_for("Keycloak answers", answers)
        return self

    @staticmethod
    def fetch(url, data=None, headers=None, method=None):
        """Its answer in JSON; None where it has none. data: a form, or JSON in bytes."""
        data = urllib.parse.urlencode(data).encode() if isinstance(data, dict) else data
        with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}, method=method),
                                    timeout=60) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def log_in(self, who, client_id, scope="openid stock:read"):
        """The tokens of a new session: access_token, refresh_token, id_token."""
        return self.fetch(f"{self.endpoint}/token", {
            "grant_type": "password", "client_id": client_id, "username": who, "password": self.passwords[who],
            "scope": scope})

    def token(self, who="alice", client_id="ES256"):
        return self.log_in(who, client_id)["access_token"]

    def log_out(self, tokens, client_id):
        self.fetch(f"{self.endpoint}/logout", {"client_id": client_id, "refresh_token": tokens["refresh_token"]})

    def administer(self, method, path, body=None):
        """At its administration API, below the realm."""
        token = self.fetch(f"{self.server}/realms/master/protocol/openid-connect/token", {
            "grant_type": "password", "client_id": "admin-cli", "username": "admin",
            "password": self.passwords["admin"]})["access_token"]
        return self.fetch(f"{self.server}/admin/realms/{REALM}{path}", json.dumps(body).encode() if body else None,
                          {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, method)

    def add_key(self, name, kind, config, priority):
        """It signs from now on, if no other of its algorithm has a higher priority."""
        parent = self.administer("GET", "")["id"]
        self.administer("POST", "/components", {**key_provider(name, kind, config, priority), "parentId": parent,
                                                "providerType": "org.keycloak.keys.KeyProvider"})

    def remove_key(self, kid):
        keys = self.administer("GET", "/keys")["keys"]
        self.administer("DELETE", f"/components/{next(key['providerId'] for key in keys if key['kid'] == kid)}")

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
