# SPDX-License-Identifier: Apache-2.0
"""The alerting rules that are installed: Prometheus takes them, each is raised by what it is for and by nothing else,
and each is about something that a running system tells."""

import re
import shutil
import subprocess

import pytest
import yaml

from conftest import ROOT, SHOP_FILE, wait_for, why_not
from test_bus import make_order

ALARMS = ROOT / "src/service/alarms.yml"
# What is told only where there are timers, replicas or derived stores on servers, and where it is looked for instead.
ELSEWHERE = {"freehold_timer_lateness_seconds": "tests/scenario/test_timers.py",
             "freehold_timers_parked": "tests/scenario/test_timers.py", "freehold_primary_gone": "src/service/metrics.c",
             "freehold_derived_serving": "src/service/carriers_show.c",
             "freehold_derived_age_seconds": "src/service/carriers_show.c",
             "freehold_derived_refused_keys": "src/service/carriers_show.c",
             "freehold_derived_facts_lost": "src/service/carriers_show.c"}
METRIC = re.compile(r"\b(freehold_\w+)(\{[^}]*\})?")


def rules():
    return [rule for group in yaml.safe_load(ALARMS.read_text())["groups"] for rule in group["rules"]]


def promtool(*words):
    program = shutil.which("promtool")
    if not program:
        pytest.skip("NOT TRIED BY PROMETHEUS: promtool is not installed (apt-get install prometheus)")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules():
    promtool("check", "rules", ALARMS)


def test_each_is_raised_by_what_it_is_for_and_by_nothing_else(tmp_path):
    cases = (ROOT / "tests/scenario/alarms_rules_test.yml").read_text()
    for rule in rules():
        assert f'alertname="{rule["alert"]}"' in cases, "it is tried"
    (tmp_path / "test.yml").write_text(cases.replace("ALARMS", str(ALARMS)))
    promtool("test", "rules", tmp_path / "test.yml")


def test_each_says_what_to_do_and_where_that_is_written():
    page = (ROOT / "docs/operate/alarms.md").read_text()
    anchors = {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.*)$", page, re.M)}
    for rule in rules():
        said = rule["annotations"]
        assert rule["labels"]["severity"] in ("warning", "critical") and said["summary"] and said["description"], rule
        path, anchor = said["runbook"].split("#")
        assert path == "docs/operate/alarms.md" and anchor in anchors, said["runbook"]
        assert f"`{rule['alert']}`" in page, rule["alert"]
    assert set(re.findall(r"`(Freehold[A-Z]\w+)`", page)) == {rule["alert"] for rule in rules()}


def told(system, *services):
    """{metric: (names of its labels, its values)}, of all these services."""
    found = {}
    for service in services:
        text = system.call(service, "GET", "/metrics").body
        for name, given, value in re.findall(r"^(freehold_\w+)(\{.*\})? (\S+)$", text, re.M):
            labels, values = found.setdefault(name, (set(), []))
            labels.update(re.findall(r'(\w+)="', given))
            values.append(float(value))
    return found


def of_brokers():
    """The metrics in the table of docs/operate/brokers.md."""
    return set(re.findall(r"^\| `(freehold_\w+)` \|", (ROOT / "docs/operate/brokers.md").read_text(), re.M))


def test_each_is_about_what_a_running_system_tells(start):
    broker = not why_not("nats")
    system = start(SHOP_FILE, "nats" if broker else None)
    named = [found for rule in rules() for found in METRIC.findall(rule["expr"])]
    wanted = {name for name, _ in named} - ELSEWHERE.keys() | of_brokers()
    assert "freehold_relay_connected" in wanted and "freehold_events_fed_total" in wanted
    if not broker:
        wanted -= of_brokers()
    make_order(system)  # so that there are events, and calls
    wait_for("the outbox was looked at", lambda: "freehold_outbox_events" in told(system, "orders"))
    found = told(system, "orders", "users", "search")
    assert not wanted - found.keys()
    for name, given in named:
        assert name not in found or set(re.findall(r"(\w+)=", given)) <= found[name][0], (name, given)
    own = told(system, "orders")
    assert 0 < own["freehold_outbox_events"][1][0] < own["freehold_outbox_events_max"][1][0], own
    for name, file in ELSEWHERE.items():
        assert name.removeprefix("freehold_") in (ROOT / file).read_text(), (name, file)
    if not broker:
        pytest.skip(f"WHAT IS TOLD OF A BROKER WAS NOT SEEN: {why_not('nats')}")
