# SPDX-License-Identifier: Apache-2.0
"""A subscriber whose handler was wrong is mended, and then applies its publisher's events again, `freehold events
replay`, while more is sold: its rows are right, and nothing that follows from an event happens twice.

The system of tests/replay: a till, and books that book what it sells ten times over in edition 1."""

import json
import pathlib
import shutil
import threading
import time

import pytest

from conftest import FREEHOLD, ROOT, System, named, open_folder, wait_for

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "replay"
EARLY, WRONG, LATE = 200, 3000, 40  # sales; of LATE there are ten each time


class Sales(System):
    def __init__(self, folder, books=PROGRAMS / "books_1", profile=None):
        shutil.copytree(ROOT / "tests" / "replay", folder / "sales", ignore=shutil.ignore_patterns("*.[ch]"))
        self.folder, self.sold = folder / "sales", 0
        (self.folder / "bin").mkdir()
        self.put("till", PROGRAMS / "till")
        self.put("books", books)
        super().__init__(self.folder / "freehold.yaml", folder / "s", profile)

    def put(self, service, program):
        new = self.folder / "bin" / f"{service}.new"
        shutil.copy(program, new)
        new.rename(self.folder / "bin" / service)

    def sell(self, count):
        sold = self.http("POST", "/api/sales", {"from": self.sold + 1, "count": count})
        assert sold.status == 204, sold
        self.sold += count
        return sold.headers["freehold-at"]

    def replay(self, *words, code=0):
        done = self.command("events", "replay", *words, "--state", self.state, check=False)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def following(self):
        return all(one["state"] == "following" and "replayed" not in one
                   for one in self.state_of("books")["subscriptions"])

    def partitions(self):
        return len(self.state_of("books")["subscriptions"])

    def sum(self):
        return self.http("GET", "/api/sum").body

    def booked(self):
        """All that was sold is booked, and told on, and nobody is to be reminded any more."""
        wait_for("all is applied", lambda: self.following() and self.at_rest())
        return wait_for("all are reminded", lambda: self.sum()["reminded"] >= self.sold and self.sum())

    def told(self):
        return json.loads(self.command("events", "count", "books", "--json", "--state", self.state).stdout)["types"]


@pytest.fixture(scope="module", params=["embedded", "postgresql"], ids=["embedded", "instances"])
def sales(tmp_path_factory, request):
    profile = named(request.param)
    made = Sales(open_folder() if profile else tmp_path_factory.mktemp("sales"), profile=profile)
    try:
        yield made.up()
    finally:
        made.stop(check=False)


def test_what_was_sold_is_waited_for_where_several_instances_apply_it_too(sales):
    for _ in range(3):
        at = sales.sell(7)
        seen = [sales.http("GET", "/api/sum", headers={"Freehold-Wait": at}) for _ in range(3)]
        assert all(one.status == 200 and one.body["sales"] == sales.sold for one in seen), seen
    young = sales.http("GET", "/api/sum", headers={"Freehold-Max-Age": "3600"})
    if sales.partitions() > 1:  # nobody knows
        assert young.status == 503 and all("freehold-as-of" in one.headers and "age" not in one.headers for one in seen)
    else:
        assert young.status == 200 and "age" in young.headers


def amount(*numbers):
    return sum(number % 100 for number in numbers)


def test_rows_that_a_wrong_handler_has_left_are_put_right_and_nothing_happens_twice(sales):
    sales.sell(EARLY)
    early = sales.sold
    sales.booked()
    time.sleep(0.01)  # what is sold next has later times, in ms
    sales.sell(WRONG)
    assert sales.booked()["amount"] == 10 * amount(*range(1, sales.sold + 1))  # before, too
    sales.put("books", PROGRAMS / "books_2")
    sales.command("upgrade", "books", "--state", sales.state)
    since = json.loads(sales.command("events", "show", "till", str(early + 1), "--json", "--state",
                                     sales.state).stdout)["time"]
    ends = threading.Event()

    def go_on():
        for _ in range(LATE):
            sales.sell(10)
        ends.set()

    seller = threading.Thread(target=go_on)
    seller.start()
    said = sales.replay("books", "--from", since)
    assert said.count(f"from position {early + 1} up to ") == sales.partitions() and "is held back" in said
    seller.join()
    assert ends.is_set()
    booked = sales.booked()
    wrong, right = range(1, early + 1), range(early + 1, sales.sold + 1)
    assert booked["amount"] == 10 * amount(*wrong) + amount(*right)
    assert booked["sales"] == booked["reminded"] == sales.sold
    assert booked["applied"] >= sales.sold + WRONG
    assert sales.told() == {"SaleBooked": sales.sold}
    # The rest of it, by positions.
    told = json.loads(sales.replay("books", "--from", "1", "--of", "till", "--json"))
    assert told["partitions"] == len(told["shares"]) == sales.partitions()
    assert all(one["after"] == 0 and one["until"] == sales.sold for one in told["shares"])
    booked = sales.booked()
    assert booked["amount"] == amount(*range(1, sales.sold + 1)) and booked["reminded"] == sales.sold
    assert sales.told() == {"SaleBooked": sales.sold}


def test_a_replay_is_abandoned_and_goes_on_where_the_cursor_was(sales):
    before = sales.booked()
    assert sales.http("POST", "/api/hold", {"held": True}).status == 204
    sales.replay("books", "--from", "1")
    assert "is applying events of till again already" in sales.replay("books", "--from", "1", code=1)  # another operator
    sales.sell(10)
    wait_for("it is told", lambda: any("replayed" in one for one in sales.state_of("books")["subscriptions"]))
    said = sales.replay("books", "--abandon")
    assert "books goes on with the events of till after position " in said and "may show old values" in said, said
    assert "applies no events of till again now" in sales.replay("books", "--abandon", code=1)
    booked = sales.booked()
    assert booked["reminded"] == before["reminded"] + 10
    assert before["applied"] + 10 <= booked["applied"] < before["applied"] + sales.sold * sales.partitions()
    assert sales.told() == {"SaleBooked": sales.sold}
    assert sales.http("POST", "/api/hold", {"held": False}).status == 204


def test_with_effects_what_follows_happens_again(sales):
    before = sales.booked()
    assert "happens again" in sales.replay("books", "--from", str(sales.sold - 4), "--with-effects")
    wait_for("all are reminded again", lambda: sales.sum()["reminded"] == before["reminded"] + 5)
    assert sales.booked()["applied"] == before["applied"] + 5
    assert sales.told() == {"SaleBooked": sales.sold + 5}


def test_what_can_not_be_applied_again_is_refused_with_its_reason(sales):
    for words, code, reason in (
            (("books",), 2, "needs --from POSITION or TIME"),
            (("books", "--from", "0"), 2, "positions begin with 1"),
            (("books", "--from", "soon"), 2, "no position, and no time"),
            (("books", "--from", "1", "--abandon"), 2, "needs --from"),
            (("books", "--abandon", "--with-effects"), 2, "can't be combined with --abandon"),
            (("book", "--from", "1"), 2, "did you mean 'books'?"),
            (("books", "--from", "1", "--of", "books"), 1, "books does not subscribe to books"),
            (("till", "--from", "1"), 1, "subscribes to no service's events"),
            (("books", "--from", str(sales.sold + 1)), 1, f"none at {sales.sold + 1}"),
            (("books", "--from", "9223372036854775807"), 2, "no position, and no time"),
            (("books", "--from", "2999-01-01"), 1, "has published nothing since then"),
            (("books", "--from", "1", "--key", "7"), 2, "neither --type nor --key"),
            (("books", "--abandon"), 1, "applies no events of till again now")):
        assert reason in sales.replay(*words, code=code), words
