# SPDX-License-Identifier: Apache-2.0
"""The checker's own tests: a good history has nothing wrong in it, and each anomaly that is planted in it is found."""

import copy
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from checker import DEALS, QUIET, Final, History, check  # noqa: E402
from restores import counted, judge  # noqa: E402

LISTS, SEEDS = 4, 20


class Good:
    """A history as a perfect system would give it, of operations that overlap at random."""

    def __init__(self, seed):
        self.random, self.history = random.Random(seed), History()
        self.final, self.now, self.number = Final({}, {}, {}), 0.0, 0
        for _ in range(300):
            self.now += self.random.random()
            self.random.choice((self.append, self.append, self.append, self.read, self.copy))()
        for deal in range(DEALS, DEALS + 10):
            self.deal(deal)
        self.final.hearer.update(copy.deepcopy({n: v for n, v in self.final.recorder.items() if n < QUIET}))

    def around(self):
        """When something began and ended that took place now."""
        return self.now - 2 * self.random.random(), self.now + 2 * self.random.random()

    def append(self):
        self.number += 1
        list_ = self.random.choice([*range(LISTS), QUIET])
        value, kind = f"v{self.number}", self.random.random()
        key = f"k{self.number}" if self.random.random() < 0.6 else None
        values = self.final.recorder.setdefault(list_, [])
        if kind < 0.1:
            self.history.append(list_, value, key, *self.around(), "refused", "409")
            return
        if kind < 0.9:
            values.append(value)
        if kind < 0.8:
            outcome = "ok" if kind < 0.7 or not key else "unknown"
            self.history.append(list_, value, key, *self.around(), outcome, f"{value}@{len(values)}", len(values))
            if key and kind < 0.5:  # once more, later
                self.history.append(list_, value, key, self.now + 3, self.now + 4, "ok", f"{value}@{len(values)}", len(values))
        else:  # done or not, nobody was answered
            self.history.append(list_, value, key, *self.around(), "unknown")

    def read(self):
        list_ = self.random.choice([*range(LISTS), QUIET])
        self.history.read(list_, self.final.recorder.get(list_, []), *self.around())

    def copy(self):
        list_ = self.random.randrange(LISTS)
        self.history.read_copy(list_, self.final.recorder.get(list_, []), *self.around())

    def deal(self, deal):
        ends = [(("begun", "marked", "confirmed"), ("taken", "sent")), (("begun", "undone"), ()),
                (("begun", "undone"), ("taken", "returned")), (("begun", "marked", "undone"), ("taken", "returned")),
                (("begun", "marked", "undone"), ("taken", "sent", "unsent", "returned"))]
        here, there = self.random.choice(ends)
        self.final.recorder[deal], self.final.partner[deal] = list(here), list(there)
        self.history.deal(deal, f"d{deal}", *self.around(), "ok", "202")

    def acknowledged(self, at_least=3):
        """(its list's values, its place) of one in the middle of a list that is published."""
        places = [(values, i) for n, values in self.final.recorder.items() if n < LISTS
                  for i, value in enumerate(values) if at_least <= i < len(values) - 2
                  and self.history.appends[value].outcome == "ok"]
        return self.random.choice(places)


def kinds(good):
    return {one.kind for one in check(good.history, good.final)}


def test_nothing_is_wrong_with_good_histories():
    for seed in range(10 * SEEDS):
        good = Good(seed)
        assert not check(good.history, good.final), seed


def lose_an_append(good):
    values, place = good.acknowledged()
    list_ = good.history.appends[values[place]].list
    del values[place]
    good.final.hearer[list_] = list(values)


def double_an_append(good):
    values, place = good.acknowledged()
    list_ = good.history.appends[values[place]].list
    values.append(values[place])
    good.final.hearer[list_] = list(values)


def double_one_that_was_not_answered(good):
    value = f"v{good.number + 1}"
    good.history.append(0, value, None, good.now, good.now + 1, "unknown")
    for values in (good.final.recorder[0], good.final.hearer[0]):
        values += [value, value]


def do_what_was_refused(good):
    refused = next(one for one in good.history.appends.values() if one.outcome == "refused" and one.list != QUIET)
    good.final.recorder[refused.list].append(refused.value)
    good.final.hearer[refused.list].append(refused.value)


def write_what_nobody_sent(good):
    good.final.recorder[0].append("who?")
    good.final.hearer[0].append("who?")


def tell_another_place(good):
    values, place = good.acknowledged()
    good.history.appends[values[place]].number += 1


def read_stale(good):
    """All was acknowledged long ago, and is not seen."""
    good.history.read(1, good.final.recorder[1][:2], good.now + 100, good.now + 101)


def go_back(good):
    """Of values whose own end nobody knows: seen, and then not seen."""
    for number in (1, 2):
        good.history.append(0, f"late{number}", None, good.now, good.now + 1, "unknown")
        good.final.recorder[0].append(f"late{number}")
        good.final.hearer[0].append(f"late{number}")
    values = good.final.recorder[0]
    good.history.read(0, values, good.now + 50, good.now + 51)
    good.history.read(0, values[:-1], good.now + 52, good.now + 53)


def see_the_future(good):
    value = "future"
    good.history.append(0, value, None, good.now + 100, good.now + 101, "ok", "a", len(good.final.recorder[0]) + 1)
    good.final.recorder[0].append(value)
    good.final.hearer[0].append(value)
    good.history.read(0, good.final.recorder[0], good.now + 10, good.now + 11)


def read_what_vanished(good):
    good.history.read(2, [*good.final.recorder[2], "ghost"], good.now, good.now + 1)


def read_another_order(good):
    values = list(good.final.recorder[2])
    values[0], values[1] = values[1], values[0]
    good.history.read(2, values, good.now, good.now + 1)


def answer_otherwise(good):
    one = next(one for one in good.history.appends.values() if one.key and one.outcome == "ok")
    good.history.append(one.list, one.value, one.key, good.now, good.now + 1, "ok", "other", one.number)


def refuse_what_was_done(good):
    one = next(one for one in good.history.appends.values() if one.key and one.outcome == "ok")
    good.history.append(one.list, one.value, one.key, good.now, good.now + 1, "refused", "409")


def reorder_events(good):
    heard = good.final.hearer[0]
    heard[1], heard[2] = heard[2], heard[1]


def miss_an_event(good):
    del good.final.hearer[3][2]


def hear_twice(good):
    good.final.hearer[3].insert(2, good.final.hearer[3][1])


def let_a_copy_go_back(good):
    values = good.final.hearer[3]
    good.history.read_copy(3, values, good.now + 1, good.now + 2)
    good.history.read_copy(3, values[:-2], good.now + 3, good.now + 4)


PLANTED = {
    lose_an_append: "lost", double_an_append: "doubled", double_one_that_was_not_answered: "doubled",
    do_what_was_refused: "refused", write_what_nobody_sent: "refused", tell_another_place: "misplaced",
    read_stale: "stale", go_back: "stale", see_the_future: "stale", read_what_vanished: "lost",
    read_another_order: "other", answer_otherwise: "mismatch", refuse_what_was_done: "mismatch",
    reorder_events: "heard", miss_an_event: "heard", hear_twice: "heard", let_a_copy_go_back: "stale",
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_what_is_planted_is_found(plant):
    for seed in range(SEEDS):
        good = Good(seed)
        plant(good)
        assert PLANTED[plant] in kinds(good), (seed, check(good.history, good.final))


# What stands here and at the partner's, and what is wrong with it.
DEALS_GONE_WRONG = {
    "its_handler_took_effect_twice": (["begun", "marked", "marked", "confirmed"], ["taken", "sent"], "doubled"),
    "a_step_took_effect_twice": (["begun", "marked", "confirmed"], ["taken", "taken", "sent"], "deal"),
    "it_never_ended": (["begun", "marked"], ["taken", "sent"], "deal"),
    "it_began_twice": (["begun", "begun", "marked", "confirmed"], ["taken", "sent"], "doubled"),
    "a_step_was_not_undone": (["begun", "undone"], ["taken"], "deal"),
    "a_step_was_done_behind_its_undo": (["begun", "undone"], ["taken", "returned", "taken"], "doubled"),
    "an_undo_took_effect_twice": (["begun", "undone"], ["taken", "returned", "returned"], "doubled"),
    "it_was_confirmed_and_undone": (["begun", "marked", "confirmed", "undone"], ["taken", "returned"], "deal"),
    "it_was_lost": ([], ["taken", "sent"], "lost"),
}


@pytest.mark.parametrize("wrong", DEALS_GONE_WRONG)
def test_a_deal_that_went_wrong_is_found(wrong):
    here, there, kind = DEALS_GONE_WRONG[wrong]
    good = Good(1)
    good.final.recorder[DEALS] = good.final.hearer[DEALS] = here
    good.final.partner[DEALS] = there
    assert kind in kinds(good), check(good.history, good.final)


def test_what_was_done_for_no_deal_is_found():
    """A runner with nothing at hand."""
    good = Good(1)
    good.final.partner[0] = ["returned"]
    assert "deal" in kinds(good)


# ---- After a restore ----

ENDED = {"what": "partner has closed sagas of recorder that recorder knows nothing of since it was restored: those with "
                 "numbers above 7 up to 9 of life 01a215ff. Their records are gone here, and what they did stays."}
NAMED = {"what": "partner did step send of saga 01a215ff.8 of recorder, which knows nothing of that saga since it was "
                 "restored: the key is k."}


class Restored:
    """A backup of the recorder that was made before everything."""

    which, began = ("recorder",), -1.0

    def __init__(self, *entries, parked=0):
        self.entries, self.parked = entries, parked

    def reported(self):
        return *counted([{"entries": self.entries, "left_out": 0}]), self.parked


def behind_restore(backup, deals, gives_up=True):
    """Kinds of anomalies, where the recorder has the first list of each of `deals`, and the partner the second one."""
    before, after = Final({}, {}, {}), Final({}, {}, {})
    for number, (here, there) in enumerate(deals, DEALS):
        before.recorder[number] = before.hearer[number] = ["begun", "marked", "confirmed"]
        before.partner[number] = after.partner[number] = there
        if here:
            after.recorder[number] = after.hearer[number] = here
        elif not gives_up:
            after.hearer[number] = before.hearer[number]
    return {one.kind for one in judge(backup, History(), before, after)[0]}


LOST, OPEN, BACK = ([], ["taken", "sent"]), (["begun"], ["taken", "sent"]), ([], ["taken", "returned"])


@pytest.mark.parametrize("backup,deals,found", [
    (Restored(ENDED), [LOST, LOST, BACK], set()),
    (Restored(ENDED), [LOST, LOST, LOST], {"unreported"}),
    (Restored(ENDED, NAMED), [LOST, LOST, LOST], set()),
    (Restored(), [LOST], {"unreported"}),
    (Restored(), [BACK], set()),
    (Restored(ENDED), [OPEN], {"unreported"}),
    (Restored(ENDED, parked=1), [OPEN, LOST], set()),
])
def test_deals_that_a_restore_has_lost_are_to_be_reported(backup, deals, found):
    assert behind_restore(backup, deals) == found


def test_what_a_copy_does_not_give_up_is_found():
    assert behind_restore(Restored(ENDED), [LOST], gives_up=False) == {"heard"}
