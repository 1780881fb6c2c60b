# SPDX-License-Identifier: Apache-2.0
"""freehold migrate: what stores have, what would be applied, and applying it without serving."""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import FREEHOLD, ROOT, System, assert_unreported, wait_for
from test_servers import sql

SERVERS = {"postgresql": "FREEHOLD_TEST_POSTGRESQL", "mariadb": "FREEHOLD_TEST_MARIADB"}
SHOP = pathlib.Path(FREEHOLD).resolve().parent / "examples" / "shop"


@pytest.fixture
def system(tmp_path):
    """Two of the shop's services, one with tables, whose migrations are the test's own to change."""
    migrations = tmp_path / "migrations"
    shutil.copytree(ROOT / "examples" / "shop" / "shipping" / "migrations", migrations)
    file = tmp_path / "freehold.yaml"
    file.write_text("system: alone\nservices:\n"
                    f"  shipping: {{program: {SHOP / 'shipping'}, migrations: migrations}}\n"
                    f"  payments: {{program: {SHOP / 'payments'}}}\n")
    system = System(file, tmp_path / "state")
    system.migrations = migrations
    system.own = len(list(migrations.glob("*.sql")))
    yield system
    system.stop(check=False)
    assert_unreported(tmp_path)


def migrate(system, action, *more, check=True):
    return system.command("migrate", action, *more, "--file", system.file, "--state", system.state, check=check)


def states(system, *more, code=0):
    """{name: its migration} of shipping, as `migrate state` reports."""
    done = migrate(system, "state", "shipping", "--json", *more, check=False)
    assert done.returncode == code, done
    (shipping,) = json.loads(done.stdout)["services"]
    return {one["name"]: one for one in shipping["migrations"]}


def put(system, name, text):
    (system.migrations / name).write_text(text)


def test_a_plan_changes_nothing_and_apply_does_not_serve(system):
    put(system, "0009_note.sql", "CREATE TABLE note (id INTEGER PRIMARY KEY);\nINSERT INTO note VALUES (1);\n")
    planned = migrate(system, "plan", "--sql")
    assert f"shipping  sqlite, no store yet: 0 applied, {system.own + 1} to apply" in planned.stdout
    assert "0009_note.sql  2 statements\n" in planned.stdout and "INSERT INTO note VALUES (1);" in planned.stdout
    assert "payments  sqlite, no store yet: no migrations" in planned.stdout
    assert not pathlib.Path(system.state).exists()
    applied = migrate(system, "apply")
    assert applied.stdout == f"shipping: {system.own + 1} migrations applied\n"
    assert migrate(system, "apply", "shipping").stdout == "shipping: 0 migrations applied\n"
    found = states(system)
    assert {one["state"] for one in found.values()} == {"applied"}
    assert all(one["applied_ms"] > 0 for one in found.values())
    lines = migrate(system, "state").stdout.splitlines()
    assert len(lines) == system.own + 1 and lines[-1].split()[-2:] == ["applied", "0009_note.sql"]
    folder = pathlib.Path(system.state) / "shipping"
    assert json.loads((folder / "store.json").read_text())["migration"] == 9
    assert not list(folder.glob("task*")), "what a task was told and has told is gone"
    log = (folder / "log").read_text()
    assert "migration 0009_note.sql applied" in log and " ready: " not in log
    system.up()
    assert system.call("shipping", "GET", "/api/shipments").status == 200


def test_a_running_system_is_queried_and_not_disturbed(system):
    system.up()
    put(system, "0009_less.sql", "ALTER TABLE shipments DROP COLUMN address;\n")
    before = system.pid("shipping")
    planned = migrate(system, "plan")
    assert f"{system.own} applied, 1 to apply" in planned.stdout and "freehold upgrade" in planned.stdout
    assert "no way back to the version that runs: it drops the column shipments.address" in planned.stderr
    told = json.loads(migrate(system, "plan", "--json").stdout)
    assert "shipments.address" in told["breaks"]["warnings"][0]["message"]
    assert states(system)["0009_less.sql"]["state"] == "pending"
    refused = migrate(system, "apply", check=False)
    assert refused.returncode == 1 and "`freehold upgrade SERVICE` applies" in refused.stderr
    refused = migrate(system, "adopt", "shipping", "--from", "flyway", "--version", "1", check=False)
    assert refused.returncode == 1 and "stop it first" in refused.stderr
    assert system.pid("shipping") == before
    system.command("upgrade", "shipping", "--state", system.state)
    assert states(system)["0009_less.sql"]["state"] == "applied"


def test_what_hinders_the_next_start_is_named_with_what_to_do(system):
    put(system, "0005_late.sql", "CREATE TABLE late (id INTEGER PRIMARY KEY);\n")
    put(system, "0009_note.sql", "CREATE TABLE note (id INTEGER PRIMARY KEY);\n")
    migrate(system, "apply")
    put(system, "0005_late.sql", "CREATE TABLE later (id INTEGER PRIMARY KEY);\n")
    (system.migrations / "0009_note.sql").unlink()
    put(system, "0007_between.sql", "CREATE TABLE between_them (id INTEGER PRIMARY KEY);\n")
    found = states(system, code=1)
    assert {name: found[name]["state"] for name in ("0005_late.sql", "0007_between.sql", "0009_note.sql")} == {
        "0005_late.sql": "changed", "0007_between.sql": "late", "0009_note.sql": "gone"}
    assert "put it back as it was" in found["0005_late.sql"]["todo"]
    assert migrate(system, "plan", check=False).returncode == 1
    failed = migrate(system, "apply", check=False)
    assert failed.returncode == 1 and "0005_late.sql was applied to this store, and its file has changed" in failed.stderr


def test_what_fails_is_reported_and_leaves_what_was_before(system):
    put(system, "0008_good.sql", "CREATE TABLE good (id INTEGER PRIMARY KEY);\n")
    put(system, "0009_bad.sql", "CREATE TABLE bad (id INTEGER PRIMARY KEY);\nCREATE TABLE shipments (id INT);\n")
    failed = migrate(system, "apply", check=False)
    assert failed.returncode == 1 and "0009_bad.sql failed, nothing of it stands: statement 2, line 2" in failed.stderr
    assert f"shipping: {system.own + 1} migrations applied" in failed.stdout
    found = states(system)
    assert (found["0008_good.sql"]["state"], found["0009_bad.sql"]["state"]) == ("applied", "pending")


def test_wrong_arguments_are_reported(system):
    for words, said in ((("adopt",), "expected: freehold migrate adopt SERVICE"),
                        (("adopt", "shipping", "--from", "rails", "--version", "1"), "expected flyway|liquibase"),
                        (("adopt", "shipping", "--from", "flyway", "--version", "V2"), "expected the number"),
                        (("apply", "payments"), "payments has no tables"),
                        (("plan", "nobody"), "alone has no service 'nobody'"),
                        (("plan", "shippign"), "did you mean 'shipping'?"),
                        (("state", "--sql"), "--sql is for migrate plan"),
                        (("plans",), "did you mean 'plan'?")):
        refused = migrate(system, *words, check=False)
        assert refused.returncode == 2 and said in refused.stderr, (words, refused)


def test_while_a_store_is_inspected_nothing_starts(system):
    """The lock is `up`'s own: it keeps out a task as it keeps out a second `up`."""
    migrate(system, "apply")
    with open(pathlib.Path(system.state) / "up.lock", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for action in ("plan", "apply"):
            refused = migrate(system, action, check=False)
            assert refused.returncode == 1 and "alone is up" in refused.stderr, refused
    assert migrate(system, "plan").returncode == 0


# ---- Stores on servers ---------------------------------------------------------------------------

class OnServer:
    """Shipping on an existing store, as somebody has it who comes from another tool."""

    def __init__(self, folder, engine):
        self.engine, self.superuser = engine, json.loads(os.environ[SERVERS[engine]])
        self.store = {**self.superuser, "database": f"migrate_{os.getpid()}"}
        sql(self.superuser, f"CREATE DATABASE {self.store['database']}", engine)
        self.migrations = folder / "migrations"
        self.migrations.mkdir()
        place = ", ".join(f"{key}: {json.dumps(value)}" for key, value in self.store.items()
                          if key in ("host", "port", "user", "password", "database"))
        file = folder / "freehold.yaml"
        file.write_text(f"system: alone\nservices:\n  shipping: {{program: {SHOP / 'shipping'}, migrations: migrations, "
                        f"engine: {engine}, store: {{{place}}}}}\n"
                        "profiles:\n  small: {shipping: {engine: sqlite}}\n")
        self.system = System(file, folder / "state")
        self.system.migrations = self.migrations

    def rows(self, statement):
        return sql(self.store, statement, self.engine)

    def close(self):
        self.system.stop(check=False)
        force = " WITH (FORCE)" if self.engine == "postgresql" else ""
        sql(self.superuser, f"DROP DATABASE {self.store['database']}{force}", self.engine)


@pytest.fixture
def on_server(request, tmp_path):
    if SERVERS[request.param] not in os.environ:
        pytest.skip(f"NO SERVER TO BE FOUND: run by tools/servers, with {request.param} installed")
    made = OnServer(tmp_path, request.param)
    yield made
    made.close()


@pytest.mark.parametrize("on_server", ["mariadb"], indirect=True)
def test_where_it_stopped_is_shown_with_what_to_do(on_server):
    system = on_server.system
    put(system, "0001_note.sql", "CREATE TABLE note (id INT PRIMARY KEY);\n")
    put(system, "0002_more.sql", "INSERT INTO note VALUES (1);\n\nALTER TABLE nowhere ADD COLUMN a INT;\n")
    failed = migrate(system, "apply", check=False)
    assert failed.returncode == 1 and "0002_more.sql failed in statement 2, line 3" in failed.stderr, failed
    found = states(system)["0002_more.sql"]
    assert (found["state"], found["done"], found["statements"], found["line"]) == ("stopped", 1, 2, 3)
    shown = migrate(system, "state").stdout
    assert "stopped at line 3" in shown and "1 of its 2 statements stand" in shown
    assert "0002_more.sql  1 of its 2 statements" in migrate(system, "plan").stdout
    on_server.rows("UPDATE fh_migration_open SET running = 2")
    assert states(system, code=1)["0002_more.sql"]["state"] == "unknown"
    assert "SET running = 0" in migrate(system, "state", check=False).stdout
    on_server.rows("UPDATE fh_migration_open SET running = 0")
    put(system, "0002_more.sql", "INSERT INTO note VALUES (1);\n\nALTER TABLE note ADD COLUMN a INT;\n")
    assert migrate(system, "apply").stdout == "shipping: 1 migration applied\n"


@pytest.mark.parametrize("on_server", ["postgresql"], indirect=True)
def test_a_long_one_reports_its_progress(on_server):
    """It works until the test lets it go on, by a counter that no transaction hides."""
    system = on_server.system
    put(system, "0001_gate.sql", "CREATE SEQUENCE gate;\n")
    put(system, "0002_long.sql", "DO $$ BEGIN WHILE (SELECT last_value FROM gate) < 2 LOOP"
                                 " PERFORM pg_sleep(0.05); END LOOP; END $$;\n")
    applying = subprocess.Popen([FREEHOLD, "migrate", "apply", "--file", system.file, "--state", system.state],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        log = pathlib.Path(system.state) / "shipping" / "log"
        wait_for("it is told", lambda: log.exists() and "migration 0002_long.sql has been under way for" in
                 log.read_text())
        assert applying.poll() is None
        on_server.rows("SELECT setval('gate', 2)")
        said, trouble = applying.communicate(timeout=120)
        assert applying.returncode == 0 and said == "shipping: 2 migrations applied\n", (said, trouble)
    finally:
        applying.kill()
        applying.wait(120)


@pytest.mark.parametrize("on_server", ["postgresql"], indirect=True)
def test_a_store_that_flyway_has_migrated_is_adopted_and_served(on_server):
    system = on_server.system
    own = ROOT / "examples" / "shop" / "shipping" / "migrations"
    made = {path.name: path.read_text() for folder in (own, own / "postgresql") for path in sorted(folder.glob("*.sql"))}
    for text in made.values():
        on_server.rows(text)
    refused = migrate(system, "adopt", "shipping", "--from", "flyway", "--version", str(len(made)), check=False)
    assert refused.returncode == 1 and "There is no table flyway_schema_history" in refused.stderr
    on_server.rows("CREATE TABLE flyway_schema_history (installed_rank INT PRIMARY KEY, version VARCHAR(50),"
                   " type VARCHAR(20), script VARCHAR(1000), success BOOLEAN)")
    for number, (name, text) in enumerate(made.items(), 1):
        put(system, name, text)
        on_server.rows(f"INSERT INTO flyway_schema_history VALUES ({number}, '{number}', 'SQL', 'V{number}', true)")
    adopted = migrate(system, "adopt", "shipping", "--from", "flyway", "--version", str(len(made)))
    assert adopted.stdout == f"shipping: {len(made)} migration{'s' if len(made) > 1 else ''} adopted\n"
    assert {one["state"] for one in states(system).values()} == {"applied"}
    elsewhere = migrate(system, "plan", "--profile", "small", check=False)
    assert elsewhere.returncode == 1 and "its store is in postgresql, and the system file says sqlite" in elsewhere.stderr
    put(system, "0009_note.sql", "CREATE TABLE note (id INT PRIMARY KEY);\n")
    system.up()
    assert {one["state"] for one in states(system).values()} == {"applied"}
    assert system.call("shipping", "GET", "/api/shipments").status == 200
