# SPDX-License-Identifier: Apache-2.0
"""The servers that stores are on: private ones, made, run, recovered and ended with the system, and existing ones. What
is there is checked with the servers' own command-line clients, and not through the runtime."""

import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import zlib

import pytest
from conftest import (FREEHOLD, SHOP_FILE, SHOP_SERVICES, System, folder_for, free_port, named, open_folder,
                      wait_for)
from test_confinement import NO_MOUNTS, without_walls
from test_identity import shop_with

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: USERS OF THEIR OWN WERE NOT TRIED")

KINDS = {"users": "mariadb", "orders": "postgresql"}
ON_LOOPBACK = ("found-opensearch",) # it has no socket of its own to listen on: test_private_derived.py
SERVERS = json.loads(os.environ.get("FREEHOLD_TEST_POSTGRESQL", "null"))
MARIADB = json.loads(os.environ.get("FREEHOLD_TEST_MARIADB", "null"))


class Refused(Exception):
    pass


def sql(store, statement, engine="postgresql"):
    """Rows of texts, as the user of `store`."""
    if engine == "postgresql":
        command = ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", store["host"], "-p", str(store["port"]),
                   "-U", store["user"], "-d", store.get("database", "postgres"), "-c", statement]
        environment = {**os.environ, "PGPASSWORD": store["password"], "PGCONNECT_TIMEOUT": "120"}
    else:
        where = [f"--socket={store['host']}/mysqld.sock"] if store["host"].startswith("/") else \
            [f"--host={store['host']}", "--protocol=tcp", f"--port={store['port']}"]
        command = ["mariadb", "--no-defaults", "--batch", "--skip-column-names", *where, f"--user={store['user']}",
                   f"--execute={statement}", *([store["database"]] if "database" in store else [])]
        environment = {**os.environ, "MYSQL_PWD": store["password"]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return [re.split(r"[|\t]", line) for line in done.stdout.splitlines()]


def store_of(system, service):
    return json.loads((pathlib.Path(system.state) / service / "service.json").read_text())["store"]


def sockets_of(system, server):
    """The folder with its socket."""
    return pathlib.Path(system.state).resolve() / ".sockets" / server


def superuser_of(system, server):
    kept = json.loads((pathlib.Path(system.state) / "servers.json").read_text())
    return {"host": str(sockets_of(system, server)), "port": 5432, "user": "freehold",
            "password": kept["passwords"][server]}


def is_over(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def server_pid(keeper):
    """The database server that a supervisor runs."""
    children = pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return int(children[0])


def keepers(system):
    return {one["name"]: one for one in system.status()["servers"]}


def check(system, *options):
    done = system.command("check", system.file, "--live", "--state", system.state, "--json", *system.profile, *options,
                          check=False)
    found = json.loads(done.stdout)
    assert (done.returncode == 1) == bool(found["errors"]), done
    return ([one["message"] for one in found["errors"]],
            [one["message"] for one in found["warnings"] if "connections" in one["message"]])


@pytest.fixture(scope="module")
def mixed():
    """users on MariaDB, orders on PostgreSQL; the others stay embedded."""
    named("postgresql")
    folder = open_folder()
    system = shop_with(folder, **{service: {"engine": kind} for service, kind in KINDS.items()})
    can = system.command("check", system.file, check=False)
    if "mariadb is not" in can.stderr:
        pytest.skip(f"NOT RUN WITH MARIADB: {can.stderr}")
    yield system.up()
    system.stop(check=False)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def documents(start):
    """products and payments on servers that speak MongoDB's protocol, besides."""
    system = start(SHOP_FILE, named("servers"))
    yield system
    system.stop(check=False)


@pytest.fixture(scope="module")
def schemas(start):
    return start(SHOP_FILE, named("schemas"))


# ---- Private servers ----------------------------------------------------------------------------------------


def test_up_reports_for_each_store_where_it_is(mixed, schemas):
    for service, kind in KINDS.items():
        at = sockets_of(mixed, f"{service}-{kind}")
        assert store_of(mixed, service)["host"] == str(at)
        assert re.search(rf"{service} +{kind}, a private server at {at}, database shop_{service}\n",
                         mixed.said), mixed.said
    at = sockets_of(schemas, "shared-postgresql")
    assert re.search(rf"orders +postgresql, the private server shared at {at}, database shop, schema orders\n",
                     schemas.said), schemas.said
    assert store_of(schemas, "users")["host"] == store_of(schemas, "orders")["host"] == str(at)


def test_instances_on_a_server_that_notifies_nobody_use_a_notifier(mixed):
    mixed.command("scale", "users", "2", "--state", mixed.state)
    folder = pathlib.Path(mixed.state) / "users"
    before = (folder / "bell").read_bytes()
    made = mixed.http("POST", "/api/users", {"name": "Ada", "email": "bell@x.example"},
                      headers={"Idempotency-Key": "bell"})
    assert made.status == 201, made
    wait_for("somebody rings", lambda: (folder / "bell").read_bytes() != before)
    # Each has opened it, watches it, and does not warn that notifications of others would come late.
    for log in ("log", "log-1"):
        assert "up to a second late" not in (folder / log).read_text()
    mixed.command("scale", "users", "1", "--state", mixed.state)


def test_a_private_server_listens_on_no_port_and_is_not_root(mixed, documents):
    for system, name, keeper in [(system, *one) for system in (mixed, documents) for one in keepers(system).items()]:
        if name in ON_LOOPBACK:
            continue
        pid = server_pid(keeper["pid"])
        sockets = set()
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it is closed meanwhile
                sockets.add(os.readlink(fd))
        listening = []
        for table in ("tcp", "tcp6"):
            for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                local, state, inode = (line.split()[i] for i in (1, 3, 9))
                if state == "0A" and f"socket:[{inode}]" in sockets:
                    listening.append(local)
        assert listening == [], name
        assert keeper["address"] == f".sockets/{name}"
        at = sockets_of(system, name)
        folder = at.stat()
        assert stat.S_IMODE(folder.st_mode) == (0o710 if os.geteuid() == 0 else 0o700)
        assert [stat.S_ISSOCK(one.stat().st_mode) for one in at.iterdir() if ".lock" not in one.name] == [True]
        assert folder.st_uid == os.stat(f"/proc/{pid}").st_uid
        if os.geteuid() == 0:
            assert os.stat(f"/proc/{pid}").st_uid != 0
            assert os.stat(f"/proc/{keeper['pid']}").st_uid == os.stat(f"/proc/{pid}").st_uid


def numbers_of(system):
    return json.loads((pathlib.Path(system.state) / "users.json").read_text())["users"]


def owners(folder):
    """Of all in it but the log, which `up` opens."""
    return {path.lstat().st_uid for path in [folder, *folder.rglob("*")] if not path.name.startswith("log")}


CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def connects(user, path, *within):
    done = subprocess.run([*within, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "/usr/bin/python3", "-c",
                           CONNECT, path], capture_output=True, text=True, cwd="/", check=False)
    return done.stderr.strip().splitlines()[-1].partition(":")[0] if done.returncode else None


@ROOT_ONLY
def test_each_private_server_is_a_user_of_its_own(mixed):
    numbers = numbers_of(mixed)
    users = {name: os.stat(f"/proc/{server_pid(one['pid'])}").st_uid for name, one in keepers(mixed).items()}
    assert users == {name: numbers[f".servers/{name}"] for name in users} and len(set(numbers.values())) == len(numbers)
    for name, user in users.items():
        assert owners(pathlib.Path(mixed.state, ".servers", name)) == {user}


@ROOT_ONLY
def test_a_private_servers_socket_is_reached_by_its_service_alone(mixed):
    numbers, names = numbers_of(mixed), {"users-mariadb": "mysqld.sock", "orders-postgresql": ".s.PGSQL.5432"}
    for name, socket_name in names.items():
        at = sockets_of(mixed, name)
        for service in ("users", "orders", "products"):
            refused = connects(numbers[service], str(at / socket_name), "nsenter", "-t", str(mixed.pid(service)), "-m")
            assert refused == (None if name.startswith(service) else "FileNotFoundError"), (name, service)


@ROOT_ONLY
def test_servers_that_several_services_share_are_reached_by_these(schemas):
    at = sockets_of(schemas, "shared-postgresql")
    assert stat.S_IMODE(at.stat().st_mode) == 0o711
    for service in ("users", "orders", "carts"):
        there = connects(numbers_of(schemas)[service], str(at / ".s.PGSQL.5432"), "nsenter", "-t",
                         str(schemas.pid(service)), "-m")
        assert there == (None if service != "carts" else "FileNotFoundError"), service


@ROOT_ONLY
def test_without_mount_namespaces_modes_keep_others_from_a_socket(request):
    """The server is its package's user then."""
    if not shutil.which("redis-server"):
        pytest.skip("NOT RUN WITH REDIS: apt-get install redis-server")
    folder = folder_for(request)
    system = shop_with(folder, carts={"engine": "redis"})
    done = subprocess.run([*NO_MOUNTS, FREEHOLD, "up", system.file, "--detach", "--state", system.state, "--listen",
                           f"127.0.0.1:{free_port()}"], capture_output=True, text=True, check=False)
    request.addfinalizer(lambda: system.stop(check=False))
    assert done.returncode == 0, done.stderr
    at, numbers = sockets_of(system, "carts-redis"), numbers_of(system)
    assert at.stat().st_uid == pwd.getpwnam("redis").pw_uid
    assert connects(numbers["carts"], str(at / "redis.sock")) is None
    assert connects(numbers["users"], str(at / "redis.sock")) == "PermissionError"


@ROOT_ONLY
def test_servers_of_before_become_users_of_their_own_and_go_back(request):
    if not shutil.which("redis-server"):
        pytest.skip("NOT RUN WITH REDIS: apt-get install redis-server")
    system = without_walls(shop_with(folder_for(request), carts={"engine": "redis"}, orders={"engine": "postgresql"})).up()
    request.addfinalizer(lambda: system.stop(check=False))
    made = system.http("PUT", "/api/carts/7/items/lamp", {"quantity": 2}, headers={"Idempotency-Key": "before"})
    assert made.status < 300, made
    folders = {name: pathlib.Path(system.state, ".servers", name) for name in ("carts-redis", "orders-postgresql")}
    packages = {"carts-redis": "redis", "orders-postgresql": "postgres"}
    file = pathlib.Path(system.file)
    with_line = file.read_text()
    for text, after in ((with_line.replace("isolation: landlock\n", ""), lambda name: numbers_of(system)[f".servers/{name}"]),
                        (with_line, lambda name: pwd.getpwnam(packages[name]).pw_uid)):
        system.stop()
        file.write_text(text)
        system.up()
        assert {name: owners(folder) for name, folder in folders.items()} == {name: {after(name)} for name in folders}
        assert "lamp" in system.http("GET", "/api/carts/7").text
        assert check(system) == ([], [])


def test_a_private_mariadb_keeps_its_temporary_tables_where_no_other_server_sweeps(mixed):
    """One that starts deletes all of them in its tmpdir, of whichever server of the machine they are."""
    admin = superuser_of(mixed, "users-mariadb")
    folder = pathlib.Path(mixed.state, ".servers", "users-mariadb").resolve()
    tmpdir, data = sql(admin, "SELECT @@tmpdir, @@datadir", "mariadb")[0]
    assert pathlib.Path(tmpdir) == pathlib.Path(data) and folder in pathlib.Path(tmpdir).parents


def secrets(system):
    kept = json.loads((pathlib.Path(system.state) / "servers.json").read_text())["passwords"]
    assert len(kept) == 4 and all(len(secret) == 64 for secret in kept.values())
    return kept.values()


def test_passwords_are_in_closed_files_and_nowhere_else(mixed):
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        assert not any(secret.encode() in seen for secret in secrets(mixed)), process
    said = mixed.said + mixed.command("status", "--json", "--state", mixed.state, check=False).stdout + mixed.logs()
    assert not any(secret in said for secret in secrets(mixed))
    for path in pathlib.Path(mixed.state).rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # servers make files and remove them
            mode = path.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                # What the servers' own programs write is in folders that are closed to others.
                assert any(stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0 for folder in path.parents), path
    assert not list(pathlib.Path(mixed.state).glob(".servers/*/secret"))


def test_a_private_servers_log_quotes_no_row(mixed):
    store = store_of(mixed, "orders")
    log = pathlib.Path(mixed.state) / ".servers" / "orders-postgresql" / "log"
    sql(store, "CREATE TABLE planted (name text UNIQUE)")
    for refused in (False, True):
        with pytest.raises(Refused, match="duplicate key") if refused else contextlib.nullcontext():
            sql(store, "INSERT INTO planted VALUES ('Zebedee Quartermain')")
    sql(store, "DROP TABLE planted")
    said = log.read_text()
    assert "duplicate key" in said and "Zebedee" not in said


def test_a_service_is_no_superuser_and_its_database_is_closed_to_all_others(mixed, schemas):
    store = store_of(mixed, "orders")
    assert sql(store, "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles "
                      "WHERE rolname = current_user") == [["f"] * 5]
    with pytest.raises(Refused, match="permission denied for database"):
        sql({**store, "database": "postgres"}, "SELECT 1")
    admin = superuser_of(mixed, "orders-postgresql")
    sql(admin, "CREATE ROLE stranger LOGIN PASSWORD 'x'")
    for database in ("shop_orders", "postgres", "template1"):
        with pytest.raises(Refused, match="permission denied for database"):
            sql({**admin, "user": "stranger", "password": "x", "database": database}, "SELECT 1")
    sql(admin, "DROP ROLE stranger")
    users = store_of(mixed, "users")
    assert {row[0] for row in sql(users, "SHOW DATABASES", "mariadb")} == {"information_schema", "shop_users"}
    admin = superuser_of(mixed, "users-mariadb")
    assert {row[0] for row in sql(admin, "SELECT User FROM mysql.global_priv", "mariadb")} == \
        {"freehold", "shop_users", "mariadb.sys", "PUBLIC"} - (
            {"PUBLIC"} if not sql(admin, "SELECT 1 FROM mysql.global_priv WHERE User = 'PUBLIC'", "mariadb") else set())
    with pytest.raises(Refused, match="permission denied for schema users"):
        sql(store_of(schemas, "orders"), 'SELECT * FROM users.anything')
    with pytest.raises(Refused, match="permission denied for schema public"):
        sql(store_of(schemas, "orders"), "CREATE TABLE public.anything (id int)")


def test_the_live_check_proves_that_nobody_else_gets_in(mixed, schemas):
    for system in (mixed, schemas):
        assert check(system) == ([], [])


def test_a_grant_that_was_lifted_fails_with_the_name_of_what_is_open(mixed):
    own = store_of(mixed, "users")
    admin = superuser_of(mixed, "orders-postgresql")
    sql(admin, f"CREATE ROLE shop_users LOGIN PASSWORD '{own['password']}'")
    assert check(mixed) == ([], [])
    sql(admin, "GRANT CONNECT ON DATABASE shop_orders TO shop_users")
    found, _ = check(mixed)
    at = sockets_of(mixed, "orders-postgresql")
    assert found == [f"users can enter the database shop_orders on the server of orders at {at}, which is not its own"]
    sql(admin, "REVOKE CONNECT ON DATABASE shop_orders FROM shop_users")
    sql(admin, "DROP ROLE shop_users")

    own, admin = store_of(mixed, "orders"), superuser_of(mixed, "users-mariadb")
    sql(admin, f"CREATE USER shop_orders@'%' IDENTIFIED BY '{own['password']}'", "mariadb")
    sql(admin, "CREATE TABLE IF NOT EXISTS shop_users.bait (id int)", "mariadb")
    assert check(mixed) == ([], [])
    sql(admin, "GRANT SELECT ON shop_users.bait TO shop_orders@'%'", "mariadb")
    found, _ = check(mixed)
    assert len(found) == 1 and found[0].startswith("orders can enter the database shop_users on the server of users")
    sql(admin, "DROP USER shop_orders@'%'; DROP TABLE shop_users.bait", "mariadb")
    assert check(mixed) == ([], [])


def test_in_a_shared_database_each_table_is_tried(schemas):
    users = store_of(schemas, "users")
    sql(users, "CREATE TABLE bait (id int)")
    assert check(schemas) == ([], [])
    sql(users, "GRANT USAGE ON SCHEMA users TO shop_orders")
    assert check(schemas) == ([], [])
    sql(users, "GRANT SELECT ON bait TO shop_orders")
    found, _ = check(schemas)
    assert len(found) == 1 and found[0].startswith("orders can read users.bait on the server of users at"), found
    sql(users, "REVOKE SELECT ON bait FROM shop_orders; GRANT DELETE ON bait TO shop_orders")
    assert check(schemas)[0][0].startswith("orders can write users.bait on the server of users at")
    sql(users, "REVOKE ALL ON bait FROM shop_orders; GRANT CREATE ON SCHEMA users TO shop_orders")
    assert check(schemas)[0][0].startswith("orders can make tables in users on the server of users at")
    sql(users, "REVOKE ALL ON SCHEMA users FROM shop_orders; DROP TABLE bait")
    assert check(schemas) == ([], [])


def test_a_server_that_lets_nobody_in_proves_nothing(mixed):
    admin = superuser_of(mixed, "orders-postgresql")
    sql(admin, "ALTER ROLE shop_orders NOLOGIN")
    found, _ = check(mixed)
    assert any("the store of orders does not let its own service in, so nothing was verified" in one for one in found)
    sql(admin, "ALTER ROLE shop_orders LOGIN")
    assert check(mixed) == ([], [])


@pytest.mark.parametrize("path, mode, expected", [
    ("servers.json", 0o644, "0600"), (".servers/orders-postgresql", 0o750, "0700"),
    (".servers/users-mariadb/server.json", 0o640, "0600")])
def test_a_wrong_mode_is_named(mixed, path, mode, expected):
    whole = pathlib.Path(mixed.state) / path
    before = stat.S_IMODE(whole.stat().st_mode)
    whole.chmod(mode)
    try:
        assert any(f"{path} has the mode {mode:04o}; expected {expected}" in one for one in check(mixed)[0])
    finally:
        whole.chmod(before)


def test_no_service_reaches_a_servers_files_not_even_of_its_own(mixed):
    state = pathlib.Path(mixed.state)
    paths = [state / "servers.json", state / ".servers"]
    for server in (state / ".servers").iterdir():
        paths += [server, server / "server.json", server / "data", *(server / "data").iterdir()]
    for service in SHOP_SERVICES:
        answer = mixed.call(service, "POST", "/_freehold/prove", {"paths": [str(path) for path in paths]})
        assert {(one["read"], one["write"]) for one in answer.body["tried"]} <= {("EACCES", "EACCES"), ("ENOENT", "ENOENT")}


def test_connections_are_counted_against_the_servers_limit(start, tmp_path):
    named("schemas")
    system = shop_with(tmp_path, users={"engine": "postgresql", "store": {"server": "small"}})
    file = pathlib.Path(system.file)
    file.write_text(file.read_text() + "servers: {small: {engine: postgresql, settings: {max_connections: 19}}}\n")
    system.state = str(open_folder() / "s")
    system.up()
    try:
        assert check(system) == ([], [])
        system.stop()
        file.write_text(file.read_text().replace("max_connections: 19", "max_connections: 17"))
        system.up()
        found, warned = check(system)
        assert found == [] and len(warned) == 1
        assert re.search(r"the server of users at \S+ takes 14 connections and has \d+ now, and the services on "
                         r"it may open 12: give it more", warned[0]), warned
    finally:
        system.stop(check=False)
        shutil.rmtree(pathlib.Path(system.state).parent)


# ---- Deaths ---------------------------------------------------------------------------------------------------


def ready_again(system, name, keeper):
    def look():
        one = keepers(system)[name]
        return one if one["ready"] and one["pid"] not in (None, keeper) else None
    return wait_for(f"{name} is back", look)


@pytest.mark.parametrize("name", ["users-mariadb", "orders-postgresql"])
def test_a_server_that_is_killed_comes_back_by_itself_with_what_it_had(mixed, name):
    service = name.split("-", 1)[0]
    store, engine = store_of(mixed, service), KINDS[service]
    others = {one: mixed.pid(one) for one in ("products", "payments")}
    sql(store, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)", engine)
    keeper = keepers(mixed)[name]["pid"]
    os.kill(server_pid(keeper), signal.SIGKILL)
    again = ready_again(mixed, name, keeper)
    assert again["restarts"] >= 1 and "exit code 1" in again["last_end"]
    assert sql(store, "SELECT id FROM kept", engine) == [["7"]]
    # And its supervisor: the server ends with it, and is not left behind.
    server = server_pid(again["pid"])
    os.kill(again["pid"], signal.SIGKILL)
    ready_again(mixed, name, again["pid"])
    assert is_over(server)
    assert sql(store, "SELECT id FROM kept", engine) == [["7"]]
    sql(store, "DROP TABLE kept", engine)
    assert {one: mixed.pid(one) for one in others} == others


def redis_answer(store, *words):
    """The first line of the server's reply to one command; "" while it does not answer."""
    command = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(120)
            link.connect(store["host"] + "/redis.sock")
            link.sendall(command)
            return link.makefile("rb").readline().decode().strip()
    except OSError:
        return ""


@pytest.fixture
def carts_on_redis():
    if not shutil.which("redis-server"):
        pytest.skip("NOT RUN WITH REDIS: apt-get install redis-server")
    folder = open_folder()
    system = shop_with(folder, carts={"engine": "redis"}).up()
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


def test_a_redis_server_that_is_killed_knows_its_users_the_moment_it_answers(carts_on_redis):
    """Otherwise a service that starts just then would have its password refused, which no waiting fixes."""
    system = carts_on_redis
    store = store_of(system, "carts")
    for _ in range(3):
        keeper = keepers(system)["carts-redis"]["pid"]
        os.kill(server_pid(keeper), signal.SIGKILL)
        assert wait_for("it answers", lambda: redis_answer(store, "AUTH", store["user"], store["password"])) == "+OK"
        ready_again(system, "carts-redis", keeper)


def test_when_up_is_killed_the_servers_end_and_the_next_up_goes_on_with_them(mixed):
    before = keepers(mixed)
    servers = [server_pid(one["pid"]) for one in before.values()]
    sql(store_of(mixed, "orders"), "CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
    os.kill(mixed.status()["up_pid"], signal.SIGKILL)
    wait_for("the servers end", lambda: all(is_over(pid) for pid in servers))
    mixed.up()
    after = keepers(mixed)
    assert {name: one["address"] for name, one in after.items()} == {name: one["address"] for name, one in before.items()}
    assert sql(store_of(mixed, "orders"), "SELECT id FROM kept") == [["7"]]
    sql(store_of(mixed, "orders"), "DROP TABLE kept")
    assert check(mixed) == ([], [])


def test_stopping_ends_the_servers_in_order_and_after_the_services(start):
    system = start(SHOP_FILE, named("postgresql"))
    servers = [server_pid(one["pid"]) for one in keepers(system).values()]
    said = system.command("stop", "--state", system.state)
    lines = [line.strip() for line in (said.stdout + said.stderr).splitlines()]
    assert lines.index("stopping orders") < lines.index("stopping orders-postgresql")
    assert all(is_over(pid) for pid in servers)
    for name in ("users", "orders"):
        log = (pathlib.Path(system.state) / ".servers" / f"{name}-postgresql" / "log").read_text()
        assert log.rstrip().endswith("database system is shut down") and "received immediate" not in log
    system.up()


def as_of_before(system, service, key, port):
    """The stopped system as a former version left it, whose servers listened on ports."""
    state = pathlib.Path(system.state)

    def changed(name, change):
        file = state / name
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    def to_port(store):
        store.update(host="127.0.0.1", port=port)
        store.pop("server", None)

    changed("servers.json", lambda kept: kept.update(ports={key: port}))
    changed(f".servers/{key}/server.json", lambda config: (config.update(port=port), *map(to_port, config["stores"])))
    changed(f"{service}/service.json", lambda config: to_port(config["store"]))
    changed(f"{service}/store.json", lambda record: to_port(record["store"]))
    shutil.rmtree(state / ".sockets")


def test_a_server_of_a_former_version_is_found_and_gives_up_its_port(tmp_path, request):
    if not shutil.which("redis-server"):
        pytest.skip("NOT RUN WITH REDIS: apt-get install redis-server")
    folder = open_folder()
    request.addfinalizer(lambda: shutil.rmtree(folder))
    system = shop_with(folder, carts={"engine": "redis"}).up()
    request.addfinalizer(lambda: system.stop(check=False))
    made = system.http("PUT", "/api/carts/7/items/lamp", {"quantity": 2}, headers={"Idempotency-Key": "before"})
    assert made.status < 300, made
    system.stop()
    as_of_before(system, "carts", "carts-redis", 15999)
    system.command("backup", "carts", "--to", str(tmp_path / "b"), "--state", system.state)
    as_of_before(system, "carts", "carts-redis", 15999)
    system.up()
    assert store_of(system, "carts")["host"] == str(sockets_of(system, "carts-redis"))
    assert "lamp" in system.http("GET", "/api/carts/7").text
    assert check(system) == ([], [])
    # And where the file no longer names it, what is moved away from it.
    system.stop()
    as_of_before(system, "carts", "carts-redis", 15999)
    file = pathlib.Path(system.file)
    file.write_text(file.read_text().replace('"engine": "redis"', '"engine": "sqlite"'))
    system.command("move", system.file, "carts", "--detach", "--state", system.state, "--listen",
                   f"127.0.0.1:{system.port}")
    assert "lamp" in system.http("GET", "/api/carts/7").text


# ---- Documents ----------------------------------------------------------------------------------------------------


def test_document_stores_have_private_servers_that_let_nobody_else_in(documents):
    for service in ("products", "payments"):
        store = store_of(documents, service)
        assert re.search(rf"{service} +mongodb, a private server at {store['host']}, database shop_{service}\n",
                         documents.said), documents.said
    assert check(documents) == ([], [])
    # With another's password: the same as anybody else.
    file = pathlib.Path(documents.state) / "payments" / "service.json"
    config = json.loads(file.read_text())
    before, config["store"]["password"] = dict(config["store"]), store_of(documents, "products")["password"]
    config["store"].update(user="shop_products", database="shop_products", host=store_of(documents, "products")["host"])
    file.write_text(json.dumps(config))
    try:
        found, _ = check(documents)
        assert [one for one in found if one.startswith("payments can look into the database shop_products")], found
    finally:
        file.write_text(json.dumps({**config, "store": before}))
    assert check(documents) == ([], [])


def test_instances_on_a_private_document_server_take_turns(documents):
    documents.command("scale", "products", "3", "--state", documents.state)
    for number in range(12):
        made = documents.http("POST", "/api/products", {"id": f"turn-{number}", "name": "Pen", "price": 1, "stock": 1},
                              headers={"Idempotency-Key": f"turn-{number}"})
        assert made.status == 201, made
    assert check(documents) == ([], [])
    wait_for("every saga ends and every event is applied", documents.at_rest)
    documents.command("scale", "products", "1", "--state", documents.state)


@pytest.mark.parametrize("name", ["products-mongodb", "payments-mongodb"])
def test_a_document_server_that_is_killed_comes_back_by_itself_with_what_it_had(documents, name):
    documents.http("POST", "/api/products", {"id": name, "name": "Lamp", "price": 100, "stock": 10})
    keeper = keepers(documents)[name]["pid"]
    os.kill(server_pid(keeper), signal.SIGKILL)
    ready_again(documents, name, keeper)
    wait_for("it is read again", lambda: documents.http("GET", f"/api/products/{name}").status == 200)


# ---- Existing servers -------------------------------------------------------------------------------------------


class Existing:
    """A shop whose users and orders are on the servers that tools/servers runs."""

    def __init__(self, folder, name):
        file = shop_with(folder).file
        self.name = name
        text = pathlib.Path(file).read_text().replace("system: shop", f"system: {name}")
        lines = ["servers:", f"  main: {json.dumps({'engine': 'postgresql', **self.address(SERVERS)})}",
                 f"  other: {json.dumps({'engine': 'mariadb', **self.address(MARIADB)})}"]
        for service, keys in (("orders", {"engine": "postgresql", "store": {"server": "main"}}),
                              ("users", {"engine": "mariadb", "store": {"server": "other"}})):
            text = re.sub(rf"^  {service}: {{", lambda found: found[0] + json.dumps(keys)[1:-1] + ", ", text,
                          flags=re.MULTILINE)
        self.text = text + "\n".join(lines) + "\n"
        pathlib.Path(file).write_text(self.text)
        self.system = System(file, folder / "s")

    @staticmethod
    def address(server):
        secret = "TEST_PASSWORD_" + str(server["port"])
        os.environ[secret] = server["password"]
        return {"host": server["host"], "port": server["port"], "user": server["user"], "password": "${%s}" % secret}

    def drop(self):
        name = self.name
        sql(SERVERS, f'DROP DATABASE IF EXISTS "{name}_orders" WITH (FORCE)')
        sql(SERVERS, f'DROP ROLE IF EXISTS "{name}_orders"')
        sql(MARIADB, f"DROP DATABASE IF EXISTS `{name}_users`; DROP USER IF EXISTS '{name}_users'@'%'", "mariadb")


@pytest.fixture
def existing(tmp_path, request):
    if not SERVERS or not MARIADB:
        pytest.skip("NO SERVERS TO BE FOUND: run by tools/servers, with PostgreSQL and MariaDB installed")
    for profile in ("servers", "postgresql"):
        named(profile)
    shop = Existing(tmp_path, "e" + str(zlib.crc32(request.node.name.encode())))
    yield shop
    shop.system.stop(check=False)
    shop.drop()


def test_on_an_existing_server_each_service_gets_a_database_and_a_user(existing):
    system, name = existing.system.up(), existing.name
    assert f"postgresql, the server main at 127.0.0.1:{SERVERS['port']}, database {name}_orders" in system.said
    assert f"mariadb, the server other at 127.0.0.1:{MARIADB['port']}, database {name}_users" in system.said
    assert system.status()["servers"] == []
    assert check(system) == ([], [])
    orders, users = store_of(system, "orders"), store_of(system, "users")
    assert sql(orders, "SELECT current_user, current_database()") == [[f"{name}_orders"] * 2]
    assert sql(users, "SELECT current_user(), database()", "mariadb") == [[f"{name}_users@%", f"{name}_users"]]
    for server in (SERVERS, MARIADB):
        config = "".join(path.read_text() for path in pathlib.Path(system.state).rglob("*.json"))
        assert server["password"] not in config, "the administrator's password is kept nowhere"
    system.stop()
    system.up()  # again: what is there stays, with its password
    assert store_of(system, "orders") == orders and store_of(system, "users") == users


def test_a_lost_state_folder_does_not_take_over_what_another_made(existing):
    system = existing.system.up()
    system.stop()
    shutil.rmtree(system.state)
    said = system.command("up", system.file, "--state", system.state, check=False)
    assert said.returncode == 1
    assert re.search(rf"servers\.\w+, the store of \w+: The server has a user {existing.name}_\w+ already, who is not let "
                     r"in", said.stderr), said.stderr


def test_what_is_not_ours_is_not_taken(existing):
    sql(SERVERS, f'CREATE DATABASE "{existing.name}_orders"')
    said = existing.system.command("up", existing.system.file, "--state", existing.system.state, check=False)
    assert said.returncode == 1
    assert f"has a database {existing.name}_orders already, and it is the user freehold's" in said.stderr


def test_a_server_that_does_not_answer_is_named(existing):
    system = existing.system
    file = pathlib.Path(system.file)
    file.write_text(existing.text.replace(f'"port": {SERVERS["port"]}', '"port": 1'))
    said = system.command("up", system.file, "--state", system.state, check=False)
    assert said.returncode == 1
    assert "servers.main, the store of orders: PostgreSQL, as freehold: " in said.stderr and "refused" in said.stderr


def test_a_store_that_is_there_already_is_used_as_it_is(existing):
    name = existing.name
    sql(SERVERS, f"CREATE ROLE {name}_orders LOGIN PASSWORD 'given'")
    sql(SERVERS, f"CREATE DATABASE {name}_orders OWNER {name}_orders")
    os.environ["TEST_GIVEN"] = "given"
    file = pathlib.Path(existing.system.file)
    given = {"host": "127.0.0.1", "port": SERVERS["port"], "database": f"{name}_orders", "user": f"{name}_orders",
             "password": "${TEST_GIVEN}"}
    file.write_text(existing.text.replace('{"server": "main"}', json.dumps(given)))
    system = existing.system.up()
    assert f"postgresql, a store that is there already at 127.0.0.1:{SERVERS['port']}" in system.said
    store = store_of(system, "orders")
    assert store["password"] == "given" and store["tls"] == {"mode": "off"} and store["connections"] == 8
