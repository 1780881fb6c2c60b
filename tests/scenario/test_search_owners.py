# SPDX-License-Identifier: Apache-2.0
"""What is found by words on OpenSearch, of a service on a server, of any model: several instances write, one carries;
one dies, one is replaced by a program that derives otherwise, and it is made anew meanwhile.

The service is tests/crash/shelf; its program comes in editions, with tables, documents, or keys and values."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import threading
import uuid

import pytest

import mongodb
from conftest import FREEHOLD, ROOT, System, build_crash_programs, folder_for, wait_for
from set_back import Replica

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
RECORDS = {"mongodb": "documents_", "redis": "keys_"}


def store_on(engine):
    """Of MongoDB there is no server that every machine has: it is one that is there."""
    if engine != "mongodb":
        return ""
    at = mongodb.server("ferretdb")
    return f"store: {{ host: {at['host']}, port: {at['port']}, database: shelf_{uuid.uuid4().hex[:12]} }}, "


class Shelf:
    def __init__(self, folder, engine, server):
        self.records = RECORDS.get(engine, "")
        if not self.records:
            shutil.copytree(ROOT / "tests" / "crash" / "shelf", folder / "shelf")
        self.file, self.program = folder / "freehold.yaml", folder / "bin" / "shelf"
        self.program.parent.mkdir()
        self.edition(2)
        self.file.write_text(
            f"system: s{uuid.uuid4().hex[:12]}\nservices:\n"
            f"  shelf: {{ program: bin/shelf, engine: {engine}, {store_on(engine)}instances: 2, "
            "derives: { books: { server: found } } }\n"
            f"servers:\n  found: {{ derived: opensearch, host: {server['host']}, port: {server['port']} }}\n")
        self.system, self.added = System(self.file, folder / "s"), 0

    def lacks(self):
        """Why it can't run on this machine; "": it can."""
        done = self.system.command("check", self.file, "--json", check=False)
        errors = [one["message"] for one in json.loads(done.stdout)["errors"]] if done.returncode else []
        lacking = [error for error in errors if "is not installed" in error or "is not built in" in error]
        assert len(lacking) == len(errors), errors
        return "; ".join(lacking)

    def edition(self, number):
        new = self.program.with_suffix(".new")
        shutil.copy(PROGRAMS / f"crash_shelf_{self.records}{number}", new)
        new.rename(self.program)

    def add(self, title="a novel"):
        number = self.added + 1
        book, key = {"id": 10_000 + number, "title": f"{title} {number}"}, {"Idempotency-Key": f"book-{number}"}
        wait_for("it is added", lambda: self.system.http("POST", "/api/books", book, key).status == 201)
        self.added = number

    def add_quietly(self):
        """Books that no handler derives: they are listed. Returns how many."""
        if not self.records:
            assert self.system.http("POST", "/api/books/many").status == 204
            return 1200
        for number in range(1, 121):
            assert self.system.http("POST", "/api/books/quiet", {"id": number}, {"Idempotency-Key": f"quiet-{number}"}).status == 204
        return 120

    def total(self, word):
        answer = self.system.http("GET", f"/api/books?q={word}")
        return answer.body["total"] if answer.status == 200 else answer.status

    def derived(self):
        return self.system.state_of("shelf")["derived"][0]

    def instances(self):
        return {one["instance"]: one for one in self.system.services()["shelf"]["instances"]}

    def metric(self, name):
        """{instance: its value}"""
        values = {}
        for number, one in self.instances().items():
            text = self.ask(one["address"])
            found = re.search(rf'^{name}{{derived="books"}} (\d+)', text, re.MULTILINE)
            values[number] = int(found.group(1)) if found else 0
        return values

    def ask(self, address):
        host, port = address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=120)
        connection.request("GET", "/metrics", headers={"Freehold-Token": self.system.token("operator", "shelf")})
        text = connection.getresponse().read().decode()
        connection.close()
        return text


def shelf_on(engine, folder):
    if "FREEHOLD_TEST_OPENSEARCH" not in os.environ:
        pytest.skip("NOT RUN WITH OPENSEARCH: FREEHOLD_TEST_OPENSEARCH names no server")
    build_crash_programs()
    one = Shelf(folder, engine, json.loads(os.environ["FREEHOLD_TEST_OPENSEARCH"]))
    if one.lacks():
        pytest.skip(f"NOT RUN ON {engine}: {one.lacks()}")
    one.system.up()
    return one


@pytest.fixture(params=["postgresql", "mariadb", "redis", "mongodb"])
def shelf(request):
    one = shelf_on(request.param, folder_for(request))
    yield one
    one.system.stop(check=False)


@pytest.fixture(params=["postgresql", "mariadb"])
def replicated(request):
    one = shelf_on(request.param, folder_for(request))
    yield one, f"shelf-{request.param}"
    one.system.stop(check=False)


@pytest.fixture
def mortal(request, monkeypatch):
    """It dies at the point that its file `crash` names."""
    monkeypatch.setenv("FREEHOLD_CRASH", "crash")
    one = shelf_on("postgresql", folder_for(request))
    yield one
    one.system.stop(check=False)


class Adding(threading.Thread):
    """Adds books until it is told to end."""

    def __init__(self, shelf):
        super().__init__()
        self.shelf, self.ends, self.failed = shelf, threading.Event(), None

    def run(self):
        try:
            while not self.ends.is_set():
                self.shelf.add()
        except AssertionError as error:
            self.failed = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join()
        assert not self.failed, self.failed


def test_what_several_instances_derive_is_found(shelf):
    many = shelf.add_quietly()
    with Adding(shelf):
        wait_for("it can be asked", lambda: shelf.total("novel") != 503)
        wait_for("books are added", lambda: shelf.added > 40)
        # It is made anew beside the one that serves, and lists what no handler has derived.
        done = shelf.system.command("derive", "shelf", "books", "--anew", "--state", shelf.system.state)
        assert "is being made anew" in done.stdout
        wait_for("what is listed is found", lambda: shelf.total("running") == many)
        # The one that carries dies.
        carried = shelf.metric("freehold_derived_carried_total")
        number = max(carried, key=carried.get)
        assert carried[number] > 0 and min(carried.values()) == 0, carried
        before = shelf.added
        os.kill(shelf.instances()[number]["pid"], signal.SIGKILL)
        wait_for("books are added again", lambda: shelf.added > before + 20)
    wait_for("all are found", lambda: shelf.total("novel") == shelf.added)
    wait_for("all is carried", lambda: re.search(
        "books of shelf on OpenSearch: (carrying|carried by another instance); it can be asked, and 0 events have not been carried",
        shelf.system.command("derive", "shelf", "books", "--state", shelf.system.state).stdout))


def test_an_upgrade_that_derives_otherwise_makes_it_anew_once_all_derive_alike(shelf):
    wait_for("it can be asked", lambda: shelf.total("novel") == 0)
    with Adding(shelf):
        wait_for("books are found", lambda: shelf.total("novels") == 0 and shelf.total("novel") > 10)
        shelf.edition(3)  # which finds English words by their stems
        wait_for("it is made anew", lambda: (shelf.total("novels") or 0) not in (0, 503))
    wait_for("all are found", lambda: shelf.total("novels") == shelf.added)
    wait_for("it is carried", lambda: shelf.derived()["state"] in ("carrying", "carried by another instance"))
    shelf.edition(2)
    wait_for("it is made anew", lambda: shelf.total("novels") == 0 and shelf.total("novel") == shelf.added)


def test_what_was_lost_with_the_last_commits_is_found_no_more(replicated, tmp_path):
    """A replica that lacks them takes over, while the instances go on: positions are given out again."""
    shelf, server = replicated
    wait_for("it can be asked", lambda: shelf.total("old") == 0)
    for _ in range(10):
        shelf.add("an old book")
    replica = Replica(shelf.system, server, tmp_path)
    for _ in range(5):
        shelf.add("a lost book")
    wait_for("they are found", lambda: (shelf.total("old"), shelf.total("lost")) == (10, 5))
    replica.take_over()
    for _ in range(7):
        shelf.add("a new book")
    wait_for("what there is is found, and nothing else",
             lambda: (shelf.total("old"), shelf.total("lost"), shelf.total("new")) == (10, 0, 7))
    said = shelf.system.command("logs", "shelf", "--state", shelf.system.state).stdout
    assert "OpenSearch still holds some of the derived store books that the service's own store has lost" in said, said


@pytest.mark.parametrize("point", ["alike.settling", "alike.settled"])
def test_killed_while_it_settles_whether_all_derive_alike_it_goes_on(mortal, point):
    crash = pathlib.Path(mortal.system.state) / "shelf" / "crash"
    mortal.add()
    wait_for("it is found", lambda: mortal.total("novel") == 1)
    crash.write_text(point)
    mortal.edition(3)
    mortal.system.command("upgrade", "shelf", "--state", mortal.system.state, check=False)
    wait_for(f"one died at {point}", lambda: not crash.exists())
    mortal.add()
    mortal.system.command("upgrade", "shelf", "--force", "--state", mortal.system.state, check=False)
    wait_for("all are found", lambda: mortal.total("novels") == mortal.added == 2)
