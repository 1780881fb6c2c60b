# SPDX-License-Identifier: Apache-2.0
"""The gateway gets what it needs of its operator's files, which are closed to everybody else: where it is a user of its
own, where it sees closed places only through its mount namespace, and both."""

import base64
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import urllib.parse

import pytest

from conftest import FREEHOLD, System, open_folder, wait_for
from test_client_certificates import ask, authority  # noqa: F401
from test_confinement import NO_MOUNTS
from test_identity import PROGRAMS
from test_introspection import CLIENT, Introspection, good
from test_isolation import ROOT_ONLY, SOMEBODY

BY_SOMEBODY = ("setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups")
AS_ROOT = {"namespaces": (), "no mounts": NO_MOUNTS}
WAYS = {**AS_ROOT, "not root": BY_SOMEBODY}
pytestmark = ROOT_ONLY


class Closed(System):
    """The carts behind a gateway, in an open folder; in that is `closed`, which only the operator enters."""

    def __init__(self, folder, gateway, way=()):
        self.folder, self.closed, self.way = folder, folder / "closed", way
        self.closed.mkdir(mode=0o700)
        services = {"carts": {"program": str(PROGRAMS / "carts"), "engine": "sqlite"}}
        super().__init__(folder / "freehold.yaml", folder / "state")
        pathlib.Path(self.file).write_text(json.dumps({"system": "shop", "gateway": gateway, "services": services}))
        if way == BY_SOMEBODY:
            for path in (folder, self.closed, self.file):
                os.chown(path, SOMEBODY, SOMEBODY)

    def command(self, *arguments, check=True, freehold=FREEHOLD):
        done = subprocess.run([*self.way, freehold, *arguments], capture_output=True, text=True, timeout=300, check=False)
        assert not check or done.returncode == 0, f"freehold {arguments}: {done.stdout}{done.stderr}"
        return done

    def key(self, *arguments):
        return self.command("key", *arguments, "--keys", str(self.closed / "keys.json")).stdout

    def new_key(self):
        return json.loads(self.key("new", "--json", "--subject", "1"))

    def put(self, path, name):
        """A copy that is its owner's alone, put in place in one step."""
        shutil.copy(path, self.folder / "new")
        (self.folder / "new").chmod(0o600)
        os.rename(self.folder / "new", self.closed / name)

    def status_with(self, credentials):
        return self.http("GET", "/api/carts/1", nobody=True, headers={"Authorization": f"Bearer {credentials}"}).status

    def kill_gateway(self):
        before = self.status()["gateway"]["pid"]
        os.kill(before, signal.SIGKILL)
        wait_for("the gateway is back", lambda: self.status()["gateway"]["pid"] not in (None, before) and
                 self.status()["gateway"]["ready"])


@pytest.fixture
def closed():
    folder, systems = open_folder(), []

    def make(*arguments):
        systems.append(Closed(folder, *arguments))
        return systems[0]
    yield make
    for system in systems:
        system.stop(check=False)
    shutil.rmtree(folder)


@pytest.mark.parametrize("way", WAYS)
def test_keys_are_made_and_revoked_while_the_system_runs(closed, way):
    system = closed({"auth": {"keys": "closed/keys.json"}}, WAYS[way])
    first, file = system.new_key(), system.closed / "keys.json"
    assert file.stat().st_mode & 0o777 == 0o600 and file.stat().st_uid == (SOMEBODY if way == "not root" else 0)
    system.up()
    assert system.status_with(first["key"]) == 200
    second = system.new_key()
    wait_for("the new key is taken", lambda: system.status_with(second["key"]) == 200)
    system.key("revoke", first["id"])
    wait_for("the revoked key counts no more", lambda: system.status_with(first["key"]) == 401)
    system.kill_gateway()
    assert system.status_with(second["key"]) == 200 and system.status_with(first["key"]) == 401


def test_what_is_no_file_of_keys_stays_where_it_is(closed, tmp_path):
    """It changes nothing and is told of; root hands nobody a file that somebody has put there."""
    system = closed({"auth": {"keys": "closed/keys.json"}})
    key, file, secret = system.new_key()["key"], system.closed / "keys.json", tmp_path / "secret"
    system.up()
    good_text, state = file.read_text(), pathlib.Path(system.state)
    secret.write_text("gateway-must-not-see-this\n")
    file.unlink()
    file.symlink_to(secret)

    def told():
        return "key-file-faulty" in (state / "up.log").read_text() and str(file) in (state / "up.log").read_text()
    wait_for("it is told of", told)
    system.kill_gateway()
    assert system.status_with(key) == 200
    for path in (state / "gateway").rglob("*"):
        assert path.is_dir() or b"must-not-see" not in path.read_bytes(), path
    assert "must-not-see" not in (state / "up.log").read_text()
    second = tmp_path / "second.json"
    second.write_text(json.dumps({"keys": []}))
    system.put(second, "keys.json")
    wait_for("a good one is taken again", lambda: system.status_with(key) == 401)
    second.write_text(good_text)
    system.put(second, "keys.json")
    wait_for("and the next", lambda: system.status_with(key) == 200)


@pytest.mark.parametrize("way", WAYS)
def test_clients_are_known_by_closed_certificates(closed, authority, way):  # noqa: F811
    places = {"certificate": "door.pem", "key": "door.key", "ca": "ca.pem", "revoked": "revoked.pem"}
    tls = {what: f"closed/{name}" for what, name in places.items()}
    clients = {"ca": tls.pop("ca"), "revoked": tls.pop("revoked"), "name": "uri", "mode": "required"}
    system = closed({"tls": {**tls, "clients": clients}}, WAYS[way])
    for name in places.values():
        system.put(authority.path(name), name)
        if way == "not root":
            os.chown(system.closed / name, SOMEBODY, SOMEBODY)
    for name in ("ca.pem", "revoked.pem"):  # such lists may be long; text before the first of them is skipped
        text = (system.closed / name).read_text()
        (system.closed / name).write_text(("x" * 79 + "\n") * 12_000 + text)
    system.up()
    assert ask(system, authority, "ann", "/api/carts/1").status == 404  # another one's
    for certificate in ("bob", "stranger", None):
        assert ask(system, authority, certificate, "/livez").status == 403, certificate
    system.kill_gateway()
    assert ask(system, authority, "ann", "/livez").status == 200


def certificate_shown(system, authority):  # noqa: F811
    return ssl.get_server_certificate(("localhost", system.port), ca_certs=authority.path("ca.pem"))


@pytest.mark.parametrize("way", AS_ROOT)
def test_a_gateway_takes_renewed_files_when_it_is_upgraded(closed, authority, way):  # noqa: F811
    system = closed({"tls": {"certificate": "closed/door.pem", "key": "closed/door.key",
                             "clients": {"ca": "closed/ca.pem", "name": "uri"}}}, AS_ROOT[way])
    for name in ("door.pem", "door.key", "ca.pem"):
        system.put(authority.path(name), name)
    system.up()
    before = certificate_shown(system, authority)
    authority.sign("renewed", "/CN=localhost", "DNS:localhost", "")
    system.put(authority.path("renewed.pem"), "door.pem")
    system.put(authority.path("renewed.key"), "door.key")
    system.command("upgrade", "gateway", "--state", system.state)
    after = certificate_shown(system, authority)
    assert after.strip() == pathlib.Path(authority.path("renewed.pem")).read_text().strip() != before.strip()
    assert ask(system, authority, "ann", "/livez").status == 200


@pytest.mark.parametrize("way", WAYS)
def test_a_provider_is_asked_with_a_closed_secret(closed, way):
    provider = Introspection({"t": good(sub="1")})
    try:
        system = closed({"auth": {"introspection": {
            "endpoint": f"http://127.0.0.1:{provider.service.port}/introspect", "client": CLIENT,
            "secret": "closed/secret", "audience": "shop"}}}, WAYS[way])
        secret = system.closed / "secret"
        secret.write_text("s3cr3t:/%+x\n")
        secret.chmod(0o600)
        os.chown(secret, *system.closed.stat()[4:6])
        system.up()
        assert system.status_with("t") == 200 and system.status_with("other") == 401
        said = base64.b64decode(provider.asked()[0][2]["Authorization"].removeprefix("Basic ")).decode()
        assert [urllib.parse.unquote(word) for word in said.split(":")] == [CLIENT, "s3cr3t:/%+x"]
    finally:
        provider.close()
