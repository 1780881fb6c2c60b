# SPDX-License-Identifier: Apache-2.0
"""Facts that a ClickHouse alone keeps, of a system that `up` runs: what the server has lost, and an outbox that was
trimmed has not either, is said, and is passed over by an operator's word alone."""

import json
import os
import re
import shutil
import signal
import uuid

import pytest
from conftest import SHOP_FILE, build_crash_programs, wait_for, with_programs
from test_columns_clickhouse import AT_ONCE, GAUGES, PROGRAM, SUM, Server, add, await_all, counted


@pytest.fixture(scope="module")
def server():
    return Server()


def text_of(server, name, folder, kept):
    return (f"system: {name}\ngateway: {{ listen: '127.0.0.1:0' }}\nservices:\n"
            f"  gauges: {{ program: {PROGRAM}, derives: {{ measured: {{ server: facts, kept: {kept} }} }}, "
            "retention: { events_kept_s: 1 } }\n"
            f"servers:\n  facts: {{ derived: clickhouse, host: {server.at['host']}, port: {server.at['port']}, "
            f"user: {server.at['user']}, password_file: {folder}/password, tls: {{ mode: off }}, "
            "options: { interval_ms: 20, settle_s: 0 } }\n")


@pytest.fixture(scope="module")
def gauges(start, tmp_path_factory, server):
    build_crash_programs()
    folder = tmp_path_factory.mktemp("kept")
    shutil.copytree(GAUGES / "migrations", folder / "gauges" / "migrations")
    (folder / "password").write_text(server.at["password"])
    (folder / "password").chmod(0o600)
    name = f"s{uuid.uuid4().hex[:12]}"
    (folder / "freehold.yaml").write_text(text_of(server, name, folder, "true"))
    system = start(folder / "freehold.yaml")
    system.folder, system.name, system.database = folder, name, f"{name}.gauges"
    yield system
    server.run(f"DROP DATABASE IF EXISTS `{system.database}`")


def derive(gauges, *words):
    return gauges.command("derive", "gauges", "measured", *words, "--state", gauges.state, check=False)


def kept(gauges):
    return json.loads(derive(gauges, "--json").stdout)


def outbox(gauges):
    text = gauges.call("gauges", "GET", "/metrics").body
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("freehold_outbox_events "))


def start_again(gauges):
    """It looks at what its server has when it starts."""
    pid = gauges.services()["gauges"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for("it is back", lambda: (one := gauges.services()["gauges"])["ready"] and one["pid"] != pid)


def test_facts_are_on_the_server_alone(gauges):
    for days_ago in (0, 1):
        add(gauges, days_ago)
    await_all(gauges, 2)
    start_again(gauges)
    wait_for("they have settled", lambda: kept(gauges)["settled"] >= 2)
    wait_for("the outbox is trimmed", lambda: outbox(gauges) == 0)
    await_all(gauges, 2)
    said = derive(gauges).stdout
    assert said.startswith("The server alone has measured of gauges; the outbox is held behind position "), said
    assert "lost" not in kept(gauges)


def test_what_has_lost_nothing_gives_nothing_up(gauges):
    done = derive(gauges, "--accept-loss", "--yes")
    assert done.returncode == 1 and "server of measured has lost nothing that nobody else has" in done.stderr, done
    done = derive(gauges, "--yes")
    assert done.returncode == 2 and "--yes is for --accept-loss" in done.stderr, done
    done = gauges.command("derive", "gauges", "nothing", "--state", gauges.state, check=False)
    assert done.returncode == 1 and "gauges has no derived store nothing on a server" in done.stderr, done


def test_what_is_lost_is_said_and_given_up_by_a_word_alone(gauges, server):
    server.run(f"DROP DATABASE `{gauges.database}`")
    start_again(gauges)
    wait_for("it says what is lost", lambda: "LOST some or all of what was derived at positions" in derive(gauges).stdout)
    assert counted(gauges) is None
    text = gauges.call("gauges", "GET", "/metrics").body
    assert 'freehold_derived_facts_lost{derived="measured"} 1' in text
    add(gauges, 2)  # is taken, and waits
    done = derive(gauges, "--accept-loss")
    assert done.returncode == 2 and "confirm it with --yes" in done.stderr, done
    assert counted(gauges) is None
    done = derive(gauges, "--accept-loss", "--yes")
    assert done.returncode == 0 and done.stdout.startswith("Given up: whatever it had lost at positions 1 to "), done
    wait_for("what came meanwhile counts, and nothing else", lambda: counted(gauges) == (AT_ONCE, SUM))
    assert "Given up: whatever it had lost at positions 1 to " in derive(gauges).stdout


def test_where_facts_are_is_not_changed_by_the_file_alone(gauges, server):
    gauges.stop()
    file = gauges.folder / "freehold.yaml"
    was = file.read_text()
    file.write_text(text_of(server, gauges.name, gauges.folder, "false"))
    done = gauges.command("up", gauges.file, "--detach", "--state", gauges.state, check=False)
    assert done.returncode, done
    assert "A server alone has the derived store measured" in done.stdout + done.stderr, done
    gauges.stop(check=False)
    file.write_text(was)
    gauges.up()
    wait_for("it has what it had", lambda: counted(gauges) == (AT_ONCE, SUM))


def test_what_can_not_be_kept_is_refused(gauges, tmp_path, server):
    shutil.copytree(SHOP_FILE.parent, tmp_path / "shop")
    file = tmp_path / "shop" / "freehold.yaml"
    text, changed = re.subn(r"^(  search: \{ program: [^ ,}]+)", r"\1, derives: { products: { server: found, kept: true } }",
                            with_programs(SHOP_FILE.read_text()), flags=re.MULTILINE)
    was = "found: { derived: opensearch }"
    assert changed == 1 and was in text
    file.write_text(text.replace(was, "found: { derived: opensearch, host: 127.0.0.1, port: 9, tls: { mode: off } }"))
    done = gauges.command("check", file, check=False)
    assert done.returncode == 1 and ("services.search.derives.products.kept: its server can't be the only one to have it: "
                                     "what an FH_SEARCH has is made of the service's own rows") in done.stderr, done
    file.write_text(text_of(server, "other", gauges.folder, "perhaps"))
    done = gauges.command("check", file, check=False)
    assert done.returncode and re.search(r"freehold\.yaml:4:\d+: .*kept", done.stderr), done
