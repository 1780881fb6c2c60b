# SPDX-License-Identifier: Apache-2.0
"""Derived stores on servers, which here are files: their service is killed at each point of carrying and of making them
anew, goes on from its own store each time, and in the end what is found is what the service has, and each fact counts
once."""

import json
import pathlib
import re
import shutil
import signal
import sqlite3
import sys
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash"), str(ROOT / "tests" / "scenario")]
from conftest import FREEHOLD, System, build_crash_programs, open_folder, wait_for  # noqa: E402
from test_derived import WRONG_CONFIGURATION, Shelf  # noqa: E402

ALL = {point for file in (ROOT / "src" / "carrier").glob("*.c")
       for point in re.findall(r'\bCRASH_POINT\("([^"]*)"\)', file.read_text(encoding="utf-8"))}
POINTS = sorted(point for point in ALL if not point.startswith(("kept.", "alike.")))
ALIKE = ("alike.settling", "alike.settled")  # of several instances: scenario test_search_owners.py
KEPT = ("kept.begun", "kept.made", "kept.sent", "kept.noted", "kept.settled", "kept.milestone_sent",
        "kept.milestone_noted")  # passed when all is well
KEPT_LOST = ("kept.lost", "kept.accepted", "kept.found")  # where the server has lost facts
KEPT_RESTORED = ("kept.counted",)  # where the service's store was restored: unit carrier_kept has that without a death


class Stand(Shelf):
    """Its items, and a service that is started again whenever it has died."""

    def __init__(self, folder):
        super().__init__(folder, "stand")
        self.server = folder / "server"
        self.counter = folder / "counter"
        self.config = {"derives": {"items": {"driver": "file", "host": str(self.server)},
                                   "puts": {"driver": "file", "host": str(self.counter)}}}
        self.edition, self.items = 1, {}

    def until(self, what, act):
        def is_done():
            if self.process is None or self.process.poll() is not None:
                self.begin(self.edition)
            try:
                return act()
            except OSError:
                return False

        wait_for(what, is_done)

    def put(self, key, name):
        self.items[key] = name
        self.until("it is put", lambda: self.ask("/api/items", {"id": key, "name": name}, "PUT") is not None)

    def remove(self, key):
        self.items.pop(key, None)
        self.until("it is gone", lambda: self.ask(f"/api/items/{key}", method="DELETE") is not None)

    def is_found(self):
        found = json.loads(self.ask("/api/items"))
        return found == "".join(f"{key}={name} " for key, name in sorted(self.items.items()))

    def are_counted(self):
        puts = json.loads(self.ask("/api/puts"))
        assert puts["own"]
        return puts["found"]["rows"] == [[put["id"], put["puts"]] for put in puts["own"]]

    def change(self, number):
        self.put("abc"[number % 3], f"n{number}")
        self.remove("abc"[(number + 1) % 3])


@pytest.fixture
def stand(tmp_path):
    build_crash_programs()
    made = Stand(tmp_path / "stand")
    yield made
    made.end(signal.SIGKILL)


def test_killed_anywhere_it_goes_on(stand):
    crash = stand.folder / "crash"
    assert len(POINTS) >= 12, POINTS
    stand.put("a", "apple")
    stand.until("it is found", stand.is_found)
    for number, point in enumerate(POINTS):
        stand.end()
        crash.write_text(point)
        stand.edition = 3 - stand.edition  # so it is made anew, and the former one is dropped
        stand.counter.unlink(missing_ok=True)  # so the facts are filled from the service's own store
        stand.change(number)
        stand.until("it is found", stand.is_found)
        if point == "carrier.lost":
            stand.end()
            stand.server.unlink()
        stand.until(f"it died at {point}", lambda: not crash.exists())
        stand.until("it is found", stand.is_found)
        stand.until("each counts once", stand.are_counted)


def test_the_points_of_kept_facts_are_there():
    assert ALL - set(POINTS) == {*KEPT, *KEPT_LOST, *KEPT_RESTORED, *ALIKE}


@pytest.fixture
def keeper(stand):
    """Its facts are on its server alone, and in the outbox until they are."""
    stand.config["derives"]["puts"]["kept"] = True
    stand.config["retention"] = {"events_kept_ms": 0, "look_ms": 50}
    return stand


@pytest.mark.parametrize("point", KEPT)
def test_killed_where_the_server_alone_keeps_facts_each_counts_once(keeper, point):
    crash = keeper.folder / "crash"
    if point in ("kept.settled", "kept.milestone_sent", "kept.milestone_noted"):  # it looks when it starts
        keeper.put("c", "cheese")
        keeper.until("each counts once", keeper.are_counted)
        keeper.end()
    crash.write_text(point)
    keeper.put("a", "apple")
    keeper.until(f"it died at {point}", lambda: not crash.exists())
    keeper.put("b", "bread")
    keeper.until("each counts once", keeper.are_counted)
    keeper.end(signal.SIGKILL)
    keeper.put("a", "apricot")
    keeper.until("each counts once", keeper.are_counted)


def lose_all(keeper):
    """What the server had is gone, and the outbox does not have it any more."""
    def is_trimmed():
        store = next(keeper.folder.glob("*.db"))
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*) FROM fh_outbox").fetchone() == (0,)

    keeper.put("a", "apple")
    keeper.until("each counts once", keeper.are_counted)
    keeper.end()  # it looks when it starts, and finds that all is whole
    keeper.until("it is trimmed", is_trimmed)
    keeper.end()
    keeper.counter.rename(keeper.folder / "counter.lost")


def operate(keeper, path, body=None):
    asked = urllib.request.Request(f"http://127.0.0.1:{keeper.port}{path}", json.dumps(body).encode() if body else None,
                                   {"Content-Type": "application/json", "Freehold-From": "operator"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.loads(answer.read())


def times_made_anew(stand, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{stand.port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return int(re.search(rf'^freehold_derived_anew_total{{derived="{name}"}} (\d+)', text, re.MULTILINE).group(1))


def refused(stand, name):
    with pytest.raises(urllib.error.HTTPError) as error:
        operate(stand, "/_freehold/derived/anew", {"name": name})
    return error.value.code


def test_an_operator_has_one_made_anew(stand):
    stand.put("a", "apple")
    stand.until("it is found", stand.is_found)
    before = times_made_anew(stand, "items")
    assert operate(stand, "/_freehold/derived/anew", {"name": "items"}) == {"name": "items"}
    stand.until("it is made anew", lambda: times_made_anew(stand, "items") == before + 1)
    stand.until("it is found", stand.is_found)
    assert refused(stand, "nothing") == 404


def test_what_the_server_alone_has_can_not_be_made_anew(keeper):
    keeper.put("a", "apple")
    keeper.until("each counts once", keeper.are_counted)
    assert refused(keeper, "puts") == 409


def is_lost(keeper):
    state = next(one for one in operate(keeper, "/_freehold/state")["derived"] if one["name"] == "puts")
    return "lost" in state["kept"]


@pytest.mark.parametrize("point", KEPT_LOST)
def test_killed_where_facts_are_lost_it_waits_for_a_word_or_for_a_backup(keeper, point):
    crash = keeper.folder / "crash"
    lose_all(keeper)
    if point == "kept.lost":
        crash.write_text(point)
    keeper.put("b", "bread")
    keeper.until("it is lost", lambda: is_lost(keeper))
    with pytest.raises(urllib.error.HTTPError, match="503"):
        keeper.ask("/api/puts")
    if point == "kept.accepted":
        crash.write_text(point)
        with pytest.raises(OSError):
            operate(keeper, "/_freehold/derived/accept", {"name": "puts"})
        wait_for("it died", lambda: keeper.process.poll() is not None)
        assert not crash.exists()
        keeper.until("it is given up", lambda: json.loads(keeper.ask("/api/puts"))["found"]["rows"] == [["b", 1]])
        return
    keeper.end()
    (keeper.folder / "counter.lost").replace(keeper.counter)
    if point == "kept.found":
        crash.write_text(point)
    keeper.until("it is there again", keeper.are_counted)
    assert not crash.exists()


def test_where_the_outbox_is_full_nothing_more_is_derived(keeper):
    away = keeper.folder / "counter.away"
    keeper.config["retention"]["events_max"] = 20
    keeper.put("a", "apple")
    keeper.until("each counts once", keeper.are_counted)
    away.write_text("")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        for number in range(30):
            keeper.ask("/api/items", {"id": "b", "name": f"n{number}"}, "PUT")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        keeper.ask("/api/items", {"id": "b", "name": "again"}, "PUT")
    keeper.end(signal.SIGKILL)
    away.unlink()
    keeper.put("c", "cheese")
    keeper.until("each counts once", keeper.are_counted)


def test_facts_do_not_change_their_place_by_the_configuration(keeper):
    keeper.put("a", "apple")
    keeper.until("each counts once", keeper.are_counted)
    keeper.end()
    puts = keeper.config["derives"].pop("puts")  # its own store has none
    assert keeper.begin(1).process.wait(120) == WRONG_CONFIGURATION
    keeper.config["derives"]["puts"] = {**puts, "kept": False}
    assert keeper.begin(1).process.wait(120) == WRONG_CONFIGURATION
    assert "A server alone has the derived store" in keeper.log()
    keeper.config["derives"]["puts"] = puts
    keeper.until("each counts once", keeper.are_counted)


def test_facts_of_its_own_store_do_not_become_kept(stand):
    stand.put("a", "apple")
    stand.until("each counts once", stand.are_counted)
    stand.end()
    stand.config["derives"]["puts"]["kept"] = True
    assert stand.begin(1).process.wait(120) == WRONG_CONFIGURATION
    del stand.config["derives"]["puts"]["kept"]
    stand.until("each counts once", stand.are_counted)


def test_it_goes_on_when_the_server_is_back(stand):
    away = stand.folder / "server.away"
    stand.put("a", "apple")
    stand.until("it is found", stand.is_found)
    away.write_text("")
    stand.put("b", "bread")
    stand.end(signal.SIGKILL)
    stand.put("c", "cheese")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        stand.ask("/api/items")
    away.unlink()
    stand.until("it is found", stand.is_found)


def test_a_system_file_says_where_it_lies():
    build_crash_programs()
    programs, folder = pathlib.Path(FREEHOLD).resolve().parent / "tests" / "crash", open_folder()
    file = folder / "freehold.yaml"
    shutil.copytree(ROOT / "tests" / "crash" / "stand", folder / "stand")
    file.write_text(f"system: market\n"
                    f"services:\n"
                    f"  stand: {{ program: {programs / 'crash_stand_1'}, derives: {{ items: {{ server: found }} }} }}\n"
                    f"servers:\n"
                    f"  found: {{ derived: file, host: server }}\n")
    system = System(file, folder / "state", freehold=programs / "freehold_stand")
    try:
        system.command("check", file, freehold=system.freehold)
        system.up()
        assert system.call("stand", "PUT", "/api/items", {"id": "a", "name": "apple"}).status == 200
        wait_for("it is found", lambda: system.call("stand", "GET", "/api/items").body == "a=apple ")
        told = system.command("status", "--state", system.state, "--once", check=False).stdout
        assert re.search(r"^stand +items +The file +\d+.* carrying$", told, re.M), told
    finally:
        system.stop(check=False)
        shutil.rmtree(folder)
