# SPDX-License-Identifier: Apache-2.0
"""A bad program or a bad migration never takes the running service down: an embedded store's new program is tried on a
copy of the store first, and what fails after that gives way to the program before."""

import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading

import pytest

from conftest import AUTH, FREEHOLD, ROOT, System, living, named, open_folder, started_at, wait_for
from test_identity import shop_with
from test_instances import Load
from test_servers import sql, store_of

SHIPPING = ROOT / "examples" / "shop" / "shipping"
REAL = pathlib.Path(FREEHOLD).resolve().parent / "examples" / "shop" / "shipping"
ENDLESS = ("CREATE TABLE endless (x INTEGER);\nWITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
           " INSERT INTO endless SELECT count(*) FROM n;\n")
MORE = "CREATE TABLE more (id INTEGER);\n"


class Shipping(System):
    """The shop's shipping alone, by a script that tests replace, with migrations of its own."""

    def __init__(self, folder, real=REAL, profile=None, more=""):
        self.real, self.program, self.migrations = real, folder / "shipping", folder / "migrations"
        shutil.copytree(SHIPPING / "migrations", self.migrations)
        self.put()
        file = folder / "freehold.yaml"
        file.write_text(f"system: alone\n{more}gateway:\n{AUTH}services:\n"
                        f"  shipping: {{program: {self.program}, migrations: migrations}}\n"
                        "profiles:\n  server: {shipping: {engine: postgresql, instances: 2}}\n")
        super().__init__(file, folder / "state", profile)
        self.own = pathlib.Path(self.state) / "shipping"

    def put(self, serving=None, trying=None):
        """Replaces the program: what it does when it is tried, and when it serves."""
        new = self.program.with_suffix(".new")
        runs = f'exec {self.real} "$@"'
        new.write_text(f'#!/bin/sh\n[ "$1" = --describe ] && {runs}\n'
                       f'case "$*" in *trial.json*) {trying or runs};; esac\n{serving or runs}\n')
        new.chmod(0o755)
        new.rename(self.program)

    def migration(self, text, name="0002_more.sql"):
        (self.migrations / name).write_text(text)

    def ask(self, *_):
        return self.http("GET", "/api/shipments/1", user=1)

    def shipping(self):
        return self.services()["shipping"]

    def upgrade(self, *options):
        return self.command("upgrade", "shipping", *options, "--state", self.state, check=False)

    def up_log(self):
        return (pathlib.Path(self.state) / "up.log").read_text()

    def back(self, pid):
        wait_for("it is ready again", lambda: (one := self.shipping())["ready"] and one["pid"] != pid and
                 not one["upgrading"])

    def kill(self):
        pid = self.shipping()["pid"]
        os.kill(pid, signal.SIGKILL)
        self.back(pid)

    def tables(self):
        with contextlib.closing(sqlite3.connect(f"file:{self.own}/store.db?mode=ro", uri=True)) as store:
            return {name for name, in store.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}

    def migrates_for_ever(self):
        """After another migration."""
        self.migration(MORE)
        self.migration(ENDLESS, "0003_endless.sql")

    def is_being_tried(self):
        log = self.own / "trial" / "store.db-wal"
        wait_for("one migration stands, and all have been read", lambda: log.exists() and log.stat().st_size > 0)

    def nothing_is_left(self):
        return not list(self.own.glob("trial*"))

    def upgrading(self, *options):
        return subprocess.Popen([FREEHOLD, "upgrade", "shipping", *options, "--state", self.state])

    def up_with_one(self):
        self.up()
        assert self.call("shipping", "POST", "/api/shipments", {"order_id": 1, "user_id": 1, "address": "here"},
                         key="first").status == 201
        return self


@pytest.fixture
def shipping(tmp_path):
    made = Shipping(tmp_path).up_with_one()
    try:
        yield made
    except BaseException:
        print(made.logs(), made.up_log())
        raise
    finally:
        made.stop(check=False)


def test_bad_migrations_are_refused_while_the_old_program_serves_and_mended_ones_are_taken(shipping):
    """Even the death of the old process finds it serving, and nothing of what was refused stands."""
    pid, first = shipping.shipping()["pid"], next(shipping.migrations.glob("0001*"))
    good = first.read_text()
    with Load(shipping.ask) as load:
        shipping.migration("CREATE TABLE more (id INTEGER);\nCREATE TABEL less (id INTEGER);\n")
        refused = shipping.upgrade()
        assert refused.returncode == 1, refused
        assert "0002_more.sql" in refused.stderr and "statement 2, line 2" in refused.stderr, refused.stderr
        first.write_text(good + "-- edited\n")
        refused = shipping.upgrade()
        assert refused.returncode == 1 and f"{first.name} was applied to this store, and its file has changed" \
            in refused.stderr, refused.stderr
        assert shipping.shipping()["pid"] == pid and shipping.nothing_is_left()
    assert load.wrong == []
    assert "shipping goes on with its older program" in shipping.up_log()
    assert "shipping could not be upgraded: on a copy of its store" in \
        shipping.command("status", "--state", shipping.state).stdout
    shipping.kill()
    assert shipping.ask().status == 200 and "more" not in shipping.tables()
    first.write_text(good)
    shipping.migration(MORE)
    wait_for("what was mended is taken by itself", lambda: "more" in shipping.tables())
    wait_for("it has been taken", lambda: not shipping.shipping()["upgrading"])
    assert shipping.shipping()["program"] == {"older": False, "refused": None}
    assert shipping.nothing_is_left()


def test_a_program_that_hangs_at_start_stops_nothing_and_a_better_one_supersedes_it(shipping):
    pid = shipping.shipping()["pid"]
    with Load(shipping.ask) as load:
        shipping.put(serving="exec sleep 1000", trying="exec sleep 1000")
        assert wait_for("it is refused", lambda: shipping.shipping()["program"]["refused"])
        assert shipping.shipping()["pid"] == pid
        shipping.migrates_for_ever()  # so there is no end that `up` could wait for
        shipping.put()
        shipping.is_being_tried()
        (shipping.migrations / "0003_endless.sql").unlink()
        shipping.put()
        wait_for("the next one is taken", lambda: shipping.shipping()["pid"] not in (pid, None))
        wait_for("it serves", lambda: shipping.shipping()["ready"])
    assert load.wrong == []
    assert "superseded" in shipping.up_log() and shipping.nothing_is_left()


@pytest.mark.parametrize("fault", ["exit 78", "exec sleep 1000", "kill -SEGV $$", "echo ready >&4; exit 7"])
def test_one_that_fails_only_when_it_serves_gives_way_to_the_one_before_after_one_try(shipping, fault):
    pid = shipping.shipping()["pid"]
    shipping.put(serving=f"echo tried >> tries; {fault}")
    done = shipping.upgrade()
    why = ["does not get ready"] + ["ended right after it had got ready"] * ("ready" in fault)
    assert done.returncode == 1 and any(f"what was started {one}" in done.stderr for one in why), done
    wait_for("the one before serves", lambda: (one := shipping.shipping())["ready"] and one["pid"] != pid)
    assert shipping.ask().status == 200
    wait_for("it is told", lambda: shipping.shipping()["program"] in [
        {"older": True, "refused": f"it {one}"} for one in why])
    assert (shipping.own / "tries").read_text() == "tried\n"
    pid = shipping.shipping()["pid"]
    shipping.put()
    shipping.back(pid)


def test_a_file_that_changes_during_the_exchange_supersedes_what_is_not_ready(shipping):
    """It is tried like any other, and whoever has asked gets its end; a bad one fares no better."""
    pid = shipping.shipping()["pid"]
    for serving, end in (("exit 4", 1), (None, 0)):
        shipping.put(serving="exec sleep 1000")
        asked = shipping.upgrading()
        wait_for("the first one is started", lambda: shipping.shipping()["pid"] not in (pid, None))
        shipping.put(serving=serving)
        assert asked.wait(120) == end
        wait_for("one serves", lambda: shipping.shipping()["ready"])
        pid = shipping.shipping()["pid"]
        assert shipping.ask().status == 200 and shipping.nothing_is_left()
    log = shipping.up_log()
    assert log.count("[upgrade-superseded]") == 2 and log.count("[upgrade-failed]") == 1
    assert log.count("was superseded by newer files and killed") == 2 and "ended with exit code 4" in log
    assert shipping.shipping()["program"] == {"older": False, "refused": None}


def test_by_hand_the_next_request_supersedes_and_both_get_its_end(tmp_path):
    shipping = Shipping(tmp_path, more="upgrade: by hand\n").up_with_one()
    try:
        pid = shipping.shipping()["pid"]
        shipping.put(serving="exec sleep 1000")
        first = shipping.upgrading()
        wait_for("the first one is started", lambda: shipping.shipping()["pid"] not in (pid, None))
        shipping.put()
        shipping.migration(MORE)
        assert shipping.upgrade().returncode == 0 and first.wait(120) == 0
        assert "[upgrade-failed]" not in shipping.up_log() and "more" in shipping.tables()
        assert shipping.shipping()["program"] == {"older": False, "refused": None}
    finally:
        shipping.stop(check=False)


def test_the_program_before_serves_on_what_the_failed_one_had_migrated(shipping):
    """Now, after its death, and by the next `up` without the newer migration's file."""
    shipping.migration(MORE)
    # Applies as it would at a start, and then fails.
    shipping.put(serving=f"""sed 's/^{{/{{"task":{{"do":"apply"}},/' "$2" > applying.json
{REAL} --config applying.json; exit 1""")
    pid = shipping.shipping()["pid"]
    assert shipping.upgrade().returncode == 1
    shipping.back(pid)
    assert "more" in shipping.tables() and shipping.ask().status == 200
    (shipping.migrations / "0002_more.sql").unlink()
    shipping.kill()
    assert shipping.ask().status == 200
    shipping.stop()
    shipping.put()
    shipping.up()
    assert shipping.ask().status == 200
    assert "newer versions have applied 1 migrations" in (shipping.own / "log").read_text()


def test_without_room_for_the_copy_nothing_is_stopped(shipping):
    pid, up = shipping.shipping()["pid"], shipping.status()["up_pid"]
    before = resource.prlimit(up, resource.RLIMIT_FSIZE)
    resource.prlimit(up, resource.RLIMIT_FSIZE, (32 << 10, before[1]))  # what it starts inherits that
    shipping.migration(MORE)
    refused = shipping.upgrade()
    assert refused.returncode == 1 and shipping.shipping()["pid"] == pid, refused
    assert shipping.nothing_is_left() and shipping.ask().status == 200
    resource.prlimit(up, resource.RLIMIT_FSIZE, before)
    assert shipping.upgrade().returncode == 0
    assert "more" in shipping.tables()


def test_a_disk_without_room_for_the_copy_refuses_what_force_takes(shipping):
    pid, log = shipping.shipping()["pid"], shipping.own / "store.db-wal"
    disk = os.statvfs(shipping.own)  # the whole of it: what is free changes, as others use it too
    os.truncate(log, log.stat().st_size + disk.f_blocks * disk.f_frsize)  # a hole, which takes no room
    shipping.migration(MORE)
    refused = shipping.upgrade()
    assert refused.returncode == 1 and re.search(r"takes \d+ MB, and its disk has \d+ MB left", refused.stderr), refused
    shipping.put()
    wait_for("nor is it taken by itself", lambda: "MB left" in (shipping.shipping()["program"]["refused"] or ""))
    assert shipping.shipping()["pid"] == pid and shipping.nothing_is_left() and "more" not in shipping.tables()
    assert shipping.upgrade("--force").returncode == 0
    assert "taken without a trial: shipping can't be upgraded" in shipping.up_log() and "more" in shipping.tables()


def test_a_trial_that_can_not_be_made_now_is_done_without_by_force_alone(shipping):
    pid = shipping.shipping()["pid"]
    shipping.put(trying="exit 69")
    refused = shipping.upgrade()
    assert refused.returncode == 1 and "ended with exit code 69" in refused.stderr, refused
    assert shipping.shipping()["pid"] == pid
    assert shipping.upgrade("--force").returncode == 0
    assert "taken without a trial: ended with exit code 69" in shipping.up_log()
    pid = shipping.shipping()["pid"]
    shipping.put(trying="exit 78")
    assert shipping.upgrade("--force").returncode == 1 and shipping.shipping()["pid"] == pid


def test_one_whose_library_is_too_old_to_know_trials_is_taken(shipping):
    """It says of the task what it says of others."""
    pid = shipping.shipping()["pid"]
    shipping.put(trying="echo '{\"error\": \"Another process has this store.\"}' > task-result.json; exit 1")
    assert shipping.upgrade().returncode == 0 and shipping.shipping()["pid"] != pid
    assert "taken without a trial: its library is too old to know trials" in shipping.up_log()


def test_what_fails_in_a_trial_before_there_is_a_store_is_told(shipping):
    # Settings that `up` does not know: as if the program had come to ask for others meanwhile.
    shipping.put(trying=f"""sed 's/"settings": *{{[^}}]*}}/"settings":{{"colour":"red"}}/' "$2" > tried.json
exec {REAL} --config tried.json""")
    refused = shipping.upgrade()
    assert refused.returncode == 1 and "settings of shipping are wrong at /colour" in refused.stderr, refused


def test_whatever_a_trial_leaves_is_removed_and_no_link_is_followed(shipping):
    (shipping.own / "trial").symlink_to(".")
    shipping.put(trying=f'mkdir -p trial/deep/er; : > trial/deep/er/file; ln -s ../.. trial/deep/link; exec {REAL} "$@"')
    assert shipping.upgrade().returncode == 0
    assert shipping.nothing_is_left() and shipping.ask().status == 200


def test_an_up_that_is_killed_in_the_middle_leaves_nothing_behind(shipping):
    shipping.migrates_for_ever()
    asked = threading.Thread(target=shipping.upgrade)
    asked.start()
    shipping.is_being_tried()
    left, up = living(shipping.state), shipping.status()["up_pid"]
    os.kill(up, signal.SIGKILL)
    asked.join()
    assert len(left) == 3  # the service, the gateway, the trial
    (shipping.migrations / "0003_endless.sql").unlink()
    shipping.up()
    assert all(started_at(pid) is None for pid in left)
    assert shipping.nothing_is_left() and shipping.ask().status == 200


def test_exit_codes_say_what_happened(shipping):
    """78 is for the configuration alone."""
    shipping.stop()
    config = shipping.own / "service.json"
    said = json.loads(config.read_text())
    shipping.migration("CREATE TABEL more;\n")
    ends = []
    for change in ({}, {"settings": {"colour": "red"}}, {"folder": str(shipping.own / "nowhere"), "confine": False}):
        config.write_text(json.dumps({**said, **change}))
        ends.append(subprocess.run([REAL, "--config", config, "--listen", "127.0.0.1:0"], check=False,
                                   capture_output=True, timeout=60).returncode)
    config.write_text(json.dumps(said))
    (shipping.migrations / "0002_more.sql").unlink()
    assert ends == [65, 78, 69]


def test_every_service_of_the_shop_passes_its_trial(tmp_path):
    """With sagas, subscriptions, tables, documents, keys and values."""
    system = shop_with(tmp_path).up()
    try:
        before = {name: one["pid"] for name, one in system.services().items()}
        for name in before:
            done = system.command("upgrade", name, "--state", system.state, check=False)
            assert done.returncode == 0, done
        after = system.services()
        assert all(one["ready"] and one["pid"] != before[name] and one["restarts"] == 0 for name, one in after.items())
        assert not list(pathlib.Path(system.state).glob("*/trial*"))
    finally:
        system.stop(check=False)


def test_on_a_server_the_first_failure_of_the_first_new_process_stops_nothing():
    named("postgresql")
    folder = open_folder()
    system = Shipping(folder, profile="server").up_with_one()
    try:
        before = [one["pid"] for one in system.shipping()["instances"]]
        with Load(system.ask) as load:
            system.migration("CREATE TABEL more (id BIGINT);\n", "postgresql/0002_more.sql")
            refused = system.upgrade()
            assert refused.returncode == 1 and "The migration postgresql/0002_more.sql failed" in refused.stderr, refused
            assert [one["pid"] for one in system.shipping()["instances"]] == before
        assert load.wrong == [] and system.up_log().count("exit code 65") == 1
        os.kill(before[1], signal.SIGKILL)
        wait_for("it is back", lambda: (one := system.shipping()["instances"][1])["ready"] and one["pid"] != before[1])
        system.migration("CREATE TABLE more (id BIGINT);\n", "postgresql/0002_more.sql")
        wait_for("what was mended is taken by itself", lambda: sql(store_of(system, "shipping"), "TABLE fh_migration")[1:])
        wait_for("all of it", lambda: all(one["ready"] and one["pid"] != before[0] for one in system.shipping()["instances"]))
        system.put(serving=f'[ -e once ] || {{ : > once; exit 69; }}; exec {REAL} "$@"')
        wait_for("what its server may have caused is tried again", lambda: "[upgrade-failed]" in system.up_log() and
                 system.shipping()["program"] == {"older": False, "refused": None})
    except BaseException:
        print(system.logs(), system.up_log())
        raise
    finally:
        system.stop(check=False)
        shutil.rmtree(folder, ignore_errors=True)
