# SPDX-License-Identifier: Apache-2.0
"""What is planted in marked fields of the shop, and where it is found after a run in which processes die."""

import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile

import pytest
from conftest import FREEHOLD, ROOT, SHOP_FILE, wait_for, with_programs
from test_shop import ended, new_product, new_user, order_body, place

TOKEN = "tok_planted_7f3a91"
NAME = "Zebedee Quartermain"
STREET = "77 Planted Lane"


def holders(folder, planted):
    """The files that hold this text, relative to the state folder."""
    return {str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*")
            if path.is_file() and planted.encode() in path.read_bytes()}


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP_FILE)


@pytest.fixture(scope="module")
def orders(shop):
    """All that were placed: some confirmed, some refused and undone, while what carries them out was killed."""
    user, lamp = new_user(shop, NAME), new_product(shop, 1000)
    assert shop.http("PATCH", f"/api/users/{user}", {"address": STREET}).status == 200
    placed = [place(shop, user, (lamp, 1), token=TOKEN) for _ in range(10)]
    for service in ("payments", "orders", "shipping"):
        pid = shop.pid(service)
        body = {**order_body(user, (lamp, 1), token=TOKEN), "address": f"{STREET}, Atlantis"}
        answer = shop.http("POST", "/api/orders", body, {"Idempotency-Key": f"planted-{service}"})
        assert answer.status == 202, answer
        placed.append(answer.body["id"])
        os.kill(pid, signal.SIGKILL)
        wait_for(f"{service} is another process", lambda: shop.services()[service]["pid"] not in (pid, None))
        wait_for(f"{service} answers", lambda: shop.services()[service]["state"])
    with shop.held_still("payments"):  # while it is needed it is there
        placed.append(place(shop, user, (lamp, 1), token=TOKEN))
        assert {path.split("/")[0] for path in holders(shop.state, TOKEN)} == {"orders"}
    for order in placed:
        ended(shop, order)
    wait_for("everything has settled", shop.at_rest)
    return placed


def shown(shop, *words):
    done = shop.command(*words, "--state", shop.state)
    for planted in (TOKEN, NAME, STREET):
        assert planted not in done.stdout + done.stderr, f"{words}: {done.stdout}"
    return done.stdout


def test_operators_are_shown_nothing_that_is_marked(shop, orders):
    assert "[personal]" in shown(shop, "events", "show", "orders", "--key", str(orders[0]), "--json")
    assert "[personal]" in shown(shop, "events", "show", "users", "--key", "1", "--json")
    shown(shop, "logs")


def test_a_saga_is_shown_without_what_is_marked(shop, orders, tmp_path):
    for path in (pathlib.Path(shop.state) / "orders").glob("store.db*"):
        shutil.copy(path, tmp_path)
    database = sqlite3.connect(tmp_path / "store.db")
    sagas = [one for (one,) in database.execute("SELECT birth || '.' || number FROM fh_saga ORDER BY number")]
    database.close()
    assert len(sagas) == len(orders)
    for saga in (sagas[0], sagas[-1]):  # one that ended, and one that was undone
        told = json.loads(shown(shop, "saga", "show", "orders", saga, "--json"))
        assert told["input"]["address"] == "[personal]" and "token" not in told["input"]
        assert '"address":"[personal]"' in json.dumps(told["steps"]).replace("\\", "").replace(" ", "")


def test_the_token_is_on_no_disk_after_its_use_and_personal_data_in_the_stores_that_may_have_them(shop, orders):
    shop.stop()
    folder = pathlib.Path(shop.state)
    assert holders(folder, TOKEN) == set()
    databases = {path for planted in (NAME, STREET) for path in holders(folder, planted)}
    assert {path.split("/")[0] for path in databases} <= {"users", "orders", "shipping", "views"}, databases
    assert not any(path.startswith("views/") for path in holders(folder, STREET))
    assert {pathlib.Path(path).suffix for path in databases} == {".db"}, databases


def test_the_map_shows_who_gets_what_of_whom(tmp_path):
    file = tmp_path / "freehold.yaml"
    file.write_text(with_programs(SHOP_FILE.read_text()))
    ran = subprocess.run([FREEHOLD, "personal", "map", file, "--json"], capture_output=True, text=True, check=True)
    ways = {(one["service"], one["how"], one["what"], one["other"]): one["fields"]
            for one in json.loads(ran.stdout)["fields"]}
    assert ways["orders", "subscribes", "UserUpdated", "users"] == {"name": "personal"}
    assert ways["orders", "sends", "place_order.charge", "payments"] == {"token": "card"}
    assert ways["views", "subscribes", "UserUpdated", "users"] == {"name": "personal"}
    assert not any(service in ("notifications", "reports") for service, *_ in ways)
    assert {field for way, fields in ways.items() if way[0] == "views" for field in fields} == {"name", "user_name"}
    plain = subprocess.run([FREEHOLD, "personal", "map", file], capture_output=True, text=True, check=True).stdout
    assert "from users, by UserUpdated" in plain
    schema = json.loads(subprocess.run([pathlib.Path(FREEHOLD).parent / "examples/shop/users", "--describe"],
                                       capture_output=True, text=True, check=True).stdout)
    assert '"x-freehold-personal": true' in json.dumps(schema)


@pytest.fixture(scope="module")
def roster(start, tmp_path_factory):
    """Members of whom one is removed again: found by names, which are personal."""
    folder = tmp_path_factory.mktemp("roster")
    shutil.copytree(ROOT / "tests" / "crash" / "roster" / "migrations", folder / "roster" / "migrations")
    program = pathlib.Path(FREEHOLD).resolve().parent / "tests" / "crash" / "roster"
    (folder / "freehold.yaml").write_text("system: roster\ngateway: { listen: '127.0.0.1:0' }\n"
                                          f"services:\n  roster: {{ program: {program} }}\n")
    return start(folder / "freehold.yaml")


def found(roster, words):
    answer = roster.http("GET", "/api/members?q=" + words)
    assert answer.status == 200, answer
    return [hit["value"] for hit in answer.body["hits"]]


def put(roster, number, name, path="/api/members"):
    return roster.http("PUT", path, {"id": number, "name": name}, {"Idempotency-Key": f"{path}{number}-{len(name)}"})


def erased(state):
    """Whether the sweep has noted that no words of what was removed are left."""
    with tempfile.TemporaryDirectory() as folder:
        for path in (pathlib.Path(state) / "roster").glob("store.db*"):
            shutil.copy(path, folder)
        database = sqlite3.connect(pathlib.Path(folder) / "store.db")
        try:
            rows = database.execute("SELECT value FROM fh_meta WHERE name LIKE 'derived_words_%'").fetchall()
        except sqlite3.DatabaseError:  # copied in the middle of a change
            return False
        finally:
            database.close()
    return len(rows) == 1 and rows[0][0].startswith("whole ")


def test_what_is_personal_is_derived_where_that_is_declared_and_nowhere_else(roster):
    for number in range(1, 40):
        assert put(roster, number, f"Member Number{number}").status == 204
    assert put(roster, 77, NAME).status == 204
    assert found(roster, "quartermain") == [{"name": NAME, "note": ""}]
    for name in (NAME, "Bo"):  # by its key and by its note; and too short to be told in either
        answer = put(roster, 99, name, "/api/leaks")
        assert answer.status == (500 if name == NAME else 204), answer
    assert roster.http("DELETE", "/api/members/99", headers={"Idempotency-Key": "99"}).status == 204
    log = (pathlib.Path(roster.state) / "roster" / "log").read_text()
    assert "has a marked value that was given to this handler" in log and "Quartermain" not in log


def test_what_was_removed_is_neither_found_nor_on_the_disk_once_the_index_was_swept(roster):
    assert roster.http("DELETE", "/api/members/77", headers={"Idempotency-Key": "77"}).status == 204
    assert found(roster, "quartermain") == [] and len(found(roster, "member")) == 3
    roster.stop()
    folder = pathlib.Path(roster.state)
    assert holders(folder, "quartermain"), "FTS5 has not left its words: then there is nothing to erase"
    roster.up()
    wait_for("the sweep has been there", lambda: erased(folder))
    assert found(roster, "quartermain") == [] and len(found(roster, "member")) == 3
    roster.stop()
    assert holders(folder, "quartermain") == set() and holders(folder, NAME) == set()


def test_the_map_shows_what_is_derived(roster):
    ran = subprocess.run([FREEHOLD, "personal", "map", roster.file], capture_output=True, text=True, check=True)
    assert re.search(r"name +derived into members$", ran.stdout, re.MULTILINE), ran.stdout
