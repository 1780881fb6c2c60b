# SPDX-License-Identifier: Apache-2.0
"""The command and its supervision, on services that only obey docs/internals/processes.md."""

import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import urllib.request

import pytest

from conftest import FREEHOLD, ROOT, free_port, living, wait_for
from terminal import assert_fits, on_terminal

FAKE = ROOT / "tests" / "support" / "fake_service.py"
USERS = {"routes": [{"method": "GET", "path": "/api/users/{id:int}", "audience": "public", "auth": "anyone"},
                    {"method": "POST", "path": "/api/users/{id}/count", "audience": "services"},
                    {"method": "POST", "path": "/api/users/{id}/uncount", "audience": "services",
                     "undo": True},
                    {"method": "GET", "path": "/secrets", "audience": "operators"}],
         "publishes": [{"type": "UserUpdated", "version": 1, "key": "id",
                        "schema": {"type": "object", "additionalProperties": False, "required": ["id"],
                                   "properties": {"id": {"type": "integer"}, "name": {}}}}]}


class Mini:
    """A system file with fake programs beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.state = folder / ".freehold" / "mini"
        self.file = folder / "freehold.yaml"
        self.port = free_port()
        self.describe("users", USERS)
        self.describe("orders", {"hears": [{"service": "users", "type": "UserUpdated"}]})
        self.write("  users: {}\n  orders:\n")

    def write(self, services, more=""):
        self.file.write_text(f"system: mini\ngateway: {{listen: '127.0.0.1:{self.port}'}}\n"
                             f"services:\n{services}{more}upgrade: by hand\n")

    def describe(self, name, description, **acts):
        behaviour = json.dumps({"description": description, **acts})
        (self.folder / name).write_text(f"{FAKE.read_text()}\n# BEHAVIOUR {behaviour}\n")
        (self.folder / name).chmod(0o755)

    def run(self, *arguments, code=0, environment=None):
        done = subprocess.run([FREEHOLD, *map(str, arguments)], capture_output=True, text=True,
                              cwd=self.folder, timeout=120, env=environment or os.environ)
        assert code in (None, done.returncode), f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def up(self, *more, **how):
        return self.run("up", self.file, "--detach", *more, **how)

    def status(self):
        done = subprocess.run([FREEHOLD, "status", "--json", "--state", str(self.state)],
                              capture_output=True, text=True, timeout=120, check=False)
        return json.loads(done.stdout) if done.stdout else None

    def service(self, name):
        status = wait_for("up tells its status", self.status)
        return next(s for s in status["services"] if s["name"] == name)

    def pids(self):
        status = self.status()
        return [status["gateway"]["pid"], *(s["pid"] for s in status["services"])]


@pytest.fixture
def mini(tmp_path):
    mini = Mini(tmp_path)
    yield mini
    subprocess.run([FREEHOLD, "stop", "--state", str(mini.state)], capture_output=True, timeout=120,
                   check=False)


def lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ---- The system file ---------------------------------------------------------------------------


def test_every_fault_of_a_file_is_reported_with_its_place(mini):
    mini.write("  users: {progam: users, instances: 3}\n  Bad Name: {}\n  users: {}\n"
               "  orders: {engine: couchdb, settings: {key: '${NO_SUCH_VARIABLE}'}}\n")
    said = mini.run("check", mini.file, code=1)
    for expected in (":4:11: error: unknown key 'progam' in services.users; did you mean 'program'?",
                     ":5:3: error: 'Bad Name' is not a name for services",
                     ":6:3: error: 'users' is given twice in services",
                     ":7:20: error: services.orders: there is no engine of this name; ",
                     ":7:45: error: services.orders.settings.key needs the environment variable "
                     "NO_SUCH_VARIABLE, which is not set",
                     "3 instances need a server engine"):
        assert expected in said


def test_a_broken_file_is_reported_with_its_place(mini):
    mini.file.write_text("system: mini\nservices: {users: {}\n")
    assert ":3:1: error: not valid YAML" in mini.run("check", mini.file, code=1)
    mini.file.write_text("system: mini\nservices:\n\tusers: {}\n")
    assert ":3:1: error: not valid YAML: a tab stands here" in mini.run("check", mini.file, code=1)
    said = mini.run("check", mini.folder / "none.yaml", code=1)
    assert "none.yaml: error: cannot be read: No such file or directory; name the system file, or begin one" in said


def test_a_missing_program_is_reported_with_the_places_searched(mini):
    mini.write("  users: {}\n  billing: {}\n")
    said = mini.run("check", mini.file, code=1)
    assert ":5:3: error: the program of billing was not found; looked for " in said
    assert str(mini.folder / "billing") in said and "say where programs are with --programs DIR" in said
    mini.write("  users: {}\n  billing: {}\n  cellar: {}\n  attic: {}\n")
    said = mini.run("check", mini.file, code=1)
    assert ":5:3: error: the programs of billing, cellar and attic were not found; looked in " in said
    assert said.count(str(mini.folder)) == 2 and said.count("--programs DIR") == 1  # the file's own place, and one more
    mini.write("  users: { program: /bin/true }\n")
    said = mini.run("check", mini.file, code=1)
    assert "true is not a service's program: its empty answer to --describe is not JSON" in said


def test_what_is_no_json_is_used_by_no_service(mini):
    mini.describe("users", {"routes": [
        {"method": "GET", "path": "/table", "audience": "services", "answer_type": "text/csv"},
        {"method": "POST", "path": "/table", "audience": "services", "body_type": "text/csv"}]})
    mini.describe("orders", {"asks": [{"service": "users", "path": "/table"}],
                             "sagas": [{"name": "put", "steps": [{"name": "one", "call": "users POST /table",
                                                                  "pivot": True}]}]})
    said = mini.run("check", mini.file, code=1)
    assert "orders asks users and uses GET /table of users, whose answer is text/csv: expected JSON" in said
    assert "uses POST /table of users, whose body is text/csv: expected JSON" in said


def test_what_programs_expect_of_each_other_is_checked(mini):
    mini.describe("orders", {
        "hears": [{"service": "users", "type": "UserUpdate"},
                  {"service": "users", "type": "UserUpdated", "fields": "id,nam"},
                  {"service": "billing", "type": "Billed"}],
        "asks": [{"service": "users", "path": "/api/user/{id}"},
                 {"service": "users", "path": "/secrets"}],
        "sagas": [{"name": "place", "steps": [
            {"name": "one", "call": "users POST /api/users/{id}/count"},
            {"name": "two", "call": "users POST /api/users/{id}/count",
             "undo": "users POST /api/users/{id}/count"},
            {"name": "three", "call": "users POST /api/users/{id}/count", "pivot": True},
            {"name": "four", "call": "users DELETE /api/users/{id}"}]}]})
    said = mini.run("check", mini.file, code=1)
    for expected in ("orders subscribes to UserUpdate, which users does not publish; did you mean 'UserUpdated'?",
                     "orders wants the field 'nam' of UserUpdated, which users publishes without it; "
                     "did you mean 'name'?",
                     "orders needs the service 'billing', which the system has not",
                     "orders asks users and needs GET /api/user/{id}, which users does not serve",
                     "orders asks users and uses GET /secrets of users, which is for operators only",
                     "saga place, step one comes before the pivot and cannot be undone",
                     "saga place, step two is undone by POST /api/users/{id}/count of users, which "
                     "undoes nothing",
                     "saga place, step four needs DELETE /api/users/{id}, which users does not serve"):
        assert expected in said
    assert "step three" not in said


def test_settings_are_checked_as_the_service_does_when_it_starts(mini):
    mini.describe("users", {**USERS, "settings": {
        "type": "object", "required": ["token"], "additionalProperties": False,
        "properties": {"token": {"type": "string"}, "most": {"type": "integer", "minimum": 1, "maximum": 9}}}})
    mini.write("  users:\n    settings: {tokn: hush, most: 12}\n  orders: {settings: {any: 1}}\n")
    said = mini.run("check", mini.file, code=1)
    for expected in (":5:15: error: users's settings are wrong at /token: missing: expected a string",
                     ":5:15: error: users's settings are wrong at /tokn: unknown",
                     ":5:15: error: users's settings are wrong at /most: expected an integer from 1 to 9, found 12",
                     ":6:22: error: orders's settings are wrong at /any: unknown"):
        assert expected in said, said
    assert "hush" not in said
    assert "settings are wrong at /token" in mini.up(code=1) and not mini.status()
    mini.write("  users: {}\n  orders: {}\n")
    assert ":4:3: error: users's settings are wrong at /token: missing" in mini.run("check", mini.file, code=1)
    mini.write("  users: {settings: {token: hush, most: 9}}\n  orders: {}\n")
    mini.run("check", mini.file)


def test_check_reports_in_json_what_it_reports_in_words(mini):
    assert json.loads(mini.run("check", mini.file, "--json"))["services"] == 2
    mini.write("  users: {program: nobody}\n")
    [error] = json.loads(mini.run("check", mini.file, "--json", code=1))["errors"]
    assert (error["line"], error["column"]) == (4, 20) and "nobody" in error["message"]


def test_one_wrong_word_starts_nothing_and_all_of_them_are_told_at_once(mini):
    """In the file, in the settings of a program that is right, and where a program is missing."""
    mini.describe("users", {**USERS, "settings": {"type": "object", "additionalProperties": False,
                                                  "properties": {"most": {"type": "integer"}}}})
    mini.write("  users: {settings: {most: many, mots: 3}}\n  orders: {progam: orders}\n  carts: {program: crats}\n")
    for words in (("check", mini.file), ("up", mini.file), ("up", mini.file, "--detach")):
        said = mini.run(*words, code=1)
        for expected in (":5:12: error: unknown key 'progam' in services.orders; did you mean 'program'?",
                         ":6:20: error: the program of carts was not found",
                         ":4:21: error: users's settings are wrong at /most: expected an integer",
                         ":4:21: error: users's settings are wrong at /mots: unknown"):
            assert expected in said, said
        assert "ready" not in said and not mini.state.exists()


SETTINGS = {
    "postgresql": ("relational", {"shared_buffers": "64MB", "autovacuum_vacuum_insert_scale_factor": '"0.3"'},
                   {"shared_bufers": ("64MB", 'unrecognized configuration parameter "shared_bufers"'),
                    "max_connections": ("9999999", '9999999 is outside the valid range for parameter "max_connections"'),
                    "work_mem": ("12q", 'invalid value for parameter "work_mem": "12q"; Valid units ')}),
    "mariadb": ("relational", {"max_connections": "50", "innodb-buffer-pool-size": "64M"},
                {"max_conections": ("50", "unknown variable 'max_conections=50'"),
                 "innodb-buffer-pool-size": ("12x", "Unknown suffix 'x' used for variable 'innodb-buffer-pool-size'")}),
    "redis": ("key-value", {"maxmemory": "64mb"},
              {"maxmemori": ("64mb", "Bad directive or wrong number of arguments"),
               "maxmemory": ("12q", "argument must be a memory value")}),
    "mongodb": ("document", {"log-level": "warn"},
                {"log-levl": ("warn", 'unknown flag --log-levl, did you mean "--log-level"?')})}


@pytest.mark.parametrize("engine", SETTINGS)
def test_a_private_servers_settings_are_read_by_it_before_anything_is_made(mini, engine):
    model, right, wrong = SETTINGS[engine]

    def write(settings):
        lines = "".join(f"      {name}: {value}\n" for name, value in settings.items())
        mini.write(f"  users: {{engine: {engine}, store: {{server: depot}}}}\n  orders:\n",
                   f"servers:\n  depot:\n    engine: {engine}\n    settings:\n{lines}")

    mini.describe("users", {**USERS, "model": model})
    write(right)
    said = mini.run("check", mini.file, code=None)
    if " is not installed" in said or " is not built in" in said:
        pytest.skip(f"NOT RUN WITH {engine.upper()}: {said}")
    assert "fits together" in said, said
    write({name: value for name, (value, _) in wrong.items()})
    for words in (("check", mini.file), ("up", mini.file), ("up", mini.file, "--detach")):
        said = mini.run(*words, code=1)
        for line, (name, (_, why)) in enumerate(wrong.items(), 10):
            assert f":{line}:7: error: servers.depot.settings.{name}: {engine} refuses it: {why}" in said, said
        assert not mini.state.exists()


def test_a_private_server_has_a_bounded_number_of_settings(mini):
    mini.write("  users: {engine: postgresql, store: {server: depot}}\n  orders:\n",
               "servers:\n  depot:\n    engine: postgresql\n    settings:\n"
               + "".join(f"      name_{i}: 1\n" for i in range(201)))
    assert ": error: servers.depot.settings: at most 200 are possible" in mini.run("check", mini.file, code=1)


def test_what_is_no_text_is_refused_in_json_too(mini):
    """A word of the command line, and what another program says."""
    (mini.folder / "users").write_text("#!/bin/sh\nprintf 'M\\374ll' >&2\nexit 1\n")
    done = subprocess.run([FREEHOLD, "check", mini.file, "--json"], capture_output=True, timeout=120, check=False)
    [error] = json.loads(done.stdout)["errors"]
    assert error["message"].endswith("failed with exit code 1: M\ufffdll"), error
    for words in ((b"status", b"\xff"), (b"help", b"a\xff"), (b"saga", b"show", b"orders", b"\xc3"), (b"\xed\xa0\x80",)):
        done = subprocess.run([FREEHOLD.encode(), *words, b"--json"], capture_output=True, timeout=120, check=False,
                              cwd=mini.folder)
        assert done.returncode == 2 and done.stdout == b"", done
        assert json.loads(done.stderr)["error"]["message"].endswith("\ufffd' is not UTF-8 text"), done


def test_compositions_are_checked_against_routes(mini):
    mini.file.write_text(
        "system: mini\ngateway:\n  compose:\n    - path: /api/all/{id}\n      parts:\n"
        "        - {name: user, get: 'users /api/usr/{id}', required: true}\n"
        "        - {name: count, get: 'user /api/users/{id}'}\n"
        "services:\n  users: {}\n")
    said = mini.run("check", mini.file, code=1)
    assert ":6:11: error: /api/all/{id}, part user, needs GET /api/usr/{id}" in said
    assert ":7:11: error: /api/all/{id}, part count, needs the service 'user'" in said


# ---- Up and down ---------------------------------------------------------------------------------


def test_where_it_listens_is_checked_whoever_says_so(mini):
    said = mini.up("--listen", "0.0.0.0:0")
    assert "--listen: warning: the gateway listens beyond this machine without TLS" in said, said
    assert "name its hosts in gateway.hosts" in said


def test_a_system_starts_answers_and_stops_in_order(mini):
    said = mini.up()
    assert f"mini is up at http://127.0.0.1:{mini.port}\n" in said
    assert "Its routes and events" not in said  # they are for the inside
    status = mini.status()
    assert status["system"] == "mini" and status["gateway"]["ready"]
    assert [(s["name"], s["ready"], s["restarts"]) for s in status["services"]] == [
        ("users", True, 0), ("orders", True, 0)]
    assert wait_for("it tells its state", lambda: mini.service("users")["state"])["position"] == 7
    with urllib.request.urlopen(f"http://127.0.0.1:{mini.port}/api/users/3", timeout=120) as answer:
        assert json.load(answer)["path"] == "/api/users/3"
    pids = mini.pids()
    said = mini.run("stop")
    assert said.index("stopping gateway") < said.index("stopping users")
    assert not any(lives(pid) for pid in pids)
    assert [(mini.state / name / "ends").read_text().split() for name in ("users", "orders")] == [["users"], ["orders"]]
    assert mini.run("status", "--state", mini.state, code=3).startswith("freehold: no system is running")


def test_folders_and_configurations_are_private_and_secrets_stay_there(mini):
    mini.describe("users", {**USERS, "settings": {"type": "object", "properties": {"token": {"type": "string"}}}})
    mini.write("  users: {settings: {token: '${MINI_TOKEN}'}}\n  orders: {}\n")
    said = mini.up(environment={**os.environ, "MINI_TOKEN": "hush-hush"})
    users = mini.state / "users"
    assert (mini.state.stat().st_mode & 0o777, users.stat().st_mode & 0o777) == (0o700, 0o700)
    assert (users / "service.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((users / "service.json").read_text())["settings"] == {"token": "hush-hush"}
    everything = said + (mini.state / "system.json").read_text() + json.dumps(mini.status())
    everything += (mini.state / "orders" / "service.json").read_text()
    everything += pathlib.Path(f"/proc/{mini.service('orders')['pid']}/environ").read_text()
    assert "hush-hush" not in everything


def test_call_reaches_a_service_as_an_operator(mini):
    mini.up()
    answer = json.loads(mini.run("call", "users", "post", "/internal", "--data", '{"a": 1}',
                                 "--key", "k"))
    assert (answer["method"], answer["body"], answer["key"], answer["from"]) == (
        "POST", '{"a": 1}', "k", "operator")
    missing = json.loads(mini.run("call", "users", "GET", "/missing", "--json", code=1))
    assert missing["status"] == 404 and missing["body"]["title"] == "Not Found"
    assert "did you mean 'users'?" in mini.run("call", "user", "GET", "/x", code=2)
    assert "line 1" in mini.run("call", "users", "POST", "/x", "--data", "{a}", code=2)


def test_a_second_up_is_refused_and_names_the_first(mini):
    mini.up()
    pid = mini.status()["up_pid"]
    assert f"mini is up already, pid {pid}; stop it with" in mini.up(code=1)
    assert mini.status()["up_pid"] == pid


def test_a_taken_port_is_reported_with_the_way_out(mini):
    with socket.create_server(("127.0.0.1", mini.port)):
        said = mini.up(code=1)
    assert f"127.0.0.1:{mini.port} is already taken" in said and "--listen" in said
    mini.up("--listen", "127.0.0.1:0")


def test_a_folder_with_other_things_in_it_is_no_state_folder(mini):
    before = mini.folder.stat().st_mode
    assert "holds other files and no system" in mini.up("--state", mini.folder, code=1)
    assert mini.folder.stat().st_mode == before


def test_a_service_that_cannot_start_ends_a_detached_up_with_its_last_lines(mini):
    mini.describe("orders", {}, exit=78, says="settings.colour is missing")
    said = mini.up(code=1)
    assert "orders ended with exit code 78" in said and "| settings.colour is missing" in said
    assert mini.run("status", "--state", mini.state, code=3)


def test_a_service_that_keeps_dying_ends_a_detached_up_with_its_last_lines(mini):
    mini.describe("orders", {}, exit=1, says="the disk is full")
    said = mini.up(code=1)
    assert "it failed to start 5 times" in said and "| the disk is full" in said


# ---- Supervision ---------------------------------------------------------------------------------


def restarted(mini, name, pid):
    service = mini.service(name)
    return service["ready"] and service["pid"] != pid and service


def test_the_progress_of_a_service_that_starts_slowly_is_shown(mini):
    mini.describe("users", USERS, works=["412000 ~1000000 orders"])
    terminal, theirs = pty.openpty()
    done = subprocess.run([FREEHOLD, "up", mini.file, "--detach"], stdout=subprocess.PIPE, stderr=theirs,
                          cwd=mini.folder, timeout=120, env={**os.environ, "TERM": "xterm"}, check=False)
    os.close(theirs)
    drawn = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert done.returncode == 0 and "41%  412,000 of about 1,000,000 rows" in drawn, (done, drawn)
    assert drawn.endswith("\r\033[K")  # nothing of it is left behind
    assert b"412,000" not in done.stdout


NINE = ("accounts-of-customers-abroad", "billing", "carts", "inventory", "notifications", "orders", "payments",
        "shipping", "users")


def test_status_fits_into_80_columns_and_shows_what_needs_an_operator(mini):
    waits = {"position": 12345678901, "sagas": {"running": 123456, "compensating": 2, "parked": 3}, "restored": 2,
             "trouble": {"writes": {"why": "The store's disk is full.", "failures": 3201, "since_ms": 184321,
                                    "last_ms": 2050}},
             "subscriptions": [
                 {"source": "orders", "share": "0/1", "state": "expired", "depth": 1234567, "lag_ms": 7200000,
                  "reason": "Events that were not applied yet are gone from the publisher, and the subscription does "
                            "not say how to begin anew.", "parked": {"events": 4, "keys": 2}},
                 *({"source": "users", "share": f"{share}/8", "state": "waiting", "depth": 0, "lag_ms": 0,
                    "reason": "No instance has this partition now."} for share in range(8))]}
    stands = {"position": 1, "subscriptions": [
        {"source": "users", "share": "3/8", "state": "starting", "depth": 0, "last": 0, "lag_ms": 121000,
         "reason": "Its place in the store is not read yet.", "parked": {"events": 0, "keys": 0}}]}
    for name in NINE:
        mini.describe(name, {}, **({"state": waits, "refuses": ["users", "billing"]} if name in NINE[:2] else
                                   {"state": stands} if name == NINE[2] else {}))
    mini.write("".join(f"  {name}: {{}}\n" for name in NINE))
    mini.up()
    for columns in (80, 100, 200):
        lines = on_terminal(["status", "--once", "--state", str(mini.state)], columns=columns)
        assert_fits(lines, columns)
        text = " ".join(" ".join(lines).split())
        for expected in ("accounts-of-customers-abroad ready", "users ready", "1M (2h)", "123k open", "? (2m)",
                         f"{NINE[2]} subscribes to users (partition 3/8): starting. Its place in the store is not read yet.",
                         "billing refuses calls to users, billing: its circuit breaker is open.",
                         "billing has parked 4 events that it could not apply: freehold parked list billing",
                         "billing has parked 3 sagas: freehold saga list billing --status parked",
                         "billing's store has served no writes for 184 s (3201 failed, the last 2 s ago): The store's "
                         "disk is full.",
                         "billing takes 2 sagas back.", "billing subscribes to orders (partition 0/1): expired. Events", "how to begin anew.",
                         "billing subscribes to users (8 partitions): waiting. No instance has this partition now.",
                         "billing reports 2 things that a restore has left: freehold restore-report billing"):
            assert expected in text, "\n".join(lines)
        assert ("12345678901" in text) == (columns >= 100) and ("ADDRESS" in text) == (columns == 200)
    assert "refuses" not in mini.service("billing")


def test_a_killed_service_is_started_again_at_its_address(mini):
    mini.up()
    before = mini.service("users")
    others = mini.service("orders")["pid"]
    os.kill(before["pid"], signal.SIGKILL)
    after = wait_for("users is ready again", lambda: restarted(mini, "users", before["pid"]))
    assert after["address"] == before["address"] and after["restarts"] == 1
    assert after["last_end"] == "was killed by SIGKILL"
    assert mini.service("orders")["pid"] == others
    gateway = mini.status()["gateway"]
    os.kill(gateway["pid"], signal.SIGKILL)
    wait_for("the gateway is ready again", lambda: mini.status()["gateway"]["restarts"] == 1
             and mini.status()["gateway"]["ready"])


def test_a_request_waits_while_its_service_restarts(mini):
    mini.up()
    pid = mini.service("users")["pid"]
    os.kill(pid, signal.SIGKILL)
    answer = json.loads(mini.run("call", "users", "GET", "/anything"))
    assert answer["pid"] != pid


def test_a_stopped_service_is_killed_and_started_again(mini):
    mini.up()
    pid = mini.service("users")["pid"]
    os.kill(pid, signal.SIGSTOP)
    after = wait_for("users is ready again", lambda: restarted(mini, "users", pid))
    assert re.fullmatch(r"did not respond for \d+ s and was killed", after["last_end"])
    assert not lives(pid)


def test_a_service_that_is_only_slow_is_not_killed(mini):
    """It computes, and does not get to its heartbeats: on a busy machine it looks the same."""
    mini.describe("users", USERS, spins_ms=7000)
    mini.up()
    pid = mini.service("users")["pid"]
    wait_for("it beats again", (mini.state / "users" / "spun").exists)
    after = mini.service("users")
    assert (after["pid"], after["ready"], after["restarts"]) == (pid, True, 0)


def test_a_service_with_a_wrong_configuration_is_not_started_again(mini):
    mini.up()
    mini.describe("users", USERS, exit=78, says="no such engine")
    os.kill(mini.service("users")["pid"], signal.SIGKILL)
    wait_for("users is given up", lambda: mini.service("users")["phase"] == "given up")
    assert mini.service("orders")["ready"]
    log = (mini.state / "up.log").read_text()
    assert "will NOT be started again" in log and "| no such engine" in log
    mini.run("status", code=1)


def test_when_up_is_killed_its_services_end_and_the_next_up_takes_over(mini):
    mini.up()
    pids = mini.pids()
    os.kill(mini.status()["up_pid"], signal.SIGKILL)
    mini.up()
    assert not any(lives(pid) for pid in pids)
    assert all(s["ready"] for s in mini.status()["services"])


def test_a_stopped_survivor_of_a_killed_up_is_killed_by_the_next(mini):
    mini.up()
    survivor, up_pid = mini.service("users")["pid"], mini.status()["up_pid"]
    os.kill(survivor, signal.SIGSTOP)
    os.kill(up_pid, signal.SIGKILL)
    assert "of an earlier up to end" in mini.up()
    assert not lives(survivor)


def test_a_killed_up_is_told_with_what_is_left_and_stop_ends_that(mini):
    mini.up()
    survivor, up_pid = mini.service("users")["pid"], mini.status()["up_pid"]
    os.kill(survivor, signal.SIGSTOP)
    os.kill(up_pid, signal.SIGKILL)
    wait_for("the others end", lambda: living(mini.state) == [survivor])
    for words in (("status",), ("call", "users", "GET", "/x"), ("status", "--state", mini.state)):
        said = mini.run(*words, code=3)
        for expected in ("its up was killed", f"there are still: users (pid {survivor})",
                         f"freehold stop --state {mini.state}", f"freehold up {mini.file} --state {mini.state}"):
            assert expected in said, said
    assert lives(survivor)
    said = mini.run("stop")
    assert f"users (pid {survivor}) has ended" in said and "Stopped: its up had been killed" in said
    assert not lives(survivor)
    assert "its up was killed" not in mini.run("status", "--state", mini.state, code=3)
    mini.run("stop", code=3)
    mini.up()
    pids, up_pid = mini.pids(), mini.status()["up_pid"]
    os.kill(up_pid, signal.SIGKILL)
    wait_for("all end", lambda: not any(lives(pid) for pid in pids))
    assert "nothing of it runs any more. To go on: freehold up" in mini.run("status", code=3)
    assert "nothing of it was running any more" in mini.run("stop")
    assert mini.run("audit").count("stop") == 2


def test_a_service_that_does_not_drain_can_be_killed_by_a_second_signal(mini):
    mini.describe("orders", {}, slow_stop_ms=600000)
    up = subprocess.Popen([FREEHOLD, "up", str(mini.file)], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT)
    wait_for("mini is up", lambda: mini.state.exists() and (mini.status() or {}).get("phase") == "up")
    pid = mini.service("orders")["pid"]
    up.send_signal(signal.SIGINT)
    wait_for("the services stop", lambda: mini.service("orders")["phase"] == "stopping")
    assert lives(pid)
    up.send_signal(signal.SIGINT)
    said = up.communicate(timeout=120)[0]
    assert up.returncode == 0 and "killing what is left" in said and not lives(pid)


def test_check_live_compares_what_runs_with_what_lies_there(mini):
    mini.up()
    said = mini.run("check", mini.file, "--live")
    assert "runs as described" in said and "Not verified: ports that a service connects to" in said
    os.chmod(mini.state / "users", 0o755)
    mini.describe("orders", {"routes": [{"method": "GET", "path": "/new", "audience": "public", "auth": "anyone"}]})
    said = mini.run("check", mini.file, "--live", code=1)
    assert "users has the mode 0755" in said and "orders runs another version" in said


def test_check_live_warns_where_the_kernel_has_no_landlock(mini):
    """No isolation was lifted: what is open there is reported, and is no error."""
    mini.describe("users", USERS, landlock=0)
    mini.up()
    said = mini.run("check", mini.file, "--live")
    assert "warning: users reaches" in said and "its kernel has no Landlock" in said
    assert "Not verified: without Landlock nothing is refused but by the files' modes." in said
    assert "orders reaches" not in said


# ---- Arguments -----------------------------------------------------------------------------------


def test_misspelled_words_are_answered_with_similar_ones(mini):
    assert "did you mean 'status'?" in mini.run("statsu", code=2)
    assert "did you mean '--detach'?" in mini.run("up", mini.file, "--detahc", code=2)
    assert "usage: freehold call SERVICE METHOD PATH" in mini.run("call", "users", code=2)
    for command in ("up", "status", "stop", "call", "check"):
        assert mini.run(command, "--help") == mini.run("help", command)
    assert "\033[" not in mini.run("help")


def test_a_public_route_says_who_may_use_it(mini):
    """One that was forgotten would be open to everybody."""
    route = {"method": "POST", "path": "/api/stock", "audience": "public"}
    mini.describe("orders", {"routes": [route]})
    said = mini.run("check", mini.file, code=1)
    assert "orders: POST /api/stock is public and does not say who may use it: give it .auth = FH_ANYONE" in said
    assert "does not say who may use it" in mini.run("up", mini.file, code=1)
    mini.describe("orders", {"routes": [{**route, "auth": "staff"}]})
    assert 'the .auth of POST /api/stock is wrong: "staff" is none of FH_ANYONE' in mini.run("check", mini.file, code=1)
    mini.describe("orders", {"routes": [{**route, "auth": "role:staff scope:stock:write"}]})
    mini.run("check", mini.file)
    mini.describe("orders", {"routes": [{**route, "audience": "services", "auth": "user"}]})
    assert "the .auth of POST /api/stock has no effect" in mini.run("check", mini.file)
