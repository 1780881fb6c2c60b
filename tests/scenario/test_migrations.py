# SPDX-License-Identifier: Apache-2.0
"""Migrations of running systems: which of the new ones break what runs, and ten processes at once."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import zlib

import pytest

from conftest import AUTH, CONDITION_S_MAX, FREEHOLD, ROOT, System, wait_for
from test_servers import sql

SHIPPING = ROOT / "examples" / "shop" / "shipping"
PROGRAM = pathlib.Path(FREEHOLD).resolve().parent / "examples" / "shop" / "shipping"


@pytest.fixture
def shipping(tmp_path):
    """The shop's shipping alone, with migrations of their own to change."""
    migrations = tmp_path / "migrations"
    shutil.copytree(SHIPPING / "migrations", migrations)
    file = tmp_path / "freehold.yaml"
    file.write_text(f"system: alone\ngateway:\n{AUTH}services:\n"
                    f"  shipping: {{program: {PROGRAM}, migrations: migrations}}\n"
                    "profiles:\n  later: {shipping: {engine: postgresql}}\n")
    system = System(file, tmp_path / "state")
    system.migrations = migrations
    yield system
    system.stop(check=False)


def findings(system, *arguments):
    done = system.command("check", system.file, *arguments, "--json", check=False)
    found = json.loads(done.stdout)
    return {kind: [(pathlib.Path(one["file"]).name, one["line"], one["message"])
                   for one in found[kind]] for kind in ("errors", "warnings")}


def test_check_live_names_what_new_migrations_break(shipping):
    shipping.up()
    assert findings(shipping, "--live", "--state", shipping.state) == {"errors": [], "warnings": []}
    (shipping.migrations / "0002_new.sql").write_text(
        "CREATE TABLE note (id BIGINT PRIMARY KEY);\n\nALTER TABLE shipments DROP COLUMN address;\n"
        "-- freehold: breaks older versions: nobody counts\n"
        "ALTER TABLE shipments ALTER COLUMN user_id SET NOT NULL;\n"
        "CREATE VIRTUAL TABLE words USING fts5(word);\n")
    found = findings(shipping, "--live", "--state", shipping.state)
    assert found["errors"] == [("0002_new.sql", 5, "shipping: on an empty store this statement fails: near \"ALTER\": "
                                "syntax error")]
    assert [(name, line) for name, line, _ in found["warnings"]] == [
        ("0002_new.sql", 3), ("0002_new.sql", 5), ("0002_new.sql", 6)]
    dropped, known, unread = (message for _, _, message in found["warnings"])
    assert "no way back to the version that runs: it drops the column shipments.address" in dropped
    assert "First release a version that does not use it" in dropped
    assert "knowingly: nobody counts" in known
    assert "can't be judged, as it is SQL of this engine's own" in unread
    # The same without asking it, by what it recorded when it started; even when it no longer runs.
    assert findings(shipping, "--state", shipping.state) == found
    shipping.stop()
    assert findings(shipping, "--state", shipping.state) == found
    said = shipping.command("check", shipping.file, "--json", check=False)
    sentences = json.loads(said.stdout)["not_judged"]
    assert len(sentences) == 1 and "there is no state folder" in sentences[0]
    said = shipping.command("check", shipping.file, "--profile", "later", "--state", shipping.state, check=False)
    assert "Not judged: whether new migrations of shipping break the version that ran last: its data was in another engine" \
        in said.stdout


def test_what_was_never_started_is_not_judged(shipping):
    pathlib.Path(shipping.state).mkdir(mode=0o700)
    sentences = json.loads(shipping.command("check", shipping.file, "--state", shipping.state, "--json").stdout)["not_judged"]
    assert sentences == ["whether new migrations of shipping break the version that ran last: it never ran here; "
                         "check --live asks the running system"]


def test_check_names_a_migration_that_can_not_be_read(shipping):
    (shipping.migrations / "0002_new.sql").write_text("-- freehold: sometimes\nSELECT 1;\n")
    found = findings(shipping)["errors"]
    assert len(found) == 1 and '0002_new.sql: nobody knows the note "sometimes"' in found[0][2]


# ---- Several processes on one server -------------------------------------------------------------

SERVERS = {"postgresql": "FREEHOLD_TEST_POSTGRESQL", "mariadb": "FREEHOLD_TEST_MARIADB"}
PROCESSES = 10


class Instances:
    """Processes of `shipping` on one store, started by hand."""

    def __init__(self, folder, engine, name):
        self.folder, self.engine, self.processes = folder, engine, []
        self.superuser = json.loads(os.environ[SERVERS[engine]])
        self.store = {**self.superuser, "database": name}
        self.migrations = pathlib.Path(shutil.copytree(SHIPPING / "migrations", folder / "migrations"))
        sql(self.superuser, f"CREATE DATABASE {name}", engine)

    def put(self, name, text):
        (self.migrations / name).write_text(text)

    def start(self):
        number = len(self.processes)
        folder = self.folder / str(number)
        folder.mkdir()
        config = folder / "service.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({
            "freehold": 1, "system": "instances", "service": "shipping", "engine": self.engine,
            "folder": str(folder), "migrations": str(self.migrations), "store": self.store,
            "instance": str(number), "confine": False, "settings": {}, "peers": {}}))
        with open(folder / "log", "w", encoding="utf-8") as log:
            self.processes.append(subprocess.Popen(
                [PROGRAM, "--config", config, "--listen", "127.0.0.1:0"], stderr=log))
        return self.processes[-1]

    def log(self, number=-1):
        number %= len(self.processes)
        return (self.folder / str(number) / "log").read_text()

    def ready(self, number=-1):
        return wait_for("ready", lambda: " ready: " in self.log(number) or
                        self.processes[number].poll() is not None) and " ready: " in self.log(number)

    def rows(self, statement):
        return sql(self.store, statement, self.engine)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
            process.wait(CONDITION_S_MAX)
        force = " WITH (FORCE)" if self.engine == "postgresql" else ""
        sql(self.superuser, f"DROP DATABASE {self.store['database']}{force}", self.engine)


@pytest.fixture(params=SERVERS)
def instances(request, tmp_path):
    if SERVERS[request.param] not in os.environ:
        pytest.skip(f"NO SERVER TO BE FOUND: run by tools/servers, with {request.param} installed")
    made = Instances(tmp_path, request.param, f"m{zlib.crc32(request.node.name.encode())}")
    yield made
    made.close()


def test_of_ten_processes_that_start_together_one_applies_each_migration(instances):
    instances.put("0002_more.sql", "CREATE TABLE more (id BIGINT);\nINSERT INTO more VALUES (1);\n")
    for number in range(3, 8):
        instances.put(f"000{number}_double.sql", "INSERT INTO more SELECT id FROM more;\n")
    for _ in range(PROCESSES):
        instances.start()
    for number in range(PROCESSES):
        assert instances.ready(number), instances.log(number)
    logs = "".join(instances.log(number) for number in range(PROCESSES))
    assert logs.count(" applied") == 7
    assert instances.rows("SELECT count(*) FROM more") == [["32"]]


def test_an_older_version_starts_on_what_a_newer_one_has_applied(instances):
    instances.put("0002_more.sql", "CREATE TABLE more (id BIGINT);\n")
    instances.start()
    assert instances.ready(), instances.log()
    (instances.migrations / "0002_more.sql").unlink()
    instances.start()
    assert instances.ready() and "newer versions have applied 1 migrations" in instances.log()


SLOW = {"postgresql": "CREATE TABLE slow AS SELECT 1 AS id FROM pg_sleep(2);\n",
        "mariadb": "CREATE TABLE slow AS SELECT 1 AS id, SLEEP(2);\n"}
RUNNING = {"postgresql": "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE TABLE slow%'"
                         " AND state = 'active'",
           "mariadb": "SELECT count(*) FROM information_schema.processlist"
                      " WHERE info LIKE 'CREATE TABLE slow%'"}


def killed_in_the_slow_one(instances):
    instances.put("0002_slow.sql", "CREATE TABLE quick (id BIGINT);\n\n" + SLOW[instances.engine])
    process = instances.start()
    wait_for("the slow statement", lambda: instances.rows(RUNNING[instances.engine]) != [["0"]])
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("instances", ["postgresql"], indirect=True)
def test_a_process_that_dies_in_a_migration_leaves_nothing_of_it_on_postgresql(instances):
    killed_in_the_slow_one(instances)
    instances.start()
    assert instances.ready(), instances.log()
    assert instances.rows("SELECT id FROM slow") == [["1"]]
    assert instances.rows("SELECT count(*) FROM fh_migration") == [["2"]]


@pytest.mark.parametrize("instances", ["mariadb"], indirect=True)
def test_a_process_that_dies_in_a_migration_leaves_a_record_of_it_on_mariadb(instances):
    killed_in_the_slow_one(instances)
    process = instances.start()
    assert not instances.ready() and process.wait() == 65
    assert ("The migration 0002_slow.sql was cut off in statement 2, line 3, which may have been done "
            "or not.") in instances.log()
    instances.rows("DROP TABLE IF EXISTS slow")
    instances.rows("UPDATE fh_migration_open SET running = 0")
    instances.start()
    assert instances.ready(), instances.log()
    assert instances.rows("SELECT id FROM slow") == [["1"]]
    assert instances.rows("SELECT count(*) FROM fh_migration_open") == [["0"]]
