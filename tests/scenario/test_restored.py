# SPDX-License-Identifier: Apache-2.0
"""What follows from a restore, with real processes: who tells whom, what is reported, and how a person sees it."""

import pytest

from deals import BUILD, Deals
from conftest import wait_for


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


def test_a_person_is_told_and_says_that_it_was_seen(deals):
    state = deals.system.state
    assert "left reports 1 things that a restore has left" in deals.system.command(
        "status", "--state", state, check=False).stdout
    shown = deals.system.command("restored", "--state", state).stdout
    assert "has closed sagas" in shown and "Compare what this service has" in shown
    assert "has closed sagas" in deals.system.command("restored", "left", "--seen", "--state", state).stdout
    assert "No restore has left anything" in deals.system.command("restored", "left", "--state", state).stdout
    assert deals.report("left")["entries"] == [] and len(deals.report("right")["entries"]) == 1
    usage = deals.system.command("restored", "--seen", "--state", state, check=False)
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
