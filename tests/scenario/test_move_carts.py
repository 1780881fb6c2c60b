# SPDX-License-Identifier: Apache-2.0
"""A store of keys and values moves to a private Redis server, and back: carts, their expiry times and the commands that
were done stay as they were."""

import contextlib
import json
import pathlib
import re
import shutil
import sqlite3

import pytest

from carts_alone import CARTS, carts_alone, expect_carts, fill, put, set_engine
from conftest import FREEHOLD, open_folder


def embedded_times(system):
    with contextlib.closing(sqlite3.connect(pathlib.Path(system.state) / "carts" / "store.db")) as store:
        return dict(store.execute("SELECT key, ends FROM kv_key"))


@pytest.fixture(scope="module")
def carts():
    if not shutil.which("redis-server"):
        pytest.skip("NO REDIS TO MOVE TO: apt-get install redis-server")
    folder = open_folder()
    system = carts_alone(folder, pathlib.Path(FREEHOLD).parent / "examples" / "shop" / "carts").up()
    fill(system)
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


def move(system, engine):
    system.stop()
    set_engine(system, engine)
    refused = system.command("up", system.file, "--detach", "--state", system.state, "--listen",
                             f"127.0.0.1:{system.port}", check=False)
    assert refused.returncode != 0 and "carts has its data in" in refused.stderr
    system.command("move", system.file, "carts", "--detach", "--state", system.state, "--listen",
                   f"127.0.0.1:{system.port}")


def test_a_store_of_keys_moves_to_redis_and_back(carts):
    carts.stop()
    times = embedded_times(carts)
    assert len(times) == CARTS and all(times.values())
    carts.up()

    move(carts, "redis")
    log = (pathlib.Path(carts.state) / "carts" / "log").read_text()
    assert re.search(r"moved from sqlite to redis: \d+ tables, \d+ rows, all read again and compared", log), log
    expect_carts(carts)
    put(carts, CARTS + 1, 3, "on-redis")
    put(carts, CARTS + 1, 5, "later")
    first = json.loads((pathlib.Path(carts.state) / "carts" / "service.json").read_text())
    assert first["engine"] == "redis"

    move(carts, "sqlite")
    expect_carts(carts)
    assert put(carts, CARTS + 1, 3, "on-redis")["items"] == [{"product_id": "mug", "quantity": 3}]
    carts.stop()
    there = embedded_times(carts)
    assert there.pop(f"cart:{CARTS + 1}") and there == times
    carts.up()
