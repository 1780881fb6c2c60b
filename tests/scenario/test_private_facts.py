# SPDX-License-Identifier: Apache-2.0
"""As test_private_derived.py, of private servers that hold points and facts: InfluxDB and ClickHouse."""

import base64
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import urllib.parse

import build_folder
import pytest
from conftest import FREEHOLD, System, open_folder, wait_for
from test_bus_kafka import listening
from test_confinement import LANDLOCK
from test_private_derived import ROOT_ONLY, as_stranger
from test_servers import is_over, keepers, ready_again, server_pid

GAUGES = {"influxdb": "crash_gauges_6", "clickhouse": "crash_gauges_7"}
MARK = 499500  # the sum of what one request adds


@pytest.fixture(scope="module", params=GAUGES)
def gauges(request):
    build = pathlib.Path(FREEHOLD).parent
    program = f"tests/crash/{GAUGES[request.param]}"
    build_folder.make(build, program)
    folder = open_folder()
    file = folder / "freehold.yaml"
    file.write_text(f"system: mini\nservices:\n  gauges: {{ program: {build / program}, open: true, "
                    f"derives: {{ measured: {{ server: kept }} }} }}\nservers:\n  kept: {{ derived: {request.param} }}\n")
    system = System(file, folder / "s")
    system.kind = request.param
    can = system.command("check", system.file, check=False)
    if can.returncode and "is not installed" in can.stderr:
        pytest.skip(f"NOT RUN WITH A PRIVATE {request.param.upper()}: {can.stderr}")
    system.warned = can.stdout + can.stderr
    system.points = 0
    system.up()
    yield system
    system.stop(check=False)
    shutil.rmtree(folder)


def name(system):
    return f"kept-{system.kind}"


def folder(system):
    return pathlib.Path(system.state) / ".servers" / name(system)


def told(system):
    return json.loads((pathlib.Path(system.state) / "gauges" / "service.json").read_text())["derives"]["measured"]


def server(system):
    return server_pid(wait_for("it is ready", lambda: (now := keepers(system)[name(system)])["ready"] and now)["pid"])


def add(system):
    """Each time on another day: a point at the same time of the same gauge would replace one."""
    assert system.http("POST", "/api/points", {"days_ago": 1 + system.points // 1000}).status == 201
    system.points += 1000


def counted(system):
    """(count, sum), of the server; None: it can't be asked."""
    answer = system.http("GET", "/api/points")
    if answer.status != 200:
        return None
    if system.kind == "clickhouse":
        return answer.body["points"] and tuple(answer.body["points"])  # nothing is one row less
    return next((tuple(point[1:]) for curve in answer.body["curves"] for point in curve["points"] if point[1]), None)


def all_are_there(system):
    wait_for("all are there", lambda: counted(system) == (system.points, system.points // 1000 * MARK))


def statement(kind, text):
    return ("GET", "/?" + urllib.parse.urlencode({"query": text})) if kind == "clickhouse" else \
        ("POST", "/query?" + urllib.parse.urlencode({"q": text}))


def ask(system, text, user=None, password=None, header=None):
    """What a foreign user of the machine is answered: (status, body)."""
    method, path = statement(system.kind, text)
    if user is not None:
        header = "authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n{header + chr(13) + chr(10) if header else ''}\r\n"
    done = as_stranger(told(system)["port"], head.encode())
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[1]), done.stdout


# ---- That it serves ----------------------------------------------------------------------------


def test_what_is_measured_is_there(gauges):
    add(gauges)
    all_are_there(gauges)
    at = told(gauges)
    assert f"gauges       measured: {gauges.kind}, the private server kept at 127.0.0.1:{at['port']}\n" in gauges.said


# ---- Who gets to it ----------------------------------------------------------------------------


def test_it_keeps_no_secrets_about(gauges):
    ports = listening(server(gauges))
    assert all(one.startswith("0100007F:") for one in ports), ports
    assert len(ports) == (1 if gauges.kind == "clickhouse" else 2)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder(gauges).iterdir() if one.is_file()}
    assert set(modes.values()) == {0o600} and "secret" not in modes, modes
    assert stat.S_IMODE(folder(gauges).stat().st_mode) == 0o700
    secrets = {told(gauges)["password"], json.loads((folder(gauges) / "server.json").read_text())["password"]}
    assert len(secrets) == 2
    shown = subprocess.run(["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True).stdout + gauges.logs()
    for path in folder(gauges).rglob("*"):
        if path.is_file() and path.name != "server.json":
            shown += path.read_bytes().decode(errors="replace")
    assert not [secret for secret in secrets if secret in shown]


@ROOT_ONLY
def test_it_is_a_user_of_its_own(gauges):
    owner = os.stat(f"/proc/{server(gauges)}").st_uid
    assert owner not in (0, os.stat(f"/proc/{gauges.pid('gauges')}").st_uid)


def test_a_foreign_user_of_the_machine_is_kept_out(gauges):
    at = told(gauges)
    text = "SELECT 1" if gauges.kind == "clickhouse" else "SHOW DATABASES"
    assert ask(gauges, text, at["user"], at["password"])[0] == 200
    for user, password in ((at["user"], "wrong"), (at["user"], ""), ("freehold", "wrong"), ("default", ""), ("", "")):
        assert ask(gauges, text, user, password)[0] == 401, user
    assert ask(gauges, text)[0] == 401
    if gauges.kind == "influxdb":
        assert ask(gauges, "CREATE DATABASE mine", at["user"], at["password"])[0] in (401, 403)
        assert ask(gauges, "CREATE USER \"me\" WITH PASSWORD 'x' WITH ALL PRIVILEGES")[0] == 401


def test_what_can_t_be_closed_is_said(gauges):
    assert ("InfluxDB 1.6 listens at a port for its backups that can't be closed" in gauges.warned) == \
        (gauges.kind == "influxdb")


@pytest.mark.skipif(LANDLOCK < 4, reason="THIS KERNEL CAN'T CLOSE PORTS: NOTHING WAS PROVED")
def test_whoever_asks_it_does_not_have_it_connect_elsewhere(gauges):
    at = told(gauges)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.1)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if gauges.kind == "clickhouse":
            status, said = ask(gauges, f"SELECT * FROM url('{url}/', 'CSV', 'a String')", at["user"], at["password"])
            assert status == 500 and b"ermission denied" in said, said
        else:
            forbidden = f"CREATE SUBSCRIPTION s ON \"mini.gauges\".autogen DESTINATIONS ALL '{url}'"
            assert ask(gauges, forbidden, at["user"], at["password"])[0] in (401, 403)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_errors_that_quote_statements_stay_out_of_its_log(gauges):
    at = told(gauges)
    assert ask(gauges, "SELECT 'personalvalue' FROM nowhere WHERE", at["user"], at["password"])[0] in (400, 500)
    assert "personalvalue" not in (folder(gauges) / "log").read_text()


def test_the_live_check_tries_who_is_let_in(gauges):
    server(gauges)  # it is ready
    done = gauges.command("check", gauges.file, "--live", "--state", gauges.state, "--json", check=False)
    assert [one["message"] for one in json.loads(done.stdout)["errors"]] == []


# ---- When it dies ------------------------------------------------------------------------------


def test_one_that_is_killed_comes_back_by_itself_with_what_it_had(gauges):
    add(gauges)
    all_are_there(gauges)
    keeper, service = keepers(gauges)[name(gauges)]["pid"], gauges.pid("gauges")
    os.kill(server(gauges), signal.SIGKILL)
    add(gauges)
    again = ready_again(gauges, name(gauges), keeper)
    assert again["restarts"] >= 1 and "exit code 1" in again["last_end"]
    all_are_there(gauges)
    # And its supervisor: the server ends with it, and is not left behind.
    pid = server_pid(again["pid"])
    os.kill(again["pid"], signal.SIGKILL)
    ready_again(gauges, name(gauges), again["pid"])
    assert is_over(pid) and gauges.pid("gauges") == service
    all_are_there(gauges)


def test_when_up_is_killed_it_ends_and_the_next_up_goes_on_with_it(gauges):
    add(gauges)
    all_are_there(gauges)
    pid = server(gauges)
    os.kill(gauges.status()["up_pid"], signal.SIGKILL)
    wait_for("it ends", lambda: is_over(pid))
    gauges.up()
    add(gauges)
    all_are_there(gauges)


def test_what_it_has_lost_is_made_anew(gauges):
    add(gauges)
    all_are_there(gauges)
    gauges.stop()
    shutil.rmtree(folder(gauges))
    gauges.up()
    add(gauges)
    all_are_there(gauges)


def test_nothing_is_left_of_it_when_the_system_is_stopped(gauges):
    pid = server(gauges)
    gauges.stop()
    assert is_over(pid)
    names = {path.name for path in folder(gauges).iterdir()}
    assert "secret" not in names and "data.new" not in names, names
    gauges.up()
    server(gauges)


def test_who_is_no_longer_named_is_not_let_in(gauges):
    """`up` writes who they are; here it has written another password."""
    at, file = told(gauges), folder(gauges) / "server.json"
    kept = file.read_text()
    named = json.loads(kept)
    named["stores"] = [{"user": "mini_other", "password": "another", "owner": "mini.gauges"}]
    text = "SELECT 1" if gauges.kind == "clickhouse" else "SHOW DATABASES"
    try:
        file.write_text(json.dumps(named))
        keeper = keepers(gauges)[name(gauges)]["pid"]
        os.kill(server(gauges), signal.SIGKILL)
        ready_again(gauges, name(gauges), keeper)
        assert ask(gauges, text, at["user"], at["password"])[0] == 401
        assert ask(gauges, text, "mini_other", "another")[0] == 200
    finally:
        file.write_text(kept)
    keeper = keepers(gauges)[name(gauges)]["pid"]
    os.kill(server(gauges), signal.SIGKILL)
    ready_again(gauges, name(gauges), keeper)
    assert ask(gauges, text, at["user"], at["password"])[0] == 200
    assert ask(gauges, text, "mini_other", "another")[0] == 401
