# SPDX-License-Identifier: Apache-2.0
"""The examples, through their gateways and by their own OpenAPI documents, before Schemathesis with all its checks.

It comes from its registry into the cache that all builds share, once; without a registry the tests are skipped, loudly.
FREEHOLD_SEED chooses other requests; FREEHOLD_SCHEMATHESIS_MINUTES is how long each example is tried, 0: a few requests
of each kind (`make schemathesis`)."""

import json
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT, SHOP_FILE
from test_documents import SEED, installed
from test_shop import new_product, new_user, place

SUPPORT = ROOT / "tests" / "support" / "schemathesis"
REQUIREMENTS = SUPPORT / "requirements.txt"
VERSION = re.search(r"schemathesis==\S+", REQUIREMENTS.read_text(encoding="utf-8"))[0]
MINUTES = float(os.environ.get("FREEHOLD_SCHEMATHESIS_MINUTES", "0"))
# All of its checks; ours says of one which refusals are documented.
CHECKS = ["--checks", "all", "--exclude-checks", "positive_data_acceptance"]
FEW = ["--max-examples", "2", "--max-time", "8", "--no-shrink"]
OUTPUT_LENGTH_MAX = 12000
OTHERS = 40


@pytest.fixture(scope="module", name="schemathesis")
def schemathesis_fixture(tmp_path_factory):
    """(document's URL, token, what there is) -> (exit status, what it said); what there is: SCHEMATHESIS_KNOWN"""
    folder = installed(VERSION, sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                       "--requirement", str(REQUIREMENTS), "--target", content=REQUIREMENTS.read_bytes())
    place = tmp_path_factory.mktemp("schemathesis")  # it leaves files where it runs

    def run(url, token, known, *more):
        how = ["--max-examples", "1000000", "--max-time", str(int(MINUTES * 60))] if MINUTES else FEW
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", url, *CHECKS, "--header", f"Authorization: Bearer {token}",
             "--seed", str(SEED), "--warnings", "off", "--no-color", "--continue-on-failure", *how, *more],
            cwd=place, capture_output=True, text=True, timeout=MINUTES * 90 + 240,
            env={**os.environ, "PYTHONPATH": str(folder), "SCHEMATHESIS_HOOKS": str(SUPPORT / "hooks.py"),
                 "SCHEMATHESIS_KNOWN": json.dumps(known)})
        print(f"FREEHOLD_SEED={SEED}\n{done.stdout}")
        return done.returncode, done.stdout[-OUTPUT_LENGTH_MAX:] + done.stderr[-2000:]
    return run


@pytest.fixture(scope="module", name="shop")
def shop_fixture(start):
    return start(SHOP_FILE)


def test_the_shop_does_what_its_document_says(shop, schemathesis):
    for number in range(OTHERS):  # whom the numbers that are tried first delete
        user = new_user(shop, f"Ada{number}")
    product = new_product(shop, stock=10**9, price=1)
    order = place(shop, user, (product, 1))
    known = {"user_id": user, "product_id": product, "/api/users/{id}": user, "/api/products/{id}": product,
             "/api/orders/{id}": order, "/api/shipments/{id}": order}
    status, said = schemathesis(f"http://127.0.0.1:{shop.port}/openapi.json",
                                shop.logins.issuer.token(str(user), "staff"), known)
    assert status == 0, f"FREEHOLD_SEED={SEED}\n{said}"
    placed = shop.http("GET", f"/api/orders?user_id={user}").body
    assert len(placed) > 1 or not MINUTES, "none of the requests that fit the schema has placed an order"


def test_the_help_desk_does_what_its_document_says(start, schemathesis):
    desk = start(ROOT / "examples" / "tickets" / "freehold.yaml")
    ticket = desk.http("POST", "/api/tickets", {"subject": "printer", "text": "It makes a noise."}, user="ada").body
    status, said = schemathesis(f"http://127.0.0.1:{desk.port}/openapi.json", desk.logins.issuer.token("ada", "staff"),
                                {"/api/tickets/{id}": ticket["id"]})
    assert status == 0, f"FREEHOLD_SEED={SEED}\n{said}"


def test_a_refusal_without_a_documented_reason_is_found(shop, schemathesis, tmp_path):
    """By a document that promises more than the shop does."""
    document = shop.http("GET", "/openapi.json").body
    path = "/api/products"
    document["paths"] = {path: {"get": document["paths"][path]["get"]}}
    for parameter in document["paths"][path]["get"]["parameters"]:
        if parameter["name"] == "limit":
            parameter.update({"schema": {"type": "integer", "enum": [0]}, "required": True})
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    status, said = schemathesis(str(file), shop.logins.issuer.token("1", "staff"), {}, "--url",
                                f"http://127.0.0.1:{shop.port}", "--phases", "coverage")
    assert status == 1 and "Refused without a documented reason" in said, said
