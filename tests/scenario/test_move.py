# SPDX-License-Identifier: Apache-2.0
"""A service's store moves to another engine, and back; all others go on as if nothing had happened."""

import pathlib
import shutil

import pytest

from conftest import ROOT, System, open_folder, wait_for, with_programs

SERVERS = {"mariadb": "/usr/sbin/mariadbd", "postgresql": "/usr/lib/postgresql/*/bin/postgres"}


def is_installed(engine):
    return any(pathlib.Path("/").glob(SERVERS[engine].lstrip("/")))


@pytest.fixture
def shop(tmp_path):
    shutil.copytree(ROOT / "examples" / "shop", tmp_path / "shop")
    folder = open_folder()
    system = System(tmp_path / "shop" / "freehold.yaml", folder / "state")
    pathlib.Path(system.file).write_text(with_programs(pathlib.Path(system.file).read_text()))
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


def set_engine(system, engine):
    """Edits the file, as a person would."""
    path = pathlib.Path(system.file)
    text = path.read_text()
    lines = [f"  users: {{ program: {line.split('program: ')[1].split(',')[0].split(' }')[0]}, engine: {engine} }}"
             if line.startswith("  users: { program:") else line for line in text.splitlines()]
    path.write_text("\n".join(lines) + "\n")


def move(system, *more, check=True):
    return system.command("move", system.file, "users", "--detach", "--state", system.state,
                          "--listen", f"127.0.0.1:{system.port}", *more, check=check)


def try_up(system):
    return system.command("up", system.file, "--detach", "--state", system.state,
                          "--listen", f"127.0.0.1:{system.port}", check=False)


def make_users(system):
    for i in range(1, 31):
        answer = system.http("POST", "/api/users", {"name": f"User {i}", "email": f"user-{i}@example.org"},
                             {"Idempotency-Key": f"user-{i}"})
        assert answer.status == 201, answer
    product = {"id": "p1", "name": "Lamp", "price": 100, "stock": 50}
    assert system.http("POST", "/api/products", product, {"Idempotency-Key": "p1"}).status == 201


def order(system, key):
    answer = system.http("POST", "/api/orders", {"user_id": 1, "payment_token": "tok_visa",
                                                 "items": [{"product_id": "p1", "quantity": 1}]},
                         {"Idempotency-Key": key, "Prefer": "wait=20"})
    assert answer.status in (200, 201, 202), answer
    return answer.body["id"]


def rename(system, name):
    answer = system.http("PATCH", "/api/users/1", {"name": name}, {"Idempotency-Key": f"rename-{name}"})
    assert answer.status == 200, answer
    wait_for("orders has heard of it", lambda: all(
        one["user_name"] == name for one in system.http("GET", "/api/orders?user_id=1").body))


def check_whole(system, names):
    users = system.http("GET", "/api/users?ids=" + ",".join(map(str, range(1, 31)))).body
    assert sorted(user["id"] for user in users) == list(range(1, 31))
    assert {user["id"]: user["name"] for user in users}[1] == names
    # A command done before is known: its answer again, and no second user.
    again = system.http("POST", "/api/users", {"name": "User 7", "email": "user-7@example.org"},
                        {"Idempotency-Key": "user-7"})
    assert (again.status, again.body["id"]) == (201, 7)


@pytest.mark.parametrize("engine", sorted(SERVERS))
def test_a_store_moves_to_a_server_and_back(shop, engine):
    if not is_installed(engine):
        pytest.skip(f"{engine} is not installed")
    shop.up()
    make_users(shop)
    first = order(shop, "first")
    rename(shop, "Anna")
    wait_for("it rests", shop.at_rest)
    shop.stop()

    set_engine(shop, engine)
    refused = try_up(shop)
    assert refused.returncode != 0
    assert f"users has its data in sqlite, and the system file says {engine}" in refused.stderr
    move(shop)
    check_whole(shop, "Anna")
    rename(shop, "Berta")
    second = order(shop, "second")
    wait_for("it rests", shop.at_rest)
    assert {one["id"] for one in shop.http("GET", "/api/orders?user_id=1").body} == {first, second}
    assert shop.http("GET", "/api/users/1").body["order_count"] == 2
    shop.stop()

    set_engine(shop, "sqlite")  # by mistake: the old store is still in its folder, and is not served
    refused = try_up(shop)
    assert f"users has its data in {engine}, and the system file says sqlite" in refused.stderr
    move(shop)
    check_whole(shop, "Berta")
    rename(shop, "Clara")
    order(shop, "third")
    wait_for("it rests", shop.at_rest)
    assert shop.http("GET", "/api/users/1").body["order_count"] == 3


def test_a_store_moves_from_one_kind_of_server_to_another_and_back(shop):
    if not all(is_installed(engine) for engine in SERVERS):
        pytest.skip("POSTGRESQL AND MARIADB ARE NOT BOTH INSTALLED: apt-get install postgresql mariadb-server")
    set_engine(shop, "postgresql")
    shop.up()
    make_users(shop)
    order(shop, "first")
    rename(shop, "Anna")
    name = "Anna"
    for engine, then in (("mariadb", "Berta"), ("postgresql", "Clara")):
        wait_for("it rests", shop.at_rest)
        shop.stop()
        set_engine(shop, engine)
        move(shop)
        check_whole(shop, name)
        rename(shop, then)
        order(shop, f"on-{engine}")
        name = then
    wait_for("it rests", shop.at_rest)
    assert shop.http("GET", "/api/users/1").body["order_count"] == 3


def test_what_does_not_need_to_move_stays_where_it_is(shop):
    shop.up()
    make_users(shop)
    shop.stop()
    move(shop)
    check_whole(shop, "User 1")
    assert "moved" not in (pathlib.Path(shop.state) / "users" / "log").read_text()


def test_a_service_that_is_not_there_is_named(shop):
    done = shop.command("move", shop.file, "cellar", "--state", shop.state, check=False)
    assert done.returncode == 2
    assert "shop has no service 'cellar'" in done.stderr
