# SPDX-License-Identifier: Apache-2.0
"""Killed while a parked saga is abandoned: it is parked as before, or it is abandoned and its receivers are
notified."""

import os
import pathlib
import re
import shutil
import sqlite3
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "scenario"), str(ROOT / "examples" / "shop")]
from conftest import FREEHOLD, System, build_crash_programs, wait_for  # noqa: E402
from test_operators import ONE_ORDER, parked_saga, run, saga  # noqa: E402

ORDER = "crash"  # the file, in the service's own folder
SOURCE = ROOT / "src" / "saga" / "abandon.c"
POINTS = re.findall(r'\bCRASH_POINT\("([^"]*)"\)', SOURCE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    build = pathlib.Path(FREEHOLD).parent
    build_crash_programs()
    folder = tmp_path_factory.mktemp("abandon")
    shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
    file = folder / "shop" / "freehold.yaml"
    programs = build / "tests" / "crash"
    file.write_text(re.sub(r"program: (\w+)", rf"program: {programs}/\1", file.read_text()))
    (folder / "shop" / "users" / "migrations" / "0090_one_order.sql").write_text(ONE_ORDER)
    os.environ["FREEHOLD_CRASH"] = ORDER  # of `up`, and so of its services
    system = System(file, folder / "state").up()
    yield system
    del os.environ["FREEHOLD_CRASH"]
    system.stop(check=False)


def closed(strict, identity):
    """By the orders' own store: every receiver has been notified."""
    birth, number = identity.rsplit(".", 1)
    store = pathlib.Path(strict.state) / "orders" / "store.db"
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        return connection.execute("SELECT closed FROM fh_saga WHERE birth = ? AND number = ?",
                                  [birth, int(number)]).fetchone() == (1,)


@pytest.mark.parametrize("point", POINTS)
def test_a_saga_is_given_up_whole_or_not_at_all(strict, point):
    _, _, identity = parked_saga(strict)
    order = pathlib.Path(strict.state) / "orders" / ORDER
    draft = order.with_suffix(".draft")
    draft.write_text(f"{point}:1")
    draft.chmod(0o644)  # the service may be another user
    draft.rename(order)
    before = strict.pid("orders")
    words = ("saga", "abandon", "orders", identity, "--why", "nobody wants it", "--yes")
    run(strict, *words, code=1)
    wait_for("it is back", lambda: (one := strict.services()["orders"])["ready"] and one["pid"] != before)
    status = saga(strict, identity)["status"]
    assert status == ("parked" if point == "abandon.recorded" else "abandoned")
    assert "is abandoned" in run(strict, *words, code=0 if status == "parked" else 1)
    shown = saga(strict, identity)
    assert shown["status"] == "abandoned" and "nobody wants it" in shown["why"]
    wait_for("its receivers are told, after the restart too", lambda: closed(strict, identity))
