# SPDX-License-Identifier: Apache-2.0
"""A service's store moves to another engine while the system runs: requests wait, none fails, and the others notice
nothing but that. What can't be moved stays where it was."""

import contextlib
import json
import os
import pathlib
import pty
import re
import shutil
import subprocess

import pytest

from carts_alone import carts_alone, expect_carts, fill, put
from conftest import FREEHOLD, ROOT, System, free_port, open_folder, wait_for
from held import Held
from servers import Ferret
from test_identity import shop_with
from test_instances import Load
from test_move import SERVERS, check_whole, is_installed, make_users, order, rename, set_engine, shop  # noqa: F401

ENGINE = next((name for name in sorted(SERVERS) if is_installed(name)), None)
needs_a_server = pytest.mark.skipif(not ENGINE, reason="NO SERVER IS INSTALLED TO MOVE A STORE TO")


def move(system, service, *more, check=True):
    return system.command("move", service, "--state", system.state, *more, check=check)


def on_terminal(*words):
    """What a command draws on the terminal that its errors go to."""
    terminal, end = pty.openpty()
    with open(terminal, "rb", buffering=0) as drawn:
        with subprocess.Popen([FREEHOLD, *words], stdout=subprocess.DEVNULL, stderr=end,
                              env={**os.environ, "TERM": "xterm"}) as process:
            os.close(end)
            told = b""
            with contextlib.suppress(OSError):  # the terminal's end, when nobody has it any more
                while part := drawn.read(4096):
                    told += part
        assert process.returncode == 0, told
    return told.decode()


def moves(system):
    path = pathlib.Path(system.state) / "moves.json"
    return json.loads(path.read_text()) if path.exists() else {}


def engine_of(system, service):
    one = system.services()[service]
    recorded = json.loads((pathlib.Path(system.state) / service / "store.json").read_text())["engine"]
    assert one["engine"] == recorded
    return recorded


def check(system):
    done = system.command("check", system.file, "--live", "--state", system.state, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def expect_balanced(system, ids):
    """Every order is confirmed, counted once by users and took one from the stock."""
    wait_for("it rests", system.at_rest)
    listed = system.http("GET", "/api/orders?user_id=1").body
    assert {one["id"] for one in listed} >= set(ids)
    for one in ids:
        assert system.http("GET", f"/api/orders/{one}").body["status"] == "CONFIRMED"
    assert system.http("GET", "/api/users/1").body["order_count"] == len(ids)


class Buying(Load):
    """Orders placed without a pause, each once; users are queried and changed for each of them."""

    def __init__(self, system):
        self.ids = []
        super().__init__(lambda number, count: self.buy(system, f"buy-{len(self.ids)}-{number}-{count}"), threads=3)

    def buy(self, system, key):
        answer = system.http("POST", "/api/orders", {"user_id": 1, "payment_token": "tok_visa",
                                                     "items": [{"product_id": "p1", "quantity": 1}]},
                             {"Idempotency-Key": key, "Prefer": "wait=20"})
        if answer.status < 300:
            with self.lock:
                self.ids.append(answer.body["id"])
        return answer


@pytest.mark.parametrize("engine", sorted(SERVERS))
def test_a_store_moves_there_and_back_under_load(shop, engine):  # noqa: F811
    if not is_installed(engine):
        pytest.skip(f"{engine} is not installed")
    shop.up()
    make_users(shop)
    before = pathlib.Path(shop.file).read_text()
    ids = []
    for to in (engine, "sqlite"):
        with Load(lambda number, count: shop.http("GET", f"/api/users/{number + 1}")) as load:
            said = move(shop, "users", "--to", to)
            ids.append(order(shop, f"order-{to}"))
            answered = load.answered
            wait_for("it serves", lambda: load.answered > answered + 20)
        assert load.wrong == []
        assert f"users was moved from {'sqlite' if to == engine else engine} to {to}; its requests waited" in said.stdout
        assert engine_of(shop, "users") == to
        check_whole(shop, "User 1" if to == engine else "Anna")
        rename(shop, "Anna")
    expect_balanced(shop, ids)
    assert pathlib.Path(shop.file).read_text() == before and moves(shop) == {}
    assert all(one["restarts"] == 0 for one in shop.services().values())
    wait_for("its server has ended", lambda: shop.status()["servers"] == [])


@needs_a_server
def test_its_progress_is_reported(shop):  # noqa: F811
    shop.up()
    make_users(shop)
    drawn = on_terminal("move", "users", "--to", ENGINE, "--state", shop.state)
    assert re.search(r"users  .* \d+%  [\d,]+ of [\d,]+ rows", drawn), drawn
    shop.stop()
    set_engine(shop, "sqlite")
    drawn = on_terminal("move", shop.file, "users", "--state", shop.state, "--listen", f"127.0.0.1:{shop.port}",
                        "--detach")
    assert re.search(r"users  .*[\d,]+ (of about [\d,]+ )?rows", drawn), drawn  # a server may have no statistics yet
    check_whole(shop, "User 1")


@needs_a_server
def test_orders_placed_meanwhile_wait_and_are_all_counted_once(shop):  # noqa: F811
    shop.up()
    make_users(shop)
    with Buying(shop) as buying:
        move(shop, "users", "--to", ENGINE)
        answered = buying.answered
        wait_for("orders go on", lambda: buying.answered > answered + 5)
    out_of_stock = [one for one in buying.wrong if "stock" not in one]
    assert out_of_stock == []
    wait_for("it rests", shop.at_rest)
    confirmed = [one for one in shop.http("GET", "/api/orders?user_id=1").body if one["status"] == "CONFIRMED"]
    assert shop.http("GET", "/api/users/1").body["order_count"] == len(confirmed) > 0
    assert {one["id"] for one in confirmed} <= set(buying.ids)


@needs_a_server
def test_the_file_is_a_persons_and_up_goes_by_where_the_data_are(shop):  # noqa: F811
    shop.up()
    make_users(shop)
    said = move(shop, "users", "--to", ENGINE)
    assert re.search(rf"freehold.yaml:\d+: engine: sqlite. Say there: engine: {ENGINE}\n", said.stdout), said.stdout
    warned = f"users has its data in {ENGINE} since `freehold move`, and the file says engine: sqlite"
    assert warned in check(shop)
    assert f"users is on {ENGINE} since its move" in shop.command("status", "--state", shop.state).stdout
    told = shop.services()["users"]["file"]
    assert (told["says"], told["expected"]) == ("engine: sqlite", f"engine: {ENGINE}")
    shop.stop()

    again = shop.command("up", shop.file, "--detach", "--state", shop.state, "--listen", f"127.0.0.1:{shop.port}")
    assert warned in again.stderr
    assert engine_of(shop, "users") == ENGINE and moves(shop)["users"]["state"] == "moved"
    check_whole(shop, "User 1")
    shop.stop()

    set_engine(shop, ENGINE)
    again = shop.command("up", shop.file, "--detach", "--state", shop.state, "--listen", f"127.0.0.1:{shop.port}")
    assert warned not in again.stderr and moves(shop) == {}
    check_whole(shop, "User 1")

    set_engine(shop, "sqlite")  # first the file, then the move
    told = json.loads(move(shop, "users", "--json").stdout)
    assert (told["from"], told["to"]) == (ENGINE, "sqlite") and "file" not in told and told["paused_ms"] > 0
    assert engine_of(shop, "users") == "sqlite" and moves(shop) == {}
    check_whole(shop, "User 1")
    assert warned not in check(shop)


@pytest.mark.parametrize("wanted, expected", [
    (["users", "--to", "sqlite"], "users has its data in sqlite already."),
    (["users"], "users has its data in sqlite already."),
    (["users", "--to", "redis"], "users can't be moved: users keeps relational tables, and the engine redis has none"),
    (["users", "--to", "postgres"], "did you mean 'postgresql'?"),
    (["cellar", "--to", "sqlite"], "The running system has no service 'cellar'."),
    (["users", "--profile", "cellar"], "there is no profile 'cellar'"),
    (["users", "--abandon"], "users is not being moved."),
    (["freehold.yaml"], "say whose store, too: freehold move freehold.yaml SERVICE"),
    (["users", "orders"], "the first is the system file, and users is none"),
], ids=["there", "said", "model", "engine", "service", "profile", "nothing", "whose", "two"])
def test_what_can_not_be_moved_is_refused(refusing, wanted, expected):
    before = refusing.pid("users")
    done = move(refusing, *wanted, check=False)
    assert done.returncode in (1, 2) and expected in done.stderr, done.stderr
    assert refusing.pid("users") == before and moves(refusing) == {}


@pytest.fixture(scope="module")
def refusing(start):
    return start(ROOT / "examples" / "shop" / "freehold.yaml")


def named_elsewhere(system, **store):
    """In the profile `elsewhere` users are on somebody else's server."""
    path = pathlib.Path(system.file)
    text = re.sub(r"\n  elsewhere:\n.*\n", "\n", path.read_text())
    words = ", ".join(f"{key}: {json.dumps(value)}" for key, value in store.items())
    path.write_text(f"{text.rstrip()}\n  elsewhere:\n    users: {{ engine: {ENGINE}, store: {{ {words} }} }}\n")


@needs_a_server
def test_a_server_that_does_not_answer_is_reported_before_anything_stops(shop):  # noqa: F811
    nobody = {"host": "127.0.0.1", "port": free_port(), "database": "d", "user": "u", "password": "never shown"}
    named_elsewhere(shop, **nobody)
    shop.up()
    make_users(shop)
    before = shop.pid("users")
    done = move(shop, "users", "--profile", "elsewhere", check=False)
    assert done.returncode == 1 and "never shown" not in done.stderr
    assert ("freehold: users was not moved, and goes on with sqlite: "
            f"The server at 127.0.0.1:{nobody['port']} can't be reached: ") in done.stderr
    assert shop.pid("users") == before and moves(shop) == {}  # not a request has waited
    asking = start_moving(shop, "--profile", "elsewhere")
    wait_for("it is asked there, or given up", lambda: asking.poll() is not None or move(
        shop, "users", "--abandon", check=False).returncode == 0)
    said, wrong = asking.communicate(timeout=60)
    assert asking.returncode == 1 and "goes on with sqlite" in wrong, said + wrong
    assert shop.pid("users") == before
    shop.stop()

    done = move(shop, shop.file, "users", "--profile", "elsewhere", "--detach", check=False)
    assert done.returncode == 1 and "users can't be moved: The server at 127.0.0.1:" in done.stderr, done
    shop.up()  # nothing was begun
    check_whole(shop, "User 1")


def test_a_server_that_refuses_the_service_is_reported_before_anything_stops(shop):  # noqa: F811
    at = json.loads(os.environ.get(f"FREEHOLD_TEST_{ENGINE.upper()}", "null")) if ENGINE else None
    if not at:
        pytest.skip("THERE IS NO SERVER TO BE REFUSED BY (tools/servers)")
    named_elsewhere(shop, host=at["host"], port=at["port"], database="d", user=at["user"], password="a wrong one")
    shop.up()
    before = shop.pid("users")
    done = move(shop, "users", "--profile", "elsewhere", check=False)
    assert done.returncode == 1 and "does not let it in: " in done.stderr
    assert "a wrong one" not in done.stderr
    assert shop.pid("users") == before and moves(shop) == {}


def break_migrations(system):
    """On the new engine a column is missing: what is there can't be copied. Returns a function that fixes it."""
    folder = pathlib.Path(system.file).parent / "users" / "migrations" / ENGINE
    path = next(folder.glob("*.sql"))
    whole = path.read_text()
    broken = re.sub(r"(?m)^.*\baddress\b.*\n", "", whole)
    assert broken != whole
    path.write_text(broken)
    return lambda: path.write_text(whole)


@needs_a_server
def test_a_move_that_fails_goes_back_and_reports_why(shop):  # noqa: F811
    shop.up()
    make_users(shop)
    mend = break_migrations(shop)
    with Load(lambda number, count: shop.http("GET", f"/api/users/{number + 1}")) as load:
        done = move(shop, "users", "--to", ENGINE, check=False)
        assert done.returncode == 1
        assert "users was not moved, and goes on with sqlite: users has a column address here, but not in" in done.stderr
        answered = load.answered
        wait_for("it serves", lambda: load.answered > answered + 20)
    assert load.wrong == []
    assert engine_of(shop, "users") == "sqlite" and moves(shop) == {}
    wait_for("its server has ended", lambda: shop.status()["servers"] == [])
    check_whole(shop, "User 1")
    rename(shop, "Anna")
    check(shop)

    mend()
    shop.stop()
    shutil.rmtree(pathlib.Path(shop.state) / ".servers" / f"users-{ENGINE}")  # its tables are the wrong ones
    shop.up()
    move(shop, "users", "--to", ENGINE)
    check_whole(shop, "Anna")
    rename(shop, "Berta")


@pytest.fixture
def held(shop):  # noqa: F811
    """The shop, with users that wait before they begin when told to."""
    path = pathlib.Path(shop.file)
    real = re.search(r"  users: \{ program: ([^, }]+)", path.read_text())[1]
    program = Held(path.parent / "held-users", real, pathlib.Path(shop.state) / "users")
    path.write_text(path.read_text().replace(f"program: {real}", f"program: {program.path}", 1))
    shop.up()
    make_users(shop)
    yield shop, program
    program.release()


def start_moving(system, *more):
    return subprocess.Popen([FREEHOLD, "move", "users", "--state", system.state, *more], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


@needs_a_server
def test_a_client_that_waits_too_long_is_told_to_come_back(held):
    system, program = held
    program.hold()
    moving = start_moving(system, "--to", ENGINE)
    wait_for("it is moved", program.is_held)
    answer = system.http("GET", "/api/users/1")
    assert answer.status == 503 and int(answer.headers["retry-after"]) > 0, answer
    busy = system.command("scale", "users", "1", "--state", system.state, check=False)
    assert busy.returncode == 1 and "users is being moved; wait for its end." in busy.stderr
    busy = move(system, "orders", "--to", ENGINE, check=False)
    assert busy.returncode == 1 and "users is being moved; wait for its end." in busy.stderr
    program.release()
    said, wrong = moving.communicate(timeout=120)
    assert moving.returncode == 0, wrong
    assert f"users was moved from sqlite to {ENGINE}" in said
    check_whole(system, "User 1")


@needs_a_server
def test_an_operator_can_abandon_it(held):
    system, program = held
    program.hold()
    moving = start_moving(system, "--to", ENGINE)
    wait_for("it is moved", program.is_held)
    abandoning = start_moving(system, "--abandon")
    wait_for("it goes back", lambda: moves(system)["users"]["state"] == "back")
    program.release()
    said, wrong = abandoning.communicate(timeout=120)
    assert abandoning.returncode == 0 and "users was not moved, and goes on with sqlite: It was abandoned." in said, wrong
    assert moving.wait(120) == 1
    assert engine_of(system, "users") == "sqlite" and moves(system) == {}
    check_whole(system, "User 1")
    rename(system, "Anna")


@needs_a_server
def test_its_processes_go_on_to_be_many_where_they_may(shop):  # noqa: F811
    shop.up()
    make_users(shop)
    move(shop, "users", "--to", ENGINE)
    shop.command("scale", "users", "3", "--state", shop.state)
    refused = move(shop, "users", "--to", "sqlite", check=False)
    assert refused.returncode == 1 and "users has 3 processes, and a store on sqlite takes one" in refused.stderr
    other = next((name for name in SERVERS if name != ENGINE and is_installed(name)), None)
    if not other:
        pytest.skip("THERE IS NO OTHER SERVER ENGINE TO MOVE IT TO")
    move(shop, "users", "--to", other)
    wait_for("all three serve", lambda: [one["ready"] for one in shop.services()["users"]["instances"]] == [True] * 3)
    check_whole(shop, "User 1")
    rename(shop, "Anna")
    shop.command("scale", "users", "1", "--state", shop.state)
    move(shop, "users", "--to", "sqlite")
    check_whole(shop, "Anna")


def test_a_store_moves_to_a_shared_server_that_a_profile_names(shop):  # noqa: F811
    if not is_installed("postgresql"):
        pytest.skip("postgresql is not installed")
    shop.up()
    make_users(shop)
    first = order(shop, "first")
    move(shop, "users", "--profile", "schemas")
    move(shop, "orders", "--profile", "schemas")  # on the same server, which runs by now
    assert [one["name"] for one in shop.status()["servers"]] == ["shared-postgresql"]
    second = order(shop, "second")
    expect_balanced(shop, [first, second])
    shop.stop()
    shop.up()
    assert engine_of(shop, "users") == engine_of(shop, "orders") == "postgresql"
    shop.stop()
    set_engine(shop, "postgresql")  # not yet all of it: that would be a private server
    told = shop.up().said and shop.services()["users"]["file"]
    assert (told["says"], told["expected"]) == ("engine: postgresql", "engine: postgresql, store: { server: shared }")
    shop.stop()
    set_engine(shop, "postgresql, store: { server: shared }")
    shop.up()
    assert set(moves(shop)) == {"orders"} and shop.services()["users"]["file"] is None
    third = order(shop, "third")
    expect_balanced(shop, [first, second, third])


# ---- the other models ----


def test_keys_and_values_move_there_and_back(request):
    if not shutil.which("redis-server"):
        pytest.skip("NO REDIS TO MOVE TO: apt-get install redis-server")
    folder = open_folder()
    system = carts_alone(folder, pathlib.Path(FREEHOLD).parent / "examples" / "shop" / "carts").up()
    request.addfinalizer(lambda: (system.stop(check=False), shutil.rmtree(folder)))
    fill(system)
    for to in ("redis", "sqlite"):
        with Load(lambda number, count: system.http("GET", f"/api/carts/{number + 1}")) as load:
            move(system, "carts", "--to", to)
            answered = load.answered
            wait_for("it serves", lambda: load.answered > answered + 20)
        assert load.wrong == [] and engine_of(system, "carts") == to
        expect_carts(system)
        put(system, 500, 1, f"on-{to}")
    assert moves(system) == {}


def test_documents_move_there_and_back(request):
    if not Ferret.program():
        pytest.skip("NO FERRETDB TO MOVE TO: " + Ferret.install)
    folder = open_folder()
    system = shop_with(folder).up()
    request.addfinalizer(lambda: (system.stop(check=False), shutil.rmtree(folder)))
    ids = [f"p{i}" for i in range(40)]
    for one in ids:
        assert system.http("POST", "/api/products", {"id": one, "name": f"Lamp {one}", "price": 1, "stock": 5},
                           {"Idempotency-Key": one}).status == 201
    before = system.http("GET", "/api/products?ids=" + ",".join(ids)).body
    for to in ("mongodb", "sqlite"):
        with Load(lambda number, count: system.http("GET", f"/api/products/p{number}")) as load:
            move(system, "products", "--to", to)
            answered = load.answered
            wait_for("it serves", lambda: load.answered > answered + 20)
        assert load.wrong == [] and engine_of(system, "products") == to
        key = lambda one: one["id"]  # noqa: E731
        assert sorted(system.http("GET", "/api/products?ids=" + ",".join(ids)).body, key=key) == sorted(before, key=key)
    assert moves(system) == {}
