# SPDX-License-Identifier: Apache-2.0
"""A process that stands where a store's server was is told no password: neither by the service, nor by `up`, which
makes databases and users."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest
from conftest import FREEHOLD, ROOT, folder_for, free_port, wait_for
from impostor import Maria, Mongo, Postgres, Redis
from test_identity import PROGRAMS, shop_with

PASSWORD = "the-password-that-nobody-is-told"
SERVICES = {"postgresql": ("orders", Postgres), "mariadb": ("users", Maria), "redis": ("carts", Redis),
            "mongodb": ("products", Mongo)}
# Redis has no way to prove a password without telling it, so its server must be known: see test_redis_...
BY_PORT = [(engine, how) for engine in ("postgresql", "mariadb", "mongodb") for how in SERVICES[engine][1].ways]


class Begun:
    """A process that can't succeed here, and ends with the test."""

    def __init__(self, folder, *words):
        self.log = open(folder / "said", "w+", encoding="utf-8")
        self.process = subprocess.Popen(words, cwd=folder, stdout=self.log, stderr=self.log)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def is_over(self):
        return self.process.poll() is not None

    def end(self):
        if not self.is_over():
            self.process.kill()
        self.process.wait(120)
        self.log.close()


@pytest.fixture
def serve(request):
    """The service's program, with a configuration made by hand."""
    def run(engine, store):
        service, folder = SERVICES[engine][0], folder_for(request)
        config = {"freehold": 1, "system": "test", "service": service, "engine": engine, "folder": str(folder), "store": store}
        migrations = ROOT / "examples" / "shop" / service / "migrations"
        if migrations.exists():
            config["migrations"] = str(migrations)
        (folder / "service.json").write_text(json.dumps(config))
        begun = Begun(folder, PROGRAMS / service, "--config", folder / "service.json", "--listen", "127.0.0.1:0")
        request.addfinalizer(begun.end)
        return begun
    return run


@pytest.fixture
def bring_up(request):
    """`up`, with the service's store on this server, or in this store of one."""
    def run(engine, server=None, store=None):
        service, folder = SERVICES[engine][0], folder_for(request)
        system = shop_with(folder, **{service: {"engine": engine, "store": store or {"server": "main"}}})
        file = pathlib.Path(system.file)
        if server:
            file.write_text(f"{file.read_text()}servers: {json.dumps({'main': {'engine': engine, **server}})}\n")
        begun = Begun(folder, FREEHOLD, "up", file, "--state", folder / "s", "--listen", f"127.0.0.1:{free_port()}")
        request.addfinalizer(begun.end)
        return begun
    return run


def await_attempt(begun, impostor):
    """Until a connection was made and ended."""
    wait_for(f"it is tried, {begun.said()}", lambda: impostor.ended)


@pytest.fixture
def impostor(request):
    def stand(engine, how=None, path=None):
        one = SERVICES[engine][1](how, path)
        request.addfinalizer(one.close)
        return one
    return stand


@pytest.mark.parametrize("engine, how", BY_PORT)
def test_who_took_a_servers_port_is_told_no_password_by_the_service(serve, impostor, engine, how):
    at = impostor(engine, how)
    begun = serve(engine, {"host": "127.0.0.1", "port": at.port, "database": "shop", "user": "shop", "password": PASSWORD})
    await_attempt(begun, at)
    assert at.breach(PASSWORD) == [], begun.said()
    assert PASSWORD not in begun.said()


@pytest.mark.parametrize("engine", ["postgresql", "mariadb", "mongodb"])
def test_who_took_a_servers_port_is_told_no_password_by_up(bring_up, impostor, engine):
    at = impostor(engine)
    begun = bring_up(engine, {"host": "127.0.0.1", "port": at.port, "user": "shop", "password": PASSWORD})
    await_attempt(begun, at)
    wait_for("up gives up", begun.is_over)
    assert at.breach(PASSWORD) == [], begun.said()
    assert PASSWORD not in begun.said()


@pytest.mark.parametrize("way", ["service", "up"])
def test_who_took_mariadbs_port_is_sent_no_file_that_it_asks_for(serve, bring_up, impostor, request, way):
    at = impostor("mariadb")
    at.file = folder_for(request) / "file"
    at.file.write_text(PASSWORD)
    address = {"host": "127.0.0.1", "port": at.port, "user": "shop", "password": "another"}
    begun = serve("mariadb", {**address, "database": "shop"}) if way == "service" else bring_up("mariadb", address)
    await_attempt(begun, at)
    assert b"\x03S" in at.told(), "it was asked no statement"
    assert at.breach(PASSWORD) == [], begun.said()


def socket_of(engine, port):
    """(what the system file calls the host, the path of the socket), where every user may make one."""
    names = {"postgresql": f".s.PGSQL.{port}", "mongodb": f"mongodb-{port}.sock"}
    folder = pathlib.Path(tempfile.gettempdir())
    if engine in names:
        return folder, folder / names[engine]
    path = folder / f"freehold-impostor-{port}.sock"
    return path, path


@pytest.mark.parametrize("engine", SERVICES)
@pytest.mark.parametrize("way", ["service", "up"])
def test_who_is_not_the_server_at_a_socket_is_told_nothing_at_all(serve, bring_up, impostor, engine, way):
    port = free_port()
    host, path = socket_of(engine, port)
    at, address = impostor(engine, path=path), {"host": str(host), "port": port, "user": "shop", "password": PASSWORD}
    if way == "service":
        begun = serve(engine, {**address, "database": "shop"})
    else:
        begun = bring_up(engine, address)
    await_attempt(begun, at)
    assert at.breach(PASSWORD) == [], begun.said()
    if engine != "mariadb":  # its library answers the greeting before it can be stopped
        assert at.told().strip() == b"", begun.said()


def test_redis_is_told_no_password_over_a_port_that_anybody_may_take(serve, bring_up, impostor):
    at = impostor("redis")
    address = {"host": "127.0.0.1", "port": at.port, "user": "shop", "password": PASSWORD}
    begun = serve("redis", {**address, "database": "shop"})
    wait_for("it refuses", begun.is_over)
    assert "would be told the password" in begun.said()
    for refused in (bring_up("redis", address), bring_up("redis", store={**address, "database": "shop"})):
        wait_for("up refuses", refused.is_over)
        assert refused.process.returncode and "tells its password" in refused.said(), refused.said()
    assert at.told() == b""


@pytest.mark.skipif(not shutil.which("redis-server"), reason="NOT RUN WITH REDIS: apt-get install redis-server")
def test_nobody_else_can_stand_where_a_private_server_was(request):
    """It has died, and is not started again, since `up` and its supervisor are held."""
    folder = folder_for(request)
    system = shop_with(folder, carts={"engine": "redis"}).up()
    request.addfinalizer(lambda: system.stop(check=False))
    keeper = next(one["pid"] for one in system.status()["servers"] if one["name"] == "carts-redis")
    server = int(pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()[0])
    path = folder / "s" / ".sockets" / "carts-redis" / "redis.sock"
    tried = system.call("carts", "POST", "/_freehold/prove", {"paths": [str(path.parent)]})
    assert {error for one in tried.body["tried"] for error in (one["read"], one["write"])} <= {"EACCES", "EROFS"}
    with system.held_still():
        os.kill(keeper, signal.SIGSTOP)
        os.kill(server, signal.SIGKILL)
        if os.geteuid() == 0:  # without root all are one user
            with pytest.raises(PermissionError):
                Redis(path=path.with_name("another.sock"))
            for change in (["rm", "-f", path], ["mv", path, path.with_name("away")], ["ls", path.parent]):
                assert subprocess.run(change, user=65534, capture_output=True, check=False).returncode, change
        os.kill(keeper, signal.SIGCONT)
    wait_for("it is back", lambda: system.status()["servers"][0]["ready"])
