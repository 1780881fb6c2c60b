# SPDX-License-Identifier: Apache-2.0
"""What our servers and clients agree on by TLS: 1.3, or 1.2 with forward secrecy and authenticated encryption."""

import contextlib
import json
import shutil
import socket
import subprocess

import pytest

from conftest import free_port, wait_for
from test_gateway import Gateway, Service, echo, started  # noqa: F401

KEYS = {"rsa": ["-newkey", "rsa:2048"], "ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]}
LAX = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("NOT TESTED: there is no openssl")
    folder = tmp_path_factory.mktemp("certificates")
    for name, key in KEYS.items():
        subprocess.run(["openssl", "req", "-x509", *key, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       cwd=folder, check=True, capture_output=True)
    return folder


def agreed(port, *words):
    """What openssl's client agrees on with a server: (version, cipher); None: nothing."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *words], input=b"",
                          capture_output=True, timeout=120)
    said = done.stdout.decode(errors="replace")
    for line in said.splitlines():
        if line.startswith("New, ") and "(NONE)" not in line:
            _, version, cipher = line.split(", ")
            return version, cipher.removeprefix("Cipher is ")
    return None


def served(started, certificates, name):
    users = started(Service(echo))
    tls = {"certificate": str(certificates / f"{name}.pem"), "key": str(certificates / f"{name}.key")}
    return started(Gateway(started.folder, {"users": (users.port, [])}, more={"listen_tls": tls}))


@pytest.mark.parametrize("name", KEYS)
def test_a_server_agrees_on_nothing_that_can_be_read_later(started, certificates, name):
    port = served(started, certificates, name).port
    assert agreed(port)[0] == "TLSv1.3"
    kind = {"rsa": "RSA", "ecdsa": "ECDSA"}[name]
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"):
        assert agreed(port, "-tls1_2", "-cipher", f"ECDHE-{kind}-{cipher}") == ("TLSv1.2", f"ECDHE-{kind}-{cipher}")
    # Everything but those, however lax the client is.
    others = f"{LAX}:!ECDHE+AESGCM:!ECDHE+CHACHA20"
    assert agreed(port, "-tls1_2", "-cipher", others) is None
    for version in ("-tls1", "-tls1_1"):
        assert agreed(port, version, "-cipher", LAX) is None, version
    for cipher in ("AES128-GCM-SHA256", "AES128-SHA", "AES256-SHA256", f"ECDHE-{kind}-AES128-SHA256",
                   f"ECDHE-{kind}-AES256-SHA", "DHE-RSA-AES128-GCM-SHA256", f"ECDHE-{kind}-AES128-CCM"):
        assert agreed(port, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0") is None, cipher


class OpensslServer:
    """openssl's server, which tells what became of handshakes."""

    def __init__(self, folder, certificates, *words):
        self.port, self.log = free_port(), folder / "s_server.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert", str(certificates / "rsa.pem"),
                 "-key", str(certificates / "rsa.key"), "-www", *words], stdout=log, stderr=log)
        wait_for("it listens", self.listens)

    def listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def says(self, *words):
        text = self.log.read_text(errors="replace")
        return any(word in text for word in words)

    def close(self):
        self.process.terminate()
        self.process.wait(120)


@pytest.mark.parametrize("words, refusals", [
    (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], ["unknown ca"]),  # as far as its authority
    (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], ["no shared cipher"]),
    (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"], ["no shared cipher"]),
    (["-tls1_1", "-cipher", LAX], ["unsupported protocol", "protocol version"])])
def test_a_client_agrees_on_nothing_that_can_be_read_later(started, certificates, words, refusals):
    server = started(OpensslServer(started.folder, certificates, *words))
    auth = {"jwt": [{"issuer": f"https://localhost:{server.port}", "audience": "shop"}]}
    users = started(Service(echo))
    started(Gateway(started.folder, {"users": (users.port, [])}, more={
        "outside": "anywhere", "keys": {"user_secret": "11" * 32}, "auth": json.loads(json.dumps(auth))}))
    wait_for("the handshake is refused for that", lambda: server.says(*refusals))
