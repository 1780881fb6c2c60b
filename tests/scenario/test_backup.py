# SPDX-License-Identifier: Apache-2.0
"""Backups of a running system, and what follows when one is restored into it: here the shop, whose users and orders
go on meanwhile."""

import contextlib
import fcntl
import itertools
import json
import pathlib
import re
import shutil
import sqlite3
import subprocess
import threading

import pytest

from carts_alone import carts_alone
from conftest import FREEHOLD, ROOT, System, open_folder, wait_for, with_programs
from test_service import fill, small_disk  # noqa: F401

SERVERS = {"mariadb": "usr/sbin/mariadbd", "postgresql": "usr/lib/postgresql/*/bin/postgres"}


def open_shop(folder, engine=None):
    shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
    file = folder / "shop" / "freehold.yaml"
    text = with_programs(file.read_text())
    if engine:
        text = re.sub(r"(  users: \{ program: [^,} ]+)[^}]*\}", rf"\1, engine: {engine}, instances: 2 }}", text, count=1)
    file.write_text(text)
    return System(file, folder / "state").up()


@pytest.fixture(scope="module")
def shop():
    folder = open_folder()
    system = open_shop(folder)
    product = {"id": "p1", "name": "Lamp", "price": 100, "stock": 100000}
    assert system.http("POST", "/api/products", product, {"Idempotency-Key": "p1"}).status == 201
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


@pytest.fixture
def folder(shop, request):
    return pathlib.Path(shop.state).parent / re.sub(r"\W+", "-", request.node.name)


def run(system, *arguments):
    return subprocess.run([FREEHOLD, *arguments, "--state", system.state], capture_output=True, text=True, timeout=300)


def add_user(system, name):
    """Retried under the same key when the store is held, or the service away, for longer than a request waits."""
    answer = wait_for(f"{name} is taken", lambda: (a := system.http(
        "POST", "/api/users", {"name": name, "email": f"{name}@example.org"},
        {"Idempotency-Key": f"user-{name}"})).status not in (503, 504) and a)
    assert answer.status == 201, answer
    return answer.body["id"]


def rename(system, user, name):
    answer = wait_for("it is taken", lambda: (a := system.http(
        "PATCH", f"/api/users/{user}", {"name": name}, {"Idempotency-Key": f"{user}-{name}"})).status not in (503, 504) and a)
    assert answer.status == 200, answer


def order(system, user, key):
    return system.http("POST", "/api/orders", {"user_id": user, "payment_token": "tok_visa",
                                               "items": [{"product_id": "p1", "quantity": 1}]},
                       {"Idempotency-Key": key, "Prefer": "wait=20"})


def names_in_orders(system, user):
    answer = system.http("GET", f"/api/orders?user_id={user}")
    return {one["user_name"] for one in answer.body} if answer.status == 200 else answer


def incarnation(system, service):
    return system.state_of(service)["incarnation"]


def up_log(system):
    return (pathlib.Path(system.state) / "up.log").read_text()


def stopped_since(system, before):
    """What `up` has stopped since then, in order."""
    return re.findall(r"stopping (\w+)", up_log(system).removeprefix(before))


@contextlib.contextmanager
def load(work):
    """work(i) again and again during the body; yields the list of what came of each."""
    done, ends, failed = [], threading.Event(), []

    def go_on():
        while not ends.is_set():
            try:
                done.append(work(len(done)))
            except Exception as error:  # reported below, where it fails the test
                failed.append(error)
                return

    threads = [threading.Thread(target=go_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        ends.set()
        for thread in threads:
            thread.join()
        assert not failed, failed


def read(path, sql):
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as store:
        return store.execute(sql).fetchall()


# ---- Backing up ---------------------------------------------------------------------------------------

def test_a_backup_holds_one_moment_while_the_service_goes_on(shop, folder):
    lock = threading.Lock()
    made = []

    def work(_):
        with lock:
            name = f"Load-{len(made)}"
            made.append(name)
        return add_user(shop, name)

    with load(work) as done:
        wait_for("users are made", lambda: len(done) > 20)
        before = len(done)
        told = json.loads(shop.command("backup", "users", "orders", "--to", str(folder), "--json",
                                       "--state", shop.state).stdout)
        wait_for("it goes on", lambda: len(done) > before + 10)
    after = len(done)
    said = told["services"]["users"]
    (users,), = read(folder / "users.db", "SELECT count(*) FROM users WHERE name LIKE 'Load-%'")
    # Each user came with the record of its command, in one unit of work.
    (commands,), = read(folder / "users.db", "SELECT count(*) FROM fh_command WHERE key LIKE 'user-Load-%'")
    assert before <= users == commands <= after
    assert said["incarnation"] == incarnation(shop, "users") and said["model"] == "relational"
    assert {path.name for path in folder.iterdir()} == {"users.db", "orders.db", "manifest.json"}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    assert "as they were when it was made" in run_check(folder).stdout


def run_check(folder):
    return subprocess.run([FREEHOLD, "backup", "--check", str(folder)], capture_output=True, text=True, timeout=120)


def test_all_services_are_backed_up_when_none_is_named(shop, folder):
    told = json.loads(shop.command("backup", "--to", str(folder), "--json", "--state", shop.state).stdout)
    assert set(told["services"]) == set(shop.services())


def test_what_is_no_place_for_a_backup_is_reported(shop, folder):
    folder.mkdir()
    (folder / "mine").write_text("precious")
    refused = run(shop, "backup", "users", "--to", str(folder))
    assert refused.returncode == 1 and "is not empty" in refused.stderr
    assert (folder / "mine").read_text() == "precious"
    assert "no service 'user'" in run(shop, "backup", "user", "--to", str(folder / "new")).stderr
    assert not (folder / "new").exists()
    assert run(shop, "backup", "users").returncode == 2
    assert run(shop, "backup", "users", "--to", str(folder / "a" / "b")).returncode == 1
    assert "not a backup, or not a complete one" in run_check(folder).stderr


# ---- A stopped system ---------------------------------------------------------------------------------

@contextlib.contextmanager
def stopped(system):
    system.stop()
    try:
        yield
    finally:
        system.up()


def test_a_stopped_system_is_backed_up(shop, folder):
    """Its programs are run just for that; what they make is a backup like any other, and the system starts as usual."""
    user = add_user(shop, "Hugo")
    with stopped(shop):
        told = json.loads(run(shop, "backup", "--to", str(folder), "--json").stdout)
        assert "as they were when it was made" in run_check(folder).stdout
        assert read(folder / "users.db", f"SELECT name FROM users WHERE id = {user}") == [("Hugo",)]
        state = pathlib.Path(shop.state)
        assert not list(state.glob("*/task.json")) and not list(state.glob("*/backup.db"))
        assert run(shop, "status").returncode == 3
    assert set(told["services"]) == set(shop.services())
    assert told["services"]["users"]["incarnation"] == incarnation(shop, "users")
    rename(shop, user, "Ida")
    shop.command("restore", "users", "--from", str(folder), "--yes", "--state", shop.state)
    assert shop.http("GET", f"/api/users/{user}").body["name"] == "Hugo"


def test_what_a_stopped_system_does_not_reach_is_reported(shop, folder):
    """The file is gone, a store is, a restore was ordered, a program is: each is reported, and there is no backup."""
    file, state = pathlib.Path(shop.file), pathlib.Path(shop.state)
    with stopped(shop):
        aside = file.rename(file.with_suffix(".aside"))
        refused = run(shop, "backup", "users", "--to", str(folder))
        assert refused.returncode == 1 and "--file and --programs say where" in refused.stderr, refused.stderr
        assert run(shop, "backup", "users", "--to", str(folder), "--file", str(aside)).returncode == 0
        aside.rename(file)
        shutil.rmtree(folder)
        for name in ("store.json", "store.db"):
            (state / "users" / name).rename(state / name)
            refused = run(shop, "backup", "users", "--to", str(folder))
            assert refused.returncode == 1 and "users has no store yet" in refused.stderr, refused.stderr
            (state / name).rename(state / "users" / name)
        (state / "users" / "restore.json").write_text("{}")
        refused = run(shop, "backup", "users", "orders", "--to", str(folder))
        assert refused.returncode == 1 and "A restore of users was ordered" in refused.stderr, refused.stderr
        assert "is NO backup" in refused.stderr and not (folder / "manifest.json").exists()
        (state / "users" / "restore.json").unlink()
        assert "no service 'user'" in run(shop, "backup", "user", "--to", str(folder / "new")).stderr
        shutil.rmtree(folder)
        assert run(shop, "backup", "users", "--to", str(folder)).returncode == 0


def test_none_is_started_while_a_stopped_system_is_backed_up(shop, folder):
    with stopped(shop):
        with open(pathlib.Path(shop.state) / "up.lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            refused = run(shop, "backup", "users", "--to", str(folder))
        assert refused.returncode == 1 and "is busy" in refused.stderr, refused.stderr


# ---- What can't be restored, and touches nothing -----------------------------------------------------

def spoil(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest, manifest["services"]["users"])
    path.write_text(json.dumps(manifest))


WRONG = {
    "another system": (lambda all_, one: all_.update(system="other"), "a backup of the system 'other'"),
    "another model": (lambda all_, one: one.update(model="document"), "is a document store, and the service's model"),
    "a newer schema": (lambda all_, one: one.update(migration=77), "has migration 77, which is not among"),
    "a newer format": (lambda all_, one: all_.update(freehold_backup=3), "has format 3"),
    "another file's size": (lambda all_, one: one.update(size=1), "is damaged: users.db has"),
    "another file": (lambda all_, one: one.update(sha256="0" * 64), "users.db is not what it was when it was made"),
    "a way out of the folder": (lambda all_, one: one.update(file="../users.db"), "wrong at services.users.file"),
    "no manifest": (lambda all_, one: all_.clear(), "not the manifest"),
}


@pytest.fixture(scope="module")
def taken(shop):
    folder = pathlib.Path(shop.state).parent / "taken"
    shop.command("backup", "users", "--to", str(folder), "--state", shop.state)
    return folder


@pytest.mark.parametrize("wrong", WRONG)
def test_a_backup_that_does_not_fit_is_refused_and_nothing_is_changed(shop, taken, folder, wrong):
    shutil.copytree(taken, folder)
    change, said = WRONG[wrong]
    spoil(folder, change)
    before, log = incarnation(shop, "users"), up_log(shop)
    refused = run(shop, "restore", "users", "--from", str(folder), "--yes")
    assert refused.returncode == 1 and said in refused.stderr, refused.stderr
    assert incarnation(shop, "users") == before and stopped_since(shop, log) == []
    assert not list((pathlib.Path(shop.state) / "users").glob("restore-*"))


def test_a_damaged_file_is_refused(shop, taken, folder):
    shutil.copytree(taken, folder)
    data = bytearray((folder / "users.db").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "users.db").write_bytes(data)
    assert "not what it was when it was made" in run_check(folder).stderr
    assert run(shop, "restore", "users", "--from", str(folder), "--yes").returncode == 1


def test_nothing_is_replaced_silently(shop, taken):
    refused = run(shop, "restore", "users", "--from", str(taken))
    assert refused.returncode == 2 and "say --yes" in refused.stderr
    assert "holds no service 'orders'" in run(shop, "restore", "orders", "--from", str(taken), "--yes").stderr


# ---- Restoring ---------------------------------------------------------------------------------------

# Schedule 10.
def test_a_service_is_restored_under_load_and_its_subscribers_begin_anew(shop, folder):
    """What orders has applied of users after the cut is undone there, too, by the snapshot that its subscription takes.
    No other service is stopped."""
    user, other = add_user(shop, "Anna"), add_user(shop, "Other")
    assert order(shop, user, "anna-1").status in (200, 201, 202)
    rename(shop, user, "Berta")
    wait_for("orders has heard of it", lambda: names_in_orders(shop, user) == {"Berta"})
    shop.command("backup", "users", "--to", str(folder), "--state", shop.state)
    rename(shop, user, "Clara")
    lost = add_user(shop, "Lost")
    wait_for("orders has heard of that", lambda: names_in_orders(shop, user) == {"Clara"})
    before, log = incarnation(shop, "users"), up_log(shop)
    with load(lambda i: order(shop, other, f"other-{i}-{threading.get_ident()}").status) as done:
        wait_for("orders are placed", lambda: len(done) > 3)
        told = json.loads(shop.command("restore", "users", "--from", str(folder), "--yes", "--json",
                                       "--state", shop.state).stdout)["restored"]["users"]
        so_far = len(done)
        wait_for("orders are placed again", lambda: len(done) > so_far + 3)
    assert all(status < 500 or status in (503, 504) for status in done), done
    assert incarnation(shop, "users") == told["incarnation"] > before
    wait_for("orders begins anew", lambda: names_in_orders(shop, user) == {"Berta"})
    assert shop.http("GET", f"/api/users/{lost}").status == 404
    rename(shop, user, "Dora")
    wait_for("orders hears on", lambda: names_in_orders(shop, user) == {"Dora"})
    wait_for("the system rests", shop.at_rest)
    assert stopped_since(shop, log) == ["users"]
    kept = pathlib.Path(shop.state) / "users" / told["kept"]
    assert read(kept, f"SELECT name FROM users WHERE id = {user}") == [("Clara",)]


def test_a_stopped_system_is_restored_when_it_starts(shop, folder):
    user = add_user(shop, "Emil")
    shop.command("backup", "users", "--to", str(folder), "--state", shop.state)
    rename(shop, user, "Fritz")
    shop.stop()
    assert "when the system is started next" in run(shop, "restore", "--from", str(folder), "--yes").stdout
    shop.up()
    assert shop.http("GET", f"/api/users/{user}").body["name"] == "Emil"
    wait_for("the system rests", shop.at_rest)


def test_a_damaged_store_is_restored(shop, folder):
    """It can't be opened any more, and need not be."""
    user = add_user(shop, "Greta")
    shop.command("backup", "users", "--to", str(folder), "--state", shop.state)
    shop.stop()
    store = pathlib.Path(shop.state) / "users" / "store.db"
    store.write_bytes(b"\x55" * store.stat().st_size)
    run(shop, "restore", "--from", str(folder), "--yes")
    shop.up()
    assert shop.http("GET", f"/api/users/{user}").body["name"] == "Greta"


@pytest.mark.parametrize("engine", sorted(SERVERS))
def test_a_servers_store_is_backed_up_and_restored_there_and_elsewhere(shop, engine):
    if not any(pathlib.Path("/").glob(SERVERS[engine])):
        pytest.skip(f"{engine.upper()} IS NOT INSTALLED")
    folder = open_folder()
    system = open_shop(folder, engine)
    try:
        with load(lambda i: add_user(system, f"Load-{i}-{threading.get_ident()}")) as done:
            wait_for("users are made", lambda: len(done) > 10)
            before = len(done)
            system.command("backup", "users", "--to", str(folder / "one"), "--state", system.state)
        (users, newest), = read(folder / "one" / "users.db", "SELECT count(*), max(id) FROM users")
        (commands,), = read(folder / "one" / "users.db", "SELECT count(*) FROM fh_command")
        assert before <= users == commands <= len(done)
        lost = add_user(system, "Lost")
        told = json.loads(system.command("restore", "users", "--from", str(folder / "one"), "--yes", "--json",
                                         "--state", system.state).stdout)["restored"]["users"]
        assert incarnation(system, "users") == told["incarnation"]
        assert system.http("GET", f"/api/users/{lost}").status == 404
        assert system.http("GET", f"/api/users/{newest}").status == 200
        # The command's record is there again: its answer, and no second user.
        (key,), = read(folder / "one" / "users.db", "SELECT key FROM fh_command LIMIT 1")
        name = key.removeprefix("user-")
        assert system.http("POST", "/api/users", {"name": name, "email": f"{name}@example.org"},
                           {"Idempotency-Key": key}).status == 201
        kept = pathlib.Path(system.state) / "users" / told["kept"]
        assert read(kept, "SELECT count(*) FROM users WHERE name = 'Lost'") == [(1,)]
        assert add_user(system, "Next") > newest
        # Its server is not up when it is stopped: it is started for the backup, and stopped again.
        with stopped(system):
            system.command("backup", "users", "--to", str(folder / "stopped"), "--state", system.state)
        assert read(folder / "stopped" / "users.db", "SELECT count(*) FROM users WHERE name = 'Next'") == [(1,)]
        # There and back between engines: the files are all of one kind.
        shop.command("restore", "users", "--from", str(folder / "one"), "--yes", "--state", shop.state)
        assert shop.http("GET", f"/api/users/{newest}").status == 200
        here = add_user(shop, f"From-{engine}")
        shop.command("backup", "users", "--to", str(folder / "two"), "--state", shop.state)
        system.command("restore", "users", "--from", str(folder / "two"), "--yes", "--state", system.state)
        assert system.http("GET", f"/api/users/{here}").body["name"] == f"From-{engine}"
    finally:
        system.stop(check=False)
        shutil.rmtree(folder)


def put_cart(system, number):
    """Of a user of its own; again under its key where the store is held for longer than a request waits."""
    answer = wait_for("it is taken", lambda: (a := system.http(
        "PUT", f"/api/carts/{number}/items/mug", {"quantity": 1 + number % 9},
        {"Idempotency-Key": f"cart-{number}"})).status not in (503, 504) and a)
    assert answer.status == 200, answer
    return number


def test_a_store_on_redis_is_backed_up_at_one_moment_whichever_instance_copies_it(tmp_path):
    """Redis has no snapshot: what the other instance writes meanwhile waits, too."""
    if not pathlib.Path("/usr/bin/redis-server").exists():
        pytest.skip("REDIS IS NOT INSTALLED")
    system = carts_alone(tmp_path, pathlib.Path(FREEHOLD).parent / "examples" / "shop" / "carts")
    file = pathlib.Path(system.file)
    file.write_text(file.read_text().replace("engine: sqlite", "engine: redis, instances: 2"))
    numbers = itertools.count(1)
    system.up()
    try:
        for name in ("one", "two", "three"):
            with load(lambda i: put_cart(system, next(numbers))) as done:
                before = len(done)
                wait_for("carts are filled", lambda: len(done) > before + 200)
                before = set(done)
                system.command("backup", "carts", "--to", str(tmp_path / name), "--state", system.state)
                behind = len(done)
                wait_for("the instances go on", lambda: len(done) > behind + 20)
            copy = tmp_path / name / "carts.db"
            there = {int(key.split("-")[1]) for key, in read(copy, "SELECT key FROM fh_command")}
            assert before <= there and len(there) == read(copy, "SELECT count(*) FROM kv_key")[0][0]
            assert read(copy, "SELECT count(*) FROM fh_outbox WHERE position > (SELECT position FROM fh_counter)") == [(0,)]
        assert [len(one["instances"]) for one in json.loads(run(system, "status", "--json").stdout)["services"]] == [2]
        system.command("restore", "carts", "--from", str(tmp_path / "one"), "--yes", "--state", system.state)
        there = {int(key.split("-")[1]) for key, in read(tmp_path / "one" / "carts.db", "SELECT key FROM fh_command")}
        last = next(numbers) - 1
        assert system.http("GET", f"/api/carts/{min(there)}").body["items"]
        assert last not in there and system.http("GET", f"/api/carts/{last}").body["items"] == []
        put_cart(system, last)
    finally:
        system.stop(check=False)


def test_a_full_disk_is_reported_to_whoever_waits_for_a_backup(small_disk, tmp_path):  # noqa: F811
    system = carts_alone(small_disk, pathlib.Path(FREEHOLD).parent / "examples" / "shop" / "carts").up()
    try:
        filler = fill(small_disk)
        full = run(system, "backup", "--to", tmp_path / "full")
        assert full.returncode == 1 and "is NO backup" in full.stderr, full
        assert "No space left on device" in full.stderr or "disk is full" in full.stderr
        filler.unlink()
        assert run(system, "backup", "--to", tmp_path / "whole").returncode == 0
        damaged = tmp_path / "whole" / "carts.db"
        damaged.unlink()
        missing = run(system, "restore", "--yes", "--from", tmp_path / "whole")
        assert missing.returncode == 1 and "The backup of carts is damaged: carts.db is missing." in missing.stderr
        nowhere = run(system, "backup", "--to", tmp_path / "not" / "there")
        assert nowhere.returncode == 1 and "the one above it is not there" in nowhere.stderr
    finally:
        system.stop(check=False)
