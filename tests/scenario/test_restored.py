# SPDX-License-Identifier: Apache-2.0
"""What follows from a restore, with real processes: who notifies whom, what is reported, and how an operator sees
it."""

import json
import re
import shutil

import pytest

from conftest import SHOP_FILE, System, folder_for, wait_for, with_programs
from deals import BUILD, Deals
from test_identity import ask_as, life


@pytest.fixture(scope="module")
def deals():
    running = Deals(lambda name: BUILD / "tests" / "crash" / f"deals_{name}")
    try:
        running.deal()
        running.back_up()
        yield running
    finally:
        running.close()


def sentences(report):
    return [entry["what"] for entry in report["entries"]]


def test_what_a_restored_service_has_forgotten_is_reported_by_those_who_did_it(deals):
    lost = deals.deal()
    deals.restore("desk")
    reports = deals.told()
    assert [one["position"] > 0 for one in reports["desk"]["restored"]] == [True]
    assert reports["desk"]["entries"] == []
    for side in ("left", "right"):
        assert len(sentences(reports[side])) == 1
        assert "has closed sagas of desk that desk knows nothing of" in sentences(reports[side])[0]
    assert deals.rows("left", f"SELECT times, undone FROM taken WHERE token = '{lost}'") == [(1, 0), (1, 0)]
    deals.deal()


def test_an_operator_is_notified_and_acknowledges_it(deals):
    state = deals.system.state
    assert "left reports 1 things that a restore has left" in deals.system.command(
        "status", "--state", state, check=False).stdout
    shown = deals.system.command("restore-report", "--state", state).stdout
    assert "has closed sagas" in shown and "Compare what this service has" in shown
    assert "has closed sagas" in deals.system.command("restore-report", "left", "--seen", "--state", state).stdout
    assert "No restore has left anything" in deals.system.command("restore-report", "left", "--state", state).stdout
    assert deals.report("left")["entries"] == [] and len(deals.report("right")["entries"]) == 1
    usage = deals.system.command("restore-report", "--seen", "--state", state, check=False)
    assert usage.returncode == 2 and "say whose report" in usage.stderr


def test_a_restored_receiver_announces_itself_and_what_it_has_lost_is_reported(deals):
    lost = deals.deal()
    deals.restore("left")
    reported = deals.told()["desk"]
    (saga,) = [row[0] for row in deals.rows(
        "desk", f"SELECT birth || '.' || number FROM fh_saga WHERE json_extract(input, '$.token') = '{lost}'")]
    of_it = [entry for entry in reported["entries"] if entry["saga"] == saga]
    assert sorted(entry["peer"] for entry in of_it) == ["left", "left"]
    assert all("left was restored to before it did step" in entry["what"] for entry in of_it)
    assert deals.rows("left", f"SELECT count(*) FROM taken WHERE token = '{lost}'") == [(0,)]
    deals.deal()
    wait_for("it is at rest", deals.system.at_rest)


def test_a_service_on_redis_reports_what_it_did_for_sagas_that_are_lost(request):
    if not shutil.which("redis-server"):
        pytest.skip("NO REDIS TO TRY IT ON: apt-get install redis-server")
    folder = folder_for(request)
    shutil.copytree(SHOP_FILE.parent, folder / "shop")
    file = folder / "shop" / "freehold.yaml"
    text, changed = re.subn(r"^(  carts: \{ program: [^ ,}]+)", r"\1, engine: redis", with_programs(SHOP_FILE.read_text()),
                            flags=re.MULTILINE)
    assert changed == 1
    file.write_text(text)
    shop = System(file, folder / "state").up()
    request.addfinalizer(lambda: shop.stop(check=False))
    shop.command("backup", "orders", "--to", folder / "backup", "--state", shop.state)
    born = life(shop, "orders")

    def take(user):
        """A step of a saga that the backup does not know; what came of it."""
        headers = {"Freehold-From": f"orders/{life(shop, 'orders')}", "Freehold-To": life(shop, "carts"),
                   "Idempotency-Key": f"orders/{born}.999/empty_cart/{user}"}
        return ask_as(shop, "orders", "carts", "POST", f"/api/carts/{user}/remove", headers,
                      {"items": [{"product_id": "mug", "quantity": 1}]}).headers.get("freehold-outcome")

    assert [take(1), take(2)] == ["done", "done"]
    shop.command("restore", "orders", "--from", folder / "backup", "--yes", "--state", shop.state)

    def look():
        told = json.loads(shop.command("restore-report", "--json", "--state", shop.state, check=False).stdout)["services"]
        return told if len(told) == 11 and not any(one["untold"] or one["looking"] for one in told) else None

    reports = {one["service"]: one for one in wait_for("all is told of the restore", look)}
    assert [(entry["saga"], entry["what"].partition(",")[0]) for entry in reports["carts"]["entries"]] == [
        (f"{born}.999", f"carts did step empty_cart/{user} of saga {born}.999 of orders") for user in (1, 2)]
    assert take(3) == "closed"
