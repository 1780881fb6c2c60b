# SPDX-License-Identifier: Apache-2.0
"""The shop's search on a node of OpenSearch: not one line of the service differs."""

import json
import os
import re
import shutil
import uuid

import pytest

import test_shop
from conftest import SHOP_FILE, wait_for, with_programs


def on_opensearch(text):
    """The system of this text under a name of its own, with the products that are searched on the node."""
    if "FREEHOLD_TEST_OPENSEARCH" not in os.environ:
        pytest.skip("NOT RUN WITH OPENSEARCH: FREEHOLD_TEST_OPENSEARCH names no server")
    at = json.loads(os.environ["FREEHOLD_TEST_OPENSEARCH"])
    text = re.sub(r"^system: \w+", f"system: s{uuid.uuid4().hex[:12]}", text, flags=re.MULTILINE)
    text, changed = re.subn(r"^(  search: \{ program: [^ ,}]+)", r"\1, derives: { products: { server: found } }", text,
                            flags=re.MULTILINE)
    assert changed == 1
    found = f"  found: {{ derived: opensearch, host: {at['host']}, port: {at['port']} }}\n"
    assert "  found: { derived: opensearch }\n" in text  # a private one: test_private_derived.py
    return text.replace("  found: { derived: opensearch }\n", found)


def is_carried(system):
    status = system.command("status", "--state", system.state, "--once", check=False).stdout
    return re.search(r"^search +products +OpenSearch +0 +carrying$", status, re.MULTILINE)


@pytest.fixture(scope="module")
def shop(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("opensearch") / "shop"
    shutil.copytree(SHOP_FILE.parent, folder)
    file = folder / "freehold.yaml"
    file.write_text(on_opensearch(with_programs(SHOP_FILE.read_text())))
    system = start(file)
    wait_for("the products are on the server", lambda: is_carried(system))
    return system


def test_products_on_opensearch_are_found_by_all_of_their_words(shop):
    test_shop.test_products_are_found_by_all_of_their_words(shop)
