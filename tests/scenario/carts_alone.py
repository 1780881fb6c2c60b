# SPDX-License-Identifier: Apache-2.0
"""A system of the carts alone, for the tests that move it."""

import pathlib
import re

from conftest import AUTH, System

CARTS = 120


def carts_alone(folder, program):
    """A system of the carts only, with the engine that set_engine says."""
    file = pathlib.Path(folder) / "carts.yaml"
    file.write_text(f"system: shop\ngateway:\n{AUTH}services:\n  carts: {{ program: {program}, engine: sqlite }}\n")
    return System(file, pathlib.Path(folder) / "s")


def set_engine(system, engine):
    path = pathlib.Path(system.file)
    path.write_text(re.sub(r"engine: \w+", f"engine: {engine}", path.read_text()))


def put(system, user, quantity, key):
    answer = system.http("PUT", f"/api/carts/{user}/items/mug", {"quantity": quantity}, {"Idempotency-Key": key})
    assert answer.status == 200, answer
    return answer.body


def fill(system):
    for user in range(1, CARTS + 1):
        put(system, user, user, f"put-{user}")
    put(system, 1, 7, "changed-1")


def expect_carts(system):
    """All are there, what was done before is known, and what is new is done."""
    for user in range(1, CARTS + 1):
        answer = system.http("GET", f"/api/carts/{user}")
        assert answer.status == 200 and answer.body["items"] == [
            {"product_id": "mug", "quantity": 7 if user == 1 else user}], answer
    again = put(system, 1, 1, "put-1")
    assert again["items"] == [{"product_id": "mug", "quantity": 1}]  # its original answer
    assert system.http("GET", "/api/carts/1").body["items"][0]["quantity"] == 7
