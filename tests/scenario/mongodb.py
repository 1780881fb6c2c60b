# SPDX-License-Identifier: Apache-2.0
"""The shop with products and payments on MongoDB, on the servers that tools/servers has built: FerretDB keeps what it
has on disk, mongo-java-server makes each write atomic."""

import json
import os
import pathlib
import re
import shutil
import uuid

import pytest

from conftest import FREEHOLD, ROOT

VARIABLES = {"ferretdb": "FREEHOLD_TEST_MONGODB", "mongo-java-server": "FREEHOLD_TEST_MONGOJAVA"}
SERVICES = ("products", "payments")


def server(name):
    """Its description; skips, loudly, where it is not there."""
    if VARIABLES[name] not in os.environ:
        pytest.skip(f"NOT RUN ON {name}: {VARIABLES[name]} names no server")
    return json.loads(os.environ[VARIABLES[name]])


def shop_file(folder, name, programs=None):
    """A copy of the shop whose stores are new databases on that server."""
    at, programs = server(name), programs or pathlib.Path(FREEHOLD).parent / "examples" / "shop"
    source = pathlib.Path(folder) / "shop"
    shutil.copytree(ROOT / "examples" / "shop", source)
    text = re.sub(r"program: (\w+)", rf"program: {programs}/\1", (source / "freehold.yaml").read_text())
    for service in SERVICES:
        database = f"{service}_{uuid.uuid4().hex[:12]}"
        text = text.replace(f"{programs}/{service} }}", (
            f"{programs}/{service}, engine: mongodb, "
            f"store: {{ host: {at['host']}, port: {at['port']}, database: {database} }} }}"))
    assert text.count("engine: mongodb, store") == len(SERVICES)
    (source / "freehold.yaml").write_text(text)
    return source / "freehold.yaml"
