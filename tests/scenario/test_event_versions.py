# SPDX-License-Identifier: Apache-2.0
"""An event gets another version while its publisher and its subscriber run and people write, in either order; and a
program that would not be understood is refused.

The system of tests/crash/people: a registry whose people change their names, and a directory that copies them. Their
programs come in editions; see registry.c and directory.c."""

import pathlib
import random
import shutil
import threading

import pytest

from conftest import FREEHOLD, ROOT, System, named, open_folder, wait_for

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
WRITERS, PEOPLE_EACH, MORE = 2, 4, 40
NAMES = ("Ada", "Bo", "Cleo", "Dag", "Enid", "Finn")


class Writer(threading.Thread):
    """Changes the names of people of its own, each request until it is answered, and counts."""

    def __init__(self, system, first):
        super().__init__()
        self.system, self.people = system, range(first, first + PEOPLE_EACH)
        self.random, self.done, self.ends, self.wrong = random.Random(first), 0, threading.Event(), []
        self.changes, self.names = dict.fromkeys(self.people, 0), {}

    def change(self, person):
        given, family = self.random.choice(NAMES), self.random.choice(NAMES)
        key, body = f"{person}-{self.changes[person]}", {"id": person, "given": given, "family": family}

        def answered():
            try:
                answer = self.system.http("POST", "/api/people", body, {"Idempotency-Key": key}, 20)
            except OSError:
                return False
            if answer.status < 500 and answer.status != 200:
                self.wrong.append(answer)
            return answer.status < 500

        wait_for("a change is answered", answered)
        self.changes[person] += 1
        self.names[person] = f"{given} {family}"
        self.done += 1

    def run(self):
        try:
            while not self.ends.is_set() and not self.wrong:
                self.change(self.random.choice(self.people))
        except BaseException as error:  # the test looks
            self.wrong.append(error)


class People:
    """The system in a folder of its own, where both programs are files that tests replace, and its writers."""

    def __init__(self, folder, registry, directory, profile):
        shutil.copytree(ROOT / "tests" / "crash" / "people", folder / "people", ignore=shutil.ignore_patterns("*.[ch]"))
        self.folder = folder / "people"
        (self.folder / "bin").mkdir()
        self.put("registry", registry)
        self.put("directory", directory)
        self.system = System(self.folder / "freehold.yaml", folder / "s", profile).up()
        self.writers = [Writer(self.system, 1 + n * PEOPLE_EACH) for n in range(WRITERS)]
        for writer in self.writers:
            writer.start()

    def put(self, service, edition):
        new = self.folder / "bin" / f"{service}.new"
        shutil.copy(PROGRAMS / f"{service}_{edition}", new)
        new.rename(self.folder / "bin" / service)

    def more(self):
        """Whatever runs now has had its share of the changes."""
        before = [writer.done for writer in self.writers]
        wait_for("more is written", lambda: any(writer.wrong for writer in self.writers) or all(
            writer.done >= was + MORE for writer, was in zip(self.writers, before)))
        assert not any(writer.wrong for writer in self.writers), [writer.wrong for writer in self.writers]

    def upgrade(self, service, edition):
        self.put(service, edition)
        return self.system.command("upgrade", service, "--state", self.system.state, check=False)

    def program(self, service):
        return self.system.services()[service]["program"]

    def upgraded(self, service, edition):
        """By whoever was first, this command or `up` itself; and then all instances run it."""
        wait_for(f"{service} can be upgraded", lambda: self.upgrade(service, edition).returncode == 0)
        wait_for(f"{service} runs it", lambda: not self.program(service)["older"])
        self.more()

    def refused(self, service, edition, expected):
        done = self.upgrade(service, edition)
        assert done.returncode == 1 and expected in done.stderr, done
        assert expected in wait_for("it is shown", lambda: self.program(service)["refused"])
        self.more()

    def caught_up(self):
        """The directory has applied what there is now."""
        last = self.system.state_of("registry")["position"]
        wait_for("the directory has come so far", lambda: all(
            heard["position"] >= last for heard in self.system.state_of("directory")["subscriptions"]))

    def stop_writing(self):
        for writer in self.writers:
            writer.ends.set()
        for writer in self.writers:
            writer.join()
        assert not any(writer.wrong for writer in self.writers), [writer.wrong for writer in self.writers]

    def judge(self):
        """Each change took effect once, in the order of its person's changes, in both services."""
        self.stop_writing()
        wait_for("all events are applied", self.system.at_rest)
        wait_for("nothing is parked: the program that can read it retries it when it starts", lambda: not any(
            heard["parked"]["events"] for heard in self.system.state_of("directory")["subscriptions"]))
        for writer in self.writers:
            for person in filter(writer.changes.get, writer.people):
                name, changes = writer.names[person], writer.changes[person]
                row = self.system.http("GET", f"/api/people/{person}").body
                assert (f"{row['given']} {row['family']}", row["changes"]) == (name, changes)
                entry = self.system.http("GET", f"/api/entries/{person}").body
                assert entry == {"id": person, "name": name, "changes": changes, "applied": changes, "out_of_order": 0}

    def stop(self):
        for writer in self.writers:
            writer.ends.set()
        for writer in self.writers:
            writer.join()
        self.system.stop(check=False)


@pytest.fixture
def people(tmp_path, request):
    *editions, profile = request.param
    profile = named(profile)
    made = People(open_folder() if profile else tmp_path, *editions, profile)
    try:
        yield made
    finally:
        made.stop()


ORDERS = {"publisher_first": [("registry", 2), ("directory", 2), ("registry", 3)],
          "subscriber_first": [("directory", 2), ("registry", 2), ("registry", 3)]}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("people", [(1, 1, "embedded"), (1, 1, "postgresql")], ids=["embedded", "instances"],
                         indirect=True)
def test_a_version_is_brought_in_and_the_old_one_given_up(people, order):
    people.more()
    for service, edition in ORDERS[order]:
        people.upgraded(service, edition)
    people.judge()


@pytest.mark.parametrize("people", [(1, 1, "embedded")], ids=[""], indirect=True)
def test_what_the_other_side_does_not_understand_is_refused_until_it_does(people):
    people.refused("registry", 3, "PersonChanged")
    people.refused("directory", 3, "PersonChanged")
    people.upgraded("directory", 2)
    people.upgraded("registry", 3)
    people.upgraded("directory", 3)
    people.judge()


@pytest.mark.parametrize("people", [(2, 2, "embedded")], ids=[""], indirect=True)
def test_a_version_is_taken_back_where_both_still_read_it(people):
    people.more()
    people.upgraded("registry", 1)
    people.caught_up()  # with what was published in version 2
    people.upgraded("directory", 1)
    people.judge()


@pytest.mark.parametrize("people", [(2, 1, "embedded")], ids=[""], indirect=True)
def test_a_publisher_that_is_taken_back_leaves_events_that_are_read_by_the_next_program(people):
    """What version 2 has published nobody can make version 1 of once the program that knows how is gone. Such events
    are parked with their keys, lose nothing, and the next program of the subscriber applies them, and then those
    behind."""
    people.more()
    people.upgraded("registry", 1)
    people.upgraded("directory", 2)
    people.judge()
