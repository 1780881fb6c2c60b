# SPDX-License-Identifier: Apache-2.0
"""A service of the shop that is added next to one whose events are trimmed begins with a snapshot."""

import re
import shutil
import urllib.parse
import uuid

from conftest import ROOT, SHOP_FILE, SHOP_SERVICES, System, wait_for, with_programs


def write_shop(folder, *without):
    """The shop without these services, whose products keep one event, whoever has not read the others."""
    text = with_programs(SHOP_FILE.read_text())
    for name in without:
        text = re.sub(rf"^ +{name}: {{.*\n", "", text, flags=re.MULTILINE)  # in profiles, too
    text, count = re.subn(r"^(  products: \{ program: \S+) \}$", r"\1, retention: { events_kept_s: 1, events_max: 1 } }", text,
                          flags=re.MULTILINE)
    assert count == 1
    (folder / "freehold.yaml").write_text(text)
    return folder / "freehold.yaml"


def copy_migrations(folder):
    for name in SHOP_SERVICES:
        for own in (ROOT / "examples" / "shop" / name / one for one in ("migrations", "reports")):
            if own.exists():
                shutil.copytree(own, folder / name / own.name)


def test_a_new_search_finds_products_from_before_its_time(tmp_path):
    mark = "w" + uuid.uuid4().hex
    copy_migrations(tmp_path)
    system = System(write_shop(tmp_path, "search"), tmp_path / "s").up()
    try:
        made = [f"{mark}-{i}" for i in range(3)]
        for product in made:
            assert system.http("POST", "/api/products", {"id": product, "name": f"{mark} lamp", "price": 7}).status == 201
        assert system.http("PATCH", f"/api/products/{made[1]}", {"name": f"{mark} sofa"}).status == 200
        assert system.http("DELETE", f"/api/products/{made[2]}").status == 204

        def products_are_trimmed():
            state = system.call("products", "GET", "/_freehold/state").body
            return state["trimmed"] >= 4 and state["position"] == 5

        wait_for("their events can't be read any more", products_are_trimmed)
        system.stop()
        write_shop(tmp_path)
        system.up()

        def found(words):
            answer = system.http("GET", "/api/search?" + urllib.parse.urlencode({"q": words, "sort": "id"}))
            return answer.status == 200 and [one["id"] for one in answer.body["hits"]]

        wait_for("the products from before are found", lambda: found(mark) == made[:2])
        assert found(f"{mark} sofa") == made[1:2]
        new = system.http("POST", "/api/products", {"name": f"{mark} new", "price": 7}).body["id"]
        wait_for("so are new ones", lambda: sorted(found(mark) or []) == sorted(made[:2] + [new]))
    finally:
        system.stop(check=False)
