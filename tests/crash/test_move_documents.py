# SPDX-License-Identifier: Apache-2.0
"""A document store is killed while it moves to a server that speaks MongoDB's protocol, before and after each durable
step: the move continues by itself, and at each moment there is one store that serves, or none."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, System, build_crash_programs, open_folder, wait_for  # noqa: E402
from servers import Ferret  # noqa: E402
from test_identity import shop_with  # noqa: E402
from test_move import POINTS  # noqa: E402

PRODUCTS, RENAMED = 120, 9


def set_engine(system, engine):
    path = pathlib.Path(system.file)
    path.write_text(re.sub(r'(  products: \{.*?)(, "engine": "\w+")?\}', rf'\1, "engine": "{engine}"}}', path.read_text()))


def rename(system, number, name):
    """An event."""
    answer = system.http("PATCH", f"/api/products/p{number:03}", {"name": name},
                         {"Idempotency-Key": name.replace(" ", "-")})
    assert answer.status == 200, answer


@pytest.fixture(scope="module")
def filled():
    """A shop with products, at rest and stopped, to be copied for each test."""
    if not Ferret.program():
        pytest.skip("NO FERRETDB TO MOVE TO: " + Ferret.install)
    build_crash_programs()
    folder = open_folder()
    program = pathlib.Path(FREEHOLD).parent / "tests" / "crash" / "products"
    system = shop_with(folder, products={"program": str(program)}).up()
    for i in range(PRODUCTS):
        answer = system.http("POST", "/api/products", {"id": f"p{i:03}", "name": f"Lamp {i}", "price": 100, "stock": 5},
                             {"Idempotency-Key": f"p{i:03}"})
        assert answer.status == 201, answer
    for i in range(RENAMED):
        rename(system, i, f"Lantern {i}")
    wait_for("it rests", system.at_rest)
    position = system.state_of("products")["position"]
    assert position >= RENAMED
    system.stop()
    yield folder, position
    shutil.rmtree(folder)


@pytest.fixture
def shop(filled):
    source, position = filled
    folder = open_folder()
    shutil.copytree(source, folder, dirs_exist_ok=True)
    folder.chmod(0o711)
    system = System(folder / "freehold.yaml", folder / "s")
    system.position = position
    os.environ["FREEHOLD_CRASH"] = "crash"
    set_engine(system, "mongodb")
    yield system
    del os.environ["FREEHOLD_CRASH"]
    system.stop(check=False)
    shutil.rmtree(folder)


@pytest.mark.parametrize("point", POINTS)
def test_a_move_that_was_killed_goes_on(shop, point):
    order = pathlib.Path(shop.state) / "products" / "crash"
    order.write_text(point)
    moving = subprocess.Popen([FREEHOLD, "move", shop.file, "products", "--state", shop.state,
                               "--listen", f"127.0.0.1:{shop.port}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(f"it passes {point}", lambda: not order.exists())
    wait_for("the system is up", lambda: shop.command("status", "--json", "--state", shop.state, check=False).stdout)
    wait_for("products serves", lambda: shop.services()["products"]["ready"])
    ids = [f"p{i:03}" for i in range(PRODUCTS)]
    found = []
    for at in range(0, PRODUCTS, 40):
        asked = "/api/products?ids=" + ",".join(ids[at:at + 40])
        found += wait_for("products answers", lambda path=asked: (a := shop.http("GET", path)).status == 200 and a.body)
    assert sorted(one["id"] for one in found) == ids
    again = shop.http("POST", "/api/products", {"id": "p003", "name": "Lamp 3", "price": 100, "stock": 5},
                      {"Idempotency-Key": "p003"})
    assert again.status == 201 and again.body["id"] == "p003"
    assert shop.state_of("products")["position"] == shop.position
    rename(shop, 3, "Newest")
    wait_for("its event stands behind the others",
             lambda: shop.state_of("products")["position"] == shop.position + 1)
    wait_for("it rests", shop.at_rest)
    shop.stop()
    assert moving.wait(120) == 0, moving.stdout.read()
