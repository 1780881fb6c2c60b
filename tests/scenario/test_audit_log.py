# SPDX-License-Identifier: Apache-2.0
"""The audit log: every act of an operator is in it before it is begun, and none is done that can't be recorded. The
chain itself is tests/unit/system_audit_test.c's."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess

import pytest

from conftest import FREEHOLD, ROOT, System, open_folder, wait_for, with_programs


@pytest.fixture(scope="module")
def shop():
    folder = open_folder()
    shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
    file = folder / "shop" / "freehold.yaml"
    file.write_text(with_programs(file.read_text()))
    system = System(file, folder / "state").up()
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


def run(system, *arguments):
    return subprocess.run([FREEHOLD, *arguments, "--state", system.state], capture_output=True, text=True, timeout=300)


def audit(system, *arguments):
    done = run(system, "audit", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def newest(system, *arguments):
    return audit(system, *arguments)["acts"][-1]


def log_of(system):
    return pathlib.Path(system.state) / "audit.log"


def test_the_start_is_the_first_act_and_goes_on(shop):
    act = audit(shop)["acts"][0]
    assert act["what"] == "up" and act["state"] == "begun" and act["who"]["uid"] == os.getuid(), act
    assert act["with"]["file"] == shop.file and act["with"]["listen"] == f"127.0.0.1:{shop.port}", act
    assert log_of(shop).stat().st_mode & 0o7777 == 0o600


ACTS = {
    "scale": (["scale", "users", "1"], "scale", "users", "done"),
    "scale too far": (["scale", "users", "2"], "scale", "users", "failed"),
    "upgrade": (["upgrade", "users"], "upgrade", "users", None),
    "a retry of all": (["parked", "retry", "search"], "parked retry", "search", "done"),
    "a drop of nothing": (["parked", "drop", "search", "products", "p-1", "--yes"], "parked drop", "search", "failed"),
    "a saga's retry": (["saga", "retry", "orders", "0"], "saga retry", "orders", "failed"),
    "a saga given up": (["saga", "abandon", "orders", "0", "--why", "lost", "--yes"], "saga abandon", "orders", "failed"),
    "new keys": (["rotate-keys", "users", "--forget-users"], "rotate-keys", "users", "done"),
    "a call": (["call", "users", "POST", "/api/users?hush=1", "--data", '{"name": "hush", "email": "hush@example.org"}',
                "--key", "hush"], "call", "users", None),
    "a call of no route": (["call", "users", "DELETE", "/api/nothing"], "call", "users", "failed"),
}


@pytest.mark.parametrize("act", ACTS)
def test_an_act_is_recorded_with_its_end(shop, act):
    arguments, what, service, ended = ACTS[act]
    done = run(shop, *arguments)
    found = newest(shop, "--service", service)
    assert (found["what"], found["service"]) == (what, service), found
    assert found["state"] == (ended or ("done" if done.returncode == 0 else "failed")), (found, done)
    assert found["who"]["uid"] == os.getuid()
    assert found["state"] == "done" or found["why"]
    assert what == "call" or "(not recorded)" not in json.dumps(found.get("with")), found
    assert "hush" not in log_of(shop).read_text()


@pytest.mark.parametrize("arguments, service, given, state", [
    ([], None, None, "done"),
    (["gateway", "--forget-users"], "gateway", {"forget": True}, "done"),
    (["usres"], "usres", None, "failed"),
])
def test_it_says_whose_keys_were_replaced(shop, arguments, service, given, state):
    run(shop, "rotate-keys", *arguments)
    found = newest(shop, "--what", "rotate-keys", *(["--service", service] if service else []))
    assert (found.get("service"), found.get("with"), found["state"]) == (service, given, state), found
    shown = run(shop, "audit", "--what", "rotate-keys").stdout
    assert "_keys" not in shown and "null" not in shown and "(not recorded)" not in shown, shown


def test_what_only_reads_leaves_nothing(shop):
    before = log_of(shop).read_bytes()
    for arguments in (["status"], ["parked", "list"], ["saga", "list"], ["call", "users", "GET", "/api/users/1"],
                      ["events", "count", "users"], ["audit"], ["restore-report"]):
        run(shop, *arguments)
    subprocess.run([FREEHOLD, "check", shop.file, "--live", "--state", shop.state], capture_output=True, timeout=300)
    assert log_of(shop).read_bytes() == before


def test_backup_and_restore_are_acts_of_a_running_and_a_stopped_system(shop):
    folder = pathlib.Path(shop.state).parent / "kept"
    shop.command("backup", "users", "--to", str(folder), "--state", shop.state)
    whole, asked = audit(shop, "--what", "backup", "--service", "users")["acts"]
    assert whole["state"] == asked["state"] == "done" and asked["service"] == "users"
    assert whole["with"] == {"folder": str(folder), "services": ["users"], "encrypted": False}
    shop.command("restore", "users", "--from", str(folder), "--yes", "--older", "--state", shop.state)
    ordered = audit(shop, "--what", "restore")["acts"]
    assert [one["state"] for one in ordered] == ["done", "done"], "the command's, and what it asked up for"
    assert ordered[0]["with"] == {"folder": str(folder), "services": ["users"], "unsigned": False, "older": True}
    shop.stop()
    stop = newest(shop)
    assert (stop["what"], stop["state"]) == ("stop", "done")
    assert [one["state"] for one in audit(shop, "--what", "up")["acts"]] == ["done"]
    shop.command("restore", "users", "--from", str(folder), "--yes", "--state", shop.state)
    assert newest(shop)["what"] == "restore"
    shop.up()
    assert newest(shop)["what"] == "up"


def test_who_is_the_kernels_word_and_not_the_clients(shop):
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: another user needs root")
    keys = json.loads((pathlib.Path(shop.state) / "keys.json").read_text())
    key = keys["keys"]["operator"]["_up"]
    request = json.dumps({"command": "scale", "service": "users", "instances": 1, "key": key, "uid": 0, "who": "root",
                          "password": "hush"})
    pathlib.Path(shop.state).chmod(0o711)
    sock = pathlib.Path(shop.state) / "control.sock"
    mode = sock.stat().st_mode
    sock.chmod(0o777)
    program = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
               "s.sendall(sys.stdin.read().encode() + b'\\n'); print(s.recv(4096))")
    try:
        subprocess.run(["setpriv", "--reuid", "64999", "--clear-groups", "/usr/bin/python3", "-c", program, str(sock)],
                       input=request, text=True, check=True, timeout=60)
    finally:
        sock.chmod(mode)
    found = wait_for("it is over", lambda: (one := newest(shop, "--what", "scale"))["state"] != "begun" and one)
    assert found["who"]["uid"] == 64999, found
    assert found["with"]["password"] == "(not recorded)" and "hush" not in log_of(shop).read_text()
    assert key not in log_of(shop).read_text()


def test_a_command_that_dies_leaves_its_act_unfinished(shop):
    folder = pathlib.Path(shop.state).parent / "cut-short"
    with shop.held_still("users"):
        command = subprocess.Popen([FREEHOLD, "backup", "users", "--to", str(folder), "--state", shop.state])
        wait_for("it is begun", lambda: newest(shop)["what"] == "backup" and newest(shop).get("service") == "users")
        command.kill()
        command.wait()
        begun = audit(shop, "--unfinished", "--what", "backup")["acts"]
        assert {one.get("service") for one in begun} >= {None, "users"}, begun


def test_what_cannot_be_recorded_is_not_done(shop):
    """As with a full disk: audit.log is a folder."""
    log = log_of(shop)
    aside = log.rename(log.with_name("aside"))
    log.mkdir()
    try:
        for arguments in (["scale", "users", "1"], ["stop"], ["parked", "retry", "search"],
                          ["call", "users", "POST", "/api/users", "--data", '{"name": "Nobody", "email": "n@example.org"}'],
                          ["backup", "users", "--to", str(log.with_name("none"))]):
            refused = run(shop, *arguments)
            assert refused.returncode == 1, (arguments, refused)
            assert re.search("not recorded, and so not done|nothing was done", refused.stderr), (arguments, refused)
        assert not log.with_name("none").exists()
        assert all(one["state"] for one in shop.services().values()), "nobody was stopped"
    finally:
        log.rmdir()
        aside.rename(log)
    with contextlib.closing(sqlite3.connect(f"file:{shop.state}/users/store.db?mode=ro", uri=True)) as store:
        assert store.execute("SELECT count(*) FROM users WHERE name = 'Nobody'").fetchone() == (0,)


def test_the_chain_is_verified_by_hand_and_a_change_is_found(shop):
    """By the description in src/system/audit/audit.h."""
    previous, lines = "0" * 64, log_of(shop).read_bytes().splitlines()
    for n, line in enumerate(lines, 1):
        entry = json.loads(line)
        assert (entry["n"], entry["previous"]) == (n, previous)
        previous = hashlib.blake2b(line, digest_size=32).hexdigest()
    assert audit(shop)["head"] == previous
    head = f"{len(lines)}:{previous}"
    assert run(shop, "audit", "--expect", head).returncode == 0
    log = log_of(shop)
    whole = log.read_bytes()
    try:
        log.write_bytes(whole.replace(b'"scale"', b'"stop"', 1))
        broken = run(shop, "audit")
        assert broken.returncode == 1 and re.search(r"audit\.log:\d+: entry \d+ was changed", broken.stderr), broken.stderr
        log.write_bytes(b"\n".join(lines[:3] + lines[4:]) + b"\n")
        assert "entries are missing" in run(shop, "audit").stderr
        log.write_bytes(b"\n".join(lines[:-1]) + b"\n")
        assert run(shop, "audit").returncode == 0
        cut = run(shop, "audit", "--expect", head)
        assert cut.returncode == 1 and "is expected and missing" in cut.stderr
    finally:
        log.write_bytes(whole)


def test_up_that_dies_leaves_its_acts_unfinished(shop):
    up = shop.status()["up_pid"]
    os.kill(up, signal.SIGKILL)
    wait_for("it is gone", lambda: run(shop, "status").returncode == 3)
    assert newest(shop, "--what", "up")["state"] == "begun"
    shop.up()
    assert [one["state"] for one in audit(shop, "--what", "up")["acts"]][-2:] == ["begun", "begun"]
    unknown = run(shop, "audit", "--who", "nobody-of-this-name")
    assert unknown.returncode == 2 and "has no user" in unknown.stderr
    assert run(shop, "audit", "--who", "root" if os.getuid() == 0 else str(os.getuid())).stdout
