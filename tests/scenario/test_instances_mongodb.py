# SPDX-License-Identifier: Apache-2.0
"""A service on MongoDB in several processes, which take turns in writing: their number is changed and they are
replaced while it serves."""

import collections
import pathlib
import threading

import pytest

import mongodb
from conftest import wait_for
from test_instances import Load


SLOW = ("did not answer in time", "An equal request is still under way")  # the latter to whoever repeats a request


@pytest.fixture(scope="module", params=sorted(mongodb.VARIABLES))
def shop(request, start, tmp_path_factory):
    system = start(mongodb.shop_file(tmp_path_factory.mktemp("mongodb"), request.param))
    yield system
    system.stop(check=False)


def patiently(ask):
    """On a machine that is busy a turn may take longer than the gateway waits: that is slow, and no refusal."""
    while (answer := ask()).status == 503 and any(slow in answer.text for slow in SLOW):
        pass
    return answer


def place_product(system, key):
    return patiently(lambda: system.http("POST", "/api/products", {"id": key, "name": "Pen", "price": 100, "stock": 5},
                                         headers={"Idempotency-Key": key}))


def place_or_read(system, number, count):
    if count % 2:
        return place_product(system, f"load-{number}-{count}")
    return patiently(lambda: system.http("GET", "/api/products?limit=10"))


def instances(system):
    return {one["instance"]: one["pid"] for one in system.services()["products"]["instances"]}


def shares(system):
    """How many partitions of its subscriptions have an owner."""
    return collections.Counter(one["state"] != "waiting"
                               for one in system.services()["products"]["state"]["subscriptions"])


def scale(system, number):
    system.command("scale", "products", str(number), "--state", system.state)
    assert set(instances(system)) == set(range(number))
    wait_for("each share is somebody's", lambda: not shares(system)[False])


# Schedule 16.
def test_it_is_scaled_and_upgraded_under_load_without_a_failed_request(shop):
    with Load(lambda number, count: place_or_read(shop, number, count), threads=2) as load:
        scale(shop, 2)
        scale(shop, 3)
        before = set(instances(shop).values())
        shop.command("upgrade", "products", "--state", shop.state)
        after = set(instances(shop).values())
        assert len(after) == 3 and not before & after
        scale(shop, 1)
        answered = load.answered
        wait_for("it goes on", lambda: load.answered > answered + 20)
    assert load.wrong == []
    wait_for("every saga ends and every event is applied", shop.at_rest)


def test_equal_keys_at_three_instances_at_once_are_one_command(shop):
    scale(shop, 3)
    answers = collections.defaultdict(list)
    ready = threading.Barrier(8)

    def repeat(_):
        for n in range(10):
            ready.wait()
            answers[n].append(place_product(shop, f"same-{n}"))

    threads = [threading.Thread(target=repeat, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for same in answers.values():
        assert {answer.status for answer in same} == {201}, same
    wait_for("every saga ends and every event is applied", shop.at_rest)
    scale(shop, 1)


def test_it_can_be_three_from_the_first_start_on(shop):
    shop.stop()
    file = pathlib.Path(shop.file)
    text = file.read_text()
    file.write_text(text.replace("products, engine: mongodb,", "products, engine: mongodb, instances: 3,"))
    assert file.read_text() != text
    shop.up()
    assert set(instances(shop)) == {0, 1, 2}
    assert place_product(shop, "of-three").status == 201
    assert "up to a second late" not in shop.logs()
