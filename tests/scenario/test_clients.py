# SPDX-License-Identifier: Apache-2.0
"""Clients generated from the shop's document by openapi-python-client, openapi-typescript and oapi-codegen: each passes
its language's strict checks, and orders something in some twenty lines (tests/scenario/clients).

tools/clients installs the generators into a folder of the cache, once for all builds; without a toolchain or a registry
the test of that language is skipped, loudly."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import uuid

import pytest
from conftest import ROOT, SHOP_FILE
from installed import cached

SOURCES = pathlib.Path(__file__).resolve().parent / "clients"
INSTALL_S_MAX = 200  # a test has 300 s
NEEDED = {"python": "python3", "typescript": "npm", "go": "go"}


def run(*command, cwd, **environment):
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=280,
                          env={**os.environ, **environment})
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()


def tools_for(language):
    if not shutil.which(NEEDED[language]):
        pytest.skip(f"NOT GENERATED: there is no {NEEDED[language]}")
    script = ROOT / "tools" / "clients"
    with cached(f"clients-{language}", script.read_bytes() + sys.version.encode()) as folder:
        try:
            done = subprocess.run([script, folder, language], capture_output=True, text=True, timeout=INSTALL_S_MAX)
        except subprocess.TimeoutExpired:
            pytest.skip(f"NOT GENERATED: the tools for {language} were not installed in {INSTALL_S_MAX} s")
    if done.returncode:
        pytest.skip(f"NOT GENERATED: the tools for {language} can't be installed: {done.stderr.strip()[-300:]}")
    return folder / language


@pytest.fixture(scope="module", name="shop")
def shop_fixture(start):
    return start(SHOP_FILE)


@pytest.fixture(name="wanted")
def wanted_fixture(shop, tmp_path):
    """The document, and what a client is called with: the URL, a token, the id of a user and of a product."""
    user = shop.http("POST", "/api/users", {"name": "Ada", "email": f"{uuid.uuid4().hex}@example.org",
                                            "address": "1 Example Street"}).body["id"]
    product = "p-" + uuid.uuid4().hex
    made = shop.http("POST", "/api/products", {"id": product, "name": "Lamp", "price": 1999, "category": "c",
                                               "stock": 9})
    assert made.status == 201, made.body
    (tmp_path / "openapi.json").write_text(json.dumps(shop.http("GET", "/openapi.json").body))
    return (f"http://127.0.0.1:{shop.port}", shop.logins.issuer.token(user), user, product)


ORDERED = "CONFIRMED 3998 Lamp"


def test_a_client_in_python_is_strictly_typed_and_orders(wanted, tmp_path):
    tools = tools_for("python")
    run(tools / "bin" / "openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "shop",
        "--meta", "none", cwd=tmp_path)
    shutil.copy(SOURCES / "order.py", tmp_path)
    run(tools / "bin" / "mypy", "--strict", "--cache-dir", tools.parent / "mypy-cache", "order.py", "shop", cwd=tmp_path)
    assert run(tools / "bin" / "python", "order.py", *wanted, cwd=tmp_path) == ORDERED


def test_a_client_in_typescript_is_strictly_typed_and_orders(wanted, tmp_path):
    tools = tools_for("typescript")
    (tmp_path / "node_modules").symlink_to(tools / "node_modules")
    for name in ("order.ts", "main.js"):
        shutil.copy(SOURCES / name, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    run("node_modules/.bin/openapi-typescript", "openapi.json", "-o", "shop.d.ts", cwd=tmp_path)
    run("node_modules/.bin/tsc", "--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--module", "nodenext",
        "--lib", "es2022,dom,dom.iterable", "order.ts", cwd=tmp_path)
    assert run("node", "main.js", *wanted, cwd=tmp_path) == ORDERED


def test_a_client_in_go_is_vetted_and_orders(wanted, tmp_path):
    tools = tools_for("go")
    for name in ("go.mod", "go.sum"):
        shutil.copy(tools / name, tmp_path)
    (tmp_path / "shop").mkdir()
    shutil.copy(SOURCES / "order.go", tmp_path)
    run(tools / "bin" / "oapi-codegen", "-generate", "types,client", "-package", "shop", "-o", "shop/shop.go",
        "openapi.json", cwd=tmp_path)
    run("go", "vet", "-mod=mod", "./...", cwd=tmp_path)
    assert run("go", "run", "-mod=mod", ".", *wanted, cwd=tmp_path) == ORDERED
