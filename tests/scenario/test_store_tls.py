# SPDX-License-Identifier: Apache-2.0
"""Links to a store's server by TLS, on real servers with certificates of an authority of the test's own: a service
serves with the right one, and ends with one sentence with any other. And who listens where."""

import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import types
import urllib.request

import pytest

from conftest import FREEHOLD, ROOT, free_port, open_folder, wait_for
from servers import PASSWORD, Ferret, Maria, Postgres, Redis
from test_identity import shop_with

PROGRAMS = {"postgresql": "users", "mariadb": "users", "mongodb": "payments", "redis": "carts"}
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


RSA_KEY = ["-newkey", "rsa:2048", "-nodes"]
# A server that takes nothing but keys sent to its own, which whoever steals it later reads.
WITHOUT_FORWARD_SECRECY = {
    "postgresql": ["-c", "ssl_max_protocol_version=TLSv1.2", "-c", "ssl_ciphers=AES128-GCM-SHA256"],
    "mariadb": ["--tls-version=TLSv1.2", "--ssl-cipher=AES128-GCM-SHA256"],
    "redis": ["--tls-protocols", "TLSv1.2", "--tls-ciphers", "AES128-GCM-SHA256"]}


class Authority:
    """Certificates, each `NAME.pem` with its `NAME.key`, and both in `NAME.both`."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("ca", "other"):
            self.openssl("req", "-x509", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj",
                         f"/CN={name}")
        self.sign("server")
        self.sign("expired", days=-1)
        self.sign("client")
        self.sign("stranger", by="other")
        self.sign("rsa", key=RSA_KEY)

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def sign(self, name, by="ca", days=2, key=KEY):
        (self.folder / "names").write_text("subjectAltName=DNS:localhost\n")
        self.openssl("req", *key, "-keyout", f"{name}.key", "-out", "request", "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", "request", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial",
                     "-out", f"{name}.pem", "-extfile", "names", "-days", str(days))
        (self.folder / f"{name}.both").write_text((self.folder / f"{name}.pem").read_text() +
                                                  (self.folder / f"{name}.key").read_text())
        (self.folder / f"{name}.both").chmod(0o600)

    def path(self, name):
        return str(self.folder / name)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


class Tried:
    """A server, and the service's program run against it."""

    def __init__(self, server, folder, authority):
        self.server, self.folder, self.authority = server, folder, authority
        self.count, self.now = 0, None

    def use(self, certificate, clients=False):
        """The server again, with that one, unless it has it."""
        if self.now == (certificate, clients):
            return
        self.now = (certificate, clients)
        for name, source in (("tls.pem", f"{certificate}.pem"), ("tls.key", f"{certificate}.key"), ("ca.pem", "ca.pem")):
            shutil.copyfile(self.authority.path(source), self.folder / name)
            self.server.own(self.folder / name)
        self.server.use_tls(self.folder / "tls.pem", self.folder / "tls.key", self.folder / "ca.pem", clients)
        self.server.stop()
        self.server.start()

    def tls(self, ca="ca", client=None):
        tls = {"mode": "verify", "ca": self.authority.path(f"{ca}.pem")}
        if client and self.server.engine == "mongodb":
            tls["certificate"] = tls["key"] = self.authority.path(f"{client}.both")
        elif client:
            tls["certificate"], tls["key"] = self.authority.path(f"{client}.pem"), self.authority.path(f"{client}.key")
        return tls

    def serve(self, host="localhost", **tls):
        """What the program reports of it, "" once it serves."""
        self.count += 1
        folder = self.folder / f"service-{self.count}"
        folder.mkdir()
        name, port = PROGRAMS[self.server.engine], free_port()
        store = {"host": host, "port": self.server.port, "database": "shop", "tls": self.tls(**tls), "connections": 2}
        if self.server.engine != "mongodb":
            store.update(user="shop", password=PASSWORD)
        migrations = ROOT / "examples" / "shop" / name / "migrations"
        config = {"freehold": 1, "system": "test", "service": name, "engine": self.server.engine, "folder": str(folder),
                  "migrations": str(migrations) if migrations.exists() else None, "store": store}
        (folder / "service.json").write_text(json.dumps(config))
        program = pathlib.Path(FREEHOLD).parent / "examples" / "shop" / name
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen([program, "--config", folder / "service.json", "--listen", f"127.0.0.1:{port}"],
                                       stderr=log)

        def is_ready():
            if process.poll() is not None:
                return True
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200
            except OSError:
                return False

        try:
            wait_for("it serves, or says why not", is_ready)
            ended = process.poll()
        finally:
            process.terminate()
            process.wait(120)
        said = (folder / "log").read_text()
        assert PASSWORD not in said and "PRIVATE KEY" not in said
        assert ended in (None, 69), said  # 69: a renewed certificate fixes it
        return "".join(line for line in said.splitlines(True) if " warning " not in line) if ended else ""


@pytest.fixture(scope="module", params=[Postgres, Maria, Ferret, Redis], ids=lambda kind: kind.engine)
def tried(request, authority):
    folder = request.param.folder()
    server = request.param(folder, "server").make().start()
    server.make_store()
    yield Tried(server, folder, authority)
    server.stop(signal.SIGKILL)
    shutil.rmtree(folder)


# The first one has none; the one that demands clients' certificates comes last.


def test_a_server_that_takes_no_tls_is_refused(tried):
    said = tried.serve()
    assert "The store's server localhost takes no TLS" in said, said


def test_the_right_certificate_is_served_by(tried):
    tried.use("server")
    assert tried.serve() == ""


def test_another_authority_is_refused(tried):
    tried.use("server")
    said = tried.serve(ca="other")
    assert "The certificate of the store's server localhost is not of an authority in tls.ca" in said, said


def test_another_host_is_refused(tried):
    tried.use("server")
    said = tried.serve(host="127.0.0.1")
    assert "The store's server 127.0.0.1 has a certificate of another host" in said, said


def test_an_expired_certificate_is_refused(tried):
    tried.use("expired")
    said = tried.serve()
    assert "The certificate of the store's server localhost" in said, said
    assert "has expired" in said or "not valid at this time" in said, said


def test_a_server_without_forward_secrecy_is_refused(tried):
    if tried.server.engine not in WITHOUT_FORWARD_SECRECY:
        pytest.skip("FerretDB's ciphers can't be chosen")
    tried.use("rsa")
    assert tried.serve() == ""
    tried.server.settings = [*tried.server.settings, *WITHOUT_FORWARD_SECRECY[tried.server.engine]]
    tried.server.stop()
    tried.server.start()
    said = tried.serve()
    assert "The store's server localhost offers no TLS that is good enough" in said, said
    tried.now = None


def test_a_server_that_wants_to_know_its_clients_gets_a_certificate(tried):
    tried.use("server", clients=True)
    assert tried.serve(client="client") == ""
    for stranger in (None, "stranger"):
        said = tried.serve(client=stranger)
        assert "wants a certificate of the service" in said, said


def hang_up(listener, authority, way):
    """Answers each connection by hanging up, in this way."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.path("server.pem"), authority.path("server.key"))
    moment, _, how = way.partition(", ")
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        try:
            if moment != "at the first bytes":
                link = tls.wrap_socket(link, server_side=True)
            if moment != "after the handshake":
                link.recv(4096)
            if how == "with a reset":
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # it has hung up first
        link.close()


@pytest.mark.parametrize("way", [f"{moment}, {how}" for moment in ("at the first bytes", "after the handshake", "at hello")
                                 for how in ("with a reset", "in order")])
def test_a_documents_server_that_hangs_up_may_want_a_certificate(tmp_path, authority, way):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=hang_up, args=(listener, authority, way), daemon=True).start()
        server = types.SimpleNamespace(engine="mongodb", port=listener.getsockname()[1])
        said = Tried(server, tmp_path, authority).serve()
        listener.shutdown(socket.SHUT_RDWR)
    assert "takes no TLS (then say tls: { mode: off }), or wants a certificate of the service" in said, said


def test_up_creates_stores_by_tls_and_verifies_their_isolation_by_it(tried):
    if tried.server.engine == "mongodb":
        pytest.skip("FerretDB's users are not asked of a server that was started without them")
    tried.use("server", clients=True)
    os.environ["TEST_MAKER_PASSWORD"] = PASSWORD
    folder = open_folder()
    system = shop_with(folder, **{PROGRAMS[tried.server.engine]: {"engine": tried.server.engine, "store": {"server": "main"}}})
    file = pathlib.Path(system.file)
    main = {"engine": tried.server.engine, "host": "localhost", "port": tried.server.port, "user": "maker",
            "password": "${TEST_MAKER_PASSWORD}", "tls": tried.tls(client="client")}
    text = file.read_text()
    file.write_text(text + f"servers:\n  main: {json.dumps({**main, 'tls': tried.tls(ca='other', client='client')})}\n")
    refused = system.command("up", system.file, "--detach", "--state", system.state, check=False)
    assert refused.returncode == 1 and "localhost is not of an authority in tls.ca" in refused.stderr, refused.stderr
    assert PASSWORD not in refused.stderr
    file.write_text(text + f"servers:\n  main: {json.dumps(main)}\n")
    try:
        system.up()
        if tried.server.engine == "redis":
            answer = system.http("PUT", "/api/carts/1/items/mug", {"quantity": 1}, {"Idempotency-Key": "mug"})
            assert answer.status == 200, answer
        else:
            answer = system.http("POST", "/api/users", {"name": "Ann", "email": "ann@example.org"},
                                 {"Idempotency-Key": "ann"})
            assert answer.status == 201, answer
        done = system.command("check", system.file, "--live", "--state", system.state, "--json", check=False)
        assert json.loads(done.stdout)["errors"] == [], done.stdout
    finally:
        system.stop(check=False)
        shutil.rmtree(folder)


def test_check_warns_of_a_server_beyond_this_machine_that_is_reached_without_tls(tmp_path):
    os.environ["TEST_MAKER_PASSWORD"] = PASSWORD
    system = shop_with(tmp_path, users={"engine": "postgresql", "store": {"server": "main"}})
    file, text = pathlib.Path(system.file), pathlib.Path(system.file).read_text()

    def warnings(tls):
        main = {"engine": "postgresql", "host": "db.example.org", "user": "maker", "password": "${TEST_MAKER_PASSWORD}", **tls}
        file.write_text(text + f"servers:\n  main: {json.dumps(main)}\n")
        done = system.command("check", system.file, "--json", check=False)
        return [one["message"] for one in json.loads(done.stdout)["warnings"]]

    warned = warnings({"tls": {"mode": "off"}})
    assert any("the server main is at db.example.org, beyond this machine, without TLS" in one for one in warned), warned
    assert not any("without TLS" in one for one in warnings({}))
