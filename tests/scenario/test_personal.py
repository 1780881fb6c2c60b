# SPDX-License-Identifier: Apache-2.0
"""What is planted in marked fields of the shop, and where it is found after a run in which processes die."""

import json
import os
import pathlib
import signal
import subprocess

import pytest
from conftest import FREEHOLD, SHOP_FILE, wait_for, with_programs
from test_shop import ended, new_product, new_user, order_body, place

TOKEN = "tok_planted_7f3a91"
NAME = "Zebedee Quartermain"
STREET = "77 Planted Lane"


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP_FILE)


@pytest.fixture(scope="module")
def orders(shop):
    """All that were placed: some confirmed, some refused and undone, while what carries them out was killed."""
    user, lamp = new_user(shop, NAME), new_product(shop, 1000)
    assert shop.call("users", "PATCH", f"/api/users/{user}", {"address": STREET}).status == 200
    placed = [place(shop, user, (lamp, 1), token=TOKEN) for _ in range(10)]
    for service in ("payments", "orders", "shipping"):
        pid = shop.pid(service)
        body = {**order_body(user, (lamp, 1), token=TOKEN), "address": f"{STREET}, Atlantis"}
        answer = shop.call("orders", "POST", "/api/orders", body, key=f"planted-{service}")
        assert answer.status == 202, answer
        placed.append(answer.body["id"])
        os.kill(pid, signal.SIGKILL)
        wait_for(f"{service} is another process", lambda: shop.services()[service]["pid"] not in (pid, None))
        wait_for(f"{service} answers", lambda: shop.services()[service]["state"])
    for order in placed:
        ended(shop, order)
    wait_for("everything has settled", shop.at_rest)
    return placed


def holders(folder, planted):
    """The files that hold this text, relative to the state folder."""
    return {str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*")
            if path.is_file() and planted.encode() in path.read_bytes()}


def test_operators_are_shown_nothing_that_is_marked(shop, orders):
    shown = [shop.command("events", "show", "orders", "--json", "--state", shop.state, check=False),
             shop.command("events", "show", "users", "--json", "--state", shop.state, check=False),
             shop.command("saga", "list", "orders", "--json", "--state", shop.state, check=False),
             shop.command("logs", "--state", shop.state)]
    text = "".join(one.stdout + one.stderr for one in shown)
    assert "[personal]" in text  # there was something to show
    for planted in (TOKEN, NAME, STREET):
        assert planted not in text, text[max(0, text.index(planted) - 300):][:600]


def test_a_saga_is_shown_without_what_is_marked(shop, orders):
    body = {**order_body(1, ("none", 1), token=TOKEN), "address": STREET}
    assert shop.call("orders", "POST", "/api/orders", body).status == 422
    listed = json.loads(shop.command("call", "orders", "GET", "/_freehold/sagas?status=running", "--json", "--state",
                                     shop.state, check=False).stdout or "{}")
    assert TOKEN not in json.dumps(listed)


def test_the_token_is_on_no_disk_after_its_use_and_personal_data_in_the_stores_that_may_have_them(shop, orders):
    shop.stop()
    folder = pathlib.Path(shop.state)
    assert holders(folder, TOKEN) == set()
    databases = {path for planted in (NAME, STREET) for path in holders(folder, planted)}
    assert {path.split("/")[0] for path in databases} <= {"users", "orders", "shipping"}, databases
    assert {pathlib.Path(path).suffix for path in databases} == {".db"}, databases


def test_the_map_shows_who_gets_what_of_whom(tmp_path):
    file = tmp_path / "freehold.yaml"
    file.write_text(with_programs(SHOP_FILE.read_text()))
    ran = subprocess.run([FREEHOLD, "personal", "map", file, "--json"], capture_output=True, text=True, check=True)
    ways = {(one["service"], one["how"], one["what"], one["other"]): one["fields"]
            for one in json.loads(ran.stdout)["fields"]}
    assert ways["orders", "subscribes", "UserUpdated", "users"] == {"name": "personal"}
    assert ways["orders", "sends", "place_order.charge", "payments"] == {"token": "card"}
    assert not any(service == "notifications" for service, *_ in ways)
    plain = subprocess.run([FREEHOLD, "personal", "map", file], capture_output=True, text=True, check=True).stdout
    assert "of users, by UserUpdated" in plain
    schema = json.loads(subprocess.run([pathlib.Path(FREEHOLD).parent / "examples/shop/users", "--describe"],
                                       capture_output=True, text=True, check=True).stdout)
    assert '"x-freehold-personal": true' in json.dumps(schema)
